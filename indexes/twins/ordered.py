"""The ordered segment, readable: sorted (key, row id) entries in blocks of 128 with a shared prefix and packed row ids.

R. Bayer, K. Unterauer, "Prefix B-trees", TODS 2(1), 1977; M. Zukowski et al., "Super-scalar RAM-CPU cache compression", ICDE 2006,
section 3.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import takewhile

import xxhash

_HEAD = struct.Struct("<4sIQQQQ24x")
_BLOCK_HEAD = struct.Struct("<IIBBHQ")
_BLOCK = 128
_PAD = bytes(8)

Entry = tuple[bytes, int]


def packed_rows(rows: Sequence[int]) -> tuple[int, int, bytes]:
    """Return (least row, bits, the differences from it in so many bits, lowest first)."""
    least = min(rows)
    bits = (max(rows) - least).bit_length()
    bits = 64 if bits > 56 else bits
    number = sum((row - least) << bits * i for i, row in enumerate(rows))
    return least, bits, number.to_bytes((bits * len(rows) + 7) // 8, "little")


def _block(entries: Sequence[Entry]) -> bytes:
    keys = [key for key, _ in entries]
    shared = bytes(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(keys[0], keys[-1], strict=False)))
    suffixes = [key[len(shared) :] for key in keys]
    body = b"".join(suffixes)
    least, bits, rows = packed_rows([row for _, row in entries])
    if len({len(suffix) for suffix in suffixes}) == 1:
        form, size, table = 0, len(suffixes[0]), b""
    else:
        form, size = 2 if len(body) < 1 << 16 else 4, len(body)
        ends = [sum(map(len, suffixes[:i])) for i in range(len(suffixes) + 1)]
        table = b"".join(end.to_bytes(form, "little") for end in ends)
    return _BLOCK_HEAD.pack(len(shared), size, form, bits, 0, least) + shared + table + body + rows + _PAD


def build(entries: Iterable[Entry]) -> bytes:
    """Return the segment of the entries, in any order; equal ones count once."""
    ordered = sorted(set(entries))
    groups = [ordered[i : i + _BLOCK] for i in range(0, len(ordered), _BLOCK)]
    blocks = [_block(group) for group in groups]
    ranks = b"".join(group[0][0][:8].ljust(8, b"\0")[::-1] for group in groups)  # as little-endian numbers
    offsets = b"".join(struct.pack("<Q", sum(map(len, blocks[:i]))) for i in range(len(blocks) + 1))
    body = b"".join(blocks)
    rest = body + ranks + offsets
    return _HEAD.pack(b"IXOR", 1, len(ordered), len(blocks), len(body), xxhash.xxh3_64_intdigest(rest)) + rest


def between(entries: Iterable[Entry], low: bytes | None, high: bytes | None, after_low: bool, with_high: bool) -> list[Entry]:
    """Return the entries of the keys between, in order."""

    def inside(key: bytes) -> bool:
        from_low = low is None or (key > low if after_low else key >= low)
        return from_low and (high is None or (key <= high if with_high else key < high))

    return sorted(e for e in set(entries) if inside(e[0]))


def merge(components: Sequence[Iterable[Entry]], hide: Sequence[Iterable[int]]) -> bytes:
    """Return one segment of several components without the hidden rows of each."""
    return build(e for entries, hidden in zip(components, map(set, hide), strict=True) for e in entries if e[1] not in hidden)
