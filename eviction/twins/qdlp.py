"""QD-LP-FIFO (Yang et al., FIFO can be better than LRU: the power of lazy promotion and quick demotion, HotOS 2023, section 4).

Where the paper is silent: each part makes its own room (M for a ghost that comes back and for what P hands over); until the first
eviction a key for which P has no room goes to M, as in S3-FIFO's program of the same authors; a key that goes to M starts without counts;
shares are rounded down, but are at least 1.
"""

from __future__ import annotations

from .lists import Queue, add_ghost, line, move, oldest, pop_oldest, share, size


class QdLp:
    """A cache of keys with weights. P: probation, a FIFO; M: a CLOCK of some bits; G: ghosts of P; count: hits, as far as the bits go."""

    def __init__(self, capacity: int, probation: float = 0.1, bits: int = 2) -> None:
        """Start empty; capacity in weight units; probation: P's share of it."""
        self.capacity, self.most = capacity, (1 << bits) - 1
        self.probation = share(capacity, probation)
        self.main = max(0, capacity - self.probation)
        self.p: Queue = {}
        self.m: Queue = {}
        self.g: Queue = {}
        self.count: dict[int, int] = {}
        self.warm = False  # something was evicted

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.count:
            self.count[key] = min(self.most, self.count[key] + 1)
            return True
        if weight > self.capacity:
            return False
        again = self.g.pop(key, 0)
        while size(self.p, self.m) + weight > self.capacity:
            self._evict(weight if again else 0)
        filling = not self.warm and size(self.p) >= self.probation
        (self.m if again or filling else self.p)[key] = weight
        self.count[key] = 0
        return False

    def _evict(self, coming: int) -> None:
        self.warm = True
        while self.p and size(self.m) + coming <= self.main:
            if not self.count[oldest(self.p)]:
                break
            self.count[oldest(self.p)] = 0
            move(oldest(self.p), self.p, self.m)
        if self.p and (size(self.m) + coming <= self.main or not self.m):  # quick demotion
            del self.count[oldest(self.p)]
            add_ghost(self.g, *pop_oldest(self.p), self.main)
            return
        while self.count[oldest(self.m)]:  # lazy promotion
            self.count[oldest(self.m)] -= 1
            move(oldest(self.m), self.m, self.m)
        del self.count[pop_oldest(self.m)[0]]

    def dump(self) -> str:
        """Return the queues, newest first, a star for each count, as the native policy writes them."""
        return "qdlp\n" + line("P", self.p, self.count) + line("M", self.m, self.count) + line("G", self.g)
