"""LRU-K (O'Neil, O'Neil and Weikum, The LRU-K page replacement algorithm for database disk buffering, SIGMOD 1993, figure 2.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class History:
    """When the last K uncorrelated uses of a key were, newest first, 0 where there was none, and when its last use of all was."""

    hist: list[int]
    last: int = 0

    def use(self, now: int, after: int) -> None:
        """Count a new use; after: how long the one before went on, in correlated uses, which does not count as time between the two."""
        self.hist = [now] + [h + after if h else 0 for h in self.hist[:-1]]
        self.last = now


class LruK:
    """A cache of keys with weights; the time is in requests.

    crp: the correlated reference period, in requests a resident; rip: the retained information period, how long history is kept after
    the last use, in requests (0: for ever); history: of how many evicted keys, in units of capacity.
    """

    def __init__(self, capacity: int, k: int = 2, crp: float = 0.2, rip: int = 0, history: float = 1) -> None:
        """Start empty; capacity in weight units."""
        self.c, self.k, self.crp, self.rip, self.now = capacity, k, crp, rip, 0
        self.retained_most = int(capacity * history + 1)
        self.weight: dict[int, int] = {}
        self.of: dict[int, History] = {}
        self.recent: dict[int, None] = {}  # residents in the middle of correlated uses, the least recently used first
        self.retained: dict[int, History] = {}  # of keys that are not resident, in order of eviction

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self._tick()
        if key in self.weight:
            h = self.of[key]
            if key in self.recent:  # a correlated use
                h.last = self.now
                del self.recent[key]
            else:
                h.use(self.now, h.last - h.hist[0])
            self._used(key)
            return True
        if weight > self.c:
            return False
        h = self.retained.pop(key, History([0] * self.k))
        if self.rip and self.now - h.last > self.rip:
            h = History([0] * self.k)
        while sum(self.weight.values()) + weight > self.c:
            self._evict()
        h.use(self.now, 0)
        self.weight[key], self.of[key] = weight, h
        self._used(key)
        return False

    def _used(self, key: int) -> None:
        if self.crp:
            self.recent[key] = None

    def _tick(self) -> None:
        self.now += 1
        period = int(self.crp * len(self.weight))
        for key in list(self.recent)[:2]:
            if self.now - self.of[key].last > period:
                del self.recent[key]

    def _order(self, key: int) -> tuple[int, int]:
        """The backward K-distance, the farthest first: the K-th last use; of those that have none the least recently used."""
        return self.of[key].hist[-1], self.of[key].last

    def _evict(self) -> None:
        eligible = [key for key in self.weight if key not in self.recent]
        victim = min(eligible, key=self._order) if eligible else next(iter(self.recent))
        del self.weight[victim]
        self.recent.pop(victim, None)
        if len(self.retained) == self.retained_most:
            del self.retained[next(iter(self.retained))]
        self.retained[victim] = self.of.pop(victim)

    def dump(self) -> str:
        """Return the residents by kind, the next victim last, and the retained, as the native policy writes them."""
        order = sorted((key for key in self.weight if key not in self.recent), key=self._order, reverse=True)
        lines = {
            "recent": [str(key) for key in reversed(self.recent)],
            "once": [str(key) for key in order if not self.of[key].hist[-1]],
            "ranked": [f"{key}/{self.of[key].hist[-1]}" for key in order if self.of[key].hist[-1]],
            "retained": [str(key) for key in reversed(self.retained)],
        }
        return f"lru-k: now={self.now}\n" + "".join(" ".join([f"{name}:", *keys]) + "\n" for name, keys in lines.items())
