"""The aging count-min sketch of TinyLFU (Einziger, Friedman and Manes, TOS 2017, 3.2 to 3.4): see csrc/sketch.h.

The native one puts the halving of a reset off, block by block; here all are halved at once, which reads the same.
"""

from __future__ import annotations

TOP = 15
WARM = 6
LEAST_KEYS = 512
KEYS_PER_BLOCK = 12
_MASK = 2**64 - 1


def mix(x: int) -> int:
    """Return the finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31


def splitmix(state: int) -> tuple[int, int]:
    """Return the next state and the number drawn."""
    state = state + 0x9E3779B97F4A7C15 & _MASK
    return state, mix(state)


class Sketch:
    """Counts up to 15: four counters a key, one in each row of its block; their least is the count."""

    def __init__(self, slots: int, per_key: float = 10, seed: int = 0) -> None:
        """Make room for the requests of about slots residents; a reset comes after per_key additions a resident."""
        self.blocks = max(slots, LEAST_KEYS) // KEYS_PER_BLOCK + 1
        self.rows = [[[0] * 32 for _ in range(4)] for _ in range(self.blocks)]
        self.per_key, self.seed, self.random, self.additions = per_key, seed, seed, 0
        self.since_reset = self.blocks
        self.fit(slots)

    def fit(self, residents: int) -> None:
        """Set the sample W for that many residents."""
        self.sample = max(2 * self.blocks, int(max(residents, LEAST_KEYS) * self.per_key))

    def _places(self, key: int) -> tuple[list[list[int]], list[int]]:
        h = mix(key + self.seed & _MASK)
        return self.rows[(h >> 32) * self.blocks >> 32], [h >> 5 * i & 31 for i in range(4)]

    def add(self, key: int) -> None:
        """Count a request; counters that are full stay."""
        block, at = self._places(key)
        for row, i in zip(block, at, strict=True):
            row[i] = min(TOP, row[i] + 1)
        self.additions += 1
        self.since_reset += 1
        if self.additions >= self.sample and self.since_reset >= self.blocks:
            self._reset()

    def _reset(self) -> None:
        odd = sum(count % 2 for block in self.rows for row in block for count in row)
        self.rows = [[[count // 2 for count in row] for row in block] for block in self.rows]
        self.additions = max(0, self.additions // 2 - odd // 8)  # an addition is four steps of counters, halved
        self.since_reset = 0

    def count(self, key: int) -> int:
        """Return about how often a key was counted of late; never too little since the last reset."""
        block, at = self._places(key)
        return min(row[i] for row, i in zip(block, at, strict=True))

    def admits(self, candidate: int, victim: int) -> bool:
        """Return whether the candidate deserves the victim's place: asked for more often, or warm and one in 128."""
        mine = self.count(candidate)
        if mine > self.count(victim):
            return True
        if mine < WARM:
            return False
        self.random, drawn = splitmix(self.random)
        return drawn & 127 == 0
