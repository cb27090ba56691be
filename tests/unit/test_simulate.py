"""Simulations: what they count, how sketches stand beside exact runs, and the identities of the study (shared reference, section 3)."""

from __future__ import annotations

import statistics
import sys
from typing import Any

import pytest

import lsm
import recovery
from experiments.simulate import DEFINITIONS, Counters, Delete, DeleteRange, Operations, Put, Refused, prepare, simulate, sketch
from lsm.policies import make_policy

SIZES: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "compaction": {"size_ratio": 4, "level_base": 1 << 18, "output_bytes": 1 << 16},
}


def options(layout: str = "leveling", **compaction: Any) -> lsm.Options:
    return lsm.Options.from_dict(SIZES).override({"compaction": {"layout": layout} | compaction})


def test_the_counters_are_those_of_the_engine() -> None:
    """Bytes of tables by cause and level, of the log and of the user, as the ledger has them."""
    o, operations = options(), Operations.drawn("fillrandom", 8000, value_bytes=30, updates=0.2, deletes=0.1)
    c = simulate(make_policy(o), o, operations).counters
    with lsm.open("/d", o, fs=recovery.memory()) as db:
        operations.play(db)
        db.flush()
        stats, live = db.stats(), sum(len(k) + len(v) for k, v in db.scan())
        size = sum(level.bytes for level in db.levels())
    assert stats.counters["user_bytes"] == c.user_bytes
    assert stats.bytes(op="write", component="wal") == c.log_bytes
    for level in range(4):
        assert stats.bytes(op="write", cause="flush", level=level) == c.written[level, "flush"]
        assert stats.bytes(op="write", cause="compaction", level=level) == c.written[level, "compaction"]
    assert (stats.counters["entries_out"], live, size) == (c.entries_flushed + c.entries_merged, c.live_bytes, c.stored_bytes)


def test_definitions() -> None:
    c = Counters(user_bytes=100, user_entries=10, log_bytes=150, live_bytes=80, stored_bytes=120)
    c.written.update({(0, "flush"): 110, (1, "compaction"): 220})
    c.entries_flushed, c.entries_merged, c.rests, c.runs_at_rest = 10, 20, 4, 10
    figures = c.amplifications()
    assert tuple(figures) == DEFINITIONS
    assert figures == {"WA-user": 4.8, "WA-noWAL": 3.3, "WA-compaction": 2.0, "WA-merge": 2.0, "WA-entries": 3.0, "SA": 0.5, "RA-runs": 2.5}
    assert set(Counters().amplifications().values()) == {None}


def test_live_bytes_go_with_deletes() -> None:
    rows = [Put(b"a", 10), Put(b"b", 10), Put(b"c", 5), DeleteRange(b"a", b"b"), Put(b"a", 3), Delete(b"b"), Delete(b"x")]
    o = options()
    assert simulate(make_policy(o), o, Operations.of(rows)).counters.live_bytes == (1 + 3) + (1 + 5)
    assert simulate(make_policy(o), o, Operations.of([])).counters.live_bytes == 0


@pytest.mark.parametrize("layout", ["leveling", "1-leveling", "lazy-leveling", "tiering"])
@pytest.mark.parametrize(
    "load",
    [
        {"workload": "fillrandom"},
        {"workload": "overwrite", "deletes": 0.1},
        {"workload": "fillrandom", "updates": 0.4},
        {"workload": "fillseq"},
    ],
    ids=str,
)
def test_a_sketch_is_near_the_exact_run(layout: str, load: dict[str, Any]) -> None:
    o = options(layout)
    exact = simulate(make_policy(o), o, Operations.drawn(entries=40_000, **load)).counters
    brief = sketch(make_policy(o), o, entries=40_000, **load).counters
    assert brief.flushes == pytest.approx(exact.flushes, rel=0.02)
    near = 0.2 if layout == "lazy-leveling" else 0.1  # a single merge of the last level is a tenth of all bytes there
    for name in ("WA-user", "WA-noWAL", "RA-runs"):
        assert brief.amplifications()[name] == pytest.approx(exact.amplifications()[name], rel=near), name
    assert brief.live_bytes == pytest.approx(exact.live_bytes, rel=0.02)
    if layout == "leveling":  # elsewhere it depends on how long ago the last large merge was
        assert brief.stored_bytes == pytest.approx(exact.stored_bytes, rel=0.1)


@pytest.mark.parametrize("picker", [kind for kind in lsm.PICKERS if kind not in ("round_robin", "random")])
def test_pickers_see_in_a_sketch_what_they_see_in_a_tree(picker: str) -> None:
    """Ages and sizes of sketched tables differ as those of real ones do. Were they equal, ties would decide, and cost tenfold."""
    o = options("leveling", picker=picker)
    exact = simulate(make_policy(o), o, Operations.drawn("fillrandom", 40_000)).counters
    brief = sketch(make_policy(o), o, "fillrandom", 40_000).counters
    assert brief.amplifications()["WA-noWAL"] == pytest.approx(exact.amplifications()["WA-noWAL"], rel=0.25)


@pytest.mark.parametrize("picker", lsm.PICKERS)
def test_without_reads_and_deletes_no_picker_goes_back_to_one_place(picker: str) -> None:
    """Pickers whose scores are all alike then pick at random: by the least key they would rewrite the next level with every flush."""
    written = {}
    for kind in (picker, "random"):
        o = options("leveling", picker=kind)
        written[kind] = simulate(make_policy(o), o, Operations.drawn("fillrandom", 40_000)).counters.amplifications()["WA-noWAL"]
    assert written[picker] < 1.5 * written["random"]


@pytest.mark.parametrize("layout", sorted(lsm.LAYOUTS))
def test_every_layout_runs_on_sketches(layout: str) -> None:
    o = options(layout, expire_bytes=1 << 21 if layout == "fifo" else 0)
    done = sketch(make_policy(o), o, "overwrite", 20_000)
    assert sum(level.size for level in done.version.levels) == done.counters.stored_bytes > 0
    assert done.counters.merges + done.counters.moved > 0 or layout == "fifo"


def test_a_sketch_takes_no_longer_for_more_entries_in_as_many_tables() -> None:
    """A tree of 200 GB: as many jobs as one of a thousandth with a thousandth of the sizes."""
    large = lsm.Options.from_dict(
        SIZES | {"write_buffer": 1 << 30, "compaction": {"size_ratio": 4, "level_base": 4 << 30, "output_bytes": 1 << 30}}
    )
    done = sketch(make_policy(large), large, "fillrandom", 1_500_000_000).counters
    assert done.stored_bytes > 170 << 30 and done.flushes < 400


@pytest.mark.parametrize("layout", ["fifo", "lsm-bush", "tiering"])
def test_a_plan_costs_no_more_in_a_tree_of_many_runs(layout: str) -> None:
    """Function calls a flush, plans and all: beside a thousand runs as many as beside a hundred."""
    o = lsm.Options.from_dict(
        SIZES
        | {"write_buffer": 1 << 20, "compaction": {"layout": layout, "size_ratio": 30, "level_base": 30 << 20, "output_bytes": 1 << 30}}
    )
    calls, total = list[int](), 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal total
        total += event == "call"

    def step(done: int) -> None:
        nonlocal total
        calls.append(total)
        total = 0

    sys.setprofile(count)
    try:
        done = sketch(make_policy(o), o, "fillrandom", 1_000_000, value_bytes=1000, progress=step)
    finally:
        sys.setprofile(None)
    assert done.counters.flushes > 900 and (layout == "tiering" or done.counters.most_runs > 700)
    assert statistics.median(calls[-100:]) < 1.5 * statistics.median(calls[50:150])


def study(layout: str, size_ratio: int) -> float:
    """Entries written an entry: unique keys, memtables of about a thousand entries, as in the study's table."""
    o = lsm.Options.from_dict(
        {
            "threads": 0,
            "write_buffer": 1 << 17,
            "compaction": {
                "layout": layout,
                "size_ratio": size_ratio,
                "level_base": size_ratio << 17,
                "output_bytes": 1 << 30,
                "max_levels": 20,
            },
        }
    )
    operations = Operations.drawn("fillrandom", 150_000)
    figure = simulate(make_policy(o), o, operations, filled=prepare(operations, o)).counters.amplifications()["WA-entries"]
    assert figure is not None
    return figure


def test_with_tiering_an_entry_is_written_once_a_level() -> None:
    """C10 + 1: fewer levels for a larger ratio, so fewer writes; with leveling it is more."""
    assert study("tiering", 2) > study("tiering", 4) > study("tiering", 8)
    assert study("tiering", 8) < study("leveling", 8)


def test_what_cannot_be_simulated_exactly_is_said() -> None:
    with pytest.raises(ValueError, match="allows none, none"):
        simulate(make_policy(options()), lsm.Options.from_dict({"table": {"codec": "zstd"}}), Operations.drawn(entries=10))
    with pytest.raises(ValueError, match="memory is 1048576; a simulation allows 0"):
        simulate(make_policy(options()), lsm.Options.from_dict({"memory": 1 << 20}), Operations.drawn(entries=10))
    with pytest.raises(ValueError, match="allowed: start < end"):
        Operations.of([DeleteRange(b"b", b"a")])
    for wrong in ({"workload": "fill"}, {"entries": 0}, {"key_bytes": 3}, {"updates": 0.7, "deletes": 0.5}, {"batch": 0}):
        with pytest.raises(ValueError, match="allowed"):
            Operations.drawn(**{"entries": 10} | wrong)
        if "batch" not in wrong:
            with pytest.raises(ValueError, match="allowed"):
                sketch(make_policy(options()), options(), **{"entries": 10} | wrong)


def test_a_refusal_says_after_how_many_plans() -> None:
    class Late:
        def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
            zero = view.level(0)
            return lsm.Plan((99,), 1) if view.step == 2 else lsm.Plan((zero.tables[0].number,), 5, new_run=True) if zero.runs else None

    with pytest.raises(Refused, match=r"tables \[99\] are not in the tree") as told:
        simulate(Late(), options(), Operations.drawn("fillseq", 5000))
    assert told.value.step == 2
