"""Workloads: conditions as text, files, and the log of a table."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
import recovery
from lsm.secondary import Predicate, Table, call, col, intersects, near, text, within
from lsm.secondary.leaves import tree_of
from lsm.secondary.workload import Query, Workload
from lsm.secondary.written import parse

scalars = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.dates()
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
)
operands = st.sampled_from(["a", "it's", "é\n"]).map(col) | st.just(call("f", "a", "b"))
coordinates = st.floats(-10, 10)


@st.composite
def leaves(draw: Any) -> Predicate:
    c, v = draw(operands), draw(scalars)
    made: list[Predicate] = [c == v, c != v, c < v, c <= v, c > v, c >= v, c.is_null(), c.not_null(), c == None, c.contains(v)]  # noqa: E711
    made += [c.isin(draw(st.lists(scalars, max_size=3))), c.between(v, v, ends=draw(st.tuples(st.booleans(), st.booleans())))]
    made += [c.startswith(draw(st.text(max_size=3) | st.binary(max_size=3)))]
    x, y = draw(coordinates), draw(coordinates)
    made += [
        near("p", (x, y), 1.5),
        near("p", (x, y, 0), 2),
        within("p", (x, y, x + 1, y)),
        intersects("p", (x, y, 0, x + 1, y, 1)),
        text("t", "x y"),
    ]
    return draw(st.sampled_from(made))


conditions = st.recursive(
    leaves(), lambda part: st.builds(lambda a, b: a & b, part, part) | st.builds(lambda a, b: a | b, part, part) | part.map(lambda p: ~p)
)


@given(conditions)
def test_what_a_condition_says_is_read_back(condition: Predicate) -> None:
    assert tree_of(parse(repr(condition))) == tree_of(condition)


WRONG = """
    col('a') | 1 | col('a') > b | col('a') > 1 and col('b') > 2 | __import__('os').system('x') | col('a').__class__ | open('x')
    | col('a') > [].append | col('a').between(1) | 1 < col('a') < 3 | col(1) > 2 | col('a') > float('nan') | lambda: 1 | col('a') == | ~3
    | col(*[1]) | {} | col('a') > datetime.date(2020, 13, 1) | near('p', (1, 2), -1)
"""


@pytest.mark.parametrize("wrong", ["", "(" * 500 + "1" + ")" * 500, "~" * 5000 + "1", *(w.strip() for w in WRONG.split(" | "))])
def test_text_that_is_no_condition_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a condition"):
        parse(wrong)


WORKLOAD = [
    col("a") == 1,
    (col("d") > date(2020, 2, 3), ["a", "b"]),
    (col("t") >= datetime(2020, 1, 2, 3, 4, 5, 6, UTC), None, "-a", 5, 2.5),
    (None, None, ["a", "-b"]),
    Query(col("u") == UUID(int=5), count=True, weight=7, shape=3, seconds=0.5),
    Query(None, columns=(), limit=0, weight=0, shape=0),
]


def test_a_workload_survives_its_file(tmp_path: Path) -> None:
    load = Workload.of(WORKLOAD, writes=12)
    load.save(tmp_path / "w.json")
    assert Workload.load(tmp_path / "w.json") == load
    assert [q.weight for q in load.queries] == [1, 1, 2.5, 1, 7, 0]
    assert load.queries[2].order_by == ("-a",)
    assert load.queries[2].limit == 5
    assert load.writes == 12


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ([], "a workload is"),
        ({"format": "other", "queries": []}, "a workload is"),
        ({"queries": [{"where": "col('a') > 1"}, {"where": "nonsense!"}]}, "query 1: not a condition"),
        ({"queries": [{"were": None}]}, "query 0.*no query"),
        ({"queries": [{"where": 5}]}, "query 0: where is 5"),
        ({"queries": [{"where": None, "weight": -1}]}, "query 0: weight is -1"),
        ({"queries": [{"where": None, "limit": -1}]}, "query 0: limit is -1"),
        ({"queries": [{"where": None, "columns": [1]}]}, "query 0: columns"),
        ({"queries": [], "writes": -3}, "writes is -3"),
    ],
)
def test_bad_files_say_what_is_wrong(row: Any, what: str, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(row))
    with pytest.raises(ValueError, match=f"w.json: {what}"):
        Workload.load(path)


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text("{")
    with pytest.raises(ValueError, match=r"w\.json"):
        Workload.load(tmp_path / "w.json")


@pytest.mark.parametrize(
    "wrong", [5, "col('a') > 1", col("a") > 1, [5], [()], [(None, None, (), None, 1, 2)], [(3,)], [(None, None, (), None, "x")]]
)
def test_what_is_no_workload_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        Workload.of(wrong)


# The log


@pytest.fixture
def table() -> Iterator[Table]:
    with lsm.open("/log", {"threads": 0}, fs=recovery.memory()) as db:
        made = db.table("t", key="id")
        made.put_many([{"id": i, "a": i % 10, "b": i % 3} for i in range(100)])
        yield made


def test_queries_that_differ_in_constants_are_one(table: Table) -> None:
    with table.log_queries(samples=3) as log:
        for i in range(40):
            table.find((col("a") == i) & (col("b") > i % 7))
            table.find((col("b") > i % 5) & (col("a") == i))
        table.find((col("a") == 1) & (col("b") > 1), limit=3)
        table.count(col("a") == 1)
        table.find(col("a").isin([1, 2]))
    assert len(log) == 4
    load = log.workload()
    by_shape: dict[int | None, float] = {}
    for q in load.queries:
        by_shape[q.shape] = by_shape.get(q.shape, 0) + q.weight
        assert q.seconds is not None
        assert q.seconds > 0
    assert sorted(by_shape.values()) == pytest.approx([1, 1, 1, 80])
    assert max(sum(1 for q in load.queries if q.shape == s) for s in by_shape) == 3
    assert sum(q.count for q in load.queries) == 1


def test_rows_written_are_counted_and_nothing_after_the_end(table: Table) -> None:
    with table.log_queries() as outer:
        table.put({"id": 200, "a": 1})
        with table.log_queries() as inner:
            table.delete_many([1, 2])
            table.count()
        table.find(limit=1)
    table.find()
    table.put({"id": 201})
    assert (inner.writes, len(inner)) == (2, 1)
    assert (outer.writes, len(outer)) == (3, 2)
    assert table.logs == ()


def test_the_log_keeps_what_takes_most_time(table: Table) -> None:
    with table.log_queries(limit=3) as log:
        for _ in range(5):
            table.find(col("a") == 1)
        for by in ("a", "b", "-a", "-b", "id", "-id"):
            table.find(None, order_by=by, limit=0)
    assert len(log) == 3
    assert any(q.where == (col("a") == 1) for q in log.workload().queries)
    assert log.dropped == 4


def test_a_query_that_fails_is_not_logged(table: Table) -> None:
    with table.log_queries() as log:
        with pytest.raises(ValueError, match="no row has a column 'x'"):
            table.find(col("x") == 1)
        with pytest.raises(ValueError, match="limit"):
            table.log_queries(limit=0)
    assert len(log) == 0


def test_samples_are_drawn_from_all_and_the_same_by_seed(table: Table) -> None:
    def logged(seed: int) -> list[int]:
        with table.log_queries(samples=4, seed=seed) as log:
            for i in range(200):
                table.count(col("a") == i)
        return sorted(q.where.values[0] for q in log.workload().queries)  # type: ignore[union-attr]

    assert logged(1) == logged(1)
    assert max(logged(1)) >= 40


def test_threads_may_query_while_it_logs(table: Table) -> None:
    with table.log_queries() as log:
        threads = [threading.Thread(target=lambda: [table.count(col("a") == i) for i in range(50)]) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert sum(q.weight for q in log.workload().queries) == pytest.approx(200)
