"""SIEVE (Zhang et al., SIEVE is simpler than LRU, NSDI 2024, algorithm 1)."""

from __future__ import annotations


class Sieve:
    """A cache of keys with weights. queue: keys, oldest first, never moved; visited: their bits; hand: where the next search begins."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.queue: list[int] = []
        self.weight: dict[int, int] = {}
        self.visited: set[int] = set()
        self.hand: int | None = None

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.weight:
            self.visited.add(key)
            return True
        if weight > self.c:
            return False
        while sum(self.weight.values()) + weight > self.c:
            self._evict()
        self.queue.append(key)
        self.weight[key] = weight
        return False

    def _evict(self) -> None:
        at = self.queue.index(self.hand) if self.hand is not None else 0
        while self.queue[at] in self.visited:
            self.visited.discard(self.queue[at])
            at = (at + 1) % len(self.queue)
        key = self.queue.pop(at)
        del self.weight[key]
        self.hand = self.queue[at] if at < len(self.queue) else None

    def dump(self) -> str:
        """Return the queue, newest first, with marks, and the hand, as the native policy writes them."""
        text = "sieve:" + "".join(f" {key}{'*' if key in self.visited else ''}" for key in reversed(self.queue)) + "\n"
        return text if self.hand is None else f"{text}hand: {self.hand}\n"
