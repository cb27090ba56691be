"""Workloads: which queries a table is asked, how often, and how many rows are written meanwhile. By hand, from a file, or logged.

>>> from lsm.secondary import col
>>> load = Workload.of([(col("city") == "Rome", ["name"]), (col("age") > 60, None, "age", 10, 500.0)], writes=1000)
>>> load.weight, load.queries[1].limit
(501.0, 10)
>>> Workload.from_json(load.to_json()) == load
True
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .leaves import Node, columns_of, tree_of
from .predicate import And, Leaf, Not, Or, Predicate
from .written import parse

FORMAT = "lsmlab workload 1"


@dataclass(frozen=True)
class Query:
    """A find, or a count. ``weight``: how often. ``shape``: a number that queries share which differ in their constants alone.

    ``seconds``: what it took when it was logged, one time, on average.
    """

    where: Predicate | None
    columns: tuple[str, ...] | None = None
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    weight: float = 1.0
    count: bool = False
    shape: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.where is not None and not isinstance(self.where, Predicate):
            raise TypeError(f"where is {self.where!r:.60}; allowed: a condition, or None")
        if not self.weight >= 0 or self.weight == float("inf"):
            raise ValueError(f"weight is {self.weight!r}; allowed: 0 and more")

    @property
    def node(self) -> Node | None:
        """The condition, ready for planning."""
        return None if self.where is None else tree_of(self.where)

    def reads(self) -> set[str]:
        """All columns that it names."""
        return {*columns_of(self.where), *(self.columns or ()), *(b.removeprefix("-") for b in self.order_by)}

    def __str__(self) -> str:
        more = [f"columns {', '.join(self.columns)}"] if self.columns is not None else []
        more += [f"order by {', '.join(self.order_by)}"] if self.order_by else []
        more += [f"limit {self.limit}"] if self.limit is not None else []
        where = "all rows" if self.where is None else repr(self.where)
        return f"{'count ' if self.count else ''}{where}{'; ' if more else ''}{', '.join(more)}"


@dataclass(frozen=True)
class Workload:
    """Queries with weights, and ``writes``: rows put or deleted in the time in which each query is asked ``weight`` times."""

    queries: tuple[Query, ...]
    writes: float = 0.0

    def __post_init__(self) -> None:
        if not self.writes >= 0 or self.writes == float("inf"):
            raise ValueError(f"writes is {self.writes!r}; allowed: 0 and more")

    @property
    def weight(self) -> float:
        """The sum of all weights."""
        return sum(q.weight for q in self.queries)

    @classmethod
    def of(cls, given: Any, writes: float | None = None) -> Workload:
        """Return the workload of a log, of another, or of a list.

        The list has a `Query`, a condition, or (condition, columns, order_by, limit, weight) an entry, with the last ones left out if one
        likes. ``writes`` replaces what the log counted. TypeError, ValueError.
        """
        if (made := getattr(given, "workload", None)) is not None:
            given = made()
        if not isinstance(given, Workload):
            if isinstance(given, str | bytes | Predicate | Mapping) or not isinstance(given, Iterable):
                raise TypeError(f"a workload is a log, or a list of (condition, columns, order_by, limit, weight), not {given!r:.60}")
            given = cls(tuple(_query(g) for g in given))
        load: Workload = given
        return load if writes is None else replace(load, writes=float(writes))

    def to_json(self) -> dict[str, Any]:
        """Return plain values; conditions are text."""
        return {"format": FORMAT, "writes": self.writes, "queries": [_row(q) for q in self.queries]}

    @classmethod
    def from_json(cls, row: Any) -> Workload:
        """Return the workload of plain values. ValueError says what is wrong, and in which query."""
        if not isinstance(row, Mapping) or row.get("format", FORMAT) != FORMAT or not isinstance(row.get("queries"), list):
            raise ValueError(f'a workload is {{"format": {FORMAT!r}, "writes": 0, "queries": [...]}}, not {row!r:.80}')
        queries = []
        for i, q in enumerate(row["queries"]):
            try:
                queries.append(_query_of_row(q))
            except (ValueError, TypeError) as e:
                raise ValueError(f"query {i}: {e}") from None
        return cls(tuple(queries), _number(row.get("writes", 0.0), "writes"))

    def save(self, path: str | Path) -> None:
        """Write it to a file, as JSON."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Workload:
        """Read it from a file. ValueError, OSError."""
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except ValueError as e:  # JSON that is none is a ValueError too
            raise ValueError(f"{path}: {e}") from None


def names_of(by: Any, what: str) -> tuple[str, ...]:
    """Return one name or several as several. TypeError."""
    names = (by,) if isinstance(by, str) else tuple(by)
    if not all(isinstance(n, str) for n in names):
        raise TypeError(f"{what} is {by!r:.60}; allowed: names")
    return names


def _query(given: Any) -> Query:
    if isinstance(given, Query):
        return given
    if isinstance(given, Predicate) or given is None:
        return Query(given)
    if not isinstance(given, Sequence) or isinstance(given, str) or not 1 <= len(given) <= 5:
        raise TypeError(f"a query of a workload is (condition, columns, order_by, limit, weight), not {given!r:.80}")
    missing: tuple[Any, ...] = (None, None, (), None, 1.0)
    return _checked(*given, *missing[len(given) :])


def _checked(where: Predicate | None, columns: Any, by: Any, limit: Any, weight: Any, **more: Any) -> Query:
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise ValueError(f"limit is {limit!r:.60}; allowed: None or an integer of 0 and more")
    wanted = None if columns is None else names_of(columns, "columns")
    return Query(where, wanted, names_of(by or (), "order_by"), limit, _number(weight, "weight"), **more)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is {value!r:.60}; allowed: a number")
    return float(value)


def _row(q: Query) -> dict[str, Any]:
    row: dict[str, Any] = {"where": None if q.where is None else repr(q.where), "weight": q.weight}
    optional: dict[str, Any] = {"columns": q.columns, "order_by": q.order_by or None, "limit": q.limit, "count": q.count or None}
    optional |= {"shape": q.shape, "seconds": q.seconds}
    return row | {k: list(v) if isinstance(v, tuple) else v for k, v in optional.items() if v is not None}


def _query_of_row(row: Any) -> Query:
    known = ("where", "columns", "order_by", "limit", "weight", "count", "shape", "seconds")
    if not isinstance(row, Mapping) or not set(row) <= set(known):
        raise ValueError(f"{row!r:.80} is no query; allowed: {', '.join(known)}")
    where = row.get("where")
    if where is not None and not isinstance(where, str):
        raise TypeError(f"where is {where!r:.60}; allowed: text, or null")
    more = {k: row.get(k) for k in ("shape", "seconds")} | {"count": bool(row.get("count", False))}
    asked = None if where is None else parse(where)
    return _checked(asked, row.get("columns"), row.get("order_by"), row.get("limit"), row.get("weight", 1.0), **more)


def shape_of(node: Node | None) -> Any:
    """Return what is left of a condition without its constants; hashable."""
    if node is None:
        return None
    if isinstance(node, Leaf):
        if node.op in ("range", "outside"):
            return node.column, node.op, node.values[0] is None, node.values[2] is None, node.values[1], node.values[3]
        return node.column, node.op, len(node.values).bit_length()
    if isinstance(node, Not):
        return "not", shape_of(node.part)
    assert isinstance(node, And | Or)
    return type(node).__name__, *sorted(map(shape_of, node.parts), key=repr)
