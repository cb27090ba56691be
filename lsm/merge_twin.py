"""What a merge may drop, as a specification: the native executor must keep exactly what this keeps.

Snapshots cut the sequence numbers into stripes: stripe i ends at snapshot i (inclusive), the last one is open. Who can see any number of a
stripe and reads a key sees the newest version of that key in the stripe, so the others of that stripe are dropped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .memtable_twin import DELETE, MERGE, PUT, Entry, order


class Range(NamedTuple):
    """A range tombstone: hides versions with a smaller seq of the keys in [start, end)."""

    start: bytes
    end: bytes
    seq: int


@dataclass
class Merged:
    """What a merge leaves, and how many entries it dropped for which reason."""

    entries: list[Entry] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    shadowed: int = 0
    tombstones_dropped: int = 0
    range_covered: int = 0


def merge(entries: Iterable[Entry], ranges: Sequence[Range], snapshots: Sequence[int], bottom: bool) -> Merged:
    """Merge the entries and tombstones of all inputs. snapshots: ascending. bottom: nothing older than the inputs exists.

    Quadratic, on purpose.

    >>> newer, older = Entry(b"k", 9, PUT, b"b"), Entry(b"k", 4, PUT, b"a")
    >>> merge([newer, older], [], [], True).entries == [newer], merge([newer, older], [], [4], True).entries == [newer, older]
    (True, True)
    """

    def stripe(seq: int) -> int:
        return bisect_left(snapshots, seq)

    out = Merged()
    newest: set[tuple[bytes, int]] = set()  # (key, stripe) whose newest version was met
    for e in sorted(entries, key=order):
        place = e.key, stripe(e.seq)
        if place in newest:
            out.shadowed += 1
            continue
        if e.kind != MERGE:  # an operand needs what is below it
            newest.add(place)
        if any(r.start <= e.key < r.end and r.seq > e.seq and stripe(r.seq) == place[1] for r in ranges):
            out.range_covered += 1
        elif e.kind == DELETE and bottom and place[1] == 0:
            out.tombstones_dropped += 1
        else:
            out.entries.append(e)
    out.ranges = coalesce(r for r in ranges if not (bottom and stripe(r.seq) == 0))
    return out


def coalesce(ranges: Iterable[Range]) -> list[Range]:
    """Join tombstones of one sequence number that touch or overlap; sorted by (start, newest first)."""
    joined: list[Range] = []
    for r in sorted(ranges, key=lambda r: (r.seq, r.start, r.end)):
        last = joined[-1] if joined else None
        if last is not None and last.seq == r.seq and r.start <= last.end:
            joined[-1] = last._replace(end=max(last.end, r.end))
        else:
            joined.append(r)
    return sorted(joined, key=lambda r: (r.start, -r.seq))


def visible(entries: Iterable[Entry], ranges: Sequence[Range], snapshot: int) -> dict[bytes, bytes]:
    """Return what a reader at snapshot sees: the newest version of each key, unless it is a delete or a newer tombstone covers it."""
    newest: dict[bytes, Entry] = {}
    for e in sorted(entries, key=order):
        if e.seq <= snapshot:
            newest.setdefault(e.key, e)
    return {
        e.key: e.value
        for e in newest.values()
        if e.kind == PUT and not any(r.start <= e.key < r.end and e.seq < r.seq <= snapshot for r in ranges)
    }
