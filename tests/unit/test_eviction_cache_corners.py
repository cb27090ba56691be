"""Corners of eviction.Cache and eviction.cached: who holds what, calls from inside a policy, policies of plug-ins, signals."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any
from unittest import mock

import pytest

import eviction
from eviction import cache as cache_module
from eviction.native import ffi, lib
from eviction.native_cache import Cached, Core

PHI = 0x9E3779B97F4A7C15  # the multiplier of cache_map.h


class Hashed:
    """An object with this hash."""

    def __init__(self, told: int, name: object = None) -> None:
        self.told, self.name = told, name

    def __hash__(self) -> int:
        return self.told

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hashed) and (self.told, self.name) == (other.told, other.name)


class Oldest:
    """FIFO in Python, which tells its class when it is asked."""

    heard: Callable[[str], None] | None = None
    admits = True

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.line: list[int] = []

    def _tell(self, what: str) -> None:
        if (heard := type(self).heard) is not None:
            heard(what)

    def hit(self, slot: int) -> None:
        self._tell("hit")

    def miss(self, key: int, weight: int) -> bool:
        self._tell("miss")
        return type(self).admits

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.line.append(slot)

    def evict(self) -> int | None:
        self._tell("evict")
        return self.line.pop(0) if self.line else None

    def remove(self, slot: int) -> None:
        self._tell("remove")
        self.line.remove(slot)


def a_policy(heard: Callable[[str], None] | None = None) -> type[Oldest]:
    return type("Oldest", (Oldest,), {"heard": staticmethod(heard) if heard else None})


def holders(of: object, among: type) -> list[Any]:
    return [holder for holder in gc.get_referrers(of) if isinstance(holder, among)]


def test_a_cache_is_known_to_hold_what_it_holds() -> None:
    def size(value: object) -> int:
        return 1

    def timer() -> float:
        return 0.0

    def listener(what: str, key: object) -> None: ...

    class Mine(eviction.Cache[Any, Any]): ...

    key, value, group = Hashed(1), object(), Hashed(2)
    cache = Mine("lru", 9, getsizeof=size, timer=timer)
    cache["first"] = 1
    cache.put(key, value, group=group)
    cache.events(listener)
    for held in (key, value, group, size, timer, listener, Mine, eviction.TooLarge):
        assert holders(held, Mine) == [cache], held
    (trouble,) = [f for f in gc.get_referents(cache) if getattr(f, "__name__", "") == "trouble"]
    assert holders(trouble, Mine) == [cache]
    assert holders(object(), Mine) == []


def test_what_left_is_held_until_the_listener_has_heard_of_it() -> None:
    """The collector looks at the cache while a policy in Python works, and events wait."""
    held: list[Any] = []

    def look(what: str) -> None:
        if what == "evict":
            gc.collect()
            held.append([len(holders(key, eviction.Cache)) for key in keys])

    told: list[Any] = []
    keys = [Hashed(1), Hashed(2), Hashed(3)]
    cache: eviction.Cache[Any, int] = eviction.Cache(a_policy(look), 6, getsizeof=lambda value: value)
    cache.events(lambda what, key: told.append((what, key)))
    for key in keys:
        cache[key] = 2
    cache["large"] = 6
    assert held == [[1, 1, 1]] * 3, "held as entries, as what has left, as what is heard of"
    assert told[-4:] == [("evict", keys[0]), ("evict", keys[1]), ("evict", keys[2]), ("admit", "large")]
    assert [len(holders(key, eviction.Cache)) for key in keys] == [0, 0, 0]


CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda c: c.get(1),
    "index": lambda c: c[1],
    "peek": lambda c: c.peek(1),
    "in": lambda c: 1 in c,
    "put": lambda c: c.put(1, 1),
    "setdefault": lambda c: c.setdefault(7),
    "pop": lambda c: c.pop(1, None),
    "del": lambda c: c.__delitem__(1),
    "popitem": lambda c: c.popitem(),
    "pin": lambda c: c.pin(1),
    "unpin": lambda c: c.unpin(1),
    "discard": lambda c: c._discard(1, 1),
    "resize": lambda c: c.resize(5),
    "clear": lambda c: c.clear(),
    "expire": lambda c: c.expire(),
    "events": lambda c: c.events(None),
    "dump": lambda c: c.dump(),
    "check": lambda c: c.check(),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_cache_is_not_used_from_inside_its_policy(name: str) -> None:
    problems: list[Any] = []

    def use(what: str) -> None:
        try:
            CALLS[name](cache)
        except RuntimeError as e:
            problems.append(str(e))

    cache: eviction.Cache[int, int] = eviction.Cache(a_policy(use), 4)
    cache[1] = 1
    assert problems == ["a cache is not used from inside its policy Oldest"]
    assert cache[1] == 1 and len(cache) == 1 and cache.check() is None


class Fails(Exception): ...


@pytest.mark.parametrize("call", ["get", "in", "pop"])
def test_a_policy_that_fails_as_an_expired_entry_leaves(call: str) -> None:
    def fail(what: str) -> None:
        if what == "remove":
            raise Fails

    now = [0.0]
    cache: eviction.Cache[int, int] = eviction.Cache(a_policy(fail), 4, timer=lambda: now[0])
    cache.put(1, 1, ttl=1)
    now[0] = 2.0
    with pytest.raises(Fails):
        CALLS[call](cache)
    assert len(cache) == 0 and cache.get(1) is None


def test_no_group_is_none() -> None:
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 4)
    assert cache.put(1, 1, group=None) and cache.put(2, 2, group="g")
    assert cache.invalidate(group="g") == 1 and list(cache) == [1]
    with pytest.raises(TypeError, match="unhashable"):
        cache.put(3, 3, group=[])
    with pytest.raises(TypeError, match="unhashable"):
        cache._grouped([])
    with pytest.raises(RuntimeError, match="not initialised"):
        Core.__new__(Core)._grouped("g")


def test_hashes_of_one_tag() -> None:
    """Two hashes that differ in what the table does not keep of them."""

    def with_tag(low: int) -> Hashed:
        mixed = (0x12345678 << 32 | low) * pow(PHI, -1, 1 << 64) % (1 << 64)
        told = mixed ^ mixed >> 32
        return Hashed(told - (1 << 64) if told >> 63 else told, low)

    keys = [key for key in (with_tag(low) for low in range(1, 60)) if -(2**61) < key.told < 2**61 - 1]
    assert len(keys) > 5
    cache: eviction.Cache[Any, int] = eviction.Cache("lru", len(keys))
    for at, key in enumerate(keys):
        assert cache.get(key) is None
        cache[key] = at
    assert [cache.peek(key) for key in keys] == list(range(len(keys))) and cache.check() is None
    del cache[keys[2]]
    assert keys[2] not in cache and [cache.peek(key) for key in keys[3:]] == list(range(3, len(keys))) and cache.check() is None


def somebody_elses(**calls: Any) -> tuple[Any, int]:
    """An ops table in C's terms: LRU's with some calls of one's own, as a plug-in might have it."""
    table, types = ffi.new("evi_ops *", lib.evi_find(b"lru")[0]), dict(ffi.typeof("evi_ops").fields)
    kept = [table]
    for name, call in calls.items():
        kept.append(ffi.callback(types[name].type, call))
        setattr(table, name, kept[-1])
    return kept, int(ffi.cast("uintptr_t", table))


def growing(address: int, size: int = 2) -> Any:
    """A cache over a table whose first slots are few."""
    core: Any = Core.__new__(Core)

    def trouble(slot: int | None) -> None:
        if slot is not None:
            raise eviction.BrokenPolicy(slot)

    core._open(address, 100, size, lambda value: 1, -1, 0, "", None, trouble, eviction.TooLarge, False)
    return core


@pytest.mark.parametrize("victim", [None, 0, 1, 9, lib.EVI_NONE])
def test_a_cache_that_grows_over_a_policy_that_names_no_victims(victim: int | None) -> None:
    """The policy is asked for the order of the residents, and tells but one of them, once more or again and again."""
    lru = lib.evi_find(b"lru")[0]
    kept, address = somebody_elses(evict=lambda policy: lru.evict(policy) if victim is None else victim)
    core = growing(address)
    for key in range(40):
        assert core.put(key, -key)
    assert [core.peek(key) for key in range(40)] == [-key for key in range(40)] and core._check() is None
    del core, kept


def test_a_cache_that_grows_over_a_policy_that_takes_nothing_twice() -> None:
    seen = set[int]()

    def miss(policy: Any, key: int, weight: int) -> int:
        first = key not in seen
        seen.add(key)
        return first

    kept, address = somebody_elses(miss=miss)
    core = growing(address)
    for key in range(20):
        core.put(key, key)
    assert core._check() is None and len(core) < 20 and 19 in core
    assert core._counts()[2] + len(core) == 20, "who was not taken back has left by the policy's choice"
    del core, kept


@pytest.mark.parametrize("victim", [1, 3, 99])
def test_victims_that_are_free_or_pinned(victim: int) -> None:
    lru, wrong = lib.evi_find(b"lru")[0], list[int]()
    kept, address = somebody_elses(evict=lambda policy: wrong[0] if wrong else lru.evict(policy))
    core: Any = Core.__new__(Core)

    def trouble(slot: int | None) -> None:
        raise eviction.BrokenPolicy(f"slot {slot}")

    core._open(address, 4, 4, None, -1, 0, "", None, trouble, eviction.TooLarge, False)
    for key in range(3):
        core.put(key, key)
    core.pin(1)  # in slot 1; slot 3 is free
    wrong.append(victim)
    with pytest.raises(eviction.BrokenPolicy, match=f"slot {victim}"):
        core.popitem()
    wrong.clear()
    assert core.popitem() == (0, 0) and core._check() is None
    del core, kept


def test_events_of_numbers_that_the_cache_does_not_know() -> None:
    """A plug-in may tell of whatever it likes: the listener hears the number."""
    hooks: list[Any] = []

    def miss(policy: Any, key: int, weight: int) -> int:
        for tell, arg in hooks[-1:]:
            tell(arg, ord("g"), 77, lib.EVI_NONE)
            tell(arg, ord("b"), key, lib.EVI_NONE)
        return 1

    def listen(policy: Any, tell: Any, arg: Any) -> None:
        hooks[:] = [(tell, arg)] if tell else []

    kept, address = somebody_elses(listen=listen, miss=miss)
    core, told = growing(address, 4), list[Any]()
    core._listen(lambda what, key: told.append((what, key)))
    core.put("key", 1)
    core._listen(None)
    assert told == [("ghost hit", 77), ("bypass", "key")]
    del core, kept


# --- cached functions


def cached_of(function: Callable[..., Any], **more: Any) -> Any:
    return eviction.cached("lru", 50, **more)(function)


def test_a_cached_function_is_known_to_hold_what_it_holds() -> None:
    def function(x: object) -> object:
        return x

    def key(x: object) -> object:
        return x

    found: Any = cached_of(function, key=key)
    found(5)
    for held in (function, key, found.cache, Cached, MethodType, sys.modules["eviction.cached"]._MARK):
        assert found in holders(held, Cached), held
    inside = gc.get_referents(found)
    for held in (x for x in inside if isinstance(x, dict) or getattr(x, "__name__", "") in ("setdefault", "Flight")):
        assert found in holders(held, Cached), held
    assert sum(isinstance(x, dict) for x in inside) == 3, "calls under way, who waits, attributes"


def test_named_arguments_that_are_none() -> None:
    """C may call with an empty dict of named arguments where Python has none."""
    call = ctypes.pythonapi.PyObject_Call
    call.restype, call.argtypes = ctypes.py_object, [ctypes.py_object] * 3
    for typed in (False, True):
        found = cached_of(lambda *args, **named: [args, named], typed=typed)
        assert call(found, (1, 2), {}) is found(1, 2)
        assert call(found, (1, 2), {"a": 3}) is found(1, 2, a=3)
    plain = eviction.Cache[Any, Any]("lru", 5)
    settings = (plain, abs, None, False, object(), MethodType, {}, {})
    assert call(Cached, settings, {})(-3) == 3
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        call(Cached, settings, {"a": 1})


def test_what_cached_refuses() -> None:
    plain = eviction.Cache[Any, Any]("lru", 5)
    with pytest.raises(AttributeError, match="setdefault"):
        Cached(plain, abs, None, False, object(), MethodType, object(), {})
    with pytest.raises(TypeError, match="not a cache"):
        Cached({}, abs, None, False, object(), MethodType, {}, {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not a cache"):
        Cached(Core.__new__(Core), abs, None, False, object(), MethodType, {}, {})
    with pytest.raises(TypeError):
        Cached(plain, abs, None, False, object(), MethodType, {}, [])


def test_a_value_that_cannot_be_stored() -> None:
    """What the cache raises then is the call's; what does not fit is returned only."""

    def size(value: object) -> int:
        if value == "bad":
            raise ZeroDivisionError
        return 1000 if value == "large" else 1

    found = cached_of(lambda x: x, getsizeof=size)
    assert found("large") == "large" and found.cache_info().currsize == 0
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            found("bad")
    assert found("good") == "good" and found.cache.check() is None


def test_a_function_that_clears_its_cache_and_raises() -> None:
    def function(x: int) -> int:
        found.cache_clear()
        raise Fails

    found = cached_of(function)
    for _ in range(2):
        with pytest.raises(Fails):
            found(3)
    assert found.cache_info().misses == 0, "each call forgets the counts"


@pytest.mark.parametrize("fails", [False, True])
def test_a_value_that_comes_while_the_call_begins(fails: bool) -> None:
    """Comparing keys of calls under way stores something: it is found before the function is called, or fails to be compared."""

    class Key:
        then: Callable[[], None] | None = None

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            then, Key.then = Key.then, None
            if then is not None:
                then()
            return self is other

    first, second, third = Key(), Key(), Key()

    def fail() -> None:
        raise Fails

    def store() -> None:
        found.cache[(third if fails else second,)] = "stored"
        Key.then = fail if fails else None

    def function(key: Key) -> str:
        Key.then = store
        return found(second)

    found = cached_of(function)
    if fails:
        with pytest.raises(Fails):
            found(first)
    else:
        assert found(first) == found(second) == "stored"
    assert found.cache.check() is None


def test_a_cached_function_may_be_watched() -> None:
    gone: list[str] = []
    found = cached_of(abs)
    watch = weakref.ref(found, lambda ref: gone.append("gone"))
    assert watch() is found and found(-1) == 1 and found.__get__(None, int) is found
    del found
    gc.collect()
    assert gone == ["gone"] and watch() is None


def test_collections_while_a_function_is_decorated() -> None:
    """The collector comes at every step, and sees it half made."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        found = [cached_of(lambda x: x, key=key) for key in (None, abs) for _ in range(20)]
    finally:
        gc.set_threshold(*before)
    assert [f(-at) for at, f in enumerate(found)] == [-at for at in range(40)]


class Interrupted(Exception): ...


@contextmanager
def alarmed(do: Callable[[], None]) -> Iterator[None]:
    """A signal comes after 30 ms, and again."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: do())
    signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Slow:
    """A cached function that another thread is in, until the gate opens."""

    def __init__(self) -> None:
        self.gate, entered, me = threading.Lock(), threading.Event(), threading.get_ident()
        self.gate.acquire()

        def function(x: Any) -> str:
            if threading.get_ident() == me:
                return "mine"
            if not entered.is_set():
                entered.set()
                self.gate.acquire()
            return "theirs"

        self.call = cached_of(function)

        def work() -> None:
            with contextlib.suppress(MemoryError):
                self.call(10**15)

        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert entered.wait(30)

    def open(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is open
            self.gate.release()

    def end(self) -> None:
        self.open()
        self.thread.join()
        assert self.call(10**15) == "theirs" and self.call.cache.check() is None
        assert not any(isinstance(x, dict) and x for x in gc.get_referents(self.call) if x is not self.call.__dict__)


in_main = pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals come to the main thread")


@in_main
def test_a_signal_does_not_end_the_waiting() -> None:
    slow, signals = Slow(), list[int]()

    def count() -> None:
        signals.append(1)
        if len(signals) == 2:
            slow.open()

    with alarmed(count):
        assert slow.call(10**15) == "theirs" and len(signals) >= 2
    slow.end()


@in_main
def test_an_interrupt_ends_the_waiting() -> None:
    slow = Slow()

    def interrupt() -> None:
        raise Interrupted

    with pytest.raises(Interrupted), alarmed(interrupt):
        slow.call(10**15)
    slow.end()


def test_small_first_slots() -> None:
    """A cache that held nothing becomes one that does, with times and groups from its first slot on."""
    with mock.patch.object(cache_module, "_UNIT_SLOTS", 4):
        cache: eviction.Cache[int, int] = eviction.Cache("lru", 0, timer=lambda: 0.0)
        cache.resize(30)
        for key in range(40):
            cache.put(key, key, ttl=5 + key, group=key % 2)
    assert sorted(cache) == list(range(10, 40)) and cache.check() is None
    assert cache.invalidate(group=0) == 15
