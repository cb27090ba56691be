"""The sample of the advisor and its statistics."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
import recovery
from lsm.secondary import Predicate, Table, call, col, near
from lsm.secondary.leaves import compile_rows, tree_of
from lsm.secondary.sample import Sample, _reservoir, take_sample
from lsm.secondary.sketches import stats_of


def sample_of(rows: list[dict[str, Any]], total: int | None = None) -> Sample:
    import numpy as np

    total = len(rows) if total is None else total
    names = sorted({c for row in rows for c in row})
    columns = {c: stats_of(c, [row.get(c) for row in rows], total) for c in names}
    return Sample(rows, np.arange(len(rows), dtype=np.uint64), total, columns, {"twice": lambda v: None if v is None else v * 2})


cells = st.none() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5, math.nan, math.inf, 2**60, 2**60 + 1, True, "x", date(2020, 1, 1)])
numbers = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, -1.5, math.inf])
tables = st.lists(st.fixed_dictionaries({}, optional={"a": cells | st.lists(cells, max_size=2), "n": numbers}), min_size=1, max_size=8)
constants = st.integers(-3, 3) | st.sampled_from([0.5, 2**60, True, "x", math.inf])


@given(tables, st.sampled_from(["a", "n"]), constants, constants, st.integers(0, 11))
def test_masks_are_what_conditions_say(rows: list[dict[str, Any]], name: str, v: Any, w: Any, which: int) -> None:
    c = col(name)
    made: list[Predicate] = [c == v, c != v, c < v, c <= v, c > v, c >= v, c.is_null(), c.not_null(), c.isin([v, w]), ~c.isin([v])]
    made += [(c > v) | (c == w), ~((c < v) & (col("n") == w))]
    sample, condition = sample_of(rows), made[which]
    holds = compile_rows(condition, {})
    expected = [holds(row) is True for row in rows]
    assert sample.mask(tree_of(condition)).tolist() == expected
    assert sample.estimate(tree_of(condition)) == sum(expected)


def test_a_reservoir_is_fair() -> None:
    seen = Counter(i for seed in range(2000) for i in _reservoir(range(50), 5, random.Random(seed)))
    assert len(seen) == 50
    spread = sum((n - 200) ** 2 / 180 for n in seen.values())  # about chi-squared of 49: beyond 100 once in 20,000
    assert spread < 100


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    rng = random.Random(5)
    with lsm.open("/sample", {"threads": 0}, fs=recovery.memory()) as db:
        made = db.table("t", key="id")
        made.put_many(
            {"id": i, "few": min(int(rng.paretovariate(1)), 50), "many": f"n{rng.randrange(6000)}", "x": rng.gauss(0, 1)}
            | ({"rare": [i % 3, 7]} if i % 4 == 0 else {})
            for i in range(20_000)
        )
        made.delete(3)
        yield made


@pytest.mark.parametrize("sketches", [True, False])
def test_statistics_are_near_the_truth(table: Table, sketches: bool) -> None:
    if sketches:
        pytest.importorskip("datasketches")
    rows = list(table)
    sample = take_sample(table, 2000, 1, sketches)
    assert (sample.total, len(sample.rows), sample.exact) == (19_999, 2000, False)
    slack = 0.05 if sketches else 0.8
    for name in ("id", "few", "many"):
        truth = len({row[name] for row in rows})
        assert sample.columns[name].distinct == pytest.approx(truth, rel=slack), name
    assert sample.columns["rare"].nulls == pytest.approx(0.75, abs=0.01 if sketches else 0.05)
    assert sample.columns["rare"].lists
    assert not sample.columns["few"].lists
    assert sample.columns["few"].share(1) == pytest.approx(sum(row["few"] == 1 for row in rows) / len(rows), abs=0.04)
    assert sample.columns["rare"].share(7) == pytest.approx(0.25, abs=0.04)
    assert sample.columns["x"].quantiles is not None
    assert sample.columns["x"].quantiles[2] == pytest.approx(0, abs=0.08)
    assert sample.columns["id"].source == ("sketch" if sketches else "sample")


@pytest.mark.parametrize("sketches", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_estimates_are_near_the_truth(table: Table, sketches: bool, seed: int) -> None:
    if sketches:
        pytest.importorskip("datasketches")
    sample = take_sample(table, 2000, seed, sketches)
    common = [col("few") == 1, col("x") > 0, (col("few") == 1) & (col("x") > 0), (col("few") == 1) | (col("x") > 1), col("rare") == 7]
    for p in common:
        assert sample.estimate(tree_of(p)) == pytest.approx(table.count(p), rel=0.12), p
    single = [col("id") == int(i) for i in (*sample.ids[:3], 5, 17_000)] + [col("many") == "n17", (col("many") == "n17") & (col("x") > 0)]
    for p in single:  # too few for a sample of a tenth to know
        assert sample.estimate(tree_of(p)) < (10 if sketches else 30), p


def test_a_small_table_is_known_exactly(table: Table) -> None:
    sample = take_sample(table, 100_000, 0)
    assert sample.exact
    assert {c.source for c in sample.columns.values()} == {"exact"}
    for p in (col("few").isin([1, 2]), col("x").between(-0.5, 0.25), col("many").startswith("n1") & ~(col("few") == 1)):
        assert sample.estimate(tree_of(p)) == table.count(p)


def test_the_seed_decides(table: Table) -> None:
    first, again, other = (take_sample(table, 50, seed).ids.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first == sorted(first)


def test_without_the_package_sketches_are_refused(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasketches", None)
    with pytest.raises(ImportError, match=r"lsmlab\[advisor\]"):
        take_sample(table, 10, 0, True)
    assert take_sample(table, 10, 0, False).columns["few"].source == "sample"


def test_empty_tables_expressions_and_bad_sizes() -> None:
    with lsm.open("/empty", {"threads": 0}, fs=recovery.memory()) as db:
        made = db.table("t", key="id", functions={"twice": lambda v: v * 2})
        empty = take_sample(made, 10, 0)
        assert empty.estimate(tree_of(col("id") == 1)) == 0
        with pytest.raises(ValueError, match="sample is 0"):
            take_sample(made, 0, 0)
        made.put_many({"id": i, "p": (i, 0)} for i in range(10))
        sample = take_sample(made, 100, 0)
        assert sample.estimate(tree_of(call("twice", "id") == 6)) == 1
        assert sample.estimate(tree_of(near("p", (0, 0), 3.5))) == 4
        assert sample.stats(call("twice", "id").column).distinct == 10
