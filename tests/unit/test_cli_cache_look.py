"""lsmlab cache mrc, stats and explain, on small traces of our own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import eviction
from eviction import generate
from experiments import cli, plots, queues


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


@pytest.mark.parametrize("kind", [kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead])
def test_queues_of_every_policy_are_drawn(kind: str, tmp_path: Path) -> None:
    """Every key of the cache is in a queue as held, every other entry is a ghost."""
    keys = [int(key) for key in generate.zipf(60, 500, seed=1)]
    cache: eviction.Cache[int, bool] = eviction.Cache(kind, 9)
    for key in keys:
        if cache.get(key) is None:
            cache[key] = True
    told, rows = queues.parse(kind, cache.dump(), set(cache))
    assert {int(e.key) for q in rows for e in q.entries if e.held} == set(cache)
    assert all(0 <= q.hand < len(q.entries) for q in rows if q.hand is not None)
    assert ("=" in told) == any("=" in line and not line[0].isdigit() for line in cache.dump().splitlines())
    plot = queues.draw(kind, cache.dump(), set(cache), keys[-1], "t")
    assert plot.name.startswith("queues-")
    plots.save([plot], tmp_path)


def test_what_a_dump_says() -> None:
    told, (t1, b2) = queues.parse("arc", "arc: p=2.5\nT1: 3 1\nB2: 7\n", {1, 3})
    assert (told, t1.name, [e.key for e in t1.entries], [e.held for e in b2.entries]) == ("p=2.5", "T1", ["3", "1"], [False])
    _, (sieve,) = queues.parse("sieve", "sieve: 5 4* 3\nhand: 4\n", {3, 4, 5})
    assert (sieve.hand, sieve.entries[1].mark) == (1, "*")
    _, (waiting, lru) = queues.parse("tinylfu", "tinylfu: waiting:\nlru: 1/2\n", {1})
    assert (waiting.name, waiting.entries, lru.entries[0].mark) == ("waiting", (), "2")


def test_explain_draws(trace: Path, tmp_path: Path) -> None:
    said = lsmlab(
        "cache",
        "explain",
        "s3fifo",
        "--trace",
        trace,
        "--at",
        3000,
        "--size",
        300,
        "--last",
        0,
        "--plot",
        tmp_path,
        "--params",
        "small=0.2",
    )
    assert "queues-s3fifo.png" in said.replace("\n", "")
    assert (tmp_path / "queues-s3fifo.png").read_bytes()[:4] == b"\x89PNG"
    lsmlab("cache", "explain", "lru", "--trace", trace, "--at", 0, "--plot", tmp_path)
    assert "belady" in lsmlab("cache", "explain", "belady", "--trace", trace, "--at", 5, code=2)
