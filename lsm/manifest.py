"""The manifest: a checksummed, chained log of version edits, and CURRENT, which names it.

    CURRENT          = one line of JSON {"manifest", "records"} and a line with the masked CRC32C of the first, in hex
    MANIFEST-NNNNNN  = record*
    record           = length u32 | masked crc32c of (length, record number, chain) u32 | masked crc32c of payload u32 | JSON

All little-endian. chain is the payload checksum of the record before (0 for the first), so a record that is missing, repeated or
from another file is found. The first record is a snapshot of everything; each open writes a new file, so nothing is ever written
behind a torn tail. Zeros may follow the last record: space is reserved ahead, durably before the first record that goes into it, so that
a crash leaves a sector of a record as it was written or as zeros, never as what another file had there before.
`records` in CURRENT is a lower bound: a file with fewer records has lost some. JSON payloads hold no zero byte and no byte with one
bit set, so that one flipped bit never looks like the zeros of a torn write.
"""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from recovery import FileSystem, crc32c, mask

from . import manifest_form, stored_json
from .errors import CorruptionError, NotADatabase
from .grown import GrownTree
from .version import Edit, TableInfo, ValueInfo, Version

FORMAT = 1
MAX_RECORD = 64 << 20
ROLL_AFTER = 4000  # records after which a new manifest with a fresh snapshot is begun
_HEAD = struct.Struct("<III")
_RESERVE = 8192  # bytes reserved at least, in front of what is used
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EOPNOTSUPP)  # nothing can be reserved: then the file grows


class State:
    """What the manifest says: keyspaces with their versions, options and flushed sequence numbers, and the counters of the database."""

    def __init__(self, database_id: int) -> None:
        self.database_id = database_id
        self.timeline = 0  # of a copy that goes its own way: a number of its own; 0: the database that was created
        self.next_file = 1
        self.last_seq = 0
        self.log_floor = 0  # the oldest log segment that is needed; it is there unless no_log
        self.no_log = False
        self.next_keyspace = 0
        self.next_run = 1
        self.last_time = 0  # the last time mark that was in the log; 0 without `wal.archive`
        self.unshipped: list[tuple[int, int]] = []  # log segments below the floor that the archive lacks, and how much of each; 0: all
        self.closed: dict[str, int] | None = None
        self.names: dict[int, str] = {}
        self.options: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, Version] = {}
        self.flushed: dict[int, int] = {}
        self.attached: dict[int, Mapping[str, Any]] = {}  # of keyspaces with a rider
        self.notes: list[str] = []  # what reading it is to tell

    @property
    def log_salt(self) -> int:
        """What the checksums of log records are seeded with: so a record of another timeline of the same database never passes."""
        return self.timeline or self.database_id

    @property
    def newest_seq(self) -> int:
        """The largest sequence number of what was flushed; that of a table counts too, where a repair cannot tell what was flushed."""
        return max([0, *self.flushed.values(), *(t.max_seq for v in self.versions.values() for t in v.tables().values())])

    def add_keyspace(self, number: int, name: str, options: dict[str, Any]) -> None:
        """A keyspace is born."""
        self.names[number], self.options[number] = name, options
        self.versions[number], self.flushed[number] = Version(), 0
        self.next_keyspace = max(self.next_keyspace, number + 1)

    def drop_keyspace(self, number: int) -> None:
        """A keyspace is gone."""
        for table in (self.names, self.options, self.versions, self.flushed, self.attached):
            table.pop(number, None)

    def apply(self, edit: Edit) -> None:
        """Apply an edit to its keyspace."""
        self.versions[edit.keyspace] = self.versions[edit.keyspace].apply(edit)
        self.count(edit)

    def count(self, edit: Edit) -> None:
        """Take over what an edit says besides tables."""
        for _, run, _ in edit.added:
            self.next_run = max(self.next_run, run + 1)
        if edit.flushed_seq is not None:
            self.flushed[edit.keyspace] = max(self.flushed[edit.keyspace], edit.flushed_seq)
        if edit.attached is not None:
            self.attached[edit.keyspace] = edit.attached

    def is_managed(self, number: int) -> bool:
        """Tell whether a keyspace belongs to a table: its rows, or what leads from its keys to them."""
        tables = {self.names[n]: row for n, row in self.attached.items() if n in self.names}
        owner = tables.get(self.names[number].removesuffix(".keys"))
        return number in self.attached or (owner is not None and owner.get("key_kind") == "any")

    def attached_files(self) -> set[int]:
        """Return the numbers of all riders' files."""
        return {int(n) for row in self.attached.values() for n in row.get("files", ())}


def snapshot_row(state: State) -> dict[str, Any]:
    """Return everything that a state holds, as plain values: what a manifest begins with."""
    spaces = [
        {
            "id": n,
            "name": state.names[n],
            "options": state.options[n],
            "flushed": state.flushed[n],
            "levels": [[[r.id, [t.to_row() for t in r.tables]] for r in lv.runs] for lv in state.versions[n].levels],
        }
        | ({"attached": state.attached[n]} if n in state.attached else {})
        | ({"values": [v.to_row() for v in state.versions[n].values]} if state.versions[n].values else {})
        for n in sorted(state.names)
    ]
    row = {"format": FORMAT, "database": f"{state.database_id:016x}", "next_keyspace": state.next_keyspace, "keyspaces": spaces}
    row |= {"timeline": f"{state.timeline:016x}"} if state.timeline else {}
    return row | _counters(state)


def _counters(state: State) -> dict[str, Any]:
    row = {"next_file": state.next_file, "last_seq": state.last_seq, "log_floor": state.log_floor, "next_run": state.next_run}
    more = {"no_log": state.no_log, "last_time": state.last_time, "unshipped": state.unshipped}
    return row | {k: v for k, v in more.items() if v}


def edit_row(edit: Edit) -> dict[str, Any]:
    """Return plain values of an edit."""
    added = [[level, run, table.to_row()] for level, run, table in edit.added]
    row = {"keyspace": edit.keyspace, "removed": list(edit.removed), "added": added, "flushed": edit.flushed_seq}
    row |= {"values": [v.to_row() for v in edit.values]} if edit.values else {}
    return row if edit.attached is None else row | {"attached": edit.attached}


def edits_of(row: Mapping[str, Any]) -> Iterator[Edit]:
    """Yield the edits of one record, whose form was checked."""
    for e in row.get("edits", ()):
        added = tuple((level, run, TableInfo.from_row(t)) for level, run, t in e["added"])
        yield Edit(e["keyspace"], tuple(e["removed"]), added, e["flushed"], e.get("attached"), _values(e))


class Manifest:
    """The manifest of an open database, being written."""

    failed: OSError | None = None  # of a record that may be there or not: nothing goes behind it

    def __init__(self, fs: FileSystem, directory: str, number: int, state: State, old: str | None) -> None:
        """Begin MANIFEST-number with a snapshot of state, make CURRENT name it, durably; then remove the old one."""
        self.fs, self.directory, self.state = fs, directory, state
        self.name = f"MANIFEST-{number:06d}"
        self.records, self.chain, self.bytes, self.room = 0, 0, 0, 0
        self.log_floor = 0  # what the last durable record says; that of the state may be ahead of it
        self._file = fs.open(f"{directory}/{self.name}", "x")
        try:
            self._append(snapshot_row(state))
            fs.sync_dir(directory)
            write_current(fs, directory, self.name, self.records)
        except BaseException:
            self._file.close()
            raise
        if old is not None:
            with suppress(OSError):  # the next open sweeps it
                fs.unlink(f"{directory}/{old}")

    def _append(self, row: Mapping[str, Any], *, last: bool = False) -> None:
        payload = json.dumps(row, separators=(",", ":"), ensure_ascii=True).replace("@", "\\u0040").encode()
        if len(payload) > MAX_RECORD:
            raise ValueError(f"a manifest record of {len(payload)} bytes; allowed: {MAX_RECORD}")
        crc = mask(crc32c(payload))
        record = _HEAD.pack(len(payload), _head_crc(len(payload), self.records, self.chain), crc) + payload
        self._reserve(self.bytes + len(record))
        if last and self.room:
            with suppress(OSError):  # zeros behind the end are no harm
                self._file.truncate(self.bytes + len(record))
        self._file.pwrite(record, self.bytes)
        self._file.sync()
        self.records, self.chain, self.log_floor = self.records + 1, crc, int(row["log_floor"])
        self.bytes += len(record)

    def _reserve(self, size: int) -> None:
        """Have room up to a size, durably, before anything is written there."""
        if size <= self.room:
            return
        room = (size + max(_RESERVE, size // 2) + 4095) // 4096 * 4096
        try:
            self._file.allocate(room)
        except OSError as e:
            if e.errno not in _FULL:
                raise
            return
        if self.records:  # a file that no durable CURRENT names may hold anything
            self._file.sync()
        self.room = room

    def commit(self, *edits: Edit, **more: Any) -> None:
        """Make edits durable, in one record. OSError: whether they are is unknown; the caller goes read-only."""
        if self.failed is not None:
            raise self.failed
        try:
            self._append({"edits": [edit_row(e) for e in edits], **more, **_counters(self.state)}, last="close" in more)
        except OSError as e:
            self.failed = e
            raise

    def close(self, log: int, used: int, seq: int) -> None:
        """Record a clean end: log segment, its length, the last sequence number."""
        self.state.last_seq = seq
        try:
            self.commit(close={"log": log, "used": used, "seq": seq})
            write_current(self.fs, self.directory, self.name, self.records)
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file and record nothing."""
        self._file.close()


class Pending(Manifest):
    """Stands in for the manifest while recovery or a resume flushes: its edits go into the snapshot that the new manifest begins with."""

    def __init__(self) -> None:
        """Nothing to write to."""

    def commit(self, *edits: Any, **more: Any) -> None:
        """Nothing yet."""

    def abandon(self) -> None:
        """Nothing to close."""


def _head_crc(length: int, number: int, chain: int) -> int:
    return mask(crc32c(struct.pack("<IQI", length, number, chain)))


def write_current(fs: FileSystem, directory: str, name: str, records: int) -> None:
    """Replace CURRENT atomically and durably."""
    line = json.dumps({"manifest": name, "records": records}, separators=(",", ":"))
    temporary = f"{directory}/CURRENT.tmp"
    if fs.exists(temporary):
        fs.unlink(temporary)
    fs.write_all(temporary, f"{line}\n{mask(crc32c(line.encode())):08x}\n".encode(), sync=True)
    fs.rename(temporary, f"{directory}/CURRENT")
    fs.sync_dir(directory)


def read_current(fs: FileSystem, directory: str) -> tuple[str, int]:
    """Return the manifest's name and the records it must have at least. CorruptionError."""
    path = f"{directory}/CURRENT"
    try:
        line, crc, rest = fs.read_all(path).decode("ascii").split("\n")
        if rest or f"{mask(crc32c(line.encode())):08x}" != crc:
            raise ValueError("checksum")
        row = stored_json.parse(line)
        stored_json.check(row, {"manifest": str, "records": range(stored_json.LARGEST)})
        name, records = row["manifest"], row["records"]
    except (ValueError, KeyError, TypeError) as e:
        raise CorruptionError(f"the pointer to the manifest is damaged ({e})", path, 0) from None
    digits = name.removeprefix("MANIFEST-")
    if not (name.startswith("MANIFEST-") and digits.isascii() and digits.isdigit() and 6 <= len(digits) <= 20):
        raise CorruptionError(f"the pointer names {name!r}", path, 0)
    return name, records


def _is_torn(raw: bytes, at: int, head_is_good: bool) -> bool:
    """Tell whether the bad record at `at` is what a crash while appending may leave: cut short, or with sectors of zeros.

    A length counts only where the head's checksum is right. Behind a damaged head, `{` still begins the payload unless that was lost too.
    """
    body = at + _HEAD.size
    if head_is_good:
        end = body + _HEAD.unpack_from(raw, at)[0]
        return end > len(raw) or 0 in raw[body:end]
    sector = at // 512 * 512 + 512
    return raw[body : body + 1] in (b"", b"\0") or not any(raw[at : min(at + 8, sector)])


def _parsed(payload: bytes, path: str, at: int) -> dict[str, Any]:
    try:
        row: dict[str, Any] = stored_json.parse(payload)
        stored_json.check(row, {})
    except stored_json.Bad as e:
        raise CorruptionError(f"a record of the manifest makes no sense: {e}", path, at) from None
    return row


def read_rows(raw: bytes, path: str) -> list[dict[str, Any]]:
    """Return the payloads of all records; a torn last one is left out. CorruptionError for any other damage."""
    rows, damage = readable_rows(raw, path)
    if damage is not None:
        raise damage
    return rows


def readable_rows(raw: bytes, path: str) -> tuple[list[dict[str, Any]], CorruptionError | None]:
    """Return the payloads of the records up to the first damage, and that damage; a torn last record is none."""
    rows: list[dict[str, Any]] = []
    at, chain = 0, 0
    while at < len(raw):
        head = raw[at : at + _HEAD.size]
        good = len(head) == _HEAD.size
        length, head_crc, crc = _HEAD.unpack(head) if good else (0, 0, 0)
        good = good and length <= MAX_RECORD and head_crc == _head_crc(length, len(rows), chain)
        payload = raw[at + _HEAD.size : at + _HEAD.size + length]
        whole = good and len(payload) == length
        if not whole or mask(crc32c(payload)) != crc:
            last = not good or not any(raw[at + _HEAD.size + length :])
            if rows and last and _is_torn(raw, at, good):
                break
            return rows, CorruptionError(f"record {len(rows)} of the manifest is damaged", path, at)
        try:
            rows.append(_parsed(payload, path, at))
        except CorruptionError as e:
            return rows, e
        at, chain = at + _HEAD.size + length, crc
    return rows, None if rows else CorruptionError("the manifest is empty", path, 0)


def _end(raw: bytes, records: int) -> int:
    """Where the first records end."""
    at = 0
    for _ in range(records):
        at += _HEAD.size + int(_HEAD.unpack_from(raw, at)[0])
    return at


def load(fs: FileSystem, directory: str) -> tuple[State, str]:
    """Read CURRENT and the manifest. Returns the state and the manifest's name."""
    name, at_least = read_current(fs, directory)
    path = f"{directory}/{name}"
    if not fs.exists(path):
        raise CorruptionError("the manifest that CURRENT names is missing", path)
    raw = fs.read_all(path)
    rows = read_rows(raw, path)
    if len(rows) < at_least:
        raise CorruptionError(f"the manifest has {len(rows)} records, CURRENT promises {at_least}", path)
    state = state_of(rows, path)
    if left := len(raw[_end(raw, len(rows)) :].rstrip(b"\0")):
        state.notes.append(f"{name}: {left} bytes behind its {len(rows)} records are a torn one, dropped")
    return state, name


def state_of(rows: list[dict[str, Any]], path: str) -> State:
    """Return what the records of a manifest say. NotADatabase for another format, CorruptionError when they contradict themselves."""
    if rows[0].get("format") != FORMAT:
        raise NotADatabase(f"{path} has format {rows[0].get('format')}; this program knows format {FORMAT}")
    try:
        return _replay(rows)
    except (ValueError, KeyError, TypeError, IndexError) as e:
        raise CorruptionError(f"the manifest contradicts itself: {e}", path) from None


def _replay(rows: list[dict[str, Any]]) -> State:
    """Return the state that manifest records lead to. ValueError, KeyError, TypeError or IndexError when they contradict each other."""
    manifest_form.check_records(rows)
    first, trees = rows[0], dict[int, GrownTree]()
    state = State(int(first["database"], 16))
    state.timeline = int(first.get("timeline", "0"), 16)

    def grow(edit: Edit) -> None:
        trees[edit.keyspace].add(edit)
        state.count(edit)

    for row in first["keyspaces"]:
        state.add_keyspace(row["id"], row["name"], row["options"])
        trees[row["id"]] = GrownTree()
        added = [(lv, run, TableInfo.from_row(t)) for lv, runs in enumerate(row["levels"]) for run, ts in reversed(runs) for t in ts]
        grow(Edit(row["id"], (), tuple(added), row["flushed"], row.get("attached"), _values(row)))
    state.next_keyspace = first["next_keyspace"]
    for row in rows:
        for edit in edits_of(row):
            grow(edit)
        if "create" in row:
            state.add_keyspace(row["create"]["id"], row["create"]["name"], row["create"]["options"])
            trees[row["create"]["id"]] = GrownTree()
        if "set" in row and row["set"]["id"] in state.options:
            state.options[row["set"]["id"]] = row["set"]["options"]
        if "drop" in row:
            for number in row["drop"] if isinstance(row["drop"], list) else [row["drop"]]:
                state.drop_keyspace(number)
                trees.pop(number, None)
        _take_counters(state, row)
    state.versions = {number: tree.version() for number, tree in trees.items()}
    return state


def _take_counters(state: State, row: Mapping[str, Any]) -> None:
    """What a record says of the whole database."""
    state.closed = row.get("close")
    state.no_log = bool(row.get("no_log", False))
    state.next_file, state.last_seq = int(row["next_file"]), int(row["last_seq"])
    state.log_floor, state.next_run = int(row["log_floor"]), int(row["next_run"])
    state.last_time = max(state.last_time, int(row.get("last_time", 0)))
    state.unshipped = [(int(n), int(size)) for n, size in row.get("unshipped", ())]


def _values(row: Mapping[str, Any]) -> tuple[ValueInfo, ...]:
    return tuple(ValueInfo.from_row(v) for v in row.get("values", ()))
