"""What every eviction policy can do besides choosing: deletes, groups, pins, other capacities, counts, events, bounds of what it remembers.

By the calls of policy.h, and behind `eviction.Cache`; in entries and by weight.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest

import eviction
from tests.harness.driven import Driven

BUILT_IN = tuple(kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead)
TURNS_AWAY = {"gdsf", "tinylfu"}  # what is worth less than all that would leave for it
SEEDED = {"random", "hyperbolic", "lhd", "lecar", "cacheus"}  # draw lots; the sketches of tinylfu and wtinylfu are seeded too
WITHOUT_KEYS = {"lhd"}  # whose dump tells classes of age, not keys
FIRST = 10_000  # keys from here on, so that a dump's other numbers are none

GHOSTS = {  # keys that a policy remembers at most without holding them: (times the entries, and more), as told in its C file
    "arc": (1, 1),
    "car": (1, 1),
    "cart": (1, 1),
    "2q": (0.5, 1),
    "s3fifo": (0.9, 1),
    "qdlp": (0.9, 1),
    "clock2q+": (0.5, 1),
    "lirs": (64, 4096),
    "lirs2": (2, 2),
    "clockpro": (2, 2),
    "clockpro+": (1, 2),
    "wtinylfu": (1 / 8, 2),
    "lecar": (1, 2),
    "cacheus": (1, 2),
    "lru-k": (1, 2),
    "mq": (4, 2),
    "frd": (2, 2048),
}
GROWS = {"lirs": 64}  # takes memory for its ghosts as they come, up to so many times the entries


class Oldest:
    """FIFO in Python."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.queue: list[int] = []

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.queue.append(slot)

    def evict(self) -> int | None:
        return self.queue.pop(0) if self.queue else None

    def remove(self, slot: int) -> None:
        self.queue.remove(slot)


def key_of(chance: random.Random, step: int, keys: int) -> int:
    """Skewed, with loops in between."""
    return FIRST + (step // 3 % (2 * keys) if step % 3 == 0 else min(int(chance.paretovariate(0.6)), keys))


def keys_in(dump: str) -> set[int]:
    return {int(number) for number in re.findall(r"(?<= )\d{5}(?!\d)", dump)}


def resident_by(events: list[tuple[str, int]]) -> set[int]:
    """Who is held, by the events alone; each must make sense."""
    held: set[int] = set()
    for what, key in events:
        if what == "a":
            assert key not in held, f"{key} is admitted twice"
            held.add(key)
        elif what in "er":
            assert key in held, f"{key} leaves and is not held"
            held.remove(key)
        elif what in "hpd":
            assert key in held, f"{what} of {key}, which is not held"
    return held


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_deletes_and_other_capacities(kind: str, heavy: bool) -> None:
    """Each step ends with the policy's own check; the events tell the same contents as the driver has."""
    chance = random.Random(f"{kind} {heavy}")
    driven = Driven(kind, 30, seed=3, slots=90)
    for step in range(1_500):
        if step % 50 == 49:
            capacity = chance.choice([1, 2, 3, 10, 30, 60, 90])
            driven.resize(capacity)
            assert sum(driven.weight.values()) <= capacity
        elif driven.place and chance.random() < 0.05:
            key = chance.choice(list(driven.place))
            driven.remove(key)
            since = len(driven.heard)
            driven.request(key, 1)
            assert ("g", key) not in driven.heard[since:], "it comes back as if it had never been"
        else:
            driven.request(key_of(chance, step, 60), chance.randrange(1, 6) if heavy else 1)
        assert resident_by(driven.heard) == set(driven.place), f"step {step}"
    driven.resize(90)
    for key in range(90):
        driven.request(key)
    assert len(driven.place) == 90 or heavy or kind in TURNS_AWAY, "full once there was enough to hold"
    driven.resize(0)
    assert not driven.place
    assert driven.policy.evict() is None


@pytest.mark.parametrize("kind", BUILT_IN)
def test_after_a_delete_nothing_is_kept(kind: str) -> None:
    """A key that is deleted comes back as a key that was never seen."""
    one, other = Driven(kind, 4, seed=1), Driven(kind, 4, seed=1)
    one.request(FIRST)
    one.remove(FIRST)
    other.request(FIRST + 1)
    other.remove(FIRST + 1)
    for driven in (one, other):
        driven.request(FIRST)
    assert one.policy.ghost_hits() == other.policy.ghost_hits() == 0
    assert keys_in(one.dump()) <= {FIRST}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_ghost_hits_are_counted_as_they_are_told(kind: str) -> None:
    chance = random.Random(5)
    driven = Driven(kind, 20, seed=2)
    for step in range(2_000):
        driven.request(key_of(chance, step, 60))
    told = Counter(what for what, _ in driven.heard)
    assert driven.policy.ghost_hits() == told["g"]
    assert (told["g"] > 0) == (kind in GHOSTS)
    assert told["a"] - told["e"] == len(driven.place) == 20
    assert told["a"] + told["b"] + told["h"] == 2_000, "every request is one of these"


@pytest.mark.parametrize("kind", BUILT_IN)
def test_ghosts_and_histories_are_bounded(kind: str) -> None:
    times, more = GHOSTS.get(kind, (0, 0))
    for capacity in (1, 2, 10, 40):
        chance, driven, most = random.Random(capacity), Driven(kind, capacity), 0
        for step in range(4_000):
            fresh = step % 5 == 0
            driven.request(20_000 + step if fresh else key_of(chance, step, 4 * capacity))
            if step % 25 == 0 and kind not in WITHOUT_KEYS:
                known = keys_in(driven.dump())
                assert set(driven.place) <= known, "a dump names all that is held"
                most = max(most, len(known - set(driven.place)))
        assert most <= times * capacity + more, capacity


@pytest.mark.parametrize("kind", BUILT_IN)
def test_memory_is_by_entries_and_not_by_requests(kind: str) -> None:
    chance = random.Random(1)
    long = [chance.randrange(50_000) if step % 2 else int(chance.paretovariate(0.5)) % 50_000 for step in range(60_000)]
    short, whole = (eviction.replay(kind, some, 200, seed=1)[0].memory for some in (long[:2_000], long))
    assert short is not None
    assert whole is not None
    if kind in GROWS:
        assert short <= whole <= 100 * (GROWS[kind] * 200 + 4096)
    else:
        assert short == whole


@pytest.mark.parametrize("kind", BUILT_IN)
def test_the_same_seed_is_the_same_cache(kind: str) -> None:
    trace = [key_of(random.Random(step), step, 300) for step in range(6_000)]
    runs = [eviction.replay([kind] * 4, trace, [40, 90], seed=seed, threads=4) for seed in (0, 1, 2)]
    for run in runs:
        assert [(r.hits, r.evictions) for r in run[:2]] * 4 == [(r.hits, r.evictions) for r in run]
    dumps = []
    for seed in (7, 7, 8):
        driven = Driven(kind, 120, seed=seed)
        for key in trace[:2_500]:
            driven.request(key)
        dumps.append((driven.dump(), driven.heard))
    assert dumps[0] == dumps[1]
    assert (dumps[0] != dumps[2]) == (kind in SEEDED) or "tinylfu" in kind


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_an_admission_filter_in_front(kind: str, heavy: bool) -> None:
    """In replay, in a cache and by the calls of policy.h the same decisions; who is declined is told."""
    trace = [key_of(random.Random(step), step, 200) for step in range(3_000)]
    weights = [1 + key % 5 if heavy else 1 for key in trace]
    (alone,), (behind,) = (eviction.replay(kind, trace, 60, weights=weights, admission=a) for a in (None, "tinylfu"))
    assert behind.policy == f"{kind}+tinylfu"
    assert behind.requests == alone.requests == 3_000
    size = dict(zip(trace, weights, strict=True))
    cache: eviction.Cache[int, int] = eviction.Cache("tinylfu", 60, getsizeof=size.__getitem__ if heavy else None, params=f"policy={kind}")
    for key in trace:
        if cache.get(key) is None:
            cache[key] = key
    assert (cache.stats().hits, cache.stats().evictions) == (behind.hits, behind.evictions)
    assert cache.check() is None


# The same behind a cache of objects


class Owned:
    """A cache, what it should hold, and what it tells; keys belong to owners."""

    def __init__(self, policy: Any, maxsize: int, heavy: bool) -> None:
        self.now = 0.0
        size = (lambda value: value[1]) if heavy else None
        self.cache: eviction.Cache[int, tuple[int, int]] = eviction.Cache(policy, maxsize, size, timer=lambda: self.now)
        self.heard: list[tuple[str, int]] = []
        self.heavy = heavy
        self.cache.events(lambda what, key: self.heard.append((what[0] if what != "ghost hit" else "g", key)))
        self.pinned: Counter[int] = Counter()

    def put(self, key: int, weight: int, ttl: float | None = None) -> bool:
        kept = self.cache.put(key, (key, weight), group=("file", key % 7), ttl=ttl)
        assert kept == (key in self.cache)
        return kept

    def checked(self) -> None:
        held = set(self.cache)
        assert resident_by(self.heard) == held
        assert all(self.cache.peek(key, (None, 0))[0] == key for key in held)  # type: ignore[index]
        assert set(self.pinned) <= held, "the pinned stay"
        stats = self.cache.stats()
        assert stats.entries == len(held)
        assert stats.weight == sum(value[1] if self.heavy else 1 for value in self.cache.values()) <= (self.cache.maxsize or 0)
        assert stats.pinned == sum(self.cache.peek(key)[1] if self.heavy else 1 for key in self.pinned)  # type: ignore[index]
        assert self.cache.check() is None


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("policy", [*BUILT_IN, Oldest])
def test_everything_at_once(policy: Any, heavy: bool) -> None:
    """Puts, gets, deletes, groups, pins, times, other sizes: after each step contents, events and counts agree."""
    chance = random.Random(f"{policy} {heavy}")
    owned = Owned(policy, 40, heavy)
    cache, requests = owned.cache, 0
    for step in range(1_200):
        key, way = key_of(chance, step, 80), chance.random()
        if way < 0.80:
            requests += 1
            if cache.get(key) is None and key not in owned.pinned:
                owned.put(key, chance.randrange(1, 6) if heavy else 1, chance.choice([None, None, 5.0]))
        elif way < 0.84:
            if cache.pop(key, None) is not None:
                owned.pinned.pop(key, None)
        elif way < 0.88 and len(owned.pinned) < 4 and key in cache:
            cache.put(key, cache.peek(key) or (key, 1), group=("file", key % 7))  # without an end
            cache.pin(key)
            owned.pinned[key] += 1
        elif way < 0.93 and owned.pinned:
            key = chance.choice(list(owned.pinned))
            cache.unpin(key)
            owned.pinned -= Counter([key])
        elif way < 0.95:
            group = chance.randrange(7)
            gone = [k for k in cache if k % 7 == group]
            assert cache.invalidate(group=("file", group)) == len(gone)
            assert not [k for k in cache if k % 7 == group]
            for k in gone:
                owned.pinned.pop(k, None)
        elif way < 0.98:
            cache.resize(chance.choice([20, 25, 40, 60]))
        else:
            owned.now += chance.choice([1, 6])
            cache.expire()
        owned.checked()
    assert cache.stats().hits + cache.stats().misses == requests
    told = Counter(what for what, _ in owned.heard)
    assert told["e"] == cache.stats().evictions
    assert told["g"] == cache.stats().ghost_hits
    assert told["b"] == cache.stats().bypassed
    cache.clear()
    assert resident_by(owned.heard) == set()


@pytest.mark.parametrize("policy", [*BUILT_IN, Oldest])
def test_where_all_is_pinned_what_comes_is_not_kept(policy: Any) -> None:
    owned = Owned(policy, 5, heavy=False)
    for key in range(5):
        assert owned.put(key, 1)
        owned.cache.pin(key)
        owned.pinned[key] += 1
    assert not owned.put(9, 1)
    assert owned.cache.get(3) == (3, 1)
    owned.checked()
    with pytest.raises(ValueError, match="pinned entries weigh 5, more than 4"):
        owned.cache.resize(4)
    owned.cache.resize(6)
    assert owned.put(9, 1)
    owned.cache.unpin(0)
    owned.pinned -= Counter([0])
    owned.cache.resize(5)
    owned.checked()
    assert len(owned.cache) == 5
    assert owned.cache.stats().evictions == 1
