"""lsmlab cache mrc, stats and explain, on small traces of our own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from eviction import generate
from experiments import cli


def lsmlab(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli.app, [str(w) for w in words])
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "zipf.csv"
    np.savetxt(path, generate.zipf(500, 20_000, seed=1), fmt="%d")
    return path


def test_curves(trace: Path) -> None:
    exact = json.loads(lsmlab("cache", "mrc", trace, "--sizes", "10,100,50%", "--json"))
    assert [row["size"] for row in exact["curve"]] == [10, 100, 250]
    ratios = [row["hit_ratio"] for row in exact["curve"]]
    assert ratios == sorted(ratios) and 0.1 < ratios[0] < ratios[2] < 1
    sampled = json.loads(lsmlab("cache", "mrc", trace, "--policy", "arc", "--method", "mini", "--rate", 0.5, "--check", "--json"))
    assert 0 < sampled["error"] < 0.1 and sampled["sampled"] == 0.5
    assert "hit %" in lsmlab("cache", "mrc", trace)
    assert "exact, shards, mini" in lsmlab("cache", "mrc", trace, "--method", "x", code=2)


def test_stats(trace: Path) -> None:
    (told,) = json.loads(lsmlab("cache", "stats", trace, "--json")).values()
    assert told["requests"] == 20_000 and told["unique"] <= 500 and 0.7 < told["zipf"] < 1.3
    assert "20,000" in lsmlab("cache", "stats", trace)


def test_explain(trace: Path) -> None:
    text = lsmlab("cache", "explain", "arc", "--trace", trace, "--at", 300, "--size", 4, "--last", 2)
    assert "request 300:" in text and "request 298:" not in text and "T1:" in text and "after 300 requests" in text
    told = json.loads(lsmlab("cache", "explain", "lru", "--trace", trace, "--at", 50, "--size", 4, "--json"))
    assert told["requests"] == 50 and told["queues"].startswith("lru:") and len(told["last"]) == 8
    assert any("evict" in event for step in told["last"] for event in step["events"])
    assert "did you mean" in lsmlab("cache", "explain", "arcc", "--trace", trace, "--at", 5, code=2)
