"""Conditions on rows, written as Python, kept as data.

>>> p = col("age").between(3, 9) & col("tags").isin(["a", "b"]) & ~(col("name") == "x")
>>> p
col('age').between(3, 9) & col('tags').isin(['a', 'b']) & (col('name') != 'x')
>>> matches = compile_rows(p)
>>> matches({"age": 5, "tags": ["b", "c"], "name": "y"}), matches({"age": 5, "tags": "a"}), matches({"age": 12})
(True, None, False)
>>> columns(p), from_json(to_json(p)) == p
(('age', 'tags', 'name'), True)

**Three values.** A condition is true, false or unknown (None), as in SQL: a comparison with NULL is unknown, and so is one with a column
that the row lacks; ~unknown is unknown; a & b is false when one is false; a query finds the rows for which its predicate is true.

**Kinds.** Values have one of the kinds bool, number, str, bytes, datetime, date, uuid, list. Numbers compare by exact value, int with
float; NaN is equal to itself and above all others, as in the order of keys. Values of different kinds are never equal (`==` false, `!=`
true: also True and 1), and have no order (`<` and its like, `between`, `startswith`: unknown), so that an index, which holds each kind
apart, finds the same rows as a scan does.

**Lists.** `isin` and `contains` look at the elements of a list; `==` compares it whole. Elements that are None match nothing.
"""

from __future__ import annotations

import base64
import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import fields as fields_of
from datetime import date, datetime
from typing import Any
from uuid import UUID

from ..errors import Error
from .evaluate import FUNCTIONS, EvaluationError, compile, compile_rows
from .nodes import (
    FALSE,
    TRUE,
    UNKNOWN,
    And,
    Call,
    Constant,
    Contains,
    Equal,
    In,
    Intersects,
    IsNull,
    Leaf,
    Near,
    Not,
    Or,
    Predicate,
    Range,
    StartsWith,
    Term,
    Text,
    Within,
    columns,
    leaves,
    term_repr,
)
from .normal import normal_form

__all__ = [
    "FALSE",
    "FUNCTIONS",
    "TRUE",
    "UNKNOWN",
    "Column",
    "EvaluationError",
    "Predicate",
    "UnknownColumn",
    "call",
    "check_columns",
    "col",
    "columns",
    "compile",
    "compile_rows",
    "from_json",
    "intersects",
    "leaves",
    "near",
    "normal_form",
    "text",
    "to_json",
    "within",
]


class UnknownColumn(Error, LookupError):
    """A predicate reads a column that there is not. `name`; the message names near ones."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        known = list(known)
        near = difflib.get_close_matches(name, known, 3, 0.6)
        hint = f"; near: {', '.join(map(repr, near))}" if near else f"; known: {', '.join(map(repr, known[:12]))}" if known else ""
        super().__init__(f"no column {name!r:.60}{hint}")


class Column:
    """A term to compare. Made by `col` and `call`."""

    __slots__ = ("term",)
    __hash__ = None  # type: ignore[assignment]  # == makes a predicate

    def __init__(self, term: Term) -> None:
        self.term = term

    def __eq__(self, value: object) -> Predicate:  # type: ignore[override]
        return Equal(self.term, _no_column(value, self))

    def __ne__(self, value: object) -> Predicate:  # type: ignore[override]
        return Not(Equal(self.term, _no_column(value, self)))

    def __lt__(self, value: Any) -> Predicate:
        return Range(self.term, high=_no_column(value, self), high_open=True)

    def __le__(self, value: Any) -> Predicate:
        return Range(self.term, high=_no_column(value, self))

    def __gt__(self, value: Any) -> Predicate:
        return Range(self.term, low=_no_column(value, self), low_open=True)

    def __ge__(self, value: Any) -> Predicate:
        return Range(self.term, low=_no_column(value, self))

    def between(self, low: Any, high: Any, inclusive: str = "both") -> Predicate:
        """Return low <= value <= high; inclusive: both, left, right or neither of the bounds. TypeError: a bound None, unlike kinds."""
        opens = {"both": (False, False), "left": (False, True), "right": (True, False), "neither": (True, True)}
        if inclusive not in opens:
            raise ValueError(f"inclusive is {inclusive!r}; allowed: {', '.join(opens)}")
        if low is None or high is None:
            raise TypeError(
                f"{self!r}.between({low!r:.60}, {high!r:.60}): a comparison with None is never true; leave the bound out by < or >"
            )
        return Range(self.term, _no_column(low, self), _no_column(high, self), *opens[inclusive])

    def isin(self, values: Iterable[Any]) -> Predicate:
        """Return whether the value, or an element of a list, is one of these. With None among them, what is not found is unknown."""
        if isinstance(values, str | bytes):
            raise TypeError(f"{self!r}.isin takes a collection of values, not one {type(values).__name__}: {values!r:.60}")
        return In(self.term, tuple(values))

    def is_null(self) -> Predicate:
        """Return whether the value is NULL or missing."""
        return IsNull(self.term)

    def not_null(self) -> Predicate:
        """Return whether there is a value."""
        return Not(IsNull(self.term))

    def startswith(self, prefix: str | bytes) -> Predicate:
        """Return whether a str or bytes begins so."""
        return StartsWith(self.term, prefix)

    def contains(self, value: Any) -> Predicate:
        """Return whether a list has this element."""
        return Contains(self.term, value)

    def __repr__(self) -> str:
        return term_repr(self.term)

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is a column, not a truth value; for a bool column write {self!r} == True")


def _no_column(value: Any, column: Column) -> Any:
    if isinstance(value, Column):
        raise TypeError(f"{column!r} and {value!r}: a column is compared with a constant; compare two by call(function, ...)")
    return value


def col(name: str) -> Column:
    """Return the column of this name, to be compared. TypeError unless it is a str."""
    if not isinstance(name, str):
        raise TypeError(f"a column's name is a str, not {type(name).__name__}: {name!r:.60}")
    return Column(name)


def call(function: str | Callable[..., Any], *columns: str) -> Column:
    """Return what a function gives for these columns, to be compared. A name is looked up in FUNCTIONS and in those given to compile.

    The function is to depend on its arguments alone. It is not called, and the result is NULL, where one of them is NULL.

    >>> compile_rows((call("length", "name") > 3) & (call(max, "a", "b") < 9))({"name": "pear", "a": 1, "b": 2})
    True
    """
    if not columns or not all(isinstance(c, str) for c in columns):
        raise TypeError(f"a call takes names of columns, one at least, not {columns!r:.60}")
    if isinstance(function, str):
        return Column(Call(function, columns))
    if not callable(function):
        raise TypeError(f"a call takes a function or its name, not {type(function).__name__}: {function!r:.60}")
    return Column(Call(getattr(function, "__qualname__", type(function).__name__), columns, function))


def _term(column: str | Column | Call) -> Term:
    return column.term if isinstance(column, Column) else column if isinstance(column, Call) else col(column).term


def within(column: str | Column, box: Iterable[float]) -> Predicate:
    """Return whether a point or box lies in a box (least x, least y[, least z], greatest x, ...). ValueError: NaN, inverted, odd sizes."""
    return Within(_term(column), tuple(box))


def intersects(column: str | Column, box: Iterable[float]) -> Predicate:
    """Return whether a point or box meets a box. ValueError as within."""
    return Intersects(_term(column), tuple(box))


def near(column: str | Column, point: Iterable[float], radius: float) -> Predicate:
    """Return whether a point, or a box's nearest point, is at most radius away. ValueError: NaN, infinite points, a negative radius."""
    return Near(_term(column), tuple(point), radius)


def text(column: str | Column, query: str) -> Predicate:
    """Return whether a full-text query matches. compile takes what decides that."""
    return Text(_term(column), query)


def check_columns(p: Predicate, known: Iterable[str]) -> None:
    """Raise UnknownColumn unless every column that p reads is known."""
    known = list(known)
    for name in columns(p):
        if name not in known:
            raise UnknownColumn(name, known)


# JSON: {"and": [...]}, {"or": [...]}, {"not": p}, {"constant": true}, or a leaf by its class: {"Range": term, "low": 3, "high": 9, ...}.

_LEAVES: dict[str, type[Leaf]] = {c.__name__: c for c in (Range, Equal, In, IsNull, StartsWith, Contains, Within, Intersects, Near, Text)}
_FLAGS = ("low_open", "high_open", "null")


def to_json(p: Predicate) -> dict[str, Any]:
    """Return a predicate as what json.dumps takes (without NaN). Functions go by name. RecursionError when it is absurdly deep."""
    if isinstance(p, And | Or):
        return {"and" if isinstance(p, And) else "or": [to_json(part) for part in p.parts]}
    if isinstance(p, Not):
        return {"not": to_json(p.part)}
    if isinstance(p, Constant):
        return {"constant": p.value}
    assert isinstance(p, Leaf)
    term = p.term if isinstance(p.term, str) else {"call": p.term.name, "columns": list(p.term.columns)}
    rest = {f.name: getattr(p, f.name) for f in fields_of(p) if f.init and f.name != "term"}
    plain = {name: _packed(value) for name, value in rest.items() if value is not None and not (value is False and name in _FLAGS)}
    return {type(p).__name__: term, **plain}


def from_json(data: Any) -> Predicate:
    """Return the predicate that to_json gave. ValueError, TypeError say what is wrong."""
    try:
        return _read(data)
    except RecursionError:
        raise ValueError("a predicate that is too deep") from None


def _read(data: Any) -> Predicate:
    if not isinstance(data, dict) or not data:
        raise ValueError(f"a predicate is an object, not {data!r:.60}")
    (name, body), *rest = data.items()
    if name in ("and", "or") and isinstance(body, list) and not rest:
        return (And if name == "and" else Or).of(_read(part) for part in body)
    if name == "not" and not rest:
        return ~_read(body)
    if name == "constant" and (body is None or isinstance(body, bool)) and not rest:
        return Constant(body)
    if name not in _LEAVES:
        raise ValueError(f"a predicate begins with {name!r:.60}; allowed: and, or, not, constant, {', '.join(_LEAVES)}")
    term = call(str(body.get("call")), *body.get("columns", ())).term if isinstance(body, dict) else col(body).term
    return _LEAVES[name](term, **{key: _unpacked(value) for key, value in rest})


def _packed(value: Any) -> Any:
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, tuple):
        return [_packed(v) for v in value]
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, float):
        return {"float": str(value)}
    return None if value is None else {type(value).__name__.lower(): value.isoformat() if isinstance(value, date) else str(value)}


_UNPACK: dict[str, Callable[[str], Any]] = {
    "bytes": lambda s: base64.b64decode(s, validate=True),
    "float": float,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "uuid": UUID,
}


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unpacked(v) for v in value)
    if not isinstance(value, dict):
        return value
    ((kind, body),) = value.items() if len(value) == 1 else (("", None),)
    if kind not in _UNPACK or not isinstance(body, str):
        raise ValueError(f"a constant is {value!r:.60}; allowed beside plain ones: {', '.join(_UNPACK)}")
    return _UNPACK[kind](body)
