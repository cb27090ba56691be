"""The fence search, readable: 8-byte prefixes first, the full keys only where prefixes tie.

The array of one entry a page is the "fence pointers" of Dayan, Athanassoulis, Idreos, "Monkey", SIGMOD 2017, section 2.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import takewhile


class FenceTwin:
    """A search over sorted keys."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.keys = keys
        first, last = (keys[0], keys[-1]) if keys else (b"", b"")
        same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        self.shared = bytes(byte for byte, _ in same)  # sorted: all in between share it too
        self.prefixes = [self._prefix(key) for key in keys]

    def _prefix(self, key: bytes) -> bytes:
        start = len(self.shared)
        return key[start : start + 8].ljust(8, b"\0")

    def find(self, key: bytes) -> int:
        """Return the index of the first key >= the given one; the number of keys when there is none. O(log n)."""
        head = key[: len(self.shared)]
        if head != self.shared:
            return 0 if head < self.shared else len(self.keys)
        low = bisect_left(self.prefixes, self._prefix(key))
        high = bisect_right(self.prefixes, self._prefix(key))
        return bisect_left(self.keys, key, low, high)
