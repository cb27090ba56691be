"""ORDER BY: rows by columns, NULLs first, "-name" the other way round."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

from .ordered import encoded


def sort_rows(rows: Iterable[dict[str, Any]], by: Sequence[str], limit: int | None = None) -> list[dict[str, Any]]:
    """Return the rows in order, all or the first ``limit``. Stable; values of unlike types in the order of `lsm.keys`. O(n log limit)."""
    flip = bytes(255 - i for i in range(256))
    columns = [(name.removeprefix("-"), name.startswith("-")) for name in by]

    def key(row: dict[str, Any]) -> tuple[bytes, ...]:
        return tuple((e + b"\x00").translate(flip) if down else e for c, down in columns for e in (encoded(row.get(c)),))

    return sorted(rows, key=key) if limit is None else heapq.nsmallest(limit, rows, key=key)
