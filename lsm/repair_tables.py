"""The tables of a repaired database: in the places that the manifest gives them, or merged; and what of them is lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from . import manifest
from .inventory import shown
from .memtable_twin import Entry
from .merge_twin import Range
from .native import Job, JobInput, Table, TableSettings
from .native_tables import build_table, ranges, scan
from .options import Options
from .repair_report import Loss
from .repair_values import Values
from .repair_work import Source, Work, copy_file, take_from_copy
from .salvage import Examined, Hole
from .settings import settings_of
from .version import Edit, TableInfo, Version

UNNAMED = "recovered"
OUTPUT = 64 << 20  # bytes of a table that merging makes


# From the manifest


def by_manifest(work: Work, values: Values, old: manifest.State, state: manifest.State) -> None:
    for number, version in old.versions.items():
        added = []
        for level, run in reversed(list(version.runs())):
            for info in run.tables:
                made = _in_its_place(work, values, info, old, number, version, level)
                added += [(level, run.id, made)] if made is not None else []
        state.apply(Edit(number, added=tuple(added), values=values.of(t for _, _, t in added)))
        _heal_from_log(work, state, number)
    named = {n for v in old.versions.values() for n in v.tables()}
    for n in sorted(work.sources.keys() - named):
        if work.sources[n].left is not None:
            work.report.notes.append(f"{work.sources[n].file}: damaged, and not named by the manifest: nothing of it was needed")


def _in_its_place(
    work: Work, values: Values, info: TableInfo, old: manifest.State, number: int, version: Version, level: int
) -> TableInfo | None:
    """Take a table over, or what is left of it; None when nothing is."""
    source = work.sources.get(info.number)
    name, space = f"{info.number:06d}.sst", old.names[number]
    is_it = source is not None and source.props is not None and TableInfo.of(source.props) == info
    if not is_it and values.can_serve(info) and take_from_copy(work, name, info):
        values.use(info)
        return info
    if source is None:
        whole = Hole("data", 0, info.size, "the table is missing", info.smallest, info.largest)
        _tell_loss(work, name, space, info, [whole], info.entries, info.deletions, version, level)
        return None
    if source.left is None:
        assert source.props is not None
        said = TableInfo.of(source.props)
        if said != info:
            work.report.notes.append(f"{name}: whole, but not the table that the manifest names; it was taken, as its number is right")
        if not values.can_serve(said):
            return _with_values(work, values, source, said, space, number, version, level)
        values.use(said)
        copy_file(work, source.file, name)
        work.report.kept += said == info
        return said
    return _salvage(work, values, source.left, source.file, space, number, info, version, level)


def _with_values(
    work: Work, values: Values, source: Source, info: TableInfo, space: str, number: int, version: Version | None, level: int
) -> TableInfo | None:
    """Write a whole table again, with the values that can be read out of damaged value files in it."""
    holes = list[Hole]()
    table = Table(work.env, TableSettings(), f"{work.found.path}/{source.file}", source.number)
    try:
        return _written(work, values.serve(scan(table, fill_cache=False), holes), ranges(table), space, number, level)
    finally:
        table.close()
        _tell_values(work, holes, space, info, version, level)


def _written(work: Work, entries: Iterable[Entry], gaps: list[Range], space: str, number: int, level: int) -> TableInfo | None:
    """Write a new table; None when there is nothing to write."""
    fresh, entries = work.take_number(), iter(entries)
    first = next(entries, None)
    if first is None and not gaps:
        return None
    settings, path = settings_of(Options(), space, number), f"{work.target}/{fresh:06d}.sst"
    both = entries if first is None else chain([first], entries)
    props = build_table(work.env, settings, path, fresh, both, gaps, level=level, cause="compaction")
    work.report.salvaged += 1
    work.report.entries += props.entries
    return TableInfo.of(props)


def _tell_values(work: Work, holes: list[Hole], space: str, info: TableInfo, version: Version | None, level: int) -> None:
    for h in holes:
        _tell_loss(work, h.component, space, info, [replace(h, component="data")], 1, 0, version, level)


def _salvage(
    work: Work,
    values: Values,
    left: Examined,
    file: str,
    space: str,
    number: int,
    info: TableInfo | None,
    version: Version | None,
    level: int,
) -> TableInfo | None:
    """Write the whole blocks of a damaged table as a new one, and tell what is missing."""
    entries = info.entries if info is not None else left.number_of("entries")
    deletions = info.deletions if info is not None else left.number_of("deletions")
    ranges = info.range_deletes if info is not None else left.number_of("range_deletes")
    lost = None if entries is None else entries - left.entries
    gone = None if deletions is None else deletions - sum(e.kind == 0 for e in left)
    holes = [h for h in left.holes if h.component == "data"] if lost != 0 else []
    if ranges is None or ranges > len(left.ranges):
        holes += [h for h in left.holes if h.component == "range tombstones"]
    if lost and not holes:
        holes = [Hole("data", left.size, 0, "entries are missing")]
    if holes:
        said = info or TableInfo(left.number, left.size, entries or 0, deletions or 0, b"", b"", False, left.min_seq, left.max_seq)
        _tell_loss(work, file, space, said, holes, lost, gone, version, level, open_ended=info is None)
    lacking = list[Hole]()
    made = _written(work, values.serve(left, lacking), left.ranges, space, number, level)
    said = info or TableInfo(left.number, left.size, entries or 0, deletions or 0, b"", b"", False, left.min_seq, left.max_seq)
    _tell_values(work, lacking, space, said, version, level)
    return made


def _tell_loss(
    work: Work,
    file: str,
    space: str,
    info: TableInfo,
    holes: list[Hole],
    entries: int | None,
    deletions: int | None,
    version: Version | None,
    level: int,
    *,
    open_ended: bool = False,
) -> None:
    low, high = (None, None) if open_ended else (info.smallest, info.largest)
    for i, h in enumerate(holes):
        data = h.component == "data"
        first, last = (h.first if h.first is not None else low), (h.last if h.last is not None else high)
        counts = (entries, deletions) if len(holes) == 1 and data else (None, None) if i or not data else (entries, deletions)
        what = h.what if data else f"range tombstones: {h.what}"
        if data and len(holes) > 1 and entries is not None:
            what += f" ({len(holes)} stretches of this table, {entries} entries together)" if not i else " (counted with the first)"
        work.report.lost.append(Loss(file, space, what, h.offset, h.size, first, last, *counts, info.min_seq, info.max_seq))
        if version is None:
            continue
        older = sorted(t.number for t in _below(version, info.number, level) if t.overlaps(first or b"", last or t.largest))
        if older:
            tables = ", ".join(f"{n:06d}.sst" for n in older[:5]) + (" ..." if len(older) > 5 else "")
            keys = f"{first!r} to {last!r}"[:160]
            work.report.returned.append(f"keyspace {space!r}, keys {keys}: older versions and deleted keys of {tables}")


def _below(version: Version, number: int, level: int) -> list[TableInfo]:
    """The tables of runs that are older than the one that holds a table."""
    runs = [run for _, run in version.runs()]
    place = next(i for i, run in enumerate(runs) if any(t.number == number for t in run.tables))
    return [t for run in runs[place + 1 :] for t in run.tables]


def _heal_from_log(work: Work, state: manifest.State, number: int) -> None:
    """Where the log still has every write from the oldest of a damaged table on, replaying it brings back what the table lost."""
    report, logs = work.report, work.logs
    space = state.names[number]
    lost = [x for x in report.lost if x.keyspace == space and not x.restored]
    if not lost or not logs.records or not logs.complete:
        return
    reach = logs.records[0][0]
    healed = [x for x in lost if x.min_seq >= reach]
    if not healed:
        return
    state.flushed[number] = min(state.flushed[number], min(x.min_seq for x in healed) - 1)
    report.lost = [replace(x, restored=True) if x in healed else x for x in report.lost]
    if len(healed) == len(lost):
        report.returned = [x for x in report.returned if not x.startswith(f"keyspace {space!r},")]


# From the tables alone


def by_tables(work: Work, values: Values, state: manifest.State) -> None:
    groups: dict[int, list[Source]] = {}
    for source in sorted(work.sources.values(), key=lambda s: s.number):
        groups.setdefault(_keyspace_of(work, source, state), []).append(source)
    for number, sources in sorted(groups.items()):
        if number not in state.names:
            state.add_keyspace(number, free_name(state, UNNAMED), {})
        made = _merge(work, values, sources, state.names[number], number)
        run = state.next_run
        state.apply(Edit(number, added=tuple((1, run, t) for t in made), values=values.of(made)))
        if len(sources) > 1:
            work.report.returned.append(
                f"keyspace {state.names[number]!r}: {len(sources)} tables were merged; one that a compaction had replaced cannot be told "
                "from a live one, so keys deleted since may be back"
            )
    if 0 not in state.names:
        state.add_keyspace(0, "default", {})
    _tell_missing(work)


def _tell_missing(work: Work) -> None:
    """Tables of which no file is left: which the readable part of the manifest names, or that there may be some, where there is none."""
    old, report = work.found.state, work.report
    if old is None:
        report.notes.append("tables of which no file is left cannot be told: which there were stands in the manifest alone")
        return
    for number, version in old.versions.items():
        for n, info in sorted(version.tables().items()):
            if n not in work.sources:
                what = f"{info.entries} entries, keys {shown(info.smallest)} to {shown(info.largest)} of keyspace {old.names[number]!r}"
                report.notes.append(f"{n:06d}.sst is missing: {what}, are lost unless a compaction had replaced it")


def _keyspace_of(work: Work, source: Source, state: manifest.State) -> int:
    """By the table's own word, else by the readable part of the manifest, else a keyspace for those of unknown origin."""
    said = None
    if source.props is not None and source.props.keyspace:
        said = source.props.keyspace_id, source.props.keyspace
    elif source.left is not None:
        said = source.left.keyspace
    if said is not None:
        if said[0] not in state.names:
            state.add_keyspace(said[0], free_name(state, said[1]), {})
            work.report.notes.append(f"keyspace {said[1]!r} is known by its tables alone: its own options are lost")
        return said[0]
    for number, version in (work.found.state.versions if work.found.state else {}).items():
        if source.number in version.tables():
            return number
    known = {s.props.keyspace_id for s in work.sources.values() if s.props is not None and s.props.keyspace}
    if not known and not state.names:
        state.add_keyspace(0, "default", {})
    if set(state.names) <= {0} and known <= {0}:
        work.report.notes.append(f"{source.file} does not say its keyspace; it was taken for the default one")
        return 0
    work.report.notes.append(f"{source.file} does not say its keyspace; it is in {UNNAMED!r}")
    taken = [n for n, name in state.names.items() if name == UNNAMED]
    return taken[0] if taken else max([*state.names, *known]) + 1


def free_name(state: manifest.State, name: str) -> str:
    taken = set(state.names.values())
    return name if name not in taken else next(f"{name}-{i}" for i in range(1, len(taken) + 2) if f"{name}-{i}" not in taken)


def _merge(work: Work, values: Values, sources: list[Source], space: str, number: int) -> list[TableInfo]:
    """Merge tables into one run of the new directory: the newest version of a key wins by its sequence number, deletions are kept."""
    settings, inputs, salvaged = settings_of(Options(), space, number), list[Table](), list[TableInfo]()
    try:
        for source in sources:
            made: TableInfo | None
            if source.left is not None:
                made = _salvage(work, values, source.left, source.file, space, number, None, None, 0)
            elif source.props is not None and values.can_serve(TableInfo.of(source.props)):
                inputs.append(Table(work.env, TableSettings(), f"{work.found.path}/{source.file}", source.number))
                work.report.kept += 1
                continue
            else:
                assert source.props is not None
                made = _with_values(work, values, source, TableInfo.of(source.props), space, number, None, 0)
            if made is not None:
                salvaged.append(made)
                inputs.append(Table(work.env, TableSettings(), f"{work.target}/{made.number:06d}.sst", made.number))
        if not inputs:
            return []
        first, most = work.next_number, sum(t.props.file_size for t in inputs) * 2 // OUTPUT + 8
        work.next_number += most
        job = Job(
            work.env,
            settings,
            [JobInput((t,), 0) for t in inputs],
            directory=work.target,
            first_number=first,
            max_outputs=most,
            output_bytes=OUTPUT,
            cuts=(),
            snapshots=(),
            bottom=False,
            level=1,
            cause="compaction",
        )
        made_tables = [TableInfo.of(p) for p in job.run().outputs]
        for info in made_tables:
            values.use(info)
    finally:
        for table in inputs:
            table.close()
    for info in salvaged:
        work.fs.unlink(f"{work.target}/{info.number:06d}.sst")
    return made_tables
