"""The extension's write-ahead log as typed Python: writer, reader, and the addresses that the engine's C calls."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from .native import Buffer, FileSystem, Path, check  # isort: skip  (says clearly what to do when the extension is missing)
from ._native import ffi, lib

SYNC_MODES: dict[str, int] = {n: int(getattr(lib, f"REC_SYNC_{n.upper()}")) for n in ("none", "os", "group", "every", "interval")}
RECOVERY_MODES: dict[str, int] = {
    n: int(getattr(lib, f"REC_RECOVER_{n.upper()}")) for n in ("absolute", "tolerate_tail", "point_in_time", "skip")
}
DAMAGE: dict[int, str] = {
    int(getattr(lib, f"REC_{n.upper()}")): n.replace("_", " ")
    for n in ("intact", "bad_header", "bad_crc", "bad_length", "bad_type", "foreign", "truncated")
}
NOWHERE = (1 << 64) - 1
SEGMENT_HEADER = 32  # bytes of a segment before its first record
FORCE = NOWHERE
_HEAD = struct.Struct("<QII")
DATA, MARK, NOTE = int(lib.REC_WAL_DATA), int(lib.REC_WAL_MARK), int(lib.REC_WAL_NOTE)


def wal_ops_address() -> int:
    """Return the address of the default ``rec_wal_ops``."""
    return int(ffi.cast("uintptr_t", lib.rec_wal_default()))


def wal_read_address() -> int:
    """Return the address of ``rec_wal_read`` (declared in wal_read.h)."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, "rec_wal_read")))


def segment_name(number: int) -> str:
    """Return the file name of a log segment."""
    return f"{number:06d}.log"


def segment_capacity(header: bytes) -> int:
    """Return the preallocated bytes that the header of a segment names."""
    return int.from_bytes(header[24:28], "little") * 4096


def _pick(kinds: dict[str, int], value: str | int, what: str) -> int:
    code = kinds.get(value) if isinstance(value, str) else value
    if code is None or code not in kinds.values():
        raise ValueError(f"{what} {value!r}: one of {', '.join(kinds)}")
    return code


def _config(sync: str | int, segment_bytes: int, interval_ns: int, salt: int) -> Any:
    return ffi.new("rec_wal_config *", [_pick(SYNC_MODES, sync, "sync mode"), segment_bytes, interval_ns, salt, 0, 0, ffi.NULL])


class Clock:
    """A wall clock that stands where it is put: ``now_ns``, nanoseconds since 1970. For tests, and runs that are to be repeated."""

    def __init__(self, now_ns: int = 0) -> None:
        self._cell = ffi.new("uint64_t *", now_ns)

    @property
    def now_ns(self) -> int:
        """Where it stands."""
        return int(self._cell[0])

    @now_ns.setter
    def now_ns(self, now_ns: int) -> None:
        self._cell[0] = now_ns

    @property
    def address(self) -> int:
        """Where C reads it; whoever passes it on keeps this object alive."""
        return int(ffi.cast("uintptr_t", self._cell))


@dataclass(frozen=True, slots=True)
class Record:
    """One good log record. kind: DATA, MARK (a time, ns u64: `time`) or NOTE."""

    seq: int
    payload: bytes
    kind: int = DATA

    @property
    def time(self) -> int:
        """The time that a mark says, ns since 1970."""
        return int.from_bytes(self.payload, "little")


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What the replay of one segment found. Offsets and lengths in bytes; ``damage_offset`` is None when there was no damage."""

    records: int = 0
    bytes: int = 0
    dropped_records: int = 0
    dropped_bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    end_offset: int = 0
    damage_offset: int | None = None
    torn_tail: bool = False
    reason: str = "intact"
    ended: bool = False
    next: int = 0
    promised: int = 0
    first_time: int = 0
    last_time: int = 0


class WalCorruption(OSError):
    """A log is damaged beyond what the recovery mode accepts (errno EBADMSG); ``report`` says where and why."""

    report: ReplayReport


def _report(raw: Any) -> ReplayReport:
    fields = {name: int(getattr(raw, name)) for name, _ in ffi.typeof("rec_replay_report").fields}
    damage = fields.pop("damage_offset")
    torn, reason, ended = bool(fields.pop("torn_tail")), DAMAGE[fields.pop("reason")], bool(fields.pop("ended"))
    return ReplayReport(**fields, damage_offset=None if damage == NOWHERE else damage, torn_tail=torn, reason=reason, ended=ended)


def corruption(path: Path, report: ReplayReport) -> WalCorruption:
    """Return the error that tells of a damaged segment."""
    where = "no end record" if report.damage_offset is None else f"offset {report.damage_offset}"
    problem = WalCorruption(errno.EBADMSG, f"log damaged at {where}: {report.reason}", str(path))
    problem.report = report
    return problem


def read_wal(
    fs: FileSystem,
    path: Path,
    mode: str | int = "point_in_time",
    *,
    salt: int = 0,
    is_last: bool = True,
    sync: str | int = "os",
    notes: bool = False,
) -> tuple[list[Record], ReplayReport]:
    """Return the good records of one segment and what was found; WalCorruption when ``mode`` does not accept the damage.

    ``notes``: time marks and notes also, in their places; else data alone.
    ``is_last``: no later segment holds a record, so that the end record may be missing. ``sync`` counts only where the segment's
    own header is damaged. O(size of the file).
    """
    packed, report = read_packed(fs, path, mode, salt=salt, is_last=is_last, sync=sync)
    return list(unpack(packed, notes=notes)), report


def unpack(packed: bytes, *, notes: bool = False) -> Iterator[Record]:
    """Yield the records of what read_packed returned; ``notes`` as of read_wal."""
    at = 0
    while at < len(packed):
        seq, length, kind = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        if notes or kind == DATA:
            yield Record(seq, packed[at : at + length], kind)
        at += length


def read_packed(
    fs: FileSystem, path: Path, mode: str | int = "point_in_time", *, salt: int = 0, is_last: bool = True, sync: str | int = "os"
) -> tuple[bytes, ReplayReport]:
    """Do what read_wal does, with the records as they come out of C, time marks and notes among them.

    | seq u64 | length u32 | kind u32 | payload |, little-endian, one after another.
    """
    out, n, raw = ffi.new("uint8_t **"), ffi.new("size_t *"), ffi.new("rec_replay_report *")
    config = _config(sync, 0, 0, salt)
    code = lib.rec_wal_collect(fs.pointer, os.fsencode(path), config, _pick(RECOVERY_MODES, mode, "recovery mode"), is_last, out, n, raw)
    try:
        packed = bytes(ffi.buffer(out[0], n[0])) if n[0] else b""
    finally:
        lib.rec_bridge_free(out[0])
    report = _report(raw)
    if code == -errno.EBADMSG:
        raise corruption(path, report)
    check(code, path)
    return packed, report


class WalWriter:
    """The native log writer (for tests and tools; the engine calls it from C). Methods raise OSError; after one failure all do."""

    def __init__(
        self,
        fs: FileSystem,
        directory: Path,
        number: int = 1,
        *,
        sync: str | int = "os",
        segment_bytes: int = 1 << 20,
        interval_ns: int = 0,
        salt: int = 0,
        clock: Clock | None = None,
        last_time: int = 0,
    ) -> None:
        """Create segment ``number`` in a directory; it must not exist. With a clock: with time marks, from ``last_time`` on, and notes."""
        self._fs, self.directory = fs, directory
        self._ops = lib.rec_wal_default()
        out = ffi.new("rec_wal **")
        config, self._clock = _config(sync, segment_bytes, interval_ns, salt), clock
        if clock is not None:
            config.notes, config.last_time, config.clock = 1, last_time, ffi.cast("uint64_t *", clock.address)
        check(self._ops.create(fs.pointer, os.fsencode(directory), number, config, out), directory)
        self._wal: Any = out[0]

    @property
    def _open(self) -> Any:
        if self._wal is None:
            raise ValueError("the log is closed")
        return self._wal

    def try_append(self, seq: int, *parts: Buffer) -> int | None:
        """Append one record made of parts; return its lsn, or None when the segment has no room for it."""
        views = [ffi.from_buffer(part) for part in parts]
        slices = ffi.new("rec_slice[]", [(view, len(view)) for view in views])
        lsn = ffi.new("uint64_t *")
        full = check(self._ops.append(self._open, seq, slices, len(views), lsn), self.directory)
        return None if full else int(lsn[0])

    def append(self, seq: int, *parts: Buffer) -> int:
        """Like :meth:`try_append`, rolling over to the next number when the segment is full."""
        lsn = self.try_append(seq, *parts)
        if lsn is None:
            self.rotate(self.number + 1, sum(len(memoryview(part).cast("B")) for part in parts))
            lsn = self.try_append(seq, *parts)
        assert lsn is not None
        return lsn

    def note(self, data: Buffer) -> None:
        """Append a note, rolling over when the segment is full. OSError EINVAL for a log without a clock."""
        view = ffi.from_buffer(data)
        if check(self._ops.note(self._open, view, len(view)), self.directory):
            self.rotate(self.number + 1, len(view))
            check(self._ops.note(self._open, view, len(view)), self.directory)

    @property
    def time(self) -> int:
        """The last time mark, ns; 0 when there is none."""
        return int(self._ops.time(self._open))

    def sync_to(self, lsn: int = FORCE) -> None:
        """Return when all up to lsn is durable; FORCE: everything so far, whatever the mode."""
        check(self._ops.sync_to(self._open, lsn), self.directory)

    def rotate(self, number: int, need: int = 0) -> None:
        """End the segment and begin another that can take a record of ``need`` payload bytes."""
        check(self._ops.rotate(self._open, number, need), self.directory)

    def prepare(self, number: int) -> None:
        """Make the segment of a later `rotate` to this number, from any thread. An error is this call's alone: the log goes on."""
        check(self._ops.prepare(self._open, number), self.directory)

    @property
    def prepared(self) -> int:
        """Number of the segment that waits for its turn; 0: none."""
        return int(self._ops.prepared(self._open))

    @property
    def used(self) -> int:
        """Bytes of the current segment in use."""
        return int(self._ops.used(self._open))

    @property
    def number(self) -> int:
        """Number of the current segment."""
        return int(self._ops.number(self._open))

    @property
    def written(self) -> int:
        """Bytes written over the life of the log, headers included."""
        return int(self._ops.written(self._open))

    @property
    def syncs(self) -> int:
        """Syncs of segment data so far."""
        return int(self._ops.syncs(self._open))

    def close(self) -> None:
        """End the log cleanly; a second call does nothing. An error is raised, and the log is closed all the same."""
        wal, self._wal = self._wal, None
        if wal is not None:
            check(self._ops.close(wal), self.directory)

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
