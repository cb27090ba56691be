"""Tables of rows (dicts of typed columns) over a keyspace, with secondary indexes that never disagree with them.

>>> import lsm, recovery
>>> from lsm.secondary import col
>>> with lsm.open("/t", fs=recovery.memory()) as db:
...     people = db.table("people", key="id")
...     people.put_many([{"id": 1, "name": "Ann", "age": 31}, {"id": 2, "name": "Bob", "age": 27}])
...     _ = people.create_index("by_age", "age")
...     [row["name"] for row in people.find(col("age") > 30)]
['Ann']

The rows lie in the keyspace of the table's name, under their row id: 8 bytes, big-endian. An integer key is the row id; other keys have
one given, and a second keyspace, ``<name>.keys``, leads from key to row id.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from indexes.text import Scoring

from .. import keys as key_code
from ..batch import Batch
from ..errors import Error, ReadOnlyError
from ..native import SEALED as FULL
from ..native import STALLED
from . import advisor, building, catalog, leaves, planner, querylog, ranked, scrubbing
from .changes import Changes, Gathered
from .component import Stack
from .index import Index, changes_of
from .kinds import SHORT
from .predicate import Predicate
from .ranked import Ranked
from .record import Names, decode, decode_many, encode_many, fields
from .riding import Riding

if TYPE_CHECKING:
    from ..db import DB
    from ..snapshot import Snapshot

T = TypeVar("T")
MAX_ROW_ID = (1 << 63) - 1
RESERVE = 1 << 16  # row ids that are noted at a time
_ROW_ID = struct.Struct(">Q")


def _is_int(key: Any) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


class UniqueViolation(Error, ValueError):
    """A row whose value in a unique index another row has. ``index``, ``key`` of the row refused, ``holder``: the key of the other."""

    def __init__(self, index: str, value: Any, key: Any, holder: Any) -> None:
        self.index, self.value, self.key, self.holder = index, value, key, holder
        super().__init__(f"unique index {index!r}: row {key!r} has {value!r:.60}, which row {holder!r} has already")


class Moment(AbstractContextManager["Moment"]):
    """Rows and indexes of a table as they were when it was made. Close it: it holds space."""

    def __init__(self, table: Table) -> None:
        with table.riding.lock:
            self.stack: Stack = table.riding.stack()
            self.snapshot: Snapshot = table.db.snapshot()
            self.indexes = table.ready()

    def close(self) -> None:
        """Let go. Safe to call twice."""
        self.snapshot.close()

    def __exit__(self, *_: object) -> None:
        self.close()


class Table:
    """A table. Made by `DB.table`; any thread may use it; one thread writes at a time, readers do not wait for it but to begin."""

    def __init__(self, db: DB, name: str, key: str | None, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Use `DB.table`."""
        self.db, self.name, self.functions = db, name, dict(functions)
        self.logs: tuple[querylog.QueryLog, ...] = ()
        self.space = db.keyspace(name)
        row = catalog.begin(db, self.space, key)
        self.key, self.key_kind = str(row["key"]), row["key_kind"]
        self.names = Names(row["names"])
        self._saved_names = len(row["names"])
        self.reserved = int(row.get("next_row", 0))  # row ids below may be in use
        self.next_index = int(row["next_index"])
        indexes = {int(d["id"]): catalog.open_index(d, self.functions) for d in row["indexes"]}
        self.riding = Riding(db, self.space, row, indexes, lambda: catalog.describe(self), self._gather)
        if self.key_kind == "any":
            self.key_space = db.keyspace(catalog.keys_of(name))
        self._catch_up()
        self.space.rider = self.riding
        self._next_row = max(self.highest() + 1, self.reserved)
        if not db.read_only:
            building.resume(self)
            db.executor.on_sealed()

    def highest(self, snapshot: Snapshot | None = None) -> int:
        """Return the largest row id, 0 when there is no row."""
        for key in self.space.keys(reverse=True, limit=1, snapshot=snapshot):
            return int(_ROW_ID.unpack(key)[0])
        return 0

    def _catch_up(self) -> None:
        """Give the indexes the rows that recovery put back, which no rider saw."""
        seq = self.db.state.flushed[self.space.number]
        missed = self.riding.missed() if seq > self.riding.covered else {}
        if self.db.read_only:  # what was replayed is in memory
            replayed = sorted({key for number, key in self.db.replayed if number == self.space.number})
            missed.update(zip(replayed, self.space.get_many(replayed), strict=True))
        elif seq <= self.riding.covered:
            return
        values = {_ROW_ID.unpack(raw)[0]: value for raw, value in missed.items()}
        rows = {i: self.row_of(i, value) for i, value in values.items() if value is not None}
        changes = changes_of([*rows, *(i for i in values if i not in rows)], list(rows.values()), self.riding.indexes.values())
        if self.db.read_only:
            with self.riding.lock:
                self.riding.recent = (self.riding.component_of([changes], self.riding.covered, self.db.core.sequence()),)
        else:
            self.riding.catch_up(changes, seq)

    def recover(self) -> None:
        """Give the indexes what was flushed without them, from the tables: after a failure. The executor's lock is held."""
        with self.riding.lock:
            self.riding.forget()
            self._catch_up()

    # Rows and keys

    def row_of(self, row_id: int, data: bytes) -> dict[str, Any]:
        """Return a stored row."""
        row = decode(data, self.names)
        return {self.key: row_id, **row} if self.key_kind == "int" else row

    def _key_of(self, row: Mapping[str, Any]) -> Any:
        if not isinstance(row, Mapping):
            raise TypeError(f"a row is a mapping of columns to values, not {type(row).__name__}: {row!r:.60}")
        key = row.get(self.key)
        if key is None:
            raise ValueError(f"the row has no key {self.key!r}: {row!r:.80}")
        return key

    def _check_keys(self, keys: Sequence[Any], kind: str | None) -> None:
        """ValueError and TypeError for what is no key."""
        if kind == "int" and set(map(type, keys)) == {int} and min(keys) >= 0 and max(keys) <= MAX_ROW_ID:
            return
        for key in keys:
            if kind == "int" and not (_is_int(key) and 0 <= key <= MAX_ROW_ID):
                raise ValueError(f"key {self.key!r} is {key!r:.60}; allowed: integers from 0 to {MAX_ROW_ID}, as the first row had")
            if kind == "any":
                key_code.encode(key)

    def _settle_kind(self, kind: str) -> None:
        """The first rows say what keys there are: integers, which are the row ids, or any."""
        self.db.check_writable()
        with self.db.executor.lock:
            if self.key_kind is None:
                if kind == "any":
                    self.key_space = catalog.begin_keys(self.db, self.name)
                self.key_kind = kind
                self.riding.install(self.riding.runs.components)

    def _row_ids(self, keys: Sequence[Any], *, create: bool) -> list[int | None]:
        """Return the row ids of keys; those that have none get one, or None."""
        if self.key_kind == "int":
            return [int(k) for k in keys]
        if self.key_kind is None:
            return [None] * len(keys)
        named = [key_code.encode(k) for k in keys]
        found = self.key_space.get_many(named)
        ids: list[int | None] = [None if v is None else _ROW_ID.unpack(v)[0] for v in found]
        if create:
            fresh: dict[bytes, int] = {}
            for i, row_id in enumerate(ids):
                if row_id is None:
                    ids[i] = fresh.setdefault(named[i], self._next_row + len(fresh))
            self._next_row += len(fresh)
        return ids

    # Writing

    def put(self, row: Mapping[str, Any], *, sync: bool = False) -> None:
        """Insert a row, or replace the one of its key. TypeError and ValueError name the column; UniqueViolation; ReadOnlyError."""
        self.put_many((row,), sync=sync)

    def put_many(self, rows: Iterable[Mapping[str, Any]], *, sync: bool = False) -> None:
        """Insert or replace rows: all, as one atomic batch, or none. Of rows with one key the last counts."""
        rows = list(rows)
        if not rows:
            return
        keys = [self._key_of(r) for r in rows]
        kind = self.key_kind or ("int" if _is_int(keys[0]) else "any")
        self._check_keys(keys, kind)
        stored: Iterable[Mapping[str, Any]] = rows
        if kind == "int":
            key = self.key
            stored = [{c: v for c, v in r.items() if c != key} for r in rows]
        data = encode_many(stored, self.names)
        if self.key_kind is None:
            self._settle_kind(kind)
            self._check_keys(keys, self.key_kind)
        if len(self.names) > self._saved_names:
            self._save_names()
        self._write(keys, data, sync)

    def delete(self, key: Any, *, sync: bool = False) -> None:
        """Delete the row of a key, whether there is one or not."""
        self.delete_many((key,), sync=sync)

    def delete_many(self, keys: Iterable[Any], *, sync: bool = False) -> None:
        """Delete rows by key as one atomic batch."""
        keys = list(keys)
        self._check_keys(keys, self.key_kind)
        if keys and self.key_kind is not None:
            self._write(keys, None, sync)

    def _save_names(self) -> None:
        with self.db.executor.lock:
            saved = len(self.names)  # before: others add to them
            self.riding.install(self.riding.runs.components)
            self._saved_names = saved

    def _write(self, keys: list[Any], data: list[bytes] | None, sync: bool) -> None:
        riding = self.riding
        while True:
            of = riding.indexes
            if self.key_kind == "any" and data is not None:
                self._reserve(len(keys))
            later = bool(of) and riding.takes_all and data is not None and max(map(len, data)) <= SHORT
            gathered = {} if later else self.gathered(of, keys, data)
            with riding.lock:
                if riding.indexes is not of:  # one was made or dropped in between
                    continue
                if self.key_kind == "any" and data is not None and self._next_row + len(keys) > self.reserved:
                    continue
                ids = self._row_ids(keys, create=data is not None)
                changes = Changes(array("Q", [i for i in ids if i is not None]), gathered, data if later else None)
                if not changes:
                    return
                if data is not None:
                    self._check_unique(changes, keys)
                before = self.db.core.sequence()
                status = self._log(keys, ids, data, sync)
                if status != STALLED:
                    riding.add(before, changes)
            if status == STALLED:
                self.db.executor.wait_for_room()
                continue
            if status == FULL:
                self.db.executor.after_write()
            for log in self.logs:
                log.wrote(len(changes))
            return

    def _gather(self, ids: Sequence[int], stored: Sequence[bytes]) -> dict[int, Gathered]:
        return self.gathered(self.riding.indexes, ids, stored)

    def gathered(self, indexes: Mapping[int, Index], ids: Sequence[Any], data: Sequence[bytes] | None) -> dict[int, Gathered]:
        """Return what indexes keep of rows as they come back from storage, so that a build or a restart finds the same.

        ids: their row ids, or their keys if these are integers. ValueError names the row that is refused.
        """
        if data is None or not indexes:
            return {}
        try:
            rows = self._parts_of(data, ids, indexes.values())
            return {i: x.gather(rows) for i, x in indexes.items()}
        except ValueError:  # now with the whole row
            rows = self._decoded(data, [int(i) for i in ids] if self.key_kind == "int" else ids)
            return {i: x.gather(rows) for i, x in indexes.items()}

    def _parts_of(self, data: Sequence[bytes], ids: Sequence[Any], indexes: Iterable[Index]) -> list[dict[str, Any]]:
        """The columns of stored rows that indexes read."""
        needed: set[str] = set()
        for index in indexes:
            if (columns := index.needs()) is None:
                return self._decoded(data, [int(i) for i in ids] if self.key_kind == "int" else ids)
            needed.update(columns)
        with_key = self.key_kind == "int" and self.key in needed
        known = [(c, n) for c in sorted(needed) if (n := self.names.get(c)) is not None]
        columns, numbers = [c for c, _ in known], [n for _, n in known]
        rows = [dict(zip(columns, fields(d, numbers), strict=True)) for d in data]
        if with_key:
            for row, row_id in zip(rows, ids, strict=True):
                row[self.key] = int(row_id)
        return rows

    def _reserve(self, count: int) -> None:
        """Note row ids before they are given: keys may come to a file, or to a copy, without the rows that they lead to."""
        if self._next_row + count > self.reserved:
            with self.db.executor.lock:
                self.reserved = max(self.reserved, self._next_row + count + RESERVE)
                self.riding.install(self.riding.runs.components)

    def _log(self, keys: list[Any], ids: Sequence[int | None], data: list[bytes] | None, sync: bool) -> int:
        core = self.space.core
        if self.key_kind == "int":
            packed = struct.pack(f">{len(ids)}Q", *ids)
            lens = array("I", (8,)) * len(ids)
            values = b"" if data is None else b"".join(data)
            return core.put_many(len(ids), packed, lens, values, None if data is None else array("I", map(len, data)), sync)
        batch = Batch(table=True)
        for i, (key, row_id) in enumerate(zip(keys, ids, strict=True)):
            if row_id is None:
                continue
            raw, name = _ROW_ID.pack(row_id), key_code.encode(key)
            if data is None:
                batch.delete(raw, keyspace=self.space)
                batch.delete(name, keyspace=self.key_space)
            else:
                batch.put(raw, data[i], keyspace=self.space)
                batch.put(name, raw, keyspace=self.key_space)
        return self.db.core.write(batch.payload(), sync)

    def _check_unique(self, changes: Changes, keys: Sequence[Any]) -> None:
        unique = [x for x in self.riding.indexes.values() if x.unique]
        if not unique:
            return
        stack, last = self.riding.stack(), changes.last()
        for index in unique:
            taken: dict[Any, int] = {}
            for place, payload in changes.gathered[index.id].items():
                row_id = changes.ids[place]
                if last[row_id] != place or (part := index.type.unique_part(payload)) is None:
                    continue
                if (other := taken.setdefault(part, row_id)) != row_id:
                    raise UniqueViolation(index.name, index.type.shown(payload), keys[place], keys[last[other]])
                for held in stack.search(index.id, index.type, index.type.same(payload)):
                    if held not in last:
                        raise UniqueViolation(index.name, index.type.shown(payload), keys[place], self.key_at(held))

    def key_at(self, row_id: int) -> Any:
        """Return the key of a row by its row id."""
        data = self.space.get(_ROW_ID.pack(row_id))
        return row_id if data is None else self.row_of(row_id, data)[self.key]

    # Reading

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the row of a key, or default."""
        (row,) = self.get_many((key,))
        return default if row is None else row

    def get_many(self, keys: Iterable[Any]) -> list[dict[str, Any] | None]:
        """Return the rows of keys, None where there is none. ValueError and TypeError for what cannot be a key."""
        keys = list(keys)
        self._check_keys(keys, self.key_kind)
        ids = self._row_ids(keys, create=False)
        found = self.rows_at([i for i in ids if i is not None])
        rows = iter(found)
        return [None if i is None else next(rows) for i in ids]

    def rows_at(self, ids: Iterable[int], snapshot: Snapshot | None = None) -> list[dict[str, Any] | None]:
        """Return the rows of row ids."""
        ids = list(ids)
        values = self.data_at(ids, snapshot)
        return self._decoded(values, ids)

    def _decoded(self, values: Sequence[bytes | None], ids: Sequence[Any]) -> list[Any]:
        """Stored rows; ids: their row ids, which are the keys if these are integers."""
        return decode_many(values, self.names, self.key, ids) if self.key_kind == "int" else decode_many(values, self.names)

    def data_at(self, ids: Sequence[int], snapshot: Snapshot | None = None) -> list[bytes | None]:
        """Return the stored rows of row ids."""
        packed = struct.pack(f">{len(ids)}Q", *ids)
        return self.space.get_packed(len(ids), packed, array("I", (8,)) * len(ids), snapshot)

    def stored(self, snapshot: Snapshot | None = None, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Iterate over (row id, stored row) from a row id on."""
        return ((int(_ROW_ID.unpack(raw)[0]), value) for raw, value in self.space.scan(_ROW_ID.pack(start), snapshot=snapshot))

    def scan(self, snapshot: Snapshot | None = None, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Iterate over (row id, row) from a row id on."""
        return ((row_id, self.row_of(row_id, value)) for row_id, value in self.stored(snapshot, start))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over all rows in the order of their row ids."""
        return (row for _, row in self.scan())

    def moment(self) -> Moment:
        """Hold this moment of rows and indexes, for queries that shall see the same."""
        return Moment(self)

    def find(
        self,
        where: Predicate | None = None,
        *,
        columns: Sequence[str] | None = None,
        order_by: str | Sequence[str] = (),
        limit: int | None = None,
        at: Moment | None = None,
    ) -> list[dict[str, Any]]:
        """Return the rows for which a predicate is true; ``columns``: only these; ``order_by``: columns, "-name" descends, NULLs first.

        By the indexes that seem cheapest, else by a scan; see `explain`. ``at``: as of a moment. ValueError for columns that no row ever
        had names near ones.
        """
        if self.logs:
            return querylog.logged_find(self, where, columns, order_by, limit, at)
        return planner.find(self, where, columns, order_by, limit, at)

    def count(self, where: Predicate | None = None, *, at: Moment | None = None) -> int:
        """Return how many rows satisfy a predicate; without reading rows where indexes answer it."""
        return querylog.logged_count(self, where, at) if self.logs else planner.count(self, where, at)

    def best(
        self,
        column: str,
        query: Any,
        k: int = 10,
        *,
        where: Predicate | None = None,
        scoring: Scoring | str = "lucene",
        default: str = "or",
        at: Moment | None = None,
    ) -> Ranked:
        """Return the k rows whose text matches a query best, with their scores; ``where``: of those that satisfy it. Needs a text index.

        ``scoring``: one of `indexes.text.SCORINGS`, or a `Scoring`. Statistics are those of live rows, exactly; equal scores by row id.
        """
        return self._at(at, lambda m: ranked.best(self, column, query, k, where, scoring, default, m))

    def nearest(
        self, column: str, point: Sequence[float], k: int = 10, *, where: Predicate | None = None, at: Moment | None = None
    ) -> Ranked:
        """Return the k rows nearest to a point, with their distances. Needs an R-tree index on the column."""
        return self._at(at, lambda m: ranked.nearest(self, column, point, k, where, m))

    def top(self, column: str, k: int = 10, *, where: Predicate | None = None, largest: bool = True, at: Moment | None = None) -> Ranked:
        """Return the k rows with the largest (smallest) numbers, with these. Needs a sliced index on the column."""
        return self._at(at, lambda m: ranked.top(self, column, k, where, largest, m))

    def total(self, column: str, *, where: Predicate | None = None, at: Moment | None = None) -> tuple[float, int]:
        """Return the sum of a column of numbers and how many there are, without reading rows. Needs a sliced index on the column."""
        return self._at(at, lambda m: ranked.total(self, column, where, m))

    def _at(self, at: Moment | None, query: Callable[[Moment], T]) -> T:
        if at is not None:
            return query(at)
        with self.moment() as moment:
            return query(moment)

    def explain(self, where: Predicate | None = None, **how: Any) -> str:
        """Return how find would go about it, with rows estimated and actual, a line a step."""
        return planner.explain(self, where, **how)

    def check_columns(self, names: Iterable[str]) -> None:
        """ValueError for columns that no row ever had."""
        leaves.check_columns(names, [self.key, *(n for n in self.names if n != self.key)])

    # Indexes

    def ready(self) -> dict[str, Index]:
        """Return the indexes that queries may use, by name."""
        return {x.name: x for x in self.riding.indexes.values() if x.state == "ready"}

    def indexes(self) -> list[dict[str, Any]]:
        """Return a row an index: name, kind, columns, state, bytes."""
        runs = self.riding.runs.components
        return [
            {
                "name": x.name,
                "kind": x.type.kind,
                "columns": list(x.definition["columns"]),
                "state": x.state,
                "bytes": sum(len(c.segments[x.id]) for c in runs if x.id in c.segments),
            }
            for x in self.riding.indexes.values()
        ]

    def create_index(
        self,
        name: str,
        columns: Any,
        *,
        kind: str = "ordered",
        unique: bool = False,
        where: Predicate | None = None,
        progress: Callable[[int], None] | None = None,
        **params: Any,
    ) -> Index:
        """Make an index, online: writes go on. It is usable when this returns; after a crash, opening the table goes on with it.

        ``columns``: a name, an expression (`call`), or several of them. ``where``: only rows for which it is true. ``progress`` is called
        with the rows done so far. ValueError for a bad name or kind, UniqueViolation when the rows are not unique.
        """
        return building.create(self, name, columns, kind, unique, where, params, progress)

    def drop_index(self, name: str) -> None:
        """Delete an index. KeyError names those that there are."""
        building.drop(self, name)

    def rename_index(self, name: str, new: str) -> None:
        """Give an index another name."""
        building.rename(self, name, new)

    def index(self, name: str) -> Index:
        """Return an index. KeyError names those that there are."""
        for x in self.riding.indexes.values():
            if x.name == name:
                return x
        raise KeyError(f"no index {name!r}; there are {', '.join(sorted(x.name for x in self.riding.indexes.values())) or 'none'}")

    def log_queries(self, *, limit: int = 1000, samples: int = 8, seed: int = 0) -> querylog.QueryLog:
        """Log queries and writes from now on, until the log that this returns is closed; for `advise`. Costs nothing while there is none.

        Queries that differ in constants alone are one shape: ``limit`` shapes are kept, of each so many ``samples``.
        """
        return querylog.QueryLog(self, limit, samples, seed)

    def advise(self, workload: Any = None, **how: Any) -> advisor.Advice:
        """Return which indexes would serve a workload, and what they would cost. See `advisor.advise` for all that can be asked.

        ``workload``: a log, a `Workload`, or a list of (condition, columns, order_by, limit, weight); by default what is being logged.
        """
        return advisor.advise(self, workload, **how)

    def scrub(self) -> list[str]:
        """Compare indexes and rows both ways, at one moment. Returns what is wrong, a line each; empty when all is well."""
        return scrubbing.scrub(self)

    def flush(self) -> None:
        """Write rows and indexes in memory to files."""
        if self.db.read_only:
            raise ReadOnlyError("the database was opened read-only")
        self.space.flush()

    def compact(self) -> None:
        """Flush, then merge the rows down, and the components of the indexes to one. Waits."""
        self.db.check_writable()
        self.space.compact()
        self.riding.merge_all()
