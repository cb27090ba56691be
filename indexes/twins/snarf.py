"""SNARF, readable: the keys' distribution, learned, spreads them evenly over many places; a range may hold a key when its places have one.

Vaidya et al., "SNARF: A Learning-Enhanced Range Filter", VLDB 2022. The bytes keep the places in an Elias-Fano code.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import groupby

from .surf import pack_bits, padded, shared

_HEADER = struct.Struct("<BBBxIIIQQ16x")
_KIND, _VERSION = 0x83, 1
SAMPLE = 256


def value(key: bytes, start: int) -> int:
    """Return the 8 bytes of a key from start on, with zeros behind its end."""
    return int.from_bytes(key[start : start + 8].ljust(8, b"\0"), "big")


class SnarfTwin:
    """A SNARF of sorted keys; `data` are its bytes."""

    def __init__(self, keys: Sequence[bytes], slots: int = 256, every: int = 128) -> None:
        self.slots, self.every = slots, every
        self.prefix = keys[0][: shared(keys[0], keys[-1])] if keys else b""
        self.values = [v for v, _ in groupby(value(key, len(self.prefix)) for key in keys)]
        last = self.values[-1:] if len(self.values) > 1 else []
        self.knots = self.values[: max(len(self.values) - 1, 1) : every] + last
        self.places = [p for p, _ in groupby(map(self._place, self.values))]

    def _place(self, v: int) -> int:
        """Return where a value between the first and the last one goes: straight on from knot to knot."""
        at = bisect_right(self.knots, v) - 1
        first = at * self.every
        if at + 1 == len(self.knots):
            return (len(self.values) - 1) * self.slots
        width = (min(first + self.every, len(self.values) - 1) - first) * self.slots
        share = float(v - self.knots[at]) / float(self.knots[at + 1] - self.knots[at])
        return first * self.slots + min(int(share * width), width)

    def may_contain(self, key: bytes) -> bool:
        """Tell whether the key's place is taken."""
        v = value(key, len(self.prefix))
        return key.startswith(self.prefix) and self._any(v, v)

    def may_contain_range(self, lo: bytes, hi: bytes | None) -> bool:
        """Tell whether a place of the range is taken."""
        if hi is not None and lo >= hi:
            return False
        start, head = len(self.prefix), lo[: len(self.prefix)]
        if head > self.prefix or (hi is not None and hi <= self.prefix):
            return False
        low = value(lo, start) if head == self.prefix else 0
        high = 2**64 - 1
        if hi is not None and hi.startswith(self.prefix):
            high = value(hi, start)
            if hi[start:] <= high.to_bytes(8, "big").rstrip(b"\0"):  # no key with hi's value is before hi
                high -= 1
        return self._any(low, high)

    def _any(self, low: int, high: int) -> bool:
        """Tell whether a value of [low, high] may be in."""
        if not self.values or high < self.values[0] or low > self.values[-1]:
            return False
        if low <= self.values[0] or high >= self.values[-1]:
            return True
        at = bisect_left(self.places, self._place(low))
        return at < len(self.places) and self.places[at] <= self._place(high)

    @property
    def data(self) -> bytes:
        """The filter's bytes."""
        n, m = len(self.values), len(self.places)
        universe = (n - 1) * self.slots + 2 if n else 0
        low_bits = max((universe // m).bit_length() - 1, 0) if m else 0
        highs = (universe >> low_bits) + 1 if n else 0
        head = _HEADER.pack(_KIND, _VERSION, low_bits, len(self.prefix), self.slots, self.every, n, m)
        ends = [bisect_left(self.places, (high + 1) << low_bits) + high for high in range(highs)]
        bitmap = sum(1 << at for at in ends).to_bytes(-(-(highs + m) // 64) * 8, "little")
        samples = struct.pack(f"<{len(ends[::SAMPLE])}I", *ends[::SAMPLE])
        lows = padded(pack_bits([place & (1 << low_bits) - 1 for place in self.places], low_bits)) + bytes(8) if m else b""
        return head + padded(self.prefix) + struct.pack(f"<{len(self.knots)}Q", *self.knots) + bitmap + padded(samples) + lows
