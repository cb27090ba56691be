"""What the parts of the machine of row G share: the database, its model, opening and losing it, comparing it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

import lsm
import recovery

from . import draws, model
from .model import Model, Operation, State

PATH = "/db"
TABLE = "t"
KEYS = st.one_of(
    st.sampled_from([*(b"%02d" % i for i in range(12)), b"", b"a", b"aa", b"k\0", b"k", b"\xff", b"\xff" * 2, b"m" * 40, b"user/1"]),
    st.binary(max_size=3),
)  # fmt: skip
VALUES = st.one_of(
    st.binary(max_size=6), st.sampled_from([b"", b"x" * 300, b"z" * 5000]), st.integers(0, 255).map(lambda n: bytes([n]) * 90)
)
FIXED = ("default", "other")
EXTRA = ("more", "more-2")
ANY_SPACE = st.sampled_from([*FIXED, *FIXED, *EXTRA])  # the extra ones where they are
OPTIONS = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in draws.choices().items()}).map(
    lambda flat: draws.nested(draws.fitting(flat) | {"table.range_params": "", "stalls.slowdown_runs": min(flat["stalls.stop_runs"], 20)})
)
COPIES: dict[str, Callable[[Base, str], None]] = {"checkpoint": lambda machine, path: machine.db.checkpoint(path)}
"""Ways to make a directory that opens on its own and equals the machine's database: (machine, path) -> None. What is added is tried."""
BACKUPS, KEY_NAME = "/backups", "LSMLAB_MACHINE_KEY"
START = 1_700_000_000 * 10**9  # the wall clock, ns


class Base(RuleBasedStateMachine):
    """A database in memory, over a file system that fails on command, and its model.

    A table's rows are in the model as pairs of a keyspace of their own, so that a power loss must bring rows and pairs back to one moment.
    """

    steps = 0  # of all machines of the process, for whoever counts
    last_options: ClassVar[draws.Options] = {}
    failures: ClassVar[list[str]] = []  # of all machines of the process, as they came
    db: lsm.DB

    @initialize(options=OPTIONS, encrypted=st.sampled_from([False, False, True]), archive=st.booleans())
    def start(self, options: draws.Options, encrypted: bool, archive: bool) -> None:
        """Make the database."""
        self.key = bytes(range(32)) if encrypted else None
        self.archive_key = f"env:{KEY_NAME}" if encrypted else ""
        self.keeps_log, self.clock = archive, recovery.Clock(START)
        self.options, self.model = options, Model()
        self.memory = recovery.memory()
        self.fs = recovery.fault(self.memory)
        self.snapshots: list[tuple[lsm.Snapshot, State]] = []
        self.scans: list[tuple[Any, list[tuple[bytes, bytes]]]] = []
        self.moments: list[tuple[Any, dict[Any, Any], dict[str, dict[str, Any]]]] = []
        self.indexes: dict[str, dict[str, Any]] = {}
        self.table: Any = None
        self.copies, self.disturbed = 0, False  # disturbed: a fault may have left a file that the next open sweeps
        self.open()
        self.db.keyspace("other")
        self.model.made_space("other")

    # The database

    def open(self, **changes: Any) -> None:
        """Open it, and its table if it has one."""
        Base.last_options = self.options
        if self.archiving:
            os.environ[KEY_NAME] = bytes(range(32)).hex()
            changes |= {"wal__archive": BACKUPS, "wal__archive_key": self.archive_key}
        else:
            self.history_ends()
        self.db = lsm.open(PATH, draws.override(self.options, **changes), fs=self.fs, encryption=self.key, clock=self.clock)
        if TABLE in self.model.state:
            self.open_table()

    def open_table(self) -> None:
        """Open the table; the part of tables says how."""

    def space(self, name: str) -> Any:
        """Return a keyspace."""
        return self.db.default if name == "default" else self.db.keyspace(name, create=False)

    def there(self, name: str) -> str:
        """Return the name, or another if there is no such keyspace now."""
        return name if name in self.model.state else "default"

    @property
    def logged(self) -> bool:
        """Tell whether there is a log."""
        return bool(self.options["wal"]["enabled"])

    @property
    def archiving(self) -> bool:
        """Tell whether the log goes to the archive."""
        return self.keeps_log and self.logged

    def archive(self) -> None:
        """Ship the log; the part of copies says how."""

    def history_ends(self) -> None:
        """No moment that was can be had again out of the archive; the part of copies says how."""

    def went_back(self) -> None:
        """Some moments that were are not so any more; the part of copies says which."""

    @property
    def durable(self) -> bool:
        """Tell whether an acknowledged write is on the disk."""
        return self.logged and self.options["wal"]["sync"] in ("group", "every")

    def wrote(self, operations: list[Operation], sync: bool = False) -> None:
        """Note one acknowledged atomic write."""
        self.model.write(operations, durable=self.durable or (sync and self.logged and bool(operations)))

    def forget_readers(self) -> None:
        """Close all snapshots, scans and moments."""
        readers: list[Any] = [reader for reader, *_ in (*self.scans, *self.snapshots, *self.moments)]
        for reader in readers:
            reader.close()
        self.scans, self.snapshots, self.moments = [], [], []

    # Losing it

    def reopen(self, **changes: Any) -> None:
        """Close and open. Without a log the memtables are flushed before: that is all that keeps them."""
        self.forget_readers()
        if not self.logged:
            self.db.flush()
        self.db.close()
        self.model.made_durable()
        self.open(**changes)

    def crash(self, mode: str, seed: int) -> None:
        """Lose the process, or the power: go on with what the memory's clone holds."""
        self.forget_readers()
        if not self.logged:
            self.db.flush()
            self.model.made_durable()
        clone = self.memory.crash_clone(mode, seed)
        self.db.close()
        self.memory, self.fs = clone, recovery.fault(clone)
        lost = mode != "process" or (self.logged and self.options["wal"]["sync"] == "none")
        self.open_after(lost)
        self.disturbed = False
        if lost:
            self.went_back()
            found = self.contents()
            if not self.model.went_back(found):
                raise AssertionError(f"after {mode} crash {seed}: found {found}; possible, newest first: {list(self.model.possible())}")

    def open_after(self, lost: bool) -> None:
        """Open after a crash that may have torn the log."""
        how = self.options["wal"]["recovery"]
        if not lost or how not in ("absolute", "tolerate_tail"):
            self.open(wal__recovery="point_in_time" if lost and how == "skip" else how)  # skip may keep a write and lose one before it
            return
        try:
            self.open()
        except lsm.CorruptionError:  # a torn log is what these modes refuse; the directory must be as it was
            self.open(wal__recovery="point_in_time")

    # Comparing

    def contents(self) -> State:
        """Return what is there, as the model has it."""
        found = {name: dict(self.space(name).scan()) for name in self.model.state if name != TABLE}
        if TABLE in self.model.state:
            found[TABLE] = {stored_key(r["k"]): stored_row(r) for r in self.table}
        return found

    @invariant()
    def contents_agree(self) -> None:
        """Every pair is there, forward and backward."""
        if not hasattr(self, "db") or self.db.closed:
            return
        Base.steps += 1
        for name, pairs in self.model.state.items():
            if name == TABLE:
                continue
            expected, space = list(pairs.items()), self.space(name)
            found = list(space.scan(reverse=bool(Base.steps & 1)))
            if Base.steps & 1:
                found.reverse()
            assert found == expected, f"{name}: found {found}, expected {expected}"

    def teardown(self) -> None:
        """Everything verifies, and closes. A failure is kept as it came: with threads it may not come again when it is looked into."""
        problem = sys.exc_info()[1]
        try:
            self.end()
        except AssertionError as e:
            problem = e
            raise
        finally:
            if isinstance(problem, Exception) and not type(problem).__module__.startswith("hypothesis"):
                Base.failures.append(f"{type(problem).__name__}: {problem}")

    def end(self) -> None:
        """Everything verifies, and closes."""
        if hasattr(self, "db") and not self.db.closed:
            note(self.db.dump())
            self.forget_readers()
            self.table_agrees()
            assert self.db.verify() == []
            self.db.close()

    def table_agrees(self) -> None:
        """Rows and indexes agree; the part of tables says how."""


def stored_key(key: Any) -> bytes:
    """A row's key as the model has it."""
    return repr(key).encode()


def stored_row(row: dict[str, Any]) -> bytes:
    """A row as the model has it."""
    return repr(sorted((c, v) for c, v in row.items() if v is not None)).encode()


def scan(space: Any, **how: Any) -> list[tuple[bytes, bytes]]:
    """Return what a scan of a keyspace of the model yields."""
    return model.scan(space, **how)


def names_in(fs: recovery.FileSystem) -> set[str]:
    """Return the names of the database's files."""
    return {os.path.basename(path) for path in fs.walk_files(PATH)}
