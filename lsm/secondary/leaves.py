"""Conditions made ready for planning and checking: negations in the leaves, trees flat, ranges of a column merged. Plain values."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .. import keys as key_code
from .predicate import _OPPOSITE, And, Column, Expression, Functions, Leaf, Not, Operand, Or, Predicate, leaf_value
from .values import kind_of

Node = Predicate
Check = Callable[[Mapping[str, Any]], bool | None]


def tree_of(p: Predicate) -> Node:
    """Return an equivalent tree of And, Or and Leaf. An empty And is true, an empty Or false.

    >>> from lsm.secondary import col
    >>> tree_of(~((col("a") > 3) | (col("b") == 1)) & (col("a") >= 0))
    (~(col('a') > 3)) & (col('b') != 1) & (col('a') >= 0)
    """
    return _simple(p, False)


def _simple(p: Predicate, negated: bool) -> Node:
    if isinstance(p, Not):
        return _simple(p.part, not negated)
    if isinstance(p, Leaf):
        return Leaf(p.column, _OPPOSITE[p.op], p.values) if negated else p
    assert isinstance(p, And | Or)
    kind = Or if isinstance(p, And) == negated else And
    simple = (_simple(q, negated) for q in p.parts)
    parts = list(dict.fromkeys(flat for part in simple for flat in (part.parts if isinstance(part, kind) else (part,))))
    if kind is And:
        parts = _merged(parts)
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _merged(parts: list[Node]) -> list[Node]:
    """Intersect the ranges of each column."""
    out: dict[Any, Node] = {}
    for p in parts:
        axis = (p.column, _class_of(p)) if isinstance(p, Leaf) and p.op == "range" else p
        out[axis] = _both(out[axis], p) if axis in out else p
    return list(out.values())


def _class_of(leaf: Leaf) -> str:
    return kind_of(leaf.values[0] if leaf.values[0] is not None else leaf.values[2])


def _both(p: Any, q: Any) -> Leaf:
    lows = [(v[0], v[1]) for v in (p.values, q.values) if v[0] is not None]
    highs = [(v[2], v[3]) for v in (p.values, q.values) if v[2] is not None]
    low = max(lows, key=lambda e: (e[0], not e[1]), default=(None, False))
    high = min(highs, key=lambda e: (e[0], e[1]), default=(None, False))
    return Leaf(p.column, "range", (*low, *high))


def columns_of(p: Predicate | None) -> list[str]:
    """Return the names of all columns that a condition reads."""
    if p is None:
        return []
    if isinstance(p, Leaf):
        return [p.column] if isinstance(p.column, str) else list(p.column.columns)
    return columns_of(p.part) if isinstance(p, Not) else [c for q in getattr(p, "parts", ()) for c in columns_of(q)]


# Checking rows


def value_of(column: Column, row: Mapping[str, Any], functions: Functions) -> Any:
    """Return the value of a column or an expression. KeyError: a function that the table was not given."""
    if isinstance(column, str):
        return row.get(column)
    if column.function not in functions:
        raise KeyError(f"{column!r}: no function {column.function!r}; the table has {', '.join(sorted(functions)) or 'none'}")
    return functions[column.function](*[row.get(c) for c in column.columns])


def evaluator(nodes: Sequence[Node], functions: Functions) -> Check:
    """Return a function that checks all of the nodes on a row: True, False or None for unknown."""
    return _check_of(nodes[0] if len(nodes) == 1 else And(tuple(nodes)), functions)


def _check_of(node: Node, functions: Functions) -> Check:
    if isinstance(node, Leaf):
        column, leaf = node.column, node
        if isinstance(column, str):
            return lambda row: leaf_value(leaf, row.get(column))
        return lambda row: leaf_value(leaf, value_of(column, row, functions))
    if isinstance(node, Not):
        part = _check_of(node.part, functions)
        return lambda row: None if (r := part(row)) is None else not r
    assert isinstance(node, And | Or)
    parts = [_check_of(p, functions) for p in node.parts]
    decides = isinstance(node, Or)

    def check(row: Mapping[str, Any]) -> bool | None:
        unknown = False
        for p in parts:
            r = p(row)
            if r is decides:
                return decides
            unknown = unknown or r is None
        return None if unknown else not decides

    return check


def compile_rows(p: Predicate, functions: Functions) -> Check:
    """Return a function that checks a condition on a row."""
    return evaluator([tree_of(p)], functions)


# Plain values


def expression_to_json(column: Any) -> Any:
    """Return a column as plain values. TypeError for what is none."""
    if isinstance(column, Operand):
        column = column.column
    if isinstance(column, Expression):
        return {"call": column.function, "of": list(column.columns)}
    if not isinstance(column, str):
        raise TypeError(f"a column is a name, col(...) or call(...), not {column!r:.60}")
    return column


def expression_from_json(row: Any) -> Column:
    """Return the column of plain values."""
    return row if isinstance(row, str) else Expression(row["call"], tuple(row["of"]))


def predicate_to_json(p: Predicate) -> dict[str, Any]:
    """Return a condition as plain values."""
    if isinstance(p, Leaf):
        return {"op": p.op, "column": expression_to_json(p.column), "values": key_code.encode(*map(_key, p.values)).hex()}
    if isinstance(p, Not):
        return {"not": predicate_to_json(p.part)}
    assert isinstance(p, And | Or)
    return {"and" if isinstance(p, And) else "or": [predicate_to_json(q) for q in p.parts]}


def _key(v: Any) -> Any:
    return ("date", v.toordinal()) if isinstance(v, datetime.date) and not isinstance(v, datetime.datetime) else v


def _unkey(v: Any) -> Any:
    return datetime.date.fromordinal(v[1]) if isinstance(v, tuple) and len(v) == 2 and v[0] == "date" else v


def predicate_from_json(row: Mapping[str, Any]) -> Predicate:
    """Return the condition of plain values."""
    if "not" in row:
        return Not(predicate_from_json(row["not"]))
    for name, kind in (("and", And), ("or", Or)):
        if name in row:
            return kind(tuple(predicate_from_json(q) for q in row[name]))
    values = tuple(_unkey(v) for v in key_code.decode(bytes.fromhex(row["values"])))
    return Leaf(expression_from_json(row["column"]), row["op"], values)


def check_columns(names: Iterable[str], known: Sequence[str]) -> None:
    """ValueError for a name that is not known names the near ones."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            hint = f"; near: {', '.join(near)}" if near else ""
            raise ValueError(f"no row has a column {name!r}{hint}; there are {', '.join(known) or 'none'}")
