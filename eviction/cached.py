"""Memoise a function with any policy, by the habits of `functools.lru_cache` and `cachetools.cached`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar, cast

from .cache import Cache

F = TypeVar("F", bound=Callable[..., Any])
_MISSING: Any = object()
_KWARGS = object()


class CacheInfo(NamedTuple):
    """As of `functools.lru_cache`."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


def make_key(args: tuple[Any, ...], kwargs: dict[str, Any], typed: bool = False) -> Hashable:
    """Return the key of a call: a single int or str as it is, else a tuple of arguments (and with typed, of their types)."""
    if not kwargs and not typed:
        return args[0] if len(args) == 1 and type(args[0]) in (int, str) else args
    key = args if not kwargs else (*args, _KWARGS, *kwargs.items())
    return (*key, *map(type, args), *map(type, kwargs.values())) if typed else key


class _Flight:
    """A call under way, and what it gave: _MISSING when it raised."""

    def __init__(self) -> None:
        self.done, self.value = threading.Event(), _MISSING


class _Flights:
    """One call a key at a time: who comes meanwhile waits for the first one's result, or makes the call itself when that one raised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Hashable, _Flight] = {}

    def take(self, key: Hashable) -> _Flight | None:
        """Return None to the first caller, who must land; to others its flight, once it has landed."""
        with self._lock:
            flight = self._open.get(key)
            if flight is None:
                self._open[key] = _Flight()
                return None
        flight.done.wait()
        return flight

    def land(self, key: Hashable, value: Any) -> None:
        """The first is done, one way or the other."""
        with self._lock:
            flight = self._open.pop(key)
        flight.value = value
        flight.done.set()


def cached(
    policy: Any = "lru",
    maxsize: int | None = 128,
    *,
    key: Callable[..., Hashable] | None = None,
    typed: bool = False,
    ttl: float | None = None,
    seed: int = 0,
    params: str = "",
) -> Callable[[F], F]:
    """Decorate a function or coroutine function: results are kept, exceptions are not; a missing key is computed by one thread at a time.

    key(*args, **kwargs): what a call is known by, default its arguments. maxsize None: no bound. The function gets cache_info(),
    cache_clear(), cache_parameters() and __wrapped__. A plain LRU takes `functools.lru_cache` itself, with its speed.

    >>> @cached("sieve", maxsize=100)
    ... def square(x): return x * x
    >>> square(3), square(3), square.cache_info()
    (9, 9, CacheInfo(hits=1, misses=1, maxsize=100, currsize=1))
    """

    def decorate(function: F) -> F:
        name = policy if isinstance(policy, str) else getattr(policy, "__name__", repr(policy))
        told = {"policy": name, "maxsize": maxsize, "typed": typed, "ttl": ttl}
        if inspect.iscoroutinefunction(function):
            made = _coroutine(function, _store(policy, maxsize, ttl, seed, params), key, typed)
        elif (policy == "lru" or maxsize is None) and key is None and ttl is None:
            made = _plain(function, maxsize, typed)
        else:
            made = _function(function, _store(policy, maxsize, ttl, seed, params), key, typed)
        made.cache_parameters = lambda: dict(told)  # type: ignore[attr-defined]
        return cast("F", functools.update_wrapper(made, function))

    return decorate


def _store(policy: Any, maxsize: int | None, ttl: float | None, seed: int, params: str) -> Cache[Hashable, Any]:
    if maxsize is None:
        raise ValueError("maxsize is None; allowed with a ttl, a key or a coroutine: an integer of 0 and more")
    return Cache(policy, maxsize, ttl=ttl, seed=seed, params=params)


def _plain(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Callable[..., Any]:
    """An LRU at the speed of the interpreter's own; only misses pass through here."""
    flights = _Flights()

    def compute(*args: Any, **kwargs: Any) -> Any:
        key = make_key(args, kwargs, typed)
        while (flight := flights.take(key)) is not None:
            if flight.value is not _MISSING:
                return flight.value
        value = _MISSING
        try:
            value = function(*args, **kwargs)
            return value
        finally:
            flights.land(key, value)

    return functools.lru_cache(maxsize, typed)(compute)


def _decorated(store: Cache[Hashable, Any], wrapper: Any) -> Any:
    def info() -> CacheInfo:
        stats = store.stats()
        return CacheInfo(stats.hits, stats.misses, store.maxsize, stats.entries)

    wrapper.cache_info, wrapper.cache_clear, wrapper.cache = info, store.clear, store
    return wrapper


def _function(
    function: Callable[..., Any], store: Cache[Hashable, Any], key: Callable[..., Hashable] | None, typed: bool
) -> Callable[..., Any]:
    flights, get = _Flights(), store.get

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        known = key(*args, **kwargs) if key else make_key(args, kwargs, typed)
        value = get(known, _MISSING)
        if value is not _MISSING:
            return value
        while (flight := flights.take(known)) is not None:
            if flight.value is not _MISSING:
                return flight.value
        try:
            value = function(*args, **kwargs)
            if store.maxsize:
                store[known] = value
            return value
        finally:
            flights.land(known, value)

    return cast("Callable[..., Any]", _decorated(store, wrapper))


def _coroutine(
    function: Callable[..., Any], store: Cache[Hashable, Any], key: Callable[..., Hashable] | None, typed: bool
) -> Callable[..., Any]:
    flights: dict[Hashable, asyncio.Future[Any]] = {}

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        known = key(*args, **kwargs) if key else make_key(args, kwargs, typed)
        value = store.get(known, _MISSING)
        if value is not _MISSING:
            return value
        if (flight := flights.get(known)) is not None:
            return await asyncio.shield(flight)
        flights[known] = asyncio.ensure_future(function(*args, **kwargs))
        try:
            value = await flights[known]
            if store.maxsize:
                store[known] = value
            return value
        finally:
            del flights[known]

    return cast("Callable[..., Any]", _decorated(store, wrapper))
