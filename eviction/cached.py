"""A decorator that remembers what a function returned, in a cache of any policy; the habits of functools.lru_cache and of cachetools."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from types import MethodType
from typing import Any, NamedTuple, Protocol, TypeVar, cast, overload

from .cache import Cache
from .native_cache import Cached, TooLarge

R = TypeVar("R")


class CacheInfo(NamedTuple):
    """As functools has it. ``currsize`` is in entries, or in weight where there is a getsizeof."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class CachedFunction(Protocol[R]):
    """A decorated function."""

    __wrapped__: Callable[..., R]
    cache: Cache[Any, Any]
    cache_key: Callable[..., Hashable] | None

    def __call__(self, *args: Any, **named: Any) -> R:
        """Return what is remembered, or else call the function."""

    def cache_info(self) -> CacheInfo:
        """Return the counts since the function was decorated or cache_clear called."""

    def cache_clear(self) -> None:
        """Forget everything, counts too. What calls under way return is not remembered."""

    def cache_parameters(self) -> dict[str, Any]:
        """Return maxsize, typed, policy and ttl."""


class _Mark:
    """What stands between positional and named arguments in a key."""

    def __repr__(self) -> str:
        return "<named>"


_MARK = _Mark()
_waiting: dict[int, Any] = {}  # thread -> the call that it waits for, over all functions
_current: ContextVar[_Flight | None] = ContextVar("call under way", default=None)


class _Flight:
    """A coroutine under way: the one that it is part of, those that it waits for, and how to wait for it."""

    __slots__ = ("landed", "parent", "waits")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.parent = _current.get()
        self.landed: asyncio.Future[None] = loop.create_future()
        self.waits: list[_Flight] = []

    def line(self) -> list[_Flight]:
        """Return this one and those that it is part of."""
        return [self] if self.parent is None else [self, *self.parent.line()]

    def would_wait_for(self, others: list[_Flight]) -> bool:
        """Tell whether it waits, directly or not, for one of them."""
        seen: list[_Flight] = [self]
        for flight in seen:
            seen += [other for other in flight.waits if other not in seen]
        return any(flight in others for flight in seen)

    async def wait(self, line: list[_Flight]) -> None:
        """Wait until it landed, in the name of a line of others."""
        for flight in line:
            flight.waits.append(self)
        try:
            await asyncio.shield(self.landed)
        finally:
            for flight in line:
                flight.waits.remove(self)


class _Pending:
    """That a key is not held, and the key."""

    __slots__ = ("key",)

    def __init__(self, key: Hashable) -> None:
        self.key = key


def _async(function: Callable[..., Awaitable[Any]], found: Cached, cache: Cache[Any, Any], going: dict[Any, _Flight]) -> Callable[..., Any]:
    """The decorated form of a coroutine function; ``going``: (loop, key) -> the call under way."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **named: Any) -> Any:
        held = found(*args, **named)
        if type(held) is not _Pending:
            return held
        loop = asyncio.get_running_loop()
        place = (loop, held.key)
        while (flight := going.get(place)) is not None and cache.maxsize != 0:
            part = _current.get()
            line = part.line() if part else []
            if flight.would_wait_for(line):
                return await function(*args, **named)  # recursion without end, as it would be without a cache
            await flight.wait(line)
            cache._again()
            held = found(*args, **named)
            if type(held) is not _Pending:
                return held
        mine = going[place] = _Flight(loop)
        token = _current.set(mine)
        try:
            value = await function(*args, **named)
            if going.get(place) is mine:
                with contextlib.suppress(TooLarge):
                    cache[held.key] = value
            return value
        finally:
            _current.reset(token)
            if going.get(place) is mine:
                del going[place]
            if not mine.landed.done():
                mine.landed.set_result(None)

    return wrapper


def _decorate(function: Callable[..., Any], cache: Cache[Any, Any], key: Callable[..., Hashable] | None, typed: bool) -> Any:
    going: dict[Any, Any] = {}
    wrapper: Any
    if inspect.iscoroutinefunction(function):
        wrapper = _async(function, Cached(cache, _Pending, key, typed, _MARK, MethodType, None, _waiting), cache, going)
    else:
        wrapper = functools.update_wrapper(cast(Any, Cached(cache, function, key, typed, _MARK, MethodType, going, _waiting)), function)

    def cache_info() -> CacheInfo:
        """Return (hits, misses, maxsize, currsize)."""
        stats = cache.stats()
        return CacheInfo(stats.hits, stats.misses, cache.maxsize, stats.weight)

    def cache_clear() -> None:
        """Forget everything, counts too; what calls under way return is not remembered."""
        going.clear()
        cache.clear()
        cache._reset()

    def cache_parameters() -> dict[str, Any]:
        """Return what the decorator was given."""
        return {"maxsize": cache.maxsize, "typed": typed, "policy": cache.policy, "ttl": cache.ttl}

    wrapper.cache, wrapper.cache_key = cache, key
    wrapper.cache_info, wrapper.cache_clear, wrapper.cache_parameters = cache_info, cache_clear, cache_parameters
    return wrapper


@overload
def cached(policy: Callable[..., R], /) -> CachedFunction[R]: ...
@overload
def cached(
    policy: Any = "lru",
    maxsize: int | None = 128,
    key: Callable[..., Hashable] | None = None,
    typed: bool = False,
    ttl: float | None = None,
    *,
    getsizeof: Callable[[Any], int] | None = None,
    seed: int = 0,
    params: str = "",
    timer: Callable[[], float] | None = None,
) -> Callable[[Callable[..., R]], CachedFunction[R]]: ...
def cached(
    policy: Any = "lru",
    maxsize: int | None = 128,
    key: Callable[..., Hashable] | None = None,
    typed: bool = False,
    ttl: float | None = None,
    *,
    getsizeof: Callable[[Any], int] | None = None,
    seed: int = 0,
    params: str = "",
    timer: Callable[[], float] | None = None,
) -> Any:
    """Return a decorator that remembers what a function, method or ``async def`` function returned for its arguments.

    >>> @cached("s3fifo", maxsize=1000)
    ... def square(x):
    ...     return x * x
    >>> square(3), square(3), square.cache_info()
    (9, 9, CacheInfo(hits=1, misses=1, maxsize=1000, currsize=1))

    ``policy``: as for :class:`Cache`, or a Cache to use (then the settings are its own); ``@cached`` alone works too. ``key``: called with
    the arguments, returns what to remember the result by, as the functions of cachetools.keys; by default the arguments themselves (as in
    functools: named ones in the order given; a method's object is one). ``typed``: arguments of different types are different (of no
    effect with a key). The rest is as for Cache. The decorated function has cache_info, cache_clear, cache_parameters, ``__wrapped__``,
    ``cache`` and ``cache_key``.

    Of the calls for one missing key one is made at a time: the others wait, and find what it returned. Where it raised, or the value was
    not kept, they are made in turn; exceptions are not remembered, values that do not fit are returned only. Coroutines wait for those of
    their own event loop. A hit costs about as much as one of functools.lru_cache, a miss twice as much. ValueError: as Cache.
    """
    bare = callable(policy) and not isinstance(policy, type | Cache) and not callable(getattr(policy, "evict", None))
    kind = "lru" if bare else policy
    if not bare and callable(maxsize):
        raise TypeError("cached is used as @cached, @cached() or @cached(policy, maxsize, ...)")
    made = kind if isinstance(kind, Cache) else None

    def decorator(function: Callable[..., Any]) -> Any:
        cache = Cache(kind, maxsize, getsizeof, ttl, seed, params, timer=timer) if made is None else made
        return _decorate(function, cache, key, typed)

    return decorator(policy) if bare else decorator
