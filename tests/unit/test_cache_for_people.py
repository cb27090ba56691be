"""eviction.Cache and eviction.cached: as mappings, under every policy, by weight, with an end of life, between threads."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eviction
from eviction import Cache, cached

LIVE = [kind for kind in eviction.POLICIES if kind not in eviction.BOUNDS]


@pytest.mark.parametrize("kind", LIVE)
@given(size=st.integers(1, 8), keys=st.lists(st.integers(0, 12), max_size=120))
def test_it_hits_as_often_as_a_replay(kind: str, size: int, keys: list[int]) -> None:
    cache: Cache[int, str] = Cache(kind, size)
    for key in keys:
        if cache.get(key) is None:
            cache[key] = f"v{key}"
        assert len(cache) <= size
    stats = cache.stats()
    (replayed,) = eviction.replay(kind, keys, sizes=[size])
    assert (stats.hits, stats.misses, stats.evictions) == (replayed.hits, replayed.misses, replayed.evictions)
    assert all(cache[key] == f"v{key}" for key in cache)


@given(st.lists(st.tuples(st.sampled_from("spdgcu"), st.integers(0, 6), st.integers(0, 9)), max_size=60))
def test_unbounded_it_is_a_dict(steps: list[tuple[str, int, int]]) -> None:
    cache: Cache[int, int] = Cache("lru", 100)
    model: dict[int, int] = {}
    for what, key, value in steps:
        if what == "s":
            cache[key] = model[key] = value
        elif what == "p":
            assert cache.pop(key, None) == model.pop(key, None)
        elif what == "d":
            assert cache.setdefault(key, value) == model.setdefault(key, value)
        elif what == "g":
            assert cache.get(key) == model.get(key)
        elif what == "c" and value == 0:
            cache.clear()
            model.clear()
        elif what == "u":
            cache.update({key: value})
            model.update({key: value})
        assert (len(cache), dict(cache.items()), key in cache) == (len(model), model, key in model)


def test_what_is_missing_is_a_key_error() -> None:
    cache: Cache[str, int] = Cache("lru", 2)
    for call in (lambda: cache["a"], lambda: cache.pop("a"), lambda: cache.__delitem__("a"), cache.popitem, lambda: cache.pin("a")):
        with pytest.raises(KeyError):
            call()


def test_weights() -> None:
    cache: Cache[str, bytes] = Cache("lru", 10, getsizeof=len)
    cache["a"], cache["b"] = b"x" * 4, b"x" * 5
    with pytest.raises(ValueError, match="weighs 11"):
        cache["c"] = b"x" * 11
    assert sorted(cache) == ["a", "b"] and cache.currsize == 9
    cache["c"] = b"x" * 6
    assert sorted(cache) == ["c"] and cache.currsize == 6
    cache["c"] = b"x"
    assert cache.currsize == 1
    for wrong in (-1, 1.5, None):
        with pytest.raises(ValueError, match="getsizeof gave"):
            Cache("lru", 10, getsizeof=lambda _, w=wrong: w)["k"] = b""  # type: ignore[arg-type,return-value]


def test_an_entry_ends_at_its_time() -> None:
    now = [0.0]
    cache: Cache[str, int] = Cache("lru", 10, ttl=5, timer=lambda: now[0])
    cache["a"] = 1
    now[0] = 4.9
    assert cache["a"] == 1 and "a" in cache
    now[0] = 5.0
    assert "a" not in cache and cache.get("a") is None and len(cache) == 0
    assert cache.stats().expirations == 1
    cache["a"] = 2
    assert cache["a"] == 2


def test_pinned_entries_stay() -> None:
    cache: Cache[int, int] = Cache("fifo", 3)
    for i in range(3):
        cache[i] = i
    cache.pin(0)
    cache.pin(0)
    cache.unpin(0)
    for i in range(3, 20):
        cache[i] = i
        assert 0 in cache and len(cache) == 3
    cache.unpin(0)
    for i in range(20, 23):
        cache[i] = i
    assert 0 not in cache
    for key in list(cache):
        cache.pin(key)
    cache[99] = 99
    assert 99 not in cache and cache.stats().bypassed == 1


@pytest.mark.parametrize("kind", LIVE)
def test_resize_and_invalidate(kind: str) -> None:
    cache: Cache[int, int] = Cache(kind, 40)
    for i in range(200):
        cache.setdefault(i * 7 % 60, i)
    cache.resize(10)
    assert len(cache) <= 10 == cache.maxsize
    cache.resize(50)
    for i in range(50):
        cache.setdefault(1000 + i, i)
    even = sum(key % 2 == 0 for key in cache)
    assert cache.invalidate(lambda key: key % 2 == 0) == even
    assert all(key % 2 for key in cache)
    assert cache.check() is None
    assert cache.dump()


@pytest.mark.parametrize(("wrong", "text"), [(-1, "maxsize is -1"), (1.5, "maxsize is 1.5"), ("x", "maxsize is 'x'"), (True, "maxsize")])
def test_wrong_sizes(wrong: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Cache("lru", wrong)  # type: ignore[arg-type]


def test_other_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="did you mean"):
        Cache("lruu", 3)
    with pytest.raises(ValueError, match="looks ahead"):
        Cache("belady", 3)
    with pytest.raises(ValueError, match="ttl is 0"):
        Cache("lru", 3, ttl=0)
    with pytest.raises(ValueError, match="refused"):
        Cache("lru", 3, params="nonsense=1")
    none: Cache[int, int] = Cache("lru", 0)
    with pytest.raises(ValueError, match="maxsize is 0"):
        none[1] = 1


def test_events_name_the_keys() -> None:
    heard: list[tuple[str, object]] = []
    cache: Cache[str, int] = Cache("lru", 2)
    cache.events(lambda kind, key: heard.append((kind, key)))
    cache["a"] = 1
    cache["b"] = 2
    cache.get("a")
    cache["c"] = 3
    assert ("hit", "a") in heard and ("evict", "b") in heard
    cache.events(None)
    count = len(heard)
    cache["d"] = 4
    assert len(heard) == count


class Newest:
    """Ten lines: evict what came in last."""

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


def test_a_policy_of_ones_own() -> None:
    cache: Cache[int, int] = Cache(Newest, 3)
    for i in range(10):
        cache[i] = i
    assert sorted(cache) == [0, 1, 9]


@pytest.mark.threads
def test_threads_share_it() -> None:
    cache: Cache[int, int] = Cache("arc", 50)
    wrong: list[object] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(4000):
                key = rng.randrange(120)
                value = cache.get(key)
                if value is None:
                    cache[key] = key * 3
                elif value != key * 3:
                    wrong.append((key, value))
                if rng.random() < 0.02:
                    cache.pop(rng.randrange(120), None)
        except BaseException as e:
            wrong.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert len(cache) <= 50 and cache.check() is None


@pytest.mark.parametrize("policy", ["lru", "sieve"])
def test_cached_has_the_habits_of_lru_cache(policy: str) -> None:
    calls: list[object] = []

    @cached(policy, maxsize=2)
    def double(x: int, *, plus: int = 0) -> int:
        """Its words."""
        calls.append(x)
        return 2 * x + plus

    assert [double(1), double(1), double(2, plus=1), double(2, plus=1)] == [2, 2, 5, 5]
    assert calls == [1, 2]
    assert double.cache_info()[:2] == (2, 2) and double.cache_info().maxsize == 2
    assert (double.__name__, double.__doc__) == ("double", "Its words.")
    assert double.__wrapped__(3) == 6
    assert double.cache_parameters()["maxsize"] == 2
    double.cache_clear()
    assert double(1) == 2 and calls == [1, 2, 3, 1]


@pytest.mark.parametrize("policy", ["lru", "sieve"])
def test_exceptions_are_not_kept(policy: str) -> None:
    calls: list[int] = []

    @cached(policy)
    def fails(x: int) -> int:
        calls.append(x)
        if len(calls) < 3:
            raise OSError("no")
        return x

    for _ in range(2):
        with pytest.raises(OSError):
            fails(1)
    assert [fails(1), fails(1)] == [1, 1] and len(calls) == 3


@pytest.mark.parametrize("policy", ["lru", "arc"])
@pytest.mark.threads
def test_a_stampede_makes_one_call(policy: str) -> None:
    calls: list[int] = []
    start = threading.Barrier(8)

    @cached(policy)
    def slow(x: int) -> int:
        calls.append(x)
        time.sleep(0.05)
        return x + 1

    got: list[int] = []

    def work() -> None:
        start.wait()
        got.append(slow(1))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert calls == [1] and got == [2] * 8


def test_coroutines() -> None:
    calls: list[int] = []

    @cached("lru", maxsize=4)
    async def slow(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.01)
        return x + 1

    async def many() -> list[int]:
        return await asyncio.gather(*(slow(1) for _ in range(5)), slow(2))

    assert asyncio.run(many()) == [2, 2, 2, 2, 2, 3]
    assert sorted(calls) == [1, 2]


def test_keys_types_and_ends_of_life() -> None:
    @cached("sieve", key=lambda x: x % 10)
    def last_digit(x: int) -> int:
        return x

    assert (last_digit(12), last_digit(22)) == (12, 12)

    @cached("sieve", typed=True)
    def kind(x: object) -> str:
        return type(x).__name__

    assert (kind(1), kind(1.0), kind(True)) == ("int", "float", "bool")
