"""No index beside the rows: filters and zone maps of the tables' stretches."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from indexes.filters import Bloom

from ... import keys as key_code
from ...batch import Batch
from ...native import Table
from ...native_tables import scan
from ...native_values import ValueFile, value_of
from ...scan import prefix_end
from ..ordered import encoded
from ..record import column
from .base import ID, Entered, Keys

STRETCH = 64  # rows
BITS = 10  # of a filter, a row


class Zone(NamedTuple):
    """A stretch of a table: its first and last row, the least and greatest key of the column, a filter of all keys."""

    first: bytes
    last: bytes
    least: bytes
    greatest: bytes
    filter: Bloom

    def may_hold(self, low: bytes, high: bytes | None) -> bool:
        """Tell whether a key of the stretch may be between: of one value by the filter too."""
        if self.greatest < low or (high is not None and self.least >= high):
            return False
        return high != prefix_end(low) or self.filter.may_contain(low)


class Embedded(Entered):
    """Every stretch of rows in a table has a zone map and a Bloom filter of the column; queries scan the stretches that may hold a hit.

    Qader, Cheng, Hristidis, SIGMOD 2018, section 3 (the embedded index of LevelDB++). Filters are kept in memory and made when a query
    first meets a table; a query also looks at the rows that are in no table yet.
    """

    kind = "embedded"

    def open(self) -> None:
        """Begin with no filters: opening wrote all rows to tables."""
        super().open()
        self.zones: dict[int, list[Zone]] = {}
        self.fresh: list[tuple[int, int]] = []  # (sequence number before its batch, row) of what is in memory

    def change(self, batch: Batch, new: Keys) -> None:
        """Nothing is written."""
        before = self.db.core.sequence()
        self.fresh += [(before, row_id) for row_id in new]

    def _look(self) -> None:
        """Take note of new tables, forget what is gone."""
        with self.db.executor.lock:
            covered = self.db.state.flushed[self.rows.number]
            tables = {number: table.share() for number, table in self.rows.tables.items()}
            files = {number: file.share() for number, file in self.rows.value_files.items()}
        self.fresh = self.fresh[bisect.bisect_left(self.fresh, (covered, 0)) :]
        self.zones = {number: zones for number, zones in self.zones.items() if number in tables}
        for number, table in tables.items():
            if number not in self.zones:
                self.zones[number] = list(self._zones(table, files))
            table.close()
        for file in files.values():
            file.close()

    def _zones(self, table: Table, files: Mapping[int, ValueFile]) -> Iterator[Zone]:
        found = ((e.key, value_of(e, files, "open")) for e in scan(table, cause="open"))
        entries = [(key, value) for key, value in found if value is not None]
        self.counters.scanned += len(entries)
        keys = key_code.indexed(column([v for _, v in entries], self.names[self.column]), encoded)
        for at in range(0, len(keys), STRETCH):
            some, rows = keys[at : at + STRETCH], entries[at : at + STRETCH]
            yield Zone(rows[0][0], rows[-1][0], min(some), max(some), Bloom.build(some, BITS))

    def search(self, low: bytes, high: bytes | None) -> tuple[int, list[int]]:
        """Scan the stretches that may hold a hit, as rows are now, and look at the rows in memory."""
        self._look()
        stretches = sorted((z.first, z.last) for zones in self.zones.values() for z in zones if z.may_hold(low, high))
        met: dict[int, bytes] = {}
        start = b""
        for first, last in stretches:
            for raw, data in self.rows.scan(max(first, start), last + b"\0"):
                met[int.from_bytes(raw, "big")] = bytes(data)
            start = max(start, last + b"\0")
        self.counters.scanned += len(met)
        fresh = sorted({row_id for _, row_id in self.fresh} - met.keys())
        found = self.read(self.rows, [ID.pack(i) for i in fresh])
        met |= {i: data for i, data in zip(fresh, found, strict=True) if data is not None}
        keys = key_code.indexed(column(met.values(), self.names[self.column]), encoded)
        return len(met), [i for i, key in zip(met, keys, strict=True) if low <= key and (high is None or key < high)]

    def size(self) -> int:
        """Bytes of the filters and zone maps in memory."""
        return sum(z.filter.size_bytes + sum(map(len, z[:4])) for zones in self.zones.values() for z in zones)
