"""Indexes made while writes go on, dropped and renamed.

    register: changes of the next epoch reach the index | scan a snapshot by stretches of row ids, a file each, noted in the
    manifest | merge them to one component behind the changes of later epochs | ready

What changed since hides what the scan found, so it may read any later moment, there is no catching up, and after a crash the scan goes
on at the next stretch, in a new snapshot. Following the idea of a write-only state in the FoundationDB Record Layer (Chrysafis et al.,
SIGMOD 2019, section 6).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from indexes.rowset import RowSet

from ..errors import Error
from . import catalog
from .changes import Changes, joined
from .component import Component, merge_components, read_component, remove
from .index import Index, changes_of
from .predicate import Predicate

if TYPE_CHECKING:
    from .table import Table

STRETCH = 50_000  # rows between two notes in the manifest


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
    _check_name(table, name)
    riding, db = table.riding, table.db
    db.check_writable()
    definition = catalog.define(table.next_index, name, kind, columns, unique=unique, where=where, params=params)
    index = catalog.open_index(definition, table.functions)
    if unique and not index.type.can_be_unique:
        raise ValueError(f"a {kind} index cannot be unique")
    with db.executor.lock:
        with riding.lock:
            riding.absorb()
            index.state, index.epoch = "building", riding.epoch
            riding.epoch += 1
            riding.indexes = {**riding.indexes, index.id: index}
            table.next_index += 1
        riding.install(riding.runs.components)
    try:
        run(table, index, progress)
    except BaseException:
        with suppress(Error, OSError):
            drop(table, name)
        raise
    return index


def resume(table: Table) -> None:
    """Go on with builds that a crash or a close ended."""
    for index in list(table.riding.indexes.values()):
        if index.state == "building":
            run(table, index, None)


def run(table: Table, index: Index, progress: Callable[[int], None] | None) -> None:
    """Scan, merge, make it ready."""
    riding, db = table.riding, table.db
    made = [read_component(db.fs, db.path, n) for n in index.parts]
    last = Changes(array("Q"))
    done = 0
    for rows, found, following in _stretches(table, index):
        done += rows
        if following is None:
            last = found
        else:
            made.insert(0, _component(index, found).write(db.fs, db.path, db.core.take_numbers(1)))
            with db.executor.lock:
                db.fs.sync_dir(db.path)
                index.parts.insert(0, made[0].number)
                index.resume = following
                riding.install(riding.runs.components)
        if progress is not None:
            progress(done)
    base = merge_components([_component(index, last), *made], {index.id: index.type})
    base = base.write(db.fs, db.path, db.core.take_numbers(1))
    parts = index.parts
    with db.executor.lock:
        if index.unique:
            _check_unique(table, index, base)
        index.state, index.parts = "ready", []
        riding.replace([], base)
    for n in parts:
        remove(db.fs, db.path, n)


def _component(index: Index, found: Changes) -> Component:
    _, entries = joined([found], (index.id,))
    return Component(0, 0, RowSet(), {index.id: index.type.build_many(*entries[index.id])}, index.epoch, main=False)


def _stretches(table: Table, index: Index) -> Iterator[tuple[int, Changes, int | None]]:
    """Yield (rows, what they give, the row id at which it goes on, or None at the end)."""
    ids, rows = list[int](), list[Any]()
    with table.db.snapshot() as snapshot:
        for row_id, row in table.scan(snapshot, index.resume):
            if len(rows) == STRETCH:
                yield len(rows), changes_of(ids, rows, (index,)), row_id
                ids, rows = [], []
            ids.append(row_id)
            rows.append(row)
    yield len(rows), changes_of(ids, rows, (index,)), None


def _check_unique(table: Table, index: Index, base: Component) -> None:
    """Rows of the base that newer ones do not hide must differ from each other and from the newer. UniqueViolation."""
    from .table import UniqueViolation

    kind, stack = index.type, table.riding.stack()
    hidden = RowSet.union(*(c.touched for c, _ in stack if c.main and c.epoch > index.epoch), RowSet())
    holder: dict[Any, int] = {}
    for row_id, payload in kind.entries(base.view(index.id, kind)):
        if row_id in hidden:
            continue
        part = kind.unique_part(payload)
        if part is None:
            continue
        others = [holder.setdefault(part, row_id), *stack.search(index.id, kind, kind.same(payload))]
        for other in others:
            if other != row_id:
                raise UniqueViolation(index.name, kind.shown(payload), table.key_at(row_id), table.key_at(other))


def _check_name(table: Table, name: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError(f"the name of an index is {name!r:.80}; allowed: text of 1 to 64 characters")
    if any(x.name == name for x in table.riding.indexes.values()):
        raise ValueError(f"there is an index {name!r} already")


def drop(table: Table, name: str) -> None:
    """Delete an index. Its bytes in shared files go with the next merge."""
    riding, index = table.riding, table.index(name)
    table.db.check_writable()
    with table.db.executor.lock:
        with riding.lock:
            riding.indexes = {i: x for i, x in riding.indexes.items() if x is not index}
        gone = [c for c in riding.runs.components if not c.main and set(c.segments) <= {index.id}]
        riding.install([c for c in riding.runs.components if c not in gone])
        for n in [c.number for c in gone] + index.parts:
            remove(table.db.fs, table.db.path, n)


def rename(table: Table, name: str, new: str) -> None:
    """Give an index another name."""
    index = table.index(name)
    _check_name(table, new)
    table.db.check_writable()
    with table.db.executor.lock:
        index.name = new
        table.riding.install(table.riding.runs.components)
