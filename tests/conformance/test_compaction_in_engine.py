"""Every layout and trigger in the engine: random writes, deletes, range deletes and snapshots against a dict, inline and with workers."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import lsm
import recovery
from lsm.errors import InvalidOptions
from lsm.memtable_twin import DELETE
from lsm.native import Job, JobInput
from lsm.native_tables import ranges, scan
from lsm.plan import Plan
from lsm.registry import SCHEDULERS
from tests.conformance.test_compaction_conformance import CASES, named

SMALL = {"size_ratio": 3, "level_base": 4096, "output_bytes": 1500, "l0_trigger": 2, "max_levels": 5}


def opened(threads: int = 0, fs: Any = None, **compaction: Any) -> lsm.DB:
    options: dict[str, Any] = {"threads": threads, "write_buffer": 1 << 16, "buffer_entries": 20, "table": {"block_size": 256}}
    options["stalls"] = {"slowdown_runs": 100, "stop_runs": 200}  # 25 flushes that the trigger `manual` leaves alone slow no write
    return lsm.open("/d", {**options, "compaction": {**SMALL, **compaction}}, fs=fs or recovery.memory())


def played(db: lsm.DB, rng: random.Random, steps: int) -> None:
    """Write and compare, snapshots too."""
    model, held = dict[bytes, bytes](), list[tuple[lsm.Snapshot, dict[bytes, bytes]]]()
    for i in range(steps):
        key = b"%04d" % rng.randrange(400)
        what = rng.random()
        if what < 0.75:
            model[key] = b"%d" % i * rng.randint(1, 9)
            db.put(key, model[key])
        elif what < 0.93:
            model.pop(key, None)
            db.delete(key)
        elif what < 0.95:
            end = b"%04d" % (int(key) + rng.randint(1, 30))
            db.delete_range(key, end)
            model = {k: v for k, v in model.items() if not key <= k < end}
        elif what < 0.97:
            held.append((db.snapshot(), dict(model)))
        elif held:
            snapshot, then = held.pop(rng.randrange(len(held)))
            assert dict(snapshot.scan()) == then
            snapshot.close()
        if i % 50 == 0:
            assert db.get(key) == model.get(key)
    for snapshot, then in held:
        assert dict(snapshot.scan()) == then
        snapshot.close()
    db.flush()
    assert dict(db.scan()) == model
    assert not db.verify() and db.health.state == "ok"
    stats = db.stats()
    assert stats.bytes(op="write", cause="flush") > 0


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(("kind", "params"), CASES, ids=[f"{k} {p}".strip() for k, p in CASES])
def test_a_layout_answers_as_a_dict_does(kind: str, params: str, threads: int) -> None:
    with opened(threads, layout=kind, layout_params=params, cut="guards" if kind == "tiering" else "size") as db:
        played(db, random.Random(f"{kind} {params}"), 400)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("kind", lsm.TRIGGERS)
def test_a_trigger_answers_as_a_dict_does(kind: str, threads: int) -> None:
    with opened(threads, layout="lazy-leveling", triggers=named(kind)) as db:
        played(db, random.Random(kind), 500)


@pytest.mark.parametrize("kind", lsm.SCHEDULERS)
@pytest.mark.parametrize("admission", lsm.ADMISSIONS)
def test_schedulers_and_admission_rules_let_all_writes_in(kind: str, admission: str) -> None:
    params = "slow_bytes=2000 stop_bytes=20000" if admission == "debt_proportional" else ""
    stalls = {"admission": admission, "admission_params": params, "slowdown_runs": 4, "stop_runs": 8}
    compaction = {**SMALL, "layout": "1-leveling", "scheduler": kind}
    with lsm.open(
        "/d", fs=recovery.memory(), threads=3, write_buffer=1 << 16, buffer_entries=20, stalls=stalls, compaction=compaction
    ) as db:
        played(db, random.Random(kind), 400)


# FADE


@pytest.mark.parametrize("layout", ["leveling", "lazy-leveling", "tiering", "fluid", "ucs"])
def test_no_tombstone_is_ever_older_than_the_deadline(layout: str) -> None:
    """After every single write: the hard promise of `tombstone_deadline` with `buffer_entries`."""
    deadline, rng = 150, random.Random(layout)
    with opened(layout=layout, triggers=f"tombstone_deadline={deadline}") as db:
        oldest_seen = 0
        for i in range(1500):
            key = b"%04d" % rng.randrange(300)
            if rng.random() < 0.2:
                db.delete(key)
            elif rng.random() < 0.02:
                db.delete_range(key, key + b"\xff")
            else:
                db.put(key, b"%d" % i)
            tombs = [t.tombstone_seq for t in db.version().tables().values() if t.tombstone_seq is not None]
            age = db.core.sequence() - min(tombs, default=db.core.sequence())
            oldest_seen = max(oldest_seen, age)
            assert age <= deadline, f"write {i}: a tombstone is {age} old\n{db.dump()}"
        assert oldest_seen > deadline // 4, "there were some to watch"


def test_the_deadline_holds_where_only_another_keyspace_is_written() -> None:
    with opened(triggers="tombstone_deadline=100") as db:
        quiet = db.keyspace("quiet")
        quiet.put(b"k", b"v")
        quiet.flush()
        quiet.delete(b"k")
        for i in range(150):
            db.put(b"%d" % i, b"")
        assert not [t for t in quiet.version.tables().values() if t.tombstone_seq is not None]
        assert quiet.core.log_floor() == lsm.native.NEWEST, "and none is left in its memtable"


@pytest.mark.parametrize("layout", ["leveling", "tiering"])
def test_the_age_of_the_oldest_tombstone_is_what_the_table_holds(layout: str) -> None:
    rng = random.Random(3)
    with opened(layout=layout) as db:
        for i in range(600):
            key = b"%04d" % rng.randrange(300)
            db.delete(key) if rng.random() < 0.3 else db.put(key, b"%d" % i)
            if i % 90 == 0:
                db.delete_range(key, key + b"\xff")
        db.flush()
        known = db.version().tables()
        for number, table in db.default.tables.items():
            seqs = [e.seq for e in scan(table) if e.kind == DELETE] + [r.seq for r in ranges(table)]
            assert known[number].oldest_tombstone == min(seqs, default=0)
            assert known[number].created >= known[number].max_seq
        assert any(t.oldest_tombstone for t in known.values())


# Dropping by age


@pytest.mark.parametrize("layout", ["fifo", "time-windows"])
@pytest.mark.parametrize("threads", [0, 2])
def test_what_is_old_goes_and_stays_away(layout: str, threads: int) -> None:
    fs = recovery.memory()
    how = {"layout": layout, "expire_after": 200, "layout_params": "window=60" if layout == "time-windows" else ""}
    with opened(threads, fs, **how) as db:
        for i in range(1000):
            db.put(b"%05d" % i, b"v" * 10)
        db.wait()
        rows = [k for k, _ in db.scan()]
        assert rows == [b"%05d" % i for i in range(1000 - len(rows), 1000)] and 200 <= len(rows) <= 300
        files = [name for name in fs.listdir("/d") if name.endswith(".sst")]
        assert len(files) == len(db.version().tables())
    with opened(threads, fs, **how) as db:
        assert [k for k, _ in db.scan()][-len(rows) :] == rows[-len(list(db.scan())) :] and not db.verify()


def test_what_a_snapshot_sees_is_not_dropped() -> None:
    with opened(layout="fifo", expire_bytes=3000) as db:
        db.put(b"a", b"1")
        with db.snapshot() as snapshot:
            for i in range(500):
                db.put(b"%05d" % i, b"v" * 10)
            assert snapshot.get(b"a") == b"1" and db.get(b"a") == b"1"
        for i in range(100):
            db.put(b"%05d" % i, b"v" * 10)
        assert db.get(b"a") is None and sum(level.bytes for level in db.levels()) <= 3000


def test_rows_with_indexes_are_not_dropped() -> None:
    with opened(layout="fifo", expire_bytes=2000) as db:
        table = db.table("rows", key="id")
        table.put_many([{"id": i, "n": i % 7} for i in range(300)])
        db.flush()
        assert len(list(table)) == 300


@pytest.mark.parametrize(
    ("which", "options", "why"),
    [
        ("oldest", {}, r"cannot be dropped: allowed are those older than expire_after \(0\)"),
        ("oldest", {"expire_bytes": 1 << 30}, "cannot be dropped"),
        ("oldest", {"expire_after": 1 << 30}, "cannot be dropped"),
        ("newest", {"expire_bytes": 1}, "older and stays: its old versions would be seen again"),
        ("all", {"expire_bytes": 2000}, "cannot be dropped"),
    ],
)
def test_the_engine_refuses_to_drop_what_the_options_keep(which: str, options: dict[str, int], why: str) -> None:
    """Whatever a policy says: data goes only as far as the options allow, and never uncovers what is older."""

    class Drops:
        def plan(self, view: lsm.TreeView) -> Plan | None:
            numbers = sorted((t.number for level in view.levels for t in level.tables), key=int)
            chosen = {"oldest": numbers[:1], "newest": numbers[-1:], "all": numbers}[which]
            return Plan(tuple(chosen), view.last, "drops", drop=True)

    with opened(layout="tiering", size_ratio=100, **options) as db:
        for _ in range(3):
            db.put_many([(b"%02d" % i, b"v" * 20) for i in range(20)])
            db.flush()
        before = dict(db.scan())
        with pytest.warns(RuntimeWarning, match=why):
            db.set_policy(Drops())
        assert db.health.state == "degraded" and len(db.health.policies) == 1
        db.set_policy("tiering")
        assert dict(db.scan()) == before


# The knobs


def test_buffer_entries_end_a_memtable() -> None:
    with opened(layout="fifo") as db:
        for i in range(100):
            db.put(b"%05d" % i, b"")
        assert [t.entries for t in db.version().tables().values()] == [20] * 5
        db.put_many([(b"x%05d" % i, b"") for i in range(50)])
        assert sum(t.entries for t in db.version().tables().values()) == 150


@pytest.mark.parametrize("on", [True, False])
def test_a_move_that_may_not_be_is_a_merge(on: bool) -> None:
    with opened(layout="leveling", trivial_move=on, level_base=1 << 20) as db:
        for i in range(100):
            db.put(b"%05d" % i, b"v")
        assert (db.stats().bytes(op="write", cause="compaction") == 0) == on


def test_reads_are_counted_when_somebody_wants_them() -> None:
    fs = recovery.memory()
    with opened(0, fs, layout="tiering", size_ratio=50) as db:
        for i in range(40):
            db.put(b"%05d" % i, b"v")
        assert db.get(b"00003") == b"v" and db.default.view().reads == {}
        db.set_policy({"compaction": {"picker": "coldest"}})
        first, second = sorted(db.version().tables())
        for _ in range(3):
            assert db.get(b"00003") == b"v" and db.get_many([b"00004", b"00005"]) == [b"v", b"v"]
        assert db.get(b"x") is None
        assert len(list(db.scan(b"00030", b"00035"))) == 5
        assert db.default.view().reads == {first: 9, second: 1}
        db.set_policy({"compaction": {"picker": "least_overlap"}})
        assert db.get(b"00003") == b"v" and db.default.view().reads == {}


def test_idle_work_waits_until_nobody_does() -> None:
    with opened(layout="tiering", size_ratio=8, triggers="idle") as db:
        for i in range(100):
            db.put(b"%05d" % i, b"v")
        assert len(db.version().levels[0].runs) == 5
        db.wait()
        assert len(db.version().levels[0].runs) == 1
    with opened(1, layout="tiering", size_ratio=8, triggers="idle") as db:
        for i in range(100):
            db.put(b"%05d" % i, b"v")
        give_up = time.monotonic() + 60
        while len(db.version().levels[0].runs) > 1 and time.monotonic() < give_up:
            time.sleep(0.05)
        assert len(db.version().levels[0].runs) == 1


def test_a_paused_job_stands_still_and_goes_on() -> None:
    with opened(layout="tiering", size_ratio=100, output_bytes=1 << 20) as db:
        for i in range(4000):
            db.put(b"%05d" % (i * 7919 % 4000), b"v")
        space, tables = db.default, list(db.default.tables.values())
        inputs = [JobInput((t,), 0) for t in tables]
        first = db.core.take_numbers(4)
        job = Job(
            db.env, space.table_settings(1), inputs, directory="/d", first_number=first, max_outputs=4, output_bytes=1 << 20, cuts=(),
            snapshots=(), bottom=True, level=1, cause="compaction",
        )  # fmt: skip
        job.pause(True)
        results = list[Any]()
        thread = threading.Thread(target=lambda: results.append(job.run()))
        thread.start()
        time.sleep(0.1)
        assert thread.is_alive() and not results and job.progress() < 0.2
        job.pause(False)
        thread.join()
        assert results[0].entries_out == 4000
        for p in results[0].outputs:
            db.remove(f"{p.number:06d}.sst")


def test_silk_stops_deeper_merges_for_flushes_alone() -> None:
    silk, fifo = SCHEDULERS["silk"](), SCHEDULERS["fifo"]()
    with opened(layout="tiering", size_ratio=100, scheduler="silk", scheduler_params="runs=3") as db:
        for i in range(100):
            db.put(b"%05d" % i, b"v")
        view = db.default.view()
    deep, high = lsm.plan.Running(2, 3, 100), lsm.plan.Running(0, 1, 100)
    assert silk.pauses(view, deep, True) and not silk.pauses(view, high, True)
    assert not silk.pauses(view, deep, False), "without a flush or a merge of level 0 there is nothing to make room for"
    assert not fifo.pauses(view, deep, True)
    with pytest.raises(InvalidOptions, match=r"scheduler_params \(runs\)"):
        opened(scheduler="silk", scheduler_params="runs=0")


def test_silk_leaves_a_worker_to_flushes() -> None:
    """A merge that stands still holds its worker: with all of them in deep merges, what these stand still for could never begin."""
    silk = SCHEDULERS["silk"]()
    with opened(layout="leveling", size_ratio=10) as db:
        for i in range(3000):
            db.put(b"%05d" % (i * 7919 % 3000), b"v" * 20)
        db.flush()
        view = db.default.view()
    level = next(lv for lv in view.levels if lv.number and lv.runs)
    down = lsm.Plan((level.tables[0].number,), level.number + 1)
    deep = lsm.plan.Running(level.number + 1, level.number + 2, 100)

    def chosen(threads: int, running: int) -> lsm.Plan | None:
        busy = replace(view, options=view.options.override({"threads": threads}), running=(deep,) * running)
        return silk.choose(busy, [down])

    assert chosen(3, 1) == down and chosen(3, 2) is None
    assert chosen(2, 0) == down and chosen(2, 1) is None
    assert chosen(1, 0) == down and chosen(0, 0) == down, "a single worker does everything"


def test_a_flush_and_a_merge_of_level_0_make_two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge into a run of its own is installed while the flush still works: the number of its run is taken then."""
    model: dict[bytes, bytes] = {}
    with opened() as db:
        db.set_policy(SimpleNamespace(plan=lambda view: None, tie_break="none"))

        def flushed(i: int) -> None:
            db.put_many(new := {b"%04d" % k: b"%d" % i for k in range(15)})
            model.update(new)
            db.flush()

        flushed(1)
        flushed(2)
        space, ride = db.spaces["default"], db.executor._ride
        plan = Plan(tuple(t.number for t in db.version().levels[0].tables), 0, new_run=True)

        def beside(*given: Any) -> Any:
            monkeypatch.undo()
            assert db.executor.claim(space, plan) and db.executor.compact(space, plan)
            return ride(*given)

        monkeypatch.setattr(db.executor, "_ride", beside)
        flushed(3)
        runs = db.version().levels[0].runs
        assert len(runs) == len({r.id for r in runs}) == 2 and db.health.state == "ok"
        assert dict(db.scan()) == model and not db.verify()
