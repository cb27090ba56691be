"""Least frequently used, with counts while resident; of equal counts the one that has had it longest leaves."""

from __future__ import annotations


class Lfu:
    """A cache of keys with weights. held: key -> [weight, count, when the count was reached]."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.now = 0
        self.held: dict[int, list[int]] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self.now += 1
        if key in self.held:
            self.held[key][1:] = [self.held[key][1] + 1, self.now]
            return True
        if weight > self.c:
            return False
        while sum(w for w, _, _ in self.held.values()) + weight > self.c:
            del self.held[min(self.held, key=lambda k: self.held[k][1:])]
        self.held[key] = [weight, 1, self.now]
        return False

    def dump(self) -> str:
        """Return the keys with their counts, the victim last, as the native policy writes them."""
        order = sorted(self.held, key=lambda k: self.held[k][1:], reverse=True)
        return "lfu:" + "".join(f" {key}/{self.held[key][1]}" for key in order) + "\n"
