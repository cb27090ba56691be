"""Hyperbolic caching (Blankstein, Sen and Freedman, Hyperbolic caching: flexible caching for Web applications, ATC 2017, section 2)."""

from __future__ import annotations

from fractions import Fraction

from .pool import Pool


class Hyperbolic:
    """A cache of keys with weights: of a sample of the residents the one that was asked for least often a time leaves.

    held: key -> [weight, n: requests since it came, since: when it came]. The clock ticks once a request.
    """

    def __init__(self, capacity: int, seed: int = 0, sample: int = 64, size: bool = True) -> None:
        """Start empty; capacity in weight units; size: a key's priority is that of a unit of its weight."""
        self.c, self.sample, self.size = capacity, sample, size
        self.now, self.pool = 0, Pool(seed)
        self.held: dict[int, list[int]] = {}

    def priority(self, key: int) -> Fraction:
        """Return n / t, a unit of weight; t is at least 1."""
        weight, n, since = self.held[key]
        return Fraction(n, max(1, self.now - since) * (weight if self.size else 1))

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self.now += 1
        if key in self.held:
            self.held[key][1] += 1
            return True
        if weight > self.c:
            return False
        while sum(held[0] for held in self.held.values()) + weight > self.c:
            victim = min(self.pool.sample(self.sample), key=self.priority)  # the first drawn of equal ones
            self.pool.drop(victim)
            del self.held[victim]
        self.pool.all.append(key)
        self.held[key] = [weight, 1, self.now]
        return False

    def dump(self) -> str:
        """Return the keys in the order of the pool with n and t, as the native policy writes them."""
        return "hyperbolic:" + "".join(f" {k}/{self.held[k][1]}/{self.now - self.held[k][2]}" for k in self.pool.all) + "\n"
