"""A database against its model, step by step: the whole API, reopen, process death and power loss, under options drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import lsm
import recovery
from tests.harness import model as m

KEYS = st.one_of(st.binary(max_size=3), st.sampled_from([b"a", b"aa", b"ab", b"b", b"k\x00", b"k", b"\xff", b"\xff\xff", b"m" * 40]))
VALUES = st.one_of(st.binary(max_size=8), st.integers(0, 255).map(lambda n: bytes([n]) * 300), st.just(b"z" * 5000))
SPACES = st.sampled_from(["default", "other"])
OPERATION = st.one_of(
    st.tuples(st.just("put"), SPACES, KEYS, VALUES),
    st.tuples(st.just("delete"), SPACES, KEYS, st.just(b"")),
    st.tuples(st.just("delete_range"), SPACES, KEYS, KEYS).filter(lambda t: t[2] < t[3]),
)
OPTIONS = st.fixed_dictionaries(
    {
        "threads": st.sampled_from([0, 0, 0, 1]),
        "seed": st.integers(0, 3),
        "write_buffer": st.sampled_from([2048, 16384, 1 << 20]),
        "memtable": st.sampled_from(["skiplist", "vector", "hash"]),
        "wal": st.fixed_dictionaries({"sync": st.sampled_from(["os", "group", "every", "interval"])}),
        "table": st.fixed_dictionaries(
            {
                "block_size": st.sampled_from([64, 512, 4096]),
                "restart_interval": st.sampled_from([1, 2, 16]),
                "hash_index": st.booleans(),
                "index": st.sampled_from(["full", "two_level"]),
                "codec": st.sampled_from(["none", "lz4", "zstd"]),
                "filter": st.sampled_from(["none", "bloom", "blocked_bloom"]),
                "read_mode": st.sampled_from(["buffered", "mapped"]),
            }
        ),
        "cache": st.fixed_dictionaries(
            {"policy": st.sampled_from(["lru", "clock", "arc"]), "capacity": st.sampled_from([1 << 12, 1 << 20])}
        ),
        "row_cache": st.fixed_dictionaries(
            {"policy": st.sampled_from(["s3fifo", "wtinylfu"]), "capacity": st.sampled_from([0, 1 << 12, 1 << 20])}
        ),
        "compaction": st.fixed_dictionaries(
            {
                "layout": st.sampled_from(["leveling", "tiering", "1-leveling", "lazy-leveling"]),
                "picker": st.sampled_from(["least_overlap", "round_robin", "oldest", "random"]),
                "size_ratio": st.sampled_from([2, 3, 10]),
                "output_bytes": st.sampled_from([1024, 8192, 1 << 20]),
                "level_base": st.sampled_from([4096, 65536]),
                "l0_trigger": st.sampled_from([1, 2, 4]),
            }
        ),
    }
)


class Database(RuleBasedStateMachine):
    """Every rule does one thing to the database and to the model; every answer must agree."""

    @initialize(options=OPTIONS)
    def start(self, options: dict[str, Any]) -> None:
        self.options = options
        self.model = m.Model()
        self.snapshots: list[tuple[lsm.Snapshot, m.State]] = []
        self.scans: list[tuple[Any, list[tuple[bytes, bytes]]]] = []
        self.fs = recovery.memory()
        self.open()
        self.db.keyspace("other")
        self.model.state["other"] = {}
        self.db.flush()

    def open(self) -> None:
        self.db = lsm.open("/db", self.options, fs=self.fs)
        self.durable = self.options["wal"]["sync"] in ("group", "every")

    def space(self, name: str) -> Any:
        return self.db if name == "default" else self.db.keyspace(name)

    def forget_readers(self) -> None:
        for iterator, _ in self.scans:
            iterator.close()
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.scans, self.snapshots = [], []

    @rule(name=SPACES, key=KEYS, value=VALUES)
    def put(self, name: str, key: bytes, value: bytes) -> None:
        self.space(name).put(key, value)
        self.model.write([("put", name, key, value)], durable=self.durable)

    @rule(name=SPACES, key=KEYS)
    def delete(self, name: str, key: bytes) -> None:
        self.space(name).delete(key)
        self.model.write([("delete", name, key, b"")], durable=self.durable)

    @rule(name=SPACES, a=KEYS, b=KEYS)
    def delete_range(self, name: str, a: bytes, b: bytes) -> None:
        start, stop = min(a, b), max(a, b)
        if start < stop:
            self.space(name).delete_range(start, stop)
            self.model.write([("delete_range", name, start, stop)], durable=self.durable)

    @rule(operations=st.lists(OPERATION, max_size=12), sync=st.booleans())
    def write(self, operations: list[m.Operation], sync: bool) -> None:
        batch = lsm.Batch()
        for kind, name, first, second in operations:
            where = None if name == "default" else self.db.keyspace(name)
            if kind == "put":
                batch.put(first, second, keyspace=where)
            elif kind == "delete":
                batch.delete(first, keyspace=where)
            else:
                batch.delete_range(first, second, keyspace=where)
        self.db.write(batch, sync=sync)
        self.model.write(operations, durable=self.durable or (sync and bool(operations)))

    @rule(name=SPACES, pairs=st.lists(st.tuples(KEYS, VALUES), max_size=30))
    def put_many(self, name: str, pairs: list[tuple[bytes, bytes]]) -> None:
        self.space(name).put_many(pairs)
        self.model.write([("put", name, k, v) for k, v in pairs], durable=self.durable)

    @rule(name=SPACES, base=KEYS, count=st.integers(1, 60), size=st.integers(0, 200))
    def load(self, name: str, base: bytes, count: int, size: int) -> None:
        pairs = [(base + b"%03d" % (i * 37 % 101), b"v" * size) for i in range(count)]
        for k, v in pairs:
            self.space(name).put(k, v)
            self.model.write([("put", name, k, v)], durable=self.durable)

    @rule(name=SPACES, keys=st.lists(KEYS, min_size=1, max_size=20))
    def get(self, name: str, keys: list[bytes]) -> None:
        space, expected = self.space(name), [self.model.state[name].get(k) for k in keys]
        assert [space.get(k) for k in keys] == expected
        assert space.get_many(keys) == expected
        assert [k in space for k in keys] == [v is not None for v in expected]

    @rule(
        name=SPACES,
        start=st.none() | KEYS,
        stop=st.none() | KEYS,
        prefix=st.none() | st.binary(max_size=2),
        reverse=st.booleans(),
        limit=st.none() | st.integers(0, 5),
    )
    def scan(self, name: str, start: bytes | None, stop: bytes | None, prefix: bytes | None, reverse: bool, limit: int | None) -> None:
        how: dict[str, Any] = (
            {"prefix": prefix, "reverse": reverse, "limit": limit}
            if prefix is not None
            else {"start": start, "stop": stop, "reverse": reverse, "limit": limit}
        )
        expected = m.scan(self.model.state[name], **how)
        assert list(self.space(name).scan(**how)) == expected
        assert list(self.space(name).keys(**how)) == [k for k, _ in expected]

    @rule(reverse=st.booleans())
    def begin_scan(self, reverse: bool) -> None:
        if len(self.scans) < 3:
            self.scans.append((self.db.scan(reverse=reverse), m.scan(self.model.state["default"], reverse=reverse)))

    @precondition(lambda self: self.scans)
    @rule(count=st.integers(1, 50))
    def continue_scan(self, count: int) -> None:
        iterator, rest = self.scans.pop(0)
        for _ in range(min(count, len(rest))):
            assert next(iterator) == rest.pop(0)
        if rest:
            self.scans.append((iterator, rest))
        else:
            assert next(iterator, None) is None

    @rule()
    def open_snapshot(self) -> None:
        if len(self.snapshots) < 4:
            self.snapshots.append((self.db.snapshot(), self.model.state))

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 3), keys=st.lists(KEYS, max_size=10), close=st.booleans())
    def read_snapshot(self, which: int, keys: list[bytes], close: bool) -> None:
        which %= len(self.snapshots)
        snapshot, state = self.snapshots[which]
        for name in ("default", "other"):
            space = self.space(name)
            assert list(space.scan(snapshot=snapshot)) == m.scan(state[name])
            assert list(space.scan(snapshot=snapshot, reverse=True)) == m.scan(state[name], reverse=True)
            assert [space.get(k, snapshot=snapshot) for k in keys] == [state[name].get(k) for k in keys]
        if close:
            snapshot.close()
            del self.snapshots[which]

    @rule(name=SPACES)
    def flush(self, name: str) -> None:
        self.space(name).flush()

    @rule(name=SPACES, a=st.none() | KEYS, b=st.none() | KEYS)
    def compact(self, name: str, a: bytes | None, b: bytes | None) -> None:
        if a is not None and b is not None and a > b:
            a, b = b, a
        self.space(name).compact(a, b)

    @rule()
    def reopen(self) -> None:
        self.forget_readers()
        self.db.close()
        self.model.made_durable()
        self.open()

    @rule(number=st.integers(0, 1))
    def checkpoint(self, number: int) -> None:
        path = f"/copy{number}"
        if self.fs.exists(path):
            return
        self.db.checkpoint(path)
        with lsm.open(path, self.options, fs=self.fs) as copy:
            assert list(copy.scan()) == m.scan(self.model.state["default"])
            assert list(copy.keyspace("other").scan()) == m.scan(self.model.state["other"])

    def crash(self, mode: int, seed: int) -> None:
        clone = self.fs.crash_clone(mode, seed)
        self.forget_readers()
        self.db.close()
        self.fs = clone
        self.open()

    @rule()
    def process_dies(self) -> None:
        self.crash(0, 0)
        self.check_everything()

    @rule(mode=st.sampled_from([1, 2]), seed=st.integers(0, 1 << 16))
    def power_fails(self, mode: int, seed: int) -> None:
        self.crash(mode, seed)
        found = {name: dict(self.space(name).scan()) for name in ("default", "other")}
        self.model.lost_power(found)

    def check_everything(self) -> None:
        for name in ("default", "other"):
            expected = m.scan(self.model.state[name])
            assert list(self.space(name).scan()) == expected, name
            assert list(self.space(name).scan(reverse=True)) == expected[::-1], name

    @invariant()
    def contents_agree(self) -> None:
        if hasattr(self, "db") and not self.db.closed:
            self.check_everything()

    def teardown(self) -> None:
        if hasattr(self, "db") and not self.db.closed:
            note(self.db.dump())
            self.forget_readers()
            assert self.db.verify() == []
            self.db.close()


TestDatabase = Database.TestCase
TestDatabase.settings = settings(settings.get_profile("quick"), max_examples=60, stateful_step_count=30)
