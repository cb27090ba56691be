"""Recording what is asked of a database: every call in order with its key, lengths and time, into a file of operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .workloads import operations as ops


class Recorder:
    """Stands before a database: calls go through to it, and are noted once they are done. One thread at a time.

    `with Recorder(db, path) as recorded:` and then `recorded.put`, `get`, `delete`, `range`, `delete_range`, `put_many`, `get_many`,
    `delete_many`; a batch counts as its single calls. The trace holds no values. FileExistsError when there is a file at path.
    """

    def __init__(self, db: Any, path: str | Path, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self.db, self._now = db, now
        self._writer = ops.Writer(Path(path))
        self._last = now()

    def _note(self, began: int, op: int, key: bytes, **how: Any) -> None:
        self._writer.add(op, key, gap_us=max(0, began - self._last) // 1000, **how)
        self._last = began

    def put(self, key: bytes, value: bytes) -> None:
        """Set."""
        began = self._now()
        self.db.put(key, value)
        self._note(began, ops.PUT, key, length=len(value))

    def get(self, key: bytes) -> bytes | None:
        """The value or None."""
        began = self._now()
        value: bytes | None = self.db.get(key)
        self._note(began, ops.GET, key, length=len(value or b""), found=value is not None)
        return value

    def delete(self, key: bytes) -> None:
        """Delete."""
        began = self._now()
        self.db.delete(key)
        self._note(began, ops.DELETE, key)

    def range(self, start: bytes, stop: bytes | None = None, limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """The first pairs with start <= key < stop."""
        began = self._now()
        pairs: list[tuple[bytes, bytes]] = self.db.range(start, stop, limit=limit)
        self._note(began, ops.SCAN, start, stop=stop or b"", length=len(pairs))
        return pairs

    def delete_range(self, start: bytes, stop: bytes) -> None:
        """Delete every key with start <= key < stop."""
        began = self._now()
        self.db.delete_range(start, stop)
        self._note(began, ops.DELETE_RANGE, start, stop=stop)

    def put_many(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Put many pairs as one batch."""
        some, began = list(pairs), self._now()
        self.db.put_many(some)
        for key, value in some:
            self._note(began, ops.PUT, key, length=len(value))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of many keys."""
        began = self._now()
        values: list[bytes | None] = self.db.get_many(keys)
        for key, value in zip(keys, values, strict=True):
            self._note(began, ops.GET, key, length=len(value or b""), found=value is not None)
        return values

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Delete many keys as one batch."""
        began = self._now()
        self.db.delete_many(keys)
        for key in keys:
            self._note(began, ops.DELETE, key)

    def close(self) -> None:
        """End the trace; the database stays open."""
        self._writer.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.close()
