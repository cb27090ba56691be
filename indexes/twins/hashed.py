"""The hashed segment, readable: buckets of about four keys, records in the order of the keys' hashes.

M. Zukowski, S. Heman, P. Boncz, "Architecture-conscious hashing", DaMoN 2006, on keeping a bucket's tuples together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import xxhash

_HEAD = struct.Struct("<4sIQQQQB23x")


def varint(v: int) -> bytes:
    """Return the number in groups of 7 bits, the lowest first, the top bit set in all but the last."""
    out = bytearray()
    while v >= 128:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def _record(key: bytes, digest: int, rows: list[int]) -> bytes:
    steps = b"".join(varint(row - before) for before, row in zip([0, *rows], rows, strict=False))
    size = varint(len(steps)) if len(rows) > 1 else b""
    return bytes([digest & 255]) + varint(len(key)) + varint(len(rows)) + size + key + steps


def build(entries: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the segment of the entries, in any order; equal ones count once."""
    by_key: dict[bytes, set[int]] = {}
    for key, row in entries:
        by_key.setdefault(key, set()).add(row)
    keys = sorted((xxhash.xxh3_64_intdigest(key), key) for key in by_key)
    bits = 0
    while len(keys) >> bits > 4:
        bits += 1
    body, buckets = b"", [0] * ((1 << bits) + 1)
    for digest, key in keys:
        body += _record(key, digest, sorted(by_key[key]))
        buckets[(digest >> (64 - bits)) + 1] = len(body)
    for b in range(1, len(buckets)):
        buckets[b] = max(buckets[b], buckets[b - 1])
    rest = body + b"".join(at.to_bytes(5, "little") for at in buckets) + bytes(3)
    total = sum(map(len, by_key.values()))
    return _HEAD.pack(b"IXHA", 1, total, len(keys), len(body), xxhash.xxh3_64_intdigest(rest), bits) + rest
