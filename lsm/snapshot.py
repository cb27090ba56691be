"""Snapshots: a sequence number held, so that what it sees is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import ClosedError

if TYPE_CHECKING:
    from .db import DB
    from .scan import Scan


class Snapshot:
    """A moment of the whole database. Reads take it as `snapshot=`; its own methods read the default keyspace. Close it: it holds space."""

    def __init__(self, db: DB) -> None:
        self._db = db
        self.seq: int | None = db.core.snapshot()

    def get(self, key: bytes, default: Any = None) -> Any:
        """Return the value that key had, or default."""
        return self._db.get(key, default, snapshot=self)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values that the keys had."""
        return self._db.get_many(keys, snapshot=self)

    def scan(self, start: bytes | None = None, stop: bytes | None = None, **how: Any) -> Scan:
        """Scan as it was; arguments as of DB.scan."""
        return self._db.scan(start, stop, snapshot=self, **how)

    def held(self) -> int:
        """Return the sequence number. ClosedError when closed."""
        if self.seq is None:
            raise ClosedError("the snapshot is closed")
        return self.seq

    def close(self) -> None:
        """Let go. Safe to call twice."""
        if self.seq is not None:
            if not self._db.closed:
                self._db.core.release(self.seq)
            self.seq = None

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
