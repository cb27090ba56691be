"""What filters that need all keys at once begin with, readable: the hashes mixed under a seed, in order, each once.

The mixer is MurmurHash3's finaliser (fmix64), a bijection: distinct hashes stay distinct under every seed.
"""

from __future__ import annotations

from collections.abc import Iterable

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio


def mix(h: int, attempt: int = 0) -> int:
    """Return the mixed hash under the seed of a build's attempt 0, 1, ..."""
    h = h + attempt * GOLDEN & WORD
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & WORD
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & WORD
    return h ^ h >> 33


def distinct(hashes: Iterable[int], attempt: int) -> list[int]:
    """Return the distinct mixed hashes in ascending order."""
    return sorted({mix(h, attempt) for h in hashes})


def scale(h: int, n: int) -> int:
    """Return h of 64 bits scaled to 0 .. n - 1, without a division; it grows with h."""
    return h * n >> 64
