"""The cuckoo filter, readable.

Fan, Andersen, Kaminsky, Mitzenmacher, "Cuckoo filter: practically better than Bloom", CoNEXT 2014. A fingerprint is in one of two buckets
of four slots. The two add up to a hash of the fingerprint modulo the number of buckets (the paper has their xor, which wants a power of
two), so either gives the other, and a fingerprint can move or go without its key.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from ..theory import cuckoo_fpr
from .distinct import GOLDEN, WORD, distinct, mix
from .filter_twin import ChangingTwin

_HEADER = struct.Struct("<BBBB4xQ")  # kind, version, bits of a fingerprint, attempt, buckets
_KIND = 4
_SLOTS, _PAD, _KICKS, _ATTEMPTS = 4, 8, 500, 16
_LOAD = 0.95


class _Table:
    """The buckets, each a list of four fingerprints, 0 for empty."""

    def __init__(self, bits: int, attempt: int, buckets: list[list[int]]) -> None:
        self.bits, self.attempt, self.buckets = bits, attempt, buckets

    @classmethod
    def read(cls, data: bytes | bytearray | memoryview) -> _Table:
        _, _, bits, attempt, n = _HEADER.unpack_from(data)
        body = int.from_bytes(data[_HEADER.size :], "little")
        slots = [body >> i * bits & (1 << bits) - 1 for i in range(n * _SLOTS)]
        return cls(bits, attempt, [slots[i : i + _SLOTS] for i in range(0, len(slots), _SLOTS)])

    def write(self) -> bytes:
        n = len(self.buckets)
        body = sum(slot << i * self.bits for i, slot in enumerate(slot for bucket in self.buckets for slot in bucket))
        head = _HEADER.pack(_KIND, CuckooTwin.version, self.bits, self.attempt, n)
        return head + body.to_bytes((n * self.bits + 1) // 2 + _PAD if n else 0, "little")

    def places(self, h: int) -> tuple[int, int]:
        """Return a mixed hash's fingerprint and first bucket."""
        return 1 + ((h & 0xFFFFFFFF) * ((1 << self.bits) - 1) >> 32), (h >> 32) * len(self.buckets) >> 32

    def other(self, bucket: int, fingerprint: int) -> int:
        """Return the other bucket."""
        total = (fingerprint * 0x5BD1E995 & 0xFFFFFFFF) * len(self.buckets) >> 32
        return (total - bucket) % len(self.buckets)

    def put(self, bucket: int, fingerprint: int) -> bool:
        if 0 not in self.buckets[bucket]:
            return False
        self.buckets[bucket][self.buckets[bucket].index(0)] = fingerprint
        return True

    def swap(self, bucket: int, slot: int, fingerprint: int) -> int:
        out, self.buckets[bucket][slot] = self.buckets[bucket][slot], fingerprint
        return out

    def insert(self, bucket: int, fingerprint: int) -> bool:
        """Put a fingerprint in, throwing out others as long as both of its buckets are full; False, and all as before, when that came to
        no end."""
        other = self.other(bucket, fingerprint)
        if self.put(bucket, fingerprint) or self.put(other, fingerprint):
            return True
        lots = mix(bucket + fingerprint * GOLDEN & WORD)
        bucket = other if lots >> 63 else bucket
        path: list[tuple[int, int]] = []
        while len(path) < _KICKS:
            path.append((bucket, lots % _SLOTS))
            fingerprint = self.swap(*path[-1], fingerprint)
            bucket = self.other(bucket, fingerprint)
            if self.put(bucket, fingerprint):
                return True
            lots = lots >> 2 if len(path) % 31 else mix(lots + bucket & WORD)
        for step in reversed(path):
            fingerprint = self.swap(*step, fingerprint)
        return False


class CuckooTwin(ChangingTwin):
    """Satisfies `indexes.FilterObject`."""

    name = "cuckoo"

    @staticmethod
    def _bits(bits_per_key: float) -> int:
        return min(max(math.floor(bits_per_key * _LOAD), 4), 16)

    def _buckets(self, n: int, bits_per_key: float, attempt: int) -> int:
        """Return what the memory has room for, at least what the keys need at the usual load and at most twice that; later attempts get
        more."""
        needed = math.ceil(n / (_SLOTS * _LOAD))
        room = math.floor(n * bits_per_key / (_SLOTS * self._bits(bits_per_key)))
        return max(needed, min(room, 2 * needed)) + math.ceil(needed * 0.03) * attempt

    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the size that the last attempt would have; 0 when bits_per_key is out of range."""
        if not 1 <= bits_per_key <= 64:
            return 0
        return _HEADER.size + ((self._buckets(n, bits_per_key, _ATTEMPTS - 1) * self._bits(bits_per_key) + 1) // 2 + _PAD if n else 0)

    def empty(self, capacity: int, bits_per_key: float) -> bytearray:
        """Return a filter without keys. ValueError when bits_per_key is out of range."""
        self._in_range(bits_per_key)
        return bytearray(self._empty(capacity, bits_per_key, 0).write())

    def _empty(self, n: int, bits_per_key: float, attempt: int) -> _Table:
        return _Table(self._bits(bits_per_key), attempt, [[0] * _SLOTS for _ in range(self._buckets(n, bits_per_key, attempt))])

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of the distinct ones of these hashes. ValueError when bits_per_key is out of range, or when no seed works.
        O(n)."""
        self._in_range(bits_per_key)
        for attempt in range(_ATTEMPTS):
            table = self._empty(len(hashes), bits_per_key, attempt)
            if all(table.insert(bucket, f) for f, bucket in map(table.places, distinct(hashes, attempt))):
                return table.write()
        raise ValueError(f"no seed makes a {self.name} of these {len(hashes)} keys")

    def insert(self, data: bytearray, hashes: Sequence[int]) -> int:
        """Add hashes in place, each as often as it is given; return how many went in before one found no room."""
        table, done = _Table.read(data), 0
        for digest in hashes if table.buckets else ():
            f, bucket = table.places(mix(digest, table.attempt))
            if not table.insert(bucket, f):
                break
            done += 1
        data[:] = table.write()
        return done

    def erase(self, data: bytearray, hashes: Sequence[int]) -> list[bool]:
        """Take hashes out in place; False for those that were surely absent."""
        table = _Table.read(data)
        erased = [self._take(table, digest) for digest in hashes]
        data[:] = table.write()
        return erased

    def _take(self, table: _Table, digest: int) -> bool:
        if not table.buckets:
            return False
        f, bucket = table.places(mix(digest, table.attempt))
        for place in (bucket, table.other(bucket, f)):
            if f in table.buckets[place]:
                table.buckets[place][table.buckets[place].index(f)] = 0
                return True
        return False

    def check(self, data: memoryview) -> bool:
        """Tell whether the header is ours and agrees with the size, and whether what fills up is zero."""
        if len(data) < _HEADER.size or any(data[4:8]):
            return False
        kind, version, bits, attempt, n = _HEADER.unpack_from(data)
        if (kind, version) != (_KIND, self.version) or not 4 <= bits <= 16 or attempt >= _ATTEMPTS or n >= 1 << 32:
            return False
        if len(data) != _HEADER.size + ((n * bits + 1) // 2 + _PAD if n else 0):
            return False
        return not n or not int.from_bytes(data[_HEADER.size + n * bits // 2 :], "little") >> (4 if n * bits % 2 else 0)

    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return whether one of the two buckets has the fingerprint."""
        table = _Table.read(data)
        if not table.buckets:
            return False
        f, bucket = table.places(mix(digest, table.attempt))
        return f in table.buckets[bucket] or f in table.buckets[table.other(bucket, f)]

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the rate with a million keys."""
        n = 1_000_000
        return cuckoo_fpr(self._bits(bits_per_key), n / (_SLOTS * self._buckets(n, bits_per_key, 0)))
