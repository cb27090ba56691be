"""A cache for people: any hashable key, any value, any policy, bounded by entries or by weight, safe to share between threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, MutableMapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, TypeVar, overload

from .native_front import Front
from .registry import player

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")
BATCH = 256  # hits gathered before the policy hears of them; always before it decides anything
MOST_ENTRIES = 1 << 16  # of a cache that is bounded by weight
_MASK = 2**64 - 1
_MISSING: Any = object()


@dataclass(frozen=True)
class CacheStats:
    """Counts since the cache was made or cleared. weight: of what is in it now."""

    hits: int
    misses: int
    evictions: int
    expirations: int
    bypassed: int
    ghost_hits: int
    entries: int
    weight: int

    @property
    def hit_ratio(self) -> float:
        """Hits in all look-ups; 0.0 without any."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0


class Cache(MutableMapping[K, V], Generic[K, V]):
    """A mapping that forgets. Look-ups take a dict look-up; the policy, in C, hears of hits in batches, in order, before it decides.

    policy: a kind of `eviction.POLICIES` or a Python class as `eviction.register` takes it. maxsize: entries, or with getsizeof the sum
    of getsizeof(value). ttl: seconds that an entry lives, by timer(). Policies that admit not everything may drop what was just set.

    >>> cache = Cache("lru", maxsize=2)
    >>> cache["a"] = 1; cache["b"] = 2; cache["a"], cache.get("c"); cache["c"] = 3
    (1, None)
    >>> sorted(cache), "b" in cache
    (['a', 'c'], False)
    """

    def __init__(
        self,
        policy: Any = "lru",
        maxsize: int = 1024,
        getsizeof: Callable[[V], int] | None = None,
        ttl: float | None = None,
        *,
        timer: Callable[[], float] = time.monotonic,
        seed: int = 0,
        params: str = "",
        max_entries: int | None = None,
    ) -> None:
        """ValueError for an unknown policy, a size below 0 or not an integer, a ttl that is not above 0."""
        if not isinstance(maxsize, int) or isinstance(maxsize, bool) or maxsize < 0:
            raise ValueError(f"maxsize is {maxsize!r}; allowed: an integer of 0 and more")
        if ttl is not None and not ttl > 0:
            raise ValueError(f"ttl is {ttl!r}; allowed: None or seconds above 0")
        self._play, self._seed, self._params = player(policy), seed, params
        if self._play.bound:
            raise ValueError(f"{self._play.name!r} knows the future: it is for replay alone")
        self._getsizeof, self._ttl, self._timer = getsizeof, ttl, timer
        self._most = max_entries if max_entries is not None else (MOST_ENTRIES if getsizeof else maxsize)
        self._lock = threading.RLock()
        self._hear: Callable[[str, Any], None] | None = None
        self._begin(maxsize)

    def _begin(self, maxsize: int) -> None:
        self._maxsize = maxsize
        slots = max(1, min(self._most, maxsize) if self._getsizeof else maxsize)
        self._front = Front(
            self._play.address,
            self._play.name,
            maxsize,
            slots,
            unit=self._getsizeof is None,
            seed=self._seed,
            params=self._params,
        )
        self._index: dict[K, tuple[int, V, float]] = {}  # slot, value, when it ends
        self._keys: dict[int, K] = {}  # slot -> key
        self._pending: list[int] = []
        self._hits = self._evictions = self._expirations = self._bypassed = 0
        self._misses = count()
        if self._hear is not None:
            self.events(self._hear)

    # Looking

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: V | D) -> V | D: ...
    def get(self, key: K, default: Any = None) -> Any:
        """Return the value, or default when it is not there (any more)."""
        entry = self._index.get(key)
        if entry is None:
            next(self._misses)
            return default
        if self._ttl is not None and self._timer() >= entry[2]:
            return self._expired(key, entry, default)
        pending = self._pending
        pending.append(entry[0])
        if len(pending) >= BATCH:
            self._tell()
        return entry[1]

    def __getitem__(self, key: K) -> V:
        value: V = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        entry = self._index.get(key)  # type: ignore[arg-type]
        return entry is not None and (self._ttl is None or self._timer() < entry[2])

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._index))

    def __repr__(self) -> str:
        return f"Cache({self._play.name!r}, maxsize={self._maxsize}, {len(self)} entries)"

    def _tell(self) -> None:
        """Tell the policy of the hits so far."""
        with self._lock:
            slots = self._pending[:]
            del self._pending[: len(slots)]
            self._hits += len(slots)
            self._front.hits(slots)

    def _expired(self, key: K, entry: tuple[int, V, float], default: Any) -> Any:
        with self._lock:
            if self._index.get(key) is entry:
                self._tell()
                self._drop(key)
                self._expirations += 1
        next(self._misses)
        return default

    # Changing

    def __setitem__(self, key: K, value: V) -> None:
        weight = self._weigh(value)
        with self._lock:
            if self._pending:
                self._tell()
            old = self._index.get(key)
            ends = 0.0 if self._ttl is None else self._timer() + self._ttl
            if old is not None and self._getsizeof is None:
                self._index[key] = (old[0], value, ends)
                self._pending.append(old[0])
                self._hits -= 1  # a change is a use, but no look-up
                return
            if old is not None:
                self._drop(key)
            self._admit(key, value, weight, ends)

    def _weigh(self, value: V) -> int:
        if self._getsizeof is None:
            weight = 1
        else:
            weight = self._getsizeof(value)
            if not isinstance(weight, int) or isinstance(weight, bool) or weight < 0:
                raise ValueError(f"getsizeof gave {weight!r}; allowed: an integer of 0 and more")
        if weight > self._maxsize:
            raise ValueError(f"value too large: it weighs {weight}, maxsize is {self._maxsize}")
        return max(weight, 1)

    def _admit(self, key: K, value: V, weight: int, ends: float) -> None:
        number = key & _MASK if isinstance(key, int) else hash(key) & _MASK
        slot, victims = self._front.admit(number, weight)
        for victim in victims:
            self._forget(victim)
        self._evictions += len(victims)
        if slot is None:
            self._bypassed += 1
            return
        self._index[key] = (slot, value, ends)
        self._keys[slot] = key

    def _forget(self, slot: int) -> None:
        del self._index[self._keys.pop(slot)]

    def _drop(self, key: K) -> V:
        slot, value, _ = self._index.pop(key)
        del self._keys[slot]
        self._front.drop(slot)
        return value

    def __delitem__(self, key: K) -> None:
        with self._lock:
            self._tell()
            self._drop(key)

    def pop(self, key: K, default: Any = _MISSING) -> Any:
        """Take a key out and return its value; KeyError when it is not there and no default is given."""
        with self._lock:
            self._tell()
            if key in self:
                return self._drop(key)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Take out the entry that was set first, and return it. KeyError when the cache is empty."""
        with self._lock:
            key = next(iter(self._index), _MISSING)
            if key is _MISSING:
                raise KeyError(f"{self!r} is empty")
            return key, self.pop(key)

    def setdefault(self, key: K, default: Any = None) -> Any:
        """Return the value of a key, after setting it to default when it is not there. One step for other threads."""
        with self._lock:
            value = self.get(key, _MISSING)
            if value is _MISSING:
                self[key] = value = default
            return value

    def clear(self) -> None:
        """Forget everything, the policy's history and the counts too."""
        with self._lock:
            self._begin(self._maxsize)

    def invalidate(self, wanted: Callable[[K], bool]) -> int:
        """Take out every key for which wanted(key) is true; returns how many."""
        with self._lock:
            self._tell()
            keys = [key for key in self._index if wanted(key)]
            for key in keys:
                self._drop(key)
            return len(keys)

    def resize(self, maxsize: int) -> None:
        """Change the size. Smaller evicts; larger than the cache was made for starts the policy's history anew, with the entries kept."""
        if not isinstance(maxsize, int) or maxsize < 0:
            raise ValueError(f"maxsize is {maxsize!r}; allowed: an integer of 0 and more")
        with self._lock:
            self._tell()
            if maxsize > self._maxsize and self._getsizeof is None:
                entries, counts = self._index, (self._hits, self._evictions, self._expirations, self._bypassed, self._misses)
                self._most = max(self._most, maxsize)
                self._begin(maxsize)
                self._hits, self._evictions, self._expirations, self._bypassed, self._misses = counts
                for key, (_, value, ends) in entries.items():
                    self._admit(key, value, 1, ends)
                return
            for slot in self._front.shrink(maxsize):
                self._forget(slot)
                self._evictions += 1
            self._maxsize = maxsize

    def pin(self, key: K) -> None:
        """Keep a key from being evicted until it is unpinned as often; KeyError when it is not there."""
        with self._lock:
            self._tell()
            self._front.pin(self._index[key][0], 1)

    def unpin(self, key: K) -> None:
        """Take a pin back; KeyError when the key is not there."""
        with self._lock:
            self._front.pin(self._index[key][0], -1)

    # Looking inside

    @property
    def maxsize(self) -> int:
        """The bound: entries, or weight with getsizeof."""
        return self._maxsize

    @property
    def currsize(self) -> int:
        """The weight of what is in it (the number of entries without getsizeof)."""
        return self._front.used()

    def stats(self) -> CacheStats:
        """Return counts so far."""
        with self._lock:
            self._tell()
            misses = int(repr(self._misses)[6:-1])
            now = (len(self._index), self._front.used())
            return CacheStats(self._hits, misses, self._evictions, self._expirations, self._bypassed, self._front.ghost_hits(), *now)

    def dump(self) -> str:
        """Return the policy's queues in text; keys are shown as the numbers that the policy knows (an int is its own)."""
        with self._lock:
            self._tell()
            return self._front.dump()

    def events(self, hear: Callable[[str, Any], None] | None) -> None:
        """Call hear(event, key) from now on: admit, hit, promote, demote, ghost hit, evict, remove, bypass. None ends it.

        The key is None where only the policy remembers it. Hits are heard when the policy hears of them.
        """
        with self._lock:
            self._tell()
            self._hear = hear
            if hear is None:
                self._front.listen(None)
            else:
                listener = hear
                self._front.listen(lambda kind, _, slot: listener(kind, None if slot is None else self._keys.get(slot)))
