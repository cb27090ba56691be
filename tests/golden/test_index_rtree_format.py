"""R-tree segments of format version 1 as they were once written: these bytes must be readable, and be written again, for good."""

from __future__ import annotations

import pytest

from indexes.rtree import build, open_segment

NAN = "000000000000f87f"
WRITTEN = {
    "boxes": (
        [(1000, (0.0, 0.0, 1.0, 2.0)), (7, (5.0, 5.0, 5.0, 5.0)), (70_000, (-3.5, 7.25, -1.0, 8.0))],
        "49445852 01020004 0300000000000000 0700000000000000 5802000000000000"
        + "00" * 32
        + "0000000000000000 0000000000001440 0000000000000cc0" + NAN * 13  # lo x
        + "0000000000000000 0000000000001440 0000000000001d40" + NAN * 13  # lo y
        + "000000000000f03f 0000000000001440 000000000000f0bf" + NAN * 13  # hi x
        + "0000000000000040 0000000000001440 0000000000002040" + NAN * 13  # hi y
        + "e1030000 00000000 69110100 00000000 6d4e8f954c7fc250",
    ),
    "points": (
        [(2**40, (1.0, 2.0, 3.0) * 2), (2**41, (1.0, 2.0, 3.0) * 2)],
        "49445852 01030108 0200000000000000 0000000000000000 d801000000000000"
        + "00" * 32
        + "000000000000f03f" * 2 + NAN * 14
        + "0000000000000040" * 2 + NAN * 14
        + "0000000000000840" * 2 + NAN * 14
        + "0000000000010000 0000000000020000 1e2fec68d0427621",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_index_rtree_segment_of_version_1_reads_and_writes_the_same(kind: str) -> None:
    entries, text = WRITTEN[kind]
    data = bytes.fromhex(text)
    assert list(open_segment(data)) == entries
    assert build([row for row, _ in entries], [box for _, box in entries]) == data
