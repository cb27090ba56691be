"""Any resident leaves with equal chance (Belady, IBM Systems Journal 5(2), 1966: RAND)."""

from __future__ import annotations

from .pool import Pool


class Random:
    """A cache of keys with weights."""

    def __init__(self, capacity: int, seed: int = 0) -> None:
        """Start empty; capacity in weight units."""
        self.c, self.pool = capacity, Pool(seed)
        self.weight: dict[int, int] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.weight:
            return True
        if weight > self.c:
            return False
        while sum(self.weight.values()) + weight > self.c:
            victim = self.pool.any()
            self.pool.drop(victim)
            del self.weight[victim]
        self.pool.all.append(key)
        self.weight[key] = weight
        return False

    def dump(self) -> str:
        """Return the keys in the order of the pool, as the native policy writes them."""
        return "random:" + "".join(f" {key}" for key in self.pool.all) + "\n"
