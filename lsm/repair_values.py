"""The value files of a repaired database: whole ones are taken over; of others the records that can be read go back into the tables.

A pointer whose record is gone is left out of its table, and told: older versions of its key may come back, as with a lost block.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from recovery import crc32c

from .errors import Error
from .inventory import value_footer_of
from .memtable_twin import PUT, VALUE_POINTER, Entry
from .native_values import ValueFile
from .repair_work import Work, copy_file, take_from_copy
from .salvage import Hole, read_what_can_be
from .value_twin import POINTER, Damaged, follow
from .version import TableInfo, ValueInfo


@dataclass
class Values:
    """The value files that were found. ``whole``: by true number, with the name; ``used``: those that tables were taken over with."""

    work: Work
    whole: dict[int, tuple[str, ValueInfo]] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)  # out of a copy, into the new directory
    _raw: tuple[int, bytes] = (0, b"")  # the damaged file that was read last

    def serve(self, entries: Iterable[Entry], holes: list[Hole]) -> Iterator[Entry]:
        """Yield entries that can be read: with their pointers into whole files, with their values out of damaged ones.

        A hole is added for each value that is gone; its component is the name of the value file.
        """
        for e in entries:
            if e.kind != VALUE_POINTER:
                yield e
                continue
            number, offset, length, _ = POINTER.unpack(e.value) if len(e.value) == POINTER.size else (0, 0, 0, 0)
            if number in self.whole:
                self.used.add(number)
                yield e
                continue
            try:
                yield Entry(e.key, e.seq, PUT, follow(self._bytes(number), self._database, e.key, e.seq, e.value, crc32c))
            except Damaged as damage:
                holes.append(Hole(f"{number:06d}.vlog", offset, length, f"a value is gone: {damage}", e.key, e.key))

    def can_serve(self, table: TableInfo) -> bool:
        """Tell whether all value files of a table are whole, so that it can be taken over as it is."""
        return all(file in self.whole for file, _, _ in table.values)

    def use(self, table: TableInfo) -> None:
        """A table was taken over as it is: its value files come along."""
        self.used.update(file for file, _, _ in table.values)

    def of(self, tables: Iterable[TableInfo]) -> tuple[ValueInfo, ...]:
        """Return what is known of the value files of some tables."""
        return tuple(self.whole[n][1] for n in sorted({file for t in tables for file, _, _ in t.values}))

    def copy(self) -> None:
        """Copy the files that are used, under their true names."""
        for n in sorted(self.used - self.taken):
            copy_file(self.work, self.whole[n][0], f"{n:06d}.vlog")

    @property
    def _database(self) -> int:
        return self.work.found.database or 0

    def _bytes(self, number: int) -> bytes:
        if number not in self.damaged:
            raise Damaged("the value file is missing")
        if self._raw[0] != number:
            try:
                self._raw = number, read_what_can_be(self.work.fs, f"{self.work.found.path}/{self.damaged[number]}")[0]
            except OSError as e:
                raise Damaged(f"the value file cannot be opened: {os.strerror(e.errno or 0)}") from None
        return self._raw[1]


def find_values(work: Work) -> Values:
    """Each value file by the number in its footer, whatever it is called; those without a footer by their names."""
    found = Values(work)
    for n in work.found.values:
        name = f"{n:06d}.vlog"
        path = f"{work.found.path}/{name}"
        footer = value_footer_of(work.fs, path)
        number = n if footer is None or footer.database != work.found.database else footer.number
        if number != n:
            work.report.renamed.append(f"{name} is value file {number}: {number:06d}.vlog")
        try:
            file = ValueFile(work.env, path, number)
            try:
                file.verify()
                found.whole[number] = name, file.info
            finally:
                file.close()
        except (Error, OSError) as e:
            found.damaged[number] = name
            work.bad.add(name)
            work.report.notes.append(f"{name}: damaged ({getattr(e, 'what', e)}); values in it that can be read are in tables now")
    for info in [x for v in (work.found.state.versions if work.found.state else {}).values() for x in v.values]:
        name = f"{info.number:06d}.vlog"
        if info.number not in found.whole and take_from_copy(work, name, info):
            found.whole[info.number] = name, info
            found.taken.add(info.number)
            found.used.add(info.number)
    return found
