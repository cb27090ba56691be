"""Components: what a stretch of changes did to the indexes of a table: the rows touched, and a segment an index. In memory or in a file.

    file   = magic 8 | section ... | footer | size of footer u32 | crc of footer u32 | magic 8
    footer = JSON {"lo", "hi", "main", "sections": {"touched": [at, size, crc], "<index id>": [at, size, crc], ...}}

All little-endian; crc: masked CRC32C. A row id in ``touched`` voids what older components say of that row.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from indexes.rowset import RowSet
from recovery import FileSystem, crc32c, mask

from ..errors import CorruptionError, IOFailure
from .kinds import IndexType

MAGIC = b"LSMIDX\x00\x01"
_END = struct.Struct("<II8s")


@dataclass(eq=False)
class Component:
    """Changes whose batches began at sequence numbers lo..hi. ``number``: of the file, 0 in memory. Immutable; views are opened when
    asked for.

    ``main`` is False for what an online build made: rows as they were at hi, of one index, touching nothing.
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
            view = self._views.setdefault(index, kind.open(self.segments[index]))
        return view

    def write(self, fs: FileSystem, directory: str, number: int) -> Component:
        """Write it to a file and sync that (not the directory). Returns the component of the file. IOFailure."""
        parts, sections, at = [MAGIC], {}, len(MAGIC)
        named = {"touched": self.touched.to_bytes()} | {str(i): s for i, s in self.segments.items()}
        for name, data in named.items():
            sections[name] = [at, len(data), mask(crc32c(data))]
            pad = -len(data) % 8
            parts += (data, bytes(pad))
            at += len(data) + pad
        row = {"lo": self.lo, "hi": self.hi, "main": self.main, "sections": sections}
        footer = json.dumps(row, separators=(",", ":")).encode()
        parts += (footer, _END.pack(len(footer), mask(crc32c(footer)), MAGIC))
        path = f"{directory}/{number:06d}.idx"
        try:
            with io_failures():
                fs.write_all(path, b"".join(parts), sync=True)
            return read_component(fs, directory, number)
        except BaseException:
            remove(fs, directory, number)
            raise


@contextmanager
def io_failures() -> Iterator[None]:
    """Raise IOFailure for OSError."""
    try:
        yield
    except OSError as e:
        raise IOFailure(e.strerror or str(e), str(e.filename or ""), e.errno or 0) from e


def remove(fs: FileSystem, directory: str, number: int) -> None:
    """Unlink the file of a component; a failure leaves it for the next open to sweep."""
    try:
        fs.unlink(f"{directory}/{number:06d}.idx")
    except OSError:
        return


def _content(fs: FileSystem, path: str) -> memoryview:
    if fs.name != "posix" or not fs.stat(path)[0]:
        return memoryview(fs.read_all(path))
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read_component(fs: FileSystem, directory: str, number: int) -> Component:
    """Open a file; every checksum is verified. CorruptionError names the section; IOFailure. O(bytes)."""
    path = f"{directory}/{number:06d}.idx"
    with io_failures():
        data = _content(fs, path)
    if len(data) < len(MAGIC) + _END.size or bytes(data[:8]) != MAGIC:
        raise CorruptionError("not an index file", path, 0)
    size, crc, magic = _END.unpack_from(data, len(data) - _END.size)
    at = len(data) - _END.size - size
    if magic != MAGIC or at < len(MAGIC) or mask(crc32c(data[at : at + size])) != crc:
        raise CorruptionError("the footer of an index file is damaged", path, max(at, 0))
    row = json.loads(bytes(data[at : at + size]))
    sections = {}
    for name, (begin, length, wanted) in row["sections"].items():
        section = data[begin : begin + length]
        if len(section) != length or mask(crc32c(section)) != wanted:
            raise CorruptionError(f"section {name} of an index file is damaged", path, begin)
        sections[name] = section
    touched = RowSet.from_bytes(sections.pop("touched"))
    return Component(row["lo"], row["hi"], touched, {int(i): s for i, s in sections.items()}, number=number, main=row["main"])


def in_order(components: Iterable[Component]) -> list[Component]:
    """Return components newest first; a base before what was there when its build began."""
    return sorted(components, key=lambda c: (c.hi, not c.main), reverse=True)


class Stack:
    """Components newest first, as one query sees them, with the rows that are void in each."""

    def __init__(self, recent: Sequence[Component], runs: Runs) -> None:
        """``recent`` are in memory, newest first; most often newer than all of runs."""
        if recent and runs.components and recent[-1].hi < runs.components[0].hi:
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

    def search(self, index: int, kind: IndexType, query: Any) -> RowSet:
        """Return the rows that match as of this stack."""
        parts = [_minus(kind.search(c.view(index, kind), query), self._shadow_of_recent(i)) for i, c in self._with(self.recent, index)]
        old = [_minus(kind.search(c.view(index, kind), query), self.runs.shadows[i]) for i, c in self._with(self.runs.components, index)]
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


def merge_components(parts: Sequence[Component], kinds: Mapping[int, IndexType], epoch: int = 0) -> Component:
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
    main = any(c.main for c in parts)
    return Component(min(c.lo for c in parts), max(c.hi for c in parts), touched, segments, epoch, main=main)
