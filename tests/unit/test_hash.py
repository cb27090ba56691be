"""XXH3 is what files hold: it must be the published function for every length, at every alignment."""

from __future__ import annotations

import random

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

import indexes

EDGES = [*range(260), 511, 512, 513, 1023, 1024, 1025, 1087, 1088, 1089, 2047, 2048, 2049, 4096, 65536, 100_003]


def test_hash_is_xxh3_for_every_length() -> None:
    rng = random.Random(20)
    for length in EDGES:
        data = rng.randbytes(length)
        assert indexes.xxh3(data) == xxhash.xxh3_64_intdigest(data), f"length {length}"


@given(st.binary(max_size=600))
def test_hash_is_xxh3_for_any_bytes(data: bytes) -> None:
    assert indexes.xxh3(data) == xxhash.xxh3_64_intdigest(data)


@pytest.mark.parametrize("width", [1, 3, 7, 16, 17, 129, 241])
def test_hash_of_packed_keys_and_rows_does_not_depend_on_alignment(width: int) -> None:
    ops = indexes.filter_ops("bloom")
    rng = random.Random(width)
    keys = [rng.randbytes(width) for _ in range(20)]
    expected = [xxhash.xxh3_64_intdigest(key) for key in keys]
    numpy = pytest.importorskip("numpy")
    rows = numpy.frombuffer(b"".join(keys), numpy.uint8).reshape(20, width)
    assert ops.hash_keys(keys).tolist() == expected
    assert ops.hash_keys(rows).tolist() == expected
    assert ops.hash_keys(rows.view(f"V{width}").ravel()).tolist() == expected
    assert ops.hash_keys(numpy.tile(rows, 2)[:, :width]).tolist() == expected  # rows that are not contiguous


def test_hash_refuses_arrays_that_are_no_bytes() -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="int64"):
        indexes.filter_ops("bloom").hash_keys(numpy.arange(4))
