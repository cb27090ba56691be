"""What every registered filter promises: no false negative, the rate of its theory, bytes that are checked before they are believed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexes
from indexes.twins import TWINS

KINDS = [kind for kind in indexes.FILTERS if kind != "none"]
BITS = [6, 8, 10, 12, 16]
SEED = 7


@pytest.fixture(params=[*KINDS, *(f"python {kind}" for kind in TWINS)])
def ops(request: pytest.FixtureRequest) -> Iterator[indexes.FilterOps]:
    """Each native filter, and each twin behind the adapter for Python objects."""
    kind = request.param.removeprefix("python ")
    table = indexes.filter_ops(kind) if kind == request.param else indexes.PythonFilter(TWINS[kind]())
    yield table
    if isinstance(table, indexes.PythonFilter):
        assert table.last_error is None


@pytest.mark.parametrize("kind", KINDS)
@given(keys=st.lists(st.binary(max_size=40), max_size=300), bits=st.floats(1, 64))
def test_no_false_negative(kind: str, keys: list[bytes], bits: float) -> None:
    built = indexes.filter_class(kind).build(keys, bits)
    assert built.may_contain_many(keys).all()
    assert all(key in built for key in keys[:5])
    again = indexes.filter_class(kind).from_bytes(built.to_bytes())
    assert again.raw == built.raw and again.count == len(keys) and again.bits_per_key == bits


def test_no_keys_means_absent(ops: indexes.FilterOps) -> None:
    data = ops.build(np.empty(0, np.uint64), 10)
    assert ops.check(data)
    assert not ops.may_contain_many(data, np.arange(100, dtype=np.uint64)).any()
    assert not ops.may_contain(data, 0)


def test_one_probe_and_many_probes_agree(ops: indexes.FilterOps) -> None:
    rng = np.random.default_rng(SEED)
    data = ops.build(rng.integers(0, 2**64, 60, dtype=np.uint64), 3)
    probes = rng.integers(0, 2**64, 400, dtype=np.uint64)
    many = ops.may_contain_many(data, probes)
    assert 0 < many.sum() < 400
    assert many.tolist() == [ops.may_contain(data, int(digest)) for digest in probes]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", KINDS)
def test_false_positive_rate_is_the_theorys(kind: str, bits: int) -> None:
    """Within 4.5 standard errors, and 1.5 % that the double hashing and the finite filter may cost. numpy's default_rng(7) repeats it."""
    rng = np.random.default_rng(SEED)
    ops, n, probes = indexes.filter_ops(kind), 100_000, 2_000_000
    data = ops.build(rng.integers(0, 2**64, n, dtype=np.uint64), bits)
    measured = ops.may_contain_many(data, rng.integers(0, 2**64, probes, dtype=np.uint64)).mean()
    expected = ops.expected_fpr(bits)
    error = math.sqrt(expected * (1 - expected) * (1 / probes + 1 / n / 10))  # of the probes, and of this filter among all filters
    assert abs(measured - expected) < 4.5 * error + 0.015 * expected, f"{measured} for {expected}, standard error {error}"


def test_bits_per_key_out_of_range_is_refused(ops: indexes.FilterOps) -> None:
    if isinstance(ops, indexes.PythonFilter):
        return
    for bits in (0, 0.99, 64.01, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="bits_per_key"):
            ops.build(np.arange(3, dtype=np.uint64), bits)


def test_no_flipped_bit_of_a_header_leads_out_of_bounds(ops: indexes.FilterOps) -> None:
    """check refuses, or the probe stays inside (the sanitizer builds watch): the header is 16 to 64 bytes, every single bit is tried."""
    data = ops.build(np.arange(5, dtype=np.uint64) * 2**59, 10)
    probes = np.arange(50, dtype=np.uint64) * 2**58
    refused = 0
    for bit in range(min(len(data), 64) * 8):
        damaged = data.copy()
        damaged[bit // 8] ^= 1 << bit % 8
        if ops.check(damaged):
            assert len(ops.may_contain_many(damaged, probes)) == 50
        else:
            refused += 1
    assert refused >= 8 * 8 + 8  # at least kind, version and the 64 bits of the size


def test_every_truncation_is_refused(ops: indexes.FilterOps) -> None:
    data = ops.build(np.arange(5, dtype=np.uint64), 10)
    assert not any(ops.check(data[:size]) for size in range(len(data)))
    assert not ops.check(np.concatenate([data, np.zeros(64, np.uint8)]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_of_saved_bytes_is_named(kind: str) -> None:
    cls = indexes.filter_class(kind)
    saved = cls.build([b"ant", b"bee"], 8).to_bytes()
    for bit in range(len(saved) * 8):
        damaged = bytearray(saved)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"magic|version|name|size|checksum|content"):
            cls.from_bytes(bytes(damaged))
    for size in range(len(saved)):
        with pytest.raises(ValueError, match=r"size|magic"):
            cls.from_bytes(saved[:size])


def test_saved_bytes_of_another_kind_are_named() -> None:
    with pytest.raises(ValueError, match="name is b'bloom'; allowed: 'blocked_bloom'"):
        indexes.BlockedBloom.from_bytes(indexes.Bloom.build([b"a"]).to_bytes())
