"""The standard Bloom filter, readable.

Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970; the k probes of a key are an arithmetic progression
of two hashes (Kirsch and Mitzenmacher, "Less hashing, same performance", ESA 2006), both cut from one XXH3 of the key.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from ..theory import best_k, bloom_fpr
from .distinct import WORD, scale
from .filter_twin import ChangingTwin

_HEADER = struct.Struct("<BBB5xQ")  # kind, version, k, bits
_KIND = 1


class BloomTwin(ChangingTwin):
    """Satisfies `indexes.FilterObject`: put it behind `PythonFilter` and the engine can run on it."""

    name = "bloom"

    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the exact size: the header and whole 64-bit words; 0 when bits_per_key is out of range."""
        if not 1 <= bits_per_key <= 64:
            return 0
        words = int(n * bits_per_key) // 64 + 1 if n else 0
        return _HEADER.size + 8 * words

    def empty(self, capacity: int, bits_per_key: float) -> bytearray:
        """Return a filter without keys. ValueError when bits_per_key is out of range."""
        self._in_range(bits_per_key)
        size = self.bound(capacity, bits_per_key) - _HEADER.size
        k = best_k(int(bits_per_key * 1000 + 0.5) / 1000, bloom_fpr)  # thousandths, so that no rounding decides
        return bytearray(_HEADER.pack(_KIND, self.version, k, 8 * size) + bytes(size))

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of these hashes. ValueError when bits_per_key is out of range. O(n k)."""
        data = self.empty(len(hashes), bits_per_key)
        self.insert(data, hashes)
        return bytes(data)

    def insert(self, data: bytearray, hashes: Sequence[int]) -> int:
        """Add hashes in place; return how many: all."""
        _, _, k, n_bits = _HEADER.unpack_from(data)
        for digest in hashes if n_bits else ():
            for at in probes(digest, k, n_bits):
                data[_HEADER.size + at // 8] |= 1 << at % 8
        return len(hashes) if n_bits else 0

    def check(self, data: memoryview) -> bool:
        """Tell whether the header is ours and agrees with the size."""
        if len(data) < _HEADER.size or any(data[3:8]):
            return False
        kind, version, k, n_bits = _HEADER.unpack_from(data)
        if (kind, version) != (_KIND, self.version) or not 1 <= k <= 64:
            return False
        return bool(n_bits % 64 == 0 and n_bits // 8 == len(data) - _HEADER.size)

    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return whether all k bits are set."""
        _, _, k, n_bits = _HEADER.unpack_from(data)
        return n_bits > 0 and all(data[_HEADER.size + at // 8] >> at % 8 & 1 for at in probes(digest, k, n_bits))

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the textbook rate."""
        return bloom_fpr(bits_per_key)


def probes(digest: int, k: int, cells: int) -> Iterator[int]:
    """Yield the k cells of a key."""
    step = (digest << 32 & WORD | digest >> 32) | 1  # the halves swapped, made odd
    for _ in range(k):
        yield scale(digest, cells)
        digest = digest + step & WORD
