"""Suites: what is written is what is run, and a wrong word is answered with the right ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import traces
from experiments.names import listed
from experiments.suite import SuiteError, load, merged, parse, run_id, shipped

HEAD = 'name = "s"\nquestion = "q"\nexpectation = "e"\nrefuted_if = "r"\nworkloads = ["ycsb-a", "own"]\n'
MIX = "[mix.own]\nread = 0.5\ndelete = 0.5\n"


@pytest.mark.parametrize("name", shipped())
def test_shipped_suites_are_sound(name: str) -> None:
    suite = load(name)
    assert suite.name == name
    assert suite.runs()
    assert all(len(text) > 20 for text in (suite.question, suite.expectation, suite.refuted_if))


def test_the_first_suite_is_the_one_that_was_asked_for() -> None:
    suite = load("first")
    assert set(suite.grid["compaction.layout"]) == {"leveling", "tiering", "lazy-leveling"}
    assert set(suite.grid["cache.policy"]) == {"lru", "clock", "arc"}
    assert set(suite.workloads) == {"ycsb-a", "ycsb-b", "ycsb-e", "trace"}
    assert len(suite.runs()) == 36


def test_the_grid_is_every_combination() -> None:
    suite = parse(HEAD + 'repeats = 2\n[grid]\n"a.b" = [1, 2]\n"c" = ["x", "y", "z"]\n' + MIX)
    runs = suite.runs()
    assert len(runs) == 2 * 3 * 2 * 2
    assert len({run_id(r.config()) for r in runs}) == len(runs)
    assert runs[0].config()["options"] == {"a": {"b": 1}, "c": "x"}
    assert {r.seed for r in runs} == {1, 2}


def test_near_names_are_told() -> None:
    with pytest.raises(SuiteError, match=r"no suite 'polices', and no path of a \.toml; there are .*; did you mean 'policies'"):
        load("polices")
    with pytest.raises(SuiteError, match=r"'ycsb-aa' is unknown; there are .*; did you mean 'ycsb-a'"):
        parse(HEAD.replace("ycsb-a", "ycsb-aa") + MIX)
    with pytest.raises(SuiteError, match=r"allowed: .*; did you mean 'operations'"):
        parse(HEAD + "operation = 5\n" + MIX)
    assert listed("zzz", ["a", "b"]) == "a, b" and listed("", []) == ""


def test_points_are_laid_over_the_options() -> None:
    options = {"table": {"filter": "bloom"}, "threads": 0}
    assert merged(options, {"table.codec": "lz4", "threads": 2}) == {"table": {"filter": "bloom", "codec": "lz4"}, "threads": 2}
    assert options == {"table": {"filter": "bloom"}, "threads": 0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "colour = 1\n" + MIX, "'colour' is unknown in the suite; allowed: .*workloads"),
        (HEAD.replace("ycsb-a", "ycsb-z") + MIX, "'ycsb-z' is unknown; there are .*ycsb-a"),
        (HEAD + "[mix.own]\nreed = 1\n", r"'reed' is unknown in \[mix.own\]; allowed: .*read"),
        (HEAD + "[mix.own]\nread = 0.7\n", "sum to 0.7"),
        (HEAD + "[trace]\nfile = 1\n" + MIX, r"'file' is unknown in \[trace\]; allowed: path"),
        (HEAD + "operations = 0\n" + MIX, "operations = 0"),
        (HEAD + "warmup = 1.5\n" + MIX, "warmup = 1.5"),
        (HEAD + 'plugins = ["nowhere.py"]\n' + MIX, "'nowhere.py' is not a file"),
        ('name = "s"\n', "question is missing"),
        ("name = ", "suite.toml"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        parse(text)


def test_an_unknown_suite_is_answered_with_those_there_are() -> None:
    with pytest.raises(SuiteError, match=r"there are .*first"):
        load("frist")
    with pytest.raises(SuiteError, match="No such file"):
        load("/nonexistent/x.toml")


def test_a_changed_plugin_is_another_run(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("a = 1\n")
    text = HEAD + 'plugins = ["p.py"]\n' + MIX
    before = run_id(parse(text, tmp_path / "s.toml").runs()[0].config())
    (tmp_path / "p.py").write_text("a = 2\n")
    assert run_id(parse(text, tmp_path / "s.toml").runs()[0].config()) != before


def test_another_trace_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "folders", lambda: [tmp_path])
    monkeypatch.chdir(tmp_path)
    run = next(r for r in load("first").runs() if r.workload == "trace")
    before = run_id(run.config())
    assert run.config()["trace"]["file"] == "generated"
    (tmp_path / traces.DEFAULT).write_bytes(b"12345678")
    assert run.config()["trace"]["file"] == "arc-OLTP.u32.xz, 8 bytes"
    assert run_id(run.config()) != before
