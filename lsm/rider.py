"""What may ride on a keyspace: secondary indexes, or anything else that must never disagree with its rows.

A rider has files of its own (``NNNNNN.idx``) and a row of plain values in the manifest, its *attachment*, which names them under
"files". What it makes of a memtable enters the manifest in the same edit as the table, so after a crash both are there or neither is.

    memtable sealed -> table written, rider.flush: files written -> one manifest record (tables, attachment) -> rider.flushed

While a keyspace has an attachment and no rider is on it, nothing is compacted, so that no tombstone goes that the rider has not seen:
it finds what it missed in the tables by sequence number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Rider(Protocol):
    """Called by the executor. Its lock comes first: it is never taken inside of a lock that these methods take."""

    merging: bool  # whether `step` is at work on its files

    def flush(self, seq: int) -> Any:
        """Write and sync files for all changes up to seq that have none; return what to install. OSError and Error end the flush."""

    def attachment(self, made: Any) -> Mapping[str, Any]:
        """Return the row for the manifest with what flush made. Called under the executor's lock, like `flushed`."""

    def flushed(self, made: Any) -> None:
        """It is durable: use it."""

    def abandoned(self, made: Any) -> None:
        """It did not come to that: forget the files."""

    def step(self) -> bool:
        """Do one piece of background work, such as a merge. True when something was done."""

    def close(self) -> None:
        """Let go of the files."""
