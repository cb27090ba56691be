"""Any resident leaves with equal chance."""

from __future__ import annotations

from .sketch import splitmix


class Random:
    """A cache of keys with weights. all: the keys, in the order that matters for who is drawn."""

    def __init__(self, capacity: int, seed: int = 0) -> None:
        """Start empty; capacity in weight units."""
        self.c, self.state = capacity, seed
        self.all: list[int] = []
        self.weight: dict[int, int] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.weight:
            return True
        if weight > self.c:
            return False
        while sum(self.weight.values()) + weight > self.c:
            self.state, drawn = splitmix(self.state)
            at = drawn % len(self.all)
            del self.weight[self.all[at]]
            last = self.all.pop()
            if at < len(self.all):
                self.all[at] = last
        self.all.append(key)
        self.weight[key] = weight
        return False

    def dump(self) -> str:
        """Return the keys in their order, as the native policy writes them."""
        return "random:" + "".join(f" {key}" for key in self.all) + "\n"
