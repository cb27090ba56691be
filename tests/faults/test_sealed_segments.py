"""Segments that were changed and sealed again with a right checksum: what a hostile writer would give.

Opening or verifying refuses them, or they are segments as sound as any: then every question is answered.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from indexes import bitmap, bitsliced, hashed, ordered, xxh3
from indexes.rowset import RowSet

HEADER = 64
ASKED = [b"", b"a", b"key5", b"key77", b"\x00\x07", b"zz"]


class Kind(NamedTuple):
    """How segments of a kind are opened and asked; `seal`: where their checksum of all behind the header stands."""

    open: Callable[[bytes], Any]
    questions: Callable[[Any], Iterator[Callable[[], object]]]
    merge: Callable[[list[Any]], bytes]
    seal: int


def _ask_entries(view: Any) -> Iterator[Callable[[], object]]:
    for key in ASKED:
        yield partial(view.lookup, key)
        yield partial(view.first, key)
    yield partial(view.lookup_many, ASKED * 4)
    if hasattr(view, "scan"):
        for key in ASKED:
            yield partial(view.range_rows, b"a", key)
            yield partial(view.count, key, None)
        yield lambda: [batch.keys.tolist() for batch in view.scan(b"a", None, backward=True)]
    yield lambda: [(batch.keys.tolist(), batch.rows.tolist()) for batch in view.entries()]


def _ask_bitmap(view: Any) -> Iterator[Callable[[], object]]:
    for key in ASKED:
        yield lambda key=key: view.equal(key).rows(100).tolist()
    yield lambda: view.isin(ASKED).rows(100).tolist()
    yield lambda: (len(view.not_null()), len(view.range(b"a", None)))
    yield lambda: (list(view.histogram()), [batch.rows.tolist() for batch in view.entries()])


def _ask_bitsliced(view: Any) -> Iterator[Callable[[], object]]:
    among = RowSet(range(3, 70_000, 5))
    yield lambda: [view.range(a, b).rows(100).tolist() for a in (None, -5, 3) for b in (None, 40, 2**40)]
    yield lambda: view.count(3, 2**33, among=among)
    yield lambda: (view.sum(), view.sum(among))
    yield lambda: (view.quantile(0.3), view.quantile(0.7, among))
    yield lambda: (view.top(5).rows.tolist(), view.top(5, largest=False, among=among).rows.tolist())
    yield partial(view.values_at, [0, 7, 70_000])
    yield lambda: len(view.not_null())
    yield lambda: [batch.rows.tolist() for batch in view.entries(among)]


KINDS = {
    "ordered": Kind(ordered.open, _ask_entries, ordered.merge, 32),
    "hashed": Kind(hashed.open, _ask_entries, hashed.merge, 32),
    "bitmap": Kind(bitmap.open, _ask_bitmap, bitmap.merge, 40),
    "bitsliced": Kind(bitsliced.open, _ask_bitsliced, bitsliced.merge, 32),
}

_FEW = [b"a", b"key1", b"key5", b"key5", b"key77"], [1, 2, 900, 2**63, 5]
_EVEN = [struct.pack(">H", i // 3) for i in range(300)], list(range(300))
_LONG = [b"x" * 40_000, b"x" * 40_000 + b"y", b"y" * 3], [3, 2, 1]
_MANY = [b"key5"] * 200 + [b"key6"] * 70, [*range(200), *range(0, 7_000_000, 100_000)]
SEGMENTS = {
    "ordered few": ("ordered", lambda: ordered.build(*_FEW)),
    "ordered even": ("ordered", lambda: ordered.build(*_EVEN)),
    "ordered long": ("ordered", lambda: ordered.build(*_LONG)),
    "ordered many": ("ordered", lambda: ordered.build(*_MANY)),
    "ordered none": ("ordered", lambda: ordered.build([], [])),
    "hashed few": ("hashed", lambda: hashed.build(*_FEW)),
    "hashed many": ("hashed", lambda: hashed.build([*_MANY[0], *(b"%d" % i for i in range(9))], [*_MANY[1], *range(9)])),
    "hashed none": ("hashed", lambda: hashed.build([], [])),
    "bitmap few": ("bitmap", lambda: bitmap.build(*_FEW)),
    "bitmap forms": ("bitmap", lambda: bitmap.build([b"a"] * 60 + [b"key5"] * 60, [*range(60), *range(0, 60_000_000, 1_000_000)])),
    "bitmap none": ("bitmap", lambda: bitmap.build([], [])),
    "bitsliced few": ("bitsliced", lambda: bitsliced.build([5, -7, 3, 2**40], [1, 2, 7, 70_000])),
    "bitsliced wide": ("bitsliced", lambda: bitsliced.build([-(2**63), 2**63 - 1, 3], [1, 2, 7])),
    "bitsliced slices": ("bitsliced", lambda: bitsliced.build(np.arange(40) % 4, np.arange(40))),
    "bitsliced none": ("bitsliced", lambda: bitsliced.build(np.empty(0, np.int64), [])),
}


def _changes(good: bytes, seal: int) -> Iterator[bytes]:
    """Every byte changed in some ways (of a long segment, those of its ends and a share of those between), every field to its extremes."""
    places = [i for i in range(8, len(good)) if not seal <= i < seal + 8]
    if len(places) > 700:
        places = places[:150] + places[150 : -400 : 211 if len(good) > 10_000 else 5] + places[-400:]
    for i in places:
        for value in {0, 1, 0x7F, 0x80, 0xFF, good[i] ^ 1, good[i] ^ 8, (good[i] + 1) & 255, (good[i] - 1) & 255} - {good[i]}:
            yield good[:i] + bytes([value]) + good[i + 1 :]
    for i in [i for i in places if i % 4 == 0 and i + 8 <= len(good)]:
        for number in (0, 2**31, 2**40, 2**63, 2**64 - 1, len(good)):
            yield good[:i] + struct.pack("<Q", number) + good[i + 8 :]


def _sealed(bad: bytes, seal: int) -> bytes:
    return bad[:seal] + struct.pack("<Q", xxh3(bad[HEADER:])) + bad[seal + 8 :]


@pytest.mark.parametrize("name", SEGMENTS)
def test_what_verify_lets_pass_can_be_read(name: str) -> None:
    kind, build = SEGMENTS[name]
    opened, questions, merge, seal = KINDS[kind]
    good = build()
    assert _sealed(good, seal) == good
    other, refused, passed = opened(good), 0, 0
    for bad in _changes(good, seal):
        sealed = _sealed(bad, seal)
        try:
            view = opened(sealed)
            view.verify()
        except ValueError:
            refused += 1
            with contextlib.suppress(ValueError):
                unsound = opened(sealed)
                for ask in (*questions(unsound), partial(merge, [other, unsound])):
                    with contextlib.suppress(ValueError):
                        ask()
            continue
        passed += 1
        for ask in questions(view):
            ask()
        merge([view, view])
    assert refused > 100
    assert passed or "none" in name


@pytest.mark.parametrize(("shared", "suffix"), [(60_000, 30_000), (1, 59_999), (60_001, 0)])
def test_keys_that_would_be_longer_than_keys_are(shared: int, suffix: int) -> None:
    """Two keys of 60,000 bytes that share nothing; now each is said to have so many in common, and so many of its own."""
    good = ordered.build([b"a" * 60_000, b"b" * 60_000], [1, 2])
    assert struct.unpack_from("<II", good, HEADER) == (0, 60_000)
    bad = good[:HEADER] + struct.pack("<II", shared, suffix) + good[HEADER + 8 :]
    view = ordered.open(_sealed(bad, 32))
    asked = (view.verify, lambda: list(view.entries()), lambda: view.lookup(b"a" * 60_000), lambda: view.lookup_many([b"b" * 60_000]))
    for ask in (*asked, lambda: view.range(b"a", None)):
        with pytest.raises(ValueError, match="malformed"):
            ask()
