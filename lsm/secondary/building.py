"""Indexes made while writes go on, dropped and renamed.

    register: changes of the next epoch reach the index | flush what was before | scan a snapshot of then by stretches of row ids, a
    file each, noted in the manifest | merge them to one component behind the changes of later epochs | ready

What changed since hides what the scan found, so it may read any later moment, there is no catching up, and after a crash the scan goes
on at the next stretch, in a new snapshot: all that recovery put back is in files by then. Following the idea of a write-only state in the
FoundationDB Record Layer (Chrysafis et al., SIGMOD 2019, section 6).
"""

from __future__ import annotations

import time
import warnings
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from indexes.rowset import RowSet

from ..errors import BusyError, Error
from . import catalog
from .changes import Changes, joined
from .component import Component, io_failures, merge_components, read_component
from .index import Index
from .predicate import Predicate

if TYPE_CHECKING:
    from ..snapshot import Snapshot
    from .table import Table

STRETCH = 50_000  # rows between two notes in the manifest
SLICE = 500  # rows gathered at once, with the interpreter's lock
REST = 4  # times as long as it worked


def create(
    table: Table,
    name: str,
    columns: Any,
    kind: str,
    unique: bool,
    where: Predicate | None,
    params: dict[str, Any],
    progress: Callable[[int], None] | None,
) -> Index:
    """Make an index. See `Table.create_index`."""
    riding, db = table.riding, table.db
    db.check_writable()
    with db.executor.lock:
        _check_name(table, name)
        definition = catalog.define(table.next_index, name, kind, columns, unique=unique, where=where, params=params)
        index = catalog.open_index(definition, table.functions)
        if unique and not index.type.can_be_unique:
            raise ValueError(f"a {kind} index cannot be unique")
        table.next_index += 1
        snapshot = _register(table, index)
    try:
        with snapshot:
            _wait_until_flushed(table, index)
            with db.executor.lock:
                riding.install(riding.runs.components)
            run(table, index, snapshot, progress)
    except BaseException:
        with suppress(Error, OSError):
            _drop(table, index)
        raise
    return index


def _register(table: Table, index: Index) -> Snapshot:
    """From here on changes reach the index; returns what was before. That is sealed, so that it is in files before the index is.

    Thus a base never holds what a crash may lose, and no change from before comes to a file after it.
    """
    riding = table.riding
    with riding.lock:
        table.space.core.seal()
        riding.absorb()
        index.state, index.epoch = "building", riding.epoch
        riding.epoch += 1
        riding.indexes = {**riding.indexes, index.id: index}
        return table.db.snapshot()


def _wait_until_flushed(table: Table, index: Index) -> None:
    db, riding = table.db, table.riding
    db.executor.on_sealed()
    with db.executor.lock:
        while any(c.epoch <= index.epoch for c in riding.recent):
            db.check_writable()
            db.executor.idle.wait(0.05)


def resume(table: Table) -> None:
    """Go on with builds that a crash or a close ended. An index that the rows do not allow is dropped, with a RuntimeWarning."""
    for index in list(table.riding.indexes.values()):
        if index.state != "building":
            continue
        try:
            with table.db.snapshot() as snapshot:
                run(table, index, snapshot, None)
        except ValueError as e:
            _drop(table, index)
            warnings.warn(f"index {index.name!r} of table {table.name!r} was not made: {e}", RuntimeWarning, stacklevel=4)


def run(table: Table, index: Index, snapshot: Snapshot, progress: Callable[[int], None] | None) -> None:
    """Scan a snapshot in which nothing is that a crash may lose, merge, make it ready."""
    riding, db = table.riding, table.db
    made = [read_component(db.fs, db.path, n, db.state.database_id, mapped=db.limits is None) for n in index.parts]
    last = list[Changes]()
    done = 0
    for rows, found, following in _stretches(table, index, snapshot):
        done += rows
        if following is None:
            last = found
        else:
            made.insert(0, _component(index, found).write(db))
            with db.executor.lock, _wanted(table, index, made[0]):
                with io_failures():
                    db.fs.sync_dir(db.path)
                index.parts.insert(0, made[0].number)
                index.resume = following
                riding.install(riding.runs.components)
        if progress is not None:
            progress(done)
    base = merge_components([_component(index, last), *made], {index.id: index.type})
    base = base.write(db)
    holders = _holders(table, index, base) if index.unique else {}
    with db.executor.lock, _wanted(table, index, base), riding.lock:  # a writer or reader sees it ready with its base, or neither
        _check_newer(table, index, holders)
        index.state = "ready"
        try:
            riding.replace([], base)
        except BaseException:
            index.state = "building"
            raise
    parts, index.parts = index.parts, []
    for n in parts:
        db.remove(f"{n:06d}.idx")


@contextmanager
def _wanted(table: Table, index: Index, made: Component) -> Iterator[None]:
    """Remove what was made for an index that was dropped meanwhile, or that cannot be noted."""
    try:
        if table.riding.indexes.get(index.id) is not index:
            raise BusyError(f"index {index.name!r} was dropped while it was made")
        yield
    except BaseException:
        if made.number not in table.db.state.attached_files():
            table.db.remove(f"{made.number:06d}.idx")
        raise


def _component(index: Index, found: list[Changes]) -> Component:
    _, entries = joined(found, (index.id,))
    return Component(0, 0, RowSet(), {index.id: index.type.build_many(*entries[index.id])}, index.epoch, main=False)


def _stretches(table: Table, index: Index, snapshot: Snapshot) -> Iterator[tuple[int, list[Changes], int | None]]:
    """Yield (rows, what they give, the row id at which it goes on, or None at the end)."""
    found, ids, data = list[Changes](), list[int](), list[bytes]()
    rows, pace = 0, _Pace(table)

    def gather() -> None:
        found.append(Changes(array("Q", ids), table.gathered({index.id: index}, ids, data)))
        ids.clear()
        data.clear()
        pace.give_way()

    for row_id, stored in table.stored(snapshot, index.resume):
        if rows == STRETCH:
            gather()
            yield rows, found, row_id
            rows, found = 0, []
        elif len(ids) == SLICE:
            gather()
        ids.append(row_id)
        data.append(stored)
        rows += 1
    gather()
    yield rows, found, None


class _Pace:
    """While others write, a build rests longer than it works: both need the interpreter."""

    def __init__(self, table: Table) -> None:
        self.core = table.db.core
        self.seen, self.began = self.core.sequence(), time.perf_counter()

    def give_way(self) -> None:
        """Rest, if somebody wrote since the last time."""
        if self.core.sequence() != self.seen:
            time.sleep(min(REST * (time.perf_counter() - self.began), 0.1))
        self.seen, self.began = self.core.sequence(), time.perf_counter()


def _holders(table: Table, index: Index, base: Component) -> dict[Any, int]:
    """Return who holds what in the base, but for rows that changed since. UniqueViolation when two rows do."""
    hidden = RowSet.union(*(c.touched for c, _ in table.riding.stack() if c.main and c.epoch > index.epoch), RowSet())
    holders: dict[Any, int] = {}
    for row_id, payload in index.type.entries(base.view(index.id, index.type)):
        if row_id not in hidden and (part := index.type.unique_part(payload)) is not None:
            _hold(table, index, holders, part, payload, row_id)
    return holders


def _check_newer(table: Table, index: Index, holders: dict[Any, int]) -> None:
    """Rows that changed since the build began differ from each other: they were checked. They must differ from those of the base too."""
    if not index.unique:
        return
    stack = table.riding.stack()
    changed = RowSet.union(*(c.touched for c, _ in stack if c.main and c.epoch > index.epoch), RowSet())
    held = {part: row_id for part, row_id in holders.items() if row_id not in changed}
    for view, hidden in stack.views(index.id, index.type):
        for row_id, payload in index.type.entries(view):
            if (hidden is None or row_id not in hidden) and (part := index.type.unique_part(payload)) is not None:
                _hold(table, index, held, part, payload, row_id)


def _hold(table: Table, index: Index, holders: dict[Any, int], part: Any, payload: Any, row_id: int) -> None:
    from .table import UniqueViolation

    if (other := holders.setdefault(part, row_id)) != row_id:
        raise UniqueViolation(index.name, index.type.shown(payload), table.key_at(row_id), table.key_at(other))


def _check_name(table: Table, name: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError(f"the name of an index is {name!r:.80}; allowed: text of 1 to 64 characters")
    if any(x.name == name for x in table.riding.indexes.values()):
        raise ValueError(f"there is an index {name!r} already")


def drop(table: Table, name: str) -> None:
    """Delete an index. Its bytes in shared files go with the next merge."""
    table.db.check_writable()
    with table.db.executor.lock:
        _drop(table, table.index(name))


def _drop(table: Table, index: Index) -> None:
    riding = table.riding
    with table.db.executor.lock:
        if riding.indexes.get(index.id) is not index:
            return
        with riding.lock:
            riding.indexes = {i: x for i, x in riding.indexes.items() if x is not index}
        gone = [c for c in riding.runs.components if not c.main and set(c.segments) <= {index.id}]
        riding.install([c for c in riding.runs.components if c not in gone])
        for n in [c.number for c in gone] + index.parts:
            table.db.remove(f"{n:06d}.idx")


def rename(table: Table, name: str, new: str) -> None:
    """Give an index another name."""
    table.db.check_writable()
    with table.db.executor.lock:
        index = table.index(name)
        _check_name(table, new)
        index.name = new
        table.riding.install(table.riding.runs.components)
