"""`lsmlab bench ranges`: a small run fills every cell, and its figures hang together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import bench_ranges
from experiments.cli import app


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_ranges, "SCANS", 50)
    monkeypatch.setattr(bench_ranges, "SINGLES", 100)
    monkeypatch.setattr(bench_ranges, "RANGES", 5000)


def test_a_small_run_of_the_filter_bench() -> None:
    done = CliRunner().invoke(app, ["bench", "ranges", "--n", "3000", "--repeats", "1", "--json"])
    r = json.loads(done.stdout)
    assert [row["name"] for row in r["filters"]] == list(bench_ranges.FILTERS)
    surf = {row["name"]: row for row in r["filters"]}
    assert surf["surf base"]["bits"] + 4 == pytest.approx(surf["surf real 4"]["bits"], abs=0.1)
    assert all(surf["surf real 8"]["false"][w] <= surf["surf base"]["false"][w] for w in ("0", "20", "40"))
    scans = {row["name"]: row for row in r["scans"]}
    assert list(scans) == list(bench_ranges.SCANNED)
    assert scans["none"]["blocks"] > 7 and scans["none"]["saved"] == 0
    assert scans["surf"]["saved"] > 0.9 and scans["surf"]["blocks"] < 1
    assert done.exit_code == (0 if all(goal["pass"] for goal in r["goals"]) else 1)
    table = CliRunner().invoke(app, ["bench", "ranges", "--n", "2000", "--repeats", "1"])
    assert "surf mixed 8" in table.stdout and "goals" in table.stdout


def test_empty_ranges_of_the_filter_bench_are_empty() -> None:
    keys = np.sort(np.random.default_rng(1).integers(0, 2**64, 5000, dtype=np.uint64))
    lo, hi = bench_ranges.empty_ranges(keys, np.random.default_rng(2), 50)
    assert 1000 < len(lo) < 5000
    assert (np.searchsorted(keys, lo) == np.searchsorted(keys, hi)).all()
