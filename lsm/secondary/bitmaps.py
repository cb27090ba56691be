"""Bitmap indexes: a Roaring set a value, and bit slices for ranges, sums and the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from indexes import bitmap
from indexes.rowset import RowSet

from .. import keys as key_code
from .changes import Gathered, Ids, Payloads
from .kinds import Entries, IndexType, Row, register_index
from .ordered import Range, are_bytes, elements, encoded, fits, keys_of, ranges_of, sized
from .predicate import Leaf


@register_index
class BitmapIndex(IndexType):
    """A row set for each value of a column: few values, conditions on several columns, counts. A list column is indexed by its elements."""

    kind = "bitmap"

    def __init__(self, columns: tuple[Any, ...]) -> None:
        super().__init__(columns)
        if len(columns) != 1:
            raise ValueError(f"a bitmap index has one column, not {len(columns)}; conditions on several use an index each")

    def needs(self) -> tuple[Any, ...]:
        """Its columns."""
        return self.columns

    def takes_all(self) -> bool:
        """Every stored value has a key; of a short row, one that fits."""
        return type(self) is BitmapIndex

    def payloads(self, row: Row) -> Sequence[bytes]:
        """Return the value, NULL too, or each element of a list once."""
        return sized(elements(row.get(self.columns[0])))

    def gather(self, rows: Sequence[Row]) -> Gathered:
        """All values at once."""
        keys = keys_of(rows, self.columns[0])
        if are_bytes(keys):
            return Gathered(None, sized(keys))
        pairs = [(place, k) for place, key in enumerate(keys) for k in (key if isinstance(key, list) else (key,))]
        return Gathered([place for place, _ in pairs], sized([k for _, k in pairs]))

    def build(self, entries: Entries) -> bytes:
        """Gather the rows of each value."""
        return self.build_many(np.fromiter((r for r, _ in entries), np.uint64, len(entries)), [p for _, p in entries])

    def build_many(self, rows: Ids, payloads: Payloads) -> bytes:
        """Gather the rows of each value."""
        return bitmap.build(payloads, rows)

    def open(self, data: Any) -> bitmap.BitmapView:
        """Open the segment in place."""
        return bitmap.open(data)

    def search(self, view: bitmap.BitmapView, query: Sequence[Range | bytes]) -> RowSet:
        """Return the union of values and ranges of values."""
        values = [q for q in query if isinstance(q, bytes)]
        parts = [view.range(r.low, r.high) for r in query if isinstance(r, Range)]
        if values:
            parts.append(view.equal(values[0]) if len(values) == 1 else view.isin(values))
        return parts[0] if len(parts) == 1 else RowSet.union(*parts)

    def entries(self, view: bitmap.BitmapView) -> Iterator[tuple[int, bytes]]:
        """Yield all, value by value."""
        for batch in view.entries():
            yield from zip(batch.rows.tolist(), batch.keys.tolist(), strict=True)

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Merge set by set, in C."""
        return bitmap.merge(views, hide)

    def match(self, leaf: Leaf) -> Any | None:
        """Equality, IN, ranges and NULL tests of the column; for a list column: has an element."""
        if leaf.column != self.columns[0]:
            return None
        if leaf.op == "in":
            keys = sorted({encoded(v) for v in leaf.values})
            return keys if fits(keys) else None
        ranges = ranges_of(leaf)
        return ranges if ranges is None or fits(bound for r in ranges for bound in r) else None

    def shown(self, payload: bytes) -> Any:
        """The value."""
        return key_code.decode(payload)[0]

    def estimate(self, view: bitmap.BitmapView, query: Sequence[Range | bytes]) -> float:
        """Exact for values, by counts that are kept."""
        values = [q for q in query if isinstance(q, bytes)]
        ranges = [q for q in query if isinstance(q, Range)]
        return float(sum(map(view.count, values)) + sum(len(view.range(r.low, r.high)) for r in ranges))

    def cost(self, query: Any, rows: float) -> float:
        """Sets are read in place."""
        return 4.0 + 0.001 * rows
