"""The aging count-min sketch of TinyLFU (Einziger, Friedman and Manes, TOS 2017, 3.3 and 3.4): see csrc/sketch.h."""

from __future__ import annotations

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
    """Counts up to 15: a block of 4 rows of 32 counters a key, one counter a row; all are halved after `sample` increments."""

    def __init__(self, keys: int, sample_per_key: float = 10, seed: int = 0) -> None:
        """Make room for about keys keys, 8 counters each."""
        self.blocks = 1
        while self.blocks * 128 < keys * 8:
            self.blocks *= 2
        self.rows = [[[0] * 32 for _ in range(4)] for _ in range(self.blocks)]
        self.sample = max(1, int(max(1, keys) * sample_per_key))
        self.seed, self.tally = seed, 0

    def _places(self, key: int) -> tuple[list[list[int]], list[int]]:
        h = mix(key + self.seed & _MASK)
        return self.rows[(h & 0xFFFFFFFF) % self.blocks], [h >> 32 + 5 * i & 31 for i in range(4)]

    def add(self, key: int) -> None:
        """Count a request; counters that are full stay."""
        block, at = self._places(key)
        room = [(row, i) for row, i in zip(block, at, strict=True) if row[i] < 15]
        for row, i in room:
            row[i] += 1
        self.tally += bool(room)
        if self.tally >= self.sample:
            self.tally //= 2
            self.rows = [[[count // 2 for count in row] for row in block] for block in self.rows]

    def count(self, key: int) -> int:
        """Return about how often a key was counted of late; never too little since the last halving."""
        block, at = self._places(key)
        return min(row[i] for row, i in zip(block, at, strict=True))
