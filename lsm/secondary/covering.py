"""Covering reads: rows whose wanted columns all lie in an ordered index are never read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .ordered import OrderedIndex

if TYPE_CHECKING:
    from .planner import Access, Plan
    from .table import Moment, Table


def covering_access(plan: Plan, columns: Sequence[str], by: Sequence[str], key: str | None) -> Access | None:
    """Return the access that has all of the columns, if there is one. ``key``: the column that the row id is."""
    from .planner import Access

    access = plan.source
    if not isinstance(access, Access) or plan.residual or by or not isinstance(access.index.type, OrderedIndex):
        return None
    return access if access.index.type.has(c for c in columns if c != key) else None


def covered(table: Table, plan: Plan, columns: Sequence[str], by: Sequence[str], moment: Moment) -> list[dict[str, Any]] | None:
    """Return the rows from the index alone, by row id, or None when it cannot be done. Floats of whole value come as ints if indexed."""
    access = covering_access(plan, columns, by, table.key if table.key_kind == "int" else None)
    if access is None:
        return None
    kind = access.index.type
    assert isinstance(kind, OrderedIndex)
    kept = {*kind.columns, *kind.include}
    rows: dict[int, dict[str, Any]] = {}
    for view, hidden in moment.stack.views(access.index.id, kind):
        for r in access.query:
            for batch in view.scan(r.low, r.high):
                ids, values = batch.rows.tolist(), kind.values(batch.keys.tolist())
                if hidden is not None:
                    shown = (~hidden.contains_many(batch.rows)).tolist()
                    ids, values = list(compress(ids, shown)), list(compress(values, shown))
                for row_id, row in zip(ids, values, strict=True):
                    if row is None:
                        return None
                    rows[row_id] = row
    access.actual = plan.kept = len(rows)
    plan.note = f"covered by {access.index.name}"
    return [{c: row[c] if c in kept else i for c in columns} for i, row in sorted(rows.items(), key=itemgetter(0))]
