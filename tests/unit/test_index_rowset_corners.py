"""Row sets whose containers meet in the less common ways: many at once, alike though unlikely to be, of many runs; against numpy."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

import indexes
from indexes.rowset import RowSet, RowSetBuilder

SPAN = 1 << 16
Rows = npt.NDArray[np.uint64]


def rows(values: object) -> Rows:
    return np.unique(np.asarray(values, np.uint64))


def runs(every: int, length: int, start: int = 0, end: int = SPAN) -> Rows:
    at = np.arange(start, end)
    return rows(at[(at - start) % every < length])


def in_ranges(values: Rows) -> RowSet:
    """The rows as they come from adding range by range."""
    edit = RowSetBuilder()
    ends = np.flatnonzero(np.diff(values) != 1)
    if len(ends) > 3000:  # that would take long
        edit.add_many(values)
        return edit.freeze()
    for first, last in zip(np.concatenate([[0], ends + 1]), np.concatenate([ends, [len(values) - 1]]), strict=True):
        edit.add_range(int(values[first]), int(values[last]))
    return edit.freeze()


FORMS = {
    "few": rows([3, 70, 900, 65_535]),
    "spread": runs(15, 1),
    "dense": runs(2, 1, 0, 9000),
    "half": runs(2, 1),
    "long runs": runs(20_000, 10_000),
    "many runs": runs(50, 20),
    "many other runs": runs(47, 23, 5),
    "short runs": runs(4000, 3),
    "all": runs(1, 1),
    "two spans": np.concatenate([runs(3, 1), runs(9, 5) + SPAN]).astype(np.uint64),
    "far": rows([1 << 40, (1 << 40) + 7]),
    "none": rows([]),
}
MAKERS: dict[str, Callable[[Rows], RowSet]] = {
    "at once": RowSet,
    "by ranges": lambda values: in_ranges(values) if len(values) else RowSet(),
    "read back": lambda values: RowSet.from_bytes(RowSet(values).to_bytes()),
    "expanded": lambda values: RowSet(values).expanded(1),
}


@functools.cache
def _made(made: str, name: str) -> RowSet:
    return MAKERS[made](FORMS[name])


def same(found: RowSet, expected: Rows) -> bool:
    back = RowSet.from_bytes(found.to_bytes())
    return np.array_equal(found.rows(len(expected) + 1), expected) and len(found) == len(expected) and back == found


@pytest.mark.parametrize("made", MAKERS)
@pytest.mark.parametrize("first", FORMS)
def test_two(first: str, made: str) -> None:
    a = _made(made, first)
    assert same(a, FORMS[first])
    for second, values in list(FORMS.items())[len(first) % 2 :: 2]:
        b = _made(made, second)
        assert same(a & b, np.intersect1d(FORMS[first], values)), second
        assert same(a | b, np.union1d(FORMS[first], values)), second
        assert same(a ^ b, np.setxor1d(FORMS[first], values)), second
        assert same(a - b, np.setdiff1d(FORMS[first], values)), second
        assert (a == b) == np.array_equal(FORMS[first], values)
        assert a.isdisjoint(b) == (len(np.intersect1d(FORMS[first], values)) == 0)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("n", [3, 40])
def test_many_that_are_alike(name: str, n: int) -> None:
    """What all have is far more than chance would have it."""
    values = [np.setdiff1d(FORMS[name], FORMS[name][i :: 97 + i]) if i % 3 else FORMS[name] for i in range(n)]
    sets = [RowSet(some).expanded(1) if i % 2 else RowSet(some) for i, some in enumerate(values)]
    both, either = functools.reduce(np.intersect1d, values), functools.reduce(np.union1d, values)
    assert same(RowSet.intersection(*sets), both) and RowSet.and_count(*sets) == len(both)
    assert same(RowSet.union(*sets), either) and RowSet.or_count(*sets) == len(either)


@pytest.mark.parametrize("name", FORMS)
def test_equal_in_whatever_form(name: str) -> None:
    sets = [_made(made, name) for made in MAKERS]
    assert all(a == b for a in sets for b in sets)
    if len(FORMS[name]) > 1:
        other = RowSet(np.append(FORMS[name][:-1], FORMS[name][-1] + 1))
        assert len(other) == len(sets[0]) and all(a != other and other != a for a in sets)


def test_many_that_are_mixed() -> None:
    values = list(FORMS.values())[:-1] * 12
    sets = [RowSet(some) for some in values]
    either = functools.reduce(np.union1d, values)
    assert same(RowSet.union(*sets), either) and RowSet.or_count(*sets) == len(either)
    assert len(RowSet.intersection(*sets)) == RowSet.and_count(*sets) == 0
    for one in sets[:3]:
        assert RowSet.union(one) == one and RowSet.or_count(one) == RowSet.and_count(one) == len(one)
        assert RowSet.intersection(one) == one


def test_a_filter_larger_than_the_near_caches() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, 4_000_000, dtype=np.uint64)
    ops = indexes.filter_ops("bloom")
    data = ops.build(hashes, 10)
    assert ops.may_contain_many(data, hashes[:100_000]).all()
    others = np.random.default_rng(2).integers(0, 2**64, 100_000, dtype=np.uint64)
    assert 0.002 < ops.may_contain_many(data, others).mean() < 0.02
    assert not ops.may_contain_many(data, others[:0]).size
