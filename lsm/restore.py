"""Restore: a directory that opens as an ordinary database, as it was at the end of a backup, at a sequence number or at a time.

    newest backup at or before it | its log and the archived segments behind it, up to the limit | a manifest | CURRENT, last of all

Every batch is there whole or not at all. The time of a batch is the time mark before it in the log. The result is a new timeline of the
same database: tables keep its id (their checksums are seeded with it), the log gets another salt, so records of the original, or of
another restore, never pass for its own, and its archive is kept apart.
A backup is not trusted: names must be those of our files, sizes are what the manifest says, content is what the object's name says.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import recovery
from recovery import BackupStore, FileSystem

from . import backup_form, manifest
from .backup import Log, Told, translated
from .checkpoint import new_timeline
from .encryption import KeySource, enter
from .errors import RestoreError

_NAME = re.compile(r"([0-9]{6,20})\.(sst|idx|log|vlog)")
MARK = "RESTORING"  # in a directory that a restore has begun and not ended
MAX_SEGMENT = 1 << 33
MOST_SEGMENT = 16 << 20  # bytes of a log segment that is written here; a larger record gets one of its own


@dataclass(frozen=True)
class Restored:
    """What a restore made: of which backup, up to which sequence number and time of a commit (ns; 0: not known), from how much log."""

    path: str
    backup: str
    timeline: str
    seq: int
    time: int
    files: int
    bytes: int
    records: int


@dataclass
class _Limit:
    seq: int | None = None
    time: int | None = None


@dataclass
class _Work:
    """A restore under way."""

    fs: FileSystem
    path: str
    store: BackupStore
    state: manifest.State
    salt: int
    seq: int
    time: int = 0
    made: list[str] = field(default_factory=list)
    bytes: int = 0
    records: int = 0


def restore(
    store: BackupStore,
    fs: FileSystem,
    path: str,
    *,
    backup: str | None = None,
    to_seq: int | None = None,
    to_time: int | None = None,
    database: str | None = None,
    encryption: KeySource | None = None,
    told: Told | None = None,
) -> Restored:
    """Restore into path, which must not be there or be empty. to_time in ns since 1970; neither limit: all of the backup, no more.

    backup: begin with this one. database: of which one, as DATABASE or DATABASE-TIMELINE, where the store has several. encryption: the
    key of the database to make, which is encrypted then. RestoreError, BackupError, EncryptionError, IOFailure; then path holds at
    most what the next attempt clears away.
    """
    if to_seq is not None and to_time is not None:
        raise RestoreError("to_seq and to_time are both given; allowed: one of them")
    limit = _Limit(to_seq, to_time)
    with translated(store), _plain(store):
        name, row = _choose(store, backup, limit, database)
        state = _state(row, name)
        logs = _logs(store, row, limit)
        _begin(fs, path)
        inside = fs if encryption is None else enter(fs, path, encryption, create=True)[0]
        work = _Work(inside, path, store, state, state.log_salt, max(state.flushed.values(), default=0))
        _tables(work, row, told)
        _replay(work, row, logs, limit)
        _finish(work)
    return Restored(path, name, f"{state.timeline:016x}", work.seq, work.time, len(work.made), work.bytes, work.records)


@contextmanager
def _plain(store: BackupStore) -> Iterator[None]:
    """Records are checksummed, not trusted: one that is not made as ours are is an error of the backup, not of the program."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as e:
        raise RestoreError(f"a record in {store.path} contradicts itself: {type(e).__name__}: {e}") from e


def _choose(store: BackupStore, wanted: str | None, limit: _Limit, database: str | None) -> tuple[str, dict[str, Any]]:
    names = backup_form.names(store, "backup")
    if wanted is not None:
        if wanted not in names:
            raise RestoreError(f"there is no backup {wanted}; there are {', '.join(names[-10:]) or 'none'}")
        names = [wanted]
    rows = {n: backup_form.record(store, "backup", n) for n in names}
    if database is not None:
        rows = {n: r for n, r in rows.items() if f"{r['database']}-{r['timeline']}".startswith(database)}
    lineages = sorted({f"{r['database']}-{r['timeline']}" for r in rows.values()})
    if len(lineages) > 1:
        raise RestoreError(f"the backups are of {len(lineages)} databases or timelines: say which: {', '.join(lineages)}")
    fit = [n for n, r in rows.items() if _fits(r, limit)]
    if not fit:
        kept = ", ".join(f"{n} (sequence {r['seq']}, {_when(r['time'])})" for n, r in rows.items()) or "none"
        asked = "at all" if limit == _Limit() else f"at or before {f'sequence {limit.seq}' if limit.time is None else _when(limit.time)}"
        raise RestoreError(f"no backup {asked}; there are {kept}")
    return max(fit), rows[max(fit)]


def _fits(row: Mapping[str, Any], limit: _Limit) -> bool:
    """Tell whether a backup is at or before the limit; the archive leads on from there."""
    if limit.seq is not None:
        return int(row["seq"]) <= limit.seq
    return limit.time is None or int(row["time"]) <= limit.time


def _when(time_ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _state(row: Mapping[str, Any], name: str) -> manifest.State:
    try:
        if row["manifest"].get("format") != manifest.FORMAT:
            raise ValueError(f"a manifest of format {row['manifest'].get('format')!r}")
        return manifest.state_of([row["manifest"]], "the backup's record")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
        raise RestoreError(f"the manifest in backup {name} contradicts itself: {type(e).__name__} {e}") from None


def _checked(row: Mapping[str, Any], state: manifest.State) -> dict[str, dict[str, Any]]:
    """The files of a backup by name, as the manifest in it wants them."""
    files: dict[str, dict[str, Any]] = {}
    for f in row["files"]:
        name, size = str(f["name"]), int(f["size"])
        if not _NAME.fullmatch(name) or name in files or not 0 <= size <= recovery.MAX_OBJECT:
            raise RestoreError(
                f"the backup names a file {name[:80]!r} of {size} bytes; allowed: 000001.sst, .vlog, .idx and .log, once each"
            )
        files[name] = dict(f)
    tables = {f"{n:06d}.sst": t.size for v in state.versions.values() for n, t in v.tables().items()}
    tables |= {f"{x.number:06d}.vlog": x.size for v in state.versions.values() for x in v.values}
    wanted = {*tables, *(f"{n:06d}.idx" for n in state.attached_files())}
    found = {n for n in files if not n.endswith(".log")}
    if wanted != found:
        odd = sorted(wanted ^ found)
        raise RestoreError(f"the manifest in the backup and its files are not of one another: {', '.join(odd[:5])}")
    for name, size in tables.items():
        if int(files[name]["size"]) != size:
            raise RestoreError(f"{name} has {files[name]['size']} bytes in the backup, the manifest says {size}")
    return files


def _begin(fs: FileSystem, path: str) -> None:
    if fs.exists(path):
        if not fs.stat(path)[1]:
            raise RestoreError(f"{path} is a file; a restore makes its own directory")
        names = fs.listdir(path)
        if names and (MARK not in names or "CURRENT" in names):
            raise RestoreError(f"{path} is not empty; a restore makes its own directory")
        for name in names:
            if name != MARK and (_NAME.fullmatch(name) or name.startswith(("MANIFEST-", "CURRENT", "LOCK", "KEYS"))):
                fs.unlink(f"{path}/{name}")
    fs.makedirs(path)
    fs.write_all(f"{path}/{MARK}", b"a restore was interrupted here; do it again\n", sync=True)
    fs.sync_dir(path)
    fs.sync_dir(os.path.dirname(path) or "/")


def _fetch(work: _Work, name: str, file: Mapping[str, Any]) -> None:
    with work.fs.open(f"{work.path}/{name}", "x") as out:
        for piece in work.store.read(str(file["object"]), int(file["size"])):
            out.append(piece)
        out.sync()
    work.bytes += int(file["size"])


def _tables(work: _Work, row: Mapping[str, Any], told: Told | None) -> None:
    files = {n: f for n, f in _checked(row, work.state).items() if not n.endswith(".log")}
    for done, (name, file) in enumerate(sorted(files.items()), 1):
        _fetch(work, name, file)
        work.made.append(name)
        if told is not None:
            told(name, done, len(files))


# The log


def _logs(store: BackupStore, row: Mapping[str, Any], limit: _Limit) -> list[tuple[Log, dict[str, Any]]]:
    """The segments of a backup and, when a limit is given, those in the archive behind them, in order."""
    files = {str(f["name"]): f for f in row["files"]}
    found = {int(g["number"]): (Log(**g), files[f"{int(g['number']):06d}.log"]) for g in row["logs"]}
    if limit != _Limit():
        any_ = False
        lineage = f"{row['database']}-{row['timeline']}-"
        for name in backup_form.names(store, "segment"):
            if name.startswith(lineage) and int(name[len(lineage) :]) >= int(row["manifest"]["log_floor"]):
                got = backup_form.record(store, "segment", name)
                number, any_ = int(got["log"]["number"]), True
                if number not in found or int(got["log"]["size"]) >= found[number][0].size:
                    found[number] = Log(**got["log"]), got["files"][0]
        if not any_ and limit.time is not None:
            raise RestoreError("nothing of the log was archived behind the backups: restore one of them as it is, or set wal.archive")
    return [found[n] for n in sorted(found)]


def _records(work: _Work, logs: list[tuple[Log, dict[str, Any]]]) -> Iterator[tuple[int, recovery.Record]]:
    """Yield (time, record) of all segments. RestoreError where one is missing between."""
    memory = recovery.memory()
    time, expected, following = 0, 0, 0
    for log, file in logs:
        records = _segment(work, memory, log, file)
        if following and following != log.number and not _begins(records):
            raise RestoreError(f"the archive lacks log segment {following:06d}.log; segment {log.number:06d}.log is there")
        for record in records:
            if record.kind == recovery.MARK:
                time = record.time
            elif record.kind == recovery.NOTE:
                unused = _unused(record)
                if expected and unused[0] <= expected <= unused[1]:
                    expected = unused[1] + 1
            elif record.kind == recovery.DATA:
                if expected and record.seq != expected:
                    raise RestoreError(f"the archive lacks sequence numbers {expected} to {record.seq - 1}, before {log.number:06d}.log")
                expected = record.seq + int.from_bytes(record.payload[:4], "little")
            yield time, record
        following = log.next


def _unused(note: recovery.Record) -> tuple[int, int]:
    """Return the first and last of the sequence numbers that the log does not have, since what had them was lost with a crash."""
    first, last = json.loads(note.payload).get("unused", (0, 0))
    return int(first), int(last)


def _begins(records: list[recovery.Record]) -> bool:
    """Tell whether a segment needs nothing of those before it but their data: it says what keyspaces there are, or the log says nothing."""
    kinds = [r.kind for r in records[:2]]
    return kinds == [recovery.MARK, recovery.NOTE] or recovery.MARK not in kinds


def _segment(work: _Work, memory: FileSystem, log: Log, file: Mapping[str, Any]) -> list[recovery.Record]:
    size = int(file["size"])
    if size > MAX_SEGMENT or size != log.size or log.number < 0:
        raise RestoreError(f"log segment {log.number} of {size} bytes; its record says {log.size}, allowed are {MAX_SEGMENT}")
    path = f"/{recovery.segment_name(log.number)}"
    with memory.open(path, "x") as out:
        for piece in work.store.read(str(file["object"]), size):
            out.append(piece)
        capacity = recovery.segment_capacity(out.pread(recovery.SEGMENT_HEADER, 0))
        if size < capacity <= MAX_SEGMENT and not log.next:
            out.truncate(capacity)  # one that was not ended has zeros behind it
    try:
        records, report = recovery.read_wal(memory, path, "absolute", salt=work.salt, is_last=not log.next, notes=True)
    except recovery.WalCorruption as e:
        raise RestoreError(f"log segment {log.number:06d}.log in object {file['object']} is damaged: {e.strerror}") from None
    finally:
        memory.unlink(path)
    if report.end_offset != size:
        raise RestoreError(f"log segment {log.number:06d}.log in object {file['object']} ends at byte {report.end_offset}, not {size}")
    return records


def _replay(work: _Work, row: Mapping[str, Any], logs: list[tuple[Log, dict[str, Any]]], limit: _Limit) -> None:
    """Write the records up to the limit into a log of the new timeline, and bring the keyspaces to where they were then."""
    state = work.state
    state.timeline = new_timeline(state)
    first = max([state.next_file, *(int(_NAME.fullmatch(n)[1]) for n in work.made)], default=1) + 1  # type: ignore[index]
    pending: list[recovery.Record] = []
    reached, cut, gap = int(row["seq"]), False, (0, 0)
    size = min(MOST_SEGMENT, sum(g.size for g, _ in logs) + 4096)
    with recovery.WalWriter(work.fs, work.path, first, sync="os", segment_bytes=size, salt=state.log_salt) as log:
        for time, record in _records(work, logs):
            if limit.time is not None and time > limit.time:
                break
            if record.kind == recovery.NOTE:
                pending.append(record)
                gap = _unused(record)
            if record.kind != recovery.DATA:
                continue
            end = record.seq + int.from_bytes(record.payload[:4], "little") - 1
            if limit.seq is not None and end > limit.seq:
                cut = True
                break
            if record.seq > reached + 1 and not gap[0] <= reached + 1 <= record.seq - 1 <= gap[1]:
                raise RestoreError(f"the archive lacks sequence numbers {reached + 1} to {record.seq - 1}")
            _take_notes(state, pending)
            log.append(record.seq, record.payload)
            work.records += 1
            work.time, reached = time, max(reached, end)
        if limit.seq is None:
            _take_notes(state, pending)
        log.sync_to()
        last = log.number
    if limit.seq is not None and not cut and reached < limit.seq:
        raise RestoreError(f"the backups and the archive reach sequence number {reached}; {limit.seq} was asked for")
    work.seq = max(work.seq, reached)
    work.made += [recovery.segment_name(n) for n in range(first, last + 1)]
    state.log_floor, state.next_file, state.last_seq, state.last_time = first, last + 1, work.seq, work.time
    state.closed, state.unshipped, state.no_log = None, [], False


def _take_notes(state: manifest.State, pending: list[recovery.Record]) -> None:
    """Bring keyspaces and attachments to what the last of these notes says."""
    if not pending:
        return
    note = json.loads(pending[-1].payload)
    pending.clear()
    there = {int(k["id"]): k for k in note["keyspaces"]}
    for number in set(state.names) - set(there):
        state.drop_keyspace(number)
    for number, k in there.items():
        if number not in state.names:
            state.add_keyspace(number, str(k["name"]), dict(k["options"]))
        if "attached" in k:
            state.attached[number] = _joined(state.attached.get(number), k["attached"])
    state.next_keyspace = max(state.next_keyspace, int(note["next_keyspace"]))


def _joined(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Mapping[str, Any]:
    """An attachment as the note says, over the files that the backup has: an index that is not in them is to be built."""
    files = (
        {k: old[k] for k in ("covered", "epoch", "components", "files")}
        if old
        else {"covered": 0, "epoch": 0, "components": [], "files": []}
    )
    known = {int(x["id"]): x for x in old["indexes"]} if old else {}
    fresh = {"state": "building", "epoch": files["epoch"], "parts": [], "resume": 0}
    return {**new, **files, "indexes": [known.get(int(x["id"]), {**x, **fresh}) for x in new["indexes"]]}


def _finish(work: _Work) -> None:
    """Tables that no keyspace needs any more go; then the manifest, then CURRENT, which makes it a database."""
    fs, path, state = work.fs, work.path, work.state
    needed = {f"{n:06d}.sst" for v in state.versions.values() for n in v.tables()} | {f"{n:06d}.idx" for n in state.attached_files()}
    needed |= {f"{x.number:06d}.vlog" for v in state.versions.values() for x in v.values}
    for name in [n for n in work.made if not n.endswith(".log") and n not in needed]:
        fs.unlink(f"{path}/{name}")
        work.made.remove(name)
    number, state.next_file = state.next_file, state.next_file + 1
    fs.sync_dir(path)
    manifest.Manifest(fs, path, number, state, None).abandon()
    fs.unlink(f"{path}/{MARK}")
    fs.sync_dir(path)
