"""Key-value separation: what goes to value files, what reads find there, and when a value file goes."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lsm
import recovery
from lsm.dump import parse
from lsm.value_twin import read_values

SMALL: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 14,
    "cache": {"capacity": 1 << 16},
    "table": {"block_size": 512},
    "compaction": {"l0_trigger": 2, "level_base": 1 << 14, "output_bytes": 1 << 12},
    "value_log": {"min_bytes": 100, "file_bytes": 1 << 13, "reserve": 0.2},
}


def opened(fs: recovery.FileSystem, **changes: Any) -> lsm.DB:
    return lsm.open("/d", lsm.Options.from_dict(SMALL).override(changes), fs=fs)


def value(i: int, n: int = 300) -> bytes:
    return (b"%d." % i * n)[:n]


def names(fs: recovery.FileSystem) -> set[str]:
    return {n for n in fs.listdir("/d") if n.endswith(".vlog")}


def named(db: lsm.DB) -> set[str]:
    return {f"{v.number:06d}.vlog" for name in db.keyspaces() for v in db.version(name).values}


def test_long_values_go_to_value_files_and_short_ones_stay() -> None:
    fs = recovery.memory()
    with opened(fs) as db:
        given = {b"%03d" % i: value(i, 90 + i % 20) for i in range(60)}
        given[b"empty"] = b""
        db.put_many(given)
        assert db.version().values == ()  # the log and the memtable have whole values
        db.flush()
        (file,) = db.version().values
        (table,) = db.version().tables().values()
        records = list(read_values(fs.read_all(f"/d/{file.number:06d}.vlog"), db.state.database_id, file.number, recovery.crc32c))
        assert {r.key: r.value for r in records} == {k: v for k, v in given.items() if len(v) >= 100}
        assert table.values == ((file.number, len(records), file.bytes),)
        assert file.size > 3000 and table.size < 6000  # as many values stayed
        for key, v in given.items():
            assert db.get(key) == v
        keys = sorted(given)
        assert db.get_many([*keys, b"none"]) == [given[k] for k in keys] + [None]
        assert list(db.scan()) == [(k, given[k]) for k in keys]
        assert list(db.scan(reverse=True)) == [(k, given[k]) for k in reversed(keys)]
        assert db.range(b"010", b"013") == [(k, given[k]) for k in (b"010", b"011", b"012")]
        assert [pair for c in db.scan_chunks(b"010", b"012") for pair in c.pairs()] == [(k, given[k]) for k in (b"010", b"011")]
    with opened(fs, threads=2) as db:
        assert dict(db.scan()) == given and db.verify() == []


def test_keys_are_read_without_values() -> None:
    with opened(recovery.memory(), cache={"capacity": 0}) as db:
        db.put_many([(b"%d" % i, value(i)) for i in range(30)])
        db.flush()
        assert len(list(db.keys())) == 30 and b"7" in db
        before = db.stats().counts(op="read", component="value", cause="scan")
        assert before == 0
        list(db.keys(reverse=True))
        assert db.stats().counts(op="read", component="value", cause="scan") == 0
        list(db.scan())
        assert db.stats().counts(op="read", component="value", cause="scan") == 30


def test_values_are_cached_and_verified_once() -> None:
    with opened(recovery.memory()) as db:
        db.put_many([(b"%d" % i, value(i)) for i in range(30)])
        db.flush()
        for _ in range(3):
            assert db.get(b"7") == value(7)
        stats = db.stats()
        assert stats.counts(op="read", component="value", cause="get") == 1
        assert stats.counts(op="hit", component="value", cause="get") == 2


def churn(db: lsm.DB, model: dict[bytes, bytes], rounds: int, keys: int = 60, seed: int = 0) -> None:
    rng = random.Random(seed)
    for i in range(rounds):
        key = b"%03d" % rng.randrange(keys)
        if rng.random() < 0.1:
            db.delete(key)
            model.pop(key, None)
        else:
            db[key] = model[key] = value(seed * 10_000 + i, rng.randrange(20, 600))


def test_garbage_stays_within_the_reserve_and_files_go() -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with opened(fs) as db:
        churn(db, model, 2000)
        db.flush()
        live = sum(size for _, size in db.version().live_values().values())
        assert sum(v.bytes for v in db.version().values) <= live * 1.2 + 1
        assert names(fs) == named(db)
        stats = db.stats()
        assert stats.bytes(op="write", component="value", cause="collection") > 0
        assert dict(db.scan()) == model
    with opened(fs) as db:
        assert dict(db.scan()) == model and names(fs) == named(db)


def test_every_byte_of_a_value_file_is_counted() -> None:
    fs, made = recovery.memory(), dict[str, int]()
    unlink = fs.unlink

    def seen(path: Any) -> None:
        made[str(path)] = fs.stat(path)[0]
        unlink(path)

    fs.unlink = seen  # type: ignore[method-assign, assignment]
    model: dict[bytes, bytes] = {}
    with opened(fs) as db:
        churn(db, model, 1500)
        db.flush()
        stats = db.stats()
        made |= {f"/d/{n}": fs.stat(f"/d/{n}")[0] for n in names(fs)}
        sizes = sum(size for path, size in made.items() if path.endswith(".vlog"))
        assert stats.bytes(op="write", component="value") == sizes > 100_000
        counts = stats.counters
        dropped = counts["dropped_shadowed"] + counts["dropped_tombstones"] + counts["dropped_range"]
        assert counts["entries_in"] == counts["entries_out"] + dropped
        live = db.version().live_values()
        assert live.keys() == {v.number for v in db.version().values}
        assert all(0 < live[v.number][0] <= v.records and live[v.number][1] <= v.bytes for v in db.version().values)


@pytest.mark.parametrize("collector", sorted(lsm.COLLECTORS))
def test_a_snapshot_sees_its_values_whatever_is_collected(collector: str) -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with opened(fs, value_log={"collector": collector, "reserve": 0.01}) as db:
        churn(db, model, 300)
        then = dict(model)
        with db.snapshot() as held:
            churn(db, model, 1200, seed=1)
            db.compact()
            assert dict(db.scan(snapshot=held)) == then
            assert {k: db.get(k, snapshot=held) for k in then} == then
            assert dict(db.scan()) == model
        db.compact()
        assert dict(db.scan()) == model


def test_a_scan_under_way_keeps_the_files_that_it_needs() -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with opened(fs, cache={"capacity": 0}) as db:
        churn(db, model, 400)
        db.flush()
        then = sorted(model.items())
        scan = db.scan()
        got = [next(scan) for _ in range(5)]
        old = names(fs)
        churn(db, model, 1500, seed=2)
        db.compact()
        assert old <= names(fs)  # not one of them may go
        assert got + list(scan) == then
        scan.close()
        db.put(b"x", value(1))
        db.flush()
        assert names(fs) == named(db)
        assert not old & names(fs)


def test_values_written_while_a_collection_runs_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection is stopped between its tables; the keys that it moves are written again, deleted, and flushed meanwhile."""
    fs, model = recovery.memory(), dict[bytes, bytes]()
    from lsm.executor import Executor

    run, seen = Executor._run, list[str]()

    def between(self: Executor, space: Any, inputs: Any, **how: Any) -> Any:
        result = run(self, space, inputs, **how)
        if how["cause"] == "collection" and len(seen) < 20:
            seen.append("collection")
            for i in range(0, 60, 7):
                space.put(b"%03d" % i, value(i, 333))
                model[b"%03d" % i] = value(i, 333)
            space.delete(b"011")
            model.pop(b"011", None)
            space.core.seal()
            mems = space.core.sealed()
            if mems:
                self.flush(space, mems)
        return result

    with opened(fs) as db:
        monkeypatch.setattr(Executor, "_run", between)
        churn(db, model, 1200)
        monkeypatch.undo()
        db.flush()
        assert len(seen) == 20
        assert dict(db.scan()) == model
        assert db.verify() == []
    with opened(fs) as db:
        assert dict(db.scan()) == model


def test_turning_it_off_leaves_what_is_there_readable() -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with opened(fs) as db:
        churn(db, model, 300)
    with opened(fs, value_log={"min_bytes": 0}) as db:
        assert dict(db.scan()) == model
        before = named(db)
        churn(db, model, 300, seed=3)
        db.flush()
        written = db.stats().bytes(op="write", component="value", cause="flush")
        assert written == 0 and dict(db.scan()) == model
        for i in range(60):
            db[b"%03d" % i] = model[b"%03d" % i] = b"short"
        db.compact()
        assert before and named(db) == names(fs) == set()
        assert dict(db.scan()) == model


def test_keyspaces_have_value_files_of_their_own() -> None:
    fs = recovery.memory()
    with opened(fs) as db:
        plain = db.keyspace("plain", {"value_log": {"min_bytes": 0}})
        apart = db.keyspace("apart", {"value_log": {"min_bytes": 10, "collector": "hot_cold"}})
        for space in (plain, apart, db.default):
            space.put_many([(b"%d" % i, value(i, 50)) for i in range(100)])
        db.flush()
        assert [len(db.version(n).values) for n in ("plain", "apart", "default")] == [0, 1, 0]
        assert {v.keyspace for v in db.version("apart").values} == {apart.number}
        db.drop_keyspace("apart")
        assert names(fs) == set()
        with pytest.raises(lsm.ClosedError):
            apart.get(b"1")
        assert dict(plain.scan()) == {b"%d" % i: value(i, 50) for i in range(100)}


def test_a_range_delete_frees_values() -> None:
    fs = recovery.memory()
    with opened(fs) as db:
        db.put_many([(b"%03d" % i, value(i)) for i in range(100)])
        db.flush()
        db.delete_range(b"000", b"090")
        assert db.get(b"050") is None
        db.compact()
        db.put(b"zz", value(1))
        db.flush()
        assert dict(db.scan()) == {b"%03d" % i: value(i) for i in range(90, 100)} | {b"zz": value(1)}
        live = sum(n for n, _ in db.version().live_values().values())
        assert live == 11 and sum(v.records for v in db.version().values) <= 13


def test_a_value_file_is_cut_at_its_size() -> None:
    with opened(recovery.memory(), write_buffer=1 << 16, value_log={"file_bytes": 4096}) as db:
        db.put_many([(b"%03d" % i, value(i, 500)) for i in range(100)])
        db.flush()
        sizes = [v.bytes for v in db.version().values]
        assert len(sizes) > 8 and all(4096 <= n < 4700 for n in sizes[:-1])
        assert list(db.values()) == [value(i, 500) for i in range(100)]


def test_files_that_no_manifest_names_go_at_the_next_open() -> None:
    fs = recovery.memory()
    with opened(fs) as db:
        db.put(b"k", value(1))
        db.flush()
    fs.write_all("/d/000777.vlog", b"what a crash left behind")
    with opened(fs, threads=0) as db:
        assert "000777.vlog" in db.recovery_report.removed
        assert names(fs) == named(db) and db.get(b"k") == value(1)


@pytest.mark.parametrize(
    ("key", "given", "told"),
    [
        ("min_bytes", -1, "0 to 1073741824"),
        ("min_bytes", True, "an integer"),
        ("file_bytes", 255, "256 to"),
        ("collector", "fifo", "none, log, greedy, cost_benefit, hot_cold"),
        ("reserve", 0.0, "0.01 to 100.0"),
        ("reserve", "much", "a number"),
        ("batch", 1.5, "0.01 to 1.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(key: str, given: Any, told: str) -> None:
    with pytest.raises(lsm.InvalidOptions, match=f"value_log.{key}") as e:
        lsm.Options.from_dict({"value_log": {key: given}})
    assert told in str(e.value) and repr(given) in str(e.value)


def test_figures_and_the_text_of_a_tree_show_value_files() -> None:
    with opened(recovery.memory()) as db:
        churn(db, {}, 400)
        db.flush()
        row = db.stats().to_dict()["values"]["default"]
        live = db.version().live_values()
        assert row["files"] == len(db.version().values) and row["live_bytes"] == sum(n for _, n in live.values())
        assert row["garbage_bytes"] == row["bytes"] - row["live_bytes"]
        text = db.dump()
        assert all(f"value file {v.number}: {v.records} records" in text for v in db.version().values)
        assert parse(text).levels == parse(text.split("value file")[0]).levels
