"""The counting Bloom filter, readable.

Fan, Cao, Almeida, Broder, "Summary cache", IEEE/ACM Transactions on Networking 2000, section V-C: a counter of 4 bits where a Bloom
filter has a bit. A counter that reached 15 stays there: it has lost count, and counting down from a lost count could deny a key.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ..theory import best_k, bloom_fpr, counting_bloom_fpr
from .bloom import probes
from .filter_twin import ChangingTwin

_HEADER = struct.Struct("<BBB5xQ")  # kind, version, k, counters
_KIND = 3
_FULL = 15


class CountingBloomTwin(ChangingTwin):
    """Satisfies `indexes.FilterObject`."""

    name = "counting_bloom"

    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the exact size: the header and whole 64-bit words; 0 when bits_per_key is out of range."""
        if not 1 <= bits_per_key <= 64:
            return 0
        return _HEADER.size + (8 * (int(n * bits_per_key) // 64 + 1) if n else 0)

    def empty(self, capacity: int, bits_per_key: float) -> bytearray:
        """Return a filter without keys. ValueError when bits_per_key is out of range."""
        self._in_range(bits_per_key)
        size = self.bound(capacity, bits_per_key) - _HEADER.size
        k = best_k(int(bits_per_key / 4 * 1000 + 0.5) / 1000, bloom_fpr)
        return bytearray(_HEADER.pack(_KIND, self.version, k, 2 * size) + bytes(size))

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of these hashes, each as often as it is given. ValueError when bits_per_key is out of range. O(n k)."""
        data = self.empty(len(hashes), bits_per_key)
        self.insert(data, hashes)
        return bytes(data)

    def insert(self, data: bytearray, hashes: Sequence[int]) -> int:
        """Add hashes in place; return how many: all."""
        _, _, k, n = _HEADER.unpack_from(data)
        for digest in hashes if n else ():
            self._count(data, digest, k, n, 1)
        return len(hashes) if n else 0

    def erase(self, data: bytearray, hashes: Sequence[int]) -> list[bool]:
        """Take hashes out in place; False for those that were surely absent."""
        _, _, k, n = _HEADER.unpack_from(data)
        erased = []
        for digest in hashes:
            erased.append(self.may_contain(memoryview(data), digest))
            if erased[-1]:
                self._count(data, digest, k, n, -1)
        return erased

    def _count(self, data: bytearray, digest: int, k: int, n: int, by: int) -> None:
        for at in probes(digest, k, n):
            now = _counter(data, at)
            if now < _FULL and now + by >= 0:
                data[_HEADER.size + at // 2] += by * (1 << 4 * (at % 2))

    def check(self, data: memoryview) -> bool:
        """Tell whether the header is ours and agrees with the size."""
        if len(data) < _HEADER.size or any(data[3:8]):
            return False
        kind, version, k, n = _HEADER.unpack_from(data)
        return (kind, version) == (_KIND, self.version) and 1 <= k <= 64 and n % 16 == 0 and n // 2 == len(data) - _HEADER.size

    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return whether none of the key's counters is zero."""
        _, _, k, n = _HEADER.unpack_from(data)
        return n > 0 and all(_counter(data, at) for at in probes(digest, k, n))

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the rate of a Bloom filter of a quarter of the bits."""
        return counting_bloom_fpr(bits_per_key)


def _counter(data: bytearray | memoryview, at: int) -> int:
    return data[_HEADER.size + at // 2] >> 4 * (at % 2) & _FULL
