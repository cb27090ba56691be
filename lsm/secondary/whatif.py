"""What a query would cost, had the table indexes that it has not: the planner plans with them, rows are counted on a sample.

What the planner would choose is decided by its own costs; what that takes is priced with constants of this machine (constants.py). After
the what-if interface of Chaudhuri and Narasayya (AutoAdmin, SIGMOD 1998).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import catalog
from .constants import Constants
from .covering import covering_access
from .index import Index
from .keyed import Keyed
from .leaves import Node, tree_of
from .ordered import OrderedIndex
from .planner import CHUNK, Access, Combined, Plan, Planner, implied, index_in_order, plan_by
from .predicate import And, Column, Leaf, Or, Predicate
from .riding import FANOUT
from .sample import Sample
from .workload import Query

CONTAINER = 1 << 16  # row ids of a container of a Roaring bitmap


@dataclass(frozen=True)
class Definition:
    """What an index would be made from: the arguments of `Table.create_index`."""

    kind: str
    columns: tuple[Column, ...]
    include: tuple[str, ...] = ()
    where: Predicate | None = None
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """The parameters of its kind."""
        return dict(self.params) | ({"include": list(self.include)} if self.include else {})

    def __str__(self) -> str:
        said = f"{self.kind}({', '.join(c if isinstance(c, str) else repr(c) for c in self.columns)})"
        said += f" include ({', '.join(self.include)})" if self.include else ""
        said += f" where {self.where!r}" if self.where is not None else ""
        return said + "".join(f", {k}={v!r}" for k, v in self.params)


@dataclass
class Hypothetical:
    """An index that might be. ``bytes`` and ``entries`` at the size of the table; ``write``: microseconds that a row written costs more.

    ``exists``: it is there, and costs nothing more.
    """

    definition: Definition
    index: Index
    entries: float
    bytes: float
    write: float
    covers: bool
    exists: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.index.name


@dataclass(frozen=True)
class Price:
    """What a query would take: microseconds, rows read, and the indexes used, by name."""

    cost: float
    read: float
    used: frozenset[str]
    how: str = field(default="", compare=False)


class _OnSample(Planner):
    """Counts rows on the sample."""

    def __init__(self, indexes: Mapping[str, Index], sample: Sample) -> None:
        super().__init__(indexes, None, float(sample.total))
        self.sample = sample

    def estimate(self, index: Index, query: Any, leaves: Sequence[Leaf]) -> float:
        """By the leaves, on the rows of a partial index."""
        return self.sample.estimate(_both(leaves, index))


def _both(leaves: Iterable[Node], index: Index) -> Node:
    parts = tuple(dict.fromkeys((*leaves, *(() if index.where is None else (tree_of(index.where),)))))
    return parts[0] if len(parts) == 1 else And(parts)


def _rows_of(source: Access | Combined) -> Node:
    """The condition of the rows that a source finds."""
    if isinstance(source, Access):
        return _both(source.leaves, source.index)
    parts = tuple(map(_rows_of, source.parts))
    return Or(parts) if source.union else And(parts)


class WhatIf:
    """Prices queries under sets of hypothetical indexes. ``key``: the column that the row id is, None when keys are not integers."""

    def __init__(self, sample: Sample, constants: Constants, key: str | None) -> None:
        self.sample, self.constants, self.key = sample, constants, key
        self._priced: dict[tuple[int, frozenset[str]], Price] = {}
        self._queries: list[Query] = []  # keeps them, and with them their ids
        self._relevant: dict[tuple[int, str], bool] = {}

    # Indexes

    def hypothesize(self, number: int, name: str, made: Definition, *, exists: bool = False) -> Hypothetical:
        """Build an index on the sample, to know its size. ValueError when it cannot take the rows; KeyError for a function not given."""
        definition = catalog.define(number, name, made.kind, made.columns, unique=False, where=made.where, params=made.arguments)
        index = catalog.open_index(definition, self.sample.functions)
        payloads = [index.payloads(row) for row in self.sample.rows]
        ids = self._dense_ids()
        entries = [(i, p) for i, some in zip(ids, payloads, strict=True) for p in some]
        size = self._grown(index, entries)
        count = len(entries) * self.sample.scale
        each = len(entries) / max(1, len(ids))
        merges = math.log(max(count, FANOUT), FANOUT)
        c = self.constants
        write = each * (c.of(c.insert, made.kind) + merges * c.of(c.merge, made.kind)) + (0.2 * c.read if made.where is not None else 0.0)
        kind = index.type
        covers = isinstance(kind, OrderedIndex) and None not in kind.values([p for _, p in entries[:1000]])
        return Hypothetical(made, index, count, size, write, covers, exists)

    def _dense_ids(self) -> list[int]:
        """The row ids of the sample, moved together as if no rows were missing between them: bitmaps are as dense as in the table."""
        n, total = len(self.sample.ids), max(1, self.sample.total)
        moved = np.array([i * n // total for i in self.sample.ids.tolist()], np.int64)
        steps = np.arange(n)
        return list((np.maximum.accumulate(moved - steps) + steps).tolist()) if n else []

    def _grown(self, index: Index, entries: list[tuple[int, Any]]) -> float:
        """The bytes of the segment of the whole table: what grows is taken from half the sample and all of it."""
        whole = len(index.type.build(entries))
        if self.sample.exact or len(entries) < 16:
            return float(whole)
        if index.type.kind == "bitmap":
            return self._tiled(index, entries)
        half = len(index.type.build(entries[: len(entries) // 2]))
        return max(0.0, whole + (self.sample.scale - 1) * 2 * (whole - half))

    def _tiled(self, index: Index, entries: list[tuple[int, Any]]) -> float:
        """The bytes of sets, which depend on how many rows there are of a value in a stretch: the sample is put behind itself."""
        rows = len(self.sample.rows)
        times = max(1, round(min(self.sample.total, CONTAINER) / rows))
        tiles = [(i + rows * t, p) for t in range(times) for i, p in entries]
        return len(index.type.build(tiles)) * self.sample.total / (rows * times)

    # Queries

    def relevant(self, query: Query, h: Hypothetical) -> bool:
        """Tell whether a query could use an index at all."""
        known = self._relevant.get((id(query), h.name))
        if known is None:
            self._queries.append(query)
            known = self._relevant[id(query), h.name] = self._could_use(query, h)
        return known

    def _could_use(self, query: Query, h: Hypothetical) -> bool:
        node, index = query.node, h.index
        if query.order_by and query.limit is not None and index.columns[0] == query.order_by[0].removeprefix("-"):
            return True
        return any(
            (index.where is None or implied(index, leaves)) and any(True for _ in index.type.matches(leaves))
            for leaves in conjunctions(node)
        )

    def price(self, query: Query, indexes: Iterable[Hypothetical]) -> Price:
        """Return what a query would take with these indexes, and no others."""
        useful = [h for h in indexes if self.relevant(query, h)]
        key = id(query), frozenset(h.name for h in useful)
        known = self._priced.get(key)
        if known is None:
            self._queries.append(query)
            known = self._priced[key] = self._price(query, sorted(useful, key=lambda h: h.name))
        return known

    def _price(self, query: Query, indexes: Sequence[Hypothetical]) -> Price:
        sample, c, node = self.sample, self.constants, query.node
        usable = {h.name: h.index for h in indexes}
        wanted = None if query.columns is None or query.order_by else [c for c in query.columns if c != self.key]
        plan = Plan(None, total=float(sample.total)) if node is None else plan_by(_OnSample(usable, sample), node, wanted)
        accesses = plan.accesses()
        used = frozenset(a.index.name for a in accesses)
        search = c.begin + sum(a.cost * c.of(c.search, a.index.type.kind) for a in accesses)
        source = plan.source
        assert not isinstance(source, Keyed)  # the rows of a sample have other ids
        found = float(sample.total) if source is None else sample.estimate(_rows_of(source))
        kept = min(found, sample.estimate(node))
        each = c.scan if plan.source is None else c.read
        how = "scan" if plan.source is None else "union or intersection" if len(accesses) > 1 else "search"
        if query.count:
            read = 0.0 if plan.source is not None and not plan.residual else found
            return Price(search + read * each, read, used, how)
        by, limit = query.order_by, query.limit
        covering = None if query.columns is None else covering_access(plan, query.columns, by, self.key)
        if covering is not None and next(h.covers for h in indexes if h.name == covering.index.name):
            return Price(search + found * c.covered, 0.0, used, "covered")
        if by and limit is not None and (index := index_in_order(usable, plan, node, by, limit)) is not None:
            read = min(found, limit * found / max(kept, 1.0))
            walked = min(float(sample.total), read * sample.total / max(found, 1.0))
            read = min(found, max(read, min(CHUNK, 2 * limit)))
            return Price(search + walked * c.walk + read * c.read, read, used | {index.name}, "in the order of an index")
        if by:
            return Price(search + found * each + kept * c.sort, found, used, how)
        if limit is None or kept <= limit:
            return Price(search + found * each, found, used, how)
        read = min(found, (limit + 1) * found / kept)  # one more is looked at
        decoded = read if plan.source is None else min(found, math.ceil(read / CHUNK) * CHUNK)
        return Price(search + decoded * each, read, used, how)


def conjunctions(node: Node | None) -> list[list[Leaf]]:
    """Return the leaves of each And in a condition that the planner looks for indexes for, single leaves too."""
    if node is None:
        return []
    if isinstance(node, Or):
        return [c for p in node.parts for c in conjunctions(p)]
    parts = node.parts if isinstance(node, And) else (node,)
    inner = [c for p in parts if isinstance(p, Or) for c in conjunctions(p)]
    leaves = [p for p in parts if isinstance(p, Leaf)]
    return ([leaves] if leaves else []) + inner
