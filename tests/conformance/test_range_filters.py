"""What every registered range filter promises: no false negative, order is watched, bytes are checked before they are believed."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import indexes
from indexes.ranges import range_filter_class
from tests.harness.ranges import BOUND, CASES, KEY, KEYS, PARAMS, ExactRanges, holds

KINDS = [kind for kind in indexes.RANGE_FILTERS if kind != "none"]
SAMPLE = sorted([b"", b"a", b"ab", b"abc", b"b\0", b"user1", b"user12", b"user2", *(b"k%03d" % i for i in range(0, 300, 7))])


def test_every_registered_range_filter_is_tried() -> None:
    assert set(KINDS) == set(PARAMS)


@pytest.mark.parametrize(("kind", "params"), CASES)
@given(keys=KEYS, ranges=st.lists(st.tuples(KEY, BOUND), max_size=30))
@example(keys=[], ranges=[(b"", None), (b"", b""), (b"", b"\0")])
@example(keys=[b""], ranges=[(b"", None), (b"", b"\0"), (b"\0", None)])
@example(keys=[b"\xff", b"\xff\xff"], ranges=[(b"\xff", b"\xff\0"), (b"\xff\xfe", None), (b"\xff\0", b"\xff\xff")])
def test_no_false_negative(kind: str, params: str, keys: list[bytes], ranges: list[tuple[bytes, bytes | None]]) -> None:
    built = range_filter_class(kind).from_keys(keys, params)
    assert built.count == len(keys)
    assert built.may_contain_many(keys).all()
    assert all(key in built for key in keys[:5])
    ranges = [*ranges, *((key, key + b"\0") for key in keys), *((key[:-1], key + b"\0") for key in keys)]
    got = built.may_contain_ranges([lo for lo, _ in ranges], [hi for _, hi in ranges]).tolist()
    assert not [(lo, hi) for (lo, hi), maybe in zip(ranges, got, strict=True) if holds(keys, lo, hi) and not maybe]
    assert got[:5] == [built.may_contain_range(lo, hi) for lo, hi in ranges[:5]]
    assert range_filter_class(kind).from_bytes(built.to_bytes()).raw == built.raw


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_a_stream_an_array_and_a_list_give_the_same_filter(kind: str, params: str) -> None:
    cls, numbers = range_filter_class(kind), np.arange(0, 30_000, 3, dtype=np.uint64)
    as_bytes = [int(n).to_bytes(8, "big") for n in numbers]
    raw = cls.from_keys(as_bytes, params).raw
    rows = np.frombuffer(b"".join(as_bytes), np.uint8).reshape(-1, 8)
    for keys in (numbers, numbers.astype(np.int32), rows, rows.view("V8").ravel(), iter(as_bytes), numbers.tolist(), iter(numbers)):
        assert cls.from_keys(keys, params).raw == raw
    built = cls.from_keys(numbers, params)
    assert built.may_contain(9) and built.may_contain_range(9, 10) and built.may_contain_range(as_bytes[3], None)
    lo = np.arange(0, 1000, dtype=np.uint64)
    assert (built.may_contain_ranges(lo, lo + 3)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_keys_out_of_order_are_named(kind: str) -> None:
    cls = range_filter_class(kind)
    for keys, at in (([b"b", b"a"], 1), ([b"a", b"ab", b"a"], 2), ([b"a", b""], 1)):
        with pytest.raises(ValueError, match=f"key {at} is less than the key before it"):
            cls.from_keys(keys)
        with pytest.raises(ValueError, match=f"key {4096 * 2 + at} is less"):
            cls.from_keys(iter([b""] * 4096 * 2 + keys))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "params", ["bogus=1", "suffix", "=", "suffix=33,0", "suffix=20,20", "lengths=0", "lengths=3,2", "lengths=1,", "bits=999"]
)
def test_parameters_that_are_not_understood_are_named(kind: str, params: str) -> None:
    assert not indexes.accepts_params(kind, params)
    with pytest.raises(ValueError, match="does not take the parameters"):
        range_filter_class(kind).from_keys([b"a"], params)


def test_keys_of_other_types_are_named() -> None:
    surf = range_filter_class("surf")
    with pytest.raises(TypeError, match="key is 'text'; allowed: bytes or an integer"):
        surf.from_keys(["text"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="float64"):
        surf.from_keys(np.ones(3))
    for bad in (-1, 2**64):
        with pytest.raises(ValueError, match=f"integer key is {bad}"):
            surf.from_keys([bad])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="integer key is -1"):
        surf.from_keys(np.array([-1, 3]))
    with pytest.raises(ValueError, match="2 lower and 1 upper bounds"):
        surf.from_keys([b"a"]).may_contain_ranges([b"a", b"b"], [b"c"])


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_no_flipped_bit_leads_out_of_bounds(kind: str, params: str) -> None:
    """check refuses, or every question is answered (the sanitizer builds watch): each bit is tried."""
    ops = indexes.range_ops(kind)
    data, _ = ops.build(SAMPLE, params)
    lo, hi = SAMPLE, [*SAMPLE[1:], b"z"]
    passed = 0
    for bit in range(len(data) * 8):
        damaged = data.copy()
        damaged[bit // 8] ^= 1 << bit % 8
        if ops.check(damaged):
            passed += 1
            opened = ops.open(damaged)
            for key, end in zip(lo, hi, strict=True):
                opened.may_contain(key)
                opened.may_contain_range(key, end)
                opened.may_contain_range(key, None)
    assert passed < len(data) * 8 - 16 * 8  # what counts and places things is refused


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_random_bytes_lead_nowhere(kind: str, params: str) -> None:
    """Many bytes changed at once, and the checks that remain hold: random.Random(11) repeats it."""
    ops, rng = indexes.range_ops(kind), random.Random(11)
    data, _ = ops.build(SAMPLE, params)
    for _ in range(2000):
        damaged = data.copy()
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(data))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        if ops.check(damaged):
            opened = ops.open(damaged)
            for key in SAMPLE[::5]:
                opened.may_contain(key)
                opened.may_contain_range(key, key + b"\xff")


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_every_truncation_is_refused(kind: str, params: str) -> None:
    ops = indexes.range_ops(kind)
    data, _ = ops.build([b"ant", b"bee", b"beetle"], params)
    assert ops.check(data)
    assert not any(ops.check(data[:size]) for size in range(len(data)))
    assert not ops.check(np.concatenate([data, np.zeros(64, np.uint8)]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_of_saved_bytes_is_named(kind: str) -> None:
    cls = range_filter_class(kind)
    saved = cls.from_keys([b"ant", b"bee"]).to_bytes()
    for bit in range(len(saved) * 8):
        damaged = bytearray(saved)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"magic|version|name|size|checksum|content"):
            cls.from_bytes(damaged)
    for size in range(len(saved)):
        with pytest.raises(ValueError, match=r"size|magic"):
            cls.from_bytes(saved[:size])


def test_saved_bytes_of_another_kind_are_named() -> None:
    with pytest.raises(ValueError, match="name is b'surf'; allowed: 'prefix_bloom'"):
        range_filter_class("prefix_bloom").from_bytes(range_filter_class("surf").from_keys([b"a"]).to_bytes())


def test_saved_bytes_are_opened_where_they_are() -> None:
    """At every alignment, and without a copy: what the buffer says is what is answered."""
    cls = range_filter_class("surf")
    saved = cls.from_keys(SAMPLE, "suffix=3,4 dense_ratio=1").to_bytes()
    for shift in range(9):
        view = memoryview(b"x" * shift + saved)[shift:]
        opened = cls.from_bytes(view)
        assert opened.may_contain_many(SAMPLE).all() and not opened.may_contain_range(b"v", None)


@given(keys=KEYS, ranges=st.lists(st.tuples(KEY, BOUND), max_size=10))
def test_a_python_range_filter_behind_the_adapter(keys: list[bytes], ranges: list[tuple[bytes, bytes | None]]) -> None:
    adapter = indexes.PythonRangeFilter(ExactRanges())
    data, count = adapter.build(keys, "loud=1")
    assert count == len(keys) and adapter.check(data) and not adapter.check(data[:-1])
    opened = adapter.open(data)
    assert [opened.may_contain_range(lo, hi) for lo, hi in ranges] == [holds(keys, lo, hi) for lo, hi in ranges]
    assert all(opened.may_contain(key) for key in keys)
    assert adapter.last_error is None
    with pytest.raises(ValueError, match="does not take the parameters"):
        adapter.build(keys, "other=1")
    with pytest.raises(ValueError, match="key 1 is less"):
        adapter.build([b"b", b"a"])


def test_a_python_range_filter_that_raises_loses_nothing() -> None:
    class Broken(ExactRanges):
        def may_contain(self, data: memoryview, key: bytes) -> bool:
            raise RuntimeError("point")

        def may_contain_range(self, data: memoryview, lo: bytes, hi: bytes | None) -> bool:
            raise RuntimeError("range")

    adapter = indexes.PythonRangeFilter(Broken())
    opened = adapter.open(adapter.build([b"a"])[0])
    assert opened.may_contain(b"x") and str(adapter.last_error) == "point"
    assert opened.may_contain_range(b"x", None) and str(adapter.last_error) == "range"
