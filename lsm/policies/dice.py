"""Chance that follows from numbers: the same seed and step give the same choice, in the engine and in its twin without data."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def dice(*numbers: int) -> int:
    """Return 64 bits that look random and follow from the numbers (each mixed in by SplitMix64; Steele, Lea and Flood, OOPSLA 2014)."""
    h = 0
    for n in numbers:
        h = (h + n + 0x9E3779B97F4A7C15) & _MASK
        h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        h = (h ^ h >> 27) * 0x94D049BB133111EB & _MASK
        h ^= h >> 31
    return h
