"""The manifest: a checksummed, chained log of version edits, and CURRENT, which names it.

    CURRENT          = one line of JSON {"manifest", "records"} and a line with the masked CRC32C of the first, in hex
    MANIFEST-NNNNNN  = record*
    record           = length u32 | masked crc32c of (length, record number, chain) u32 | masked crc32c of payload u32 | JSON

All little-endian. chain is the payload checksum of the record before (0 for the first), so a record that is missing, repeated or
from another file is found. The first record is a snapshot of everything; each open writes a new file, so nothing is ever appended
behind a torn tail.
`records` in CURRENT is a lower bound: a file with fewer records has lost some. JSON payloads hold no zero byte and no byte with one
bit set, so that one flipped bit never looks like the zeros of a torn write.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from recovery import FileSystem, crc32c, mask

from .errors import CorruptionError, NotADatabase
from .version import Edit, TableInfo, Version

FORMAT = 1
MAX_RECORD = 64 << 20
ROLL_AFTER = 4000  # records after which a new manifest with a fresh snapshot is begun
_HEAD = struct.Struct("<III")


class State:
    """What the manifest says: keyspaces with their versions, options and flushed sequence numbers, and the counters of the database."""

    def __init__(self, database_id: int) -> None:
        self.database_id = database_id
        self.next_file = 1
        self.last_seq = 0
        self.log_floor = 0
        self.next_keyspace = 0
        self.next_run = 1
        self.closed: dict[str, int] | None = None
        self.names: dict[int, str] = {}
        self.options: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, Version] = {}
        self.flushed: dict[int, int] = {}
        self.attached: dict[int, Mapping[str, Any]] = {}  # of keyspaces with a rider

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
        for _, run, _ in edit.added:
            self.next_run = max(self.next_run, run + 1)
        if edit.flushed_seq is not None:
            self.flushed[edit.keyspace] = max(self.flushed[edit.keyspace], edit.flushed_seq)
        if edit.attached is not None:
            self.attached[edit.keyspace] = edit.attached

    def is_managed(self, number: int) -> bool:
        """Tell whether a keyspace belongs to a table: its rows, or what leads from its keys to them."""
        tables = {self.names[n]: row for n, row in self.attached.items()}
        owner = tables.get(self.names[number].removesuffix(".keys"))
        return number in self.attached or (owner is not None and owner.get("key_kind") == "any")

    def attached_files(self) -> set[int]:
        """Return the numbers of all riders' files."""
        return {int(n) for row in self.attached.values() for n in row.get("files", ())}


def _snapshot(state: State) -> dict[str, Any]:
    spaces = [
        {
            "id": n,
            "name": state.names[n],
            "options": state.options[n],
            "flushed": state.flushed[n],
            "levels": [[[r.id, [t.to_row() for t in r.tables]] for r in lv.runs] for lv in state.versions[n].levels],
        }
        | ({"attached": state.attached[n]} if n in state.attached else {})
        for n in sorted(state.names)
    ]
    return {"format": FORMAT, "database": f"{state.database_id:016x}", "next_keyspace": state.next_keyspace, "keyspaces": spaces}


def _counters(state: State) -> dict[str, int]:
    return {"next_file": state.next_file, "last_seq": state.last_seq, "log_floor": state.log_floor, "next_run": state.next_run}


def edit_row(edit: Edit) -> dict[str, Any]:
    """Return plain values of an edit."""
    added = [[level, run, table.to_row()] for level, run, table in edit.added]
    row = {"keyspace": edit.keyspace, "removed": list(edit.removed), "added": added, "flushed": edit.flushed_seq}
    return row if edit.attached is None else row | {"attached": edit.attached}


class Manifest:
    """The manifest of an open database, being written."""

    def __init__(self, fs: FileSystem, directory: str, number: int, state: State, old: str | None) -> None:
        """Begin MANIFEST-number with a snapshot of state, make CURRENT name it, durably; then remove the old one."""
        self.fs, self.directory, self.state = fs, directory, state
        self.name = f"MANIFEST-{number:06d}"
        self.records, self.chain, self.bytes = 0, 0, 0
        self._file = fs.open(f"{directory}/{self.name}", "x")
        try:
            self._append(_snapshot(state) | _counters(state))
            fs.sync_dir(directory)
            write_current(fs, directory, self.name, self.records)
        except BaseException:
            self._file.close()
            raise
        if old is not None:
            with suppress(OSError):  # the next open sweeps it
                fs.unlink(f"{directory}/{old}")

    def _append(self, row: Mapping[str, Any]) -> None:
        payload = json.dumps(row, separators=(",", ":"), ensure_ascii=True).replace("@", "\\u0040").encode()
        if len(payload) > MAX_RECORD:
            raise ValueError(f"a manifest record of {len(payload)} bytes; allowed: {MAX_RECORD}")
        crc = mask(crc32c(payload))
        record = _HEAD.pack(len(payload), _head_crc(len(payload), self.records, self.chain), crc) + payload
        self._file.append(record)
        self._file.sync()
        self.records, self.chain = self.records + 1, crc
        self.bytes += len(record)

    def commit(self, *edits: Edit, **more: Any) -> None:
        """Make edits durable, in one record. OSError: whether they are is unknown; the caller goes read-only."""
        self._append({"edits": [edit_row(e) for e in edits], **more, **_counters(self.state)})

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
        row = json.loads(line)
        name, records = str(row["manifest"]), int(row["records"])
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


def read_rows(raw: bytes, path: str) -> list[dict[str, Any]]:
    """Return the payloads of all records; a torn last one is left out. CorruptionError for any other damage."""
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
            last = not good or at + _HEAD.size + length >= len(raw)
            if rows and last and _is_torn(raw, at, good):
                break
            raise CorruptionError(f"record {len(rows)} of the manifest is damaged", path, at)
        rows.append(json.loads(payload))
        at, chain = at + _HEAD.size + length, crc
    if not rows:
        raise CorruptionError("the manifest is empty", path, 0)
    return rows


def load(fs: FileSystem, directory: str) -> tuple[State, str]:
    """Read CURRENT and the manifest. Returns the state and the manifest's name."""
    name, at_least = read_current(fs, directory)
    path = f"{directory}/{name}"
    if not fs.exists(path):
        raise CorruptionError("the manifest that CURRENT names is missing", path)
    rows = read_rows(fs.read_all(path), path)
    if len(rows) < at_least:
        raise CorruptionError(f"the manifest has {len(rows)} records, CURRENT promises {at_least}", path)
    if rows[0].get("format") != FORMAT:
        raise NotADatabase(f"{directory} has format {rows[0].get('format')}; this program knows format {FORMAT}")
    try:
        return _replay(rows), name
    except (ValueError, KeyError, TypeError, IndexError) as e:
        raise CorruptionError(f"the manifest contradicts itself: {e}", path) from None


def _replay(rows: list[dict[str, Any]]) -> State:
    first = rows[0]
    state = State(int(first["database"], 16))
    for row in first["keyspaces"]:
        state.add_keyspace(row["id"], row["name"], row["options"])
        added = [(lv, run, TableInfo.from_row(t)) for lv, runs in enumerate(row["levels"]) for run, ts in reversed(runs) for t in ts]
        state.apply(Edit(row["id"], added=tuple(added), flushed_seq=row["flushed"], attached=row.get("attached")))
    state.next_keyspace = first["next_keyspace"]
    for row in rows:
        for e in row.get("edits", ()):
            added = [(level, run, TableInfo.from_row(t)) for level, run, t in e["added"]]
            state.apply(Edit(e["keyspace"], tuple(e["removed"]), tuple(added), e["flushed"], e.get("attached")))
        if "create" in row:
            state.add_keyspace(row["create"]["id"], row["create"]["name"], row["create"]["options"])
        if "drop" in row:
            for number in row["drop"] if isinstance(row["drop"], list) else [row["drop"]]:
                state.drop_keyspace(number)
        state.closed = row.get("close")
        for name in ("next_file", "last_seq", "log_floor", "next_run"):
            setattr(state, name, int(row[name]))
    return state
