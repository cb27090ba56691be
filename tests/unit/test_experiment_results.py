"""Records: what is written is read back, differences are found, and a report is drawn from records alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments import overlays, plots, report, results
from experiments.histogram import Histogram
from experiments.suite import Suite, load, run_id


def record(suite: Suite, index: int) -> results.Record:
    """A made-up record of a run of the suite, lively enough to draw."""
    run = suite.runs()[index]
    config = run.config()
    layout = run.point["compaction.layout"]
    rng = np.random.default_rng(index)
    runs = {"leveling": 1, "tiering": 3, "lazy-leveling": 2}[layout]
    levels = [{"level": n, "runs": runs, "tables": 4, "bytes": 10 ** (5 + n), "entries": 10 ** (3 + n)} for n in range(3)]
    blank = dict.fromkeys(("elapsed", "log_bytes", "debt", "admission_ns_per_kib", "stall_ns", "p50_ns", "p99_ns", "p999_ns", "max_ns"), 7)
    series = tuple(
        {"operations": i * 100, "seconds": i * 0.1, "user_bytes": i, "written_bytes": 2 * i, **blank, "elapsed": i * 0.1, "levels": levels}
        for i in range(5)
    )

    columns = ("phase", "operation", "level", "component", "cause", "count")
    counts = [
        ("run", "write", -1, "wal", "write", 100),
        ("run", "write", 0, "data", "flush", 100),
        ("run", "write", 1, "data", "compaction", 300),
        ("run", "read", 1, "data", "get", 90),
        ("run", "hit", 1, "data", "get", 10),
        ("run", "read", 1, "data", "scan", 60),
        ("hits", "read", 1, "data", "get", 4040),
        ("misses", "read", 1, "data", "get", 48),
    ]
    ledger = tuple({**dict(zip(columns, row, strict=True)), "bytes": 4096 * row[-1]} for row in counts)
    blocks, ratios = [10, 100, 1000], [0.1, 0.5, 0.9]
    curves = tuple(
        {"stream": s, "policy": p, "blocks": blocks, "hit_ratio": ratios}
        for s in ("trace", "blocks")[run.workload != "trace" :]
        for p in suite.curves
    )
    options = {
        "threads": 0,
        "write_buffer": 1 << 16,
        "compaction": {"layout": layout, "size_ratio": 4, "level_base": 1 << 20, "output_bytes": 1 << 20, "l0_trigger": 4},
        "filter_allocation": "uniform",
        "table": {"filter": "bloom", "bits_per_key": 10.0, "block_size": 4096},
        "cache": {"capacity": 1 << 20},
    }
    return results.Record(
        id=run_id(config),
        suite=suite.name,
        workload=run.workload,
        seed=run.seed,
        stream="abc",
        source="GENERATED stand-in" if run.workload == "trace" else run.workload,
        point=run.point,
        config=config,
        options=options,
        machine={"cpu": "c", "cores": 2, "memory_bytes": 1 << 30, "system": "s", "load": 0.5},
        versions={"python": "3"},
        summary={"throughput": 1e5 + index, "operations": 1000, "seconds": 0.01, "live": 1000, "written": 1500},
        counters={
            "run": {"user_bytes": 409600, "get": 5, "scans": 10, "scan_entries": 500},
            "hits": {"get": 1000},
            "misses": {"get": 1000},
        },
        files={"000001.sst": "d1"},
        latency_ns=rng.integers(500, 50_000, 1000).astype(np.uint32),
        codes=np.zeros(1000, np.uint8),
        histograms=({"name": "service", **Histogram.of(rng.integers(500, 50_000, 1000)).to_dict()},),
        events=(
            {
                "kind": "flush",
                "reason": "to level 0",
                "start_ns": 5,
                "length_ns": 3000,
                "operation": 100,
                "level": 0,
                "bytes_in": 0,
                "bytes_out": 4096,
                "entries_in": 10,
                "entries_out": 10,
            },
        ),
        steady={"steady": False, "reasons": ["throughput drifts by -30 %"], "drifts": {"throughput": -0.3}},
        ledger=ledger,
        series=series,
        curves=curves,
    )


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load("first")


@pytest.fixture(scope="module")
def records(suite: Suite) -> list[results.Record]:
    return [record(suite, i) for i in range(len(suite.runs()))]


def test_a_record_survives_the_file(suite: Suite, tmp_path: Path) -> None:
    before = record(suite, 5)
    path = results.write(before, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [before.id + ".parquet"]
    after = results.read(path)
    assert (after.latency_ns == before.latency_ns).all()
    blank = {"latency_ns": None, "codes": None}
    assert replace(after, **blank) == replace(before, **blank, point=dict(before.point))
    assert list(after.point) == list(before.point)


def test_a_record_from_before_columns_were_added_is_read(suite: Suite, tmp_path: Path) -> None:
    before = record(suite, 1)
    path = results.write(before, tmp_path)
    table = pq.read_table(path).drop_columns(["histograms", "events", "code", "steady", "knobs"])
    pq.write_table(table, path)
    after = results.read(path)
    assert after.summary == before.summary and (after.histograms, after.events, after.code, after.steady) == ((), (), "", {})


def test_files_that_are_no_records_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(results.RecordError, match=r"x\.parquet"):
        results.read_all(tmp_path)
    with pytest.raises(results.RecordError, match="no such folder"):
        results.read_all(tmp_path / "nowhere")


def test_sums_over_the_ledger(suite: Suite) -> None:
    r = record(suite, 0)
    assert r.total("count", operation=("read", "hit"), phase="run", cause="get") == 100
    assert r.total(operation="write", cause="flush") == 409600
    assert overlays.write_shares(r) == {"log": 1.0, "flush": 1.0, "merge to L1": 3.0}
    assert overlays.blocks_per_lookup(r, "hits") == pytest.approx(1.01)


def test_equal_runs_have_no_differences_and_others_are_told(suite: Suite) -> None:
    a = record(suite, 0)
    assert results.differences(a, a) == []
    assert results.differences(a, replace(a, files={"000001.sst": "d2"})) == ["file 000001.sst: differs"]
    assert results.differences(a, replace(a, files={})) == ["file 000001.sst: only in A"]
    assert "ledger run write -1 wal write" in results.differences(a, replace(a, ledger=a.ledger[1:]))[0]
    assert results.differences(a, replace(a, counters={})) == ["the counters differ"]
    assert results.differences(a, replace(a, stream="x")) == ["the operation streams differ"]


def test_time_must_be_the_same_only_where_it_is_simulated(suite: Suite) -> None:
    a = record(suite, 0)
    slower, later = {"latency_ns": a.latency_ns + 1}, {"events": ({**a.events[0], "length_ns": 4000},)}
    assert [results.differences(a, replace(a, **other)) for other in (slower, later)] == [[], []]
    device = replace(a, config={**a.config, "run": {**a.config["run"], "device": "disk"}})
    assert results.differences(device, device) == []
    assert "latencies by the simulated clock differ: p99 is " in results.differences(device, replace(device, **slower))[0]
    assert "p99 is" in results.differences(device, replace(device, histograms=()))[0]
    assert results.differences(device, replace(device, **later)) == ["flushes, merges or stalls by the simulated clock differ"]


def test_plots_have_units_and_captions(records: list[results.Record]) -> None:
    drawn = plots.draw_all(records)
    assert [p.name for p in drawn] == list(plots.PLOTS)
    for plot in drawn:
        labels = [a.get_ylabel() for a in plot.figure.axes] + [a.get_xlabel() for a in plot.figure.axes]
        assert any(labels), plot.name
        assert len(plot.caption) > 100
        assert abs(plot.figure.get_figwidth() - plots.WIDTH) < 0.01
        plots.plt.close(plot.figure)
    with pytest.raises(ValueError, match="there are throughput"):
        plots.draw_all(records, ["nothing"])


def test_the_report_is_one_page_that_needs_nothing_else(suite: Suite, records: list[results.Record], tmp_path: Path) -> None:
    for r in records[:-1]:
        results.write(r, tmp_path)
    page = report.make(suite, results.read_all(tmp_path), tmp_path, "lsmlab demo").read_text()
    assert page.count("data:image/png;base64,") == len(plots.PLOTS)
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "1 runs of this suite have no record yet" in page
    assert "No real trace" in page and "GENERATED" in page
    assert suite.refuted_if in page
    assert page.count("<tr><td class") == len(records) - 1
    assert page.count('<tr class="metric">') == len(records) - 1
    assert page.count('class="bad">not steady') == len(records) - 1 and "throughput drifts by -30 %" in page
    assert page.count('<tr class="model">') == 5 * (len(records) - 1)
    assert {p.stem for p in (tmp_path / "plots").iterdir()} == set(plots.PLOTS)


def test_a_report_without_runs_is_refused(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished runs"):
        report.make(suite, [], tmp_path, "lsmlab demo")
