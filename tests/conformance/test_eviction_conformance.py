"""What every eviction policy keeps to, whichever it is: driven by hand with removals, and in replay."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

import eviction
import lsm

BUILT_IN = tuple(kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead)
TURNS_AWAY = {"gdsf", "tinylfu"}  # what is worth less than all that would leave for it


def test_the_registry_lists_the_built_in_ones() -> None:
    assert set(BUILT_IN) <= set(eviction.POLICIES)
    assert all(eviction.POLICIES[kind].kind == kind for kind in eviction.POLICIES)
    assert (
        set(eviction.BOUNDS)
        == {kind for kind, known in eviction.POLICIES.items() if known.looks_ahead}
        == {"belady", "min-bypass", "unbounded"}
    )


def test_the_manual_has_a_line_for_every_policy() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "eviction.md").read_text()
    listed = {kind for line in page.splitlines() if line.startswith("| `") for kind in re.findall(r"`([^`]+)`", line.split("|")[1])}
    assert {kind for kind in listed if not kind.startswith(("@", "eviction.", "lsm."))} == {
        kind for kind, known in eviction.POLICIES.items() if known.built_in
    }


@pytest.mark.parametrize("kind", eviction.BOUNDS)
def test_bounds_are_for_replay_alone(kind: str) -> None:
    assert eviction.replay(kind, [1, 2, 1], 2)[0].hits == eviction.replay(eviction.POLICIES[kind], [1, 2, 1], 2)[0].hits == 1
    told = f"'{kind}' looks ahead: it is for replay alone; allowed: lru, fifo, .*clock2q"
    for call in (
        lambda: eviction.Cache(kind),
        lambda: eviction.Cache(eviction.POLICIES[kind]),
        lambda: eviction.cached(kind)(abs),
        lambda: eviction.Policy(eviction.ops_address(kind), 4, 4),
    ):
        with pytest.raises(ValueError, match=told):
            call()
    for where in ("cache", "row_cache"):
        with pytest.raises(
            lsm.InvalidOptions, match=rf"{where}\.policy is '{kind}'; allowed: lru, .*\({kind} looks ahead: for replay alone\)"
        ):
            lsm.Options.from_dict({where: {"policy": kind}})
    with pytest.raises(ValueError, match="taken"):
        eviction.register(kind, 0)
    with pytest.raises(ValueError, match="refused"):
        eviction.Cache("tinylfu", 5, params=f"policy={kind}")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("capacity", [0, 1, 2, 3, 17])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_rules(kind: str, capacity: int, seed: int) -> None:
    chance = random.Random(seed)
    place: dict[int, int] = {}
    with eviction.Policy(eviction.ops_address(kind), capacity, capacity) as policy:
        for step in range(800):
            key = chance.randrange(3 * capacity + 2)
            if key in place and chance.random() < 0.05:
                policy.remove(place.pop(key))
            elif key in place:
                policy.hit(place[key])
            elif policy.miss(key):
                while len(place) >= capacity:
                    slot = policy.evict()
                    (gone,) = [k for k, s in place.items() if s == slot]
                    del place[gone]
                place[key] = min(set(range(capacity)) - set(place.values()))
                policy.insert(place[key], key)
            else:
                assert capacity == 0 or kind in TURNS_AWAY
            assert policy.check() is None, f"{kind} capacity {capacity} seed {seed} step {step}: {policy.check()}\n{policy.dump()}"
        for _ in range(len(place)):
            assert policy.evict() in place.values()
        assert policy.evict() is None


@pytest.mark.parametrize("kind", BUILT_IN)
def test_full_once_full_and_every_request_counted(kind: str) -> None:
    for size in range(4):
        (result,) = eviction.replay(kind, [*range(10), *range(10)], sizes=[size])
        assert result.hits + result.misses == result.requests == 20
    (fits,) = eviction.replay(kind, [*range(10), *range(10)], sizes=[10])
    assert fits.hits == 10, "what fits stays"


@pytest.mark.parametrize("kind", BUILT_IN)
def test_events_tell_who_came_and_left(kind: str) -> None:
    heard: list[tuple[str, int]] = []
    with eviction.Policy(eviction.ops_address(kind), 1, 1) as policy:
        policy.listen(lambda what, key, slot: heard.append((what, key)))
        policy.miss(4)
        policy.insert(0, 4)
        policy.hit(0)
        while not policy.miss(5):
            assert kind in TURNS_AWAY
        policy.evict()
        policy.insert(0, 5)
        policy.remove(0)
        policy.miss(6, 2)
    assert [e for e in heard if e[0] not in "pdg" and e != ("b", 5)] == [("a", 4), ("h", 4), ("e", 4), ("a", 5), ("r", 5), ("b", 6)]
