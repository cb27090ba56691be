"""Native range filters and their readable twins: the same bytes, the same answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import indexes
from indexes.ranges import SNARF, PrefixBloom, SuRF
from indexes.twins import PrefixBloomTwin, SnarfTwin, SurfTwin
from tests.harness.ranges import BOUND, KEY, KEYS

RANGES = st.lists(st.tuples(KEY, BOUND), max_size=40)
SUFFIX = st.tuples(st.integers(0, 32), st.integers(0, 32)).filter(lambda bits: sum(bits) <= 32)


def same_answers(filter_: Any, twin: Any, keys: list[bytes], ranges: list[tuple[bytes, bytes | None]]) -> None:
    assert filter_.raw == twin.data
    probes = [*keys, *(key + b"\0" for key in keys), *(key[:-1] for key in keys), *(lo for lo, _ in ranges)]
    assert filter_.may_contain_many(probes).tolist() == [twin.may_contain(key) for key in probes]
    ranges = [*ranges, *zip(probes, probes[3:], strict=False), *((key, key + b"\0") for key in probes[:10])]
    wanted = [twin.may_contain_range(lo, hi) for lo, hi in ranges]
    assert filter_.may_contain_ranges([lo for lo, _ in ranges], [hi for _, hi in ranges]).tolist() == wanted


@given(keys=KEYS, ranges=RANGES, suffix=SUFFIX, ratio=st.sampled_from([0, 1, 2, 5, 64]))
@example(keys=[b"a", b"a\xff", b"a\xff\xff"], ranges=[(b"a\0", b"a\xff"), (b"a\xff\0", b"a\xff\xff")], suffix=(0, 8), ratio=64)
@example(keys=[b"ab`", b"b"], ranges=[(b"a", b"ab`"), (b"a", b"aba"), (b"a", b"abo")], suffix=(0, 4), ratio=64)
def test_surf_filter(keys: list[bytes], ranges: list[tuple[bytes, bytes | None]], suffix: tuple[int, int], ratio: int) -> None:
    filter_ = SuRF.from_keys(keys, f"suffix={suffix[0]},{suffix[1]} dense_ratio={ratio}")
    same_answers(filter_, SurfTwin(keys, *suffix, ratio), keys, ranges)


@pytest.mark.parametrize("ratio", [0, 64])
def test_surf_filter_of_many_keys(ratio: int) -> None:
    """Past one sample of the directories: 512 labels, 64 nodes."""
    keys = sorted({b"%d" % (i * i * 7919 % 100_003) for i in range(3000)})
    same_answers(SuRF.build(keys, "mixed", 8, ratio), SurfTwin(keys, 4, 4, ratio), keys[::7], [(b"5", b"50"), (b"77", b"7700")])


@given(
    keys=KEYS,
    ranges=RANGES,
    lengths=st.lists(st.integers(1, 9), max_size=3, unique=True).map(sorted),
    delimiter=st.sampled_from([None, b":", b"a", b"\xff"]),
    occurrence=st.integers(1, 2),
    bits=st.sampled_from([1.0, 4.5, 10.0]),
)
def test_prefix_bloom_filter(
    keys: list[bytes], ranges: list[tuple[bytes, bytes | None]], lengths: list[int], delimiter: bytes | None, occurrence: int, bits: float
) -> None:
    if not lengths and delimiter is None:
        lengths = [4]
    filter_ = PrefixBloom.build(keys, lengths, delimiter, occurrence, bits)
    same_answers(filter_, PrefixBloomTwin(keys, lengths, delimiter and delimiter[0], occurrence, bits), keys, ranges)


@given(keys=KEYS, ranges=RANGES, slots=st.sampled_from([1, 2, 5, 256, 1 << 20]), every=st.sampled_from([1, 2, 3, 128]))
@example(keys=[b"a" * 20, b"a" * 20 + b"b", b"a" * 19 + b"b", b"ab"], ranges=[(b"a", b"aab")], slots=2, every=1)
@example(keys=[b"0123456789abcdef", b"0123456789abcdeg", b"01234567xyz", b"01x"], ranges=[(b"01", b"0123456789abcdef")], slots=2, every=2)
def test_snarf_filter(keys: list[bytes], ranges: list[tuple[bytes, bytes | None]], slots: int, every: int) -> None:
    same_answers(SNARF.build(keys, slots, every), SnarfTwin(keys, slots, every), keys, ranges)


@pytest.mark.parametrize("spread", [1, 7919, 2**40])
def test_snarf_filter_of_many_keys(spread: int) -> None:
    """Past one sample of the directory: 256 high parts. Squares: the model is off everywhere."""
    keys = [(i * i * spread).to_bytes(10, "big") for i in range(3000)]
    ranges = [(key[:-1], key) for key in keys[::97]]
    same_answers(SNARF.build(keys, 16, 64), SnarfTwin(keys, 16, 64), keys[::7], ranges)


def test_settings_are_the_parameters() -> None:
    assert SuRF.build([b"a"], "mixed", 9, 5).params == indexes.SurfSettings("mixed", 9, 5).params == "suffix=4,5 dense_ratio=5"
    assert PrefixBloom.build([b"a"], (2, 4), b":", 2, 9.5).params == "lengths=2,4 bits=9500 delimiter=58 occurrence=2"
