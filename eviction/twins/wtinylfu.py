"""W-TinyLFU (Einziger, Friedman and Manes, TOS 2017, section 4) with a window that climbs (after Einziger et al., Middleware 2018).

Beside the papers: the climber goes by what window and main lost of late, not by the hit ratios of samples; what is too heavy for the
window meets main's oldest at once. Why, and how far other programs are from it (Caffeine's adaptive ones have 1.4 and 1.6 points less,
libCacheSim's static one 3.4), is in csrc/wtinylfu.c.
"""

from __future__ import annotations

from .sketch import Sketch

MOST_WINDOW = 0.8
Queue = dict[int, int]


class WTinyLfu:
    """A cache of keys with weights. window, probation, protected, and the ghosts rejected and evicted: key -> weight, oldest first."""

    def __init__(
        self,
        capacity: int,
        window: float = 0.01,
        protected: float = 0.8,
        *,
        adaptive: float = 1,
        aging: float = 10,
        slots: int | None = None,
        seed: int = 0,
    ) -> None:
        """Start empty; capacity in weight units; slots: how many residents sketch and ghosts are made for."""
        self.c, self.protected_share, self.adaptive = capacity, protected, bool(adaptive)
        self.slots = capacity if slots is None else slots
        self.sketch = Sketch(self.slots, aging, seed)
        self.window: Queue = {}
        self.probation: Queue = {}
        self.protected: Queue = {}
        self.rejected: Queue = {}
        self.evicted: Queue = {}
        self.window_most = self._at_least_one(int((min(window, MOST_WINDOW) if adaptive else window) * capacity))
        self.depth = self._at_least_one(capacity // 16)

    def _at_least_one(self, share: int) -> int:
        return share or min(1, self.c)

    @property
    def protected_most(self) -> int:
        """What protected may weigh."""
        return int((self.c - self.window_most) * self.protected_share)

    @property
    def used(self) -> int:
        """What the residents weigh."""
        return _size(self.window) + _size(self.probation) + _size(self.protected)

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self.sketch.add(key)
        if key in self.window:
            self.window[key] = self.window.pop(key)
        elif key in self.protected:
            self.protected[key] = self.protected.pop(key)
        elif key in self.probation:
            self.protected[key] = self.probation.pop(key)
            self._settle()
        else:
            if weight <= self.c:
                self._miss(key, weight)
            return False
        return True

    def _miss(self, key: int, weight: int) -> None:
        self._climb(key, weight)
        residents = len(self.window) + len(self.probation) + len(self.protected)
        part = self.window
        if weight > self.window_most and weight * residents > self.used:  # too heavy for the window
            part = self.probation
            main = self.probation or self.protected
            if self.used + weight > self.c and main and not self.sketch.admits(key, next(iter(main))):
                self._remember(self.rejected, key, weight)
                return
        while self.used + weight > self.c:
            self._evict(weight if part is self.window else 0)
        part[key] = weight
        self._settle()

    def _settle(self) -> None:
        """Bring the window and protected down to their shares, into probation."""
        for queue, most, least in ((self.window, self.window_most, 1), (self.protected, self.protected_most, 0)):
            while _size(queue) > most and len(queue) > least:
                key = next(iter(queue))
                self.probation[key] = queue.pop(key)

    def _climb(self, key: int, weight: int) -> None:
        """A request for what the window lost makes it larger, for what main lost smaller."""
        if key in self.rejected:
            del self.rejected[key]
            most = self._at_least_one(int(MOST_WINDOW * self.c))
            self.window_most = max(self.window_most, min(most, self.window_most + weight))
        elif key in self.evicted:
            del self.evicted[key]
            self.window_most = max(1, self.window_most - weight)
        self._settle()

    def _remember(self, ghosts: Queue, key: int, weight: int) -> None:
        if self.adaptive:
            while ghosts and (_size(ghosts) + weight > self.depth or len(ghosts) > self.slots // 16):
                del ghosts[next(iter(ghosts))]
            ghosts[key] = weight

    def _evict(self, coming: int) -> None:
        """The window's oldest against the oldest of main; only the loser leaves."""
        self.sketch.fit(len(self.window) + len(self.probation) + len(self.protected))
        main = self.probation or self.protected
        part, ghosts = main, self.evicted
        if self.window and (not main or _size(self.window) + coming > self.window_most):
            candidate = next(iter(self.window))
            if main and self.sketch.admits(candidate, next(iter(main))):
                self.probation[candidate] = self.window.pop(candidate)
            else:
                part, ghosts = self.window, self.rejected
        key = next(iter(part))
        self._remember(ghosts, key, part.pop(key))

    def dump(self) -> str:
        """Return the queues, newest first, as the native policy writes them."""
        names = ("window", "probation", "protected", *("rejected", "evicted") * self.adaptive)
        text = "".join(f"{name}:" + "".join(f" {key}" for key in reversed(getattr(self, name))) + "\n" for name in names)
        return f"wtinylfu: window={self.window_most}\n{text}"


def _size(queue: Queue) -> int:
    return sum(queue.values())
