"""`lsmlab bench spatial`: contestants agree, a wrong one is noticed, goals are judged as they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import bench_spatial
from experiments.bench_spatial import CONTESTANTS, GROWN, SEGMENT, SORTED, STATIC, Contestant, Result, bench
from experiments.cli import app


@pytest.mark.parametrize("shape", bench_spatial.SHAPES)
def test_index_bench_runs_all_contestants(shape: str) -> None:
    told: list[str] = []
    result = bench(list(CONTESTANTS), Result(500, shape, 1, 1), told.append)
    assert set(result.times) | set(result.missing) == set(CONTESTANTS)
    assert all(times[what] > 0 for times in result.times.values() for what in ("build", *bench_spatial.AREAS))
    assert {"insert", "delete", "nearest", "batch 1e-5", "bytes", SORTED} <= set(result.times[GROWN])
    assert ("scipy" in result.missing) == (shape == "boxes")
    assert len(told) == len(CONTESTANTS) + len(result.times)


def test_index_bench_notices_a_contestant_that_misses_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(Contestant):
        def __init__(self, boxes: np.ndarray) -> None:
            self.window = lambda box: []

    monkeypatch.setitem(CONTESTANTS, "lazy", Lazy)
    with pytest.raises(RuntimeError, match="lazy finds 0 rows in 50 windows"):
        bench([SEGMENT, "lazy"], Result(20_000, "points", 1, 1), lambda _: None)


def test_index_bench_keeps_the_least_and_judges_ratios() -> None:
    result = Result(1000, "points", 1, 2)
    for name, what, time in (
        (SEGMENT, "build", 0.15),
        (SEGMENT, "nearest", 9.0),
        (SEGMENT, "nearest", 6.0),
        (STATIC, "nearest", 5.0),
        (GROWN, "nearest", 8.0),
        (GROWN, "insert", 3.5),
    ):
        result.note(name, what, time)
    assert {v["what"]: (v["got"], v["pass"]) for v in result.verdicts()} == {
        "segment: nearest / geoindex-rs": (1.2, True),
        "RTree: nearest / geoindex-rs": (1.6, False),
        "segment: bulk": (150.0, True),
        "RTree: insert": (3.5, False),
    }


def test_index_bench_command_prints_json_and_names_what_there_is() -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["bench", "spatial", "--n", "300", "--repeats", "1", "--contestants", "segment,RTree", "--json"])
    assert done.exit_code in (0, 1), done.output
    assert set(json.loads(done.stdout)["times"]) == {"segment", "RTree"}
    done = runner.invoke(app, ["bench", "spatial", "--contestants", "segmnt"])
    assert done.exit_code == 2 and "unknown contestant 'segmnt'; there are: segment" in done.output
    assert "shape is 'round'" in runner.invoke(app, ["bench", "spatial", "--shape", "round"]).output
