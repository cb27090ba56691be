"""Conditions: SQLite and shapely say what they mean; trees are true for the same rows; code and JSON give them back."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import operator
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from lsm.secondary import Predicate, call, col, intersects, near, text, within
from lsm.secondary.leaves import columns_of, compile_rows, predicate_from_json, predicate_to_json, tree_of, value_of
from lsm.secondary.predicate import And, Leaf, Not, Or, leaf_value
from tests.harness.sqlrows import CONDITIONS, FUNCTIONS, ROWS, Both, open_rows

DAY, NOON = datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)
ORDERED: list[Any] = [-1, 0, 1, 1.0, 2, 2.5, math.inf, True, False, "", "a", "ab", "b", b"a", DAY, NOON, UUID(int=1)]
SCALARS: list[Any] = [*ORDERED, math.nan, None]
LISTS: list[Any] = [[], [1, "a"], [0, 2], (1,), [True, None], [None], [math.nan], (0.5, 0.5), (0.0, 0.0, 1.0, 1.0), ["ab", "b"], [-1, 3]]
KINDS = [[v for v in ORDERED if type(v) in kinds] for kinds in ((int, float), (bool,), (str,), (bytes,), (datetime.date,))]
LENGTH: dict[str, Callable[..., Any]] = {"length": lambda v: len(v) if isinstance(v, str) else None}
SIGNS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@given(CONDITIONS, st.lists(ROWS, min_size=1, max_size=8))
@example(Both(col("a").isin([]), "a IN ()"), [{"a": 1}, {}])
@example(Both(~col("a").isin([]), "NOT (a IN ())"), [{"a": 1}, {}])
@example(Both(col("a") == 2**53 + 1, "a = ?", (2**53 + 1,)), [{"a": float(2**53)}, {"a": 2**53 + 1}])
@example(Both(~col("tags").between(1, 2), "NOT listed OR NOT EXISTS (SELECT 1 FROM tags t WHERE t.i = r.i)"), [{"tags": []}, {"tags": [1]}])
def test_three_valued_logic_is_that_of_sqlite(both: Both, rows: list[dict[str, Any]]) -> None:
    sql = open_rows(dict(enumerate(rows)))
    expected = [None if v is None else bool(v) for (v,) in sql.execute(f"SELECT {both.sql} FROM r ORDER BY i", both.parameters)]
    sql.close()
    check = compile_rows(both.condition, FUNCTIONS)
    assert [check(row) for row in rows] == expected


@st.composite
def leaves(draw: st.DrawFn) -> Predicate:
    c = draw(st.sampled_from([col("x"), col("x"), col("y"), call("length", "y")]))
    how = draw(st.integers(0, 6))
    if how <= 1:
        return draw(st.sampled_from(SIGNS))(c, draw(st.sampled_from(ORDERED)))
    if how == 2:
        values = st.sampled_from(draw(st.sampled_from(KINDS)))
        return c.between(draw(values), draw(values), ends=draw(st.tuples(st.booleans(), st.booleans())))
    if how == 3:
        return c.isin(draw(st.lists(st.sampled_from(ORDERED), max_size=4)))
    if how == 4:
        box = draw(st.sampled_from([(0, 0, 1, 1), (1, 1, 2, 2), (-math.inf, 0, 0.5, math.inf), (0, 0, 0, 1, 1, 1)]))
        return draw(st.sampled_from([within("x", box), intersects("x", box), near("x", (0, 0), 0.75), near("y", (3, 3, 3), math.inf)]))
    plain = [c.is_null(), c.not_null(), c.startswith("a"), c.startswith(b"a"), c.contains(1), c.contains(True), c == None, c != None]  # noqa: E711
    return draw(st.sampled_from(plain))


def combined(leaf: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    def grow(inner: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
        some = st.lists(inner, max_size=4).map(tuple)
        both = st.tuples(inner, inner)
        return inner.map(lambda p: ~p) | both.map(lambda p: p[0] & p[1]) | both.map(lambda p: p[0] | p[1]) | some.map(And) | some.map(Or)

    return st.recursive(leaf, grow, max_leaves=8)


def judged(p: Predicate, row: dict[str, Any]) -> bool | None:
    """Kleene's logic, as its tables say."""
    if isinstance(p, Leaf):
        return leaf_value(p, value_of(p.column, row, LENGTH))
    if isinstance(p, Not):
        return {True: False, False: True, None: None}[judged(p.part, row)]
    assert isinstance(p, And | Or)
    truth = {False: 0, None: 1, True: 2}
    values = [truth[judged(q, row)] for q in p.parts]
    return (False, None, True)[min(values, default=2) if isinstance(p, And) else max(values, default=0)]


@given(combined(leaves()), st.sampled_from(SCALARS))
@example((col("x") == 1) | (col("x") == True), 1)  # noqa: E712
@example(~((col("x") > 1) & (col("x") < 2.5)), None)
def test_a_tree_is_true_for_the_same_rows(p: Predicate, y: Any) -> None:
    rows = [{"x": x, "y": y} for x in SCALARS] + [{"y": y}]
    tree, check = tree_of(p), compile_rows(p, LENGTH)
    expected = [judged(p, row) for row in rows]
    assert [judged(tree, row) for row in rows] == expected
    assert [check(row) for row in rows] == expected
    assert tree_of(tree) == tree
    assert tree_of(~~p) == tree
    assert no_negations(tree)


def no_negations(p: Predicate) -> bool:
    if isinstance(p, And | Or):
        return len(p.parts) != 1 and all(no_negations(q) and type(q) is not type(p) for q in p.parts)
    return isinstance(p, Leaf)


@given(combined(leaves() | st.just(text("x", "a"))))
def test_code_and_json_give_a_condition_back(p: Predicate) -> None:
    again = predicate_from_json(json.loads(json.dumps(predicate_to_json(p), allow_nan=False)))
    assert again == p
    assert hash(again) == hash(p)
    assert repr(again) == repr(p)
    scope = {"col": col, "call": call, "intersects": intersects, "within": within, "near": near, "text": text}
    scope |= {"datetime": datetime, "UUID": UUID, "inf": math.inf, "TRUE": And(()), "FALSE": Or(())}  # type: ignore[dict-item]
    assert tree_of(eval(repr(p), scope)) == tree_of(p)
    assert set(columns_of(p)) <= {"x", "y"}


@given(leaves().map(tree_of), leaves().map(lambda p: tree_of(~p)) | leaves().map(tree_of))
@example(tree_of(~col("x").isin([])), tree_of(col("x").not_null()))
@example(tree_of(col("x") == 1), tree_of(col("x") != 2))
@example(tree_of(col("x") == 1), tree_of(~(col("x") > 1)))
@example(tree_of(col("x") == 1), tree_of(intersects("x", (0, 0, 1, 1))))
@example(tree_of(col("x") < 1), tree_of(col("x") <= 1))
def test_what_a_leaf_implies_holds(p: Leaf, q: Leaf) -> None:
    if p.implies(q):
        for value in SCALARS + LISTS:
            assert leaf_value(p, value) is not True or leaf_value(q, value) is True, value


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (col("x") == 3, col("x") > 1),
        (col("x").isin([3, 4]), col("x").between(3, 4)),
        (col("x").between(2, 3), col("x") > 1),
        (col("x") > 1, col("x") > 1),
        (col("x") > 1, col("x").not_null()),
        (col("x").startswith("a"), col("x").not_null()),
        (col("x") == "abc", col("x").startswith("a")),
    ],
)
def test_what_partial_indexes_need_is_seen(p: Leaf, q: Leaf) -> None:
    assert p.implies(q)


NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.25])
POINTS = st.tuples(NUMBERS, NUMBERS)
BOXES = st.tuples(NUMBERS, NUMBERS, st.integers(1, 3), st.integers(1, 3)).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def shape(value: Any) -> Any:
    return shapely.Point(value) if len(value) == 2 else shapely.box(*value)


@given(POINTS | BOXES, BOXES, POINTS, st.sampled_from([0, 0.5, 1, 2.25, 5]))
def test_places_are_as_shapely_has_them(place: Any, box: Any, point: Any, radius: float) -> None:
    window = shapely.box(*box)
    for form in (tuple, list):
        row = {"p": form(place)}
        assert compile_rows(intersects("p", box), {})(row) == window.intersects(shape(place))
        assert compile_rows(within("p", box), {})(row) == window.covers(shape(place))
        assert compile_rows(near("p", point, radius), {})(row) == (shapely.distance(shape(place), shapely.Point(point)) <= radius)


@pytest.mark.parametrize(
    ("p", "true", "false", "unknown"),
    [
        (col("a") == 1, [1, 1.0, [5, 1]], [2, True, "1", [2], [], math.nan], [None, [None]]),
        (col("a") != 1, [2, True, "1", [2], [], math.nan], [1, 1.0, [5, 1]], [None, [None]]),
        (col("a") == True, [True], [1, 1.0, False, "True"], [None]),  # noqa: E712
        (col("a") > 1, [2, math.inf, [0, 2], ["x", 2]], [1, -math.inf, [0], []], [None, True, "2", math.nan, ["x"], [0, "x"]]),
        (col("a") < NOON, [NOON - datetime.timedelta(1)], [NOON], [DAY, 5, None]),
        (col("a") >= DAY, [DAY], [DAY - datetime.timedelta(1)], [NOON, None]),
        (col("a") <= UUID(int=5), [UUID(int=4)], [UUID(int=6)], [4, "4"]),
        (col("a").isin([1, "x"]), [1, "x", [5, 1]], [True, [True], []], [None, [None]]),
        (col("a").startswith("ab"), ["ab", "abc", ["x", "abc"]], ["a", ""], [b"abc", 5, None]),
        (col("a").is_null(), [None], [1, [], [None], math.nan], []),
        (near("a", (0, 0), 5), [[3, 4], (3, 4, 9, 9)], [[3, 4.1]], [None, 5, "ab", [1], [1, math.nan], ["a", 1], [True, 1], (1, 2, 3)]),
    ],
    ids=repr,
)
def test_kinds_by_hand(p: Predicate, true: list[Any], false: list[Any], unknown: list[Any]) -> None:
    check, opposite = compile_rows(p, {}), compile_rows(~p, {})
    for expected, values in ((True, true), (False, false), (None, unknown)):
        assert [(v, check({"a": v})) for v in values] == [(v, expected) for v in values]
        assert [opposite({"a": v}) for v in values] == [None if expected is None else not expected] * len(values)
    assert check({}) == check({"a": None})


@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        (lambda: col("a") == float("nan"), ValueError, "compares with NaN"),
        (lambda: col("a") < np.float64("nan"), ValueError, "compares with NaN"),
        (lambda: col("a") == [1], TypeError, "compares with"),
        (lambda: col("a") < None, TypeError, "compares with None"),
        (lambda: col("a").between(1, "x"), TypeError, "unlike types"),
        (lambda: col("a") > datetime.datetime(2020, 1, 1), ValueError, "has no zone"),
        (lambda: col("a").isin("abc"), TypeError, "several values"),
        (lambda: col("a").startswith(5), TypeError, "str or bytes"),
        (lambda: col(5), TypeError, "named by a str"),  # type: ignore[arg-type]
        (lambda: call("f"), TypeError, "names of columns"),
        (lambda: intersects("a", (1, 0, 0, 1)), ValueError, "a lower bound above an upper one"),
        (lambda: within("a", (0, 0, math.nan, 1)), ValueError, "not NaN"),
        (lambda: intersects("a", (0, 0, 1)), ValueError, "4 or 6 numbers"),
        (lambda: near("a", (0, math.nan), 1), ValueError, "not NaN"),
        (lambda: near("a", (0, 0), -1), ValueError, "radius is -1"),
        (lambda: near("a", (0, 0), math.nan), ValueError, "radius is nan"),
        (lambda: (col("a") > 1) and (col("a") < 3), TypeError, "neither true nor false"),
        (lambda: (col("a") > 1) & 5, TypeError, "put comparisons in brackets"),
        (lambda: compile_rows(call("nope", "a") > 1, {"f": len})({"a": 1}), KeyError, "no function 'nope'; the table has f"),
    ],
)
def test_conditions_that_make_no_sense(bad: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        bad()


def test_constants_are_made_plain() -> None:
    assert (col("a") == np.int64(5)) == (col("a") == 5)
    assert (col("a") == 1) != (col("a") == True)  # noqa: E712
    assert len({col("a") == 1, col("a") == 1.0, col("a") == True, col("a").isin([1])}) == 2  # noqa: E712
    assert col("a").isin([1, 1.0, True]) == col("a").isin([1, True])
    assert tree_of((col("a") > 1) & (col("a") <= 5) & (col("a") < 9)) == col("a").between(1, 5, ends=(False, True))
    assert tree_of((col("a") < 3) & (col("a") > "x")) == (col("a") < 3) & (col("a") > "x")


def test_a_large_condition_is_handled() -> None:
    wide = Or(tuple(col("a") == i for i in range(10_000)))
    assert compile_rows(wide, {})({"a": 9_999}) is True
    assert predicate_from_json(predicate_to_json(wide)) == wide
    assert tree_of(And(tuple(col("a") > i for i in range(1_000)))) == (col("a") > 999)
    assert [compile_rows(p, {})({}) for p in (And(()), Or(()))] == [True, False]
    assert all(repr(p) for p in itertools.chain([wide], wide.parts[:3]))
