"""The part of a check that is about value files: each of them whole, as the manifest says, and every pointer leading to its record."""

from __future__ import annotations

from collections.abc import Callable

from recovery import FileSystem

from .check import CheckReport, listed
from .errors import Error
from .inventory import Inventory, Problem, problem_of
from .memtable_twin import VALUE_POINTER
from .native import Env, Table, TableSettings
from .native_tables import scan
from .native_values import ValueFile, check_pointers
from .value_twin import POINTER
from .version import ValueInfo, Version


def check_values(fs: FileSystem, env: Env, found: Inventory, report: CheckReport, told: Callable[[str], None]) -> None:
    """Add everything that is wrong with value files and pointers to the report. env: to read with."""
    versions = found.state.versions if found.state is not None else {}
    named: dict[int, ValueInfo | None] = {v.number: v for version in versions.values() for v in version.values}
    if not found.whole:
        named = dict.fromkeys(found.values) | named
    opened: dict[int, ValueFile] = {}
    try:
        for n in sorted(named):
            told(f"{n:06d}.vlog")
            report.values += 1
            _check_file(env, found.path, n, named[n], opened, report)
        for version in versions.values():
            _check_pointers(env, found.path, version, opened, report)
    finally:
        for file in opened.values():
            file.close()
    if extra := sorted(set(found.values) - named.keys()):
        report.notes.append(f"{listed(extra, 'vlog')}: not named by the manifest; the next open removes them")


def _check_file(env: Env, path: str, n: int, info: ValueInfo | None, opened: dict[int, ValueFile], report: CheckReport) -> None:
    name = f"{n:06d}.vlog"
    try:
        file = opened[n] = ValueFile(env, f"{path}/{name}", n, info.size if info else 0, info.footer_crc if info else 0)
        if info is not None and file.info != info:
            fields = [f for f in info.__dataclass_fields__ if getattr(file.info, f) != getattr(info, f)]
            report.problems.append(Problem(name, f"the manifest and the value file disagree on {', '.join(fields)}"))
        file.verify()
    except (Error, OSError) as e:
        report.problems.append(problem_of(e, name))


def _check_pointers(env: Env, path: str, version: Version, opened: dict[int, ValueFile], report: CheckReport) -> None:
    """All pointers of each table that has some. Where one is wrong, each is followed, so that every key is told whose value is gone."""
    for info in version.tables().values():
        if not info.values:
            continue
        try:
            table = Table(env, TableSettings(), f"{path}/{info.number:06d}.sst", info.number, info.size, info.footer_crc)
        except (Error, OSError):
            continue  # it was told
        try:
            check_pointers(table, list(opened.values()))
        except Error:
            report.problems += _bad_pointers(table, opened)
        finally:
            table.close()


def _bad_pointers(table: Table, opened: dict[int, ValueFile]) -> list[Problem]:
    name, problems = f"{table.number:06d}.sst", list[Problem]()
    try:
        for entry in scan(table, fill_cache=False):
            if entry.kind != VALUE_POINTER:
                continue
            file = POINTER.unpack(entry.value)[0] if len(entry.value) == POINTER.size else 0
            try:
                if file not in opened:
                    raise ValueError(f"value file {file} cannot be opened")
                opened[file].read(entry.key, entry.seq, entry.value)
            except (Error, OSError, ValueError) as e:
                what = f"the value in {file:06d}.vlog: {getattr(e, 'what', '') or e}"
                problems.append(Problem(name, what, None, 0, entry.key, entry.key))
    except (Error, OSError):
        pass  # a block of the table is damaged: that was told
    return problems
