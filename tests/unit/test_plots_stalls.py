"""When writes had to wait: what is noted of a run, what is drawn of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt

import lsm
import recovery
from experiments import plots, suite, worker
from experiments.measure.contestants import Ours
from experiments.measure.observe import Events, Observer
from experiments.plots_stalls import SLOWED, STOPPED, finished, rates, waits
from experiments.results import Record

SUITE = """name = "s"
question = "q"
expectation = "e"
refuted_if = "r"
workloads = ["write-burst"]
records = 500
operations = 4000
probes = 0
samples = 20
curves = []
[options]
threads = 0
write_buffer = 16384
[options.compaction]
size_ratio = 3
level_base = 32768
[grid]
"compaction.layout" = ["leveling", "tiering"]
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("s")
    return [worker.execute(run.config(), folder, False) for run in suite.parse(SUITE).runs()]


def event(kind: str, reason: str, start: float, length: float, level: int = -1) -> dict[str, Any]:
    times = {"start_ns": int(start * 1e9), "length_ns": int(length * 1e9), "operation": 0, "level": level}
    return {"kind": kind, "reason": reason, **times, **dict.fromkeys(("bytes_in", "bytes_out", "entries_in", "entries_out"), 0)}


def test_an_inline_flush_or_merge_stops_the_write_that_made_it_due(records: list[Record]) -> None:
    for r in records:
        found = waits(r)
        assert len(found) == len(r.events) and {w.kind for w in found} == {STOPPED}
        assert {"flush", "merge to level 1"} <= {w.cause for w in found}
        assert [w.start for w in found] == sorted(w.start for w in found)
        assert all(": level" in e["reason"] for e in r.events if e["kind"] == "compaction"), "a merge says why it was due"


def test_with_threads_only_waits_count_and_their_causes_are_told_apart(records: list[Record]) -> None:
    events = (
        event("flush", "to level 0", 0.1, 0.2, 0),
        event("stall", "keyspace default: 4 memtables wait for their flush; writes stop above 3", 0.3, 0.1),
        event("slowed", "keyspace default: 21 runs in level 0; writes slow down from 20 on and stop at 36", 0.1, 0.5),
        event("stall", "room was made meanwhile", 0.7, 0.0),
    )
    r = replace(records[0], events=events, options=records[0].options | {"threads": 2})
    assert [(w.kind, w.cause, w.start, w.length) for w in waits(r)] == [
        (SLOWED, "runs in level 0", 0.1, 0.5),
        (STOPPED, "memtables wait for their flush", 0.3, 0.1),
        (STOPPED, "room was made meanwhile", 0.7, 0.0),
    ]


def test_throughput_is_told_by_short_windows_and_loses_no_operation(records: list[Record]) -> None:
    r = records[0]
    done = finished(r)
    assert len(done) == len(r.latency_ns) and (np.diff(done) >= 0).all()
    assert r.series[0]["elapsed"] <= done[0] <= done[-1] == pytest.approx(max(s["elapsed"] for s in r.series[:-1]))
    edges, rate = rates(r)
    assert (rate * np.diff(edges)).sum() == pytest.approx(len(done)) and len(rate) > 100
    opened = replace(r, summary=r.summary | {"offered": 1000.0})
    edges, rate = rates(opened)
    assert (rate * np.diff(edges)).sum() == pytest.approx(len(done)) and len(rate) <= 20


def test_the_plot_shows_what_held_writes_back(records: list[Record]) -> None:
    (plot,) = plots.draw_all(records, ["stalls"])
    lanes = plot.figure.axes[2]
    causes = [t.get_text() for t in lanes.get_yticklabels()]
    assert "flush" in causes and "merge to level 1" in causes
    assert "stopped" in plot.caption and "longest" in plot.caption and "leveling" in plot.caption
    plt.close(plot.figure)
    calm = [replace(r, events=(event("flush", "to level 0", 0.1, 0.2, 0),), options=r.options | {"threads": 2}) for r in records]
    (plot,) = plots.draw_all(calm, ["stalls"])
    assert "nobody waited" in plot.caption and any("nobody waited" in t.get_text() for t in plot.figure.axes[2].texts)
    plt.close(plot.figure)


class Idle:
    """Never compacts."""

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        return None


def observed(stalls: dict[str, Any]) -> tuple[Ours, Events]:
    options = {"threads": 1, "write_buffer": 1 << 14, "compaction": {"layout": "tiering", "size_ratio": 2}, "stalls": stalls}
    store = Ours(Path("/d"), options, recovery.memory())
    store.db.set_policy(Idle())
    return store, Events(store.db, worker.Wall().now, Observer(store))


def test_times_in_which_writes_are_slowed_down_are_noted() -> None:
    store, events = observed({"slowdown_runs": 3, "stop_runs": 50})
    for i in range(6):
        store.db.put(b"%d" % i, b"v")
        store.db.flush()
    assert store.admission() > 0
    store.db.compact()
    assert store.admission() == 0
    (slowed,) = [e for e in events.rows if e["kind"] == "slowed"]
    assert "runs in level 0; writes slow down from 4 on" in slowed["reason"] and slowed["length_ns"] > 0
    events.end()
    assert "admit" not in vars(store.db.default.core)
    store.close()


def test_a_slow_time_that_lasts_to_the_end_is_noted_too() -> None:
    store, events = observed({"slowdown_runs": 2, "stop_runs": 50})
    for i in range(6):
        store.db.put(b"%d" % i, b"v")
        store.db.flush()
    events.begin()
    assert events.rows == []
    events.end()
    assert [e["kind"] for e in events.rows] == ["slowed"] and events.rows[0]["start_ns"] == 0
    store.close()
