"""eviction.Cache: a mapping by any policy; weights, times, pins, groups, events; what is refused; objects that misbehave."""

from __future__ import annotations

import copy
import math
import pickle
import random
import sys
from collections.abc import MutableMapping
from typing import Any

import pytest

import eviction
from eviction.native_cache import Core

BUILT_IN = [kind for kind, settings in eviction.POLICIES.items() if settings.built_in and not settings.looks_ahead]


class Clock:
    """A clock that stands until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


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


def requests(n: int = 6000, seed: int = 5) -> list[int]:
    chance = random.Random(seed)
    skewed = [min(int(chance.paretovariate(0.6)), 400) for _ in range(n)]
    return [key if at % 900 < 600 else 1000 + at % 90 for at, key in enumerate(skewed)]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 60])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_it_decides_as_replay_does(kind: str, size: int) -> None:
    cache: eviction.Cache[int, int] = eviction.Cache(kind, size, seed=7)
    for key in requests():
        if cache.get(key) is None and size:
            assert cache.put(key, -key) == (key in cache)
    (expected,) = eviction.replay(kind, requests(), sizes=[size], seed=7)
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (expected.hits, expected.misses)
    if size:
        assert (stats.evictions, stats.ghost_hits) == (expected.evictions, expected.ghost_hits)
    assert cache.check() is None
    assert all(cache.peek(key) == -key for key in cache)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_with_weights_too(kind: str) -> None:
    trace = requests()
    weights = [1 + key * 7 % 19 for key in trace]
    cache: eviction.Cache[int, int] = eviction.Cache(kind, 200, getsizeof=lambda weight: weight)
    for key, weight in zip(trace, weights, strict=True):
        if cache.get(key) is None:
            cache[key] = weight
            assert cache.stats().weight <= 200
    (expected,) = eviction.replay(kind, trace, sizes=[200], weights=weights)
    assert (cache.stats().hits, cache.stats().evictions) == (expected.hits, expected.evictions)
    assert cache.check() is None
    assert cache.currsize == sum(cache.values())


def test_it_is_a_mapping() -> None:
    cache: eviction.Cache[str, int] = eviction.Cache("lru", 3)
    assert isinstance(cache, MutableMapping)
    cache.update(a=1, b=2)
    assert cache == {"a": 1, "b": 2}
    assert sorted(cache) == ["a", "b"]
    assert sorted(cache.items()) == [("a", 1), ("b", 2)]
    assert ("a", 1) in cache.items()
    assert ("a", 2) not in cache.items()
    assert sorted(cache.values()) == [1, 2]
    assert 2 in cache.values()
    assert cache.keys() & {"a", "x"} == {"a"}
    assert (cache.get("a"), cache.get("x"), cache.get("x", 7), cache.get("x", default=8)) == (1, None, 7, 8)
    assert (cache.setdefault("a", 5), cache.setdefault("c", 5), cache.setdefault("c")) == (1, 5, 5)
    assert (cache.pop("c"), cache.pop("c", None), cache.pop("c", default=3)) == (5, None, 3)
    del cache["a"]
    assert "a" not in cache
    assert len(cache) == 1
    assert cache.popitem() == ("b", 2)
    for call in (lambda: cache["a"], lambda: cache.pop("a"), lambda: cache.__delitem__("a")):
        with pytest.raises(KeyError, match="a"):
            call()
    with pytest.raises(KeyError, match="empty"):
        cache.popitem()
    cache.update(a=1, b=2)
    cache.clear()
    assert len(cache) == 0
    assert repr(cache) == "<Cache 'lru': 0 of 3>"


def test_looking_neither_counts_nor_touches() -> None:
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 2)
    cache.update({1: 1, 2: 2})
    assert 1 in cache
    assert cache.peek(1) == 1
    assert dict(cache.items()) == {1: 1, 2: 2}
    cache[3] = 3
    assert 1 not in cache, "the oldest left, though it was looked at"
    assert (cache.stats().hits, cache.stats().misses) == (0, 0)


def test_arguments_by_name_and_too_many() -> None:
    cache: eviction.Cache[str, int] = eviction.Cache()
    assert cache.put(key="a", value=1)
    assert cache.get(key="a") == 1
    for call in (
        cache.get,
        lambda: cache.get("a", 1, 2),
        lambda: cache.get("a", key="a"),
        lambda: cache.get("a", other=1),
        lambda: cache.put("a"),
        lambda: cache.put("a", 1, 2),
        lambda: cache.get([]),
    ):
        with pytest.raises(TypeError):
            call()


def test_a_new_value_for_a_key_that_is_held() -> None:
    cache: eviction.Cache[str, str] = eviction.Cache("lru", 10, getsizeof=len)
    cache["a"], cache["b"] = "xx", "xxx"
    cache["a"] = "yy"
    assert (cache["a"], cache.currsize) == ("yy", 5)
    cache["a"] = "zzzz"
    assert (cache["a"], cache.currsize) == ("zzzz", 7)
    cache["b"] = "b" * 7
    assert dict(cache) == {"b": "b" * 7}
    assert cache.check() is None


def test_a_value_that_is_too_large_changes_nothing() -> None:
    cache: eviction.Cache[str, str] = eviction.Cache("arc", 5, getsizeof=len)
    cache.update(a="xx", b="xxx")
    before = cache.dump()
    for key in ("a", "c"):
        with pytest.raises(ValueError, match="value too large"):
            cache[key] = "x" * 6
    assert (dict(cache.items()), cache.dump(), cache.stats().evictions) == ({"a": "xx", "b": "xxx"}, before, 0)
    with pytest.raises(ValueError, match="value too large"):
        eviction.Cache("lru", 0)["a"] = 1


@pytest.mark.parametrize("size", [-1, 1.5, "3", None, -(1 << 80)])
def test_weights_are_integers_from_0(size: Any) -> None:
    cache: eviction.Cache[str, int] = eviction.Cache("lru", 5, getsizeof=lambda value: size)
    with pytest.raises(ValueError, match="integer of 0 and more"):
        cache["a"] = 1
    assert len(cache) == 0


def test_weights_of_0_and_beyond_64_bits() -> None:
    cache: eviction.Cache[str, int] = eviction.Cache("lru", 5, getsizeof=lambda value: value)
    cache["a"] = 0
    assert cache.currsize == 1, "so that the number of entries is bounded too"
    for huge in (1 << 47, 1 << 48, 1 << 61, 1 << 63, 1 << 64, 1 << 200):
        with pytest.raises(ValueError, match="value too large"):
            cache["b"] = huge


def test_what_getsizeof_raises_comes_out() -> None:
    cache: eviction.Cache[str, int] = eviction.Cache("lru", 5, getsizeof=lambda value: 1 // value)
    with pytest.raises(ZeroDivisionError):
        cache["a"] = 0


def test_times_to_leave() -> None:
    clock = Clock()
    cache: eviction.Cache[str, int] = eviction.Cache("lru", 10, ttl=5, timer=clock)
    cache["a"] = 1
    cache.put("b", 2, ttl=1)
    cache.put("c", 3, ttl=math.inf)
    clock.now += 1
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    cache["a"] = 4
    clock.now += 4.5
    assert cache.get("a") == 4, "setting began its time anew"
    clock.now += 1
    assert len(cache) == 1
    assert list(cache) == ["c"]
    assert "a" not in cache
    assert (cache.stats().expirations, cache.stats().evictions) == (2, 0)
    cache["d"] = 5
    clock.now += 5
    assert cache.expire() == 1
    cache["d"] = 5
    cache.put("d", 5, ttl=math.inf)
    clock.now += 1e9
    assert cache["d"] == 5
    assert cache.check() is None


def test_the_expired_leave_before_the_living() -> None:
    clock = Clock()
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 3, timer=clock)
    cache[1] = 1
    cache.put(2, 2, ttl=1)
    cache[3] = 3
    clock.now += 1
    cache[4] = 4
    assert sorted(cache) == [1, 3, 4]


def test_one_call_expires_64_at_most() -> None:
    clock = Clock()
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 1000, ttl=1, timer=clock)
    cache.update(dict.fromkeys(range(500), 0))
    clock.now += 1
    cache[1000] = 0
    assert cache.stats().expirations == 64
    assert len(cache) == 1
    assert cache.check() is None


def test_the_clock_of_the_machine() -> None:
    cache: eviction.Cache[int, int] = eviction.Cache(ttl=1e-9)
    cache[1] = 1
    while 1 in cache:
        pass
    cache.put(2, 2, ttl=1e8)
    assert cache[2] == 2


@pytest.mark.parametrize("ttl", [0, -1, math.nan])
def test_times_are_above_0(ttl: float) -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        eviction.Cache(ttl=ttl)
    cache: eviction.Cache[int, int] = eviction.Cache()
    with pytest.raises(ValueError, match="seconds above 0"):
        cache.put(1, 1, ttl=ttl)
    assert 1 not in cache


@pytest.mark.parametrize("kind", BUILT_IN)
def test_the_pinned_stay(kind: str) -> None:
    cache: eviction.Cache[int, int] = eviction.Cache(kind, 20)
    cache.update({key: key for key in range(5)})
    for key in (0, 1, 1):
        cache.pin(key)
    cache.unpin(1)
    for key in requests(2000):
        if cache.get(key + 100) is None:
            cache[key + 100] = 0
        assert cache.get(0) == 0
    assert 1 in cache
    assert len(cache) == 20
    assert cache.stats().pinned == 2
    assert cache.check() is None
    cache.unpin(0)
    cache.unpin(1)
    assert cache.check() is None
    cache.resize(1)
    assert len(cache) == 1
    for call in (cache.pin, cache.unpin):
        with pytest.raises(KeyError):
            call(77)


def test_pinned_entries_leave_no_room() -> None:
    cache: eviction.Cache[str, str] = eviction.Cache("lru", 5, getsizeof=len)
    cache.update(a="xxx", b="x")
    cache.pin("a")
    assert not cache.put("c", "xxx")
    assert dict(cache) == {"a": "xxx", "b": "x"}
    cache["b"] = "xxx"
    assert dict(cache) == {"a": "xxx"}, "the old value is not the value any more"
    assert cache.stats().bypassed == 2
    cache["b"] = "xx"
    cache.pin("b")
    with pytest.raises(ValueError, match="it weighs 4, maxsize is 5, other pinned entries weigh 2"):
        cache["a"] = "xxxx"
    assert dict(cache) == {"a": "xxx", "b": "xx"}
    cache.unpin("b")
    with pytest.raises(ValueError, match="weigh 3, more than 2"):
        cache.resize(2)
    cache["a"] = "xxxxx"
    assert dict(cache) == {"a": "xxxxx"}
    with pytest.raises(KeyError, match="pinned"):
        cache.popitem()
    assert cache.check() is None
    del cache["a"]
    cache["c"] = "xxxxx"
    assert (cache.stats().pinned, cache.check()) == (0, None)


def test_a_pinned_entry_expires() -> None:
    clock = Clock()
    cache: eviction.Cache[int, int] = eviction.Cache(timer=clock)
    cache.put(1, 1, ttl=1)
    cache.pin(1)
    clock.now += 1
    assert 1 not in cache
    assert (cache.stats().pinned, cache.check()) == (0, None)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_resize(kind: str) -> None:
    cache: eviction.Cache[int, int] = eviction.Cache(kind, 40)
    for size in (40, 10, 0, 3, 200, 100):
        cache.resize(size)
        for key in requests(500, size):
            if size and cache.get(key) is None:
                cache[key] = 0
        assert cache.check() is None
        assert len(cache) == min(size, len(set(requests(500, size))) if size == 200 else size)
    assert cache.maxsize == 100
    for bad in (-1, 1 << 48):
        with pytest.raises(ValueError, match="maxsize"):
            cache.resize(bad)


def test_from_nothing_with_times_and_groups() -> None:
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 0)
    cache.resize(3)
    for key in range(5):
        assert cache.put(key, key, ttl=1e6, group="g")
    assert cache.invalidate(group="g") == 3
    assert cache.check() is None


def test_lru_keeps_its_order_as_it_grows() -> None:
    cache: eviction.Cache[int, bytes] = eviction.Cache("lru", 1 << 20, getsizeof=len)
    for key in range(20_000):
        cache[key] = b"x"
        cache.get(0)
    assert len(cache) == 20_000, "more than it was made for"
    cache[-9] = b"x" * ((1 << 20) - 3)
    assert sorted(cache) == [-9, 0, 19_998, 19_999]
    assert cache.check() is None


def test_without_a_bound() -> None:
    cache: eviction.Cache[int, int] = eviction.Cache("sieve", None)
    for key in range(5000):
        cache.put(key, key, ttl=1e6, group=key % 2)
    assert (len(cache), cache.maxsize, cache.stats().evictions) == (5000, None, 0)
    assert cache.invalidate(group=1) == 2500
    assert cache.check() is None


def test_invalidate() -> None:
    cache: eviction.Cache[int, str] = eviction.Cache(maxsize=100)
    for key in range(20):
        cache.put(key, str(key), group=("file", key // 5))
    assert cache.invalidate(group=("file", 2)) == 5
    assert cache.invalidate(group=("file", 2)) == 0
    assert cache.invalidate(lambda key: key < 3 or key == 17) == 4
    cache[18] = "new"
    assert cache.invalidate(group=("file", 3)) == 3
    assert sorted(cache) == [3, 4, 5, 6, 7, 8, 9, 18], "18 was set without a group"
    for bad in ({}, {"predicate": bool, "group": 1}):
        with pytest.raises(TypeError, match="predicate or a group"):
            cache.invalidate(**bad)


def test_events() -> None:
    cache: eviction.Cache[str, int] = eviction.Cache("arc", 2)
    heard: list[tuple[str, str]] = []
    cache.events(lambda event, key: heard.append((event, key)))
    cache["a"] = 1
    cache["a"]
    cache["b"] = 2
    cache["c"] = 3
    cache["b"] = 2
    del cache["b"]
    assert heard == [
        ("admit", "a"),
        ("hit", "a"),
        ("promote", "a"),
        ("admit", "b"),
        ("evict", "b"),
        ("admit", "c"),
        ("ghost hit", "b"),
        ("evict", heard[-3][1]),
        ("admit", "b"),
        ("remove", "b"),
    ]
    assert cache.stats().ghost_hits == 1
    cache.events(None)
    cache["z"] = 1
    assert heard[-1] == ("remove", "b")


def test_a_listener_may_use_the_cache_and_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 3)
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: reported.append(what.exc_type))

    def hear(event: str, key: int) -> None:
        if event == "admit" and key < 10:
            cache[key + 10] = key
        if event == "remove":
            raise ZeroDivisionError

    cache.events(hear)
    cache[1] = 1
    assert dict(cache) == {1: 1, 11: 1}
    assert cache.pop(11) == 1
    assert reported == [ZeroDivisionError]
    assert cache.check() is None


def test_dump_names_the_keys() -> None:
    cache: eviction.Cache[Any, int] = eviction.Cache("lru", 3)
    cache["a"] = cache[5] = cache[2, "x"] = 0
    assert cache.dump() == "lru: (2, 'x') 5 'a'\n"
    clock: eviction.Cache[str, int] = eviction.Cache("clock", 3)
    clock["a"] = 0
    clock["a"]
    assert clock.dump().startswith("clock: 'a'/1\n")


def test_a_policy_in_python() -> None:
    cache: eviction.Cache[str, int] = eviction.Cache(Newest, 2)
    cache.update(a=1, b=2, c=3)
    assert dict(cache) == {"a": 1, "c": 3}
    assert cache.policy == "Newest"
    heard: list[tuple[str, str]] = []
    cache.events(lambda event, key: heard.append((event, key)))
    cache["d"] = 4
    del cache["a"]
    cache.get("d")
    assert heard == [("evict", "c"), ("admit", "d"), ("remove", "a"), ("hit", "d")]
    assert cache.check() is None
    for _ in range(2):
        cache.clear()
        cache.update(a=1, b=2, c=3)
    cache.resize(7)
    cache.update(d=4, e=5, f=6, g=7)
    assert sorted(cache) == ["a", "c", "d", "e", "f", "g"]


def test_what_a_python_policy_breaks_comes_out() -> None:
    class Liar(Newest):
        def evict(self) -> int | None:
            return 77

    class Raises(Newest):
        def hit(self, slot: int) -> None:
            raise ZeroDivisionError("mine")

    class Never(Newest):
        def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
            raise ZeroDivisionError("made")

    class Inside(Newest):
        def miss(self, key: int, weight: int) -> bool:
            return bool(inside.get("x"))

    liar: eviction.Cache[int, int] = eviction.Cache(Liar, 2)
    liar.update({1: 1, 2: 2})
    for _ in range(2):
        with pytest.raises(eviction.BrokenPolicy, match=r"'Liar'.*slot 77"):
            liar[3] = 3
    assert dict(liar) == {1: 1, 2: 2}
    raises: eviction.Cache[int, int] = eviction.Cache(Raises, 2)
    raises[1] = 1
    with pytest.raises(ZeroDivisionError, match="mine"):
        raises.get(1)
    with pytest.raises(ZeroDivisionError, match="made"):
        eviction.Cache(Never, 2)
    inside: eviction.Cache[str, int] = eviction.Cache(Inside, 2)
    with pytest.raises(RuntimeError, match="inside its policy Inside"):
        inside["a"] = 1
    assert len(inside) == 0


def test_a_policy_that_declines() -> None:
    class Odd(Newest):
        def miss(self, key: int, weight: int) -> bool:
            return key % 2 == 1

    cache: eviction.Cache[int, int] = eviction.Cache(Odd, 5)
    assert cache.put(1, 1)
    assert not cache.put(2, 2)
    cache[4] = 4
    assert dict(cache) == {1: 1}
    assert cache.stats().bypassed == 2


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no eviction policy 'lur'.*lru"):
        eviction.Cache("lur")
    with pytest.raises(ValueError, match=r"'belady' looks ahead: it is for replay alone; allowed: lru, fifo"):
        eviction.Cache("belady")
    with pytest.raises(ValueError, match="refused capacity 10 and params 'x=1'"):
        eviction.Cache("lru", 10, params="x=1")
    for bad in (-1, 1 << 48, 1.5, True, "3"):
        with pytest.raises(ValueError, match="maxsize"):
            eviction.Cache("lru", bad)
    with pytest.raises(ValueError, match="seed"):
        eviction.Cache("lru", seed=-1)
    with pytest.raises(ValueError, match="lacks hit"):
        eviction.Cache(dict)
    cache: eviction.Cache[int, int] = eviction.Cache()
    for copied in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied or pickled"):
            copied(cache)
    with pytest.raises(RuntimeError, match="already"):
        cache.__init__("lru")  # type: ignore[misc]
    empty = Core.__new__(Core)
    for call in (
        lambda: empty[1],
        lambda: len(empty),
        lambda: empty.get(1),
        lambda: 1 in empty,
        lambda: empty.put(1, 1),
        empty.clear,
    ):
        with pytest.raises(RuntimeError, match="not initialised"):
            call()


def test_a_subclass_may_load_what_is_missing() -> None:
    class Squares(eviction.Cache[int, int]):
        def __missing__(self, key: int) -> int:
            self[key] = key * key
            return self[key]

    squares = Squares("lru", 2)
    assert [squares[key] for key in (3, 3, 4)] == [9, 9, 16]
    assert squares.get(5) is None
    assert isinstance(squares, eviction.Cache)
