"""Queries: which indexes, in what order, and what is left to check on the rows.

A condition is a tree of And and Or over leaves, with negations pushed into the leaves (leaves.py). What an index answers exactly is a
row set; And intersects, the most selective first, as long as another index costs less than reading the rows that it would spare; Or
unites when every branch has an index. Rows are read last, in batches, in the order of their ids; what no index answered exactly is
checked on them.

Costs are microseconds of one core, estimates of rows come from the segments themselves (exact for ordered, hash and bitmap indexes, but
that rows changed since count twice). In the manner of Selinger et al., SIGMOD 1979, without joins.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.rowset import RowSet

from . import order
from .component import Stack
from .covering import covered
from .index import Index
from .keyed import Keyed, keyed
from .leaves import Check, Node, columns_of, evaluator, leaves_of, tree_of
from .ordered import OrderedIndex
from .predicate import And, Leaf, Or, Predicate

if TYPE_CHECKING:
    from .table import Moment, Table

READ, SCAN, COVERED = 1.6, 0.9, 0.7  # microseconds to read and check a row by its id, in a scan, and to take it from an index
CHUNK = 1024  # rows read at once


@dataclass
class Access:
    """One search of one index. ``leaves``: what it answers; they are checked again unless ``exact``."""

    index: Index
    query: Any
    leaves: tuple[Leaf, ...]
    estimate: float
    cost: float
    actual: int | None = None

    @property
    def exact(self) -> bool:
        """Whether the rows found need no check."""
        return self.index.type.is_exact(self.leaves)

    def run(self, moment: Moment, among: RowSet | None = None) -> RowSet:
        """Search; among: only these rows."""
        found = moment.stack.search(self.index.id, self.index.type, self.query, among)
        self.actual = len(found)
        return found

    def lines(self) -> list[str]:
        """Return a line for `explain`."""
        seen = "" if self.actual is None else f", actual {self.actual}"
        what = " & ".join(map(str, self.leaves))
        return [f"{self.index.name} ({self.index.type.kind}): {what}; rows estimated {self.estimate:.0f}{seen}"]


@dataclass
class Combined:
    """Row sets of several branches, intersected or united."""

    union: bool
    parts: list[Access | Combined]
    actual: int | None = None

    @property
    def estimate(self) -> float:
        """About how many rows."""
        sizes = [p.estimate for p in self.parts]
        return sum(sizes) if self.union else min(sizes)

    @property
    def cost(self) -> float:
        """Microseconds."""
        return sum(p.cost for p in self.parts)

    @property
    def exact(self) -> bool:
        """Whether the rows found need no check."""
        return all(p.exact for p in self.parts)

    def run(self, moment: Moment, among: RowSet | None = None) -> RowSet:
        """Search all; an intersection ends when nothing is left."""
        if self.union:
            found = RowSet.union(*[p.run(moment, among) for p in self.parts])
        else:
            found = self.parts[0].run(moment, among)
            for p in self.parts[1:]:
                if found:
                    found = p.run(moment, found)
        self.actual = len(found)
        return found

    def lines(self) -> list[str]:
        """Return lines for `explain`."""
        seen = "" if self.actual is None else f", actual {self.actual}"
        head = f"{'union' if self.union else 'intersection'}; rows estimated {self.estimate:.0f}{seen}"
        return [head, *("  " + line for p in self.parts for line in p.lines())]


@dataclass
class Plan:
    """How to answer: by ``source``, or a scan; rows are checked by ``check`` unless that is None."""

    source: Access | Combined | Keyed | None
    residual: list[Node] = field(default_factory=list)
    total: float = 0.0
    read: int = 0
    kept: int = 0
    note: str = ""
    ordered_by: str | None = None

    def accesses(self) -> list[Access]:
        """Return the searches of single indexes that make the source."""
        return _accesses_of(self.source)

    def uses(self) -> frozenset[str]:
        """Return the names of the indexes used."""
        return frozenset([a.index.name for a in self.accesses()] + ([self.ordered_by] if self.ordered_by else []))

    def lines(self) -> list[str]:
        """Return lines for `explain`."""
        lines = [self.note] if self.note else []
        lines += self.source.lines() if self.source is not None else [f"scan of all rows; about {self.total:.0f}"]
        if self.residual:
            lines.append(f"check on rows: {' & '.join(map(str, self.residual))}")
        return [*lines, f"rows read {self.read}, returned {self.kept}"]


def _accesses_of(source: Access | Combined | Keyed | None) -> list[Access]:
    if source is None or isinstance(source, Keyed):
        return []
    return [source] if isinstance(source, Access) else [a for p in source.parts for a in _accesses_of(p)]


def make_plan(table: Table, node: Node | None, moment: Moment, columns: Sequence[str] | None = None) -> Plan:
    """Choose. ``columns``: all that is wanted of the rows, in whatever order they come."""
    total = float(row_count(table))
    if node is None:
        return Plan(None, total=total)
    if columns is not None and table.key_kind == "int":
        columns = [c for c in columns if c != table.key]
    plan = plan_by(Planner(moment.indexes, moment.stack, total), node, columns)
    if table.key_kind == "int" and (own := keyed(node, table.key, lambda: table.highest(moment.snapshot))) is not None:
        other = plan.source.cost + plan.source.estimate * READ if plan.source is not None else total * SCAN
        if own.cost + own.estimate * READ <= other + 10:
            return Plan(own, [node], total)
    return plan


def plan_by(planner: Planner, node: Node, columns: Sequence[str] | None = None) -> Plan:
    """Choose by a planner, unless a scan is cheaper. ``columns``: as of `make_plan`."""
    source, residual = planner.choose(node)
    cost = planner.total * SCAN + 10
    if source is not None and source.cost + source.estimate * READ > cost:
        source, residual = None, [node]
    elif source is not None:
        cost = source.cost + source.estimate * READ
    own = None if columns is None else planner.covering(node, columns)
    if own is not None and own.cost + own.estimate * COVERED < cost:
        source, residual = own, []
    return Plan(source, residual, planner.total)


def row_count(table: Table) -> int:
    """About how many rows there are: entries of tables and memtables."""
    space = table.space
    in_files = sum(t.entries - 2 * t.deletions for t in space.version.tables().values())
    return max(0, in_files) + sum(len(c.touched) for c in table.riding.recent)


class Planner:
    """Chooses among indexes. The advisor has one whose indexes do not exist."""

    def __init__(self, indexes: Mapping[str, Index], stack: Stack | None, total: float) -> None:
        """``total``: rows of the table."""
        self.indexes, self.stack, self.total = indexes, stack, total

    def estimate(self, index: Index, query: Any, leaves: Sequence[Leaf]) -> float:
        """Return about how many rows a query of an index finds, which answers the leaves."""
        assert self.stack is not None and leaves
        return self.stack.estimate(index.id, index.type, query)

    def choose(self, node: Node) -> tuple[Access | Combined | None, list[Node]]:
        """Return the source for a node, and what of it must be checked on the rows."""
        if isinstance(node, Or):
            return self._union(node)
        nodes = list(node.parts) if isinstance(node, And) else [node]
        leaves = [n for n in nodes if isinstance(n, Leaf)]
        options: list[tuple[Access | Combined, list[Node]]] = [(a, list[Node](a.leaves)) for a in self._accesses(leaves)]
        for n in nodes:
            if isinstance(n, Or):
                source, left = self._union(n)
                if source is not None:
                    options.append((source, [n] if not left else []))
        return self._intersect(options, nodes)

    def covering(self, node: Node, columns: Sequence[str]) -> Access | None:
        """Return the cheapest search that answers all of a node and gives the columns, so that no row is read."""
        nodes = list(node.parts) if isinstance(node, And) else [node]
        leaves = [n for n in nodes if isinstance(n, Leaf)]
        able = [x for x in self.indexes.values() if isinstance(x.type, OrderedIndex) and x.type.has(columns)]
        if not able or len(leaves) < len(nodes):
            return None
        whole = (a for a in self._accesses(leaves, able) if a.exact and set(leaves) <= set(a.leaves))
        return min(whole, key=lambda a: a.cost + a.estimate * COVERED, default=None)

    def _intersect(
        self, options: list[tuple[Access | Combined, list[Node]]], nodes: list[Node]
    ) -> tuple[Access | Combined | None, list[Node]]:
        options.sort(key=lambda o: o[0].cost + o[0].estimate * READ)
        chosen: list[Access | Combined] = []
        answered: list[Node] = []
        rows = self.total
        for source, nodes_of in options:
            if all(n in answered for n in nodes_of) and nodes_of:
                continue
            share = min(1.0, source.estimate / self.total) if self.total else 1.0
            spared = rows * (1 - share)
            if chosen and source.cost > spared * READ:
                continue
            chosen.append(source)
            rows = min(rows * share, source.estimate)
            if source.exact:
                answered += nodes_of
        left = [n for n in nodes if n not in answered]
        if not chosen:
            return None, nodes
        return (chosen[0] if len(chosen) == 1 else Combined(False, chosen)), left

    def _union(self, node: Or) -> tuple[Access | Combined | None, list[Node]]:
        parts = []
        exact = True
        for branch in node.parts:
            source, left = self.choose(branch)
            if source is None:
                return None, [node]
            parts.append(source)
            exact = exact and not left
        return Combined(True, parts), [] if exact else [node]

    def _accesses(self, leaves: Sequence[Leaf], indexes: Iterable[Index] | None = None) -> Iterator[Access]:
        for index in self.indexes.values() if indexes is None else indexes:
            if index.where is not None and not implied(index, leaves):
                continue
            held = [] if index.where is None else [leaf for leaf in leaves if leaf in _condition_of(index)]
            for query, used in index.type.matches(leaves):
                estimate = self.estimate(index, query, used)
                answered = tuple(dict.fromkeys((*used, *held)))
                yield Access(index, query, answered, estimate, index.type.cost(query, estimate))


def _condition_of(index: Index) -> Sequence[Node]:
    """What all rows of a partial index satisfy."""
    node = And(()) if index.where is None else tree_of(index.where)
    return node.parts if isinstance(node, And) else (node,)


def implied(index: Index, leaves: Sequence[Leaf]) -> bool:
    """Tell whether rows that satisfy the leaves are all in a partial index: each part of its condition is among them, or wider than one."""
    parts = _condition_of(index)
    return all(isinstance(p, Leaf) and any(leaf == p or leaf.implies(p) for leaf in leaves) for p in parts)


# Running


def rows_of(table: Table, plan: Plan, node: Node | None, moment: Moment) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row id, row) of those that satisfy the condition, by row id."""
    check = _checker(table, plan, moment)
    if plan.source is None:
        source: Iterator[tuple[int, dict[str, Any]]] = table.scan(moment.snapshot)
    else:
        source = _fetched(table, plan.source.run(moment).rows(), moment)
    for row_id, row in source:
        plan.read += 1
        if check is None or check(row, row_id) is True:
            plan.kept += 1
            yield row_id, row


def _checker(table: Table, plan: Plan, moment: Moment) -> Check | None:
    """What checks the residual. Conditions that only an index can answer are answered once, as sets."""
    if not plan.residual:
        return None
    sets = {}
    for leaf in leaves_of(plan.residual):
        if leaf.op in ("text", "not_text"):
            for index in moment.indexes.values():
                if index.where is None and (query := index.type.match(leaf)) is not None:
                    sets[leaf] = moment.stack.search(index.id, index.type, query)
    return evaluator(plan.residual, table.functions, sets)


def _fetched(table: Table, ids: np.ndarray[Any, Any], moment: Moment) -> Iterator[tuple[int, dict[str, Any]]]:
    for at in range(0, len(ids), CHUNK):
        part = ids[at : at + CHUNK].tolist()
        for row_id, row in zip(part, table.rows_at(part, moment.snapshot), strict=True):
            if row is not None:
                yield row_id, row


def find(
    table: Table,
    where: Predicate | None,
    columns: Sequence[str] | None,
    order_by: str | Sequence[str],
    limit: int | None,
    at: Moment | None,
) -> list[dict[str, Any]]:
    """See `Table.find`."""
    return run_find(table, where, columns, order_by, limit, at)[0]


def run_find(
    table: Table,
    where: Predicate | None,
    columns: Sequence[str] | None,
    order_by: str | Sequence[str],
    limit: int | None,
    at: Moment | None,
) -> tuple[list[dict[str, Any]], Plan]:
    """Return the rows, and the plan with what it took."""
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise ValueError(f"limit is {limit!r:.60}; allowed: None or an integer of 0 and more")
    by = (order_by,) if isinstance(order_by, str) else tuple(order_by)
    table.check_columns([*columns_of(where), *(columns or ()), *(b.removeprefix("-") for b in by)])
    node = None if where is None else tree_of(where)
    moment = at or table.moment()
    try:
        plan = make_plan(table, node, moment, None if by else columns)
        rows = covered(table, plan, columns, by, moment) if columns is not None else None
        if rows is not None:
            return rows[:limit], plan
        if by and limit is not None:
            rows = _in_index_order(table, plan, node, by, limit, moment)
        if rows is None:
            found = (row for _, row in rows_of(table, plan, node, moment))
            if by:
                rows = order.sort_rows(found, by, limit)
            else:
                rows = [row for row, _ in zip(found, range(limit), strict=False)] if limit is not None else list(found)
    finally:
        if at is None:
            moment.close()
    rows = rows[:limit]
    if columns is not None:
        rows = [{c: row.get(c) for c in columns} for row in rows]
    return rows, plan


def _in_index_order(
    table: Table, plan: Plan, node: Node | None, by: tuple[str, ...], limit: int, moment: Moment
) -> list[dict[str, Any]] | None:
    """The first rows of an ordered index that satisfy the condition, when reading few of many is cheaper than sorting all."""
    index, descends = index_in_order(moment.indexes, plan, node, by, limit), by[0].startswith("-")
    if index is None:
        return None
    kind = index.type
    assert isinstance(kind, OrderedIndex)
    allowed = plan.source.run(moment) if plan.source is not None else None
    check = _checker(table, plan, moment)
    plan.note, plan.ordered_by = f"in the order of {index.name}", index.name
    streams = [_walk(view, hidden, descends, allowed) for view, hidden in moment.stack.views(index.id, index.type)]
    rows: list[dict[str, Any]] = []
    ids: list[int] = []
    for key, row_id in heapq.merge(*streams, reverse=descends):
        if kind.is_element(key):  # lists come after all else, and have several entries
            plan.note, plan.read, plan.kept = "", 0, 0
            return None
        ids.append(row_id)
        if len(ids) >= min(CHUNK, 2 * limit):
            rows += _checked(table, plan, ids, check, moment)
            ids = []
            if len(rows) >= limit:
                return rows
    return rows + _checked(table, plan, ids, check, moment)


def index_in_order(indexes: Mapping[str, Index], plan: Plan, node: Node | None, by: Sequence[str], limit: int) -> Index | None:
    """Return the index in whose order the first rows are better read, if there is one."""
    name = by[0].removeprefix("-")
    whole = (x for x in indexes.values() if x.columns == (name,) and x.where is None)
    index = next((x for x in whole if isinstance(x.type, OrderedIndex)), None)
    expected = plan.source.estimate if plan.source is not None else plan.total * (0.1 if node is not None else 1.0)
    if len(by) > 1 or index is None or limit * max(1.0, plan.total / max(expected, 1.0)) * 4 > expected:
        return None
    return index


def _walk(view: Any, hidden: RowSet | None, descends: bool, allowed: RowSet | None) -> Iterator[tuple[bytes, int]]:
    for batch in view.scan(backward=descends, batch=256):
        keep = np.ones(len(batch.rows), bool) if hidden is None else ~hidden.contains_many(batch.rows)
        if allowed is not None:
            keep &= allowed.contains_many(batch.rows)
        for key, row_id, wanted in zip(batch.keys.tolist(), batch.rows.tolist(), keep.tolist(), strict=True):
            if wanted:
                yield key, row_id


def _checked(table: Table, plan: Plan, ids: list[int], check: Check | None, moment: Moment) -> list[dict[str, Any]]:
    found = [(i, row) for i, row in zip(ids, table.rows_at(ids, moment.snapshot), strict=True) if row is not None]
    plan.read += len(found)
    kept = [row for i, row in found if check is None or check(row, i) is True]
    plan.kept += len(kept)
    return kept


def count(table: Table, where: Predicate | None, at: Moment | None) -> int:
    """See `Table.count`."""
    return run_count(table, where, at)[0]


def run_count(table: Table, where: Predicate | None, at: Moment | None) -> tuple[int, Plan]:
    """Return the number of rows, and the plan with what it took."""
    table.check_columns(columns_of(where))
    node = None if where is None else tree_of(where)
    moment = at or table.moment()
    try:
        plan = make_plan(table, node, moment)
        if plan.source is not None and not plan.residual:
            return len(plan.source.run(moment)), plan
        return sum(1 for _ in rows_of(table, plan, node, moment)), plan
    finally:
        if at is None:
            moment.close()


def explain(table: Table, where: Predicate | None, **how: Any) -> str:
    """See `Table.explain`."""
    given = {"columns": None, "order_by": (), "limit": None, "at": None} | how
    _, plan = run_find(table, where, **given)
    return "\n".join(plan.lines())
