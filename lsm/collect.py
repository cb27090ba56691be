"""Key-value separation as work of the executor: flushes that write value files, and collections that move what is alive out of some.

A collection claims every table that points into its victims and writes each again, in its place, with new pointers: key, sequence number
and kind of every entry stay, so that nothing that was written meanwhile and nothing that a snapshot sees can be lost or come back. All
of it enters the manifest in one record. The victims stay on the disk until the last version with one of the old tables is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from .collectors import view_of
from .errors import CorruptionError, PlanRefused
from .native import JobInput, JobResult
from .native_db import Mem
from .native_values import Heat, ValueWriter
from .plan import Claim
from .version import Edit, TableInfo, Version

if TYPE_CHECKING:
    from .executor import Executor
    from .keyspace import Keyspace

HOT = 4  # writes of a key within as many writes as there are live values: the mean is 1 (least is written with it: F10's Zipf at 50 %)
FEWEST = 1024  # writes in a window of the heat sketch, at least


@contextmanager
def writing(executor: Executor, space: Keyspace, cause: str, size: int) -> Iterator[ValueWriter]:
    """Give a writer for about ``size`` bytes of values; what it made is unlinked unless it was finished."""
    o = space.options.value_log
    heat = _heat(space) if space.collector.by_heat else None
    count = size // o.file_bytes + (2 if heat is None else 4)
    first = executor.db.core.take_numbers(count)
    writer = ValueWriter(
        executor.db.env,
        executor.db.path,
        first_number=first,
        max_files=count,
        min_bytes=max(1, o.min_bytes),
        file_bytes=o.file_bytes,
        keyspace_id=space.number,
        cause=cause,
        heat=heat,
        hot=HOT,
    )
    try:
        yield writer
    finally:
        writer.close()


@contextmanager
def separating(executor: Executor, space: Keyspace, mems: list[Mem]) -> Iterator[ValueWriter | None]:
    """Give the writer of a flush; None where values stay with their keys."""
    if not space.options.value_log.min_bytes:
        yield None
        return
    with writing(executor, space, "flush", sum(m.memory for m in mems)) as writer:
        yield writer


def finished(executor: Executor, result: JobResult, writer: ValueWriter | None) -> JobResult:
    """Return the result with the value files that belong to it; when they cannot be finished, the tables are gone too."""
    if writer is None:
        return result
    try:
        return replace(result, values=writer.finish())
    except BaseException:
        executor._discard(result)
        raise


def _heat(space: Keyspace) -> Heat:
    """The sketch of a keyspace, with a window of about as many writes as it has live values."""
    live = max(FEWEST, sum(n for n, _ in space.version.live_values().values()))
    if space.heat is None or not space.heat.window // 4 <= live <= space.heat.window * 2:
        space.heat = Heat(live)
    return space.heat


def step(executor: Executor, space: Keyspace) -> bool:
    """Run one collection, if the collector wants one. True when it was done."""
    with executor.lock:
        if space.dropped or executor.closing or not space.version.values or space.waits:
            return False
        busy = executor.busy.setdefault(space.name, set())
        view = view_of(space.version, space.options.value_log, executor.db.core.sequence(), busy, _resting(executor, space.version))
        victims = space.collector.choose(view)
        if not victims:
            return False
        tables = validate(victims, space.version)
        claim = _claim(executor, space, tables)
        if claim is None:
            return False  # it is due again when the job that holds a table is done
    try:
        _run(executor, space, victims, tables)
    except CorruptionError as e:
        if not executor.db.scrubber.blames(e):
            raise
        return False
    finally:
        with executor.lock:
            executor.busy[space.name].difference_update(claim)
            del executor.claims[space.name][claim]
            executor.idle.notify_all()
    return True


def _resting(executor: Executor, version: Version) -> frozenset[int]:
    """The value files that are damaged, or that a damaged table points into: they rest until they are healed."""
    known, scrubber = version.tables(), executor.db.scrubber
    return scrubber.values | {file for n in scrubber.tables if n in known for file, _, _ in known[n].values}


def validate(victims: tuple[int, ...], version: Version) -> list[TableInfo]:
    """Return the tables that point into the victims. PlanRefused tells what is wrong with a collector's choice."""
    known = {v.number for v in version.values}
    if len(set(victims)) != len(victims):
        raise PlanRefused(f"value files to collect are {victims}; allowed: different ones")
    if unknown := [n for n in victims if n not in known]:
        raise PlanRefused(f"value files {unknown} are not in the tree")
    live = version.live_values()
    if all(v.bytes == live[v.number][1] for v in version.values if v.number in victims):
        raise PlanRefused(f"all of value files {victims} is alive: collecting them would free nothing")
    chosen = set(victims)
    return [t for t in version.tables().values() if any(file in chosen for file, _, _ in t.values)]


def _claim(executor: Executor, space: Keyspace, tables: list[TableInfo]) -> tuple[int, ...] | None:
    """Mark the tables busy, and claim each in its own level, so that no plan moves what is above or below one into its place."""
    busy, claims = executor.busy[space.name], executor.claims.setdefault(space.name, {})
    numbers, where = tuple(t.number for t in tables), space.version.where()
    last = max(tables, key=lambda t: (t.largest, not t.largest_exclusive))
    levels = [where[n][0] for n in numbers]
    mine = Claim(min(levels), max(levels), min(t.smallest for t in tables), last.largest, last.largest_exclusive)
    if busy.intersection(numbers) or any(mine.meets(other) for other in claims.values()):
        return None
    claims[numbers] = mine
    busy.update(numbers)
    return numbers


def _run(executor: Executor, space: Keyspace, victims: tuple[int, ...], tables: list[TableInfo]) -> None:
    with executor.lock:
        places = {n: (level, run.id) for level, run in space.version.runs() for n in (t.number for t in run.tables)}
        moved = [space.value_files[n] for n in sorted(victims)]
    size = sum(v.info.bytes for v in moved)
    made = JobResult(0, 0, 0, 0, 0, 0, 0, ())
    added = list[tuple[int, int, TableInfo]]()
    with writing(executor, space, "collection", size) as writer:
        try:
            for t in tables:
                level, run = places[t.number]
                result = executor._run(
                    space,
                    [JobInput((space.tables[t.number],), level)],
                    level=level,
                    cause="collection",
                    bottom=False,
                    output_bytes=0,
                    numbers=1,
                    values=writer,
                    moved=moved,
                )
                made = replace(made, outputs=(*made.outputs, *result.outputs))
                added += [(level, run, TableInfo.of(p, t.created)) for p in result.outputs]
        except BaseException:
            executor._discard(made)
            raise
        made = finished(executor, made, writer)
        edit = Edit(space.number, tuple(t.number for t in tables), tuple(added), values=made.values)
        with executor.changing():
            executor._install(space, edit, made)
