"""Rules of row G about the tree and its life: keyspaces, flushes, merges, policies, figures, files; closing, dying, copies, faults."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import lsm
import recovery

from . import draws
from .machine_base import ANY_SPACE, COPIES, EXTRA, FIXED, KEYS, OPTIONS, PATH, TABLE, VALUES, Base, names_in

POLICIES: dict[str, Any] = {
    "any": draws.AnyMerge,
    **{name: lambda name=name: lsm.LAYOUTS[name](lsm.PICKERS["oldest"]()) for name in lsm.LAYOUTS},
}
FAULTS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["*", "append", "pwrite", "pread", "sync*", "open", "rename", "unlink", "map", "allocate", "close"]),
        "path": st.sampled_from(["*", "*.log", "*.sst", "*.vlog", "*MANIFEST*", "*CURRENT*"]),
        "nth": st.integers(1, 12),
        "error": st.sampled_from([5, 28, 4, 24, 122, "short", "flip"]),
        "sticky": st.booleans(),
    }
)  # fmt: skip


class Tree(Base):
    """What changes no answer, and what ends everything but the answers."""

    # Keyspaces

    @rule(name=st.sampled_from(EXTRA), options=OPTIONS, own=st.sets(st.sampled_from(["memtable", "table", "compaction", "write_buffer"])))
    def make_keyspace(self, name: str, options: draws.Options, own: set[str]) -> None:
        """With some options of its own."""
        if name not in self.model.state:
            space = self.db.keyspace(name, {k: options[k] for k in own})
            self.model.made_space(name)
            assert list(space.scan()) == []
        assert self.db.keyspace(name) is self.db.keyspace(name, create=False)
        assert set(self.db.keyspaces()) - {f"{TABLE}.keys"} == set(self.model.state)

    @rule(name=st.sampled_from(EXTRA))
    def drop_keyspace(self, name: str) -> None:
        """With all that is in it; scans and snapshots of others go on."""
        if name not in self.model.state:
            try:
                self.db.drop_keyspace(name)
            except KeyError:
                return
            raise AssertionError(f"{name} was dropped and is not there")
        old = self.space(name)
        self.db.drop_keyspace(name)
        self.model.dropped_space(name)
        assert name not in self.db.keyspaces()
        try:
            old.put(b"a", b"b")
        except (lsm.Error, KeyError):
            return
        raise AssertionError("a dropped keyspace took a write")

    @rule(name=st.sampled_from(["", "a b", "x" * 65, "../up", "ü"]))
    def refused_keyspace(self, name: str) -> None:
        """A name that is none; the default one stays."""
        for call in (lambda: self.db.keyspace(name), lambda: self.db.drop_keyspace("default")):
            try:
                call()
            except ValueError:
                continue
            raise AssertionError(f"{name!r} was taken, or the default keyspace dropped")

    # The tree

    @rule(name=ANY_SPACE)
    def flush(self, name: str) -> None:
        """One keyspace."""
        self.space(self.there(name)).flush()

    @rule()
    def flush_all(self) -> None:
        """All: then everything is on the disk."""
        self.db.flush()
        self.model.made_durable()

    @precondition(lambda self: self.logged)
    @rule()
    def sync(self) -> None:
        """The log: then everything is on the disk."""
        self.db.sync()
        self.model.made_durable()

    @rule(name=ANY_SPACE, a=st.none() | KEYS, b=st.none() | KEYS)
    def compact(self, name: str, a: bytes | None, b: bytes | None) -> None:
        """A range."""
        if a is not None and b is not None and a > b:
            a, b = b, a
        self.space(self.there(name)).compact(a, b)

    @rule()
    def compact_all(self) -> None:
        """Everything in the default keyspace."""
        self.db.compact()

    @rule(name=st.sampled_from(FIXED), which=st.sampled_from(sorted(POLICIES)))
    def set_policy(self, name: str, which: str) -> None:
        """Another compaction policy, whatever the shape is now."""
        self.db.set_policy(POLICIES[which](), name)

    @rule(name=st.sampled_from(FIXED), layout=st.sampled_from(sorted(lsm.LAYOUTS)), options=OPTIONS)
    def set_policy_for_good(self, name: str, layout: str, options: draws.Options) -> None:
        """With other options, which outlive closing; a database that takes no writes says so and stays as it is."""
        compaction = {k: options["compaction"][k] for k in ("size_ratio", "level_base", "merge", "granularity", "cut", "trivial_move")}
        self.db.set_policy({"compaction": {**compaction, "layout": layout, "triggers": ""}, "stalls": options["stalls"]}, name)
        assert self.db.keyspace(name).options.compaction.layout == layout

    @rule()
    def wait(self) -> None:
        """For background work."""
        self.db.wait()

    @rule(capacity=st.sampled_from([0, 4096, 1 << 20]))
    def resize_caches(self, capacity: int) -> None:
        """Smaller and larger."""
        for cache in (self.db.cache, self.db.row_cache):
            if cache is not None:
                cache.resize(capacity)

    # Looking

    @rule()
    def verify(self) -> None:
        """Every block is right."""
        assert self.db.verify() == []

    @rule()
    def figures(self) -> None:
        """Counters conserve; levels are the version's; sizes are the files'."""
        self.db.wait()
        stats = self.db.stats()
        counters = stats.counters
        dropped = counters["dropped_shadowed"] + counters["dropped_tombstones"] + counters["dropped_range"]
        assert counters["entries_in"] == counters["entries_out"] + dropped, counters
        for name in self.db.keyspaces():
            version = self.db.version(name)
            assert [(lv.level, lv.runs, lv.tables, lv.bytes) for lv in stats.levels[name]] == [
                (lv.number, len(lv.runs), len(lv.tables), lv.size) for lv in version.levels
            ]
            for number, table in version.tables().items():
                assert self.db.fs.stat(f"{PATH}/{number:06d}.sst")[0] == table.size
            text = self.db.dump(name)
            assert all(f"{number}[" in text for number in version.tables()), text
        assert min(stats.memory.values()) >= 0 and stats.to_dict()["levels"].keys() == stats.levels.keys()

    @rule()
    def health(self) -> None:
        """It takes writes."""
        health = self.db.health
        assert health.writable and not health.error and not health.policies, str(health)
        assert str(health).startswith("state: ")

    @rule(keys=st.lists(KEYS, max_size=8))
    def record_accesses(self, keys: list[bytes]) -> None:
        """Recording changes no answer."""
        if self.db.cache is None:
            return
        with self.db.record_block_accesses(limit=1000) as accesses:
            assert self.db.get_many(keys) == [self.model.state["default"].get(k) for k in keys]
        assert len(accesses) == len(list(accesses))

    @precondition(lambda self: not self.disturbed)
    @rule()
    def files(self) -> None:
        """After a flush and a sweep there is no file that the manifest does not name, and none is missing."""
        self.forget_readers()
        self.db.flush()
        if self.archiving:
            self.archive()
        self.model.made_durable()
        self.db.wait()
        with self.db.executor.lock:
            self.db.sweep(logs=True)
        there = names_in(self.fs)
        tables = {f"{n:06d}.sst" for name in self.db.keyspaces() for n in self.db.version(name).tables()}
        tables |= {f"{v.number:06d}.vlog" for name in self.db.keyspaces() for v in self.db.version(name).values}
        riders = {f"{n:06d}.idx" for n in self.db.state.attached_files()}
        logs = {name for name in there if name.endswith(".log")}
        floor = self.db.manifest.log_floor
        others = {self.db.manifest.name, "CURRENT", "LOCK"} | ({"KEYS"} if self.key else set())
        assert there - logs == tables | riders | others
        kept = min(floor, self.db.holds.logs_from)  # what the next backup may need
        assert all(int(name[:6]) >= kept for name in logs), (logs, kept)

    # Ends and beginnings

    @rule()
    def close_and_open(self) -> None:
        """Everything is as it was."""
        self.reopen()

    @rule(options=OPTIONS)
    def open_with_others(self, options: draws.Options) -> None:
        """Other options for everything that a database does not keep."""
        self.forget_readers()
        if not self.logged:
            self.db.flush()
        self.db.close()
        self.model.made_durable()
        self.options = options
        self.open()

    @rule()
    def process_dies(self) -> None:
        """Everything that was given to the system is there."""
        self.crash("process", 0)

    @rule(mode=st.sampled_from(["power", "random"]), seed=st.integers(0, 1 << 16))
    def power_fails(self, mode: str, seed: int) -> None:
        """A state since the last one that is durable."""
        self.crash(mode, seed)

    @rule(mode=st.sampled_from(["process", "power", "random"]), seed=st.integers(0, 1 << 16))
    def dies_twice(self, mode: str, seed: int) -> None:
        """The second time right after recovery: what was shown then stays, to the last byte."""
        self.crash(mode, seed)
        shown = self.contents()
        self.crash("power", seed)
        assert self.contents() == shown

    @rule(mode=st.sampled_from(["power", "random"]), seed=st.integers(0, 1 << 16), nth=st.integers(1, 60))
    def dies_while_opening(self, mode: str, seed: int, nth: int) -> None:
        """Recovery stops at some call; the power goes; the next recovery finds the same."""
        self.reopen()
        self.forget_readers()
        self.db.close()
        self.fs.arm(nth=nth, sticky=True)
        try:
            self.open()
        except lsm.Error:
            pass
        else:
            self.fs.disarm()
            self.db.close()
        self.memory = self.memory.crash_clone(mode, seed)
        self.fs = recovery.fault(self.memory)
        self.disturbed = False
        self.open_after(lost=True)
        assert self.contents() == self.model.freeze()

    @rule(options=OPTIONS)
    def open_read_only(self, options: draws.Options) -> None:
        """What the process would leave if it died now, under other options: it has what was written, and no file changes."""
        self.forget_readers()
        if not self.logged or self.options["wal"]["sync"] == "none":
            return
        clone = self.memory.crash_clone("process")
        before = {path: clone.read_all(path) for path in clone.walk_files(PATH)}
        with lsm.open(PATH, options, fs=clone, read_only=True, encryption=self.key) as db:
            for name in ("default", "other"):
                assert dict(db.keyspace(name).scan()) == dict(self.model.state[name])
            assert db.health.state == "read_only"
            for call in (lambda: db.put(b"a", b"b"), db.flush, lambda: db.keyspace("new")):
                try:
                    call()
                except lsm.ReadOnlyError:
                    continue
                raise AssertionError("a database that was opened read-only took a write")
        assert {path: clone.read_all(path) for path in clone.walk_files(PATH)} == before

    @rule()
    def open_twice(self) -> None:
        """The second one is refused and harms nothing."""
        try:
            lsm.open(PATH, self.options, fs=self.fs, encryption=self.key)
        except lsm.LockedError:
            return
        raise AssertionError("a database was opened twice")

    @rule()
    def use_after_close(self) -> None:
        """Everything is refused; then it is opened again."""
        self.forget_readers()
        iterator, db = self.db.scan(), self.db
        self.reopen()
        for call in (lambda: db.put(b"a", b"b"), lambda: db.get(b"a"), db.flush, db.snapshot, db.verify, lambda: next(iterator)):
            try:
                call()
            except (lsm.ClosedError, StopIteration):
                continue
            raise AssertionError("a closed database answered")
        db.close()

    @precondition(lambda self: self.key is not None)
    @rule()
    def rotate_keys(self) -> None:
        """Another master key over the data keys, and another data key for new files."""
        if self.key is not None and self.db.key_report().keys < 4:
            self.db.rotate_data_keys()
            self.db.rotate_key(self.key)

    # Copies

    def copy(self, how: str) -> str:
        """Make a copy and return its path."""
        self.copies += 1
        path = f"/copy{self.copies}"
        COPIES[how](self, path)
        return path

    @rule(how=st.sampled_from(sorted(COPIES)), options=OPTIONS)
    def copy_equals(self, how: str, options: draws.Options) -> None:
        """A checkpoint opens on its own, under other options, and its end leaves the origin alone."""
        path = self.copy(how)
        with lsm.open(path, options, fs=self.fs, encryption=self.key) as copy:
            for name in (*FIXED, *(n for n in EXTRA if n in self.model.state)):
                assert dict(copy.keyspace(name, create=False).scan()) == dict(self.model.state[name])
            assert copy.verify() == []
            copy.put(b"only in the copy", b"")
            copy.delete_range(b"", b"\xff" * 9)
            copy.compact()

    @rule(how=st.sampled_from(sorted(COPIES)), key=KEYS, value=VALUES)
    def go_on_in_copy(self, how: str, key: bytes, value: bytes) -> None:
        """Change the origin behind the copy, lose the origin, rename the copy to its place."""
        self.forget_readers()
        path = self.copy(how)
        self.db.put(key, value)
        self.db.flush()
        self.db.close()
        old = f"/old{self.copies}"
        self.fs.rename(PATH, old)
        self.fs.rename(path, PATH)
        self.fs.sync_dir("/")
        self.disturbed = False
        self.model.made_durable()
        self.history_ends()
        self.open()
        assert self.contents() == self.model.freeze()

    # Faults

    @rule(
        fault=FAULTS,
        name=st.sampled_from(FIXED),
        pairs=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3),
        end=st.sampled_from(["flush", "compact", "verify", "checkpoint", "none"]),
    )
    def one_fault(self, fault: dict[str, Any], name: str, pairs: list[tuple[bytes, bytes]], end: str) -> None:  # fmt: skip
        """Then everything is right or raises; and after closing and opening everything acknowledged is there."""
        self.forget_readers()
        weak = not self.logged or self.options["wal"]["sync"] == "none"  # then what was acknowledged may go with what raised
        if weak:
            self.db.flush()
        self.fs.arm(**fault)
        states, seen = self.put_under_fault(name, pairs)
        self.try_under_fault(name, states, end)
        self.fs.disarm()
        with suppress(lsm.Error):
            self.db.close()
        self.disturbed = True
        self.open()
        found = dict(self.space(name).scan())
        possible = seen if weak else states
        assert found in possible, f"found {found}; possible {possible}"
        self.model.state[name].clear()
        self.model.state[name].update(found)
        self.flush_all()

    def put_under_fault(self, name: str, pairs: list[tuple[bytes, bytes]]) -> tuple[list[dict[bytes, bytes]], list[dict[bytes, bytes]]]:
        """Write; return every state that may be found, as what raised may have happened or not, and every one that there was."""
        states = [dict(self.model.state[name])]
        seen = list(states)
        for key, value in pairs:
            written = [{**s, key: value} for s in states]
            seen += written
            try:
                self.space(name).put(key, value)
                states = written
            except lsm.Error:
                states += written
            try:
                got = self.space(name).get(key)
                assert got in {s.get(key) for s in states}, f"{key!r}: {got!r}"
            except lsm.Error:
                pass
        return states, seen

    def try_under_fault(self, name: str, states: list[dict[bytes, bytes]], end: str) -> None:
        """More calls that may raise; what answers is right."""
        space = self.space(name)
        self.copies += 1
        calls = {"flush": self.db.flush, "compact": space.compact, "verify": self.db.verify, "none": self.db.wait}
        calls["checkpoint"] = lambda: self.db.checkpoint(f"/copy{self.copies}")
        with suppress(lsm.Error):
            calls[end]()
        for reverse in (False, True):
            try:
                found = dict(space.scan(reverse=reverse))
            except lsm.Error:
                continue
            assert found in states, f"under a fault: found {found}; possible {states}"
