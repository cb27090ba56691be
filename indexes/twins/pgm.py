"""The PGM-index, readable: its lines as fractions are found by O'Rourke's method, said here without its chains of points.

Ferragina and Vinciguerra, VLDB 2020, section 3; O'Rourke, CACM 1981. A run of points takes a line as long as some line passes within
epsilon of each of them: as long as the steepest slope that is allowed is not below the flattest one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

LEVEL_EPSILON = 4
_HEADER = struct.Struct("<BBBxIIIQQ")
_LINE = struct.Struct("<QqII")
_KIND, _VERSION = 0x91, 1
Point = tuple[int, int]


@dataclass(frozen=True)
class Line:
    """place(x) = at + ((x - key) * slope >> shift)."""

    key: int
    at: int
    slope: int
    shift: int

    def place(self, x: int) -> int:
        """Return where x is said to be."""
        return self.at + ((x - self.key) * self.slope >> self.shift)


def points(keys: Sequence[int]) -> Iterator[Point]:
    """Yield each key once with its rank; behind a key that repeats, the rank of what comes next is a point of its own."""
    at = 0
    while at < len(keys):
        first, key = at, keys[at]
        yield key, first
        while at < len(keys) and keys[at] == key:
            at += 1
        if at - first > 1 and key < 2**64 - 1 and (at == len(keys) or keys[at] != key + 1):
            yield key + 1, at


def slopes(run: Sequence[Point], epsilon: int) -> tuple[Point, Point] | None:
    """Return (rise, run) of the steepest and of the flattest line within epsilon of all points; None when there is none."""
    steep = flat = None
    for i, (x, y) in enumerate(run):
        for left, low in run[:i]:
            up, down = (y + epsilon - (low - epsilon), x - left), (y - epsilon - (low + epsilon), x - left)
            steep = up if steep is None or Fraction(*up) <= Fraction(*steep) else steep
            flat = down if flat is None or Fraction(*down) >= Fraction(*flat) else flat
    if steep is None or flat is None or Fraction(*steep) < Fraction(*flat):
        return None
    return steep, flat


def whole(slope: float) -> tuple[int, int]:
    """Return a slope as a whole number of at most 32 bits over a power of two."""
    half, exponent = math.frexp(slope)
    if half <= 0 or exponent <= -95:
        return 0, 0
    return (int(math.ldexp(half, 32)) if exponent <= 32 else 2**32 - 1), (32 - exponent if exponent < 32 else 0)


def fit(given: Sequence[Point], epsilon: int) -> tuple[list[Line], int]:
    """Return the fewest lines within epsilon of the points, from left to right, and what they are off by. O(n^3): for small arrays."""
    lines, error, at = [], 0, 0
    while at < len(given):
        n = 1
        while at + n < len(given) and (n < 2 or slopes(given[at : at + n + 1], epsilon)):
            n += 1
        run = given[at : at + n]
        found = slopes(run, epsilon)
        slope, shift = whole((found[0][0] / found[0][1] + found[1][0] / found[1][1]) / 2) if found else (0, 0)
        off = [y - ((x - run[0][0]) * slope >> shift) for x, y in run]
        middle = min(off) + (max(off) - min(off)) // 2
        error = max(error, max(off) - middle)
        lines.append(Line(run[0][0], middle, slope, shift))
        at += n
    return lines, error


class PGMTwin:
    """A PGM-index of sorted keys."""

    def __init__(self, keys: Sequence[int], epsilon: int) -> None:
        self.keys, self.epsilon = keys, epsilon
        self.levels: list[list[Line]] = []
        self.errors = [0, 0]  # of the array's lines, and of all others
        given = list(points(keys))
        while given and not (self.levels and len(self.levels[-1]) == 1):
            above = bool(self.levels)
            lines, error = fit(given, LEVEL_EPSILON if above else epsilon)
            self.levels.append(lines)
            self.errors[above] = max(self.errors[above], error)
            given = [(line.key, i) for i, line in enumerate(lines)]

    @property
    def data(self) -> bytes:
        """The index's bytes."""
        counts = [len(lines) for lines in self.levels]
        head = _HEADER.pack(_KIND, _VERSION, len(counts), self.epsilon, *self.errors, len(self.keys), sum(counts))
        lines = (_LINE.pack(line.key, line.at, line.slope, line.shift) for level in self.levels for line in level)
        return head + struct.pack(f"<{len(counts)}Q", *counts) + b"".join(lines)

    def window(self, key: int) -> tuple[int, int]:
        """Return the least and the greatest rank that key may have."""
        if not self.keys or key < self.keys[0]:
            return 0, 0
        lines = self.levels[0]
        i = max(i for i, line in enumerate(lines) if line.key <= key)
        at = lines[i].place(key) if i + 1 == len(lines) else min(lines[i].place(key), lines[i + 1].at)
        at = min(max(at, 0), len(self.keys))
        return max(at - self.errors[0], 0), min(at + self.errors[0] + 1, len(self.keys))
