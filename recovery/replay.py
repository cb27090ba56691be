"""Replay of a whole log: which segment is the last, and what a torn one means for those behind it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from .native import FileSystem, Path
from .native_wal import Record, ReplayReport, WalCorruption, corruption, read_packed, segment_name, unpack


def log_numbers(fs: FileSystem, directory: Path) -> list[int]:
    """Return the numbers of the log segments in a directory, ascending."""
    names = (name.removesuffix(".log") for name in fs.listdir(directory) if name.endswith(".log"))
    return sorted(int(stem) for stem in names if stem.isascii() and stem.isdigit())


def _holds_records(fs: FileSystem, path: str, salt: int, sync: str | int) -> bool:
    """Tell whether a segment has any good record, damaged or not; one that crashed while it was made has none."""
    return read_packed(fs, path, "skip", salt=salt, sync=sync)[1].records > 0


def replay(
    fs: FileSystem,
    directory: Path,
    mode: str = "point_in_time",
    *,
    salt: int = 0,
    numbers: Iterable[int] | None = None,
    sync: str | int = "os",
) -> Iterator[tuple[int, list[Record], ReplayReport]]:
    """Yield (number, records, report) of each segment, oldest first; WalCorruption when ``mode`` does not accept what is found.

    What replay_packed yields, a Record each.
    """
    for number, packed, report in replay_packed(fs, directory, mode, salt=salt, numbers=numbers, sync=sync):
        yield number, list(unpack(packed)), report


def replay_packed(
    fs: FileSystem,
    directory: Path,
    mode: str = "point_in_time",
    *,
    salt: int = 0,
    numbers: Iterable[int] | None = None,
    sync: str | int = "os",
) -> Iterator[tuple[int, bytes, ReplayReport]]:
    """Yield (number, records as of read_packed, report) of each segment, oldest first.

    Everything is read before the first yield, so that nothing is applied of a log that turns out corrupt. Missing segments: an
    end record that names a segment which is not there is corruption (except in "skip"). Behind a torn segment, later ones are not
    replayed in "point_in_time" (report.dropped_records counts theirs), and are corruption if they promise the torn one.
    """
    wanted = log_numbers(fs, directory) if numbers is None else sorted(numbers)
    paths = {n: os.path.join(os.fspath(directory), segment_name(n)) for n in wanted}
    last = len(wanted) - 1
    while last > 0 and not _holds_records(fs, paths[wanted[last]], salt, sync):
        last -= 1
    found: list[tuple[int, bytes, ReplayReport]] = []
    for place, number in enumerate(wanted):
        records, report = read_packed(fs, paths[number], mode, salt=salt, is_last=place >= last, sync=sync)
        if mode != "skip" and report.ended and report.next and place + 1 <= last and report.next != wanted[place + 1]:
            raise _missing(directory, number, report)
        if mode != "skip" and report.ended and report.next and place + 1 == len(wanted):
            raise _missing(directory, number, report)
        found.append((number, records, report))
        if report.torn_tail and place < last and mode != "skip":
            dropped = _refuse_promises(fs, paths[number], [paths[n] for n in wanted[place + 1 : last + 1]], salt, sync, report)
            found[-1] = (number, records, replace(report, dropped_records=report.dropped_records + dropped))
            break
    yield from found


def _missing(directory: Path, number: int, report: ReplayReport) -> WalCorruption:
    path = os.path.join(os.fspath(directory), segment_name(report.next))
    return corruption(
        path, replace(report, damage_offset=None, reason=f"segment {report.next} is missing, {segment_name(number)} names it")
    )


def _refuse_promises(fs: FileSystem, older: str, paths: list[str], salt: int, sync: str | int, torn: ReplayReport) -> int:
    """Count the records behind a torn segment, `older`; corruption of that when one of them promises that it was durable."""
    dropped = 0
    for path in paths:
        later = read_packed(fs, path, "skip", salt=salt, sync=sync)[1]
        if later.promised:
            raise corruption(older, replace(torn, reason=f"it ends there, and {os.path.basename(path)} promises that it was durable"))
        dropped += later.records
    return dropped


__all__ = ["WalCorruption", "log_numbers", "replay", "replay_packed"]
