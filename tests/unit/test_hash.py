"""What files hold must be the published functions, for every length, at every alignment: XXH3 and MurmurHash3."""

from __future__ import annotations

import random
from collections.abc import Callable

import mmh3
import numpy as np
import pytest
import xxhash
from hypothesis import example, given
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
    rows = np.frombuffer(b"".join(keys), np.uint8).reshape(20, width)
    assert ops.hash_keys(keys).tolist() == expected
    assert ops.hash_keys(rows).tolist() == expected
    assert ops.hash_keys(rows.view(f"V{width}").ravel()).tolist() == expected
    assert ops.hash_keys(np.tile(rows, 2)[:, :width]).tolist() == expected  # rows that are not contiguous


@given(st.binary(max_size=100))
@example(b"\xff" * 16)
def test_murmur3_is_that_of_mmh3(data: bytes) -> None:
    assert indexes.murmur3(data) == mmh3.hash64(data, signed=False)
    assert indexes.filter_ops("bloom").hash_keys([data], "murmur3").tolist() == [mmh3.hash64(data, signed=False)[0]]


INTS = [0, 1, -1, 255, 2**31, -(2**31), 2**63 - 1, -(2**63)]


@pytest.mark.parametrize(("name", "of"), [("xxh3", xxhash.xxh3_64_intdigest), ("murmur3", lambda b: mmh3.hash64(b, signed=False)[0])])
def test_integers_are_hashed_as_their_eight_bytes(name: str, of: Callable[[bytes], int]) -> None:
    ops = indexes.filter_ops("bloom")
    expected = [of(i.to_bytes(8, "little", signed=True)) for i in INTS]
    assert ops.hash_keys(INTS, name).tolist() == expected
    assert ops.hash_keys(np.array(INTS), name).tolist() == expected
    assert ops.hash_keys(np.array(INTS).astype(np.uint64), name).tolist() == expected
    assert ops.hash_keys([2**64 - 1, 7], name).tolist() == [expected[2], of((7).to_bytes(8, "little"))]
    for narrow in (np.int8, np.int16, np.int32):
        assert ops.hash_keys(np.array([-1, 1], narrow), name).tolist() == [expected[2], expected[1]]
    assert ops.hash_keys(np.arange(6)[::2], name).tolist() == ops.hash_keys([0, 2, 4], name).tolist()
    assert ops.hash_keys(np.arange(3, dtype=">i4"), name).tolist() == ops.hash_keys([0, 1, 2], name).tolist()


@pytest.mark.parametrize("name", indexes.HASHES)
def test_strings_of_fixed_width_are_hashed_as_their_bytes(name: str) -> None:
    ops, keys = indexes.filter_ops("bloom"), [b"a", b"", b"ribbon", b"\xc3\xa9"]
    expected = ops.hash_keys(keys, name).tolist()
    assert ops.hash_keys(np.array(keys), name).tolist() == expected
    assert ops.hash_keys(np.array([key.decode() for key in keys]), name).tolist() == expected


def test_what_is_no_key_is_refused() -> None:
    ops = indexes.filter_ops("bloom")
    for array in (np.zeros(4), np.zeros((2, 2), np.int64), np.array([True])):
        with pytest.raises(TypeError, match="keys are an array of"):
            ops.hash_keys(array)
    with pytest.raises(TypeError):
        ops.hash_keys([1, 2.5])  # type: ignore[list-item]
    for far in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match=f"key is {far}; allowed: -2\\*\\*63 to 2\\*\\*64 - 1"):
            ops.hash_keys([1, far])
