"""Predicates: SQLite and shapely say what they mean; normal forms are true for the same rows; code and JSON give them back."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import operator
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsm.secondary import predicate
from lsm.secondary.nodes import NAN, And, Constant, Equal, In, IsNull, Leaf, Not, Or, Range, leaves
from lsm.secondary.predicate import (
    FALSE,
    TRUE,
    UNKNOWN,
    EvaluationError,
    Predicate,
    UnknownColumn,
    call,
    check_columns,
    col,
    columns,
    compile,
    compile_rows,
    from_json,
    intersects,
    near,
    normal_form,
    text,
    to_json,
    within,
)
from lsm.secondary.record import Names, encode

UTC = datetime.UTC
Sql = tuple[Predicate, str, list[Any]]
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

# SQLite as the oracle: predicate and SQL are made side by side, of the same draws

numbers = st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 2.0, -0.0, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, float(2**63), math.inf])
words = st.text("abé\0", max_size=3)


@st.composite
def conditions(draw: st.DrawFn) -> Sql:
    column, values = draw(st.sampled_from([("a", numbers), ("b", numbers), ("s", words), ("t", words)]))
    term, sql = col(column), column
    if draw(st.integers(0, 5)) == 0:
        term, sql, values = (
            (call("abs", "a"), "abs(a)", numbers) if values is numbers else (call("has", "s", "t"), "instr(s, t) > 0", st.integers(0, 1))
        )
    how = draw(st.sampled_from(["compare", "compare", "between", "in", "null", "not null", "starts"]))
    if how == "compare":
        sign, value = draw(st.sampled_from(sorted(OPERATORS))), draw(values)
        return OPERATORS[sign](term, value), f"(({sql}) {sign} ?)", [value]
    if how == "between":
        low, high = draw(values), draw(values)
        return term.between(low, high), f"(({sql}) BETWEEN ? AND ?)", [low, high]
    if how == "in":
        chosen = draw(st.lists(numbers | words | st.none(), max_size=3))
        return term.isin(chosen), f"(({sql}) IN ({', '.join('?' * len(chosen))}))", chosen
    if how == "starts" and column in "st" and values is words:
        prefix = draw(words)
        return term.startswith(prefix), f"(substr(({sql}), 1, ?) = ?)", [len(prefix), prefix]
    return (term.not_null(), f"(({sql}) IS NOT NULL)", []) if how == "not null" else (term.is_null(), f"(({sql}) IS NULL)", [])


def trees(leaf: st.SearchStrategy[Sql]) -> st.SearchStrategy[Sql]:
    def grow(inner: st.SearchStrategy[Sql]) -> st.SearchStrategy[Sql]:
        both = st.tuples(inner, inner)
        return (
            inner.map(lambda x: (~x[0], f"(NOT {x[1]})", x[2]))
            | both.map(lambda x: (x[0][0] & x[1][0], f"({x[0][1]} AND {x[1][1]})", x[0][2] + x[1][2]))
            | both.map(lambda x: (x[0][0] | x[1][0], f"({x[0][1]} OR {x[1][1]})", x[0][2] + x[1][2]))
        )

    return st.recursive(leaf, grow, max_leaves=8)


sql_rows = st.fixed_dictionaries(
    {}, optional={"a": numbers | st.none(), "b": numbers | st.none(), "s": words | st.none(), "t": words | st.none()}
)
HAS = {"has": lambda s, t: int(t in s)}


@given(trees(conditions()), st.lists(sql_rows, min_size=1, max_size=8))
@example((col("a").isin([]), "(a IN ())", []), [{"a": 1}, {}])
@example((~col("a").isin([1, None]), "(NOT (a IN (?, ?)))", [1, None]), [{"a": 1}, {"a": 2}, {}])
@example((col("a") == 2**53 + 1, "(a = ?)", [2**53 + 1]), [{"a": float(2**53)}, {"a": 2**53 + 1}])
def test_three_valued_logic_is_that_of_sqlite(tree: Sql, rows: list[dict[str, Any]]) -> None:
    p, sql, params = tree
    connection = sqlite3.connect(":memory:")
    connection.create_function("instr", 2, lambda s, t: None if s is None or t is None else int(t in s))
    connection.create_function("substr", 3, lambda s, _, n: None if s is None else s[:n])
    connection.execute("CREATE TABLE r (a, b, s, t)")
    connection.executemany("INSERT INTO r VALUES (?, ?, ?, ?)", [[row.get(c) for c in "abst"] for row in rows])
    found = [None if x is None else bool(x) for (x,) in connection.execute(f"SELECT {sql} FROM r ORDER BY rowid", params)]
    connection.close()
    names = Names()
    early = compile(p, names, functions=HAS)  # before any row has come
    datas = [encode(row, names) for row in rows]
    late, plain, normal = compile(p, names, functions=HAS), compile_rows(p, functions=HAS), compile_rows(normal_form(p), functions=HAS)
    assert [late(d) for d in datas] == found, p
    assert [early(d) for d in datas] == found
    assert [plain(row) for row in rows] == found
    assert [normal(row) is True for row in rows] == [x is True for x in found], normal_form(p)


# Everything together: values of all kinds, few of each, so that they meet

DAY, NOON = datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 12, tzinfo=UTC)
ORDERED: list[Any] = [-1, 0, 1, 1.0, 2, 2.5, math.nan, math.inf, True, False, "", "a", "ab", "b", b"a", DAY, NOON, UUID(int=1)]
POOL: list[Any] = [*ORDERED, None, [], [1, "a"], (1,), [True, None], [math.nan], (0.5, 0.5), (0.0, 0.0, 1.0, 1.0), [2, 2, 1, 1]]
KINDS = [[v for v in ORDERED if type(v) in kinds] for kinds in ((int, float), (bool,), (str,), (bytes,), (datetime.date,))]
terms = st.sampled_from([col("x"), col("x"), col("y"), call("length", "y")])


@st.composite
def any_leaf(draw: st.DrawFn) -> Predicate:
    c = draw(terms)
    how = draw(st.integers(0, 9))
    if how <= 2:
        return draw(st.sampled_from([operator.lt, operator.le, operator.gt, operator.ge]))(c, draw(st.sampled_from(ORDERED)))
    if how == 3:
        values = draw(st.sampled_from(KINDS))
        return c.between(
            draw(st.sampled_from(values)), draw(st.sampled_from(values)), draw(st.sampled_from(["both", "left", "right", "neither"]))
        )
    if how <= 5:
        return draw(st.sampled_from([operator.eq, operator.ne]))(c, draw(st.sampled_from([v for v in POOL if v is not None])))
    if how == 6:
        return c.isin(draw(st.lists(st.sampled_from(POOL), max_size=4)))
    if how == 7:
        return draw(
            st.sampled_from(
                [c.is_null(), c.not_null(), c.startswith("a"), c.startswith(b"a"), c.contains(1), c.contains(True), c.contains("a")]
            )
        )
    if how == 8:
        box = draw(st.sampled_from([(0, 0, 1, 1), (1, 1, 2, 2), (-math.inf, 0, 0.5, math.inf), (0, 0, 0, 1, 1, 1)]))
        return draw(
            st.sampled_from([within(c, box), intersects(c, box), near(c, (0, 0), 0.75), near(c, (3, 3, 3), math.inf), text(c, "a")])
        )
    return draw(st.sampled_from([TRUE, FALSE, UNKNOWN]))


def combined(leaf: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    def grow(inner: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
        some = st.lists(inner, min_size=2, max_size=4)
        return inner.map(lambda p: ~p) | some.map(And.of) | some.map(Or.of)

    return st.recursive(leaf, grow, max_leaves=10)


predicates = combined(any_leaf())


def hook(column: str, query: str) -> Callable[[str], bool]:
    return lambda value: query in value


LENGTH = {"length": lambda v: len(v) if hasattr(v, "__len__") else None}
ALL_ROWS = [{"x": x, "y": y} for x, y in itertools.product(POOL, [None, 1, True, "a", "ab", math.nan, [1, "a"], (0.5, 0.5), NOON])]


@given(predicates)
@example((col("x") == 1) | (col("x") == True))  # noqa: E712
@example(col("x").isin([1, 2]) & (col("x") > 0))
@example((col("x") < 1) & (col("x") < "a"))
@example((col("x") <= 1) | (col("x") > 1) | (col("x") == 5))
@example(~((col("x") != NAN) & (col("x") >= 1)))
@example(col("x").isin([1]) & col("x").isin(["a"]))
def test_a_normal_form_is_true_for_the_same_rows(p: Predicate) -> None:
    normal = normal_form(p)
    one, two = (compile_rows(q, text=hook, functions=LENGTH) for q in (p, normal))
    differ = [row for row in ALL_ROWS if (one(row) is True) != (two(row) is True)]
    assert differ == [], (p, normal)
    assert normal == normal_form(p)
    check_normal(normal, True)


def check_normal(p: Predicate, top: bool) -> None:
    if isinstance(p, Constant):
        assert top
        assert p in (TRUE, FALSE)
    elif isinstance(p, Not):
        assert isinstance(p.part, Leaf)
        assert not isinstance(p.part, Range)
    elif isinstance(p, And | Or):
        assert len(p.parts) == len(set(p.parts)) > 1
        for part in p.parts:
            assert not isinstance(part, type(p))
            check_normal(part, False)
        ranges = [part for part in p.parts if isinstance(part, Range)]
        if isinstance(p, And):
            assert len({r.term for r in ranges}) == len(ranges)


@given(predicates)
def test_encoded_rows_and_dicts_are_judged_alike(p: Predicate) -> None:
    names = Names()
    datas = encode_all(ALL_ROWS, names)
    one, two = compile(p, names, text=hook, functions=LENGTH), compile_rows(p, text=hook, functions=LENGTH)
    assert [one(d) for d in datas] == [two(row) for row in ALL_ROWS]


def encode_all(rows: Iterable[dict[str, Any]], names: Names) -> list[bytes]:
    return [encode(row, names) for row in rows]


@given(predicates, predicates)
def test_code_and_json_give_a_predicate_back(p: Predicate, q: Predicate) -> None:
    scope = {name: getattr(predicate, name) for name in predicate.__all__} | {
        "datetime": datetime,
        "UUID": UUID,
        "nan": math.nan,
        "inf": math.inf,
    }
    assert eval(repr(p), scope) == p
    again = from_json(json.loads(json.dumps(to_json(p), allow_nan=False)))
    assert again == p
    assert hash(again) == hash(p)
    assert {p: 1}[again] == 1
    assert (p == q) == (q == p)
    assert set(columns(p)) <= {"x", "y"}


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (~(col("a").between(3, 9)), (col("a") < 3) | (col("a") > 9)),
        (~((col("a") < 3) | (col("b") == 1)), (col("a") >= 3) & (col("b") != 1)),
        ((col("a") > 1) & (col("a") <= 5) & (col("a") < 9), col("a").between(1, 5, "right")),
        ((col("a") < 3) & (col("a") > 5), FALSE),
        ((col("a") < 3) & (col("a") >= 3), FALSE),
        ((col("a") < 3) & (col("a") > "x"), FALSE),
        ((col("a") < 5) | (col("a") < 3), col("a") < 5),
        (col("a").between(1, 3) | col("a").between(2, 5), col("a").between(1, 5)),
        (col("a").between(1, 3) | col("a").between(5, 7) | col("a").between(3, 5, "neither"), col("a").between(1, 7)),
        (col("a").between(1, 3, "left") | (col("a") == 3), col("a").between(1, 3)),
        (gap := col("a").between(1, 3, "left") | col("a").between(3, 4, "right"), gap),
        ((col("a") >= 1) & (col("a") != 1), col("a") > 1),
        ((col("a") >= 1) & (col("a") != 0), col("a") >= 1),
        ((col("a") == 2) & (col("a") > 1) & (col("a") != 5), col("a") == 2),
        ((col("a") == 2) & (col("a") > 2), FALSE),
        ((col("a") == 2) & (col("a") == 3), FALSE),
        ((col("a") == 2) & (col("a") == 2.0), col("a") == 2),
        (col("a").isin([1, 5, "x"]) & (col("a") < 4), col("a").isin([1]) & (col("a") < 4)),
        (col("a").isin([1, 2]) | col("a").isin([2, 3]), col("a").isin([1, 2, 3])),
        (col("a").isin([1, 2]) & (col("a") == 2), col("a") == 2),
        (col("a").isin([]), FALSE),
        (~col("a").isin([1, None]), FALSE),
        (col("a").not_null() & (col("a") > 1), col("a") > 1),
        (col("a").is_null() & (col("a") > 1), FALSE),
        (col("a").is_null() | col("a").not_null(), TRUE),
        ((col("a") == 1) & ~(col("a") == 1), FALSE),
        (TRUE & (col("a") == 1) & ~FALSE, col("a") == 1),
        (UNKNOWN | (col("a") == 1), col("a") == 1),
        (~UNKNOWN, FALSE),
        ((col("a") == 1) & ((col("a") == 1) | (col("b") == 2)), col("a") == 1),
        ((col("a") == 1) | ((col("a") == 1) & (col("b") == 2)), col("a") == 1),
        ((call("f", "a") > 3) & (call("f", "a") > 4) & (call("f", "b") > 3), (call("f", "a") > 4) & (call("f", "b") > 3)),
        (~~(~text("a", "q") & near("p", (1, 2), 3)), ~text("a", "q") & near("p", (1, 2), 3)),
    ],
    ids=repr,
)  # fmt: skip
def test_normal_forms_by_hand(p: Predicate, expected: Predicate) -> None:
    found = normal_form(p)
    same = set(found.parts) == set(expected.parts) if isinstance(found, And | Or) and type(found) is type(expected) else found == expected
    assert same, found


def test_a_large_predicate_is_handled() -> None:
    wide = Or.of(col("a") == i for i in range(10_000))
    assert compile_rows(wide)({"a": 9_999}) is True
    assert len(from_json(to_json(wide)).parts) == 10_000  # type: ignore[attr-defined]
    assert normal_form(And.of(col("a") > i for i in range(2_000))) == (col("a") > 1_999)
    deep: Any = {"Equal": "a", "value": 1}
    for _ in range(100_000):
        deep = {"not": deep}
    with pytest.raises(ValueError, match="too deep"):
        from_json(deep)


@pytest.mark.parametrize(
    ("p", "true", "false", "unknown"),
    [
        (col("a") == 1, [1, 1.0], [2, True, "1", [1], math.nan], [None]),
        (col("a") != 1, [2, True, "1", [1], math.nan], [1, 1.0], [None]),
        (col("a") == True, [True], [1, 1.0, False, "True"], [None]),  # noqa: E712
        (col("a") > 1, [2, math.inf, math.nan], [1, -math.inf], [None, True, "2", [2]]),
        (col("a") < 1, [0, -math.inf], [1, math.nan], [None, False, "0", [0]]),
        (col("a") >= NAN, [math.nan], [math.inf, 0], [None, "nan"]),
        (col("a") < NAN, [math.inf, 0], [math.nan], [None]),
        (Equal("a", NAN), [math.nan], [1, "nan"], [None]),
        (col("a") > False, [True], [False], [1, None]),
        (col("a") < NOON, [NOON - datetime.timedelta(1)], [NOON], [DAY, 5, None]),
        (col("a") >= DAY, [DAY], [DAY - datetime.timedelta(1)], [NOON, None]),
        (col("a") <= UUID(int=5), [UUID(int=4)], [UUID(int=6)], [4, "4"]),
        (col("a") == [1, "x"], [[1, "x"], (1.0, "x")], [[True, "x"], [1], 1, "x"], [None]),
        (col("a").isin([1, "x"]), [1, "x", [5, 1], ("x",)], [True, [True], [], "1", [None]], [None]),
        (col("a").isin([True, None]), [True, [False, True]], [], [1, [1], None, "x"]),
        (col("a").contains(1), [[1], (2, 1.0)], [1, [True], [], "1", [None]], [None]),
        (col("a").startswith("ab"), ["ab", "abc"], ["a", ""], [b"abc", 5, ["abc"], None]),
        (col("a").startswith(b"ab"), [b"abc"], [b""], ["abc"]),
    ],
    ids=repr,
)
def test_kinds_by_hand(p: Predicate, true: list[Any], false: list[Any], unknown: list[Any]) -> None:
    check, opposite = compile_rows(p), compile_rows(~p)
    for expected, values in ((True, true), (False, false), (None, unknown)):
        assert [(v, check({"a": v})) for v in values] == [(v, expected) for v in values]
        assert [opposite({"a": v}) for v in values] == [None if expected is None else not expected] * len(values)


# Spatial


coordinates = st.integers(-4, 4)


@given(st.lists(coordinates, min_size=4, max_size=4), st.lists(coordinates, min_size=4, max_size=4), st.integers(0, 6), st.booleans())
def test_spatial_conditions_are_those_of_shapely(a: list[int], b: list[int], radius: int, point: bool) -> None:
    shapely = pytest.importorskip("shapely")
    box = (min(a[0], a[2]), min(a[1], a[3]), max(a[0], a[2]), max(a[1], a[3]))
    value = tuple(b[:2]) if point else (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    shape, window = shapely.Point(*b[:2]) if point else shapely.box(*value), shapely.box(*box)
    row = {"p": value}
    if box[0] < box[2] and box[1] < box[3] and (point or (value[0] < value[2] and value[1] < value[3])):  # shapely has no flat boxes
        assert compile_rows(within("p", box))(row) == window.covers(shape)
        assert compile_rows(intersects("p", box))(row) == window.intersects(shape)
    if point or (value[0] < value[2] and value[1] < value[3]):
        assert compile_rows(near("p", a[:2], radius))(row) == (shapely.Point(*a[:2]).distance(shape) <= radius)


@pytest.mark.parametrize("value", [5, "ab", [1], [1, 2, 3], [1, "2"], [math.nan, 1], [True, 1], [1, 1, 0, 0], [None, 1]], ids=repr)
def test_what_is_no_point_is_unknown(value: Any) -> None:
    for p in (within("p", (0, 0, 9, 9)), intersects("p", (0, 0, 9, 9)), near("p", (0, 0), 99)):
        assert compile_rows(p)({"p": value}) is None
    assert compile_rows(near("p", (0, 0), 99))({"p": [10**400, 1]}) is False


# Refusals


@pytest.mark.parametrize(
    ("make", "kind", "what"),
    [
        (lambda: col("a") == None, TypeError, r"None is never true: use \.is_null"),  # noqa: E711
        (lambda: col("a") < None, TypeError, r"is_null"),
        (lambda: col("a").between(1, None), TypeError, "leave the bound out"),
        (lambda: col("a").between(1, "x"), TypeError, "number and str have no common order"),
        (lambda: col("a").between(1, True), TypeError, "bool and number have no common order"),
        (lambda: col("a") < [1], TypeError, "lists have no order"),
        (lambda: col("a") == object(), TypeError, "col.'a'.*type object; allowed: None, bool"),
        (lambda: col("a") == datetime.datetime(2020, 1, 1), ValueError, "without a zone"),
        (lambda: col("a") == col("b"), TypeError, "compare two by call"),
        (lambda: col("a").isin("abc"), TypeError, "collection of values, not one str"),
        (lambda: col("a").startswith(5), TypeError, "prefix is str or bytes, not int"),
        (lambda: col("a").contains([1]), TypeError, "element is a value"),
        (lambda: col("a").between(1, 2, "some"), ValueError, "inclusive is 'some'; allowed: both"),
        (lambda: col(5), TypeError, "name is a str, not int"),
        (lambda: call("f"), TypeError, "names of columns, one at least"),
        (lambda: call(5, "a"), TypeError, "function or its name, not int"),
        (lambda: (col("a") > 1) and (col("b") > 2), TypeError, "combine with & | ~"),
        (lambda: 1 < col("a") < 3, TypeError, "combine with & | ~"),
        (lambda: not col("a"), TypeError, "is a column, not a truth value"),
        (lambda: (col("a") > 1) & True, TypeError, "unsupported operand"),
        (lambda: within("p", (1, 2, 3)), ValueError, "allowed: 4 or 6 numbers"),
        (lambda: within("p", (0, 0, math.nan, 1)), ValueError, "none of them NaN"),
        (lambda: intersects("p", (1, 0, 0, 1)), ValueError, "inverted"),
        (lambda: near("p", (0, math.inf), 1), ValueError, "finite point"),
        (lambda: near("p", (0, 0), -1), ValueError, "radius of 0 or more"),
        (lambda: near("p", (0, 0), math.nan), ValueError, "NaN"),
        (lambda: text("a", 5), TypeError, "query is a str, not int"),
        (lambda: from_json([1]), ValueError, "an object, not"),
        (lambda: from_json({"Equals": "a"}), ValueError, "begins with 'Equals'; allowed: and, or"),
        (lambda: from_json({"Equal": "a", "value": {"bytez": ""}}), ValueError, "allowed beside plain ones: bytes"),
        (lambda: from_json({"Equal": "a", "valu": 1}), TypeError, "valu"),
        (lambda: from_json({"In": "a", "values": "abc"}), TypeError, "a tuple, not str"),
        (lambda: compile_rows(text("a", "q")), ValueError, "not given; compile"),
        (lambda: compile_rows(call("lenght", "a") > 3), ValueError, "no function 'lenght'; near: length"),
    ],
)  # fmt: skip
def test_refusals_say_why(make: Callable[[], Any], kind: type[Exception], what: str) -> None:
    with pytest.raises(kind, match=what):
        make()


def test_unknown_columns_name_near_ones() -> None:
    p = (col("age") > 3) & (call("length", "nmae") > 2)
    check_columns(p, ["age", "nmae"])
    with pytest.raises(UnknownColumn, match="no column 'nmae'; near: 'name'") as e:
        check_columns(p, ["age", "name", "city"])
    assert e.value.name == "nmae"
    assert isinstance(e.value, LookupError)
    with pytest.raises(UnknownColumn, match="'age'; known: 'x'"):
        check_columns(p, ["x"])


def test_a_function_that_raises_is_named() -> None:
    check = compile_rows(call(lambda a: 1 // a, "a") > 0)
    assert check({"a": None}) is None
    assert check({"a": 1}) is True
    with pytest.raises(EvaluationError, match=r"<lambda>, 'a'\) of 0: ZeroDivisionError") as e:
        check({"a": 0})
    assert isinstance(e.value.__cause__, ZeroDivisionError)
    with pytest.raises(EvaluationError, match="type object"):
        compile_rows(call(lambda a: object(), "a") > 0)({"a": 0})


def test_functions_of_two_lambdas_are_two_terms() -> None:
    one, two = call(lambda a: a, "a") > 1, call(lambda a: -a, "a") > 1
    assert one != two
    assert normal_form(one & two) == one & two


def test_constants_are_made_plain() -> None:
    assert (col("a") == np.int64(5)) == (col("a") == 5)
    assert (col("a") == 1) != (col("a") == True)  # noqa: E712
    assert len({col("a") == 1, col("a") == 1.0, col("a") == True, col("a").isin([1]), col("a").isin([1.0])}) == 3  # noqa: E712
    assert (col("a") == [1, 2]) == (col("a") == (1, 2))
    assert Equal("a", math.nan) == Equal("a", float("-nan"))
    assert col("a").isin([1, 1.0, True, None]) == In("a", (1, True), null=True)
    assert (col("a") < 3) == Range("a", high=3, high_open=True)
    assert [type(leaf) for leaf in leaves((col("a") == 1) & ~col("b").is_null())] == [Equal, IsNull]
    assert columns((call("f", "b", "a") > 1) | (col("a") > 2)) == ("b", "a")
