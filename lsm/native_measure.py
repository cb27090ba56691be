"""What merges would leave and how big their tables would be, in C and without data: the arithmetic of the builder (csrc/measure.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .native import TableSettings, ffi, lib
from .native_memtables import MemtableOps

DELETE, PUT, RANGE_DELETE = int(lib.LSM_DELETE), int(lib.LSM_PUT), int(lib.LSM_RANGE_DELETE)
OPEN = 2**32 - 1
"""The end of a span that has none."""
MAX_OPERATIONS = 2**32 - 2
Words = NDArray[np.uint64]
Ranks = NDArray[np.uint32]
RankRange = tuple[int, int, int]
"""Start and end as ranks, [start, end), and the sequence number of a range tombstone."""


@dataclass(frozen=True)
class Measured:
    """A table that would be made: which of the kept entries it holds, its bytes, and its ends as ranks; a span end may be OPEN."""

    start: int
    entries: int
    deletions: int
    range_deletes: int
    file_size: int
    min_seq: int
    max_seq: int
    oldest_tombstone: int
    smallest: int
    largest: int
    largest_exclusive: bool
    span: tuple[int, int]


@dataclass(frozen=True)
class Merged:
    """The entries that a merge keeps, as words in order, its tables, and what it drops."""

    kept: Words
    tables: tuple[Measured, ...]
    shadowed: int
    tombstones_dropped: int
    range_covered: int


class StreamMeasure:
    """A stream of operations by ranks of keys. Operation i has sequence number i + 1.

    keys: the distinct keys, ascending; ranks, ends (of range deletes), kinds, value_lens, lasts (1: ends its record): a row an operation.
    """

    def __init__(
        self, keys: Sequence[bytes], ranks: Ranks, ends: Ranks, kinds: NDArray[np.uint8], value_lens: Ranks, lasts: NDArray[np.uint8]
    ) -> None:
        """ValueError when the rows are not as many, or too many, or a rank is not one of a key."""
        n, highest = len(ranks), max(int(ranks.max(initial=0)), int(ends.max(initial=0)))
        if {len(ends), len(kinds), len(value_lens), len(lasts)} != {n} or n > MAX_OPERATIONS:
            raise ValueError(f"{n} operations; allowed: up to {MAX_OPERATIONS}, with as many ends, kinds, lengths and marks")
        if n and highest >= len(keys):
            raise ValueError(f"rank {highest} with {len(keys)} keys")
        at = np.zeros(len(keys) + 1, np.uint64)
        np.cumsum([len(k) for k in keys], out=at[1:])
        self._keep: list[Any] = []
        self.handle = ffi.new("lsm_stream *")
        self.handle.keys = self._hold("uint8_t[]", b"".join(keys) or b"\0")
        self.handle.key_at = self._hold("uint64_t[]", at)
        for name, of, column in (("ranks", "uint32_t[]", ranks), ("ends", "uint32_t[]", ends), ("kinds", "uint8_t[]", kinds)):
            setattr(self.handle, name, self._hold(of, column))
        self.handle.value_lens, self.handle.lasts = self._hold("uint32_t[]", value_lens), self._hold("uint8_t[]", lasts)
        self.count = n

    def _hold(self, kind: str, data: Any) -> Any:
        pointer = ffi.from_buffer(kind, np.ascontiguousarray(data) if isinstance(data, np.ndarray) else data)
        self._keep.append((data, pointer))
        return pointer

    def fill(self, memtable: MemtableOps, limits: tuple[int, int], seed: int, start: int, stop: int) -> tuple[int, bool]:
        """Return the operation behind those of [start, stop) that a memtable takes, and whether it is full by then. MemoryError.

        limits: bytes and entries (0: any number) at which it is full.
        """
        most = ffi.new("lsm_fill_limits *", [*limits, seed])
        following, sealed = ffi.new("uint64_t *"), ffi.new("int *")
        if lib.lsm_measure_fill(self.handle, memtable.table, most, start, min(stop, self.count), following, sealed) != lib.LSM_OK:
            raise MemoryError("memtable")
        return int(following[0]), bool(sealed[0])

    def merge(
        self,
        words: Words,
        ranges: Sequence[RankRange],
        table: TableSettings,
        *,
        output_bytes: int,
        max_outputs: int,
        bottom: bool,
        cuts: Sequence[int] = (),
    ) -> Merged:
        """Return what a merge of entries (words in order) and range tombstones (as the job has them ready) makes.

        MemoryError; RuntimeError with the status when a filter refuses or more than max_outputs tables would be needed. O(words).
        """
        config, result = ffi.new("lsm_measure_config *"), ffi.new("lsm_measure_result *")
        rows = ffi.new("lsm_measured[]", max_outputs)
        ends, spans = ffi.new("uint32_t[]", list(cuts)), ffi.new("lsm_rank_range[]", list(ranges))
        config.stream, config.table = self.handle, table.handle
        config.output_bytes, config.max_outputs, config.bottom = output_bytes, max_outputs, bottom
        config.cuts, config.n_cuts, config.ranges, config.n_ranges = ends, len(cuts), spans, len(ranges)
        kept = np.empty(max(len(words), 1), np.uint64)
        given, room = ffi.from_buffer("uint64_t[]", words), ffi.from_buffer("uint64_t[]", kept)
        status = lib.lsm_measure(config, given, len(words), room, rows, result)
        if status == lib.LSM_NOMEM:
            raise MemoryError("measure")
        if status != lib.LSM_OK:
            raise RuntimeError(f"a merge could not be measured (status {status})")
        tables = tuple(_measured(rows[i]) for i in range(result.n_outputs))
        counts = (result.shadowed, result.tombstones_dropped, result.range_covered)
        return Merged(kept[: result.entries_out], tables, *counts)


def _measured(row: Any) -> Measured:
    counts = (row.entries, row.deletions, row.range_deletes, row.file_size, row.min_seq, row.max_seq, row.oldest_tombstone)
    exclusive = bool(row.largest_exclusive)
    return Measured(getattr(row, "from"), *counts, row.smallest, row.largest, exclusive, (row.span_start, row.span_end))
