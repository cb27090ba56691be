"""The bit-sliced segment and its algorithms, readable: one bitmap for every binary digit of a column.

P. O'Neil, D. Quass, "Improved query performance with variant indexes", SIGMOD 1997, sections 2.3 and 3; D. Rinfret, P. O'Neil, E. O'Neil,
"Bit-sliced index arithmetic", SIGMOD 2001, section 4. A bitmap is a Python int here, row i being bit i.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from itertools import accumulate

import xxhash

from .ordered import packed_rows
from .rowset import runs_of, stored_container

_HEAD = struct.Struct("<4sIQQQQ24x")
_ROW = struct.Struct("<QQQQIBBH")
_PART = struct.Struct("<BBHII")
_LIST, _BITMAP, _RUN = 1, 2, 3


class Slices:
    """Values (unsigned) of rows as digits."""

    def __init__(self, values: Mapping[int, int]) -> None:
        self.bits = max(values.values(), default=0).bit_length()
        self.exists = sum(1 << row for row in values)
        self.digit = [sum(1 << row for row, v in values.items() if v >> d & 1) for d in range(self.bits)]

    def between(self, low: int, high: int) -> int:
        """Return the rows with low <= value <= high (both of `bits` digits), by comparing from the lowest digit up."""
        at_least = at_most = self.exists
        for d, digit in enumerate(self.digit):
            at_least = digit & at_least if low >> d & 1 else (digit | at_least) & self.exists
            zero = self.exists & ~digit
            at_most = zero | at_most if high >> d & 1 else zero & at_most
        return at_least & at_most

    def sum(self, among: int) -> int:
        """Return the sum over the rows of a bitmap: each digit counts its weight for every row that has it."""
        return sum((digit & among).bit_count() << d for d, digit in enumerate(self.digit))

    def top(self, k: int, among: int) -> int:
        """Return a bitmap of the k largest, all ties of the k-th included: digits from the highest, Rinfret et al., algorithm 4.1."""
        sure, tied = 0, self.exists & among
        for digit in reversed(self.digit):
            better = sure | tied & digit
            if better.bit_count() > k:
                tied &= digit
            else:
                sure, tied = better, tied & ~digit
        return sure | tied if sure.bit_count() < k else sure


def _sliced(lows: list[int], offsets: list[int], bits: int) -> bytes:
    sets = [lows] + [[low for low, v in zip(lows, offsets, strict=True) if v >> d & 1] for d in range(bits)]
    parts, body, at = b"", b"", _PART.size * len(sets)
    for members in sets:
        if not members:
            parts += _PART.pack(0, 0, 0, 0, 0)
            continue
        is_run, data = stored_container(members)
        data = data[2:] if is_run else data  # the part has the number of runs
        kind = _RUN if is_run else _LIST if len(members) <= 4096 else _BITMAP
        parts += _PART.pack(kind, 0, len(runs_of(members)) if is_run else 0, len(members), at + len(body))
        body += data
    return parts + body


def _chunk(lows: list[int], values: list[int]) -> tuple[int, int, bytes]:
    """Return (form, bits, body); the digits where they need no more than twice the bytes of packed values."""
    least = min(values)
    offsets = [v - least for v in values]
    _, packed_bits, packed_values = packed_rows(values)
    packed = struct.pack(f"<{len(lows)}H", *lows) + packed_values
    bits = max(offsets).bit_length()
    sliced = _sliced(lows, offsets, bits)
    return (1, bits, sliced) if len(sliced) <= 2 * len(packed) else (0, packed_bits, packed)


def build(entries: Iterable[tuple[int, int]], kind: int) -> bytes:
    """Return the segment of (row, value) pairs, values mapped to unsigned numbers of their order."""
    chunks: dict[int, dict[int, int]] = {}
    for row, value in sorted(entries):
        chunks.setdefault(row >> 16, {})[row & 65535] = value
    made = [_chunk(list(chunk), list(chunk.values())) for chunk in chunks.values()]
    starts = accumulate((len(body) for _, _, body in made), initial=0)
    table = b"".join(
        _ROW.pack(key, start, min(chunk.values()), max(chunk.values()), len(chunk), form, bits, 0)
        for (key, chunk), start, (form, bits, _) in zip(chunks.items(), starts, made, strict=False)
    )
    body = b"".join(body for _, _, body in made)
    rest = table + body + struct.pack("<Q", kind)
    rows = sum(map(len, chunks.values()))
    return _HEAD.pack(b"IXBS", 1, rows, len(chunks), len(body), xxhash.xxh3_64_intdigest(rest)) + rest
