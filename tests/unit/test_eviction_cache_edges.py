"""eviction.Cache and cached at the ends of what they take: never opened, wrong arguments, policies and callables that misbehave."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

import eviction
from eviction import cache as cache_module
from eviction.native_cache import Cached, Core

TWIN = 0x5AC3 << 48  # the upper bits of the numbers by which a policy knows what has another's hash


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


class Hashed:
    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        return self.value


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "get": lambda c, k: c.get(k),
    "peek": lambda c, k: c.peek(k),
    "index": lambda c, k: c[k],
    "in": lambda c, k: k in c,
    "put": lambda c, k: c.put(k, 1),
    "set": lambda c, k: c.__setitem__(k, 1),
    "del": lambda c, k: c.__delitem__(k),
    "pop": lambda c, k: c.pop(k),
    "setdefault": lambda c, k: c.setdefault(k, 1),
    "pin": lambda c, k: c.pin(k),
    "unpin": lambda c, k: c.unpin(k),
    "_discard": lambda c, k: c._discard(k, 1),
    "_grouped": lambda c, k: c._grouped(k),
}
WHOLE: dict[str, Callable[[Any], Any]] = {
    "len": len,
    "popitem": lambda c: c.popitem(),
    "clear": lambda c: c.clear(),
    "expire": lambda c: c.expire(),
    "_resize": lambda c: c._resize(3),
    "_listen": lambda c: c._listen(None),
    "_counts": lambda c: c._counts(),
    "_again": lambda c: c._again(),
    "_reset": lambda c: c._reset(),
    "_items": lambda c: c._items(),
    "_dump": lambda c: c._dump(),
    "_check": lambda c: c._check(),
}


@pytest.mark.parametrize("name", [*CALLS, *WHOLE])
def test_a_cache_that_was_not_opened(name: str) -> None:
    core: Any = Core.__new__(Core)
    with pytest.raises(RuntimeError, match="not initialised"):
        CALLS[name](core, 1) if name in CALLS else WHOLE[name](core)
    assert core not in gc.get_referrers(core)
    del core
    gc.collect()


@pytest.mark.parametrize("name", CALLS)
def test_a_key_without_a_hash(name: str) -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 3)
    cache.put("a", 1, group="g")
    with pytest.raises(TypeError, match="unhashable"):
        CALLS[name](cache, Unhashable())
    with pytest.raises(TypeError, match="unhashable"):
        cache.put("a", 2, group=Unhashable())
    assert cache.peek("a") == 1 and cache.check() is None


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.get(),
        lambda c: c.get(1, 2, 3),
        lambda c: c.get(1, default=2, default2=3),
        lambda c: c.get(1, key=2),
        lambda c: c.peek(),
        lambda c: c.peek(1, 2, 3),
        lambda c: c.put(1),
        lambda c: c.put(1, 2, 3),
        lambda c: c.put(1, 2, bad=3),
        lambda c: c.setdefault(),
        lambda c: c.setdefault(1, 2, 3),
        lambda c: c.pop(),
        lambda c: c.pop(1, 2, 3),
        lambda c: c._discard(1),
        lambda c: c._resize("x"),
        lambda c: c._open(1),
        lambda c: c.put(1, 2, ttl="soon"),
        lambda c: Cached(1, a=2),
        lambda c: Cached(1),
        lambda c: Cached(5, len, None, False, None, None, None, {}),
        lambda c: Cached(Core.__new__(Core), len, None, False, None, None, None, {}),
    ],
)
def test_wrong_arguments(call: Callable[[Any], Any]) -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 3)
    with pytest.raises(TypeError):
        call(cache)
    assert len(cache) == 0 and cache.check() is None


def test_sizes_and_times_out_of_range() -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 3)
    with pytest.raises(OverflowError):
        cache._resize(-1)
    for ttl in (0, -1, math.nan):
        with pytest.raises(ValueError, match="ttl"):
            cache.put(1, 1, ttl=ttl)
    with pytest.raises(RuntimeError, match="already"):
        cache._open(*([0] * 3), None, -1, 0, "", None, None, None, False)
    now = [0.0]
    cache = eviction.Cache("lru", 5, timer=lambda: now[0])
    cache.put("least", 1, ttl=1e-300)
    cache.put("late", 1, ttl=8.9e9)
    cache.put("never", 1, ttl=math.inf)
    now[0] = 1e-9
    assert "least" not in cache and "late" in cache
    now[0] = 8.9e9
    cache.put("overflows", 1, ttl=8.9e9)
    assert cache.peek("overflows") == 1 and "late" not in cache and cache.check() is None
    now[0] = 1e300
    assert "overflows" in cache or "never" in cache
    assert cache.check() is None


@pytest.mark.parametrize("told", ["text", None])
def test_a_timer_that_tells_no_time(told: Any) -> None:
    works = [True]
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 3, timer=lambda: 1.0 if works else told)
    cache.put("a", 1, ttl=5)
    works.clear()
    for name, call in [
        *CALLS.items(),
        *((n, lambda c, _k, f=f: f(c)) for n, f in WHOLE.items() if n in ("len", "popitem", "clear", "expire", "_resize")),
    ]:
        if name != "_grouped":
            with pytest.raises(TypeError):
                call(cache, "a")
    works.append(True)
    assert cache.peek("a") == 1 and cache.check() is None

    def fails() -> float:
        raise ZeroDivisionError

    cache = eviction.Cache("lru", 3, timer=fails)
    with pytest.raises(ZeroDivisionError):
        cache.put("a", 1, ttl=5)


def test_whoever_holds_what_is_told() -> None:
    """The collector is shown every object that a cache and a decorated function hold: gc.get_referrers asks for each."""
    key, value, group, size, clock, listener = (Hashed(10**6 + i) for i in range(6))
    sizes: Callable[[Any], int] = lambda v, _kept=size: 1  # noqa: E731
    timer: Callable[[], float] = lambda _kept=clock: 1.0  # noqa: E731
    hear: Callable[[str, Any], None] = lambda what, k, _kept=listener: None  # noqa: E731
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 5, getsizeof=sizes, timer=timer)
    cache.put(key, value, group=group)
    cache.events(hear)
    for held in (key, value, group, sizes, timer, hear, type(cache)):
        assert any(r is cache for r in gc.get_referrers(held)), held
    made: Callable[..., Any] = lambda *args: None  # noqa: E731
    keyed: Callable[..., Any] = lambda *args: args  # noqa: E731
    waiting: dict[Any, Any] = {}
    going: dict[Any, Any] = {}
    mark, method = object(), object()
    function: Any = Cached(cache, made, keyed, False, mark, method, going, waiting)
    function.attribute = 5
    for held in (cache, made, keyed, mark, method, going, waiting, function.__dict__, type(function)):
        assert any(r is function for r in gc.get_referrers(held)), held
    bound = function.__get__(None, int)
    assert bound is function


class Driven:
    """A policy in Python that does as it is told."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.line: list[int] = []
        Driven.last = self
        self.admits, self.victim = True, None

    last: Driven
    admits: bool
    victim: Any

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        return self.admits

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.line.append(slot)

    def evict(self) -> int | None:
        if self.victim is not None:
            return self.victim
        return self.line.pop(0) if self.line else None

    def remove(self, slot: int) -> None:
        self.line.remove(slot)


def test_what_a_policy_refuses_to_take_back() -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache(Driven, 4)
    for key in range(3):
        cache[key] = key
    cache.pin(1)
    Driven.last.admits = False
    cache.unpin(1)
    assert 1 not in cache and len(cache) == 2 and cache.check() is None
    assert not cache.put(9, 9) and cache.stats().bypassed == 1
    with mock.patch.object(cache_module, "_WEIGHT_SLOTS", 2):
        cache = eviction.Cache(Driven, 100, getsizeof=lambda value: 1)
    for key in range(2):
        cache.put(key, key, group="g")

    class Once(Driven):
        """Admits the newcomer, but not what it is handed anew."""

        def miss(self, key: int, weight: int) -> bool:
            return key == 7

    with mock.patch.object(cache_module, "_WEIGHT_SLOTS", 2):
        cache = eviction.Cache(Once, 100, getsizeof=lambda value: 1)
    assert cache.put(7, 7) and not cache.put(8, 8)
    assert sorted(cache) == [7]


def _opened(trouble: Callable[..., Any]) -> Any:
    core: Any = Core.__new__(Core)
    bridge = eviction.native.Bridge("driven", Driven)  # type: ignore[attr-defined]
    core._open(bridge.address, 2, 2, None, -1, 0, "", None, trouble, ValueError, True)
    core_kept.append(bridge)
    return core


core_kept: list[Any] = []


@pytest.mark.parametrize("victim", [1, 7, 2**31])
def test_a_victim_that_is_none(victim: int) -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache(Driven, 2)
    cache[1] = 1
    cache[2] = 2
    cache.pin(2)  # in slot 1
    Driven.last.victim = victim
    with pytest.raises(eviction.BrokenPolicy):
        cache[3] = 3
    with pytest.raises(eviction.BrokenPolicy):
        cache.popitem()
    Driven.last.victim = None


def test_a_policy_in_trouble_that_nobody_tells_of() -> None:
    core = _opened(lambda slot: None)
    core.put(1, 1)
    core.put(2, 2)
    Driven.last.victim = 77
    with pytest.raises(RuntimeError, match="broke its rules"):
        core.put(3, 3)
    with pytest.raises(RuntimeError, match="broke its rules"):
        core.popitem()
    assert core._resize(2) is None


def test_pins_are_counted_to_their_end() -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 3)
    cache["a"] = 1
    for _ in range(16383):
        cache.pin("a")
    with pytest.raises(OverflowError, match="16383"):
        cache.pin("a")
    for _ in range(16383):
        cache.unpin("a")
    cache.unpin("a")  # one more than there were: nothing
    assert cache.popitem() == ("a", 1) and cache.check() is None


@pytest.mark.parametrize("kind", ["lru", "arc", "gdsf", "tinylfu"])
def test_hashes_that_look_like_numbers_of_the_caches_own(kind: str) -> None:
    cache: eviction.Cache[Any, int] = eviction.Cache(kind, 4)
    keys = [Hashed(TWIN + i) for i in range(3)] + [Hashed(5), Hashed(5), Hashed(5)]
    for step in range(200):
        key = keys[step * 7 % 6]
        if cache.get(key) is None:
            cache[key] = step
        if step % 5 == 0 and key in cache:
            cache.pin(key)
            cache[key] = step
            cache.unpin(key)
        assert cache.check() is None
    with mock.patch.object(cache_module, "_WEIGHT_SLOTS", 2):
        grown: eviction.Cache[Any, int] = eviction.Cache(kind, 100, getsizeof=lambda value: 1)
    for key in keys:
        grown[key] = 1
    assert grown.check() is None


def test_a_key_that_comes_while_its_value_is_weighed() -> None:
    cache: eviction.Cache[Any, Any]

    def size(value: Any) -> int:
        if value == "outer":
            cache["k"] = "inner"
        return 1

    cache = eviction.Cache("lru", 5, getsizeof=size)
    assert cache.setdefault("k", "outer") == "inner" and cache["k"] == "inner"
    assert cache.setdefault("k") == "inner" and cache.setdefault("none") is None


def test_weights_of_pinned_entries_change() -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache(Driven, 10, getsizeof=lambda value: value)
    cache["a"], cache["b"] = 2, 6
    cache.pin("a")
    cache["a"] = 3
    assert cache.currsize == 9 and "b" in cache
    cache["a"] = 7
    assert cache.currsize == 7 and "b" not in cache
    cache["c"] = 2
    Driven.last.victim = 77
    with pytest.raises(eviction.BrokenPolicy):
        cache["a"] = 9
    assert cache["a"] == 7 and cache.currsize == 9 and cache.check() is None, "it weighs what it did"
    with pytest.raises(eviction.BrokenPolicy):
        cache.resize(8)
    assert cache.maxsize == 10 and cache.check() is None, "the cache is as large as it was"
    Driven.last.victim = None
    with pytest.raises(eviction.TooLarge, match="value too large"):
        cache["a"] = 11
    with pytest.raises(ValueError, match="pinned entries weigh"):
        cache.resize(1)


def test_removing_just_this_value() -> None:
    cache: eviction.Cache[Any, Any] = eviction.Cache("lru", 5)
    value, other = [1], [1]
    cache["a"] = value
    assert not cache._discard("a", other) and not cache._discard("b", value) and cache._discard("a", value)
    assert len(cache) == 0


def test_a_listener_hears_of_keys_that_are_gone_and_may_fail() -> None:
    heard: list[Any] = []
    cache: eviction.Cache[Any, Any] = eviction.Cache("arc", 3)
    cache.events(lambda what, key: heard.append((what, key)))
    for key in (1, 2, 3, 1, 4, 5, 2, 3, 6, 2):
        if cache.get(key) is None:
            cache[key] = key
    cache.pin(2)
    cache.get(2)
    del cache[2]
    with pytest.raises(KeyError):
        cache.pin(2)
    cache.events(None)
    assert {"admit", "hit", "evict", "remove"} <= {what for what, _ in heard} and cache.check() is None
