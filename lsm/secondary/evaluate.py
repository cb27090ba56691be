"""Predicates as functions of rows: built once, with what each leaf needs at hand; of an encoded row only the columns concerned are read."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias
from uuid import UUID

from ..errors import Error
from .nodes import (
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
    Text,
    Within,
    columns,
    ident,
    is_nan,
)
from .record import Names, field, fields, plain

Check: TypeAlias = Callable[[Any], bool | None]
Get: TypeAlias = Callable[[Sequence[Any]], Any]
TextHook: TypeAlias = Callable[[str, str], Callable[[str], bool | None]]

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "length": len,
    "lower": str.lower,
    "upper": str.upper,
    "abs": abs,
    "year": lambda moment: moment.year,
    "month": lambda moment: moment.month,
    "day": lambda moment: moment.day,
}


class EvaluationError(Error):
    """A function in a predicate raised, or gave what no column holds. `__cause__` is what it raised."""


def compile(
    p: Predicate, names: Names, *, text: TextHook | None = None, functions: Mapping[str, Callable[..., Any]] | None = None
) -> Callable[[bytes | bytearray | memoryview], bool | None]:
    """Return a function that takes a row in bytes (record.encode) and tells whether p holds: True, False, None when unknown.

    names: of the table; it may grow later. text: takes (column, query) and returns what tells whether a str matches; needed for text
    leaves. functions: by name, for `call`, besides FUNCTIONS. ValueError without them. The result raises EvaluationError and
    RecordDecodeError, and may be called by several threads.
    """
    wanted = columns(p)
    check = _build(p, {name: i for i, name in enumerate(wanted)}, text, {**FUNCTIONS, **(functions or {})})
    known = tuple(names.ids.get(name, -1) for name in wanted)
    if -1 in known:
        return _late(check, wanted, known, names)
    if len(known) == 1:
        only = known[0]
        return lambda data: check((field(data, only),))
    return lambda data: check(fields(data, known))


def _late(check: Check, wanted: tuple[str, ...], known: tuple[int, ...], names: Names) -> Check:
    """What compile returns while there are columns that no row has yet: names may come to know them."""

    def evaluate(data: Any) -> bool | None:
        nonlocal known
        if -1 in known:
            known = tuple(names.ids.get(name, -1) for name in wanted)
        return check(fields(data, known))

    return evaluate


def compile_rows(
    p: Predicate, *, text: TextHook | None = None, functions: Mapping[str, Callable[..., Any]] | None = None
) -> Callable[[Mapping[str, Any]], bool | None]:
    """Return the same for rows that are mappings of names to values. It raises TypeError, ValueError for values that no column holds."""
    wanted = columns(p)
    check = _build(p, {name: i for i, name in enumerate(wanted)}, text, {**FUNCTIONS, **(functions or {})})
    return lambda row: check([plain(row.get(name)) for name in wanted])


def _build(p: Predicate, slots: dict[str, int], text: TextHook | None, functions: Mapping[str, Callable[..., Any]]) -> Check:
    """Return a function of the values of the columns, placed as slots says."""
    if isinstance(p, Constant):
        value = p.value
        return lambda row: value
    if isinstance(p, Not):
        inner = _build(p.part, slots, text, functions)
        return lambda row: None if (found := inner(row)) is None else not found
    if isinstance(p, And | Or):
        return _join([_build(part, slots, text, functions) for part in p.parts], isinstance(p, Or))
    assert isinstance(p, Leaf)
    if isinstance(p, In) and not p.values and not p.null:
        return lambda row: False  # as in SQL, also for NULL
    test = _text(p, text) if isinstance(p, Text) else _TESTS[type(p)](p)
    if isinstance(p.term, str):
        slot = slots[p.term]
        if isinstance(p, IsNull):
            return lambda row: row[slot] is None
        return lambda row: None if (value := row[slot]) is None else test(value)
    get = _caller(p.term, slots, functions)
    if isinstance(p, IsNull):
        return lambda row: get(row) is None
    return lambda row: None if (value := get(row)) is None else test(value)


def _join(checks: list[Check], stop: bool) -> Check:
    """And (stop False) or Or (stop True): what stops decides; else unknown when one is."""

    def join(row: Any) -> bool | None:
        result: bool | None = not stop
        for check in checks:
            found = check(row)
            if found is stop:
                return stop
            if found is None:
                result = None
        return result

    return join


def _caller(term: Call, slots: dict[str, int], functions: Mapping[str, Callable[..., Any]]) -> Get:
    function = term.function or functions.get(term.name)
    if function is None:
        near = difflib.get_close_matches(term.name, functions, 3)
        raise ValueError(f"no function {term.name!r:.60}; {'near' if near else 'known'}: {', '.join(near or functions)}")
    places = [slots[name] for name in term.columns]

    def get(row: Sequence[Any]) -> Any:
        values = [row[i] for i in places]
        if None in values:
            return None
        try:
            return plain(function(*values))
        except Exception as e:
            raise EvaluationError(f"{term!r} of {', '.join(f'{v!r:.60}' for v in values)}: {type(e).__name__}: {e}") from e

    return get


def _text(p: Text, hook: TextHook | None) -> Check:
    if hook is None:
        raise ValueError(f"{p!r}: what tells whether a text matches was not given; compile(..., text=hook)")
    test = hook(p.term if isinstance(p.term, str) else p.term.name, p.query)
    return lambda value: test(value) if isinstance(value, str) else None


_TYPES: dict[str, frozenset[type]] = {
    "number": frozenset((int, float)),
    "bool": frozenset((bool,)),
    "str": frozenset((str,)),
    "bytes": frozenset((bytes,)),
    "datetime": frozenset((datetime,)),
    "date": frozenset((date,)),
    "uuid": frozenset((UUID,)),
}


_THEMSELVES = frozenset((int, str, bytes, datetime, date, UUID))  # whose values are their own ident


def _range(p: Range) -> Check:
    low, high = p.low, p.high
    types = _TYPES[p.kind]
    tests: list[Callable[[Any], bool]] = []
    # NaN is above all numbers: `not v <= x` is true of it where `v > x` is not
    if low is not None:
        if is_nan(low):
            tests.append((lambda v: False) if p.low_open else is_nan)
        else:
            tests.append((lambda v: not v <= low) if p.low_open else lambda v: not v < low)
    if high is not None:
        if is_nan(high):
            tests.append((lambda v: not is_nan(v)) if p.high_open else lambda v: True)
        else:
            tests.append((lambda v: bool(v < high)) if p.high_open else lambda v: bool(v <= high))
    if len(tests) == 1:
        only = tests[0]
        return lambda v: only(v) if type(v) in types else None
    first, second = tests
    return lambda v: (first(v) and second(v)) if type(v) in types else None


def _equal(p: Equal) -> Check:
    wanted, value = p.ident, p.value
    if isinstance(value, bool | tuple) or is_nan(value):
        return lambda v: bool(ident(v) == wanted)
    return lambda v: bool(v == value) and type(v) is not bool


def _in(p: In) -> Check:
    wanted, otherwise = p.idents, None if p.null else False

    def test(v: Any) -> bool | None:
        if type(v) in _THEMSELVES:
            return True if v in wanted else otherwise
        if type(v) is list or type(v) is tuple:
            for e in v:
                if (e if type(e) in _THEMSELVES else ident(e)) in wanted:
                    return True
        return True if ident(v) in wanted else otherwise

    return test


def _starts(p: StartsWith) -> Check:
    prefix: Any = p.prefix
    kind = type(prefix)
    return lambda v: v.startswith(prefix) if type(v) is kind else None


def _contains(p: Contains) -> Check:
    wanted = p.ident
    return lambda v: isinstance(v, list | tuple) and any(ident(e) == wanted for e in v)


def _corners(value: Any, dimensions: int) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return the least and the greatest corner of a point or box; None for what is neither."""
    if not isinstance(value, list | tuple) or len(value) not in (dimensions, 2 * dimensions):
        return None
    if any(type(x) not in (int, float) or is_nan(x) for x in value):
        return None
    if len(value) == dimensions:
        return value, value
    least, greatest = value[:dimensions], value[dimensions:]
    return (least, greatest) if all(a <= b for a, b in zip(least, greatest, strict=True)) else None


def _within(p: Within | Intersects) -> Check:
    half = len(p.box) // 2
    low, high = p.box[:half], p.box[half:]
    meets = isinstance(p, Intersects)

    def test(v: Any) -> bool | None:
        corners = _corners(v, half)
        if corners is None:
            return None
        first, last = (corners[1], corners[0]) if meets else corners
        return all(a <= x for a, x in zip(low, first, strict=True)) and all(x <= b for x, b in zip(last, high, strict=True))

    return test


def _near(p: Near) -> Check:
    point, radius = p.point, p.radius

    def test(v: Any) -> bool | None:
        corners = _corners(v, len(point))
        if corners is None:
            return None
        nearest = [min(max(x, a), b) for x, a, b in zip(point, *corners, strict=True)]
        try:
            return math.dist(point, nearest) <= radius
        except OverflowError:  # an int beyond all floats
            return radius == math.inf

    return test


_TESTS: dict[type[Leaf], Callable[[Any], Check]] = {
    Range: _range,
    Equal: _equal,
    In: _in,
    IsNull: lambda p: lambda value: False,
    StartsWith: _starts,
    Contains: _contains,
    Within: _within,
    Intersects: _within,
    Near: _near,
}
