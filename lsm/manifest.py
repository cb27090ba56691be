"""The manifest: a checksummed, chained log of what the database consists of.

    CURRENT          one line: name, edits, chain of the manifest when CURRENT was written, crc
    MANIFEST-NNNNNN  = record*        the first is a snapshot of everything, the others are edits
    record           = length u32 | number u64 | previous chain u64 | crc u32 | JSON payload

`number` counts edits over all files of a database; `chain` is BLAKE2b of the previous chain and the payload, so that a record that is
lost, repeated or from elsewhere is seen. Records are synced before what they say is acted upon. A torn record at the end (a crash while
it was written) is cut; anything else that does not fit is CorruptionError, and nothing is repaired silently.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import recovery

from .errors import CorruptionError, Error, NotADatabase
from .version import Edit, TableInfo, Version

FORMAT = 1
CURRENT = "CURRENT"
_HEAD = struct.Struct("<IQQI")
ROLL_BYTES = 1 << 20


@dataclass(frozen=True)
class KeyspaceState:
    """What the manifest knows of a keyspace. `options`: settings it was made with, None: the database's."""

    id: int
    name: str
    version: Version = field(default_factory=Version)
    flushed_seq: int = 0
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class State:
    """What a database consists of. `log`: older log segments are not needed; 0: no log yet. `closed`: log, length, last sequence."""

    database_id: int
    keyspaces: tuple[KeyspaceState, ...] = ()
    next_keyspace: int = 0
    log: int = 0
    last_seq: int = 0
    closed: tuple[int, int, int] | None = None

    def apply(self, change: Mapping[str, Any]) -> State:
        """Return the state after one edit. ValueError, KeyError or TypeError when the edit does not fit."""
        spaces = {k.id: k for k in self.keyspaces}
        for row in change.get("edits", ()):
            edit = edit_from_row(row)
            old = spaces[edit.keyspace]
            flushed = old.flushed_seq if edit.flushed_seq is None else edit.flushed_seq
            spaces[edit.keyspace] = replace(old, version=old.version.apply(edit), flushed_seq=flushed)
        next_keyspace = self.next_keyspace
        if made := change.get("create"):
            if made["id"] in spaces or made["id"] < next_keyspace:
                raise ValueError(f"keyspace {made['id']} is made twice")
            spaces[made["id"]] = KeyspaceState(made["id"], made["name"], flushed_seq=made["seq"], options=made["options"])
            next_keyspace = made["id"] + 1
        if "drop" in change:
            del spaces[change["drop"]]
        closed = change.get("closed")
        return State(
            self.database_id,
            tuple(spaces.values()),
            next_keyspace,
            max(self.log, change.get("log", 0)),
            max(self.last_seq, change.get("seq", 0)),
            (closed[0], closed[1], closed[2]) if closed else None,
        )


def edit_row(edit: Edit) -> dict[str, Any]:
    """Return an edit as plain values."""
    row: dict[str, Any] = {"keyspace": edit.keyspace, "removed": list(edit.removed)}
    row["added"] = [[level, run, table.to_row()] for level, run, table in edit.added]
    return row if edit.flushed_seq is None else row | {"flushed": edit.flushed_seq}


def edit_from_row(row: Mapping[str, Any]) -> Edit:
    """Read what edit_row wrote."""
    added = tuple((level, run, TableInfo.from_row(table)) for level, run, table in row["added"])
    return Edit(row["keyspace"], tuple(row["removed"]), added, row.get("flushed"))


def snapshot_of(state: State) -> dict[str, Any]:
    """Return the whole state as the payload of a snapshot record."""
    spaces = [
        {
            "id": k.id,
            "name": k.name,
            "flushed": k.flushed_seq,
            "options": k.options,
            "levels": [[[r.id, [t.to_row() for t in r.tables]] for r in lv.runs] for lv in k.version.levels],
        }
        for k in state.keyspaces
    ]
    return {
        "format": FORMAT,
        "database": f"{state.database_id:016x}",
        "keyspaces": spaces,
        "next_keyspace": state.next_keyspace,
        "log": state.log,
        "seq": state.last_seq,
    }


def _from_snapshot(row: Mapping[str, Any], path: str) -> State:
    if row["format"] > FORMAT:
        raise Error(f"{path} has format {row['format']}; this version reads up to {FORMAT}: open it with a newer one")
    spaces = []
    for k in row["keyspaces"]:
        version = Version()
        for level, runs in enumerate(k["levels"]):
            for run, tables in reversed(runs):
                version = version.apply(Edit(k["id"], (), tuple((level, run, TableInfo.from_row(t)) for t in tables)))
        spaces.append(KeyspaceState(k["id"], k["name"], version, k["flushed"], k["options"]))
    return State(int(row["database"], 16), tuple(spaces), row["next_keyspace"], row["log"], row["seq"])


def _link(chain: int, payload: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(struct.pack("<Q", chain) + payload, digest_size=8).digest(), "little")


def _frame(number: int, chain: int, change: Mapping[str, Any]) -> tuple[bytes, int]:
    payload = json.dumps(change, sort_keys=True, separators=(",", ":")).encode()
    head = struct.pack("<IQQ", len(payload), number, chain)
    return head + struct.pack("<I", recovery.mask(recovery.crc32c(head + payload))) + payload, _link(chain, payload)


def _is_torn(rest: bytes, base: int) -> bool:
    """Tell whether a crash may have left these last bytes of a file: cut short, or with lost (zero) words. Payloads hold no zeros."""
    if len(rest) < _HEAD.size:
        return True
    length = _HEAD.unpack_from(rest)[0]
    first = -base % 8
    lost = any(rest[i : i + 8] == bytes(8) for i in range(first, len(rest) - 7, 8))
    return lost or not any(rest) or (length < 1 << 31 and _HEAD.size + length > len(rest))


def records(data: bytes, path: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield (number, chain behind it, payload) of every record. CorruptionError unless damage is a torn end."""
    at, chain, number = 0, 0, 0
    while at < len(data):
        good = False
        if len(data) - at >= _HEAD.size:
            length, found, previous, crc = _HEAD.unpack_from(data, at)
            payload = data[at + _HEAD.size : at + _HEAD.size + length]
            good = len(payload) == length and recovery.unmask(crc) == recovery.crc32c(data[at : at + 20] + payload)
        if not good:
            if at and _is_torn(data[at:], at):
                return
            raise CorruptionError("a manifest record fails its check", path, at)
        if at and (found, previous) != (number + 1, chain):
            raise CorruptionError(f"edit {found} does not continue edit {number}", path, at)
        number, chain = found, _link(previous, payload)
        try:
            yield number, chain, json.loads(payload)
        except ValueError as e:
            raise CorruptionError(f"edit {number} is not JSON: {e}", path, at) from None
        at += _HEAD.size + length


def parse(data: bytes, path: str) -> tuple[State, int, int]:
    """Return (state, number of the last edit, chain) of a manifest's bytes."""
    state: State | None = None
    number = chain = 0
    for number, chain, payload in records(data, path):  # noqa: B007
        try:
            state = _from_snapshot(payload, path) if state is None else state.apply(payload)
        except (ValueError, KeyError, TypeError, IndexError) as e:
            raise CorruptionError(f"edit {number} does not fit: {e!r}", path) from None
    if state is None:
        raise CorruptionError("the manifest is empty", path, 0)
    return state, number, chain


def manifest_name(number: int) -> str:
    """Return the file name of a manifest."""
    return f"MANIFEST-{number:06d}"


def read(fs: recovery.FileSystem, directory: str) -> tuple[State, int, int, str] | None:
    """Return (state, number of the last edit, chain, name of the manifest); None when there is no database yet.

    CorruptionError when CURRENT or the manifest it names is damaged, or missing beside data.
    """
    path = os.path.join(directory, CURRENT)
    names = fs.listdir(directory) if fs.exists(directory) else []
    if CURRENT not in names:
        if any(n.endswith((".sst", ".log")) for n in names):
            raise CorruptionError("there are tables or logs but no CURRENT: the manifest is missing", path)
        if foreign := [n for n in names if not (n.startswith("MANIFEST-") or n in ("LOCK", CURRENT + ".tmp"))]:
            raise NotADatabase(f"{directory} is not empty and holds no database: {', '.join(foreign[:3])}")
        return None
    line = fs.read_all(path)
    body, _, crc = line.rstrip(b"\n").rpartition(b" ")
    if crc != b"%08x" % recovery.crc32c(body) or not line.endswith(b"\n"):
        raise CorruptionError("CURRENT fails its check", path, 0)
    name, edits, chain_then = body.decode().split(" ")
    if name not in names:
        raise CorruptionError(f"CURRENT names {name}, which is not there: the manifest is missing", path)
    whole = os.path.join(directory, name)
    data = fs.read_all(whole)
    state, number, chain = parse(data, whole)
    if number < int(edits) or int(chain_then, 16) not in (c for n, c, _ in records(data, whole) if n == int(edits)):
        raise CorruptionError(f"CURRENT promises edit {edits}, the manifest ends at edit {number} or is another one", whole)
    return state, number, chain, name


class Manifest:
    """The manifest being written. After a failed write it refuses everything: what is on disk is then unknown."""

    def __init__(self, fs: recovery.FileSystem, directory: str, state: State, file_number: int, edits: int = 0, chain: int = 0) -> None:
        """Begin a new manifest file with a snapshot of state, and make CURRENT name it, durably. OSError."""
        self._fs, self._dir, self.state = fs, directory, state
        self._edits, self._chain = edits, chain
        self._file: recovery.File | None = None
        self.name = ""
        self._start(file_number)

    def _start(self, file_number: int) -> None:
        name = manifest_name(file_number)
        path = os.path.join(self._dir, name)
        record, chain = _frame(self._edits + 1, self._chain, snapshot_of(self.state))
        file = self._fs.open(path, "w")
        try:
            file.append(record)
            file.sync()
            self._fs.sync_dir(self._dir)
            body = f"{name} {self._edits + 1} {chain:016x}".encode()
            temporary = os.path.join(self._dir, CURRENT + ".tmp")
            self._fs.write_all(temporary, body + b" %08x\n" % recovery.crc32c(body), sync=True)
            self._fs.rename(temporary, os.path.join(self._dir, CURRENT))
            self._fs.sync_dir(self._dir)
        except BaseException:
            file.close()
            raise
        if self._file is not None:
            self._file.close()
        self._file, self.name, self.size = file, name, len(record)
        self._snapshot_size = len(record)
        self._edits, self._chain = self._edits + 1, chain

    @property
    def is_long(self) -> bool:
        """Tell whether a new file would be much shorter."""
        return self.size > ROLL_BYTES + 2 * self._snapshot_size

    def roll(self, file_number: int) -> str:
        """Begin a new file; return the name of the old one, which may go now."""
        old = self.name
        self._start(file_number)
        return old

    def append(self, change: Mapping[str, Any]) -> State:
        """Make an edit durable and return the state after it. OSError: the manifest is closed for good."""
        if self._file is None:
            raise Error("the manifest is closed")
        after = self.state.apply(change)
        record, chain = _frame(self._edits + 1, self._chain, change)
        file, self._file = self._file, None
        try:
            file.append(record)
            file.sync()
        except BaseException:
            file.close()
            raise
        self._file, self.state = file, after
        self._edits, self._chain, self.size = self._edits + 1, chain, self.size + len(record)
        return after

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
