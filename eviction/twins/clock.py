"""CLOCK, or second chance (Corbató, A paging experiment with the Multics system, 1968): FIFO with a reference bit."""

from __future__ import annotations


class Clock:
    """A cache of keys with weights; the hand points at the oldest of the queue."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.capacity = capacity
        self.queue: dict[int, int] = {}
        self.referenced: set[int] = set()

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.queue:
            self.referenced.add(key)
            return True
        if weight > self.capacity:
            return False
        while sum(self.queue.values()) + weight > self.capacity:
            oldest = next(iter(self.queue))
            spared = self.queue.pop(oldest)
            if oldest in self.referenced:
                self.referenced.remove(oldest)
                self.queue[oldest] = spared
        self.queue[key] = weight
        return False

    def dump(self) -> str:
        """Return the keys, newest first, a star at the referenced ones, as the native policy writes them."""
        return "clock:" + "".join(f" {key}{'*' * (key in self.referenced)}" for key in reversed(self.queue)) + "\n"
