"""CLOCK (Corbató, A paging experiment with the Multics system, 1968) with a counter of n bits; as a queue, it is FIFO with reinsertion."""

from __future__ import annotations


class Clock:
    """A cache of keys with weights; the hand points at the oldest of the queue: key -> [weight, count]."""

    name = "clock"

    def __init__(self, capacity: int, bits: int = 1, reach: int = 4096) -> None:
        """Start empty; capacity in weight units; reach: steps of the hand in one eviction, then who it is at leaves."""
        self.capacity, self.most, self.reach = capacity, 2**bits - 1, reach
        self.queue: dict[int, list[int]] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.queue:
            self.queue[key][1] = min(self.most, self.queue[key][1] + 1)
            return True
        if weight > self.capacity:
            return False
        while sum(w for w, _ in self.queue.values()) + weight > self.capacity:
            self._evict()
        self.queue[key] = [weight, 0]
        return False

    def _evict(self) -> None:
        for _ in range(self.reach):
            oldest = next(iter(self.queue))
            weight, count = self.queue[oldest]
            if not count:
                break
            del self.queue[oldest]
            self.queue[oldest] = [weight, count - 1]
        del self.queue[next(iter(self.queue))]

    def dump(self) -> str:
        """Return the keys, newest first, counts behind a slash, as the native policy writes them."""
        counts = {key: f"/{count}" if count else "" for key, (_, count) in self.queue.items()}
        return f"{self.name}:" + "".join(f" {key}{counts[key]}" for key in reversed(self.queue)) + "\n"


class Reinsertion(Clock):
    """The same under its other name."""

    name = "fifo-reinsertion"
