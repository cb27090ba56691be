"""What every registered filter promises: no false negative, the rate of its theory, bytes that are checked before they are believed."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexes
from indexes import filters
from indexes.twins import TWINS

KINDS = indexes.filter_kinds()
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


def random_hashes(n: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


@pytest.mark.parametrize("kind", KINDS)
@given(keys=st.lists(st.binary(max_size=40), max_size=300), bits=st.floats(1, 64), hash=st.sampled_from(indexes.HASHES))
def test_no_false_negative(kind: str, keys: list[bytes], bits: float, hash: str) -> None:
    built = indexes.filter_class(kind).build(keys, bits, hash=hash)
    assert built.may_contain_many(keys).all()
    assert all(key in built for key in keys[:5])
    again = indexes.filter_class(kind).open(built.to_bytes())
    assert again.raw == built.raw and again.count == len(keys) and again.bits_per_key == bits and again.hash == hash
    assert again.may_contain_many(keys).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3, 1000, 20_000])
def test_keys_that_repeat_or_resemble_each_other_are_all_found(kind: str, n: int) -> None:
    cls = filters.FILTERS[kind]
    for keys in (np.arange(n), np.arange(n) << 40, np.zeros(n, np.int64), np.repeat(np.arange(-(-n // 3)), 3), -np.arange(n)):
        built = cls.build(keys, 12)
        assert built.may_contain_many(keys).all()
        if n > 1000 and np.unique(keys).size == n:
            assert built.may_contain_many(np.arange(n, 3 * n) + (1 << 50)).mean() < 1.5 * built.expected_fpr() + 0.001
    sums = np.concatenate([np.arange(n, dtype=np.uint64), [2**64 - 1], np.full(20, 2**63, np.uint64)])
    assert cls.from_hashes(sums, 12).may_contain_hashes(sums).all()


def test_no_keys_means_absent(ops: indexes.FilterOps) -> None:
    data = ops.build(np.empty(0, np.uint64), 10)
    assert ops.check(data)
    assert not ops.may_contain_many(data, np.arange(100, dtype=np.uint64)).any()
    assert not ops.may_contain(data, 0)
    if not isinstance(ops, indexes.PythonFilter):
        assert ops.fpr(data) == 0


@pytest.mark.parametrize("n", [60, 1000])
def test_one_probe_and_many_probes_agree(ops: indexes.FilterOps, n: int) -> None:
    native = not isinstance(ops, indexes.PythonFilter)
    data = ops.build(random_hashes(n if native else 60), 3)
    probes = random_hashes(4000 if native else 600, seed=SEED + 1)
    many = ops.may_contain_many(data, probes)
    assert many.sum() < len(many)
    assert many.tolist() == [ops.may_contain(data, int(digest)) for digest in probes]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", KINDS)
def test_false_positive_rate_is_the_theorys(kind: str, bits: int) -> None:
    """Within 4.5 standard errors, and 1.5 % that the hashing and the finite filter may cost. numpy's default_rng(7) repeats it."""
    ops, n, probes = indexes.filter_ops(kind), 100_000, 2_000_000
    data = ops.build(random_hashes(n), bits)
    measured = ops.may_contain_many(data, random_hashes(probes, seed=SEED + 1)).mean()
    of_this_filter = ops.fpr(data)
    error = math.sqrt(of_this_filter * (1 - of_this_filter) / probes)
    assert abs(measured - of_this_filter) < 4.5 * error + 0.015 * of_this_filter, f"{measured} for {of_this_filter}"
    in_general = ops.expected_fpr(bits)
    spread = math.sqrt(in_general / n / 10)  # of this filter among all filters; the ribbon's general rate is for a million keys
    assert abs(of_this_filter - in_general) < 4.5 * spread + (0.12 if kind == "ribbon" else 0.015) * in_general


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("cls", [filters.Bloom, filters.BlockedBloom])
def test_bloom_rates_over_keys_are_within_three_percent_of_the_textbook(cls: type[filters.Filter], bits: int) -> None:
    """As a user measures it: a million integers, absent ones until 20,000 are let through (a standard error of 0.7 %)."""
    n, theory = 1_000_000, indexes.filter_ops(cls.kind).expected_fpr(bits)
    built = cls.build(np.arange(n), bits)
    rounds = math.ceil(20_000 / (theory * n))
    found = sum(int(built.may_contain_many(np.arange(i * n, i * n + n)).sum()) for i in range(1, rounds + 1))
    assert abs(found / (rounds * n) / theory - 1) < 0.03


@pytest.mark.parametrize(
    ("kind", "asked", "bits", "rate"),
    [
        ("ribbon", 7.1, 7.3, 0.01),
        ("homogeneous_ribbon", 7.1, 7.3, 0.01),
        ("binary_fuse8", 10, 9.1, 0.0041),
        ("binary_fuse16", 10, 18.2, 0.00003),
        ("xor8", 10, 9.9, 0.0041),
        ("xor16", 10, 19.8, 0.00003),
        ("cuckoo", 12.8, 12.81, 0.0019),
        ("blocked_bloom", 10, 10.01, 0.013),
        ("counting_bloom", 40, 40.01, 0.0085),
    ],
)
def test_space_and_rate_are_what_the_kind_is_for(kind: str, asked: float, bits: float, rate: float) -> None:
    n = 1_000_000
    built = filters.FILTERS[kind].build(np.arange(n), asked)
    assert 8 * built.size_bytes / n <= bits
    assert built.may_contain_many(np.arange(n, 3 * n)).mean() <= rate
    assert built.may_contain_many(np.arange(n)).all()


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


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200)
@given(st.data())
def test_hostile_headers_are_refused_or_harmless(kind: str, data: st.DataObject) -> None:
    """Any header over any body: what check lets pass can be probed, changed and united without harm (the sanitizer builds watch)."""
    ops = indexes.filter_ops(kind)
    built = ops.build(np.arange(40, dtype=np.uint64) << 56, data.draw(st.sampled_from([1, 7, 10, 13, 40])))
    for _ in range(data.draw(st.integers(1, 4))):
        built[data.draw(st.integers(0, 15))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(0, len(built)))
    hostile = filters.aligned(size)
    hostile[:] = built[:size]
    if not ops.check(hostile):
        return
    probes = random_hashes(50)
    ops.may_contain_many(hostile, probes)
    ops.fpr(hostile)
    if ops.can("insert"):
        ops.insert(hostile, probes)
    if ops.can("erase"):
        ops.erase(hostile, probes)
    if ops.can("unite"):
        try:
            ops.unite(hostile, hostile.copy())
        except ValueError:
            assert kind == "cuckoo"  # full


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
        with pytest.raises(ValueError, match=r"magic|version|name|size|checksum|content|hash"):
            cls.open(bytes(damaged))
    for size in range(len(saved)):
        with pytest.raises(ValueError, match=r"size|magic"):
            filters.Filter.open(saved[:size])


@pytest.mark.threads
@pytest.mark.parametrize("kind", KINDS)
def test_threads_probe_at_the_same_time(kind: str) -> None:
    built = filters.FILTERS[kind].build(np.arange(20_000), 10)
    wrong: list[int] = []

    def probe(start: int) -> None:
        for _ in range(5):
            wrong.extend(np.flatnonzero(~built.may_contain_many(np.arange(start, 20_000))))

    workers = [threading.Thread(target=probe, args=(i * 1000,)) for i in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong
