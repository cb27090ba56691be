"""Conditions on rows, written in Python, with SQL's three-valued logic.

>>> from lsm.secondary import call, col, near, text
>>> adult = (col("age").between(18, 65)) & ~col("tags").isin(["bot", "test"])
>>> adult
col('age').between(18, 65) & ~col('tags').isin(['bot', 'test'])
>>> (col("name") == "Ann") | col("email").is_null() | (call("length", "name") > 3)
(col('name') == 'Ann') | col('email').is_null() | (call('length', 'name') > 3)

- NULL, and a column that a row has not, make a condition unknown, but for ``is_null`` and ``not_null``. A row is found where it is true.
- ``== None`` is ``is_null()``. NaN in a row is like NULL to ``<`` and ``between``, and equal to nothing.
- Numbers compare by value; bool, number, bytes, str, uuid, datetime, date do not compare with each other: equality is false, order unknown.
- A condition on a list holds where it holds for one of its elements: ``col("tags").isin([...])``. Bounds on one column that must both hold
  are one range: an element lies within it.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .values import kind_of, rank

Functions = Mapping[str, Callable[..., Any]]

_OPPOSITE = {"in": "not_in", "range": "outside", "is_null": "not_null", "startswith": "not_startswith"}
_OPPOSITE |= {op: f"not_{op}" for op in ("intersects", "within", "near", "text")}
_OPPOSITE |= {b: a for a, b in _OPPOSITE.items()}
NEGATIVE = frozenset(("not_in", "outside", "not_startswith", "not_intersects", "not_within", "not_near", "not_text"))


class Predicate:
    """A condition: combine with ``&``, ``|`` and ``~``. Immutable, comparable, hashable."""

    def __and__(self, other: Predicate) -> Predicate:
        """Both."""
        return And((self, _checked(other, "&")))

    def __or__(self, other: Predicate) -> Predicate:
        """Either, or both."""
        return Or((self, _checked(other, "|")))

    def __invert__(self) -> Predicate:
        """Not: true where this is false, unknown where it is unknown."""
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError("a condition is neither true nor false by itself; combine conditions with & | ~, each in brackets")


def _checked(other: Any, how: str) -> Predicate:
    if not isinstance(other, Predicate):
        raise TypeError(f"{how} takes conditions on both sides, not {other!r:.60}; put comparisons in brackets: (col('a') > 1) {how} (...)")
    return other


@dataclass(frozen=True)
class Expression:
    """A named function of columns, registered with the table. Made by `call`."""

    function: str
    columns: tuple[str, ...]

    def __repr__(self) -> str:
        return f"call({', '.join(map(repr, (self.function, *self.columns)))})"


Column = str | Expression


@dataclass(frozen=True, repr=False, eq=False)
class Leaf(Predicate):
    """A condition on one column or expression: ``op`` and its operands."""

    column: Column
    op: str
    values: tuple[Any, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Equal conditions: 1 is 1.0 here and not True."""
        return isinstance(other, Leaf) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self.column, self.op, self.values))

    def _identity(self) -> tuple[Any, ...]:
        return self.column, self.op, self.values, tuple(map(kind_of, self.values))

    def implies(self, other: Leaf) -> bool:
        """Tell whether rows that satisfy this satisfy the other, as far as that is easily seen."""
        if self.column != other.column or other.op in NEGATIVE:  # one element of a list may be as this wants, another not as the other
            return False
        if other.op == "not_null":
            return self.op != "is_null" and self.values != ()  # NULL is not in an empty list of values
        if self.op == "in":
            return all(leaf_value(other, v) is True for v in self.values)
        if self.op == other.op == "range":
            low, with_low, high, with_high = self.values
            return all(e is None or leaf_value(_open_end(other, e, w), e) is True for e, w in ((low, with_low), (high, with_high))) and (
                (low is not None or other.values[0] is None) and (high is not None or other.values[2] is None)
            )
        return False

    def __repr__(self) -> str:
        return _leaf_text(self)


def _open_end(other: Leaf, edge: Any, included: bool) -> Leaf:
    """The other range, with an edge that is left out on both sides taken in."""
    low, with_low, high, with_high = other.values
    return Leaf(
        other.column, "range", (low, with_low or (edge == low and not included), high, with_high or (edge == high and not included))
    )


@dataclass(frozen=True, repr=False)
class Not(Predicate):
    """The opposite of a condition."""

    part: Predicate

    def __repr__(self) -> str:
        return f"~{_wrapped(self.part)}"


@dataclass(frozen=True, repr=False)
class And(Predicate):
    """All of the parts."""

    parts: tuple[Predicate, ...]

    def __repr__(self) -> str:
        return " & ".join(_wrapped(p, And) for p in self.parts) or "TRUE"


@dataclass(frozen=True, repr=False)
class Or(Predicate):
    """Any of the parts."""

    parts: tuple[Predicate, ...]

    def __repr__(self) -> str:
        return " | ".join(_wrapped(p, Or) for p in self.parts) or "FALSE"


def _wrapped(p: Predicate, inside: type | None = None) -> str:
    said = repr(p)
    bare = isinstance(p, inside) if inside and not isinstance(p, Leaf) else False
    return (
        said
        if bare or (said.endswith(")") and isinstance(p, Leaf | Not) and " " not in said.split("(")[0] and _is_call(p))
        else f"({said})"
    )


def _is_call(p: Predicate) -> bool:
    if isinstance(p, Not):
        return True
    return isinstance(p, Leaf) and not (p.op in ("in", "not_in") and len(p.values) == 1) and not (p.op == "range" and None in p.values[::2])


def _leaf_text(leaf: Leaf) -> str:
    c = f"col({leaf.column!r})" if isinstance(leaf.column, str) else repr(leaf.column)
    op, v = leaf.op, leaf.values
    if op in ("in", "not_in") and len(v) == 1:
        return f"{c} {'==' if op == 'in' else '!='} {v[0]!r}"
    if op == "range" and None in v[::2]:
        low, with_low, high, with_high = v
        edge, sign, included = (low, ">", with_low) if high is None else (high, "<", with_high)
        return f"{c} {sign}{'=' * included} {edge!r}"
    if op == "range":
        return f"{c}.between({v[0]!r}, {v[2]!r}{'' if v[1] and v[3] else f', ends=({v[1]}, {v[3]})'})"
    if op in NEGATIVE:
        return f"~{_wrapped(Leaf(leaf.column, _OPPOSITE[op], v))}"
    if op == "in":
        return f"{c}.isin({list(v)!r})"
    if op in ("intersects", "within", "near", "text"):
        return f"{op}({leaf.column!r}, {', '.join(map(repr, v))})"
    return f"{c}.{op}({', '.join(map(repr, v))})"


# Writing them


def _scalar(value: Any) -> Any:
    item = getattr(value, "item", None)
    value = item() if callable(item) and not isinstance(value, UUID) else value
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("a condition compares with NaN, which nothing equals; use is_null(), or clean the data")
    if isinstance(value, datetime.datetime) and value.utcoffset() is None:
        raise ValueError(f"a condition compares with {value!r}, which has no zone; say which, e.g. value.replace(tzinfo=datetime.UTC)")
    if not isinstance(value, bool | int | float | str | bytes | datetime.datetime | datetime.date | UUID):
        raise TypeError(f"a condition compares with {value!r:.60}; allowed: bool, int, float, str, bytes, datetime, date, UUID")
    return value


class Operand:
    """A column or an expression in a condition. Made by `col` and `call`."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, column: Column) -> None:
        """What it stands for."""
        self.column = column

    def __repr__(self) -> str:
        return f"col({self.column!r})" if isinstance(self.column, str) else repr(self.column)

    def __eq__(self, value: Any) -> Predicate:  # type: ignore[override]
        return Leaf(self.column, "is_null") if value is None else Leaf(self.column, "in", (_scalar(value),))

    def __ne__(self, value: Any) -> Predicate:  # type: ignore[override]
        return Leaf(self.column, "not_null") if value is None else Leaf(self.column, "not_in", (_scalar(value),))

    def __lt__(self, value: Any) -> Predicate:
        return Leaf(self.column, "range", (None, False, _scalar(value), False))

    def __le__(self, value: Any) -> Predicate:
        return Leaf(self.column, "range", (None, False, _scalar(value), True))

    def __gt__(self, value: Any) -> Predicate:
        return Leaf(self.column, "range", (_scalar(value), False, None, False))

    def __ge__(self, value: Any) -> Predicate:
        return Leaf(self.column, "range", (_scalar(value), True, None, False))

    def between(self, low: Any, high: Any, *, ends: tuple[bool, bool] = (True, True)) -> Predicate:
        """From low to high; ends: whether each is included. TypeError for two of unlike types."""
        low, high = _scalar(low), _scalar(high)
        if kind_of(low) != kind_of(high):
            raise TypeError(f"between {low!r:.60} and {high!r:.60}: values of unlike types")
        return Leaf(self.column, "range", (low, ends[0], high, ends[1]))

    def isin(self, values: Iterable[Any]) -> Predicate:
        """Equal to one of the values. None is not among them: add ``| col(...).is_null()``."""
        if isinstance(values, str | bytes):
            raise TypeError(f"isin takes several values, not {values!r:.60}")
        checked = [_scalar(v) for v in values]
        return Leaf(self.column, "in", tuple({(kind_of(v), v): v for v in checked}.values()))

    def contains(self, value: Any) -> Predicate:
        """For a list: one of its elements equals value."""
        return Leaf(self.column, "in", (_scalar(value),))

    def is_null(self) -> Predicate:
        """There is no value."""
        return Leaf(self.column, "is_null")

    def not_null(self) -> Predicate:
        """There is a value."""
        return Leaf(self.column, "not_null")

    def startswith(self, prefix: str | bytes) -> Predicate:
        """A str or bytes that begins so."""
        if not isinstance(prefix, str | bytes):
            raise TypeError(f"startswith takes str or bytes, not {prefix!r:.60}")
        return Leaf(self.column, "startswith", (prefix,))


def col(name: str) -> Operand:
    """Return a column to compare."""
    if not isinstance(name, str):
        raise TypeError(f"a column is named by a str, not {name!r:.60}")
    return Operand(name)


def call(function: str, *columns: str) -> Operand:
    """Return the value of a function of columns; the table is given the function by this name."""
    if not columns or not all(isinstance(c, str) for c in (function, *columns)):
        raise TypeError(f"call takes the name of a function and names of columns, not {(function, *columns)!r:.80}")
    return Operand(Expression(function, columns))


def _numbers(values: Sequence[Any], allowed: tuple[int, ...], what: str) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)
    if len(numbers) not in allowed or any(math.isnan(n) for n in numbers):
        raise ValueError(f"{what} is {values!r:.60}; allowed: {' or '.join(map(str, allowed))} numbers, not NaN")
    half = len(numbers) // 2
    if what == "box" and any(a > b for a, b in zip(numbers[:half], numbers[half:], strict=True)):
        raise ValueError(f"box is {values!r:.60}: a lower bound above an upper one")
    return numbers


def intersects(column: str, box: Sequence[float]) -> Predicate:
    """The point or box of a row meets a box (x0, y0, x1, y1), edges included."""
    return Leaf(column, "intersects", (_numbers(box, (4, 6), "box"),))


def within(column: str, box: Sequence[float]) -> Predicate:
    """The point or box of a row lies wholly in a box."""
    return Leaf(column, "within", (_numbers(box, (4, 6), "box"),))


def near(column: str, point: Sequence[float], radius: float) -> Predicate:
    """The point or box of a row is at most radius from a point."""
    if not radius >= 0:
        raise ValueError(f"radius is {radius!r:.60}; allowed: 0 and more")
    return Leaf(column, "near", (_numbers(point, (2, 3), "point"), float(radius)))


def text(column: str, query: str) -> Predicate:
    """The text of a row satisfies a query; needs a text index."""
    if not isinstance(query, str):
        raise TypeError(f"a text query is a str, not {query!r:.60}")
    return Leaf(column, "text", (query,))


# Values


def leaf_value(leaf: Leaf, value: Any) -> bool | None:
    """Evaluate a leaf on the value of its column."""
    op = leaf.op
    if op == "is_null":
        return value is None
    if op == "not_null":
        return value is not None
    if not leaf.values and op in ("in", "not_in"):
        return op == "not_in"
    if value is None:
        return None
    if op in NEGATIVE:
        positive = leaf_value(Leaf(leaf.column, _OPPOSITE[op], leaf.values), value)
        return None if positive is None else not positive
    if isinstance(value, list | tuple) and op in ("in", "range", "startswith"):
        return _any(leaf_value(leaf, v) for v in value)
    return _TESTS[op](value, *leaf.values)


def _any(results: Iterable[bool | None]) -> bool | None:
    unknown = False
    for r in results:
        if r:
            return True
        unknown = unknown or r is None
    return None if unknown else False


def _is_in(value: Any, *values: Any) -> bool | None:
    kind = kind_of(value)
    return any(kind_of(v) == kind and v == value for v in values)


def _in_range(value: Any, low: Any, with_low: bool, high: Any, with_high: bool) -> bool | None:
    if kind_of(value) != kind_of(low if low is not None else high) or rank(value)[0]:
        return None
    return (low is None or value > low or (with_low and value == low)) and (high is None or value < high or (with_high and value == high))


def _starts(value: Any, prefix: Any) -> bool | None:
    return value.startswith(prefix) if type(value) is type(prefix) else None


def _box(value: Any, dims: int) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return the lower and upper corner of a point or a box; None when the value is neither."""
    if not isinstance(value, list | tuple) or any(kind_of(v) != "number" or math.isnan(v) for v in value):
        return None
    if len(value) == dims:
        return value, value
    return (value[:dims], value[dims:]) if len(value) == 2 * dims else None


def _meets(value: Any, box: Sequence[float]) -> bool | None:
    dims = len(box) // 2
    mine = _box(value, dims)
    return None if mine is None else all(mine[0][i] <= box[dims + i] and mine[1][i] >= box[i] for i in range(dims))


def _lies_in(value: Any, box: Sequence[float]) -> bool | None:
    dims = len(box) // 2
    mine = _box(value, dims)
    return None if mine is None else all(mine[0][i] >= box[i] and mine[1][i] <= box[dims + i] for i in range(dims))


def _is_near(value: Any, point: Sequence[float], radius: float) -> bool | None:
    mine = _box(value, len(point))
    if mine is None:
        return None
    return sum(max(a - p, 0.0, p - b) ** 2 for p, a, b in zip(point, *mine, strict=True)) <= radius * radius  # as an R-tree has it


def _needs_index(value: Any, query: str) -> bool | None:
    raise ValueError(f"text({query!r:.60}) needs a text index on its column")


_TESTS: dict[str, Callable[..., bool | None]] = {
    "in": _is_in,
    "range": _in_range,
    "startswith": _starts,
    "intersects": _meets,
    "within": _lies_in,
    "near": _is_near,
    "text": _needs_index,
}
