"""TinyLFU admission: its rule by hand, in front of LRU against a plain model, in front of every policy, in replay and by name."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eviction
from eviction.native_sketch import Filtered
from eviction.twins.sketch import Sketch
from tests.harness.driven import Driven

BUILT_IN = [kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead]


class Newest:
    """Evict what came in last."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.stack: list[int] = []

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.stack.append(slot)

    def evict(self) -> int | None:
        return self.stack.pop() if self.stack else None

    def remove(self, slot: int) -> None:
        self.stack.remove(slot)


def test_a_newcomer_must_be_better_than_who_would_leave() -> None:
    driven = Driven("tinylfu", 3)
    driven.requests(1, 2, 3)
    assert driven.request(4) == []
    assert driven.dump() == "tinylfu: waiting: 1\nlru: 3 2\n", "a tie rejects 4; 1 waits for the next"
    assert driven.heard[-1] == ("b", 4)
    assert driven.request(4) == [1], "its second request: two against one"
    assert driven.dump() == "tinylfu: waiting:\nlru: 4 3 2\n"
    assert driven.heard[-2:] == [("e", 1), ("a", 4)]


def test_a_hit_of_who_waits_brings_it_back() -> None:
    driven = Driven("tinylfu", 3)
    driven.requests(1, 2, 3, 4, 1)
    assert driven.dump() == "tinylfu: waiting:\nlru: 1 3 2\n"
    assert driven.heard[-1] == ("h", 1), "that it left and came in again is not told"
    assert driven.requests(5) == []
    assert driven.dump() == "tinylfu: waiting: 2\nlru: 1 3\n"


def test_who_waits_can_be_removed_and_leaves_first() -> None:
    driven = Driven("tinylfu", 3, "policy=arc")
    driven.requests(1, 2, 3, 4)
    assert driven.dump().startswith("tinylfu: waiting: 1\n")
    assert "B1: 1" not in driven.dump() or driven.policy.ghost_hits() == 0
    driven.remove(1)
    assert [e for e in driven.heard if e[1] == 1] == [("a", 1), ("r", 1)]
    assert " 1" not in driven.dump(), "its ghost is forgotten too"
    driven.requests(6, 7)
    assert driven.dump().startswith("tinylfu: waiting: 2\n")
    assert driven.resize(2) == [2]


def test_with_ghosts_a_hit_of_who_waits_finds_its_ghost() -> None:
    """ARC takes it for a second use: into T2."""
    driven = Driven("tinylfu", 4, "policy=arc")
    driven.requests(1, 2, 2, 3, 4, 5, 1)
    assert driven.dump().startswith("tinylfu: waiting:\narc: ")
    assert "T2: 1 2\n" in driven.dump()
    assert driven.policy.ghost_hits() == 1


@given(st.integers(1, 9), st.lists(st.integers(0, 14), max_size=300), st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_lru_behind_it_is_the_plain_one(capacity: int, keys: list[int], seed: int) -> None:
    """Against the definition: the oldest of an LRU stays where it is while it wins."""
    sketch, lru, hits = Sketch(capacity, seed=seed), dict[int, None](), 0
    for key in keys:
        sketch.add(key)
        if key in lru:
            hits += 1
            del lru[key]
        elif len(lru) == capacity:
            oldest = next(iter(lru))
            if not sketch.admits(key, oldest):
                continue
            del lru[oldest]
        lru[key] = None
    assert eviction.replay("lru", keys, capacity, admission="tinylfu", seed=seed)[0].hits == hits
    assert eviction.replay("tinylfu", keys, capacity, seed=seed)[0].hits == hits


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("capacity", [0, 1, 2, 3, 17])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_in_front_of_every_policy(kind: str, capacity: int, heavy: bool) -> None:
    """Driven at random with removals and other capacities; every step is checked."""
    chance = random.Random(f"{kind} {capacity}")
    driven = Driven("tinylfu", capacity, f"policy={kind}", seed=capacity, slots=2 * capacity)
    for step in range(500):
        key = chance.randrange(3 * capacity + 2)
        if key in driven.place and chance.random() < 0.05:
            driven.remove(key)
        elif step % 100 == 99:
            driven.resize(chance.randrange(2 * capacity + 1))
        else:
            driven.request(key, chance.randrange(1, 4) if heavy else 1)
    left = driven.resize(0)
    assert not driven.place
    assert len(set(left)) == len(left)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_by_parameter_and_by_admission_is_the_same(kind: str) -> None:
    keys = [int(random.Random(3).paretovariate(0.6)) % 300 for _ in range(3)] * 40 + [*range(100), *range(100)] * 4
    (by_param,) = eviction.replay("tinylfu", keys, 40, params=f"policy={kind}", seed=2)
    (by_name,) = eviction.replay(kind, keys, 40, admission="tinylfu", seed=2)
    assert by_name.policy == f"{kind}+tinylfu"
    assert (by_param.hits, by_param.bypassed, by_param.memory) == (by_name.hits, by_name.bypassed, by_name.memory)
    assert by_param.hits <= eviction.replay("min-bypass", keys, 40)[0].hits


def test_scans_pass_by() -> None:
    """A hot set of 50 and a scan of 40 times as many: LRU loses the set at each turn, behind the filter it stays."""
    keys = [key for turn in range(30) for key in (*range(50), *range(50), *range(1_000 + 2_000 * turn, 3_000 + 2_000 * turn))]
    plain, behind = eviction.replay("lru", keys, 50)[0], eviction.replay("lru", keys, 50, admission="tinylfu")[0]
    assert plain.hits == 30 * 50
    assert behind.hits > 30 * 90


def test_a_python_class_behind_it() -> None:
    loop = [key for _ in range(20) for key in range(100)]
    (got,) = eviction.replay(Newest, loop, 50, admission="tinylfu")
    assert got.policy == "Newest+tinylfu"
    assert got.memory is None
    assert got.hits > eviction.replay("lru", loop, 50)[0].hits

    class Liar(Newest):
        def evict(self) -> int | None:
            return 77

    with pytest.raises(eviction.BrokenPolicy, match="slot 77"):
        eviction.replay(Liar, range(10), 3, admission="tinylfu")


def test_a_registered_table_behind_it() -> None:
    eviction.register("arc-filtered", eviction.ops_address("arc"), admission="tinylfu")
    keys = [*range(60), *range(30), *range(100, 160)] * 5
    assert eviction.replay("arc-filtered", keys, 40)[0].hits == eviction.replay("arc", keys, 40, admission="tinylfu")[0].hits


def test_parameters_go_to_the_policy() -> None:
    driven = Driven("tinylfu", 10, "window=0.5 policy=wtinylfu adaptive=0")
    assert "wtinylfu: window=5\n" in driven.dump()


def test_what_is_refused() -> None:
    for params in ("policy=lur", "policy=", "policy=" + "x" * 99, "window=0.5"):
        with pytest.raises(ValueError, match="refused"):
            eviction.replay("tinylfu", [1], 3, params=params)
    with pytest.raises(ValueError, match="no admission filter 'lfu': one of tinylfu"):
        eviction.replay("lru", [1], 3, admission="lfu")
    with pytest.raises(ValueError, match="looks ahead"):
        eviction.replay("belady", [1], 3, admission="tinylfu")
    with pytest.raises(ValueError, match="class"):
        eviction.register("newest-filtered", Newest, admission="tinylfu")
    with pytest.raises(ValueError, match="no admission filter"):
        eviction.register("newest-filtered", eviction.ops_address("lru"), admission="x")
    with pytest.raises(ValueError, match="no evi_ops"):
        Filtered(0)
