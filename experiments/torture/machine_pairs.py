"""Rules of row G about pairs: every way to write, every way to read, snapshots and scans that stay open across writes."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import lsm

from .machine_base import ANY_SPACE, KEYS, VALUES, Base, scan
from .model import Operation

PAIRS = st.lists(st.tuples(KEYS, VALUES), max_size=12)
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "put", "delete", "delete_range"]), ANY_SPACE, KEYS, KEYS | VALUES), max_size=10)
BOUNDS = st.one_of(
    st.fixed_dictionaries({"start": st.none() | KEYS, "stop": st.none() | KEYS}),
    st.fixed_dictionaries({"prefix": st.binary(max_size=2) | st.sampled_from([b"user/", b"user/1", b"k"])}),
)
LIMIT = st.none() | st.integers(0, 5)


class Pairs(Base):
    """Writes and reads of keyspaces."""

    # Writing

    @rule(name=ANY_SPACE, key=KEYS, value=VALUES)
    def put(self, name: str, key: bytes, value: bytes) -> None:
        """One pair."""
        name = self.there(name)
        self.space(name).put(key, value)
        self.wrote([("put", name, key, value)])

    @rule(name=ANY_SPACE, key=KEYS)
    def delete(self, name: str, key: bytes) -> None:
        """One key."""
        name = self.there(name)
        self.space(name).delete(key)
        self.wrote([("delete", name, key, b"")])

    @rule(name=ANY_SPACE, a=KEYS, b=KEYS)
    def delete_range(self, name: str, a: bytes, b: bytes) -> None:
        """A range of keys."""
        name, start, stop = self.there(name), min(a, b), max(a, b)
        if start < stop:
            self.space(name).delete_range(start, stop)
            self.wrote([("delete_range", name, start, stop)])

    @rule(changes=CHANGES, sync=st.booleans())
    def write(self, changes: list[Operation], sync: bool) -> None:
        """A batch over keyspaces, perhaps empty."""
        batch, done = lsm.Batch(), list[Operation]()
        for kind, given_name, first, second in changes:
            name = self.there(given_name)
            if kind == "delete_range" and first >= second:
                continue
            args = (first,) if kind == "delete" else (first, second)
            getattr(batch, kind)(*args, keyspace=self.space(name))
            done.append((kind, name, first, second))
        self.db.write(batch, sync=sync)
        self.wrote(done, sync)

    @rule(changes=CHANGES)
    def cleared_batch(self, changes: list[Operation]) -> None:
        """A batch that was cleared writes nothing."""
        batch = lsm.Batch()
        for _, _, key, value in changes:
            batch.put(key, value)
        batch.clear()
        self.db.write(batch)

    @rule(name=ANY_SPACE, pairs=PAIRS, sync=st.booleans())
    def put_many(self, name: str, pairs: list[tuple[bytes, bytes]], sync: bool) -> None:
        """An iterable of pairs."""
        name = self.there(name)
        self.space(name).put_many(iter(pairs), sync=sync)
        self.wrote([("put", name, k, v) for k, v in pairs], sync)

    @rule(name=ANY_SPACE, pairs=PAIRS, as_mapping=st.booleans())
    def put_many_other_forms(self, name: str, pairs: list[tuple[bytes, bytes]], as_mapping: bool) -> None:
        """A mapping, or keys and values, in other types of bytes."""
        name = self.there(name)
        if as_mapping:
            pairs = list(dict(pairs).items())
            self.space(name).put_many(dict(pairs))
        else:
            self.space(name).put_many([bytearray(k) for k, _ in pairs], [memoryview(v) for _, v in pairs])
        self.wrote([("put", name, k, v) for k, v in pairs])

    @rule(name=ANY_SPACE, pairs=PAIRS, numpy=st.booleans(), sync=st.booleans())
    def put_packed(self, name: str, pairs: list[tuple[bytes, bytes]], numpy: bool, sync: bool) -> None:
        """Buffers and lengths."""
        name = self.there(name)
        keys, values = b"".join(k for k, _ in pairs), b"".join(v for _, v in pairs)
        key_lens, value_lens = [len(k) for k, _ in pairs], [len(v) for _, v in pairs]
        if numpy:
            lens = np.array(key_lens, np.uint32), np.array(value_lens, np.uint32)
            self.space(name).put_packed(np.frombuffer(keys, np.uint8), lens[0], np.frombuffer(values, np.uint8), lens[1], sync=sync)
        else:
            self.space(name).put_packed(bytearray(keys), array("I", key_lens), memoryview(values), array("I", value_lens), sync=sync)
        self.wrote([("put", name, k, v) for k, v in pairs], sync)

    @rule(name=ANY_SPACE, keys=st.lists(KEYS, max_size=8), sync=st.booleans())
    def delete_many(self, name: str, keys: list[bytes], sync: bool) -> None:
        """Many keys."""
        name = self.there(name)
        self.space(name).delete_many(keys, sync=sync)
        self.wrote([("delete", name, k, b"") for k in keys], sync)

    @rule(name=ANY_SPACE, base=KEYS, count=st.integers(1, 40), size=st.integers(0, 200))
    def load(self, name: str, base: bytes, count: int, size: int) -> None:
        """Many puts, one by one, with a common beginning."""
        name = self.there(name)
        space = self.space(name)
        for i in range(count):
            key, value = base + b"%03d" % (i * 37 % 101), bytes([i]) * size
            space.put(key, value)
            self.wrote([("put", name, key, value)])

    @rule(name=ANY_SPACE, key=KEYS, count=st.integers(2, 20))
    def overwrite(self, name: str, key: bytes, count: int) -> None:
        """Many versions of one key, with snapshots' stripes between them."""
        name = self.there(name)
        space = self.space(name)
        for i in range(count):
            space.put(key, b"version %d" % i)
            self.wrote([("put", name, key, b"version %d" % i)])

    @rule(name=ANY_SPACE, key=KEYS, value=VALUES)
    def as_mapping(self, name: str, key: bytes, value: bytes) -> None:
        """Square brackets."""
        name = self.there(name)
        space = self.space(name)
        space[key] = value
        self.wrote([("put", name, key, value)])
        assert space[key] == value
        del space[key]
        self.wrote([("delete", name, key, b"")])
        assert key not in space
        try:
            space[key]
        except KeyError:
            return
        raise AssertionError(f"{key!r} was deleted and is there")

    @rule(name=ANY_SPACE, key=KEYS)
    def refused_writes(self, name: str, key: bytes) -> None:
        """What is not allowed is refused whole and leaves no trace."""
        space = self.space(self.there(name))
        bad: list[tuple[type[Exception], Any]] = [
            (lsm.TooLarge, lambda: space.put(b"k" * ((64 << 10) + 1), b"")),
            (TypeError, lambda: space.put("text", b"")),
            (TypeError, lambda: space.put_many([(key, b"1"), (key, 2)])),
            (ValueError, lambda: space.delete_range(key, key)),
            (ValueError, lambda: space.put_many([key], [])),
            (ValueError, lambda: space.put_packed(key, array("I", [len(key) + 1]), b"", array("I", [0]))),
            (ValueError, lambda: space.scan(key, prefix=key)),
            (ValueError, lambda: space.scan(limit=-1)),
        ]
        for kind, call in bad:
            try:
                call()
            except kind:
                continue
            raise AssertionError(f"{kind.__name__} was not raised")

    # Reading

    @rule(name=ANY_SPACE, keys=st.lists(KEYS, min_size=1, max_size=12))
    def get(self, name: str, keys: list[bytes]) -> None:
        """One by one and together, and with a default."""
        name = self.there(name)
        space, expected = self.space(name), [self.model.state[name].get(k) for k in keys]
        assert [space.get(k) for k in keys] == expected
        assert space.get_many(keys) == expected
        assert [space.get(bytearray(k), 7) for k in keys] == [7 if v is None else v for v in expected]
        assert [k in space for k in keys] == [v is not None for v in expected]

    @rule(name=ANY_SPACE, how=BOUNDS, reverse=st.booleans(), limit=LIMIT)
    def scan(self, name: str, how: dict[str, Any], reverse: bool, limit: int | None) -> None:
        """Bounds or a prefix, either way round; keys and values alone."""
        name = self.there(name)
        space, how = self.space(name), how | {"reverse": reverse, "limit": limit}
        expected = scan(self.model.state[name], **how)
        assert list(space.scan(**how)) == expected
        assert space.range(**how) == expected
        assert list(space.keys(**how)) == [k for k, _ in expected]
        assert list(space.values(**how)) == [v for _, v in expected]

    @rule(name=ANY_SPACE, how=BOUNDS, reverse=st.booleans(), chunk=st.integers(1, 20), fill=st.booleans())
    def scan_chunks(self, name: str, how: dict[str, Any], reverse: bool, chunk: int, fill: bool) -> None:
        """Chunks of packed pairs, past the cache too."""
        name = self.there(name)
        found = [p for c in self.space(name).scan_chunks(chunk=chunk, reverse=reverse, fill_cache=fill, **how) for p in c.pairs()]
        assert found == scan(self.model.state[name], reverse=reverse, **how)

    @rule(name=ANY_SPACE, start=st.none() | KEYS)
    def scan_arrow(self, name: str, start: bytes | None) -> None:
        """Record batches, where pyarrow is installed."""
        name = self.there(name)
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            return
        found = [(r["key"], r["value"]) for batch in self.space(name).scan_arrow(start, chunk=5) for r in batch.to_pylist()]
        assert found == scan(self.model.state[name], start=start)

    @rule(name=ANY_SPACE, start=KEYS, limit=st.integers(0, 20))
    def short_range(self, name: str, start: bytes, limit: int) -> None:
        """The quick way of a short scan."""
        name = self.there(name)
        assert self.space(name).range(start, limit=limit) == scan(self.model.state[name], start=start, limit=limit)

    @rule(name=ANY_SPACE)
    def iterate(self, name: str) -> None:
        """The keyspace as an iterable of keys."""
        name = self.there(name)
        assert list(self.space(name)) == list(self.model.state[name])

    # Scans that stay open

    @rule(name=ANY_SPACE, how=BOUNDS, reverse=st.booleans())
    def begin_scan(self, name: str, how: dict[str, Any], reverse: bool) -> None:
        """It sees what was there when it began."""
        name = self.there(name)
        if len(self.scans) < 3:
            self.scans.append((self.space(name).scan(reverse=reverse, **how), scan(self.model.state[name], reverse=reverse, **how)))

    @precondition(lambda self: self.scans)
    @rule(count=st.integers(1, 40))
    def continue_scan(self, count: int) -> None:
        """Across whatever was written, merged and dropped meanwhile."""
        iterator, rest = self.scans.pop(0)
        for _ in range(min(count, len(rest))):
            assert next(iterator) == rest.pop(0)
        if rest:
            self.scans.append((iterator, rest))
        else:
            assert next(iterator, None) is None

    @precondition(lambda self: self.scans)
    @rule()
    def close_scan(self) -> None:
        """Before its end."""
        iterator, _ = self.scans.pop()
        iterator.close()
        assert next(iterator, None) is None

    # Snapshots

    @rule()
    def open_snapshot(self) -> None:
        """Of everything."""
        if len(self.snapshots) < 4:
            self.snapshots.append((self.db.snapshot(), self.model.freeze()))

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 3), keys=st.lists(KEYS, max_size=8))
    def read_snapshot(self, which: int, keys: list[bytes]) -> None:
        """Keys as they were."""
        snapshot, state = self.snapshots[which % len(self.snapshots)]
        for name in ("default", "other"):
            expected = [state[name].get(k) for k in keys]
            assert [self.space(name).get(k, snapshot=snapshot) for k in keys] == expected
            assert self.space(name).get_many(keys, snapshot=snapshot) == expected
        assert [snapshot.get(k) for k in keys] == [state["default"].get(k) for k in keys]

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 3), how=BOUNDS, reverse=st.booleans())
    def scan_snapshot(self, which: int, how: dict[str, Any], reverse: bool) -> None:
        """Ranges as they were."""
        snapshot, state = self.snapshots[which % len(self.snapshots)]
        for name in ("default", "other"):
            expected = scan(state[name], reverse=reverse, **how)
            assert list(self.space(name).scan(snapshot=snapshot, reverse=reverse, **how)) == expected
            assert self.space(name).range(snapshot=snapshot, reverse=reverse, **how) == expected
            chunks = self.space(name).scan_chunks(snapshot=snapshot, reverse=reverse, chunk=3, **how)
            assert [p for c in chunks for p in c.pairs()] == expected

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 3))
    def close_snapshot(self, which: int) -> None:
        """Reading a closed one is refused."""
        snapshot, _ = self.snapshots.pop(which % len(self.snapshots))
        snapshot.close()
        snapshot.close()
        try:
            snapshot.get(b"a")
        except lsm.ClosedError:
            return
        raise AssertionError("a closed snapshot was read")
