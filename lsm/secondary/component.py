"""Components: what a stretch of changes did to the indexes of a table: the rows touched, and a segment an index. In memory or in a file.

    file   = magic 8 | section ... | footer | size of footer u32 | crc of footer u32 | magic 8
    footer = JSON {"database", "number", "lo", "hi", "epoch", "main",
                   "sections": {"touched": [at, size, crc], "<index id>": [at, size, crc], ...}}

All little-endian; crc: masked CRC32C. Sections stand one behind the other, each filled up with zeros to a multiple of 8.
A row id in ``touched`` voids what older components say of that row.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexes.rowset import RowSet
from recovery import FileSystem, crc32c, mask

from .. import stored_json
from ..errors import CorruptionError, of_os
from .kinds import IndexType

if TYPE_CHECKING:
    from ..db import DB

MAGIC = b"LSMIDX\x00\x01"
_END = struct.Struct("<II8s")
_PLACE = range(stored_json.LARGEST)
_SECTION = (_PLACE, _PLACE, range(1 << 32))
_FORM = {"database": str, "number": _PLACE, "lo": range(1 << 56), "hi": range(1 << 56), "epoch": _PLACE, "main": bool, "sections": dict}


@dataclass(eq=False)
class Component:
    """Changes whose batches began at sequence numbers lo..hi. ``number``: of the file, 0 in memory. Immutable; views are opened when
    asked for.

    An epoch ends when an index is made, and when a table is opened. ``main`` is False for what an online build made: the rows of one
    index as they were at the end of an epoch, touching nothing.
    """

    lo: int
    hi: int
    touched: RowSet
    segments: dict[int, Any]  # index id -> bytes
    epoch: int = 0
    number: int = 0
    main: bool = True
    _views: dict[int, Any] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """Bytes of all segments, and of the rows touched."""
        return sum(len(s) for s in self.segments.values()) + self.touched.memory + 64

    def view(self, index: int, kind: IndexType) -> Any:
        """Return the opened segment of an index."""
        view = self._views.get(index)
        if view is None:
            try:
                view = self._views.setdefault(index, kind.open(self.segments[index]))
            except ValueError as e:
                raise CorruptionError(f"the segment of index {index}: {e}", f"{self.number:06d}.idx") from None
        return view

    def write(self, db: DB) -> Component:
        """Write it to a new file and sync that (not the directory). Returns the component of the file. IOFailure."""
        fs, directory, number = db.fs, db.path, db.core.take_numbers(1)
        parts, sections, at = [MAGIC], {}, len(MAGIC)
        named = {"touched": self.touched.to_bytes()} | {str(i): s for i, s in self.segments.items()}
        for name, data in named.items():
            sections[name] = [at, len(data), mask(crc32c(data))]
            pad = -len(data) % 8
            parts += (data, bytes(pad))
            at += len(data) + pad
        row = {
            "database": f"{db.state.database_id:016x}",
            "number": number,
            "lo": self.lo,
            "hi": self.hi,
            "epoch": self.epoch,
            "main": self.main,
            "sections": sections,
        }
        footer = json.dumps(row, separators=(",", ":")).encode()
        parts += (footer, _END.pack(len(footer), mask(crc32c(footer)), MAGIC))
        path = f"{directory}/{number:06d}.idx"
        try:
            with io_failures():
                fs.write_all(path, b"".join(parts), sync=True)
            return read_component(fs, directory, number, db.state.database_id)
        except BaseException:
            remove(fs, directory, number)
            raise


@contextmanager
def io_failures() -> Iterator[None]:
    """Raise IOFailure for OSError, CorruptionError for bytes that the encryption refuses."""
    try:
        yield
    except OSError as e:
        raise of_os(e) from e


def remove(fs: FileSystem, directory: str, number: int) -> None:
    """Unlink the file of a component; a failure leaves it for the next open to sweep."""
    try:
        fs.unlink(f"{directory}/{number:06d}.idx")
    except OSError:
        return


def _content(fs: FileSystem, path: str, *, mapped: bool) -> npt.NDArray[np.uint8]:
    """The bytes as an array: a memoryview that C holds must not be part of a cycle that the collector clears, an array may."""
    if not mapped or fs.name != "posix" or not fs.stat(path)[0]:
        return np.frombuffer(fs.read_all(path), np.uint8)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def read_component(fs: FileSystem, directory: str, number: int, database: int | None, *, mapped: bool = True) -> Component:
    """Open a file of a database of this id (None: of any); every byte of it is verified. mapped: into memory, where that can be done.

    CorruptionError names the file, and the section; IOFailure. O(bytes).
    """
    path = f"{directory}/{number:06d}.idx"
    with io_failures():
        data = _content(fs, path, mapped=mapped)
    row, end = _footer(data, path)
    if database not in (None, int(row["database"], 16)) or row["number"] != number:
        raise CorruptionError(f"an index file of database {row['database']}, number {row['number']}", path, end)
    sections, at = {}, len(MAGIC)
    for name, (begin, length, wanted) in row["sections"].items():
        section, stop = data[begin : begin + length], begin + length + -length % 8
        if begin != at or stop > end or mask(crc32c(section.data)) != wanted or data[begin + length : stop].any():
            raise CorruptionError(f"section {name} of an index file is damaged", path, begin)
        sections[name], at = section, stop
    if at != end:
        raise CorruptionError("bytes of an index file that belong to no section", path, at)
    try:
        touched = RowSet.from_bytes(sections.pop("touched"))
    except ValueError as e:
        raise CorruptionError(f"the rows touched of an index file: {e}", path, len(MAGIC)) from None
    return Component(row["lo"], row["hi"], touched, {int(i): s for i, s in sections.items()}, row["epoch"], number, row["main"])


def _footer(data: npt.NDArray[np.uint8], path: str) -> tuple[dict[str, Any], int]:
    """Return the footer, and where it begins."""
    if len(data) < len(MAGIC) + _END.size or bytes(data[:8]) != MAGIC:
        raise CorruptionError("not an index file", path, 0)
    size, crc, magic = _END.unpack(data[-_END.size :].data)
    at = len(data) - _END.size - size
    if magic != MAGIC or at < len(MAGIC) or mask(crc32c(data[at : at + size].data)) != crc:
        raise CorruptionError("the footer of an index file is damaged", path, max(at, 0))
    try:
        row: dict[str, Any] = stored_json.parse(bytes(data[at : at + size]))
        stored_json.check(row, _FORM)
        int(row["database"], 16)
        if "touched" not in row["sections"] or not all(n == "touched" or (n.isascii() and n.isdigit()) for n in row["sections"]):
            raise stored_json.Bad(f"sections are {', '.join(row['sections'])!r:.60}; allowed: touched, and numbers of indexes")
        for name, section in row["sections"].items():
            stored_json.check(section, _SECTION, name)
    except ValueError as e:
        raise CorruptionError(f"the footer of an index file makes no sense: {e}", path, at) from None
    return row, at


def in_order(components: Iterable[Component]) -> list[Component]:
    """Return components newest first; a base before what was there when its build began."""
    return sorted(components, key=_age, reverse=True)


def _age(c: Component) -> tuple[int, bool, int]:
    return c.epoch, not c.main, c.hi


class Stack:
    """Components newest first, as one query sees them, with the rows that are void in each."""

    def __init__(self, recent: Sequence[Component], runs: Runs) -> None:
        """``recent`` are in memory, newest first; most often newer than all of runs."""
        if recent and runs.components and _age(recent[-1]) < _age(runs.components[0]):
            recent, runs = (), Runs(in_order((*recent, *runs.components)))
        self.recent, self.runs = tuple(recent), runs
        self._above = RowSet.union(*(c.touched for c in recent)) if recent else None

    def __iter__(self) -> Iterator[tuple[Component, RowSet | None]]:
        """Yield (component, rows hidden in it), newest first."""
        shadow: RowSet | None = None
        for c in self.recent:
            yield c, shadow
            shadow = c.touched if shadow is None else shadow | c.touched
        for c, below in zip(self.runs.components, self.runs.shadows, strict=True):
            if self._above is None or not self._above:
                yield c, below
            else:
                yield c, self._above if below is None else self._above | below

    def search(self, index: int, kind: IndexType, query: Any, among: RowSet | None = None) -> RowSet:
        """Return the rows (of `among`) that match as of this stack."""

        def hits(c: Component) -> RowSet:
            view = c.view(index, kind)
            return kind.search(view, query) if among is None else kind.search_among(view, query, among)

        parts = [_minus(hits(c), self._shadow_of_recent(i)) for i, c in self._with(self.recent, index)]
        old = [_minus(hits(c), self.runs.shadows[i]) for i, c in self._with(self.runs.components, index)]
        if self._above is not None and old:
            old = [RowSet.union(*old) - self._above]
        parts += old
        return parts[0] if len(parts) == 1 else RowSet.union(*parts)

    def views(self, index: int, kind: IndexType) -> list[tuple[Any, RowSet | None]]:
        """Return the views of an index with what is hidden in each, newest first."""
        return [(c.view(index, kind), hidden) for c, hidden in self if index in c.segments]

    def estimate(self, index: int, kind: IndexType, query: Any) -> float:
        """Return about how many rows match: shadowed ones count."""
        both = (*self.recent, *self.runs.components)
        return sum(kind.estimate(c.view(index, kind), query) for c in both if index in c.segments)

    @staticmethod
    def _with(components: Sequence[Component], index: int) -> Iterator[tuple[int, Component]]:
        return ((i, c) for i, c in enumerate(components) if index in c.segments)

    def _shadow_of_recent(self, i: int) -> RowSet | None:
        return RowSet.union(*(c.touched for c in self.recent[:i])) if i else None


def _minus(hits: RowSet, shadow: RowSet | None) -> RowSet:
    return hits if shadow is None or not hits else hits - shadow


class Runs:
    """The components in files, newest first, and for each the union of the rows that newer ones touched."""

    def __init__(self, components: Sequence[Component]) -> None:
        """Take them; the unions are made when asked for, once."""
        self.components = tuple(components)
        self._shadows: tuple[RowSet | None, ...] | None = None

    @property
    def shadows(self) -> tuple[RowSet | None, ...]:
        """For each component what is hidden in it; None: nothing."""
        if self._shadows is None:
            shadow: RowSet | None = None
            made = []
            for c in self.components:
                made.append(shadow)
                if c.touched:
                    shadow = c.touched if shadow is None else shadow | c.touched
            self._shadows = tuple(made)
        return self._shadows


def merge_components(parts: Sequence[Component], kinds: Mapping[int, IndexType]) -> Component:
    """Return one component of adjacent ones, newest first. Indexes that are no more are left out."""
    shadows = Runs(parts).shadows
    segments: dict[int, Any] = {}
    for index, kind in kinds.items():
        mine = [(c, s) for c, s in zip(parts, shadows, strict=True) if index in c.segments]
        if len(mine) == 1 and mine[0][1] is None:
            segments[index] = mine[0][0].segments[index]
        elif mine:
            segments[index] = kind.merge([c.view(index, kind) for c, _ in mine], [s for _, s in mine])
    touched = RowSet.union(*(c.touched for c in parts))
    main = [c for c in parts if c.main] or parts
    low, high, epoch = min(c.lo for c in main), max(c.hi for c in main), max(c.epoch for c in parts)
    return Component(low, high, touched, segments, epoch, main=main is not parts)
