"""The interpreter's own allocations fail in turn while it runs the cache types and the bound probe, written against its C interface."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest

import eviction
import indexes
from eviction import native_cache

testcapi = pytest.importorskip("_testcapi", reason="this interpreter comes without its test modules")
MOST = 80  # allocations that are made to fail; every call here but one asks for less


class Scene(NamedTuple):
    """A call, what it gives when nothing fails, and what must hold in any case afterwards."""

    call: Callable[[], Any]
    gives: Any
    holds: Callable[[], Any]


def failing(nth: int, call: Callable[[], Any]) -> Any:
    """Call; the nth allocation from here on fails. Free lists are emptied before, so that small objects are allocated too."""
    gc.collect()
    set_hooks, drop_hooks = testcapi.set_nomemory, testcapi.remove_mem_hooks
    these = nth, nth + 1
    try:
        set_hooks(*these)
        return call()
    finally:
        drop_hooks()


class Big:
    """Hashes and weights that are no small integers: they have to be allocated."""

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 10**15 + self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Big) and other.name == self.name


KEYS = [Big(i) for i in range(40)]


def filled(policy: Any = "lru", **more: Any) -> eviction.Cache[Any, Any]:
    cache: eviction.Cache[Any, Any] = eviction.Cache(policy, 10**6, getsizeof=lambda value: 1000 + value, **more)
    for key in KEYS[:20]:
        cache.put(key, key.name, group=f"group {key.name % 3}")
    return cache


def sound(cache: eviction.Cache[Any, Any]) -> Callable[[], bool]:
    def holds() -> bool:
        cache.put(KEYS[39], 39)
        return cache.check() is None and cache.peek(KEYS[39]) == 39 and all(key.name == value for key, value in cache.items())

    return holds


def _on_cache(do: Callable[[eviction.Cache[Any, Any]], Callable[[], Any]], gives: Any, **more: Any) -> Callable[[], Scene]:
    def make() -> Scene:
        cache = filled(**more)
        return Scene(do(cache), gives, sound(cache))

    return make


class Oldest:
    """A policy in Python: its cache has a lock."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.line: list[int] = []

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.line.append(slot)

    def evict(self) -> int | None:
        return self.line.pop(0) if self.line else None

    def remove(self, slot: int) -> None:
        self.line.remove(slot)


def heard() -> Scene:
    cache, told = filled(), list[Any]()
    cache.events(lambda what, key: told.append((what, key)))
    return Scene(partial(cache.put, KEYS[30], 30), True, sound(cache))


def _function(**more: Any) -> Any:
    return eviction.cached("lru", maxsize=100, **more)(lambda *args, **named: [args, named])


def called(args: tuple[Any, ...], named: dict[str, Any], **more: Any) -> Callable[[], Scene]:
    def make() -> Scene:
        function = _function(**more)
        return Scene(partial(function, *args, **named), [args, named], lambda: function(*args, **named) == [args, named])

    return make


def recursive() -> Scene:
    """A call that needs itself does not wait for itself."""
    depth: list[int] = []

    @eviction.cached("lru", maxsize=100)
    def function(x: Any) -> int:
        depth.append(1)
        return 7 if len(depth) > 3 else function(x)

    def holds() -> bool:
        depth.clear()
        return function(KEYS[0]) == 7

    return Scene(partial(function, KEYS[0]), 7, holds)


def made() -> Scene:
    return Scene(lambda: eviction.Cache("s3fifo", 50).maxsize, 50, lambda: eviction.Cache("s3fifo", 50).check() is None)


def decorated() -> Scene:
    return Scene(lambda: _function()(3), [(3,), {}], lambda: True)


def shown() -> Scene:
    function = _function()
    return Scene(lambda: repr(function)[:8], "<cached ", lambda: function(1) == [(1,), {}])


def bound_probe() -> Scene:
    native, ops, data = importlib.import_module("indexes._native"), indexes.filter_ops("bloom"), indexes.filter_ops("bloom").build([], 10)
    hashed = int(native.ffi.cast("uintptr_t", ops._ops.hash))
    bind = partial(native.bind_probe, ops.address, hashed, data.ctypes.data, len(data), lambda key: True, (ops, data))
    return Scene(lambda: bind()(10**15), False, lambda: not bind()(b"a"))


def installed() -> Scene:
    evi, idx = importlib.import_module("eviction._native"), importlib.import_module("indexes._native")
    before = native_cache.Core, native_cache.Cached, evi.Flight, idx.bind_probe

    def install() -> str:
        if evi.lib.evi_install_cache() or idx.lib.idx_install_builtins():
            raise MemoryError
        return "installed"

    def holds() -> bool:
        evi.Core, evi.Cached, evi.Flight, idx.bind_probe = before
        return evi.Cached is native_cache.Cached

    return Scene(install, "installed", holds)


SCENES: dict[str, Callable[[], Scene]] = {
    "put": _on_cache(lambda c: partial(c.put, KEYS[30], 30, ttl=5.5, group="g"), True),
    "put in Python": _on_cache(lambda c: partial(c.put, KEYS[30], 30), True, policy=Oldest),
    "replace": _on_cache(lambda c: partial(c.put, KEYS[3], 3), True),
    "another weight": _on_cache(lambda c: partial(c.put, KEYS[3], 3, group="other"), True),
    "too large": _on_cache(lambda c: partial(_refused, c), "value too large"),
    "get": _on_cache(lambda c: partial(c.get, KEYS[3]), 3),
    "get in Python": _on_cache(lambda c: partial(c.get, KEYS[3]), 3, policy=Oldest),
    "index": _on_cache(lambda c: partial(_missing, c, KEYS[35]), "missing"),
    "peek": _on_cache(lambda c: partial(c.peek, KEYS[3]), 3),
    "in": _on_cache(lambda c: partial(c.__contains__, KEYS[3]), True),
    "pop": _on_cache(lambda c: partial(c.pop, KEYS[3]), 3),
    "pop missing": _on_cache(lambda c: partial(_missing_pop, c, KEYS[35]), "missing"),
    "popitem": _on_cache(lambda c: c.popitem, (KEYS[0], 0)),
    "del": _on_cache(lambda c: partial(c.__delitem__, KEYS[3]), None),
    "setdefault": _on_cache(lambda c: partial(c.setdefault, KEYS[30], 30), 30),
    "items": _on_cache(lambda c: lambda: len(c._items()), 20),
    "group": _on_cache(lambda c: lambda: len(c._grouped("group 1")), 7),
    "dump": _on_cache(lambda c: lambda: c._dump()[:4], "lru:"),
    "stats": _on_cache(lambda c: lambda: c.stats().entries, 20),
    "expire": _on_cache(lambda c: c.expire, 0, ttl=1000.0),
    "length": _on_cache(lambda c: lambda: len(c), 20, ttl=1000.0),
    "resize": _on_cache(lambda c: partial(c.resize, 10**5 + 10**4), None),
    "clear": _on_cache(lambda c: c.clear, None),
    "pin": _on_cache(lambda c: partial(c.pin, KEYS[3]), None),
    "unpin": _on_cache(lambda c: partial(c.unpin, KEYS[3]), None),
    "listener": heard,
    "a new cache": made,
    "a call": called((1, "two"), {}),
    "a call of one": called((Big,), {}),
    "a call with names": called((1,), {"b": 2, "c": 3}),
    "a typed call": called((1,), {"b": 2}, typed=True),
    "a call with a key": called((1,), {"b": 2}, key=lambda *args, **named: (10**20, args)),
    "a call of itself": recursive,
    "a decorated function": decorated,
    "its text": shown,
    "a bound probe": bound_probe,
    "the types": installed,
}


NEEDS_NONE = {"get", "in", "expire", "length", "resize", "clear"}


def _refused(cache: eviction.Cache[Any, Any]) -> str:
    try:
        cache.put(KEYS[30], 10**7)
    except eviction.TooLarge as e:
        return str(e)[:15]
    return "stored"


def _missing(cache: eviction.Cache[Any, Any], key: Any) -> str:
    try:
        cache[key]
    except KeyError:
        return "missing"
    return "found"


def _missing_pop(cache: eviction.Cache[Any, Any], key: Any) -> str:
    try:
        cache.pop(key)
    except KeyError:
        return "missing"
    return "found"


@pytest.mark.skipif(not hasattr(testcapi, "set_nomemory"), reason="it needs hooks of the allocator")
@pytest.mark.parametrize("name", SCENES)
def test_no_failing_allocation_of_the_interpreter_does_harm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "listener":  # what goes wrong there is told to nobody's caller
        monkeypatch.setattr(sys, "unraisablehook", lambda told: None)
    refused = 0
    gc.collect()
    gc.freeze()
    try:
        for nth in range(600 if name == "the types" else MOST):
            scene = SCENES[name]()
            try:
                got = failing(nth, scene.call)
            except MemoryError:
                refused += 1
            else:
                assert got == scene.gives, f"allocation {nth}"
            assert scene.holds(), f"allocation {nth}"
    finally:
        gc.unfreeze()
    assert got == scene.gives, "the last one is beyond what the call needs"
    assert refused or name in NEEDS_NONE
