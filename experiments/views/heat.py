"""Where a tree is read: the keys that a recorded trace of operations asked for, counted by the span of each table."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

import lsm

from ..workloads import operations as ops


class Heat:
    """Keys that were asked for, with repetitions. A scan counts where it begins."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """O(n log n)."""
        self.keys = sorted(keys)

    @classmethod
    def of_trace(cls, path: Path) -> Heat:
        """The gets and scans of an operation trace. TraceFileError; ValueError when it has none."""
        reads = (ops.GET, ops.SCAN)
        keys = [key for block in ops.read(path) for op, key in zip(block.op.tolist(), block.keys, strict=True) if op in reads]
        if not keys:
            raise ValueError(f"{path}: no get and no scan in it, so it tells no heat")
        return cls(keys)

    def of(self, table: lsm.TableInfo) -> int:
        """Reads of keys in the span of a table, whether it held them or not. O(log n)."""
        after = bisect_left if table.largest_exclusive else bisect_right
        return max(0, after(self.keys, table.largest) - bisect_left(self.keys, table.smallest))
