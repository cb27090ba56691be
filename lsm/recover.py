"""Opening: what is in the directory, is it whole, and how the log is replayed.

Nothing is written before every check has passed, and nothing old is removed before the new manifest is durable.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

import recovery
from recovery import FileSystem

from . import manifest
from .errors import CorruptionError, IOFailure, NotADatabase

_OURS = re.compile(r"(?:(\d{6,20})\.(sst|log|idx)|MANIFEST-(\d{6,20})|CURRENT|CURRENT\.tmp|LOCK)")


@dataclass(frozen=True)
class RecoveryReport:
    """What opening found: records and bytes replayed, records dropped and why (one line a log segment with damage)."""

    segments: int = 0
    records: int = 0
    bytes: int = 0
    dropped: int = 0
    reasons: tuple[str, ...] = ()


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


def look(fs: FileSystem, path: str) -> Found:
    """Read the directory and its manifest. NotADatabase for a directory with other things, CorruptionError for a database in pieces."""
    found = Found()
    names = fs.listdir(path)
    foreign = []
    for name in sorted(names):
        match = _OURS.fullmatch(name)
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
        elif match[3]:
            found.manifests.append(name)
    if "CURRENT" in names:
        found.state, found.manifest_name = manifest.load(fs, path)
        _check_tables(found, path)
    elif found.tables or found.logs:
        raise CorruptionError(
            "CURRENT is missing, and there are tables or logs: this is a database that lost its pointer", f"{path}/CURRENT"
        )
    elif foreign:
        raise NotADatabase(f"{path} is not a database and not empty: it holds {', '.join(foreign[:5])}")
    return found


def _check_tables(found: Found, path: str) -> None:
    assert found.state is not None
    named = {n for v in found.state.versions.values() for n in v.tables()}
    if missing := sorted(named - set(found.tables)):
        raise CorruptionError("the table is missing", f"{path}/{missing[0]:06d}.sst")
    if missing := sorted(found.state.attached_files() - set(found.riders)):
        raise CorruptionError("the index is missing", f"{path}/{missing[0]:06d}.idx")


def replay(fs: FileSystem, path: str, found: Found, mode: str, sync: str) -> tuple[list[tuple[int, bytes]], RecoveryReport]:
    """Read the live log segments. Returns the records (sequence, payload) and the report. CorruptionError as the mode says."""
    state = found.state
    assert state is not None
    live = [n for n in found.logs if n >= state.log_floor]
    records: list[tuple[int, bytes]] = []
    reasons, dropped, size = [], 0, 0
    try:
        for number, rows, report in recovery.replay(fs, path, mode, salt=state.database_id, numbers=live, sync=sync):
            records += [(r.seq, r.payload) for r in rows]
            size += report.bytes
            dropped += report.dropped_records
            if report.torn_tail or report.dropped_records:
                reasons.append(
                    f"{number:06d}.log: {report.reason}; {report.dropped_records} records dropped behind byte {report.end_offset}"
                )
    except recovery.WalCorruption as e:
        damage = e.report.damage_offset
        raise CorruptionError(f"the log is damaged: {e.strerror}", os.fspath(e.filename or path), damage) from None
    except OSError as e:
        raise IOFailure("read log", os.fspath(e.filename or path), e.errno or 0) from None
    _check_end(state, records, path, mode)
    return records, RecoveryReport(len(live), len(records), size, dropped, tuple(reasons))


def _check_end(state: manifest.State, records: list[tuple[int, bytes]], path: str, mode: str) -> None:
    """After a clean close the log must reach the sequence number that was recorded then."""
    if state.closed is None or mode == "skip":
        return
    last = max(state.flushed.values(), default=0)
    if records:
        seq, payload = records[-1]
        last = max(last, seq + int.from_bytes(payload[:4], "little") - 1)
    if last < state.closed["seq"]:
        raise CorruptionError(
            f"the log ends at sequence {last}, the clean close was at {state.closed['seq']}: a segment is missing or cut",
            f"{path}/{state.closed['log']:06d}.log",
        )
