"""Repair: what can be saved of a damaged database, into a new directory. The damaged one is never written.

    inventory -> which state is provable? --manifest--> its tables, whole or salvaged, in their places
                                          --tables----> all tables of a keyspace merged into one run, by sequence number
              -> records of the log that pass their checksums -> opened once (replayed, flushed, indexes built again) -> checked

The manifest is proof when it is whole; or when all tables that its readable records name are there, and so is the log from the segment
on that they name as the oldest needed: nothing that came later can then be missing. Otherwise the tables are merged, as entries carry
sequence numbers: laying them side by side by age would not do, as a deep table may hold both newer and older entries than one above it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import recovery
from recovery import FileSystem

from . import manifest
from .batch import changed
from .check import CACHE, Progress, check, reading_env
from .checkpoint import new_timeline
from .copies import Copy
from .encryption import KeySource, copy_keys, reading
from .errors import CorruptionError, NotADatabase
from .inventory import Inventory, take
from .repair_logs import read_logs
from .repair_names import clear_staging, with_true_names
from .repair_report import LostRecords, RepairReport
from .repair_tables import UNNAMED, by_manifest, by_tables, free_name
from .repair_values import find_values
from .repair_work import Work, find_sources
from .salvage import read_what_can_be


def repair(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    *,
    fs: FileSystem | None = None,
    encryption: KeySource | None = None,
    copy: str | os.PathLike[str] | None = None,
    copy_key: bytes | str | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    progress: Progress | None = None,
) -> RepairReport:
    """Save what can be saved of a database that nobody has open, into a new directory ``to`` (default: path + ".repaired").

    encryption: its key, as `lsm.open` takes it, and that of the new one. copy: a checkpoint of it, or a target of backups (copy_key: their
    key): tables and value files that are damaged or missing are taken from there. functions: as `DB.table` takes them, for indexes of
    expressions. NotADatabase: there is none at path, or ``to`` exists; EncryptionError; BackupError; IOFailure and OSError: the new
    directory could not be written, and is gone. O(bytes); memory: the largest damaged table or value file, and the log.
    """
    outer, path = fs or recovery.posix(), os.path.abspath(os.fspath(path))
    target = f"{path}.repaired" if to is None else os.path.abspath(os.fspath(to))
    staging = f"{target}.staging"
    for made in (target, staging):
        if outer.exists(made):
            raise NotADatabase(f"{made} exists; a repair makes its own directory")
    fs = reading(outer, path, encryption)
    try:
        found, renamed = with_true_names(outer, fs, take(fs, path), staging)
        source = None
        if copy is not None and found.database is not None:
            source = Copy(os.path.abspath(os.fspath(copy)), fs=fs, below=outer, key=copy_key, database=found.database)
        report = RepairReport(path, target, renamed=renamed)
        _repair(outer, fs, report, found, encryption, source, functions or {}, progress)
        return report
    finally:
        clear_staging(outer, staging)


def _repair(
    outer: FileSystem,
    fs: FileSystem,
    report: RepairReport,
    found: Inventory,
    encryption: KeySource | None,
    copy: Copy | None,
    functions: Mapping[str, Callable[..., Any]],
    progress: Progress | None,
) -> None:
    path, target = report.source, report.target
    if found.database is None:
        raise NotADatabase(f"{path}: no file says which database it belongs to; nothing can be told from foreign data")
    report.database = f"{found.database:016x}"
    report.notes += [f"in the damaged directory: {p}" for p in found.problems]
    logs = read_logs(fs, found.path, found.logs, found.salt)
    work = Work(fs, outer, encryption, found, target, report, reading_env(fs, found.database), logs, progress, found.highest + 1, copy)
    work.total = 2 * sum(outer.stat(f"{found.path}/{n}")[0] for n in found.names if not outer.stat(f"{found.path}/{n}")[1])
    fs.makedirs(target)
    try:
        copy_keys(outer, path, target, encryption)
        _fill(work)
        _finish(work, functions)
    except BaseException:
        _remove_all(fs, target)
        raise


def _remove_all(fs: FileSystem, path: str) -> None:
    for name in fs.listdir(path):
        below = f"{path}/{name}"
        if fs.stat(below)[1]:
            _remove_all(fs, below)
        else:
            fs.unlink(below)
    fs.rmdir(path)


def _fill(work: Work) -> None:
    find_sources(work)
    values = find_values(work)
    state, old = manifest.State(work.found.database or 0), work.found.state
    why = _doubt(work)
    work.report.basis, work.report.why = ("manifest", "") if not why else ("tables", why)
    if old is not None:
        for n, name in old.names.items():
            state.add_keyspace(n, name, old.options[n])
            state.flushed[n] = old.flushed[n] if not why else 0
        state.next_keyspace, state.next_run = old.next_keyspace, old.next_run
    if why:
        by_tables(work, values, state)
    else:
        assert old is not None
        by_manifest(work, values, old, state)
    values.copy()
    _replay_logs(work, state)
    _attach(work, state)
    work.fs.sync_dir(work.target)
    number = work.take_number()
    state.next_file = number + 1
    manifest.Manifest(work.fs, work.target, number, state, None).abandon()


def _doubt(work: Work) -> str:
    """Why the manifest does not prove the newest state; "" when it does."""
    found, logs, state = work.found, work.logs, work.found.state
    if state is None:
        return "there is no manifest that can be read"
    if found.whole:
        return ""
    missing = sorted({n for v in state.versions.values() for n in v.tables()} - work.sources.keys())
    if missing:
        return f"the manifest is not whole, and tables that it names are not there ({missing[0]:06d}.sst)"
    if state.closed is not None and not any(found.problems[i].file == found.manifest_name for i in range(len(found.problems))):
        last = max([0, *state.flushed.values(), *(s + int.from_bytes(p[:4], "little") - 1 for s, p in logs.records)])
        if last >= state.closed["seq"] and logs.complete:
            return ""
    if logs.first is None or logs.first > state.log_floor or state.log_floor not in found.logs or not logs.complete:
        return "the manifest is not whole, and the log does not reach back to where it ends"
    return ""


def _replay_logs(work: Work, state: manifest.State) -> None:
    """Write the records into one new log; opening replays it."""
    logs, report, old = work.logs, work.report, work.found.state
    if report.basis == "manifest":
        assert old is not None
        needed = min([old.last_seq, *(state.flushed[n] for n in state.names)]) if any(x.restored for x in report.lost) else None
        live = set(range(old.log_floor, work.found.highest + 1))
        report.lost_records = [x for x in logs.lost if int(x.file[:-4]) in live]
        records = logs.records if needed is not None else _from(work, old.log_floor)
        _check_closed(work, old, records)
    else:
        report.lost_records, records = logs.lost, logs.records
        _add_unknown(work, state, records)
        for n in logs.apart:
            report.notes.append(f"{n:06d}.log: not connected with the newer segments; not replayed")
            work.bad.add(f"{n:06d}.log")
    work.bad.update(f"{n:06d}.log" for n in logs.damaged)
    report.records = len(records)
    number = work.take_number()
    state.log_floor = number
    state.last_seq = max([0, *(t.max_seq for v in state.versions.values() for t in v.tables().values())])
    largest = max([0, *(len(p) for _, p in records)])
    state.timeline = new_timeline(state)  # a copy: its log is not to be taken for the other's
    size = max(1 << 20, 2 * largest)
    with recovery.WalWriter(work.fs, work.target, number, sync="os", segment_bytes=size, salt=state.log_salt) as log:
        for seq, payload in records:
            log.append(seq, payload)
        work.next_number = max(work.next_number, log.number + 1)


def _from(work: Work, floor: int) -> list[tuple[int, bytes]]:
    """The records of the segments that the manifest still needs."""
    live = [n for n in work.found.logs if n >= floor]
    return read_logs(work.fs, work.found.path, live, work.found.salt).records


def _check_closed(work: Work, old: manifest.State, records: list[tuple[int, bytes]]) -> None:
    """After a clean close the log must reach the sequence number that was recorded then."""
    if old.closed is None:
        return
    last = max([0, *old.flushed.values(), *(s + int.from_bytes(p[:4], "little") - 1 for s, p in records)])
    if last < old.closed["seq"]:
        rest = [x for x in work.report.lost_records if x.last_seq is not None]
        name = recovery.segment_name(old.closed["log"])
        work.report.lost_records = [*rest, LostRecords(name, "the log ends before the clean close", None, 0, last + 1, old.closed["seq"])]


def _add_unknown(work: Work, state: manifest.State, records: list[tuple[int, bytes]]) -> None:
    """Keyspaces that the log names and nothing else does: new ones, or some that were dropped."""
    for number in sorted({n for _, payload in records for n, _ in changed(payload)} - state.names.keys()):
        state.add_keyspace(number, free_name(state, f"{UNNAMED}-{number}"), {})
        work.report.notes.append(f"keyspace {number} is known by the log alone: its name is lost, it is {state.names[number]!r} now")


def _attach(work: Work, state: manifest.State) -> None:
    """Tables of rows keep what the manifest knows of them; their indexes are built again when they are opened."""
    from .secondary.rebuild import without_files

    old = work.found.state
    if work.found.riders and (old is None or not old.attached):
        work.report.notes.append("tables of rows: their columns' names, keys and indexes were in the manifest alone; rows read as pairs")
    for number, row in (old.attached if old is not None else {}).items():
        if number not in state.names:
            continue
        newest = max([state.flushed[number], *(t.max_seq for t in state.versions[number].tables().values())])
        state.attached[number] = without_files(row, newest)


def _finish(work: Work, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Open it once: the log is replayed and flushed, indexes are built; then keep what could not be read, and check everything."""
    from .db import open as open_db

    report = work.report
    with open_db(
        work.target, {"threads": 0, "write_buffer": 4 << 20, "cache": {"capacity": CACHE}}, create=False, fs=work.outer, encryption=work.key
    ) as db:
        for number in sorted(db.state.attached):
            name = db.state.names[number]
            try:
                report.indexes += [f"{name}.{x['name']}" for x in db.table(name, functions=functions).indexes()]
            except (KeyError, CorruptionError, ValueError) as e:
                report.notes.append(f"table {name}: its indexes will be built when it is opened: {e}")
        db.flush()
    if work.bad:
        work.fs.mkdir(f"{work.target}/quarantine")
        for name in sorted(work.bad):
            source, kept = f"{work.found.path}/{name}", f"{work.target}/quarantine/{name}"
            try:
                work.fs.write_all(kept, read_what_can_be(work.fs, source)[0], sync=True)
            except OSError:
                if work.outer is work.fs:
                    raise
                work.outer.write_all(kept, work.outer.read_all(source), sync=True)  # its key is lost: the bytes as they are
            report.quarantined.append(name)
        work.fs.sync_dir(f"{work.target}/quarantine")
    report.problems = [str(p) for p in check(work.target, fs=work.outer, encryption=work.key, functions=functions).problems]
