"""Queries that order by more than columns: the best texts, the nearest places, sums and the largest of a sliced index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from indexes.rowset import RowSet
from indexes.text import Scoring, bm25

from .fulltext import TextIndex
from .index import Index
from .kinds import IndexType
from .leaves import columns_of, tree_of
from .planner import make_plan, rows_of
from .predicate import Predicate
from .slices import SlicedIndex
from .spatial import RTreeIndex

if TYPE_CHECKING:
    from .table import Moment, Table

Ranked = list[tuple[dict[str, Any], float]]


def _index_on(table: Table, moment: Moment, column: str, cls: type[IndexType]) -> Index:
    for index in moment.indexes.values():
        if isinstance(index.type, cls) and index.columns[0] == column and index.where is None:
            return index
    raise ValueError(f"this needs a {cls.kind} index on {column!r}: table.create_index(name, {column!r}, kind={cls.kind!r})")


def _among(table: Table, where: Predicate | None, moment: Moment) -> RowSet | None:
    """The rows that satisfy a condition, as a set; None: all."""
    if where is None:
        return None
    table.check_columns(columns_of(where))
    node = tree_of(where)
    plan = make_plan(table, node, moment)
    if plan.source is not None and not plan.residual:
        return plan.source.run(moment)
    return RowSet([row_id for row_id, _ in rows_of(table, plan, node, moment)])


def _rows(table: Table, found: Sequence[tuple[int, float]], moment: Moment) -> Ranked:
    rows = table.rows_at([row_id for row_id, _ in found], moment.snapshot)
    return [(row, score) for row, (_, score) in zip(rows, found, strict=True) if row is not None]


def best(
    table: Table, column: str, query: Any, k: int, where: Predicate | None, scoring: Scoring | str, default: str, moment: Moment
) -> Ranked:
    """See `Table.best`."""
    index = _index_on(table, moment, column, TextIndex)
    assert isinstance(index.type, TextIndex)
    among = _among(table, where, moment)
    chosen = bm25(scoring) if isinstance(scoring, str) else scoring
    within = None if among is None else among.rows()
    hits = index.type.searcher(moment.stack, index.id).search(query, k, scoring=chosen, default=default, within=within)
    return _rows(table, list(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)), moment)


def nearest(table: Table, column: str, point: Sequence[float], k: int, where: Predicate | None, moment: Moment) -> Ranked:
    """See `Table.nearest`."""
    index = _index_on(table, moment, column, RTreeIndex)
    assert isinstance(index.type, RTreeIndex)
    among = _among(table, where, moment)
    ask = k
    while True:
        found = index.type.nearest(moment.stack, index.id, point, ask)
        kept = found if among is None else [f for f in found if f[0] in among]
        if len(kept) >= k or len(found) < ask:
            return _rows(table, kept[:k], moment)
        ask *= 4


def top(table: Table, column: str, k: int, where: Predicate | None, largest: bool, moment: Moment) -> Ranked:
    """See `Table.top`."""
    index = _index_on(table, moment, column, SlicedIndex)
    assert isinstance(index.type, SlicedIndex)
    found = index.type.top(moment.stack, index.id, k, _among(table, where, moment), largest=largest)
    return _rows(table, found, moment)


def total(table: Table, column: str, where: Predicate | None, moment: Moment) -> tuple[float, int]:
    """See `Table.total`."""
    index = _index_on(table, moment, column, SlicedIndex)
    assert isinstance(index.type, SlicedIndex)
    return index.type.total(moment.stack, index.id, _among(table, where, moment))
