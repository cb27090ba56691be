"""Shadow bitmaps: the way of `db.table`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...scan import prefix_end
from ..ordered import Range
from .base import Ids, Strategy


class Shadow(Strategy):
    """An index that rides on its rows: nothing is read before a write; what newer components touched is hidden in older ones.

    See lsm.secondary.riding. The index is a bitmap index. The bytes of its entries are those that flushes and merges wrote.
    """

    kind = "shadow"

    def open(self) -> None:
        """Open the table, make its index."""
        self.table = self.db.table(f"{self.name}.rows", key="id")
        self.rows = self.table.space
        if not self.table.indexes():
            self.table.create_index("index", self.column, kind="bitmap")

    def put_many(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or replace rows."""
        rows = list(rows)
        self.counters.writes += len(rows)
        self.table.put_many(rows)

    def delete(self, row_id: int) -> None:
        """Delete a row."""
        self.counters.writes += 1
        self.table.delete(row_id)

    def search(self, low: bytes, high: bytes | None) -> tuple[int, Ids]:
        """Search every component."""
        index = self.table.index("index")
        query = low if high == prefix_end(low) else Range(low, high)
        ids = self.table.riding.stack().search(index.id, index.type, (query,)).rows()
        return len(ids), ids

    def compact(self) -> None:
        """Merge rows and components."""
        self.table.compact()

    def size(self) -> int:
        """With the sets of touched rows."""
        return sum(c.size for c in self.table.riding.runs.components)

    def written(self) -> int:
        """Bytes of components."""
        counters = self.table.riding.counters
        return counters["flushed_bytes"] + counters["merged_bytes"]
