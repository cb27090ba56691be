"""eviction.Cache with objects that misbehave: keys of one hash, keys and values whose code uses the cache, cycles; and among threads."""

from __future__ import annotations

import gc
import random
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import eviction

BUILT_IN = [kind for kind, settings in eviction.POLICIES.items() if settings.built_in and not settings.looks_ahead]


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


def test_keys_of_one_hash() -> None:
    class Same:
        def __init__(self, name: int) -> None:
            self.name = name

        def __hash__(self) -> int:
            return 42

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same) and other.name == self.name

    for kind in BUILT_IN:
        cache: eviction.Cache[Any, int] = eviction.Cache(kind, 8)
        for at in range(300):
            key = at * 7 % 11
            if cache.get(Same(key)) is None:
                cache[Same(key)] = key
            cache[-1 - at % 2] = at
            assert cache.check() is None
        assert all(cache.peek(Same(key.name)) == key.name for key in cache if isinstance(key, Same))


def test_keys_that_change_the_cache_as_they_are_compared() -> None:
    class Evil:
        def __init__(self, do: Callable[[], object]) -> None:
            self.do = do

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            self.do()
            return False

    cache: eviction.Cache[Any, int] = eviction.Cache("lru", 50)
    chance = random.Random(1)
    calls: list[Callable[[], object]] = [
        lambda: cache.pop(1, None),
        lambda: cache.__setitem__(1, 1),
        lambda: cache.clear() if chance.random() < 0.1 else None,
        lambda: cache.resize(chance.choice([5, 50, 300])),
        lambda: None,
    ]

    def anything() -> None:
        chance.choice(calls)()

    for _ in range(300):
        cache[1] = 1
        cache[Evil(anything)] = 2
        assert cache.check() is None

    def fails() -> None:
        raise ZeroDivisionError

    cache.clear()
    cache[Evil(fails)] = 1
    for call in (lambda: cache[1], lambda: cache.get(1), lambda: 1 in cache, lambda: cache.pop(1, 0), lambda: cache.put(1, 1)):
        with pytest.raises(ZeroDivisionError):
            call()


def test_values_whose_end_uses_the_cache() -> None:
    class Value:
        def __init__(self, key: int) -> None:
            self.key = key

        def __del__(self) -> None:
            if self.key < 900:
                cache[self.key + 1000] = Value(999)
                cache.get(self.key)

    cache: eviction.Cache[int, Any] = eviction.Cache("sieve", 10)
    for key in range(100):
        cache[key] = Value(key)
        assert cache.check() is None
    cache.clear()
    cache.resize(2)
    assert cache.check() is None
    assert len(cache) <= 2


def test_cycles_are_collected_and_nothing_leaks() -> None:
    class Value: ...

    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 10)
    value = Value()
    cache["self"] = cache
    cache["value"] = value
    cache.events(lambda event, key, held=cache: held)
    gone = weakref.ref(value)
    del cache, value
    gc.collect()
    assert gone() is None
    keys, values = [object() for _ in range(50)], [object() for _ in range(50)]
    before = [sys.getrefcount(o) for o in [*keys, *values]]
    other: eviction.Cache[Any, Any] = eviction.Cache("arc", 7, ttl=1e9)
    for _ in range(3):
        for key, held in zip(keys, values, strict=True):
            other.put(key, held, group=held)
            other.get(key)
            other.setdefault(key, held)
            other.pop(key) if other.peek(key) and key is keys[3] else None
    assert len(other) == 7
    list(other.items())
    other.invalidate(group=values[-1])
    other.clear()
    del key, held
    assert [sys.getrefcount(o) for o in [*keys, *values]] == before


@pytest.mark.threads
@pytest.mark.parametrize("policy", ["lru", "wtinylfu", "s3fifo", Newest])
def test_threads(policy: Any) -> None:
    cache: eviction.Cache[int, int] = eviction.Cache(policy, 50, ttl=1e6)
    heard: list[str] = []
    cache.events(lambda event, key: heard.append(event))
    wrong: list[Any] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(1500):
                key = chance.randrange(100)
                if cache.get(key, key) != key:
                    wrong.append(key)
                cache[key] = key
                if not chance.randrange(20):
                    cache.pop(key, None)
                    cache.invalidate(lambda held, at=key: held == at + 1)
        except BaseException as problem:
            wrong.append(problem)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong
    assert cache.check() is None
    stats = cache.stats()
    assert stats.hits + stats.misses == 6000
    assert heard.count("admit") - heard.count("evict") - heard.count("remove") == len(cache)
