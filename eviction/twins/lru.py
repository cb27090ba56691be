"""LRU: evict what was not used for longest (Mattson et al., Evaluation techniques for storage hierarchies, 1970)."""

from __future__ import annotations


class Lru:
    """A cache of keys with weights; the dict's order is the queue, oldest first."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.capacity = capacity
        self.queue: dict[int, int] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.queue:
            self.queue[key] = self.queue.pop(key)
            return True
        if weight > self.capacity:
            return False
        while sum(self.queue.values()) + weight > self.capacity:
            del self.queue[next(iter(self.queue))]
        self.queue[key] = weight
        return False

    def dump(self) -> str:
        """Return the keys, newest first, as the native policy writes them."""
        return "lru:" + "".join(f" {key}" for key in reversed(self.queue)) + "\n"
