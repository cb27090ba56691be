"""`lsmlab bench secondary` and `lsmlab bench strategies`: they run, find what is there, and judge their goals as they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import bench_secondary, bench_strategies
from experiments.bench_secondary import WAYS, Result, bench
from experiments.cli import app
from lsm.secondary.strategies import STRATEGIES
from lsm.secondary.strategies.base import Ids
from lsm.secondary.strategies.lists import Lazy


def test_index_bench_measures_every_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_secondary, "SOME", 500)
    monkeypatch.setattr(bench_secondary, "MANY", 20)
    monkeypatch.setattr(bench_secondary, "PROBES", 8)
    monkeypatch.setattr(bench_secondary, "INTERSECTED", 20_000)
    monkeypatch.setattr(bench_secondary, "ASKED_SECONDS", 0.0)
    monkeypatch.setattr(bench_secondary, "TURNS", 2)
    told: list[str] = []
    result = bench(list(WAYS), Result(2000, 1000, 1), tmp_path, told.append)
    assert told == ["kernels", *(f"{w.name} ({turn} of 2)" for turn in (1, 2) for w in WAYS)]
    for way in WAYS:
        got = result.ways[way.name]
        assert got["insert"] > 0 < got["update"]
        assert ("bytes" in got) == (way.column is not None)
        assert ("hit before" in got) == (way.column not in (None, "n"))
        assert ("hit after" in got) == ("hit before" in got and not way.peer)
    assert result.ways["ordered, unique"]["bytes"] > result.ways["bitmap, some"]["bytes"] > 0
    assert len(result.goals()) == 2 * 9 + 2 * 3 + 4


def test_index_bench_judges_what_an_index_adds() -> None:
    result = Result(
        1000, 0, 1, {"no index": {"insert": 2.0, "update": 3.0}, "hash, some": {"insert": 6.9, "update": 8.5, "hit after": 5.1}}
    )
    result.more["intersection"] = 0.2
    verdicts = {g["what"]: g["pass"] for g in result.goals()}
    assert verdicts == {
        "hash, some: an index adds to an insert": True,
        "hash, some: an index adds to an update": False,
        "hash, some: one of 10,000 hits, merged": False,
        "intersection over 10M rows, row sets": True,
    }


def test_strategies_are_compared_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_strategies, "QUERIES", 5)
    done = CliRunner().invoke(app, ["bench", "strategies", "--n", "1000", "--updates", "300", "--json", "--plot", str(tmp_path)])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["results"]
    assert [(r["way"], r["values"]) for r in rows] == [(w, v) for v in (100, 10_000) for w in ("no index", *STRATEGIES)]
    by_way = {r["way"]: r for r in rows if r["values"] == 100}
    assert by_way["no index"]["size"] == 0 < by_way["shadow"]["size"] < by_way["composite"]["size"]
    assert by_way["no index"]["written"] < by_way["composite"]["written"] < by_way["eager"]["written"]
    assert {w for w, r in by_way.items() if r["reads"] == 0} == {"no index", "embedded", "validated", "shadow"}
    assert {w for w, r in by_way.items() if r["false"] > 0} == {"no index", "embedded", "validated", "mutable_bitmap"}
    assert (tmp_path / "strategies.png").read_bytes().startswith(b"\x89PNG")


def test_strategies_that_disagree_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(Lazy):
        def search(self, low: bytes, high: bytes | None) -> tuple[int, Ids]:
            return 0, np.zeros(0, np.uint64)

    monkeypatch.setitem(STRATEGIES, "lazy", Blind)
    with pytest.raises(RuntimeError, match="lazy finds 0 rows of value"):
        bench_strategies.bench(["no index", "lazy"], bench_strategies.Result(2000, 100, 1), tmp_path, lambda _: None)
    with pytest.raises(ValueError, match="way is 'lasy'; allowed: embedded"):
        bench_strategies.chosen_ways(["lasy"])
