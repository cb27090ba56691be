"""Covering reads: rows whose wanted columns all lie in an ordered index are never read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .ordered import OrderedIndex

if TYPE_CHECKING:
    from .planner import Plan
    from .table import Moment, Table


def covered(table: Table, plan: Plan, columns: Sequence[str], by: Sequence[str], moment: Moment) -> list[dict[str, Any]] | None:
    """Return the rows from the index alone, by row id, or None when it cannot be done. Floats of whole value come as ints if indexed."""
    from .planner import Access

    access = plan.source
    if not isinstance(access, Access) or plan.residual or by or not isinstance(access.index.type, OrderedIndex):
        return None
    kind = access.index.type
    kept = {*kind.columns, *kind.include}
    if not set(columns) <= kept | ({table.key} if table.key_kind == "int" else set()):
        return None
    rows: dict[int, dict[str, Any]] = {}
    for view, hidden in moment.stack.views(access.index.id, kind):
        for r in access.query:
            for batch in view.scan(r.low, r.high):
                for row_id, row in zip(batch.rows.tolist(), kind.values(batch.keys.tolist()), strict=True):
                    if hidden is not None and row_id in hidden:
                        continue
                    if row is None:
                        return None
                    rows[row_id] = {c: row[c] if c in kept else row_id for c in columns}
    access.actual = plan.kept = len(rows)
    plan.note = f"covered by {access.index.name}"
    return [rows[i] for i in sorted(rows)]
