"""What every component of `eviction` does, as stories for tests/harness/allocations.py: each comes upon all of its allocations."""

from __future__ import annotations

import random
from typing import Any, ClassVar
from unittest import mock

import numpy as np

import eviction
from eviction import cache as cache_module
from eviction.native import next_uses, stack_distances
from eviction.native_sketch import Sketch

from .allocations import Audit, Story

REFUSED = (MemoryError, ValueError)  # a policy is not made: out of memory, or by its settings
BUILT_IN = [kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead]
PARAMS = [(kind, "") for kind in BUILT_IN] + [("tinylfu", "policy=arc"), ("tinylfu", "policy=2q")]
KEYS = random.Random(1).choices(range(30), k=300)


def drive(policy: eviction.Policy, slots: int, keys: list[int]) -> None:
    """Requests of weight 1 to 3, and a removal now and then."""
    place: dict[int, tuple[int, int]] = {}
    used = 0
    for at, key in enumerate(keys):
        if key in place and at % 11 == 0:
            slot, weight = place.pop(key)
            policy.remove(slot)
            used -= weight
        elif key in place:
            policy.hit(place[key][0])
        elif policy.miss(key, weight := 1 + key % 3):
            while used + weight > policy.capacity or len(place) == slots:
                slot = policy.evict()
                (gone,) = [k for k, (s, _) in place.items() if s == slot]
                used -= place.pop(gone)[1]
            free = min(set(range(slots)) - {s for s, _ in place.values()})
            place[key] = free, weight
            used += weight
            policy.insert(free, key, weight)


def _policy(kind: str, params: str) -> Story:
    def story(audit: Audit) -> Any:
        with eviction.Policy(eviction.ops_address(kind), 20, 12, params=params) as policy:
            drive(policy, 12, KEYS)
            drive_ok = policy.check()
            return drive_ok, policy.ghost_hits()

    return story


def _dump(kind: str) -> Story:
    """What does not fit in memory is not shown; nothing else becomes of it."""

    def story(audit: Audit) -> Any:
        with eviction.Policy(eviction.ops_address(kind), 20, 12) as policy:
            drive(policy, 12, KEYS)
            policy.dump()
            return policy.check(), [policy.evict() for _ in range(13)]

    return story


def _replay(kind: str) -> Story:
    weights = [1] if kind in eviction.BOUNDS else [1, [1 + key % 3 for key in KEYS]]

    def story(_audit: Audit) -> Any:
        return [eviction.replay(kind, KEYS, 20, weights=w, threads=1) for w in weights]

    return story


def _distances(_audit: Audit) -> Any:
    keys = np.array(KEYS, np.uint64)
    return next_uses(keys).tolist(), stack_distances(keys).tolist()


def _sketch(_audit: Audit) -> Any:
    sketch = Sketch(1000)
    for key in KEYS:
        sketch.add(key)
    return [sketch.count(key) for key in range(40)], sketch.check()


def _cache(kind: str) -> Story:
    """A cache with times, groups, weights and pins that outgrows its first slots; whatever fails, it stays sound."""

    def story(audit: Audit) -> Any:
        with mock.patch.object(cache_module, "_WEIGHT_SLOTS", 8):
            cache: eviction.Cache[int, int] = eviction.Cache(kind, 90, getsizeof=lambda value: 1 + value % 3, ttl=100, timer=lambda: 5.0)
        audit(cache.check)
        for key in KEYS[:150]:
            if cache.get(key) is None:
                cache.put(key, key, ttl=10 + key, group=f"group {key % 3}")
        cache.pin(KEYS[149])
        cache.resize(40)
        cache.unpin(KEYS[149])
        items = sorted(cache.items())
        cache.invalidate(group="group 1")
        for key in KEYS:
            cache[key] = key + 1
        left = sorted(cache)
        cache.clear()
        return items, left, len(cache), cache.stats().evictions

    return story


def _expiring(audit: Audit) -> Any:
    """Many leave at once, some by the way; more objects are let go than there is room for without an allocation."""
    now = [0.0]
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 200, timer=lambda: now[0])
    audit(cache.check)
    for key in range(100):
        cache.put(key, key, ttl=1 + key % 4, group="g")
    now[0] = 2.5
    cache["new"] = 1
    now[0] = 3.5
    gone = [cache.expire(), len(cache)]
    cache.invalidate(group="g")
    now[0] = 9.0
    for key in range(30):
        cache[key] = key
        cache.pin(key)
    for key in range(30):
        cache.unpin(key)
    cache.resize(3)
    pair = cache.popitem()
    return gone, pair, sorted(map(str, cache)), cache.dump()[:4]


def _many_pins(audit: Audit) -> Any:
    """What comes back from its pin may be declined, and what is handed to a larger policy: then more leaves than one."""
    with mock.patch.object(cache_module, "_WEIGHT_SLOTS", 16):
        cache: eviction.Cache[int, int] = eviction.Cache("tinylfu", 400, getsizeof=lambda value: 1 + value % 40, params="policy=lru")
    audit(cache.check)
    for key in KEYS:
        if cache.get(key) is None:
            cache.put(key, key, group=key % 2)
        if key % 3 == 0 and key in cache:
            cache.pin(key)
    for key in sorted(cache):
        cache.unpin(key)
        cache.unpin(key)
    return sorted(cache), cache.stats().evictions


def _lirs_that_grows(_audit: Audit) -> Any:
    """Room for ghosts is made as they come: without memory the oldest goes."""
    with eviction.Policy(eviction.ops_address("lirs"), 40, 40) as policy:
        drive(policy, 40, [*range(300), *range(300)])
        return policy.check()


def _heard(audit: Audit) -> Any:
    """What there is no memory to tell of is not told."""
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 40)
    audit(cache.check)
    told = list[Any]()
    cache.events(lambda what, key: told.append((what, key)))
    for key in range(60):
        cache[key] = key
    cache.resize(2)
    cache.events(None)
    return sorted(cache)


def _from_nothing(audit: Audit) -> Any:
    """Times and groups come with the first slots, some of the entries are there at the end."""
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 0, timer=lambda: 0.0)
    audit(cache.check)
    cache.resize(30)
    for key in range(40):
        cache.put(key, key, ttl=5 + key, group=key % 2)
    return sorted(cache), cache.invalidate(group=0)


class First:
    """Takes each key once."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.line: list[int] = []

    seen: ClassVar[set[int]] = set()

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        first = key not in self.seen
        self.seen.add(key)
        return first

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.line.append(slot)

    def evict(self) -> int | None:
        return self.line.pop(0) if self.line else None

    def remove(self, slot: int) -> None:
        self.line.remove(slot)


def _handed_over_in_vain(audit: Audit) -> Any:
    """A policy that is made anew takes back none of the residents."""
    First.seen.clear()
    with mock.patch.object(cache_module, "_WEIGHT_SLOTS", 8):
        cache: eviction.Cache[int, int] = eviction.Cache(First, 90, getsizeof=lambda value: 1)
    audit(cache.check)
    for key in range(30):
        cache.put(key, key, group="g")
    return sorted(cache)


def _in_python(_audit: Audit) -> Any:
    First.seen.clear()
    return eviction.replay(First, list(range(50)), 20, threads=1)


def _many_next_uses(_audit: Audit) -> Any:
    keys = np.arange(40_000, dtype=np.uint64)
    return int(next_uses(np.concatenate([keys, keys]))[5])


STORIES: dict[str, Story] = {
    "lirs that grows": _lirs_that_grows,
    "cache that is heard": _heard,
    "cache from nothing": _from_nothing,
    "cache handed over in vain": _handed_over_in_vain,
    "replay in Python": _in_python,
    "next uses of many": _many_next_uses,
    "cache that expires": _expiring,
    "cache with pins": _many_pins,
    **{f"policy {kind} {params}".strip(): _policy(kind, params) for kind, params in PARAMS},
    **{f"dump {kind}": _dump(kind) for kind in BUILT_IN},
    **{f"replay {kind}": _replay(kind) for kind in [*BUILT_IN, "belady", "min-bypass"]},
    **{f"cache {kind}": _cache(kind) for kind in ("lru", "s3fifo", "wtinylfu")},
    "distances": _distances,
    "sketch": _sketch,
}
