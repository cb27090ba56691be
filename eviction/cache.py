"""A cache for people: a mapping of a bounded size that forgets by any policy, quick and safe among threads."""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from dataclasses import dataclass
from typing import Any, TypeVar

from . import native, registry
from .native_cache import Core, TooLarge

K = TypeVar("K")
V = TypeVar("V")

MAX_SIZE = (1 << 48) - 1
_UNIT_SLOTS = 1 << 20
_WEIGHT_SLOTS = 1 << 14
_UNBOUNDED_SLOTS = 1 << 10


@dataclass(frozen=True)
class CacheStats:
    """What a cache has seen, and what it holds now.

    A request is a get, ``cache[key]`` or setdefault. ``evictions``: entries that left by the policy's choice; ``bypassed``: values that
    it did not admit; ``expirations``: entries whose time was over; ``weight`` and ``pinned`` in the unit of maxsize; ``bytes``: of the
    cache's own memory, keys and values not counted (a policy in Python does not tell its own).
    """

    hits: int
    misses: int
    evictions: int
    ghost_hits: int
    bypassed: int
    expirations: int
    entries: int
    weight: int
    pinned: int
    bytes: int

    @property
    def hit_ratio(self) -> float:
        """Hits per request; 0 before the first."""
        requests = self.hits + self.misses
        return self.hits / requests if requests else 0.0


class _Values(ValuesView[V]):
    _mapping: Cache[Any, V]

    def __iter__(self) -> Iterator[V]:
        return iter([value for _, value in self._mapping._pairs()])

    def __contains__(self, value: object) -> bool:
        return any(held is value or held == value for held in self)


class _Items(ItemsView[K, V]):
    _mapping: Cache[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter(self._mapping._pairs())

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        missing = object()
        held = self._mapping.peek(item[0], missing)
        return held is not missing and bool(held is item[1] or held == item[1])


class Cache(Core[K, V], MutableMapping[K, V]):
    """A mapping that holds at most ``maxsize`` and lets go by a policy.

    >>> cache = Cache("s3fifo", 2)
    >>> cache["a"] = 1
    >>> cache.get("a"), cache.get("b")
    (1, None)

    ``policy``: a kind of ``POLICIES`` that is none of ``BOUNDS``, its settings, a :class:`Policy`, a Python class or an object as for
    :func:`replay`. ``maxsize``: in entries, or in weight where ``getsizeof(value)`` gives one (an integer from 0; 0 counts as 1); up to
    2**48 - 1. ``ttl``: seconds that an entry lives after it was set, unless ``put`` says otherwise; ``timer``: the clock for that, in
    seconds, monotonic. ``seed`` and ``params`` go to the policy.

    A policy knows a key by its hash: results repeat for integers, and for strings under one PYTHONHASHSEED. Iteration, views and ``in`` are
    of one moment, in no order, and neither count nor touch. ``cache[key] = value`` raises TooLarge, a ValueError, where the value alone
    weighs more than maxsize: then nothing changes. A policy may decline a value, and so may a cache whose pinned entries leave no room
    (``put`` tells): then the key is not held. A new value for a key that is held counts as a use, one of another weight as a new entry.

    Threads: every call is atomic, under the interpreter's lock; where the policy is a Python class, under a lock of the cache. Only keys'
    ``__hash__`` and ``__eq__``, getsizeof, the timer and listeners run in between, and they may use the cache. All calls are O(1)
    amortised in the policy's terms; with a ttl O(log entries), and one call lets go of at most 64 expired entries besides its own, but
    ``len``, iteration, ``popitem`` and ``expire`` of all.

    Memory: :attr:`CacheStats.bytes`, 70 to 150 bytes an entry; taken at once for maxsize up to 2**20 entries. Beyond that, and with weights
    beyond 2**14 entries, it doubles when needed; the policy is then made anew and handed the entries in the order in which they would
    have left: no use counts or ghosts come along.
    """

    def __init__(
        self,
        policy: Any = "lru",
        maxsize: int | None = 1000,
        getsizeof: Callable[[V], int] | None = None,
        ttl: float | None = None,
        seed: int = 0,
        params: str = "",
        *,
        timer: Callable[[], float] | None = None,
    ) -> None:
        """Start empty. ``maxsize`` None: no bound. ValueError: an unknown policy (the near names are told), a setting out of range."""
        player = registry.player(policy)
        if player.bound:
            raise registry.ahead(player.name)
        if player.settings is not None:
            seed, params = player.settings
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed is {seed}; allowed: 0 to 2**64 - 1")
        self._maxsize = None if maxsize is None else _size(maxsize)
        self._name, self._ttl = player.name, ttl
        self._bridge = native.Bridge(player.name, player.bridge.cls) if player.bridge else None  # problems are told to their own cache
        address = self._bridge.address if self._bridge else player.address
        slots = _UNBOUNDED_SLOTS if maxsize is None else min(_size(maxsize), _WEIGHT_SLOTS if getsizeof else _UNIT_SLOTS)
        size = MAX_SIZE if self._maxsize is None else self._maxsize
        wait = -1 if ttl is None else _nanoseconds(ttl)
        try:
            self._open(address, size, slots, getsizeof, wait, seed, params, timer, self._trouble(), TooLarge, self._bridge is not None)
        except ValueError:
            if self._bridge and self._bridge.problem:
                raise self._bridge.problem from None
            raise

    def _trouble(self) -> Callable[[int | None], None]:
        name, bridge = self._name, self._bridge

        def trouble(slot: int | None) -> None:
            """Raise what the policy broke: asked after every call (None) and when it evicted no slot that it holds."""
            if bridge and bridge.problem:
                problem, bridge.problem = bridge.problem, None
                raise problem
            if slot is not None:
                what = "no slot" if slot == native.NONE else f"slot {slot}"
                raise native.BrokenPolicy(f"policy {name!r} evicted {what}: not a slot that it holds")

        return trouble

    @property
    def policy(self) -> str:
        """The policy's name."""
        return self._name

    @property
    def maxsize(self) -> int | None:
        """The most that the cache holds; None: no bound."""
        return self._maxsize

    @property
    def currsize(self) -> int:
        """The weight of what it holds."""
        return self._counts()[7]

    @property
    def ttl(self) -> float | None:
        """Seconds that an entry lives unless told otherwise; None: no end."""
        return self._ttl

    def _pairs(self) -> list[tuple[K, V]]:
        self.expire()
        return [(key, value) for key, value, _ in self._items()]

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys held now."""
        return iter([key for key, _ in self._pairs()])

    def values(self) -> ValuesView[V]:
        """Return a view of the values; each iteration is of one moment."""
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        """Return a view of the pairs; each iteration is of one moment."""
        return _Items(self)

    def stats(self) -> CacheStats:
        """Return what was counted since the cache was made."""
        return CacheStats(*self._counts())

    def resize(self, maxsize: int | None) -> None:
        """Change maxsize and evict down to it. ValueError: out of range, or pinned entries weigh more."""
        size = None if maxsize is None else _size(maxsize)
        self._resize(MAX_SIZE if size is None else size)
        self._maxsize = size

    def invalidate(self, predicate: Callable[[K], object] | None = None, *, group: Any = None) -> int:
        """Remove the entries for which ``predicate(key)`` is true, or which were put with this group; return how many.

        O(entries). Looks at what is held when called: what another thread sets meanwhile stays.
        """
        if (predicate is None) == (group is None):
            raise TypeError("invalidate needs a predicate or a group, and not both")
        if predicate is not None:
            return sum(self._discard(key, value) for key, value in self._pairs() if predicate(key))
        return sum(self._discard(key, value) for key, value, held in self._grouped(group) if held is group or held == group)

    def events(self, listener: Callable[[str, K], object] | None) -> None:
        """Call ``listener(event, key)`` after each call for what happened in it; None ends it.

        Events: "admit", "hit", "promote", "demote", "ghost hit", "evict", "remove", "bypass", in order; for a key that is no longer known
        its hash. Held is who was admitted, and neither evicted nor removed since. What the listener raises is reported by
        ``sys.unraisablehook``. It may use the cache. A policy in Python has no "promote", "demote" and "ghost hit".
        """
        self._listen(listener)

    def dump(self) -> str:
        """Return the policy's queues in text, newest first; keys by their repr where they are held, ghosts by their hash."""
        names = {str(number): repr(key) for key, _, number in self._items()}
        return re.sub(r"(?<= )\d+(?![\d.])", lambda found: names.get(found.group(), found.group()), self._dump())

    def check(self) -> str | None:
        """Return None when every invariant of cache and policy holds, else which one does not; for tests. O(entries)."""
        return self._check()

    def __repr__(self) -> str:
        """Return policy, size and bound, without the contents."""
        return f"<{type(self).__name__} {self._name!r}: {self.currsize} of {self._maxsize}>"

    def __reduce__(self) -> Any:
        """Refuse: a cache is not copied or pickled."""
        raise TypeError(f"a {type(self).__name__} is not copied or pickled: copy dict(cache.items())")


def _size(maxsize: int) -> int:
    if not isinstance(maxsize, int) or isinstance(maxsize, bool) or not 0 <= maxsize <= MAX_SIZE:
        raise ValueError(f"maxsize is {maxsize!r}; allowed: an integer from 0 to 2**48 - 1, or None")
    return maxsize


def _nanoseconds(ttl: float) -> int:
    if not ttl > 0:
        raise ValueError(f"ttl is {ttl!r}; allowed: None or seconds above 0")
    return max(1, int(ttl * 1e9)) if ttl < 9e9 else -1
