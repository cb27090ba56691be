"""Binary fuse and xor filters, readable.

Graf and Lemire, "Xor filters: faster and smaller than Bloom and cuckoo filters", ACM JEA 2020, and "Binary fuse filters: fast and smaller
than xor filters", ACM JEA 2022. A key's fingerprint is the xor of three cells. To find such cells, peel: a cell that only one key uses is
left to that key, the key goes, other cells become single, and so on; then fill the cells in the reverse order, each key setting the cell
that was left to it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..theory import fingerprint_fpr
from .distinct import WORD, distinct, mix, scale
from .filter_twin import FilterTwin

_HEADER = struct.Struct("<BBBBB3xQ")  # kind, version, fingerprint bits, attempt, log2 of the segment length, segments
_ATTEMPTS = 100
_MOST_LOG = 18


@dataclass(frozen=True)
class Shape:
    """Where cells are. log: log2 of the segment length, 0 for xor; segments: where a key can begin, or the length of each of xor's three
    blocks."""

    log: int
    segments: int

    @property
    def cells(self) -> int:
        """The number of cells."""
        if not self.segments:
            return 0
        return (self.segments + 2) << self.log if self.log else 3 * self.segments

    def places(self, h: int) -> tuple[int, int, int]:
        """Return a key's three cells."""
        if self.log:
            length = 1 << self.log
            first = scale(h, self.segments << self.log)
            return first, (first + length) ^ (h >> _MOST_LOG & length - 1), (first + 2 * length) ^ (h & length - 1)
        turned = [(h << turn | h >> 64 - turn) & WORD for turn in (0, 21, 42)]
        one, two, three = (block * self.segments + ((t >> 32) * self.segments >> 32) for block, t in enumerate(turned))
        return one, two, three


class PeeledTwin(FilterTwin):
    """What the four kinds share."""

    kind: ClassVar[int]
    width: ClassVar[int]
    fuse: ClassVar[bool]

    def _shape(self, n: int) -> Shape:
        if n == 0:
            return Shape(0, 0)
        if not self.fuse:
            return Shape(0, (32 + math.ceil(1.23 * n)) // 3 + 1)
        log = min(math.floor(math.log(n) / math.log(3.33) + 2.25), _MOST_LOG)
        factor = max(1.125, 0.875 + 0.25 * math.log(1e6) / math.log(n)) if n > 1 else 6
        segments = -(-int(factor * n + 0.5) >> log)
        return Shape(log, segments - 2 if segments > 3 else 1)

    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the exact size, which does not depend on bits_per_key; 0 when that is out of range."""
        return _HEADER.size + self._shape(n).cells * self.width // 8 if 1 <= bits_per_key <= 64 else 0

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of these hashes; bits_per_key is only checked. ValueError when it is out of range, or when no seed works.
        O(n)."""
        self._in_range(bits_per_key)
        shape = self._shape(len(hashes))
        for attempt in range(_ATTEMPTS):
            keys = distinct(hashes, attempt)
            order = _peel(shape, keys)
            if len(order) == len(keys):
                cells = self._assign(shape, order)
                head = _HEADER.pack(self.kind, self.version, self.width, attempt, shape.log, shape.segments)
                return head + struct.pack(f"<{len(cells)}{'B' if self.width == 8 else 'H'}", *cells)
        raise ValueError(f"no seed makes a {self.name} of these {len(hashes)} keys")

    def _assign(self, shape: Shape, order: list[tuple[int, int]]) -> list[int]:
        cells = [0] * shape.cells
        for key, own in reversed(order):
            one, two, three = shape.places(key)
            cells[own] = self._fingerprint(key) ^ cells[one] ^ cells[two] ^ cells[three]
        return cells

    def _fingerprint(self, h: int) -> int:
        return (h * 0xD6E8FEB86659FD93 & WORD) >> 64 - self.width

    def check(self, data: memoryview) -> bool:
        """Tell whether the header is ours and agrees with the size."""
        if len(data) < _HEADER.size or any(data[5:8]):
            return False
        kind, version, width, attempt, log, segments = _HEADER.unpack_from(data)
        if (
            (kind, version, width) != (self.kind, self.version, self.width)
            or attempt >= _ATTEMPTS
            or log > _MOST_LOG
            or segments >= 1 << 32
        ):
            return False
        if (log > 0) != (self.fuse and segments > 0):
            return False
        cells = Shape(log, segments).cells
        return bool(cells < 1 << 32 and cells * width // 8 == len(data) - _HEADER.size)

    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return whether the three cells make the fingerprint."""
        _, _, width, attempt, log, segments = _HEADER.unpack_from(data)
        if not segments:
            return False
        h, shape, size = mix(digest, attempt), Shape(log, segments), width // 8
        found = 0
        for place in shape.places(h):
            at = _HEADER.size + place * size
            found ^= int.from_bytes(data[at : at + size], "little")
        return found == self._fingerprint(h)

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return 2^-width."""
        return fingerprint_fpr(self.width)


def _peel(shape: Shape, keys: list[int]) -> list[tuple[int, int]]:
    """Return (key, its own cell) in the order in which keys went: all of them, unless their graph has a core."""
    users: list[set[int]] = [set() for _ in range(shape.cells)]
    for key in keys:
        for place in shape.places(key):
            users[place].add(key)
    queue = [place for place, keys_here in enumerate(users) if len(keys_here) == 1]
    order = []
    for here in queue:  # grows while it is walked
        if not users[here]:
            continue
        key = next(iter(users[here]))
        order.append((key, here))
        for place in shape.places(key):
            users[place].remove(key)
            if len(users[place]) == 1:
                queue.append(place)
    return order


class BinaryFuse8Twin(PeeledTwin):
    """Fingerprints of 8 bits, three segments in a row."""

    name, kind, width, fuse = "binary_fuse8", 7, 8, True


class BinaryFuse16Twin(PeeledTwin):
    """Fingerprints of 16 bits, three segments in a row."""

    name, kind, width, fuse = "binary_fuse16", 8, 16, True


class Xor8Twin(PeeledTwin):
    """Fingerprints of 8 bits, a cell in each of three blocks."""

    name, kind, width, fuse = "xor8", 9, 8, False


class Xor16Twin(PeeledTwin):
    """Fingerprints of 16 bits, a cell in each of three blocks."""

    name, kind, width, fuse = "xor16", 10, 16, False
