"""Native filters against their readable twins: the same bytes, the same answers."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import indexes
from indexes import theory
from indexes.twins import TWINS, ChangingTwin, CountingBloomTwin, CuckooTwin

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=200)


@pytest.mark.parametrize("kind", TWINS)
@given(hashes=HASHES, bits=st.one_of(st.floats(1, 64), st.sampled_from([4.0, 8.0, 12.8])))
@example(hashes=[0, 2**64 - 1, 1 << 32], bits=10.0)
@example(hashes=list(range(100)), bits=64.0)
@example(hashes=list(range(64)), bits=8.0)  # whole words and whole blocks
@example(hashes=[7] * 30, bits=10.0)
@example(hashes=[i * 2**55 for i in range(500)], bits=7.2)  # several blocks of a ribbon, kicks of a cuckoo
def test_filter_bytes_and_answers_are_the_twins(kind: str, hashes: list[int], bits: float) -> None:
    ops, twin = indexes.filter_ops(kind), TWINS[kind]()
    data = ops.build(np.array(hashes, np.uint64), bits)
    assert data.tobytes() == twin.build(hashes, bits)
    view = memoryview(data.tobytes())
    assert twin.check(view)
    probes = [*hashes[:20], *(digest ^ 1 << 40 for digest in hashes[:20]), 12345]
    assert ops.may_contain_many(data, np.array(probes, np.uint64)).tolist() == [twin.may_contain(view, p) for p in probes]
    assert ops.may_contain(data, probes[0]) == twin.may_contain(view, probes[0])


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("n", [700, 3000])
def test_larger_filters_are_the_twins(kind: str, n: int) -> None:
    hashes = np.random.default_rng(n).integers(0, 2**64, n, dtype=np.uint64)
    for bits in (4.5, 7.2, 21.0):
        assert indexes.filter_ops(kind).build(hashes, bits).tobytes() == TWINS[kind]().build(hashes.tolist(), bits)


CHANGING = [kind for kind, twin in TWINS.items() if issubclass(twin, ChangingTwin)]
STEPS = st.lists(st.tuples(st.sampled_from(["insert", "insert", "erase"]), st.lists(st.integers(0, 12), max_size=6)), max_size=12)


@pytest.mark.parametrize("kind", CHANGING)
@given(steps=STEPS, capacity=st.integers(1, 12), bits=st.sampled_from([4.3, 5.5, 12.8, 40.0]))
def test_changes_leave_the_same_bytes_in_both(kind: str, steps: list[tuple[str, list[int]]], capacity: int, bits: float) -> None:
    """Few keys into small filters: counters and buckets get full. The numbers are spread over the hashes by a multiplication."""
    ops, twin = indexes.filter_ops(kind), TWINS[kind]()
    assert isinstance(twin, ChangingTwin)
    data, twins = ops.empty(capacity, bits), twin.empty(capacity, bits)
    for what, numbers in steps:
        hashes = [number * 0x9E3779B97F4A7C15 % 2**64 for number in numbers for _ in range(3)]
        array = np.array(hashes, np.uint64)
        if what == "insert":
            assert ops.insert(data, array) == twin.insert(twins, hashes)
        elif isinstance(twin, CountingBloomTwin | CuckooTwin):
            assert ops.erase(data, array).tolist() == twin.erase(twins, hashes)
        assert data.tobytes() == bytes(twins)


@pytest.mark.parametrize("kind", TWINS)
def test_filter_hash_is_the_twins(kind: str) -> None:
    keys = [b"", b"a", b"a\0", b"key" * 50]
    assert indexes.filter_ops(kind).hash_keys(keys).tolist() == [TWINS[kind].hash(key) for key in keys]


@pytest.mark.parametrize("kind", TWINS)
def test_check_agrees_on_damaged_headers(kind: str) -> None:
    ops, twin = indexes.filter_ops(kind), TWINS[kind]()
    data = ops.build(np.arange(3, dtype=np.uint64), 10)
    for bit in range(len(data) * 8):
        damaged = data.copy()
        damaged[bit // 8] ^= 1 << bit % 8
        assert ops.check(damaged) == twin.check(memoryview(damaged.tobytes())), f"bit {bit}"


@pytest.mark.parametrize("kind", ["bloom", "blocked_bloom"])
def test_filter_takes_one_more_probe_exactly_where_the_theory_does(kind: str) -> None:
    ops, fpr = indexes.filter_ops(kind), theory.bloom_fpr if kind == "bloom" else theory.blocked_bloom_fpr
    probes = lambda thousandths: int(ops.build(np.zeros(1, np.uint64), thousandths / 1000)[2])  # noqa: E731
    assert probes(1000) == 1
    for k in range(1, probes(64_000)):
        first = bisect_right(range(64_001), k, lo=1000, key=probes)  # the first thousandth with more than k probes
        assert fpr(first / 1000, k + 1) <= fpr(first / 1000, k), f"{k + 1} probes from {first} thousandths on"
        assert fpr((first - 1) / 1000, k + 1) >= fpr((first - 1) / 1000, k), f"{k} probes below {first} thousandths"


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("bits", [1.0, 2.5, 6.0, 10.0, 16.0, 33.3])
def test_filter_theory_is_the_twins(kind: str, bits: float) -> None:
    assert indexes.filter_ops(kind).expected_fpr(bits) == pytest.approx(TWINS[kind]().expected_fpr(bits), rel=1e-9)


def test_blocked_filter_costs_more_than_the_standard_one_and_agrees_in_the_limit() -> None:
    assert 1.1 < theory.blocked_bloom_fpr(10) / theory.bloom_fpr(10) < 1.3
    assert theory.blocked_bloom_fpr(4, 3, block_bits=8192) == pytest.approx(theory.bloom_fpr(4, 3), rel=0.02)
