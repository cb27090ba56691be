"""The prefix Bloom filter, readable: a Bloom filter of the keys' prefixes.

Prefixes of fixed lengths come in the order of the keys, so that a range covers those from its lower bound's to its upper bound's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import xxhash

from .bloom import BloomTwin

MOST_PROBES = 64
_KIND, _VERSION = 0x81, 1
_GOLDEN = 0x9E3779B97F4A7C15


class PrefixBloomTwin:
    """A prefix Bloom filter of sorted keys; `data` are its bytes."""

    def __init__(
        self, keys: Sequence[bytes], lengths: Sequence[int] = (4,), delimiter: int | None = None, occurrence: int = 1, bits: float = 10
    ) -> None:
        self.lengths, self.delimiter, self.occurrence = list(lengths), delimiter, occurrence
        hashes = list(dict.fromkeys(digest for key in keys for _, digest in self._hashes(key)))  # a prefix enters once
        self.bloom = memoryview(BloomTwin().build(hashes, bits))
        marks = (0, 0) if delimiter is None else (delimiter, occurrence)
        head = struct.pack("<BBBBBB2x", _KIND, _VERSION, len(self.lengths), delimiter is not None, *marks)
        head += struct.pack(f"<{len(self.lengths)}I", *self.lengths)
        self.data = head.ljust(-(-len(head) // 8) * 8, b"\0") + bytes(self.bloom)

    def _hashes(self, key: bytes) -> Iterator[tuple[int, int]]:
        """Yield (extractor, hash) of each prefix that the key has."""
        for i, length in enumerate(self.lengths):
            yield i, self._digest(i, fill(key, length))
        if ended := self._delimited(key):
            yield len(self.lengths), self._digest(len(self.lengths), ended)

    @staticmethod
    def _digest(extractor: int, prefix: bytes) -> int:
        return xxhash.xxh3_64_intdigest(prefix) ^ extractor * _GOLDEN & (1 << 64) - 1

    def _delimited(self, key: bytes) -> bytes:
        """Return the key up to and with the delimiter's occurrence, or nothing."""
        if self.delimiter is None:
            return b""
        places = [i for i, byte in enumerate(key) if byte == self.delimiter]
        return key[: places[self.occurrence - 1] + 1] if len(places) >= self.occurrence else b""

    def _has(self, digest: int) -> bool:
        return BloomTwin().may_contain(self.bloom, digest)

    def may_contain(self, key: bytes) -> bool:
        """Tell whether all of the key's prefixes may be in."""
        return all(self._has(digest) for _, digest in self._hashes(key))

    def may_contain_range(self, lo: bytes, hi: bytes | None) -> bool:
        """Tell whether no extractor denies the range."""
        if hi is None:
            return True
        if lo >= hi:
            return False
        fixed = all(self._ask_length(i, length, lo, hi) for i, length in enumerate(self.lengths))
        ended = self._delimited(lo)
        if not fixed or not ended:
            return fixed
        after = ended.rstrip(b"\xff")  # the first key behind all that begin so
        behind = after[:-1] + bytes([after[-1] + 1]) if after else None
        inside = hi.startswith(ended) or hi == behind
        return not inside or self._has(self._digest(len(self.lengths), ended))

    def _ask_length(self, extractor: int, length: int, lo: bytes, hi: bytes) -> bool:
        first, last = (int.from_bytes(fill(bound, length), "big") for bound in (lo, hi))
        if hi <= fill(hi, length).rstrip(b"\0"):  # the first key with that prefix is not before hi
            last -= 1
        return last - first >= MOST_PROBES or any(
            self._has(self._digest(extractor, p.to_bytes(length, "big"))) for p in range(first, last + 1)
        )


def fill(key: bytes, length: int) -> bytes:
    """Return the first bytes of the key, with zeros behind its end."""
    return key[:length].ljust(length, b"\0")
