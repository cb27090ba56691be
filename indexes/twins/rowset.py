"""Row sets, readable: a frozenset of row ids and the portable 64-bit Roaring format.

D. Lemire et al., "Roaring bitmaps: implementation of an optimized software library", SPE 48(4), 2018, section 2; the format is the Roaring
specification's. A container, the rows that share their upper 48 bits, is stored in its smallest form, so equal sets have equal bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import groupby

_PLAIN, _RUNS = 12346, 12347  # cookies
_OFFSETS_FROM = 4  # containers in a part with runs


def runs_of(lows: list[int]) -> list[tuple[int, int]]:
    """Return the maximal runs of ascending numbers as (first, last)."""
    grouped = groupby(enumerate(lows), lambda pair: pair[1] - pair[0])
    spans = [[low for _, low in group] for _, group in grouped]
    return [(span[0], span[-1]) for span in spans]


def stored_container(lows: list[int]) -> tuple[bool, bytes]:
    """Return (is it runs, bytes) of a container's smallest form; the specification counts two bytes more for a list."""
    runs = runs_of(lows)
    if 2 + 4 * len(runs) < (2 + 2 * len(lows) if len(lows) <= 4096 else 8192):
        return True, struct.pack("<H", len(runs)) + b"".join(struct.pack("<HH", a, b - a) for a, b in runs)
    if len(lows) <= 4096:
        return False, struct.pack(f"<{len(lows)}H", *lows)
    words = bytearray(8192)
    for low in lows:
        words[low // 8] |= 1 << low % 8
    return False, bytes(words)


def _part(containers: dict[int, list[int]]) -> bytes:
    stored = {key: stored_container(lows) for key, lows in containers.items()}
    n, has_runs = len(stored), any(is_run for is_run, _ in stored.values())
    flags = sum(is_run << i for i, (is_run, _) in enumerate(stored.values())).to_bytes((n + 7) // 8, "little")
    head = struct.pack("<I", _RUNS | (n - 1) << 16) + flags if has_runs else struct.pack("<II", _PLAIN, n)
    pairs = b"".join(struct.pack("<HH", key, len(containers[key]) - 1) for key in stored)
    offsets = b""
    if not has_runs or n >= _OFFSETS_FROM:
        at = len(head) + len(pairs) + 4 * n
        for _, data in stored.values():
            offsets += struct.pack("<I", at)
            at += len(data)
    return head + pairs + offsets + b"".join(data for _, data in stored.values())


def stored(rows: Iterable[int]) -> bytes:
    """Return a set's bytes."""
    parts: dict[int, dict[int, list[int]]] = {}
    for row in sorted(set(rows)):
        parts.setdefault(row >> 32, {}).setdefault(row >> 16 & 65535, []).append(row & 65535)
    return struct.pack("<Q", len(parts)) + b"".join(struct.pack("<I", high) + _part(containers) for high, containers in parts.items())


def read(data: bytes) -> frozenset[int]:
    """Return the set of well-formed bytes."""
    rows: set[int] = set()
    (parts,), at = struct.unpack_from("<Q", data), 8
    for _ in range(parts):
        high, cookie = struct.unpack_from("<II", data, at)
        start = at = at + 4
        if cookie & 65535 == _RUNS:
            n, at = (cookie >> 16) + 1, start + 4
            flags = int.from_bytes(data[at : at + (n + 7) // 8], "little")
            at += (n + 7) // 8
        else:
            (n,), flags, at = struct.unpack_from("<I", data, start + 4), 0, start + 8
        pairs = [struct.unpack_from("<HH", data, at + 4 * i) for i in range(n)]
        at += 4 * n + (4 * n if cookie & 65535 == _PLAIN or n >= _OFFSETS_FROM else 0)
        for i, (key, less) in enumerate(pairs):
            base = high << 32 | key << 16
            if flags >> i & 1:
                (count,) = struct.unpack_from("<H", data, at)
                for first, length in struct.iter_unpack("<HH", data[at + 2 : at + 2 + 4 * count]):
                    rows.update(range(base + first, base + first + length + 1))
                at += 2 + 4 * count
            elif less < 4096:
                rows.update(base + low for (low,) in struct.iter_unpack("<H", data[at : at + 2 * less + 2]))
                at += 2 * less + 2
            else:
                bits = int.from_bytes(data[at : at + 8192], "little")
                rows.update(base + low for low in range(65536) if bits >> low & 1)
                at += 8192
    return frozenset(rows)
