"""Conditions as text: what their repr says, read back without running it.

>>> from lsm.secondary import col
>>> parse("(col('city') == 'Rome') & ~col('age').between(18, 65)")
(col('city') == 'Rome') & ~col('age').between(18, 65)
>>> parse("col('age') > limit")
Traceback (most recent call last):
ValueError: not a condition: "col('age') > limit": limit is no value; allowed: constants, lists, date, datetime, UUID
"""

from __future__ import annotations

import ast
import datetime
import math
from collections.abc import Callable
from typing import Any
from uuid import UUID

from .predicate import Operand, Predicate, call, col, intersects, near, text, within

_HEADS: dict[str, Callable[..., Any]] = {"col": col, "call": call, "near": near, "within": within, "intersects": intersects, "text": text}
_METHODS = ("between", "isin", "contains", "is_null", "not_null", "startswith")
_VALUES: dict[str, Any] = {
    "date": datetime.date,
    "datetime": datetime.datetime,
    "timedelta": datetime.timedelta,
    "timezone": datetime.timezone,
    "UUID": UUID,
    "inf": math.inf,
    "utc": datetime.UTC,
    "UTC": datetime.UTC,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


def parse(written: str) -> Predicate:
    """Return the condition that a text stands for. ValueError says what is wrong with it."""
    try:
        found = _read(ast.parse(written.strip(), mode="eval").body)
        if not isinstance(found, Predicate):
            raise ValueError(f"{found!r:.60} is a value")
    except SyntaxError as e:
        raise ValueError(f"not a condition: {written!r:.200}: {e.msg}") from None
    except (ValueError, TypeError, RecursionError, MemoryError) as e:
        raise ValueError(f"not a condition: {written!r:.200}: {e}") from None
    return found


def _read(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=parts):
            return [_read(p) for p in parts]
        case ast.Tuple(elts=parts):
            return tuple(_read(p) for p in parts)
        case ast.UnaryOp(op=ast.Invert(), operand=part):
            return ~_condition(part)
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return -_read(part)
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            return _condition(left) & _condition(right)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _condition(left) | _condition(right)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return _COMPARE[type(op)](_operand(left), _read(right))
        case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in _METHODS:
            return getattr(_operand(owner), method)(*map(_read, node.args), **{k.arg or "": _read(k.value) for k in node.keywords})
        case ast.Call(func=ast.Name(id=name)) if name in _HEADS:
            return _HEADS[name](*map(_read, node.args))
        case ast.Call(func=head):
            return _value(head)(*map(_read, node.args), **{k.arg or "": _read(k.value) for k in node.keywords})
    return _value(node)


def _value(node: ast.AST) -> Any:
    """A name, without the modules before it."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
    if name not in _VALUES:
        raise ValueError(f"{ast.unparse(node):.60} is no value; allowed: constants, lists, date, datetime, UUID")
    return _VALUES[name]


def _condition(node: ast.AST) -> Predicate:
    found = _read(node)
    if not isinstance(found, Predicate):
        raise ValueError(f"{ast.unparse(node):.60} is no condition")
    return found


def _operand(node: ast.AST) -> Operand:
    found = _read(node)
    if not isinstance(found, Operand):
        raise ValueError(f"{ast.unparse(node):.60} is compared; allowed on the left: col(...), call(...)")
    return found
