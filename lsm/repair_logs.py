"""The logs of a damaged database: every record that passes its checksum, and which sequence numbers are missing between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import recovery
from recovery import FileSystem, ReplayReport

from .repair_report import LostRecords

Record = tuple[int, bytes]  # sequence number of the first operation, payload


@dataclass
class Logs:
    """``records`` by sequence number, of segments ``first`` and later, each of which names the next. ``complete``: none of them is damaged
    but for a tail that a crash may have torn. ``apart``: older segments that are not connected.
    """

    records: list[Record] = field(default_factory=list)
    first: int | None = None
    complete: bool = True
    lost: list[LostRecords] = field(default_factory=list)
    apart: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)


def read_logs(fs: FileSystem, path: str, numbers: Sequence[int], salt: int) -> Logs:
    """Read segments in skip mode. A segment that cannot be read at all counts as damaged."""
    logs, rows = Logs(), list[tuple[int, list[Record], ReplayReport | None]]()
    for n in sorted(numbers):
        name = f"{path}/{recovery.segment_name(n)}"
        try:
            good, about = recovery.read_wal(fs, name, "skip", salt=salt)
            rows.append((n, [(r.seq, r.payload) for r in good], about))
        except OSError:
            rows.append((n, [], None))
    rows = _connected(rows, logs)
    last = max((n for n, records, _ in rows if records), default=0)
    following: int | None = None  # the sequence number that comes next, unless records are missing
    for n, records, report in rows:
        what, at, dropped = _damage(fs, path, n, report, salt=salt, is_last=n >= last)
        if what:
            logs.damaged.append(n)
        for seq, payload in records:
            if following is not None and seq > following:
                logs.lost.append(
                    LostRecords(
                        recovery.segment_name(n), what or "records before this segment are missing", at, dropped, following, seq - 1
                    )
                )
                what, dropped = "", 0
            following = max(following or 0, seq + int.from_bytes(payload[:4], "little"))
        if what:
            logs.lost.append(LostRecords(recovery.segment_name(n), what, at, dropped, following, None))
        logs.records += records
    if rows and (final := rows[-1][2]) is not None and final.ended and final.next:
        logs.lost.append(LostRecords(recovery.segment_name(final.next), "the segment is missing", None, 0, following, None))
    logs.first = rows[0][0] if rows else None
    logs.complete = not logs.lost
    logs.records.sort(key=lambda r: r[0])
    return logs


def _connected(
    rows: list[tuple[int, list[Record], ReplayReport | None]], logs: Logs
) -> list[tuple[int, list[Record], ReplayReport | None]]:
    """The longest row of segments, up to the newest, in which an end record that names the next one is kept to."""
    start = 0
    for i in range(len(rows) - 1):
        report = rows[i][2]
        if report is not None and report.ended and report.next != rows[i + 1][0]:
            start = i + 1
    logs.apart = [n for n, _, _ in rows[:start]]
    return rows[start:]


def _damage(fs: FileSystem, path: str, n: int, report: ReplayReport | None, *, is_last: bool, salt: int) -> tuple[str, int | None, int]:
    """Return what is wrong with a segment ("": nothing, or a tail that a crash may have torn), where, and the bytes dropped."""
    if report is None:
        return "the segment cannot be read", None, 0
    try:
        recovery.read_wal(fs, f"{path}/{recovery.segment_name(n)}", "point_in_time", salt=salt, is_last=is_last)
    except OSError:
        return f"damaged: {report.reason}", report.damage_offset, report.dropped_bytes
    return "", None, 0
