"""W-TinyLFU (Einziger, Friedman and Manes, TOS 2017, section 4) with a window that climbs (Einziger et al., Middleware 2018, section 4.2).

Beside the papers: a warm candidate that would be rejected is let in once in 128, against flooding of the sketch (as Caffeine does).
"""

from __future__ import annotations

from .sketch import Sketch, splitmix

WARM = 6
Queue = dict[int, int]


class WTinyLfu:
    """A cache of keys with weights. window, probation, protected: key -> weight, oldest first; share: of the window, in capacity."""

    def __init__(
        self,
        capacity: int,
        window: float = 0.01,
        protected: float = 0.8,
        *,
        adaptive: bool = True,
        aging: float = 10,
        sample: float = 10,
        step: float = 0.0625,
        decay: float = 0.98,
        restart: float = 0.05,
        slots: int | None = None,
        seed: int = 0,
    ) -> None:
        """Start empty; capacity in weight units; slots: residents that the sketch is made for."""
        n = capacity if slots is None else slots
        self.c, self.share, self.protected_share, self.adaptive = capacity, window, protected, adaptive
        self.sketch, self.random = Sketch(n, aging, seed), seed
        self.sample = int(n * sample)
        self.sample += 16 if self.sample < 16 else 0
        self.first_step, self.step, self.decay, self.restart = step, step, decay, restart
        self.last_ratio: float | None = None
        self.hits = self.requests = 0
        self.window: Queue = {}
        self.probation: Queue = {}
        self.protected: Queue = {}
        self._shares()

    def _shares(self) -> None:
        self.window_most = min(self.c, max(1, int(self.share * self.c)))
        self.protected_most = int((self.c - self.window_most) * self.protected_share)

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.window:
            self.window[key] = self.window.pop(key)
        elif key in self.protected:
            self.protected[key] = self.protected.pop(key)
        elif key in self.probation:
            self.protected[key] = self.probation.pop(key)
            self._settle()
        else:
            self._asked(key, hit=False)
            if weight <= self.c:
                while sum(map(_size, (self.window, self.probation, self.protected))) + weight > self.c:
                    self._evict(weight)
                self.window[key] = weight
                self._settle()
            return False
        self._asked(key, hit=True)
        return True

    def _settle(self) -> None:
        """Bring the window and protected down to their shares, into probation."""
        for queue, most, least in ((self.window, self.window_most, 1), (self.protected, self.protected_most, 0)):
            while _size(queue) > most and len(queue) > least:
                key = next(iter(queue))
                self.probation[key] = queue.pop(key)

    def _asked(self, key: int, *, hit: bool) -> None:
        self.sketch.add(key)
        self.hits += hit
        self.requests += 1
        if self.requests >= self.sample and self.adaptive:
            self._climb()

    def _climb(self) -> None:
        """Move the window's border on while the hit ratio grows, back when it falls."""
        ratio = self.hits / self.requests
        self.hits = self.requests = 0
        if self.last_ratio is not None:
            change = ratio - self.last_ratio
            if change < 0:
                self.step = -self.step
            self.share = min(0.8, max(0.0, self.share + self.step))
            size = self.first_step if abs(change) >= self.restart else abs(self.step) * self.decay
            self.step = -size if self.step < 0 else size
            self._shares()
            self._settle()
        self.last_ratio = ratio

    def _evict(self, coming: int) -> None:
        """The window's oldest against the oldest of main; only the loser leaves."""
        main = self.probation or self.protected
        if (main and _size(self.window) + coming <= self.window_most) or not self.window:
            del main[next(iter(main))]
            return
        candidate = next(iter(self.window))
        if main and self._admit(candidate, victim := next(iter(main))):
            del main[victim]
            self.probation[candidate] = self.window.pop(candidate)
        else:
            del self.window[candidate]

    def _admit(self, candidate: int, victim: int) -> bool:
        mine = self.sketch.count(candidate)
        if mine > self.sketch.count(victim):
            return True
        if mine < WARM:
            return False
        self.random, drawn = splitmix(self.random)
        return drawn & 127 == 0

    def dump(self) -> str:
        """Return the three queues, newest first, as the native policy writes them."""
        rows = (("window", self.window), ("probation", self.probation), ("protected", self.protected))
        text = "".join(f"{name}:" + "".join(f" {key}" for key in reversed(queue)) + "\n" for name, queue in rows)
        return f"wtinylfu: window={self.window_most}\n{text}"


def _size(queue: Queue) -> int:
    return sum(queue.values())
