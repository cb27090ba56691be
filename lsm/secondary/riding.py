"""The indexes of a table as a rider on its keyspace: memory, flush, merge, and what to do after a crash.

    add(batch) --> pending --absorb--> recent components --flush, with the memtable--> component in a file --merge (tiered)--> ...

A batch is known by the sequence number before it. A memtable that ends at S holds exactly the batches that began below S: the table
writes its keyspace alone, a batch at a time. So components never straddle the end of a memtable, and a flush takes whole ones.

In memory too, components are immutable: small ones made when somebody asks, merged as they grow, so that one code answers queries, and a
snapshot is a tuple. Following AsterixDB's components (Alsubaiee et al., Storage management in AsterixDB, VLDB 2014), rows that newer
components touched are hidden, in place of anti-matter in each index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexes.rowset import RowSet

from ..errors import ReadOnlyError
from ..memtable_twin import Entry
from ..native_tables import scan
from ..native_values import value_of
from .changes import Changes, Gather, joined, settled
from .component import Component, Runs, Stack, in_order, io_failures, merge_components, read_component
from .index import Index
from .kinds import IndexType

if TYPE_CHECKING:
    from ..db import DB
    from ..keyspace import Keyspace

FANOUT = 4  # components that are merged at once, in memory and in files
MOST_PENDING = 1 << 16  # rows that wait to be made a component: some 100 bytes an index and row
MOST_PENDING_BYTES = 16 << 20  # of rows whose payloads are gathered later
MOST = 10  # components in files beyond which the smallest neighbours are merged


@dataclass
class _Made:
    components: list[Component]
    dropped: frozenset[int]  # ids of objects in memory
    covered: int


class Riding:
    """Keeps the components of a table's indexes. Lock order: the executor's, then ``lock``."""

    def __init__(
        self,
        db: DB,
        space: Keyspace,
        row: Mapping[str, Any],
        indexes: dict[int, Index],
        describe: Callable[[], Mapping[str, Any]],
        gather: Gather,
    ) -> None:
        """Open the files that the attachment names. ``describe`` gives the rest of the attachment, ``gather`` what the indexes keep of
        stored rows. CorruptionError, IOFailure.
        """
        self.db, self.space, self._describe, self._gather = db, space, describe, gather
        self.indexes = indexes
        self.lock = threading.RLock()
        self.pending: list[tuple[int, Changes]] = []
        self._waiting = self._waiting_bytes = 0
        self.recent: tuple[Component, ...] = ()
        self.epoch = int(row.get("epoch", 0)) + 1
        self.covered = int(row.get("covered", 0))
        self.runs = Runs(
            [read_component(db.fs, db.path, n, db.state.database_id, mapped=db.limits is None) for n in row.get("components", ())]
        )
        self.merging = False
        self.counters = {"flushed_bytes": 0, "merged_bytes": 0, "absorbed": 0}

    @property
    def indexes(self) -> dict[int, Index]:
        """The indexes by id: another dict whenever one comes or goes."""
        return self._indexes

    @indexes.setter
    def indexes(self, indexes: dict[int, Index]) -> None:
        self._indexes = indexes
        self.takes_all = all(x.takes_all() for x in indexes.values())

    @property
    def kinds(self) -> dict[int, IndexType]:
        """The types by index id."""
        return {i: x.type for i, x in self.indexes.items()}

    # Memory

    def add(self, before: int, changes: Changes) -> None:
        """Take a batch that was just written; the lock has been held since before the write."""
        self.pending.append((before, changes))
        self._waiting += len(changes)
        if changes.stored is not None:
            self._waiting_bytes += sum(map(len, changes.stored))
        if self._waiting >= MOST_PENDING or self._waiting_bytes >= MOST_PENDING_BYTES:
            self.absorb()

    def stack(self) -> Stack:
        """Return what a query sees that begins now."""
        with self.lock:
            self.absorb()
            return Stack(self.recent, self.runs)

    def absorb(self) -> None:
        """Make components of pending batches. The lock is held."""
        if not self.pending:
            return
        ends = sorted(m.max_seq for m in self.space.core.sealed()) if self.space.core.sealed_count() else []
        group: list[tuple[int, Changes]] = []
        for batch in self.pending:
            if group and any(group[-1][0] < end <= batch[0] for end in ends):
                self._push(group, ends)
                group = []
            group.append(batch)
        self._push(group, ends)
        self.pending.clear()
        self._waiting = self._waiting_bytes = 0

    def _push(self, group: list[tuple[int, Changes]], ends: Sequence[int]) -> None:
        made = self.component_of([some for _, some in group], group[0][0], group[-1][0])
        recent = [made, *self.recent]
        while (n := _alike(recent, ends)) >= FANOUT:
            recent[:n] = [merge_components(recent[:n], self.kinds)]
        self.recent = tuple(recent)
        self.counters["absorbed"] += sum(len(some) for _, some in group)

    def component_of(self, batches: Sequence[Changes], lo: int, hi: int) -> Component:
        """Return a component of batches of changes, in their order."""
        rows, entries = joined(settled(batches, self._gather), self.indexes)
        segments = {i: self.indexes[i].type.build_many(*of) for i, of in entries.items()}
        return Component(lo, hi, RowSet(rows), segments, self.epoch)

    # As a rider

    def flush(self, seq: int) -> _Made:
        """Write what the memtables up to seq brought."""
        with self.lock:
            self.absorb()
            chosen = [c for c in self.recent if c.hi < seq]
        made: list[Component] = []
        try:
            for epoch in sorted({c.epoch for c in chosen}, reverse=True):
                whole = merge_components([c for c in chosen if c.epoch == epoch], self.kinds)
                made.append(whole.write(self.db))
                self.counters["flushed_bytes"] += made[-1].size
        except BaseException:
            self.abandoned(_Made(made, frozenset(), 0))
            raise
        return _Made(made, frozenset(map(id, chosen)), seq)

    def attachment(self, made: _Made) -> Mapping[str, Any]:
        """Return the row for the manifest as it is with what a flush made."""
        return self.row(in_order((*made.components, *self.runs.components)), max(self.covered, made.covered))

    def row(self, components: Sequence[Component], covered: int) -> Mapping[str, Any]:
        """Return the attachment."""
        numbers = [c.number for c in components]
        building = [n for x in self.indexes.values() if x.state == "building" for n in x.parts]
        return {**self._describe(), "covered": covered, "epoch": self.epoch, "components": numbers, "files": numbers + building}

    def flushed(self, made: _Made) -> None:
        """Use the files in the place of what was in memory."""
        self.runs = Runs(in_order((*made.components, *self.runs.components)))
        self.covered = max(self.covered, made.covered)
        with self.lock:
            self.recent = tuple(c for c in self.recent if id(c) not in made.dropped)

    def abandoned(self, made: _Made) -> None:
        """Remove files that did not get into the manifest."""
        for c in made.components:
            self.db.remove(f"{c.number:06d}.idx")

    def close(self) -> None:
        """Let go of the files."""
        self.runs = Runs(())

    # Merging

    def step(self) -> bool:
        """Merge one window of neighbours, if there is one that should be."""
        with self.db.executor.lock:
            window = [] if self.merging or self.space.dropped else self._window()
            if not window:
                return False
            self.merging = True
        try:
            self._merge(window)
        finally:
            self.merging = False
        return True

    def merge_all(self) -> None:
        """Merge all components in files to one, or to as few as builds under way allow."""
        with self.db.executor.lock:
            while self.merging:
                self.db.executor.idle.wait(0.05)
            if self.space.dropped:
                return
            self.merging = True
        try:
            windows: list[list[Component]] = []
            for c in self.runs.components:
                if windows and not self._divides([*windows[-1], c]):
                    windows[-1].append(c)
                else:
                    windows.append([c])
            for window in windows:
                if len(window) > 1:
                    self._merge(window)
        finally:
            self.merging = False

    def _window(self) -> list[Component]:
        """Tiered: the longest row of neighbours, newest first, none bigger than those before it together; or the cheapest when they are
        many.
        """
        components = self.runs.components
        for i in range(len(components)):
            j, total = i, components[i].size
            while j + 1 < len(components) and components[j + 1].size <= 1.5 * total and not self._divides(components[i : j + 2]):
                j += 1
                total += components[j].size
            if j - i + 1 >= FANOUT:
                return list(components[i : j + 1])
        if len(components) > MOST:
            windows = [components[i : i + FANOUT] for i in range(len(components) - FANOUT + 1)]
            legal = [w for w in windows if not self._divides(w)]
            return list(min(legal, key=lambda w: sum(c.size for c in w), default=()))
        return []

    def _divides(self, window: Sequence[Component]) -> bool:
        """Tell whether an index whose build is under way begins within the window: its base will belong there."""
        ends = [x.epoch for x in self.indexes.values() if x.state == "building"]
        return any(window[-1].epoch <= e < window[0].epoch for e in ends)

    def _merge(self, window: Sequence[Component]) -> None:
        db = self.db
        merged = merge_components(window, self.kinds).write(db)
        self.counters["merged_bytes"] += merged.size
        self.replace(window, merged)

    def replace(self, old: Sequence[Component], new: Component) -> None:
        """Put a component in the place of old ones, durably."""
        db = self.db
        with db.executor.lock:
            with io_failures():
                db.fs.sync_dir(db.path)
            self.install(in_order([new, *(c for c in self.runs.components if c not in old)]))
            for c in old:
                db.remove(f"{c.number:06d}.idx")

    def install(self, components: Sequence[Component]) -> None:
        """Make a list of components the current one, durably. The executor's lock is held."""
        if why := self.db.core.why_read_only():
            raise ReadOnlyError(why)
        self.db.attach(self.space, self.row(components, self.covered))
        self.runs = Runs(components)

    # After a crash, or after the keyspace was flushed without us

    def missed(self) -> dict[bytes, bytes | None]:
        """Return the newest values (None: deleted) of keys that changed in the tables and not in the components."""
        newest: dict[bytes, Entry] = {}
        for table in self.space.tables.values():
            if table.props.max_seq <= self.covered:
                continue
            for entry in scan(table, cause="open"):
                if entry.seq > self.covered and (entry.key not in newest or entry.seq > newest[entry.key].seq):
                    newest[entry.key] = entry
        return {key: value_of(entry, self.space.value_files, "open") for key, entry in newest.items()}

    def forget(self) -> None:
        """Drop what is in memory: it is in the tables now, and `missed` finds it there. The lock is held."""
        self.pending.clear()
        self._waiting = self._waiting_bytes = 0
        self.recent = ()

    def catch_up(self, changes: Changes, seq: int) -> None:
        """Make a component of what was missed up to seq, durably."""
        with self.db.executor.lock:
            components = list(self.runs.components)
            if changes:
                made = self.component_of([changes], self.covered, seq - 1)
                components.insert(0, made.write(self.db))
                with io_failures():
                    self.db.fs.sync_dir(self.db.path)
            self.covered = max(self.covered, seq)
            self.install(components)


def _alike(recent: Sequence[Component], ends: Sequence[int]) -> int:
    """How many of the newest may be merged and are not much bigger than those before them."""
    n, total = 1, recent[0].size
    while n < len(recent) and _mergeable(recent[n], recent[n - 1], ends) and recent[n].size < 2 * total:
        total += recent[n].size
        n += 1
    return n


def _mergeable(older: Component, newer: Component, ends: Sequence[int]) -> bool:
    return older.epoch == newer.epoch and not any(older.hi < end <= newer.lo for end in ends)
