"""Backups: a consistent set of tables, index components, log and manifest, copied into a store while the database is in use.

    under the executor's lock: end the log segment | note the tree | hold its files from removal
    then, beside writers:      sync the log | copy what the store has not | verify | the record, last of all

Nothing is flushed: what is in memtables is in the log. Tables never change, so the next backup copies only new ones and new log,
or, when tables were merged meanwhile, the log since the last backup alone: of that some is kept for it. What is copied is verified
first: damage does not get into a backup. A backup that fails leaves objects that no record names; the next one uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import recovery
from recovery import BackupStore, FileSystem, Guard, Stored, file_pieces

from . import backup_form, manifest
from .backup_form import FORMAT
from .errors import BackupError, BusyError, ClosedError, CorruptionError, EncryptionError, IOFailure, LockedError

if TYPE_CHECKING:
    from .db import DB
    from .native import Table
    from .native_values import ValueFile

MOST_LOG = 64 << 20  # bytes of log that a backup may have behind its tables; or a tenth of them
Known = dict[tuple[str, str], dict[str, Any]]  # files by name and what tells them apart
Told = Callable[[str, int, int], None]  # what is done, files done, files in all


@dataclass(frozen=True)
class Backup:
    """One backup: its id, what it is of, up to which sequence number and time (ns; nothing in it is younger), and its bytes."""

    id: str
    database: str
    timeline: str
    created: int  # wall clock, ns
    seq: int
    time: int
    files: int
    bytes: int  # of the content that it names
    new_bytes: int = 0  # that were written for it; of a listed one: at the time


@dataclass(frozen=True)
class Log:
    """A log segment in a backup or an archive: what of it counts, and what it holds."""

    number: int
    size: int
    first_seq: int
    end_seq: int
    first_time: int
    last_time: int
    next: int  # the segment that follows it; 0: none, or not known

    def to_row(self) -> dict[str, Any]:
        """Return plain values."""
        return dict(vars(self))


@dataclass
class Picture:
    """What a database was at one moment, as files that stay."""

    row: dict[str, Any]
    created: int  # wall clock; nothing in it is younger
    logs: list[Log] = field(default_factory=list)  # what its memtables held
    older: list[Log] = field(default_factory=list)  # segments before them that were kept since the last backup
    stored: set[int] = field(default_factory=set)  # numbers of logs that the store has
    next_log: int = 0  # the first segment that is not in it; 0: nobody is writing
    names: dict[str, int] = field(default_factory=dict)  # tables, value files and components: bytes
    identity: dict[str, str] = field(default_factory=dict)  # what tells a table or value file from another of that name
    tables: dict[str, Table | ValueFile] = field(default_factory=dict)  # and value files

    @property
    def seq(self) -> int:
        """The last sequence number in it."""
        flushed = max((int(k["flushed"]) for k in self.row["keyspaces"]), default=0)
        return max([flushed, *(g.end_seq for g in self.logs)])


def log_of(number: int, records: list[recovery.Record], report: recovery.ReplayReport) -> Log:
    """Return what a segment holds, from its replay."""
    end = records[-1].seq + int.from_bytes(records[-1].payload[:4], "little") - 1 if records else 0
    following = report.next if report.ended else 0
    return Log(number, report.end_offset, report.first_seq, end, report.first_time, report.last_time, following)


def read_log(db: DB, number: int, *, closed: bool = True) -> Log:
    """Read a segment through; closed: it must have its end record. CorruptionError, IOFailure."""
    path = f"{db.path}/{number:06d}.log"
    mode, salt = ("absolute", db.state.log_salt) if closed else ("point_in_time", db.state.log_salt)
    try:
        records, report = recovery.read_wal(db.fs, path, mode, salt=salt, is_last=not closed)
    except recovery.WalCorruption as e:
        raise CorruptionError(f"the log is damaged: {e.strerror}", path, e.report.damage_offset) from None
    return log_of(number, records, report)


@contextmanager
def pinned(db: DB) -> Iterator[Picture]:
    """Give a picture of an open database whose files stay until the end of the block. Writers wait for the new log segment only."""
    with ExitStack() as held:
        with db.executor.lock:
            numbers = _end_log(db)
            db.note_counters()
            picture = Picture(manifest.snapshot_row(db.state), db.wall_ns())
            _name_files(db, picture, held)
            picture.next_log = db.core.log()[0]
            older = [n for n in recovery.log_numbers(db.fs, db.path) if db.holds.logs_from <= n < picture.next_log and n not in numbers]
            held.enter_context(db.holds.keep([*picture.names, *(f"{n:06d}.log" for n in (*numbers, *older))]))
        if numbers:
            db.core.sync()
        picture.logs = [read_log(db, n) for n in numbers]
        with suppress(CorruptionError):  # then there is a gap, and they serve nobody
            picture.older = [read_log(db, n) for n in older]
        yield picture


def _end_log(db: DB) -> list[int]:
    """End the current segment; return the numbers of those that the memtables need."""
    if not db.options.wal.enabled:
        db.flush()
        return []
    if db.core.log()[1] > recovery.SEGMENT_HEADER:
        db.core.rotate_log()
    now = db.core.log()[0]
    floor = min([now, *(s.core.log_floor() for s in db.spaces.values())])
    return [n for n in recovery.log_numbers(db.fs, db.path) if floor <= n < now]


def _name_files(db: DB, picture: Picture, held: ExitStack) -> None:
    for space in db.spaces.values():
        for t in space.version.tables().values():
            name = f"{t.number:06d}.sst"
            picture.names[name], picture.identity[name] = t.size, f"{t.size}-{t.footer_crc:08x}"
            picture.tables[name] = space.tables[t.number].share()
            held.callback(picture.tables[name].close)
        for v in space.version.values:
            name = f"{v.number:06d}.vlog"
            picture.names[name], picture.identity[name] = v.size, f"{v.size}-{v.footer_crc:08x}"
            picture.tables[name] = space.value_files[v.number].share()
            held.callback(picture.tables[name].close)
    for n in db.state.attached_files():
        picture.names[f"{n:06d}.idx"] = db.fs.stat(f"{db.path}/{n:06d}.idx")[0]


@contextmanager
def at_rest(db: DB) -> Iterator[Picture]:
    """Give a picture of a database that is open read-only, as its files are; nobody may open it for writing meanwhile. LockedError."""
    try:
        lock = db.fs.lock(f"{db.path}/LOCK", "a backup")
    except recovery.LockHeld as e:
        raise LockedError(db.path, e.holder) from None
    with lock, ExitStack() as held:
        state, _ = manifest.load(db.fs, db.path)
        if state.versions != db.state.versions or state.attached != db.state.attached or state.log_floor != db.state.log_floor:
            raise BusyError(f"{db.path} was written to since it was opened read-only; open it again")
        numbers = [n for n in recovery.log_numbers(db.fs, db.path) if n >= state.log_floor]
        picture = Picture(manifest.snapshot_row(state), db.wall_ns())
        _name_files(db, picture, held)
        mode, salt = db.options.wal.recovery, state.log_salt
        for number, records, report in recovery.replay(db.fs, db.path, mode, salt=salt, numbers=numbers, sync=db.options.wal.sync):
            if report.dropped_records and not report.torn_tail:
                raise CorruptionError("the log is damaged in the middle: open it for writing first", f"{number:06d}.log")
            if records:
                picture.logs.append(log_of(number, records, report))
        yield picture


def create(db: DB, store: BackupStore, guard: Guard, told: Told | None = None, threads: int = 4) -> Backup:
    """Make a backup. BackupError names what is wrong with the store, CorruptionError the file of the database that is damaged."""
    if db.closed:
        raise ClosedError("the database is closed")
    if not db.read_only:
        db.check_writable()
    with translated(store), ExitStack() as held:
        guard.call(lambda: held.enter_context(store.exclusive(f"backup of {db.path}")))
        picture = held.enter_context(at_rest(db) if db.read_only else pinned(db))
        line = (picture.row["database"], picture.row.get("timeline", "0" * 16))
        rows = [backup_form.record(store, "backup", n) for n in backup_form.names(store, "backup")]
        earlier = [row for row in rows if (row["database"], row["timeline"]) == line]
        known = {(f["name"], f["identity"]): f for row in earlier for f in row["files"] if f.get("identity")}
        seq = picture.seq
        reused = on_top(store, picture, earlier, known)
        files = reused + _copy(db, store, guard, picture, known, told, threads)
        row = {
            "format": FORMAT,
            "database": line[0],
            "timeline": line[1],
            "created": picture.created,
            "seq": seq,
            "time": max([picture.created, picture.row.get("last_time", 0), *(g.last_time for g in picture.logs)]),
            "manifest": picture.row,
            "logs": [g.to_row() for g in picture.logs],
            "files": files,
            "new_bytes": sum(f.pop("written", 0) for f in files),
        }
        name = f"{max((int(n) for n in backup_form.names(store, 'backup')), default=0) + 1:06d}"
        guard.call(store.put_record, "backup", name, row)
        if picture.next_log and db.archiver is None:
            db.holds.logs_from = picture.next_log
        return describe(name, row)


def on_top(store: BackupStore, picture: Picture, earlier: list[dict[str, Any]], known: Known) -> list[dict[str, Any]]:
    """Make the picture one of the last backup and the log since, where that is less to copy than the tables that are new.

    So a compaction, which changes files and no content, does not make the next backup a full one. Returns the files that the store has.
    """
    new_bytes = sum(size for name, size in picture.names.items() if (name, picture.identity.get(name, "")) not in known)
    base = earlier[-1] if earlier else None
    if base is None or not new_bytes or _shape(base["manifest"]) != _shape(picture.row):
        return []
    first = max([g["number"] + 1 for g in base["logs"]], default=int(base["manifest"]["log_floor"]))
    here = {g.number: g for g in (*picture.older, *picture.logs) if g.number >= first}
    line = f"{base['database']}-{base['timeline']}-"
    there: dict[int, tuple[Log, dict[str, Any]]] = {}
    for name in backup_form.names(store, "segment"):
        if name.startswith(line) and int(name[len(line) :]) >= first:
            got = backup_form.record(store, "segment", name)
            there[int(got["log"]["number"])] = (Log(**got["log"]), got["files"][0])
    seq, chain = int(base["seq"]), list[Log]()
    following = base["logs"][-1]["next"] if base["logs"] else 0
    for number in sorted({*here, *there}):
        log = there[number][0] if number in there else here[number]
        if (log.end_seq and log.first_seq > seq + 1) or (following and following != number):
            return []
        following = log.next
        seq = max(seq, log.end_seq)
        chain.append(log)
    copied = sum(g.size for g in chain if g.number not in there)
    logs = [Log(**g) for g in base["logs"]] + chain
    if seq != picture.seq or copied >= new_bytes or sum(g.size for g in logs) > max(MOST_LOG, sum(picture.names.values()) // 10):
        return []
    picture.row, picture.logs, picture.names = base["manifest"], logs, {}
    picture.stored = {g["number"] for g in base["logs"]} | set(there)
    return [dict(f) for f in base["files"]] + [dict(there[g.number][1]) for g in chain if g.number in there]


def _shape(row: dict[str, Any]) -> list[Any]:
    """What the log does not tell: keyspaces, their options, the columns and indexes of tables."""
    moving = ("covered", "epoch", "components", "files")
    return [
        (k["id"], k["name"], k["options"], {n: v for n, v in k["attached"].items() if n not in moving} if "attached" in k else None)
        for k in row["keyspaces"]
    ]


def _copy(
    db: DB, store: BackupStore, guard: Guard, picture: Picture, known: Known, told: Told | None, threads: int
) -> list[dict[str, Any]]:
    sizes = picture.names | {f"{g.number:06d}.log": g.size for g in picture.logs if g.number not in picture.stored}
    names = sorted(sizes)

    def one(name: str) -> dict[str, Any]:
        identity = picture.identity.get(name, "")
        old = known.get((name, identity)) if identity else None
        if old is not None and guard.call(store.has, old["object"], old["size"]):
            stored = Stored(old["object"], old["size"])
        else:
            _check(db, picture, name)
            stored = guard.call(store.add, lambda: file_pieces(db.fs, f"{db.path}/{name}", sizes[name]))
        row: dict[str, Any] = {"name": name, "object": stored.digest, "size": stored.size, "written": stored.written}
        return row | {"identity": identity} if identity else row

    def counted(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        made = []
        for row in rows:
            made.append(row)
            if told is not None:
                told(row["name"], len(made), len(names))
        return made

    if threads <= 1:
        return counted(map(one, names))
    with ThreadPoolExecutor(threads, "lsm-backup") as pool:
        try:
            return counted(pool.map(one, names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _check(db: DB, picture: Picture, name: str) -> None:
    """Verify every block of a table, every record of a value file, and all of a component, before it is copied. Logs were read already."""
    if name in picture.tables:
        picture.tables[name].verify()
    elif name.endswith(".idx"):
        from .secondary.component import read_component

        read_component(db.fs, db.path, int(name.removesuffix(".idx")), db.state.database_id)


def describe(name: str, row: dict[str, Any]) -> Backup:
    """Return what a record says in short."""
    size, files = sum(f["size"] for f in row["files"]), len(row["files"])
    return Backup(name, row["database"], row["timeline"], row["created"], row["seq"], row["time"], files, size, row["new_bytes"])


@contextmanager
def translated(store: BackupStore | None = None) -> Iterator[None]:
    """Raise what a user knows: BackupError and IOFailure in the place of errors of the store and the file system."""
    try:
        yield
    except recovery.LockHeld as e:
        raise BusyError(f"the backup store is in use: {e}") from None
    except (recovery.StoreDamage, recovery.WrongKey) as e:
        raise BackupError(str(e)) from None
    except OSError as e:
        raise IOFailure(e.strerror or "backup", str(e.filename or (store.path if store else "")), e.errno or 0) from e


def open_store(fs: FileSystem, target: str, *, key: bytes | str | None, codec: str = "none", make: bool = False) -> BackupStore:
    """Open a store. BackupError, IOFailure; ValueError for an unknown codec."""
    with translated():
        try:
            return BackupStore(fs, target, key=recovery.load_key(key), codec=codec, create=make)
        except FileNotFoundError:
            raise BackupError(f"{target} holds no backups") from None


def target_of(db: DB, fs: FileSystem | None, key: bytes | str | None) -> FileSystem:
    """Return where copies of a database go. An encrypted one is never copied in the clear: EncryptionError without a key."""
    if db.encryption is None:
        return fs or db.fs
    if not key:
        raise EncryptionError("the database is encrypted: a backup of it needs a key, its log archive wal.archive_key")
    return fs or db.encryption.below


def listed(store: BackupStore) -> list[Backup]:
    """Return all backups of a store, oldest first. BackupError names a record that is damaged."""
    with translated(store):
        return [describe(name, backup_form.record(store, "backup", name)) for name in backup_form.names(store, "backup")]


def verify(store: BackupStore, told: Told | None = None) -> list[str]:
    """Read every record and every object that one names. Returns what is wrong, a line each."""
    problems, objects = [], dict[str, tuple[int, str]]()
    for kind in ("backup", "segment"):
        for name in store.names(kind):
            try:
                for f in backup_form.record(store, kind, name)["files"]:
                    objects.setdefault(f["object"], (f["size"], f"{kind} {name}, file {f['name']}"))
            except (recovery.StoreDamage, OSError) as e:
                problems.append(f"{kind} {name}: {e}")
    for done, (digest, (size, where)) in enumerate(sorted(objects.items())):
        try:
            store.verify(digest, size)
        except (recovery.StoreDamage, OSError) as e:
            problems.append(f"{where}: {e}")
        if told is not None:
            told(where, done + 1, len(objects))
    return problems
