"""What a repair knows while it goes on, and which tables there are: by their footers or blocks, whatever their files are called."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from recovery import FileSystem, StoreDamage

from .check import Progress
from .copies import Copy
from .encryption import KeySource
from .errors import CorruptionError, Error
from .inventory import Inventory, footer_of
from .native import Env, Table, TableProps, TableSettings
from .native_values import ValueFile
from .repair_logs import Logs
from .repair_report import RepairReport
from .salvage import Examined, examine
from .version import TableInfo, ValueInfo

PIECE = 1 << 20


@dataclass
class Source:
    """A table that was found: its true number, its file, and what is left of it when it is damaged."""

    number: int
    file: str
    left: Examined | None = None
    props: TableProps | None = None


@dataclass
class Work:
    """What a repair knows while it goes on."""

    fs: FileSystem
    outer: FileSystem  # below the encryption, if there is one
    key: KeySource | None
    found: Inventory
    target: str
    report: RepairReport
    env: Env
    logs: Logs
    progress: Progress | None
    next_number: int
    copy: Copy | None = None  # of the database, to take whole files from
    sources: dict[int, Source] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)  # files for the quarantine
    done: int = 0
    total: int = 0

    def take_number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def told(self, what: str, size: int) -> None:
        if self.progress is not None:
            self.progress(what, self.done, self.total)
        self.done += size


def find_sources(work: Work) -> None:
    """Each table by the number in its footer, whatever its file is called; those without a footer by their names."""
    fs, found, nameless, copies = work.fs, work.found, list[int](), dict[int, list[Source]]()
    for n in found.tables:
        name = f"{n:06d}.sst"
        footer = footer_of(fs, f"{found.path}/{name}")
        if footer is None:
            nameless.append(n)
        elif footer.database != found.database:
            work.bad.add(name)
            work.report.notes.append(f"{name}: a table of another database ({footer.database:016x})")
        else:
            copies.setdefault(footer.number, []).append(Source(footer.number, name))
    for sources in copies.values():
        nameless += _choose(work, sources)
    named = {n for v in (found.state.versions if found.state else {}).values() for n in v.tables()}
    for n in nameless:
        homeless = (named | set(found.tables)) - work.sources.keys()
        source = _of_any_number(work, n, sorted(homeless, key=lambda other, n=n: (other != n, other)))  # type: ignore[misc]
        if source is not None:
            work.sources[source.number] = source


def _choose(work: Work, sources: list[Source]) -> list[int]:
    """Of files whose footers name one table, take the one with the most of it: a misdirected write may have left two.

    Returns the numbers in the names of those that hold nothing of it but the footer.
    """
    for source in sources:
        _open(work, source)
    empty = [s for s in sources if s.left is not None and not (s.left.blocks or s.left.ranges)]
    sources = [s for s in sources if s not in empty]
    best = max(sources, key=lambda s: (s.left is None, s.left.entries if s.left else 0, s.file == f"{s.number:06d}.sst"), default=None)
    for source in sources:
        if source is not best:
            assert best is not None
            work.bad.add(source.file)
            work.report.notes.append(f"{source.file}: another copy of table {best.number}, which was taken from {best.file}")
    if best is not None:
        work.sources[best.number] = best
        if best.file != f"{best.number:06d}.sst":
            work.report.renamed.append(f"{best.file} is table {best.number}: {best.number:06d}.sst")
    return [int(s.file.removesuffix(".sst")) for s in empty]


def _of_any_number(work: Work, n: int, numbers: list[int]) -> Source | None:
    """A table that lost its footer: its blocks' checksums say which one it is."""
    name = f"{n:06d}.sst"
    work.bad.add(name)
    for number in numbers:
        try:
            left = examine(work.env, work.fs, f"{work.found.path}/{name}", number, work.env.handle.database_id)
        except OSError as e:
            work.report.notes.append(f"{name}: it cannot be opened: {os.strerror(e.errno or 0)}")
            return None
        if left.blocks or left.ranges:
            if number != n:
                work.report.renamed.append(f"{name} is table {number}: {number:06d}.sst")
            return Source(number, name, left)
    return None


def _open(work: Work, source: Source) -> None:
    """Verify a table; when it is damaged, see what is left."""
    path = f"{work.found.path}/{source.file}"
    work.told(source.file, work.fs.stat(path)[0])
    try:
        table = Table(work.env, TableSettings(), path, source.number)
        try:
            table.verify()
            source.props = table.props
        finally:
            table.close()
    except (Error, OSError):
        source.left = examine(work.env, work.fs, path, source.number, work.env.handle.database_id)
        work.bad.add(source.file)


def take_from_copy(work: Work, name: str, info: TableInfo | ValueInfo) -> bool:
    """Write a file of the copy into the new directory. False when the copy has it not, or damaged."""
    source = work.copy.find(name, info) if work.copy is not None else None
    if source is None:
        return False
    path = f"{work.target}/{name}"
    try:
        with work.fs.open(path, "x") as out:
            for piece in source():
                out.append(piece)
            out.sync()
        if isinstance(info, TableInfo):
            file: Table | ValueFile = Table(work.env, TableSettings(), path, info.number, info.size, info.footer_crc)
        else:
            file = ValueFile(work.env, path, info.number, info.size, info.footer_crc)
        try:
            file.verify()
        finally:
            file.close()
    except (CorruptionError, StoreDamage):
        work.fs.unlink(path)
        return False
    work.report.healed.append(name)
    return True


def copy_file(work: Work, file: str, to: str) -> None:
    with work.fs.open(f"{work.found.path}/{file}") as source, work.fs.open(f"{work.target}/{to}", "x") as target:
        size = source.size()
        work.told(file, size)
        for at in range(0, size, PIECE):
            target.append(source.pread(PIECE, at))
        target.sync()
