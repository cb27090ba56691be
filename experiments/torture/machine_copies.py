"""Rules of row G about what is made of a database: backups, the log archive, moments of the past, repair; and going on after a failure.

With an archive each moment that was noted can be had again, by its sequence number and by its time, as long as no session without a log, no
failed log and no other timeline came in between; the clock stands still but for `note_moment`, so that a time is one moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import lsm
import recovery
from lsm.backup import Backup
from lsm.repair import repair

from . import draws
from .machine_base import BACKUPS, COPIES, FIXED, KEYS, OPTIONS, PATH, TABLE, VALUES, Base, stored_key, stored_row
from .machine_tables import FUNCTIONS
from .machine_tree import Tree
from .model import State

T = TypeVar("T")
MS = 10**6
FAILURES = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["*", "append", "pwrite", "sync*", "sync*", "open", "allocate", "map"]),
        "path": st.sampled_from(["/db/*", "/db/*", "/db/*.log", "/db/*.sst", "/db/MANIFEST*"]),
        "nth": st.integers(1, 3),
        "error": st.sampled_from([5, 28, 28, 122, "short"]),
        "sticky": st.booleans(),
    }
)  # fmt: skip
archived = precondition(lambda self: self.archiving)


class Moment(NamedTuple):
    """A state that can be had again."""

    seq: int
    time: int
    state: State


def patiently(call: Callable[[], T]) -> T:
    """Do what needs the store alone: again while the thread of the log archive has it."""
    for _ in range(600):
        try:
            return call()
        except lsm.BusyError:
            time.sleep(0.1)
    return call()


def _restored(machine: Base, path: str) -> None:
    made = patiently(lambda: machine.db.backup(BACKUPS, key=machine.key))
    lsm.Backups(BACKUPS, key=machine.key, fs=machine.fs).restore(path, backup=made.id, encryption=machine.key)


def _repaired(machine: Base, path: str) -> None:
    """Of a checkpoint that lost its pointer: what is there proves that nothing else is missing."""
    damaged = f"{path}.damaged"
    machine.db.checkpoint(damaged)
    machine.fs.unlink(f"{damaged}/CURRENT")
    report = repair(damaged, path, fs=machine.fs, encryption=machine.key, functions=FUNCTIONS)
    assert report.nothing_lost and not report.problems, str(report)


COPIES["restore"] = _restored
COPIES["repair"] = _repaired


class Copies(Tree):
    """What is copied, and what is made of the copies."""

    def __init__(self) -> None:
        super().__init__()
        self.backups: list[tuple[Backup, State]] = []
        self.past: list[Moment] = []
        self.based = False  # there is a backup that the archive leads on from to now

    @property
    def store(self) -> lsm.Backups:
        """The backups."""
        return lsm.Backups(BACKUPS, key=self.key, fs=self.fs)

    def history_ends(self) -> None:
        """What was noted cannot be had again, and nothing can before the next backup."""
        self.past, self.based = [], False

    def went_back(self) -> None:
        """What was noted and was not on the disk has not been."""
        self.past = []

    def is_like(self, path: str, state: State, options: draws.Options, fs: recovery.FileSystem | None = None) -> None:
        """Compare a database with a state: keyspaces, pairs, rows."""
        with lsm.open(path, options, fs=fs or self.fs, encryption=self.key) as copy:
            assert set(copy.keyspaces()) - {f"{TABLE}.keys"} == set(state), (copy.keyspaces(), set(state))
            for name in set(state) - {TABLE}:
                found = dict(copy.keyspace(name, create=False).scan())
                assert found == state[name], f"{name}: found {found}, expected {state[name]}"
            if TABLE in state:
                rows = {stored_key(r["k"]): stored_row(r) for r in copy.table(TABLE, key="k", functions=FUNCTIONS)}
                assert rows == state[TABLE], f"rows: found {rows}, expected {state[TABLE]}"
            assert copy.verify() == []

    def new_path(self) -> str:
        """A path that nothing is at."""
        self.copies += 1
        return f"/copy{self.copies}"

    # Backups

    @rule(codec=st.sampled_from(["none", "zstd"]))
    def back_up(self, codec: str) -> None:
        """On top of those before; then what it holds is on the disk."""
        self.make_backup(codec)

    def make_backup(self, codec: str = "none") -> None:
        """Make one, and note what is in it."""
        made = patiently(lambda: self.db.backup(BACKUPS, key=self.key, codec=codec))
        self.model.made_durable()
        self.backups.append((made, self.model.freeze()))
        self.based = self.archiving

    @rule(which=st.integers(0, 20), options=OPTIONS)
    def restore_backup(self, which: int, options: draws.Options) -> None:
        """An old one or the last."""
        if not self.backups:
            self.make_backup()
        made, state = self.backups[-1 - which % len(self.backups)]
        path = self.new_path()
        done = self.store.restore(path, backup=made.id, encryption=self.key)
        assert (done.backup, done.seq) == (made.id, made.seq)
        self.is_like(path, state, options)

    @precondition(lambda self: self.backups)
    @rule()
    def backups_verify(self) -> None:
        """They are all there, and whole."""
        assert self.store.verify() == []
        listed = {b.id: b for b in self.store.backups()}
        assert all((listed[b.id].seq, listed[b.id].bytes) == (b.seq, b.bytes) for b, _ in self.backups)

    @precondition(lambda self: self.backups)
    @rule(keep=st.integers(1, 3))
    def prune(self, keep: int) -> None:
        """The older ones of each line go, and the moments before those that stay."""
        lines = dict[tuple[str, str], list[str]]()
        for b in self.store.backups():
            lines.setdefault((b.database, b.timeline), []).append(b.id)
        gone = {id for ids in lines.values() for id in ids[:-keep]}
        assert set(patiently(lambda: self.store.prune(keep)).backups) == gone
        self.backups = [(b, state) for b, state in self.backups if b.id not in gone]
        mine = [b.seq for b, _ in self.backups if b.timeline == f"{self.db.state.timeline:016x}"]
        self.past = [m for m in self.past if m.seq >= min(mine, default=1 << 60)]

    # The archive

    def archive(self) -> None:
        """Ship the log: all that was acknowledged is there then. Once more where faults made it wait."""
        try:
            self.db.archive_now()
        except lsm.BackupError:
            if self.db.archiver is None or self.db.archiver.guard.state != "open":
                raise
            self.reopen()
            self.db.archive_now()
        self.model.made_durable()

    @archived
    @rule()
    def archive_log(self) -> None:
        """Nothing waits then, and nothing is wrong."""
        self.archive()
        figures = self.db.stats().archive
        assert figures["pending"] == 0, figures

    @archived
    @rule(key=KEYS, value=VALUES)
    def note_moment(self, key: bytes, value: bytes) -> None:
        """A write, and what is there then; time goes on behind it."""
        if not self.based:
            self.make_backup()
        self.db.put(key, value)
        self.wrote([("put", "default", key, value)])
        self.past.append(Moment(self.db.core.sequence(), self.clock.now_ns, self.model.freeze()))
        self.clock.now_ns += 2 * MS

    @archived
    @rule(which=st.integers(0, 20), by=st.sampled_from(["seq", "time"]), options=OPTIONS)
    def go_back(self, which: int, by: str, options: draws.Options) -> None:
        """To a moment, out of the newest backup before it and the log."""
        if not self.past:
            self.note_moment(b"k", b"v")
        self.archive()
        moment = self.past[-1 - which % len(self.past)]
        path, line = self.new_path(), f"{self.db.state.database_id:016x}-{self.db.state.timeline:016x}"
        limit: dict[str, Any] = {"to_seq": moment.seq} if by == "seq" else {"to_time": moment.time + MS}
        done = self.store.restore(path, database=line, encryption=self.key, **limit)
        assert done.seq == moment.seq, (done, moment)
        self.is_like(path, moment.state, options)

    # Repair

    @precondition(lambda self: self.logged and self.options["wal"]["sync"] != "none")
    @rule(options=OPTIONS)
    def repair_of_what_is_whole(self, options: draws.Options) -> None:
        """What a process left that died: repaired, it lost nothing, and is the same."""
        path, clone = self.new_path(), self.memory.crash_clone("process")
        before = {p: clone.read_all(p) for p in clone.walk_files(PATH)}
        report = repair(PATH, path, fs=clone, encryption=self.key, functions=FUNCTIONS)
        assert report.nothing_lost and not report.problems, str(report)
        assert {p: clone.read_all(p) for p in clone.walk_files(PATH)} == before
        self.is_like(path, self.model.freeze(), options, clone)

    # Going on

    @rule(
        fault=FAILURES,
        name=st.sampled_from(FIXED),
        pairs=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=4),
        flush=st.sampled_from([True, True, False]),
    )  # fmt: skip
    def fail_and_resume(self, fault: dict[str, Any], name: str, pairs: list[tuple[bytes, bytes]], flush: bool) -> None:
        """The disk fails, and works again: the database goes on as it is, and what it has then is on the disk."""
        self.forget_readers()
        self.fs.arm(**fault)
        states, _ = self.put_under_fault(name, pairs)
        with suppress(lsm.Error):
            if flush:
                self.db.flush()
            self.db.wait()
        self.fs.disarm()
        with suppress(lsm.Error):
            self.db.wait()
        resumed = self.db.resume()
        self.disturbed = True
        assert self.db.health.writable and not self.db.health.error, str(self.db.health)
        found = dict(self.space(name).scan())
        assert found in states, f"found {found}; possible {states}"
        self.model.state[name].clear()
        self.model.state[name].update(found)
        if resumed:
            self.model.made_durable()
            self.history_ends()
        else:
            self.flush_all()
