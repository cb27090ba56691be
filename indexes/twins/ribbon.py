"""Ribbon filters, readable.

Dillinger and Walzer, "Ribbon filter: practically smaller than Bloom and Xor", 2021 (arXiv 2103.02515). A key is an equation over GF(2):
the xor of some of 128 slots in a row is its fingerprint (standard) or zero (homogeneous). Rows of a band matrix are eliminated in the
order of their starts, and solved from the last slot backwards. The solution is laid out in words: for each block of 128 slots one word
for every bit of the fingerprint.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..theory import ribbon_fpr
from .distinct import GOLDEN, WORD, distinct, mix, scale
from .filter_twin import FilterTwin

_HEADER = struct.Struct("<BBBBIII")  # kind, version, columns, attempt, blocks, lower, 0
_WIDTH = 128
_ATTEMPTS, _CHOOSY = 64, 4
_MOST_COLUMNS = 32


@dataclass(frozen=True)
class Band:
    """The matrix's form: blocks of 128 slots, of which the first `lower` have `columns` bits a slot, the others one more."""

    columns: int
    blocks: int
    lower: int

    @property
    def starts(self) -> int:
        """The number of slots at which a key can begin."""
        return (self.blocks - 1) * _WIDTH + 1

    def columns_at(self, slot: int) -> int:
        """Return the number of bits of the slot."""
        return self.columns + (slot // _WIDTH >= self.lower)

    def word(self, block: int) -> int:
        """Return the number of words before those of the block."""
        return block * self.columns + max(0, block - self.lower)


def coefficients(h: int) -> int:
    """Return which of the 128 slots from its start on a key takes; the first always."""
    low = h * 0x9FB21C651E98DF25 & WORD
    high = (h ^ h >> 32) * 0xD6E8FEB86659FD93 & WORD
    return (high ^ high >> 29) << 64 | low ^ low >> 32 | 1


def fingerprint(h: int) -> int:
    """Return the 32 bits of which the key takes as many as it has columns."""
    return ((h ^ h >> 31) * 0xA24BAED4963EE407 & WORD) >> 32


class RibbonTwin(FilterTwin):
    """The standard Ribbon filter."""

    name = "ribbon"
    kind: ClassVar[int] = 5

    def _share(self, n: int, bits_per_key: float) -> float:
        """Return by how much there are more slots than keys; measured so that the first seed works in all but one build of twenty."""
        return max(0.005, 0.0037 * math.log2(n) - 0.029)

    def band(self, n: int, bits_per_key: float, attempt: int) -> Band:
        """Return the form for all the memory that the keys have; of very few keys a little more."""
        share = self._share(n, bits_per_key) + (0.005 * (attempt - 8) if attempt > 8 else 0)
        blocks = math.ceil(math.ceil(n * (1 + share) + 20) / _WIDTH)
        total = max(math.floor(n * bits_per_key / _WIDTH), blocks * max(1, math.floor(0.8 * bits_per_key)))
        total = min(total, blocks * _MOST_COLUMNS)
        return Band(total // blocks, blocks, blocks - total % blocks)

    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the size that the last attempt would have; 0 when bits_per_key is out of range."""
        if not 1 <= bits_per_key <= 64:
            return 0
        band = self.band(n, bits_per_key, _ATTEMPTS - 1) if n else Band(0, 0, 0)
        return _HEADER.size + band.word(band.blocks) * _WIDTH // 8

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of these hashes. ValueError when bits_per_key is out of range, or when no seed works. O(n)."""
        self._in_range(bits_per_key)
        if not hashes:
            return _HEADER.pack(self.kind, self.version, 0, 0, 0, 0, 0)
        for attempt in range(_ATTEMPTS):
            band = self.band(len(hashes), bits_per_key, attempt)
            rows = self._eliminate(band, distinct(hashes, attempt), attempt)
            if rows is not None:
                head = _HEADER.pack(self.kind, self.version, band.columns, attempt, band.blocks, band.lower, 0)
                return head + _layout(band, self._solve(band, rows))
        raise ValueError(f"no seed makes a {self.name} of these {len(hashes)} keys")

    def _wanted(self, h: int) -> int:
        return fingerprint(h)

    def _eliminate(self, band: Band, keys: list[int], attempt: int) -> dict[int, tuple[int, int]] | None:
        """Return (coefficients, result) by slot; None when an equation contradicts the others, or is redundant and the kind had rather
        not."""
        rows: dict[int, tuple[int, int]] = {}
        for h in keys:
            slot, row, result = scale(h, band.starts), coefficients(h), self._wanted(h)
            while row and slot in rows:
                row, result = row ^ rows[slot][0], result ^ rows[slot][1]
                skip = (row & -row).bit_length() - 1 if row else 0
                slot, row = slot + skip, row >> skip
            if row:
                rows[slot] = row, result
            elif result or self._choosy(attempt):
                return None
        return rows

    def _choosy(self, attempt: int) -> bool:
        return False

    def _free(self, slot: int) -> int:
        """Return what a slot holds that no equation fixes."""
        return 0

    def _solve(self, band: Band, rows: dict[int, tuple[int, int]]) -> list[int]:
        slots = [0] * (band.blocks * _WIDTH)
        for slot in reversed(range(len(slots))):
            row, value = rows.get(slot, (0, self._free(slot)))
            while row := row & row - 1:  # without its lowest bit, which is the slot's own
                value ^= slots[slot + (row & -row).bit_length() - 1]
            slots[slot] = value & (1 << band.columns_at(slot)) - 1
        return slots

    def check(self, data: memoryview) -> bool:
        """Tell whether the header is ours and agrees with the size."""
        if len(data) < _HEADER.size:
            return False
        kind, version, columns, attempt, blocks, lower, zero = _HEADER.unpack_from(data)
        if (kind, version, zero) != (self.kind, self.version, 0) or attempt >= _ATTEMPTS:
            return False
        if lower > blocks or columns + (lower < blocks) > _MOST_COLUMNS or blocks > (1 << 32) // _WIDTH - 1 or (columns and not blocks):
            return False
        return bool(Band(columns, blocks, lower).word(blocks) * _WIDTH // 8 == len(data) - _HEADER.size)

    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return whether the key's slots make its fingerprint."""
        _, _, columns, attempt, blocks, lower, _ = _HEADER.unpack_from(data)
        if not blocks:
            return False
        band, h = Band(columns, blocks, lower), mix(digest, attempt)
        start = scale(h, band.starts)
        block, shift = divmod(start, _WIDTH)
        row, wanted, n = coefficients(h) << shift, self._wanted(h), band.columns_at(start)
        for column in range(n):
            both = _word(data, band.word(block) + column)
            if shift:
                both |= _word(data, band.word(block + 1) + column) << _WIDTH
            if (both & row).bit_count() % 2 != wanted >> column & 1:
                return False
        return True

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the rate with a million keys; fewer need a little less memory for it."""
        band = self.band(1_000_000, bits_per_key, 0)
        return ribbon_fpr(band.columns + 1 - band.lower / band.blocks)


class HomogeneousRibbonTwin(RibbonTwin):
    """The homogeneous Ribbon filter: every result is zero, so every system has a solution, and free slots are noise lest all of it be
    zero."""

    name = "homogeneous_ribbon"
    kind: ClassVar[int] = 6

    def _share(self, n: int, bits_per_key: float) -> float:
        """Return (4 + r / 4) / w: the paper, section 4."""
        return (4 + min(bits_per_key, _MOST_COLUMNS) / 4) / _WIDTH

    def _wanted(self, h: int) -> int:
        return 0

    def _choosy(self, attempt: int) -> bool:
        return attempt < _CHOOSY  # where equations are redundant, too few slots are free, and absent keys that start there seem present

    def _free(self, slot: int) -> int:
        return mix(slot + GOLDEN)


def _layout(band: Band, slots: list[int]) -> bytes:
    out = bytearray()
    for start in range(0, len(slots), _WIDTH):
        for column in range(band.columns_at(start)):
            word = sum((slot >> column & 1) << i for i, slot in enumerate(slots[start : start + _WIDTH]))
            out += word.to_bytes(_WIDTH // 8, "little")
    return bytes(out)


def _word(data: memoryview, number: int) -> int:
    at = _HEADER.size + number * _WIDTH // 8
    return int.from_bytes(data[at : at + _WIDTH // 8], "little")
