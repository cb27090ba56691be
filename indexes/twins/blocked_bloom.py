"""The blocked Bloom filter, readable.

Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters", WEA 2007, section 3: every key lives in one block of 512 bits, a
cache line, so a probe costs one cache miss. The price is that some blocks get more keys than others.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence

from ..theory import best_k, blocked_bloom_fpr
from .filter_twin import ChangingTwin

_HEADER = struct.Struct("<BBB5xQ48x")  # kind, version, k, blocks; as long as a block
_KIND = 2
_BLOCK = 64  # bytes
_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: multiplicative hashing, Knuth, TAOCP 3, section 6.4
_HALF = (1 << 32) - 1


class BlockedBloomTwin(ChangingTwin):
    """Satisfies `indexes.FilterObject`."""

    name = "blocked_bloom"

    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the exact size: the header and whole blocks; 0 when bits_per_key is out of range."""
        if not 1 <= bits_per_key <= 64:
            return 0
        return _HEADER.size + math.ceil(n * bits_per_key / (8 * _BLOCK)) * _BLOCK

    def empty(self, capacity: int, bits_per_key: float) -> bytearray:
        """Return a filter without keys. ValueError when bits_per_key is out of range."""
        self._in_range(bits_per_key)
        size = self.bound(capacity, bits_per_key) - _HEADER.size
        k = best_k(int(bits_per_key * 1000 + 0.5) / 1000, blocked_bloom_fpr)  # thousandths, so that no rounding decides
        return bytearray(_HEADER.pack(_KIND, self.version, k, size // _BLOCK) + bytes(size))

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of these hashes. ValueError when bits_per_key is out of range. O(n k)."""
        data = self.empty(len(hashes), bits_per_key)
        self.insert(data, hashes)
        return bytes(data)

    def insert(self, data: bytearray, hashes: Sequence[int]) -> int:
        """Add hashes in place; return how many: all."""
        _, _, k, blocks = _HEADER.unpack_from(data)
        for digest in hashes if blocks else ():
            for at in self._probes(digest, k, blocks):
                data[_HEADER.size + at // 8] |= 1 << at % 8
        return len(hashes) if blocks else 0

    def check(self, data: memoryview) -> bool:
        """Tell whether the header is ours and agrees with the size."""
        if len(data) < _HEADER.size or any(data[3:8]) or any(data[16 : _HEADER.size]):
            return False
        kind, version, k, blocks = _HEADER.unpack_from(data)
        if (kind, version) != (_KIND, self.version) or not 1 <= k <= 20:
            return False
        return bool(blocks <= _HALF and blocks * _BLOCK == len(data) - _HEADER.size)

    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return whether all k bits of the key's block are set."""
        _, _, k, blocks = _HEADER.unpack_from(data)
        return blocks > 0 and all(data[_HEADER.size + at // 8] >> at % 8 & 1 for at in self._probes(digest, k, blocks))

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the Poisson sum."""
        return blocked_bloom_fpr(bits_per_key)

    @staticmethod
    def _probes(digest: int, k: int, blocks: int) -> Iterator[int]:
        block, within = (digest >> 32) * blocks >> 32, digest & _HALF  # one half chooses the block, the other the bits in it
        for _ in range(k):
            within = within * _GOLDEN & _HALF
            yield block * 8 * _BLOCK + (within >> 23)
