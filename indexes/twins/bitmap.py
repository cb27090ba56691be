"""The bitmap segment, readable: every value with the set of its rows, as Roaring bytes or as Elias-Fano when that is smaller.

P. O'Neil, D. Quass, "Improved query performance with variant indexes", SIGMOD 1997, section 2.1; S. Vigna, "Quasi-succinct indices", WSDM
2013, section 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import accumulate

import xxhash

from . import rowset
from .hashed import varint

_HEAD = struct.Struct("<4sIQQQQQ16x")


def elias_fano(rows: list[int]) -> bytes:
    """Return ascending row ids as their lowest bits, packed, and the rest as ones at places (rest + i)."""
    n, span = len(rows), rows[-1] - rows[0]
    low = 0
    while low < 56 and span // n >> (low + 1):
        low += 1
    values = [row - rows[0] for row in rows]
    highs = sum(1 << ((v >> low) + i) for i, v in enumerate(values)).to_bytes(((span >> low) + n + 7) // 8, "little")
    lows = sum((v & ((1 << low) - 1)) << low * i for i, v in enumerate(values)).to_bytes((n * low + 7) // 8, "little")
    return varint(n) + varint(rows[0]) + bytes([low]) + varint(len(highs)) + highs + lows


def stored_set(rows: Iterable[int]) -> bytes:
    """Return the set in its smaller form; Elias-Fano is tried where containers hold fewer than 512 rows on average."""
    every = sorted(set(rows))
    roaring = b"\0" + rowset.stored(every)
    if every and len(every) // len({row >> 16 for row in every}) < 512:
        other = b"\1" + elias_fano(every)
        return other if len(other) < len(roaring) else roaring
    return roaring


def build(entries: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the segment of the entries (value, row), in any order."""
    by_value: dict[bytes, set[int]] = {}
    for value, row in entries:
        by_value.setdefault(value, set()).add(row)
    values = sorted(by_value)
    sets = [stored_set(by_value[value]) for value in values] + [stored_set(set().union(*by_value.values()))]
    counts = [len(by_value[value]) for value in values]
    key_ends = accumulate(map(len, values), initial=0)
    set_ends = accumulate(map(len, sets), initial=0)
    tables = b"".join(struct.pack("<Q", number) for number in [*counts, *key_ends, *set_ends])
    keys, body = b"".join(values), b"".join(sets)
    rest = tables + keys + body + bytes(8)
    return _HEAD.pack(b"IXBM", 1, len(values), sum(counts), len(keys), len(body), xxhash.xxh3_64_intdigest(rest)) + rest
