"""Opening: what is in the directory, is it whole, and how the log is replayed.

Nothing is written before every check has passed, and nothing old is removed before the new manifest is durable.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import recovery
from recovery import FileSystem

from . import manifest
from .errors import CorruptionError, IOFailure, NotADatabase

OURS = re.compile(r"(?:(\d{6,20})\.(sst|log|idx|vlog)|MANIFEST-(\d{6,20})|CURRENT|CURRENT\.tmp|LOCK|KEYS|KEYS\.tmp)")


@dataclass(frozen=True)
class SegmentReport:
    """One segment of the log: what was replayed, what was skipped, and why. ``torn``: it ended as a crash may leave it."""

    number: int
    records: int
    bytes: int
    first_seq: int
    last_seq: int
    dropped: int
    dropped_bytes: int
    torn: bool
    reason: str


_END_RECORD = 48  # bytes of the record that ends a segment


@dataclass(frozen=True)
class RecoveryReport:
    """What opening found: records and bytes replayed, records dropped and why (one line a log segment with damage).

    ``logs``: a row a segment. ``removed``: files that nothing needed any more. ``seconds``: from the first look to the last file removed.
    """

    segments: int = 0
    records: int = 0
    bytes: int = 0
    dropped: int = 0
    reasons: tuple[str, ...] = ()
    logs: tuple[SegmentReport, ...] = ()
    removed: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass
class Found:
    """What a directory holds."""

    state: manifest.State | None = None
    manifest_name: str | None = None
    highest: int = 0  # largest number of any file
    logs: list[int] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)
    riders: list[int] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what of the manifest is to be told
    names: list[str] = field(default_factory=list)  # all
    used: dict[int, int] = field(default_factory=dict)  # log segments that were replayed, and how much of each; 0: all, with its end record
    last_time: int = 0  # the last time mark in them
    values: list[int] = field(default_factory=list)  # value files


def ours(name: str) -> bool:
    """Tell whether a file of this name is part of a database."""
    return OURS.fullmatch(name) is not None


def look(fs: FileSystem, path: str) -> Found:
    """Read the directory and its manifest. NotADatabase for a directory with other things, CorruptionError for a database in pieces."""
    names = fs.listdir(path)
    found = Found(names=names)
    foreign = []
    for name in sorted(names):
        match = OURS.fullmatch(name)
        if not match:
            foreign.append(name)
            continue
        number = int(match[1] or match[3] or 0)
        found.highest = max(found.highest, number)
        if match[2] == "sst":
            found.tables.append(number)
        elif match[2] == "log":
            found.logs.append(number)
        elif match[2] == "idx":
            found.riders.append(number)
        elif match[2] == "vlog":
            found.values.append(number)
        elif match[3]:
            found.manifests.append(name)
    if "CURRENT" in names:
        found.state, found.manifest_name = manifest.load(fs, path)
        found.notes += found.state.notes
        _check_tables(found, path)
    elif found.tables or found.logs or found.riders or found.values or any(_has_content(fs, path, name) for name in found.manifests):
        raise CorruptionError(
            "CURRENT is missing, and there are tables, logs or a manifest: this is a database that lost its pointer", f"{path}/CURRENT"
        )
    elif foreign:
        raise NotADatabase(f"{path} is not a database and not empty: it holds {', '.join(foreign[:5])}")
    return found


def _has_content(fs: FileSystem, path: str, name: str) -> bool:
    """Tell whether a manifest without CURRENT is of more than a database that was being made when a crash came."""
    rows, damage = manifest.readable_rows(fs.read_all(f"{path}/{name}"), name)
    if not rows:
        return False
    state = manifest.state_of(rows, name)
    return damage is not None or len(rows) > 1 or state.last_seq > 0 or any(v.tables() for v in state.versions.values())


def _check_tables(found: Found, path: str) -> None:
    assert found.state is not None
    named = {n for v in found.state.versions.values() for n in v.tables()}
    if missing := sorted(named - set(found.tables)):
        raise CorruptionError("the table is missing", f"{path}/{missing[0]:06d}.sst")
    if missing := sorted({x.number for v in found.state.versions.values() for x in v.values} - set(found.values)):
        raise CorruptionError("the value file is missing", f"{path}/{missing[0]:06d}.vlog")
    if missing := sorted(found.state.attached_files() - set(found.riders)):
        raise CorruptionError("the index is missing", f"{path}/{missing[0]:06d}.idx")


def replay(fs: FileSystem, path: str, found: Found, mode: str, sync: str) -> tuple[list[bytes], RecoveryReport]:
    """Read the live log segments. Returns the records of each as `recovery.unpack` takes them, and the report.

    CorruptionError as the mode says.
    """
    state = found.state
    assert state is not None
    live = [n for n in found.logs if n >= state.log_floor]
    if mode != "skip" and state.log_floor and not state.no_log and state.log_floor not in live:
        raise CorruptionError("the oldest log segment that the manifest needs is missing", f"{path}/{state.log_floor:06d}.log")
    packed: list[bytes] = []
    reasons, dropped, size = list(found.notes), 0, 0
    logs = list[SegmentReport]()
    try:
        for number, records, report in recovery.replay_packed(fs, path, mode, salt=state.log_salt, numbers=live, sync=sync):
            packed.append(records)
            size += report.bytes
            logs.append(_segment(number, report))
            if report.ended or report.end_offset > recovery.SEGMENT_HEADER:
                found.used[number] = 0 if report.ended else report.end_offset
            found.last_time = max(found.last_time, report.last_time)
            dropped += report.dropped_records
            if report.torn_tail or report.dropped_records or report.dropped_bytes:
                reasons.append(
                    f"{number:06d}.log: {report.reason}; {report.dropped_records} records dropped behind byte {report.end_offset}"
                )
            _check_length(found, number, report, path)
            if state.closed is not None and number == state.closed["log"] and not report.ended and report.records:
                reasons.append(f"{number:06d}.log: it was closed, and its end record is gone")
    except recovery.WalCorruption as e:
        damage = e.report.damage_offset
        raise CorruptionError(f"the log is damaged: {e.strerror}", os.fspath(e.filename or path), damage) from None
    except OSError as e:
        raise IOFailure("read log", os.fspath(e.filename or path), e.errno or 0) from None
    _check_end(state, packed, path, mode)
    return packed, RecoveryReport(len(live), sum(log.records for log in logs), size, dropped, tuple(reasons), tuple(logs))


def _segment(number: int, report: recovery.ReplayReport) -> SegmentReport:
    spans = (report.first_seq, report.last_seq, report.dropped_records, report.dropped_bytes)
    return SegmentReport(number, report.records, report.bytes, *spans, report.torn_tail, report.reason)


def _check_length(found: Found, number: int, report: recovery.ReplayReport, path: str) -> None:
    """A log that is longer than the manifest says it was at the clean close has a later manifest."""
    closed = found.state.closed if found.state else None
    if closed is not None and number == closed["log"] and report.end_offset > closed["used"] + _END_RECORD:
        what = f"older than the log: at the clean close {number:06d}.log had {closed['used']} bytes, now it has {report.end_offset}"
        raise CorruptionError(what, f"{path}/{found.manifest_name}")


def _check_end(state: manifest.State, packed: list[bytes], path: str, mode: str) -> None:
    """After a clean close the log must reach the sequence number that was recorded then."""
    if state.closed is None or mode == "skip":
        return
    last = max(state.flushed.values(), default=0)
    for newest in deque((r for records in packed for r in recovery.unpack(records)), maxlen=1):
        last = max(last, newest.seq + int.from_bytes(newest.payload[:4], "little") - 1)
    if last < state.closed["seq"]:
        raise CorruptionError(
            f"the log ends at sequence {last}, the clean close was at {state.closed['seq']}: a segment is missing or cut",
            f"{path}/{state.closed['log']:06d}.log",
        )


def new_id(seed: int, *, deterministic: bool) -> int:
    """Return the number of a new database: random, except where it must follow from the seed."""
    raw = hashlib.blake2b(str(seed).encode(), digest_size=8).digest() if deterministic else os.urandom(8)
    return int.from_bytes(raw, "little") | 1
