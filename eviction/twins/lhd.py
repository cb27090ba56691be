"""Least hit density (Beckmann, Chen and Cidon, LHD: improving cache hit rate by maximizing hit density, NSDI 2018): see csrc/lhd.c.

In the paper's terms: an age is the time since the last use; an object's hit density is the hits that are expected of it, over the space and
time that it is expected to take until it is hit or evicted; both are read off the ages at which objects of its class were hit and evicted.

libCacheSim's hit ratios differ (1.0 points less on average): it computes every 2^20 requests, more than most traces have.
"""

from __future__ import annotations

from dataclasses import dataclass

from .pool import Pool

CLASSES, AGES, NEWCOMERS, EXPLORE_ONE_IN = 16, 240, 8, 32


def part(age: int) -> int:
    """Return the part that an age is in: 8 an octave, one each below 16."""
    age = min(age, 2**32 - 1)
    octave = age.bit_length() - 1
    return age if age < 8 else (octave - 2) * 8 + (age >> octave - 3) % 8


def width(p: int) -> float:
    """Return the number of ages in a part."""
    return 1.0 if p < 16 else float(1 << p // 8 - 1)


def start(p: int) -> float:
    """Return the first age of a part."""
    return p if p < 8 else (8 + p % 8) * width(p)


@dataclass
class Object:
    """A resident: the time of its last use, how long the use before that was ago then, its class, whether it is spared to explore."""

    weight: int
    last: int
    gap: int = 0
    age_class: int = 0
    explorer: bool = False


class Lhd:
    """A cache of keys with weights: of a sample of the residents that of the least hit density leaves."""

    def __init__(
        self, capacity: int, seed: int = 0, sample: int = 32, interval: int = 0, decay: float = 0.9, explore: float = 0.01
    ) -> None:
        """Start empty; capacity in weight units; interval: requests between two computations, 0: 8 a unit of capacity, at least 512."""
        self.c, self.sample, self.decay, self.explore = capacity, sample, decay, explore
        self.interval = interval or max(512, 8 * capacity)
        self.now, self.usual, self.came = 0, 0.0, 0
        self.oldest = (capacity * 64 + 64).bit_length() - 1
        self.held: dict[int, Object] = {}
        self.newcomers: list[int | None] = [None] * NEWCOMERS
        self.pool = Pool(seed)
        self.hits = [[0.0] * AGES for _ in range(CLASSES)]
        self.evictions = [[0.0] * AGES for _ in range(CLASSES)]
        self.density = [[(c + 1) / (start(p) + 1) for p in range(AGES)] for c in range(CLASSES)]

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self.now += 1
        if self.now % self.interval == 0:
            self._compute()
        if key in self.held:
            self._hit(self.held[key])
            return True
        if weight > self.c:
            return False
        while sum(o.weight for o in self.held.values()) + weight > self.c:
            self._evict()
        self.held[key] = new = Object(weight, self.now)
        self.pool.all.append(key)
        self._begin(new)
        if self._rank(new) < self.usual:
            self.newcomers[self.came % NEWCOMERS] = key
            self.came += 1
        return False

    def _compute(self) -> None:
        """Fade the events, and sum them from the oldest age down: hits to come, and the time that all that got so far will stay."""
        for hits, evictions, density in zip(self.hits, self.evictions, self.density, strict=True):
            to_come = events = time = 0.0
            for p in reversed(range(AGES)):
                hits[p] *= self.decay
                evictions[p] *= self.decay
                to_come += hits[p]
                events += hits[p] + evictions[p]
                time += events * width(p)
                density[p] = to_come / time if events > 1e-5 else 0.0

    def _hit(self, o: Object) -> None:
        age = self.now - o.last
        self.hits[o.age_class][part(age)] += 1
        o.age_class = max(0, min(CLASSES - 1, self.oldest - ((age + o.gap).bit_length() - 1)))
        o.gap = age
        self._begin(o)

    def _begin(self, o: Object) -> None:
        o.last, o.explorer = self.now, False
        drawn = self.pool.draw() % EXPLORE_ONE_IN == 0
        exploring = sum(other.weight for other in self.held.values() if other.explorer)
        o.explorer = drawn and exploring + o.weight <= self.explore * self.c

    def _rank(self, o: Object) -> float:
        age = self.now - o.last
        if age >> self.oldest:
            return -1.0
        return (self.density[o.age_class][part(age)] + (1e9 if o.explorer else 0.0)) / o.weight

    def _evict(self) -> None:
        drawn = self.pool.sample(self.sample) + [key for key in self.newcomers if key is not None]
        victim = min(drawn, key=lambda key: self._rank(self.held[key]))
        self.newcomers = [None if key == victim else key for key in self.newcomers]
        self.pool.drop(victim)
        gone = self.held.pop(victim)
        self.usual = 0.9 * self.usual + 0.1 * self._rank(gone)
        self.evictions[gone.age_class][part(self.now - gone.last)] += 1

    def dump(self) -> str:
        """Return the residents in the order of the pool, as the native policy writes them."""
        rows = [
            f"{key}{'!' if o.explorer else ''} class={o.age_class} age={self.now - o.last} rank={self._rank(o):.6g}\n"
            for key, o in ((key, self.held[key]) for key in self.pool.all)
        ]
        return f"lhd: usual={self.usual:.6g}\n{''.join(rows)}"
