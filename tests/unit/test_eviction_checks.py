"""The checks of the policies' invariants notice what is wrong: links, queues, keys and weights are changed behind a policy's back."""

from __future__ import annotations

import random
from typing import Any

import pytest

import eviction
from eviction.native import ffi

KINDS = [kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead]
SLOTS = 9


def filled(kind: str, seed: int, params: str = "") -> eviction.Policy:
    """A policy with some history: hits, ghosts, removals; all slots but one are held."""
    rng, place = random.Random(seed), dict[int, int]()
    policy = eviction.Policy(eviction.ops_address(kind), SLOTS, SLOTS, params=params)
    for step in range(400):
        key = rng.randrange(25)
        if key in place:
            policy.hit(place[key])
        elif policy.miss(key):
            if len(place) == SLOTS:
                slot = policy.evict()
                del place[next(k for k, s in place.items() if s == slot)]
            place[key] = min(set(range(SLOTS)) - set(place.values()))
            policy.insert(place[key], key)
        if step == 390:
            policy.remove(place.pop(next(iter(place))))
    return policy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_changed_nodes_are_noticed(kind: str, seed: int) -> None:
    with filled(kind, seed) as policy:
        assert policy.check() is None
        layout = ffi.new("evi_layout *")
        policy._ops.layout(policy._policy, layout)
        if layout.nodes == ffi.NULL:
            pytest.skip("its nodes are not told")
        size, nodes = int(layout.stride), ffi.cast("uint8_t *", layout.nodes)
        noticed = tried = 0
        for slot in range(SLOTS):
            node = nodes + slot * size
            before = bytes(ffi.buffer(node, size))
            for changed in _changes(before):
                ffi.memmove(node, changed, size)
                noticed += policy.check() is not None
                tried += 1
            ffi.memmove(node, before, size)
        assert policy.check() is None
        assert noticed > tried // 10


def _changes(node: bytes) -> list[bytes]:
    """Links to other slots and to none, other queues, other marks and counts, another number that is a slot's."""
    found = []
    for at, values in ((0, (0, 1, SLOTS - 1, SLOTS, 0xFFFFFFFF)), (4, (0, 1, SLOTS - 1, SLOTS, 0xFFFFFFFF)), (12, range(SLOTS))):
        found += [node[:at] + value.to_bytes(4, "little") + node[at + 4 :] for value in values if at < len(node)]
    for at in [at for at in (8, 9, 10) if at < len(node)]:
        found += [node[:at] + bytes([value]) + node[at + 1 :] for value in (0, 1, 2, 3, 5, 9, node[at] ^ 1)]
    return [one for one in found if one != node]


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_the_capacity_is_noticed(kind: str) -> None:
    with filled(kind, 1) as policy:
        policy.resize(3)
        assert policy.check() is not None
        while policy.check() is not None:
            assert policy.evict() is not None
        left = 0
        while policy.evict() is not None:
            left += 1
        assert left <= 3 and policy.check() is None


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind in ("arc", "2q", "car", "cart", "lirs2", "mq", "qdlp", "s3fifo", "frd", "cacheus")]
)
def test_a_resident_with_a_ghost_is_noticed(kind: str) -> None:
    """The key of a resident becomes, one after the other, every key there is."""
    with filled(kind, 2) as policy:
        layout: Any = ffi.new("evi_layout *")
        policy._ops.layout(policy._policy, layout)
        keys, noticed = ffi.cast("uint64_t *", layout.keys), 0
        for slot in range(SLOTS):
            before = keys[slot]
            for key in range(25):
                keys[slot] = key
                noticed += policy.check() is not None
            keys[slot] = before
        assert policy.check() is None
        assert noticed


@pytest.mark.parametrize("kind", KINDS)
def test_ghosts_that_are_lost_are_noticed(kind: str) -> None:
    """The table of the ghosts is emptied."""
    with filled(kind, 2) as policy:
        layout: Any = ffi.new("evi_layout *")
        policy._ops.layout(policy._policy, layout)
        if layout.ghosts == ffi.NULL:
            pytest.skip("it has no ghosts, or tells of none")
        entries = ffi.cast("uint32_t *", layout.ghosts)
        n = 1 << (32 - int(layout.ghosts_shift))
        held = [i for i in range(n) if entries[i] != 0xFFFFFFFF]
        noticed = 0
        for i in held:
            before, entries[i] = entries[i], 0xFFFFFFFF
            noticed += policy.check() is not None
            entries[i] = before
        assert policy.check() is None
        assert noticed or not held
