"""The benchmark of filters: every contestant answers rightly, and what it prints is what was measured."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import bench_filters
from experiments.cli import app
from indexes import filters

CONTESTANTS = {c.name: c for c in bench_filters.contestants()}


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_finds_its_keys_and_few_others(name: str) -> None:
    c = CONTESTANTS[name]
    if c.package != "lsmlab":
        pytest.importorskip(c.package.replace("-", "_"))
    keys = np.arange(0, 40_000, 2)
    made = c.build(keys, keys.tolist())
    absent = keys + 1
    assert c.one(made, keys.tolist()) == len(keys)
    assert c.one(made, absent.tolist()) < 0.015 * len(keys)
    if c.batch:
        assert c.batch(made, keys, keys.tolist()) == len(keys)
        assert c.batch(made, absent, absent.tolist()) == c.one(made, absent.tolist())
    assert 6.8 < c.bits(made) / len(keys) < 41
    if c.remove:
        c.remove(made, keys)
        assert c.one(made, keys.tolist()) == 0


def test_command_prints_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_filters, "RATE_PROBES", 100_000)
    monkeypatch.setattr(bench_filters, "_off_theory", lambda cls, rng: 99.0)
    done = CliRunner().invoke(app, ["bench", "filters", "--n", "2000", "--repeats", "1", "--kinds", "bloom,ribbon", "--json"])
    got = json.loads(done.stdout)
    names = [r["name"] for r in got["results"]]
    assert names[:2] == ["bloom", "ribbon"] and got["n"] == 2000
    assert {r["name"] for r in got["results"] if r["ours"]} == {"bloom", "ribbon"}
    assert all(t > 0 for r in got["results"] for t in r["ns"].values())
    assert not [g for g in got["goals"] if g["unit"] == "bits" and not g["pass"]]
    assert [g["pass"] for g in got["goals"] if g["what"] == "bloom: rate off its theory"] == [False]
    assert done.exit_code == 1
    shown = CliRunner().invoke(app, ["bench", "filters", "--n", "2000", "--repeats", "1", "--kinds", "bloom"]).stdout
    assert "bloom: batch miss" in shown and "FAIL" in shown and "bits/key" in shown


def test_missing_peers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = bench_filters.bench(bench_filters.contestants(["xor8"]), bench_filters.Result(1000, 1, 1), lambda text: None)
    assert result.missing == ["rbloom", "fastbloom-rs", "pyfusefilter", "pybloom-live"]
    assert [r.name for r in result.rows] == ["xor8"] and not math.isnan(result.rows[0].rate)


def test_unknown_kinds_are_named() -> None:
    done = CliRunner().invoke(app, ["bench", "filters", "--kinds", "prism"])
    assert done.exit_code == 2 and f"kind is 'prism'; allowed: {next(iter(filters.FILTERS))}" in done.stderr
