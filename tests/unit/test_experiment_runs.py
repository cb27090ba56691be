"""Whole runs: forked trees, open loops, other engines, what is refused and what is left behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recovery
from experiments import results, worker
from experiments.definitions import METRICS, metric
from experiments.measure import oracle, trees
from experiments.measure.contestants import CONTESTANTS, Ours
from experiments.measure.observe import Events, Observer
from experiments.measure.play import due_times, play
from experiments.overlays import OVERLAYS
from experiments.result_ledger import Ledger, export
from experiments.runner import run_suite
from experiments.suite import Suite, SuiteError, parse
from experiments.workloads import DELETE, MIXES, Values

HEAD = """name = "s"
question = "q"
expectation = "e"
refuted_if = "r"
records = 3000
operations = 2400
probes = 100
samples = 12
curves = []
"""
OPTIONS = """[options]
threads = 0
write_buffer = 32768
[options.compaction]
size_ratio = 4
level_base = 65536
output_bytes = 32768
"""


def suite(text: str, options: str = OPTIONS) -> Suite:
    before, _, after = text.partition("---")
    return parse(HEAD + before + options + after)


def records(s: Suite, folder: Path) -> list[results.Record]:
    return [worker.execute(run.config(), folder / "work" / str(i), False) for i, run in enumerate(s.runs())]


def test_forked_runs_start_from_one_tree_and_are_asked_the_same(tmp_path: Path) -> None:
    s = suite('workloads = ["write-burst"]\nfork = true\nrepeats = 2\n---[grid]\n"compaction.layout" = ["leveling", "tiering"]\n')
    made = records(s, tmp_path)
    for seed in (1, 2):
        a, b = (r for r in made if r.seed == seed)
        assert a.stream == b.stream and a.series[0]["levels"] == b.series[0]["levels"] and a.point != b.point
        assert metric("WA-noWAL").of(a) > metric("WA-noWAL").of(b)  # type: ignore[operator]
    assert made[0].stream != made[2].stream
    found = list((tmp_path / "work" / "trees").glob("*/tree.json"))
    assert len(found) == 2
    before = trees.state_of(found[0].parent)
    assert before["debt"] == 0 and before["stream_loaded"] == 3000
    # a run left its tree as it was: the clone of it is equal to the byte, links and all
    again = worker.execute(s.runs()[0].config(), tmp_path / "work" / "again", False)
    assert results.differences(again, made[0]) == []


def test_a_clone_shares_tables_and_nothing_else(tmp_path: Path) -> None:
    for name in CONTESTANTS:
        if name != "lsmlab":
            pytest.importorskip(CONTESTANTS[name].package)
        path = tmp_path / name
        store = CONTESTANTS[name](path, {"write_buffer": 65536, "threads": 1})
        keys = [b"%06d" % i for i in range(4000)]
        store.put_many(keys, [b"v" * 50] * 4000)
        store.settle()
        store.close()
        trees.clone(path, tmp_path / "copy" / name)
        shared = [p for p in (tmp_path / "copy" / name).iterdir() if p.stat().st_nlink > 1]
        assert shared and {p.suffix for p in shared} <= set(trees.LINKED)
        copy = CONTESTANTS[name](tmp_path / "copy" / name, {"write_buffer": 65536, "threads": 1})
        copy.delete_range(b"000100", b"003900")
        copy.put(b"000000", b"new")
        copy.settle()
        copy.close()
        first = CONTESTANTS[name](path, {"write_buffer": 65536, "threads": 1})
        assert worker.alive(first, 700) == (4000, 4000 * 56)
        assert first.get(b"000000") == b"v" * 50
        first.close()


def test_an_open_loop_counts_from_when_an_operation_was_due(tmp_path: Path) -> None:
    """At ten times what a closed loop reaches, most of the latency is waiting; at a tenth of it, next to none is."""
    s = suite('workloads = ["ycsb-a"]\n---[run]\nmode = "open"\n[grid]\n"run.rate" = [100.0, 3000000.0]\n')
    s = replace(s, operations=400, records=500)
    slow, fast = records(s, tmp_path)
    for r in (slow, fast):
        service, intended = r.histogram("service"), r.histogram("intended")
        assert len(service) == len(intended) == len(r.latency_ns) == 320
        assert intended.mean() >= service.mean() - 1
        assert {h["name"] for h in r.histograms} == {f"{k}{o}" for k in ("service", "intended") for o in ("", " read", " update")}
        assert r.histogram("intended read").total + r.histogram("intended update").total == intended.total
    assert fast.histogram("intended").percentile(50) > 20 * fast.histogram("service").percentile(50)
    assert slow.summary["elapsed"] > 3.9 and slow.histogram("intended").percentile(10) < 1e6


def test_an_open_loop_at_a_share_of_what_a_closed_one_reaches(tmp_path: Path) -> None:
    s = suite('workloads = ["ycsb-a"]\n---[run]\nmode = "open"\nload = 0.5\narrivals = "poisson"\n')
    (r,) = records(s, tmp_path)
    assert r.summary["offered"] > 0
    assert r.summary["elapsed"] > 0.8 * len(MIXES["ycsb-a"].draw(10, 2400, 1)) / r.summary["offered"]


class Ticks:
    """A clock that moves by a tick a look, and to where it is told."""

    def __init__(self) -> None:
        self.at = 0

    def now(self) -> int:
        self.at += 10
        return self.at

    def busy(self) -> float:
        return self.at / 1e9

    def wait_until(self, due: int) -> None:
        self.at = max(self.at, due)


class Slow(Ours):
    """A store of which one operation takes long."""

    def __init__(self, path: Path, clock: Ticks, slow_at: int) -> None:
        super().__init__(path, {"threads": 0})
        fast, calls = self.get, iter(range(10**9))

        def get(key: bytes) -> Any:
            if next(calls) == slow_at:
                clock.at += 100_000
            return fast(key)

        self.get = get


def test_a_stall_counts_for_all_that_it_held_up(tmp_path: Path) -> None:
    """Coordinated omission: one operation of 100 µs at one a 1 µs; in a closed loop one is late, in an open loop a hundred are."""
    stream = MIXES["ycsb-c"].draw(100, 1000, 1)
    late = {}
    for mode, due in (("closed", None), ("open", due_times(stream, "even", 1e6, 1))):
        clock = Ticks()
        store = Slow(tmp_path / mode, clock, 500)
        played = play(store, stream, [b""] * 1000, Observer(store), clock, samples=5, skip=0, due=due)
        store.close()
        late[mode] = int(((played.service if played.intended is None else played.intended) > 5_000).sum())
        assert (played.service > 5_000).sum() == 1
    assert late["closed"] == 1 and 90 <= late["open"] <= 110


def test_arrivals_have_their_rate() -> None:
    stream = MIXES["ycsb-a"].draw(100, 20_000, 1)
    for arrivals in ("even", "poisson"):
        due = due_times(stream, arrivals, 5000, 1)
        assert 1e9 * 20_000 / due[-1] == pytest.approx(5000, rel=0.03) and (np.diff(due) >= 0).all()
    gaps = np.diff(due_times(stream, "poisson", 5000, 1))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    with pytest.raises(ValueError, match="allowed: even, poisson"):
        due_times(stream, "workload", 0, 1)


@pytest.mark.parametrize("store", ["rocksdb", "leveldb"])
def test_other_engines_run_the_same_stream(store: str, tmp_path: Path) -> None:
    pytest.importorskip(CONTESTANTS[store].package)
    names = "uniform-update", "kvbench-mixed"
    s = suite(f'workloads = {list(names)}\nvalue_bytes = 400\n---[grid]\n"run.store" = ["lsmlab", "{store}"]\n'.replace("'", '"'))
    s = replace(s, operations=6000, warmup=0.0)
    made = records(s, tmp_path)
    for name in names:
        ours, theirs = (next(r for r in made if r.workload == name and r.point["run.store"] == w) for w in ("lsmlab", store))
        assert ours.stream == theirs.stream
        same = "live", "live_bytes", "written"
        assert [ours.summary[k] for k in same] == [theirs.summary[k] for k in same]
        assert ours.counters["run"]["user_bytes"] == theirs.counters["run"]["user_bytes"]
        assert ours.counters["run"]["returned_bytes"] == theirs.counters["run"]["returned_bytes"]
        assert theirs.knobs and not ours.knobs
        assert {k["ours"] for k in theirs.knobs} >= {"write_buffer", "cache.capacity", "table.bits_per_key", "compaction.size_ratio"}
        assert all(o.fitted is None and o.worst is None for f in OVERLAYS.values() if (o := f(theirs)))  # the models are of our tree
        assert (OVERLAYS["space"](theirs) is None) == (store == "leveldb") == (OVERLAYS["misses"](theirs) is None)
        assert (OVERLAYS["hits"](ours) is None) == (name == "kvbench-mixed")  # which deletes some that exist
    updates = next(r for r in made if r.workload == "uniform-update" and r.point["run.store"] == store)
    assert metric("WA-noWAL").of(updates) > 0.9  # type: ignore[operator]
    if store == "rocksdb":  # a record of the log holds the pair and about 20 bytes more
        user = metric("WA-user").of(updates)
        assert user is not None and 1 < user - metric("WA-noWAL").of(updates) < 1.15  # type: ignore[operator]


def test_the_engines_own_count_of_user_bytes_is_the_players(tmp_path: Path) -> None:
    (r,) = records(suite('workloads = ["kvbench-mixed"]\n'), tmp_path)
    import lsm

    stream = worker.draw(r.config)[0]
    values = Values(r.config["value_bytes"], 1).sized(stream.ids, stream.sizes, 1)
    with lsm.open(tmp_path / "x", {"threads": 0}) as db:
        store = Ours(tmp_path / "y", {"threads": 0})
        observer = Observer(store)
        before = store.db.stats().counters["user_bytes"]
        play(store, stream, values, observer, worker.Wall(), samples=3, skip=0)
        ranges = sum(len(k) + len(s) for c, k, s in zip(stream.codes, stream.keys(), stream.stops(), strict=True) if c == 7 and s)
        assert store.db.stats().counters["user_bytes"] - before in (observer.user_bytes, observer.user_bytes + ranges)
        store.close()
        assert db.get(b"x") is None


def test_a_store_that_lies_leaves_no_record(tmp_path: Path) -> None:
    stream = MIXES["delete-heavy"].draw(300, 1000, 1)
    values = Values(20)
    written = values.of(stream.ids, 1)
    store = Ours(tmp_path / "d", {"threads": 0})
    trees.load(store, stream, values, 1)
    play(store, stream, written, Observer(store), worker.Wall(), samples=3, skip=100)
    assert oracle.check(store, stream, values, written, 1) > 300
    row = int(np.flatnonzero(stream.codes == DELETE)[-1])
    store.put(stream.keys()[row], b"back from the dead")
    with pytest.raises(oracle.WrongAnswer, match="back from the dead"):
        oracle.check(store, stream, values, written, 1)
    store.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('---[run]\nmode = "open"\n', "needs a rate"),
        ('---[run]\nmode = "ajar"\n', "mode = 'ajar'; allowed: 'closed', 'open'"),
        ("---[run]\nspeed = 1\n", r"'speed' is unknown in \[run\]"),
        ('---[grid]\n"run.speed" = [1]\n', "run.speed is unknown; allowed: run.mode"),
        ('---[run]\nstore = "rocksdb"\ndevice = "nvme"\n', "only 'lsmlab' runs"),
        ('---[workload.x]\nkind = "twitter"\ncluster = 5\n', r"\[workload.x\]: cluster = 5"),
        ('---[workload.x]\nkind = "phases"\nparts = [["ycsb-a", -1]]\n', "above 0"),
    ],
)
def test_mistakes_in_a_suite_are_named(text: str, said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        suite('workloads = ["ycsb-a"]\n' + text)


def test_options_that_another_engine_has_not_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("rocksdict")
    s = suite('workloads = ["ycsb-a"]\n---[run]\nstore = "rocksdb"\n[grid]\n"compaction.layout" = ["lazy-leveling"]\n')
    with pytest.raises(ValueError, match=r"RocksDB runs with compaction\.layout leveling"):
        records(s, tmp_path)


def test_a_sweep_extends_what_is_there_and_the_ledger_knows(tmp_path: Path) -> None:
    one = suite('workloads = ["ycsb-c"]\n---[grid]\n"compaction.layout" = ["leveling"]\n')
    two = suite('workloads = ["ycsb-c"]\n---[grid]\n"compaction.layout" = ["leveling", "tiering"]\n')
    first = run_suite(one, tmp_path, 1)
    assert len(first.done) == 1
    then = run_suite(two, tmp_path, 2)
    assert len(then.done) == 1 and then.skipped == ["ycsb-c leveling"] and not then.failed
    ledger = Ledger(tmp_path)
    rows = ledger.rows()
    assert len(rows) == 2 and ledger.problems() == [] and {r["point"]["compaction.layout"] for r in rows} == {"leveling", "tiering"}
    made = results.read_all(tmp_path)
    assert {r["code"] for r in rows} == {r.code for r in made} != {""}
    with pytest.raises(results.RecordError, match="immutable"), ledger._open() as db:
        db.execute("update runs set summary = '{}'")
    with pytest.raises(results.RecordError, match="immutable"), ledger._open() as db:
        db.execute("delete from runs")
    (tmp_path / "ledger.sqlite").unlink()
    assert ledger.refresh() == 2 and ledger.refresh() == 0
    with (tmp_path / "out.csv").open("w", newline="") as out:
        assert export(made, ["WA-user", "SA"], out) == 2
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].startswith("id,suite,workload,seed,compaction.layout,operations") and lines[0].endswith("WA-user,SA,steady")
    path = tmp_path / (made[0].id + ".parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    assert "has changed" in ledger.problems()[0]
    path.unlink()
    assert "is gone" in ledger.problems()[0]
    assert len(run_suite(two, tmp_path, 1).done) == 1  # the record that is gone is made again
    (tmp_path / "ledger.sqlite").write_bytes(b"no database, just a long enough text to be read as the head of one" * 20)
    with pytest.raises(results.RecordError, match="made anew"):
        ledger.rows()


def test_other_code_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s = suite('workloads = ["ycsb-c"]\n')
    (r,) = records(s, tmp_path)
    results.write(replace(r, id="0" * 16, code="older"), tmp_path)
    assert run_suite(s, tmp_path, 1, any_code=True).skipped == ["ycsb-c"]
    assert run_suite(s, tmp_path, 1).done == ["ycsb-c"]
    assert len(Ledger(tmp_path).rows()) == 2


def test_every_metric_is_there_for_our_engine(tmp_path: Path) -> None:
    s = suite('workloads = ["ycsb-a"]\n')
    (r,) = records(replace(s, operations=4000), tmp_path)
    for m in METRICS.values():
        value = m.of(r)
        assert value is not None and value >= 0, m.id
        assert m.id in m.axis and m.source
    log, user = r.total(operation="write", component="wal", phase="run"), r.counters["run"]["user_bytes"]
    assert METRICS["WA-user"].of(r) == pytest.approx(METRICS["WA-noWAL"].of(r) + log / user)  # type: ignore[operator]
    assert METRICS["SA-ratio"].of(r) == pytest.approx(METRICS["SA"].of(r) + 1)  # type: ignore[operator]
    assert METRICS["RA-device"].of(r) <= METRICS["RA-io"].of(r)  # type: ignore[operator]
    assert METRICS["SA-peak"].of(r) >= METRICS["SA-bytes"].of(r) - 1  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"there are WA-user"):
        metric("WA")
    kinds = {e["kind"] for e in r.events}
    assert kinds == {"flush", "compaction"}
    flushed = sum(e["bytes_out"] for e in r.events if e["kind"] == "flush")
    assert flushed == r.total(operation="write", cause="flush", phase=("run", "warmup"))
    assert sum(s["stall_ns"] for s in r.series) == sum(e["length_ns"] for e in r.events) or r.series
    assert json.dumps(r.steady)


def test_a_run_on_a_simulated_device_is_the_same_to_the_byte(tmp_path: Path) -> None:
    """Latencies and stalls too: all of the record but what describes the machine."""
    text = 'workloads = ["ycsb-a"]\n---[run]\nmode = "open"\nrate = 5000.0\n[grid]\n"run.device" = ["nvme", "disk"]\n'
    s = replace(suite(text), operations=1500, records=1500)
    first, second = (records(s, tmp_path / name) for name in "ab")
    for a, b in zip(first, second, strict=True):
        assert results.differences(a, b) == []
        assert (a.latency_ns == b.latency_ns).all() and a.histograms == b.histograms and a.events == b.events and a.series == b.series
        unlike = {"generator_share"}
        assert {k: v for k, v in a.summary.items() if k not in unlike} == {k: v for k, v in b.summary.items() if k not in unlike}
    nvme, disk = first
    assert disk.percentile(99.9) > 20 * nvme.percentile(99.9)
    assert nvme.stream == disk.stream and nvme.files == disk.files
    assert sum(e["length_ns"] for e in nvme.events) == sum(r["stall_ns"] for r in nvme.series)


def test_a_simulated_device_needs_one_thread() -> None:
    with pytest.raises(SuiteError, match=r"needs options\.threads = 0"):
        suite('workloads = ["ycsb-a"]\n---[run]\ndevice = "nvme"\n', "")


def test_waits_of_a_writer_are_stalls_with_their_reason() -> None:
    """Work beside the writer that is slower than it: each wait is told with why, and the intervals add up to them."""
    options = {"threads": 1, "write_buffer": 4096, "max_sealed": 1, "compaction": {"size_ratio": 2, "level_base": 8192}}
    stream = MIXES["write-burst"].draw(500, 20_000, 1)
    store, clock = Ours(Path("/d"), options, recovery.memory()), worker.Wall()
    observer = Observer(store)
    events = Events(store.db, clock.now, observer)
    play(store, stream, Values(100).of(stream.ids), observer, clock, samples=20, skip=0, events=events)
    events.end()
    assert type(store.db.executor).wait_for_room.__name__ == store.db.executor.wait_for_room.__name__ == "wait_for_room"
    store.close()
    stalls = [e for e in events.rows if e["kind"] == "stall"]
    assert stalls and all(e["length_ns"] >= 0 and 0 <= e["operation"] < 20_000 for e in stalls)
    told = {e["reason"] for e in stalls}
    assert any("memtables wait for their flush" in t or "runs in level 0" in t for t in told), told
    assert sum(e["length_ns"] for e in stalls) == pytest.approx(sum(row["stall_ns"] for row in observer.series), rel=0.02)


def test_a_settled_rocksdb_is_one_that_works_no_more(tmp_path: Path) -> None:
    """Universal compaction may say for ever that something is due, and never do it: with 5 runs of a width of at least 4, say."""
    pytest.importorskip("rocksdict")
    options = {"write_buffer": 65536, "threads": 1, "compaction": {"layout": "tiering", "size_ratio": 4, "level_base": 262144}}
    store = CONTESTANTS["rocksdb"](tmp_path / "r", options)
    for i in range(12):
        store.put_many([b"%06d" % n for n in range(i * 500, i * 500 + 900)], [b"v" * 100] * 900)
    store.settle()
    before = store.levels()
    assert before and store.levels() == before
    store.close()
