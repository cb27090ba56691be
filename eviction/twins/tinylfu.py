"""TinyLFU admission (Einziger, Friedman and Manes, TOS 2017, sections 2 and 3) in front of LRU.

A newcomer comes in only when it was asked for more often of late than the key that would leave for it. That one, the least recent, is taken
out of LRU once a newcomer asks for its place, and waits for the next one when it wins. A hit makes it the most recent again, as anywhere
in LRU. The native filter does the same in front of any policy.
"""

from __future__ import annotations

from .sketch import Sketch


class TinyLfu:
    """A cache of keys with weights. queue: the LRU behind the filter, oldest first; waiting: its victim that is still here, if any."""

    def __init__(self, capacity: int, *, slots: int | None = None, seed: int = 0) -> None:
        """Start empty; capacity in weight units; slots: how many residents the sketch is made for."""
        self.capacity = capacity
        self.sketch = Sketch(capacity if slots is None else slots, seed=seed)
        self.queue: dict[int, int] = {}
        self.waiting: dict[int, int] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self.sketch.add(key)
        for part in (self.queue, self.waiting):
            if key in part:
                self.queue[key] = part.pop(key)
                return True
        if weight > self.capacity:
            return False
        if self._used() + weight > self.capacity:
            self.sketch.fit(len(self.queue) + len(self.waiting))
            if not self.waiting:
                oldest = next(iter(self.queue))
                self.waiting[oldest] = self.queue.pop(oldest)
            if not self.sketch.admits(key, next(iter(self.waiting))):
                return False
        while self._used() + weight > self.capacity:
            part = self.waiting or self.queue
            del part[next(iter(part))]
        self.queue[key] = weight
        return False

    def _used(self) -> int:
        return sum(self.queue.values()) + sum(self.waiting.values())

    def dump(self) -> str:
        """Return who waits and the queue, newest first, as the native policy writes them."""
        return "".join(
            f"{name}:" + "".join(f" {key}" for key in reversed(part)) + "\n"
            for name, part in (("tinylfu: waiting", self.waiting), ("lru", self.queue))
        )
