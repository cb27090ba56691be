"""Most recently used: the last one hit or admitted leaves (Chou and DeWitt, VLDB 1985)."""

from __future__ import annotations


class Mru:
    """A cache of keys with weights, ordered by use, oldest first."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.held: dict[int, int] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.held:
            self.held[key] = self.held.pop(key)
            return True
        if weight > self.c:
            return False
        while sum(self.held.values()) + weight > self.c:
            self.held.popitem()
        self.held[key] = weight
        return False

    def dump(self) -> str:
        """Return the keys, newest first, as the native policy writes them."""
        return "mru:" + "".join(f" {key}" for key in reversed(self.held)) + "\n"
