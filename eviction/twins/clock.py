"""CLOCK (Corbató, A paging experiment with the Multics system, 1968) with a counter of n bits; as a queue, it is FIFO with reinsertion."""

from __future__ import annotations


class Clock:
    """A cache of keys with weights; the hand points at the oldest of the queue: key -> [weight, count]."""

    name = "clock"

    def __init__(self, capacity: int, bits: int = 1) -> None:
        """Start empty; capacity in weight units."""
        self.capacity, self.most = capacity, 2**bits - 1
        self.queue: dict[int, list[int]] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.queue:
            self.queue[key][1] = min(self.most, self.queue[key][1] + 1)
            return True
        if weight > self.capacity:
            return False
        while sum(w for w, _ in self.queue.values()) + weight > self.capacity:
            oldest = next(iter(self.queue))
            held, count = self.queue.pop(oldest)
            if count:
                self.queue[oldest] = [held, count - 1]
        self.queue[key] = [weight, 0]
        return False

    def dump(self) -> str:
        """Return the keys, newest first, counts behind a slash, as the native policy writes them."""
        return (
            f"{self.name}:"
            + "".join(f" {key}" + (f"/{self.queue[key][1]}" if self.queue[key][1] else "") for key in reversed(self.queue))
            + "\n"
        )


class Reinsertion(Clock):
    """The same under its other name."""

    name = "fifo-reinsertion"
