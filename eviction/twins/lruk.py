"""LRU-K (O'Neil, O'Neil and Weikum, The LRU-K page replacement algorithm for database disk buffering, SIGMOD 1993, section 2.1)."""

from __future__ import annotations


class LruK:
    """A cache of keys with weights. times: key -> [h1 .. hK, last use], in requests; remembered: those of evicted keys, oldest first."""

    def __init__(self, capacity: int, k: int = 2, crp: float = 0, history: float = 1) -> None:
        """Start empty; capacity in weight units; crp: uses within so many requests are correlated."""
        self.c, self.k, self.crp, self.now = capacity, k, crp, 0
        self.history_most = int(capacity * history + 1)
        self.weight: dict[int, int] = {}
        self.times: dict[int, list[int]] = {}
        self.remembered: dict[int, list[int]] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self.now += 1
        if key in self.weight:
            self._use(self.times[key])
            return True
        if weight > self.c:
            return False
        times = self.remembered.pop(key, [0] * (self.k + 1))
        while sum(self.weight.values()) + weight > self.c:
            self._evict()
        self._use(times)
        self.weight[key], self.times[key] = weight, times
        return False

    def _use(self, t: list[int]) -> None:
        if self.now - t[self.k] > self.crp or not t[0]:
            period = t[self.k] - t[0]
            t[1 : self.k] = [h + period if h else 0 for h in t[: self.k - 1]]
            t[0] = self.now
        t[self.k] = self.now

    def _evict(self) -> None:
        victim = min(self.weight, key=lambda key: (self.times[key][self.k - 1], self.times[key][0]))
        del self.weight[victim]
        if len(self.remembered) == self.history_most:
            del self.remembered[next(iter(self.remembered))]
        self.remembered[victim] = self.times.pop(victim)

    def dump(self) -> str:
        """Return the residents with h1 and hK and the remembered, newest first, as the native policy writes them."""
        text = "".join(f" {key}/{self.times[key][0]}/{self.times[key][self.k - 1]}" for key in reversed(self.weight))
        old = "".join(f" {key}" for key in reversed(self.remembered))
        return f"lru-k: now={self.now}\nin order of arrival, newest first:{text}\nremembered:{old}\n"
