"""Damaged, foreign and hostile R-tree segments: refused; and read without the checksum, never beyond the bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from indexes.rtree import DamagedSegment, build, open_segment


def small(points: bool = True, dims: int = 2, n: int = 20) -> bytes:
    rng = np.random.default_rng(n)
    corner = rng.random((n, dims))
    return build(np.arange(n), corner if points else np.concatenate([corner, corner + 1], axis=1))


@pytest.mark.parametrize("data", [small(), small(False, 3), small(n=0)], ids=["points", "boxes", "empty"])
def test_index_rtree_any_flipped_bit_is_found(data: bytes) -> None:
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedSegment):
            open_segment(damaged)


@pytest.mark.parametrize("verify", [True, False])
def test_index_rtree_cut_or_longer_bytes_are_refused(verify: bool) -> None:
    data = small()
    for end in range(len(data)):
        with pytest.raises(DamagedSegment):
            open_segment(data[:end], verify=verify)
    with pytest.raises(DamagedSegment, match="not as long as its header says"):
        open_segment(data + b"\0", verify=verify)


@pytest.mark.parametrize(
    ("at", "fields", "says"),
    [
        (0, b"IDXF", "does not begin with IDXR"),
        (4, b"\2", "version other than 1"),
        (5, b"\4", "header field"),
        (6, b"\4", "header field"),
        (7, b"\5", "header field"),
        (7, b"\10", "not as long"),
        (6, b"\0", "not as long"),
        (63, b"\1", "header field"),
        (8, struct.pack("<Q", 2**64 - 1), "not as long"),
        (8, struct.pack("<Q", 2**60), "not as long"),
        (8, struct.pack("<Q", 0), "not as long"),
        (24, struct.pack("<Q", 2**63), "not as long"),
    ],
)
def test_index_rtree_absurd_header_is_refused_even_with_a_right_checksum(at: int, fields: bytes, says: str) -> None:
    data = bytearray(small()[:-8])
    data[at : at + len(fields)] = fields
    data += struct.pack("<Q", xxhash.xxh3_64_intdigest(bytes(data)))
    for verify in (True, False):
        with pytest.raises(DamagedSegment, match=says):
            open_segment(data, verify=verify)


@given(noise=st.randoms(use_true_random=False), points=st.booleans(), dims=st.sampled_from([2, 3]))
def test_index_rtree_unverified_noise_gives_some_answer_and_stays_within(noise, points: bool, dims: int) -> None:  # type: ignore[no-untyped-def]
    n = noise.randrange(1, 400)
    data = bytearray(small(points, dims, n))
    start = 64
    for _ in range(noise.randrange(1, 200)):
        at = noise.randrange(start, len(data))
        data[at : at + 8] = noise.choice([noise.randbytes(8), b"\0" * 8, b"\xff" * 8, struct.pack("<d", float("inf"))])[: len(data) - at]
    view = open_segment(data, verify=False)
    box = (0.2,) * dims + (0.8,) * dims
    assert len(view.window(box)) <= n and len(view.within(box)) <= n and len(view.containing(box)) <= n
    assert len(view.nearest(box, 10)[0]) <= 10 and len(view.radius(box, 0.3)) <= n
    assert view.count(box) <= n and sum(map(len, view.walk(box, 16))) <= n
    assert len(view.entries()[0]) == n and len(list(view)) == n
    if n < 60:
        assert len(view.join(view)[0]) <= n * n


def test_index_rtree_segment_may_start_at_any_address() -> None:
    data = small(n=100)
    expected = open_segment(data).window((0, 0, 1, 1)).tolist()
    for shift in range(8):
        moved = memoryview(bytes(shift) + data)[shift:]
        assert open_segment(moved).window((0, 0, 1, 1)).tolist() == expected
