"""Checking a database that is not open: every byte of every file, and whether the files agree with each other.

    CURRENT -> manifest -> tables (blocks, filters, indexes, order, counts) -> value files, pointers -> logs -> index files
            -> indexes against rows

Nothing is written. The first problem does not end it, and a manifest that cannot be read does not either: then each table is checked on
its own. What a crash may leave (a torn tail of the last log, files that the next open removes) is a note, no problem.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import recovery
from recovery import FileSystem

from .components import make_components
from .encryption import KeySource, reading
from .errors import CorruptionError, Error
from .inventory import Inventory, Problem, problem_of, shown, take
from .native import Env, Table, TableSettings
from .options import CacheOptions, Options
from .recover import Found, RecoveryReport, replay
from .salvage import examine
from .version import TableInfo, Version

CACHE = 8 << 20  # bytes, while a database is open for a check or a repair
Progress = Callable[[str, int, int], None]
"""Called with the name of a file, and the bytes done and to do."""


@dataclass
class CheckReport:
    """What a check found. ``problems`` is empty when all is well; ``recovery`` is what opening would replay, None when it would refuse."""

    path: str
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: int = 0
    values: int = 0
    bytes: int = 0
    indexes: int = 0  # secondary ones, compared with their rows
    recovery: RecoveryReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        row = {"path": self.path, "problems": [p.to_dict() for p in self.problems], "notes": self.notes}
        found = None if self.recovery is None else self.recovery.to_dict()
        return row | {"tables": self.tables, "values": self.values, "bytes": self.bytes, "indexes": self.indexes, "recovery": found}

    def __str__(self) -> str:
        """Return it as lines of text."""
        lines = [str(p) for p in self.problems] or ["no problems found"]
        lines += [f"note: {n}" for n in self.notes]
        values = f"{self.values} value files, " if self.values else ""
        lines.append(f"checked: {self.tables} tables, {values}{self.indexes} secondary indexes, {self.bytes:,} bytes")
        if self.recovery is not None:
            lines.append(f"opening replays {self.recovery.records} records of {self.recovery.segments} log segments")
        return "\n".join(lines)


def check(
    path: str | os.PathLike[str],
    *,
    fs: FileSystem | None = None,
    encryption: KeySource | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check a database that nobody has open for writing; of one that is, `DB.verify` reads the tables. O(bytes of all files).

    encryption: its key, as `lsm.open` takes it. functions: as `DB.table` takes them, for indexes of expressions. NotADatabase when there is
    none, EncryptionError; other damage is in the report.
    """
    outer, path = fs or recovery.posix(), os.path.abspath(os.fspath(path))
    report = CheckReport(path)
    fs = reading(outer, path, encryption)
    found = take(fs, path)
    report.problems += found.problems
    sizes = {name: _size(fs, path, name) for name in found.names}
    total = sum(sizes.values())

    def told(name: str) -> None:
        if progress is not None:
            progress(name, report.bytes, total)
        report.bytes += sizes.get(name, 0)

    for name in ("CURRENT", *found.manifests):
        told(name)
    from .check_values import check_values

    env = reading_env(fs, found.database or 0)
    _check_tables(fs, env, found, report, told)
    check_values(fs, env, found, report, told)
    _check_logs(fs, found, report, told)
    _check_riders(fs, found, report, told)
    if not report.problems and found.state is not None and found.state.attached:
        _check_indexes(outer, encryption, path, functions or {}, report)
    if progress is not None:
        progress("done", report.bytes, total)
    return report


def reading_env(fs: FileSystem, database: int) -> Env:
    """Return an environment to read tables in, without a cache."""
    return make_components(replace(Options(), cache=CacheOptions(capacity=0)), fs, database).env


def _size(fs: FileSystem, path: str, name: str) -> int:
    try:
        size, is_dir = fs.stat(f"{path}/{name}")
    except OSError:
        return 0
    return 0 if is_dir else size


# Tables


def _check_tables(fs: FileSystem, env: Env, found: Inventory, report: CheckReport, told: Callable[[str], None]) -> None:
    named: dict[int, TableInfo | None] = {}
    spaces: dict[int, tuple[int, str]] = {}
    for number, version in (found.state.versions if found.state is not None else {}).items():
        assert found.state is not None
        _check_levels(version, found.state.names[number], report)
        named.update(version.tables())
        spaces.update(dict.fromkeys(version.tables(), (number, found.state.names[number])))
    if not found.whole:  # what the manifest does not name may be the newest there is
        named = dict.fromkeys(found.tables) | named
    for n in sorted(named):
        told(f"{n:06d}.sst")
        report.tables += 1
        report.problems += check_table(fs, env, found.path, n, named[n], spaces.get(n))
    if extra := sorted(set(found.tables) - named.keys()):
        report.notes.append(f"{listed(extra, 'sst')}: not named by the manifest; the next open removes them")
    if found.foreign:
        report.notes.append(f"not files of a database: {', '.join(found.foreign[:5])}{' ...' if len(found.foreign) > 5 else ''}")


def listed(numbers: list[int], kind: str) -> str:
    """Return the first of some files for people."""
    return ", ".join(f"{n:06d}.{kind}" for n in numbers[:5]) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")


def _check_levels(version: Version, space: str, report: CheckReport) -> None:
    """Newer runs of level 0 hold newer sequence numbers, as far as their keys meet. (That a run does not meet itself was checked.)"""
    runs = version.levels[0].runs
    for i, newer in enumerate(runs):
        for older in runs[i + 1 :]:
            for a in newer.tables:
                for b in older.tables:
                    if a.overlaps(b.smallest, b.largest, b.largest_exclusive) and a.min_seq <= b.max_seq:
                        what = f"keyspace {space}: level 0: tables {a.number} and {b.number} share keys, and their sequence numbers mix"
                        report.problems.append(Problem(f"{a.number:06d}.sst", what, None, 0, a.smallest, a.largest))


def check_table(fs: FileSystem, env: Env, path: str, number: int, info: TableInfo | None, space: tuple[int, str] | None) -> list[Problem]:
    """Return everything that is wrong with a table. info: what the manifest says of it."""
    file = f"{path}/{number:06d}.sst"
    try:
        table = Table(env, TableSettings(), file, number, info.size if info else 0, info.footer_crc if info else 0)
        try:
            table.verify()
            return _disagreements(table, info, space)
        finally:
            table.close()
    except CorruptionError as e:
        first = problem_of(e)
    except (Error, OSError) as e:
        return [problem_of(e, f"{number:06d}.sst")]
    return _in_pieces(fs, env, file, number, info, first)


def _disagreements(table: Table, info: TableInfo | None, space: tuple[int, str] | None) -> list[Problem]:
    name, problems = f"{table.number:06d}.sst", list[Problem]()
    said = TableInfo.of(table.props)
    if info is not None and said != info:
        fields = [f for f in info.__dataclass_fields__ if getattr(said, f) != getattr(info, f)]
        problems.append(Problem(name, f"the manifest and the table disagree on {', '.join(fields)}", None, 0, info.smallest, info.largest))
    if space is not None and table.props.keyspace and (table.props.keyspace_id, table.props.keyspace) != space:
        problems.append(Problem(name, f"it is of keyspace {table.props.keyspace!r}, the manifest has it in {space[1]!r}"))
    return problems


def _in_pieces(fs: FileSystem, env: Env, file: str, number: int, info: TableInfo | None, first: Problem) -> list[Problem]:
    """All that is damaged in a table, not the first thing alone."""
    low, high = (info.smallest, info.largest) if info is not None else (None, None)
    try:
        left = examine(env, fs, file, number, env.handle.database_id)
    except OSError:
        return [replace(first, first=low, last=high)]
    if left.footer is not None and left.footer.number != number:
        return [replace(first, what=f"{first.what}; the file is table {left.footer.number}", first=low, last=high)]
    problems = []
    for h in left.holes:
        data = h.component == "data"
        keys = (h.first if h.first is not None else low, h.last if h.last is not None else high) if data else (None, None)
        problems.append(Problem(first.file, f"{h.component}: {h.what}", h.offset, h.size, *keys))
    if not any(p.offset == first.offset for p in problems):
        problems.insert(0, first)
    return problems


# Logs


def _check_logs(fs: FileSystem, found: Inventory, report: CheckReport, told: Callable[[str], None]) -> None:
    for n in found.logs:
        told(f"{n:06d}.log")
    state = found.state
    if state is None:
        _check_lone_logs(fs, found, report)
        return
    seen = Found(state, found.manifest_name, found.highest, found.logs, found.tables, found.riders, found.manifests)
    try:
        _, report.recovery = replay(fs, found.path, seen, "point_in_time", "os")
        report.notes += [f"a torn tail, as a crash may leave it: {r}" for r in report.recovery.reasons]
    except (Error, OSError) as e:
        report.problems.append(problem_of(e))
        at = problem_of(e).file
        report.problems += [p for p in _segments(fs, found, [n for n in found.logs if n >= state.log_floor]) if p.file != at]
    if old := [n for n in found.logs if n < state.log_floor]:
        report.notes.append(f"{listed(old, 'log')}: no longer needed; the next open removes them")
        report.notes += [f"damaged, and no longer needed: {p}" for p in _segments(fs, found, old)]


def _check_lone_logs(fs: FileSystem, found: Inventory, report: CheckReport) -> None:
    try:
        for _ in recovery.replay(fs, found.path, "point_in_time", salt=found.salt):
            pass
    except OSError as e:
        report.problems.append(_log_problem(e))


def _segments(fs: FileSystem, found: Inventory, numbers: list[int]) -> list[Problem]:
    """What is wrong with segments one by one, past the first that is damaged."""
    problems = []
    for n in numbers:
        name = recovery.segment_name(n)
        try:
            recovery.read_wal(fs, f"{found.path}/{name}", "point_in_time", salt=found.salt, is_last=n == numbers[-1])
        except OSError as e:
            problems.append(_log_problem(e))
    return problems


def _log_problem(e: OSError) -> Problem:
    name = str(e.filename or "").rsplit("/", 1)[-1]
    return Problem(name, e.strerror or str(e), e.report.damage_offset if isinstance(e, recovery.WalCorruption) else None)


# Secondary indexes


def _check_riders(fs: FileSystem, found: Inventory, report: CheckReport, told: Callable[[str], None]) -> None:
    from .secondary.component import read_component

    named = found.state.attached_files() if found.state is not None else set()
    for n in sorted(named | (set() if found.whole else set(found.riders))):
        told(f"{n:06d}.idx")
        try:
            read_component(fs, found.path, n, found.state.database_id if found.state is not None else None)
        except (Error, OSError) as e:
            report.problems.append(problem_of(e, f"{n:06d}.idx"))
        except (ValueError, KeyError, TypeError) as e:  # its checksums are right, and its parts do not fit together
            report.problems.append(Problem(f"{n:06d}.idx", f"the index file contradicts itself: {e}"))
    if extra := sorted(set(found.riders) - named) if found.whole else []:
        report.notes.append(f"{listed(extra, 'idx')}: not named by the manifest; the next open removes them")


def _check_indexes(
    fs: FileSystem, key: KeySource | None, path: str, functions: Mapping[str, Callable[..., Any]], report: CheckReport
) -> None:
    """Open the database for reading and compare the indexes of its tables with their rows."""
    from .db import open as open_db

    with open_db(path, {"threads": 0, "cache": {"capacity": CACHE}}, create=False, read_only=True, fs=fs, encryption=key) as db:
        for number in sorted(db.state.attached):
            name = db.state.names[number]
            try:
                table = db.table(name, functions=functions)
                report.problems += [Problem(f"table {name}", line) for line in table.scrub()]
                report.indexes += len(table.indexes())
            except KeyError as e:
                report.notes.append(f"table {name}: its indexes were not compared with its rows: {e.args[0]}")
            except Error as e:
                report.problems.append(problem_of(e, f"table {name}"))


__all__ = ["CheckReport", "Problem", "check", "check_table", "reading_env", "shown"]
