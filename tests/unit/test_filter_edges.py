"""Point and range filters at the ends of what their C interfaces take: sizes, rates, parameters, filters without keys, full counters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from indexes._native import ffi, lib

import indexes
from indexes import _native, native
from indexes.filters import aligned
from indexes.ranges import range_filter_class
from indexes.twins import TWINS

KINDS = indexes.filter_kinds()
HASHES = np.random.default_rng(2).integers(0, 2**64, 500, dtype=np.uint64)


def make(kind: str, how: str, n: int, bits: float, room: int) -> tuple[int, int]:
    """Build into so much room: the status and the size."""
    ops = indexes.filter_ops(kind)._ops
    out, size = aligned(room + 64), ffi.new("size_t *")
    to = ffi.cast("uint8_t *", out.ctypes.data)
    status = (
        ops.build(ffi.cast("uint64_t *", HASHES.ctypes.data), n, bits, to, room, size)
        if how == "build"
        else ops.empty(n, bits, to, room, size)
    )
    assert not out[room:].any()
    return int(status), int(size[0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_the_room_is_refused(kind: str) -> None:
    ops = indexes.filter_ops(kind)
    for how in ("build", "empty") if ops.can("empty") else ("build",):
        for n in (0, 1, 100):
            bound = int(ops._ops.bound(n, 10))
            assert make(kind, how, n, 10, bound)[0] == lib.IDX_FILTER_OK
            assert make(kind, how, n, 10, bound - 1)[0] == lib.IDX_FILTER_REFUSED
            for bits in (0.5, 65, -1, math.nan, math.inf):
                assert make(kind, how, n, bits, 1000)[0] == lib.IDX_FILTER_REFUSED


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_and_rates_out_of_range(kind: str) -> None:
    ops = indexes.filter_ops(kind)
    for bits in (0.5, 65, -1, math.nan, math.inf):
        assert ops._ops.bound(10, bits) == 0
        assert math.isnan(ops.expected_fpr(bits))
    assert 0 < ops.expected_fpr(1) <= 1 and 0 < ops.expected_fpr(64) < 1e-2
    for n in (2**62, 2**64 - 1):
        assert ops._ops.bound(n, 10) == 0
    sizes = [ops._ops.bound(n, 10) for n in range(1, 3000, 7)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_without_keys_takes_none_and_has_none(kind: str) -> None:
    ops = indexes.filter_ops(kind)
    data = ops.build([], 10)
    assert not ops.may_contain_many(data, HASHES).any() and not ops.may_contain(data, 5) and ops.fpr(data) == 0
    if ops.can("insert"):
        assert ops.insert(data, HASHES) == 0 and ops.insert(data, []) == 0
    if ops.can("erase"):
        assert not ops.erase(data, HASHES).any()
    if ops.can("unite"):
        ops.unite(data, data.copy())
        assert not ops.may_contain_many(data, HASHES).any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if indexes.filter_ops(kind).can("unite")])
def test_only_filters_alike_are_united(kind: str) -> None:
    ops = indexes.filter_ops(kind)
    some = ops.build(HASHES[:50], 10)
    others = [ops.build(HASHES[:200], 10), ops.build([], 10), some[:16]]
    others.append(some.copy())
    others[-1][2] ^= 1  # probes, or bits of a fingerprint
    for other in others:
        with pytest.raises(ValueError, match="same size"):
            ops.unite(some.copy(), other)
    both = ops.empty(200, 10)
    ops.insert(both, HASHES[:50])
    more = ops.empty(200, 10)
    ops.insert(more, HASHES[50:150])
    ops.unite(both, more)
    assert ops.may_contain_many(both, HASHES[:150]).all()


def test_counters_that_are_full_stay_full_when_filters_are_united() -> None:
    ops = indexes.filter_ops("counting_bloom")
    filters = []
    for times in (1, 7, 14, 15, 40):
        data = ops.empty(20, 40)
        ops.insert(data, np.repeat(HASHES[:5], times))
        filters.append(data)
    for a in filters:
        for b in filters:
            both = a.copy()
            ops.unite(both, b)
            for into, first, second in ((both & 15, a & 15, b & 15), (both >> 4, a >> 4, b >> 4)):
                assert (into[16:] == np.minimum(first.astype(int) + second, 15)[16:]).all()


def test_a_cuckoo_filter_that_is_full_says_so() -> None:
    ops = indexes.filter_ops("cuckoo")
    small = ops.empty(8, 8)
    taken = ops.insert(small, HASHES)
    assert 0 < taken < len(HASHES) and ops.may_contain_many(small, HASHES[:taken]).all()
    with pytest.raises(ValueError, match="no room"):
        ops.unite(small, small.copy())


@pytest.mark.parametrize("kind", KINDS)
def test_one_hash_many_times_and_hashes_that_differ_in_one_bit(kind: str) -> None:
    ops = indexes.filter_ops(kind)
    for hashes in (np.repeat(HASHES[:1], 3000), np.uint64(1) << np.arange(64, dtype=np.uint64), np.arange(3000, dtype=np.uint64)):
        assert ops.may_contain_many(ops.build(hashes, 12), hashes).all()


def test_names_that_nobody_has() -> None:
    for find in (indexes.filter_ops, indexes.search_ops, indexes.range_ops):
        with pytest.raises((KeyError, ValueError), match="nothing"):
            find("nothing")
    for find in (lib.idx_filter_find, lib.idx_search_find, lib.idx_range_find, lib.idx_hash_find):
        assert find(b"nothing") == ffi.NULL
    assert native.native_search_address("fence")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            "prefix_bloom",
            ["lengths=1,2,255", "delimiter=0 lengths=", "occurrence=255 delimiter=7", "bits=1000", "bits=64000", " bits=1000  lengths=3 "],
            [
                *(
                    "lengths=",
                    "lengths=0",
                    "lengths=2,1",
                    "lengths=2,2",
                    "lengths=1,",
                    "lengths=,1",
                    "lengths=1:2",
                    "lengths=1/",
                    "lengths",
                ),
                *(
                    "bits=999",
                    "bits=64001",
                    "bits=",
                    "delimiter=256",
                    "delimiter=x",
                    "delimiter=",
                    "occurrence=0",
                    "occurrence=256",
                    "other=1",
                ),
                "lengths=" + ",".join(map(str, range(1, 200))),
            ],
        ),
        (
            "snarf",
            ["slots=1", "slots=1048576 every=1", "every=65536"],
            ["slots=0", "slots=1048577", "every=0", "every=1048577", "every=", "slots", "slots=1 other=1", "every=x"],
        ),
        (
            "surf",
            ["suffix=0,0", "suffix=32,0", "suffix=1,31", "dense_ratio=0", "dense_ratio=4294967295"],
            [
                "suffix=1",
                "suffix=,1",
                "suffix=1,",
                "suffix=33,0",
                "suffix=1,32",
                "suffix=x,1",
                "dense_ratio=",
                "dense_ratio=4294967296",
                "x=1",
                "x",
            ],
        ),
    ],
)
def test_parameters_of_range_filters(kind: str, good: list[str], bad: list[str]) -> None:
    cls = range_filter_class(kind)
    for params in good:
        assert cls.from_keys([b"a:b", b"c:d"], params).may_contain(b"a:b")
    for params in bad:
        assert not indexes.accepts_params(kind, params), params
        with pytest.raises(ValueError, match="does not take the parameters"):
            cls.from_keys([b"a"], params)


class Keys:
    """Sorted keys of few letters with long common beginnings, and every short string as a bound."""

    LETTERS = (b"\0", b"a", b"b", b"\xff")

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        head = [b"", b"\xff\xff", b"ab", b"a" * 9][seed % 4]
        strings = {
            head + b"".join(self.LETTERS[i] for i in rng.integers(0, 4, rng.integers(0, 5))) for _ in range(int(rng.integers(1, 40)))
        }
        self.keys = sorted(strings)
        short = [b""]
        for _ in range(3):
            short += [s + letter for s in short for letter in self.LETTERS]
        self.bounds = sorted(set(short) | {head + s for s in short} | {key[:-1] for key in self.keys} | set(self.keys))

    def holds(self, lo: bytes, hi: bytes | None) -> bool:
        return any(lo <= key and (hi is None or key < hi) for key in self.keys)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("surf", "suffix=0,8"),
        ("surf", "suffix=3,5 dense_ratio=0"),
        ("surf", "suffix=0,0 dense_ratio=1"),
        ("snarf", "slots=64 every=2"),
        ("prefix_bloom", "lengths=1,2,4"),
        ("prefix_bloom", "lengths=2 delimiter=97 occurrence=2"),
    ],
)
def test_every_short_range_of_keys_alike(kind: str, params: str, seed: int) -> None:
    """No key is denied, whatever the bounds; and the filter is of use: some ranges without keys are told."""
    made = Keys(seed)
    built = range_filter_class(kind).from_keys(made.keys, params)
    rng = np.random.default_rng(seed)
    told = 0
    for lo in rng.permutation(np.array(made.bounds, object))[:60].tolist():
        some: list[Any] = [None, lo, lo + b"\0", *rng.permutation(np.array(made.bounds, object))[:40].tolist()]
        for hi in some:
            answer = built.may_contain_range(lo, hi)
            assert answer or not made.holds(lo, hi), f"{kind} {params} seed {seed}: [{lo!r}, {hi!r})"
            told += not answer
        assert built.may_contain(lo) or lo not in made.keys
    assert told


def test_what_the_bound_probe_refuses() -> None:
    bind = _native.bind_probe
    with pytest.raises(TypeError):
        bind(1, 2)
    built = indexes.Bloom.build([b"a"], 10)
    assert built.may_contain(b"a") and built.may_contain(bytearray(b"a")) and not built.may_contain(2**64 - 1)
    with pytest.raises(TypeError, match="allowed"):
        built.may_contain("a")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [kind for kind in TWINS if kind in KINDS])
def test_sizes_around_a_group_of_probes(kind: str) -> None:
    ops = indexes.filter_ops(kind)
    data = ops.build(HASHES[:100], 9)
    single = np.array([ops.may_contain(data, int(h)) for h in HASHES])
    for n in (0, 1, 7, 8, 9, 31, 32, 33, 127, 128, 129, 256, 257, 500):
        assert (ops.may_contain_many(data, HASHES[:n]) == single[:n]).all()
