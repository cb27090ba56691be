"""The commands of the harness: sweep, results, trace. They do what they say, and say what was wrong with what they were given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import cli
from experiments.cli_sweep import document, value_of
from experiments.suite import load


def lsmlab(*words: object, code: int = 0) -> str:
    """Run the command in this process; require the exit code; give what it printed."""
    done = CliRunner().invoke(cli.app, [str(w) for w in words])
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output


SMALL = ("--records", 500, "--operations", 600, "-s", "threads=0", "-s", "write_buffer=16_384", "-j", 2)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "r"
    said = lsmlab("sweep", "ycsb-a", "-g", "compaction.layout=leveling,tiering", "--fork", "--repeats", 2, *SMALL, "--out", folder)
    assert "4 runs done" in said
    return folder


def test_a_sweep_is_a_suite_that_can_be_run_again(swept: Path) -> None:
    suite = load(str(swept / "sweep.toml"))
    assert suite.fork and suite.repeats == 2 and suite.options == {"threads": 0, "write_buffer": 16384}
    assert "4 found finished" in lsmlab("run", swept / "sweep.toml", "--out", swept)
    again = json.loads(
        lsmlab("sweep", "ycsb-a", "-g", "compaction.layout=leveling,tiering", "--fork", "--repeats", 3, *SMALL, "--out", swept, "--json")
    )
    assert (len(again["done"]), len(again["skipped"])) == (2, 4)


def test_results_are_listed_checked_exported_and_compared(swept: Path, tmp_path: Path) -> None:
    listed = json.loads(lsmlab("results", "list", swept, "--json"))
    assert len(listed["runs"]) >= 4 and listed["failed"] == []
    assert "ycsb-a" in lsmlab("results", "list", swept)
    assert "as it was written" in lsmlab("results", "check", swept)
    lsmlab("results", "export", swept, "--to", tmp_path / "x.csv", "--metrics", "WA-user,SA")
    head, *rows = (tmp_path / "x.csv").read_text().splitlines()
    assert head.endswith(",WA-user,SA,steady") and len(rows) == len(listed["runs"])
    assert lsmlab("results", "export", swept).count("\n") == len(rows) + 1
    compared = json.loads(lsmlab("results", "compare", swept, "--figures", "p50,WA-noWAL", "--base", "tiering", "--json"))
    assert {(row["metric"], row["point"]) for row in compared} == {("p50", "leveling"), ("WA-noWAL", "leveling")}
    assert all(row["paired"]["pairs"] >= 2 and not row["paired"]["clear"] for row in compared)
    assert "6 are needed" in lsmlab("results", "compare", swept)
    assert "WA-user" in lsmlab("results", "metrics")
    assert "no other engine ran" in lsmlab("results", "knobs", swept)


def test_what_is_wrong_is_named(swept: Path, tmp_path: Path) -> None:
    assert "there are ycsb-a" in lsmlab("trace", "record", "ycsb-q", tmp_path / "t", code=2)
    assert "no figure 'p42'; there are throughput" in lsmlab("results", "compare", swept, "--figures", "p42", code=2)
    assert "no point 'b-tree'" in lsmlab("results", "compare", swept, "--base", "b-tree", code=2)
    assert "no metric 'XA'; there are WA-user" in lsmlab("results", "export", swept, "--metrics", "XA", code=2)
    out = ("--out", tmp_path / "o")
    assert "'layout' is no NAME=VALUE" in lsmlab("sweep", "ycsb-a", "-g", "layout", *out, code=2)
    assert "'ycsb-q' is unknown" in lsmlab("sweep", "ycsb-q", *out, code=2)
    assert "run.sped is unknown; allowed: run.mode" in lsmlab("sweep", "ycsb-a", "-g", "run.sped=1", *out, code=2)
    assert "allowed: local, ray" in lsmlab("sweep", "ycsb-a", "--on", "moon", *out, code=2)
    said = lsmlab("sweep", "ycsb-a", "-s", "treads=0", "--records", 10, "--operations", 10, *out, code=1)
    assert "treads" in said and "1 failed" in said
    assert "treads" in lsmlab("results", "list", tmp_path / "o")
    (swept / ("0" * 16 + ".parquet")).write_bytes(b"not a record")
    assert "0000000000000000.parquet" in lsmlab("results", "list", swept, code=1)
    assert "not in the ledger" in lsmlab("results", "check", swept, code=1)
    (swept / ("0" * 16 + ".parquet")).unlink()


def test_traces_are_recorded_replayed_and_told(tmp_path: Path) -> None:
    file = tmp_path / "a.ops"
    assert "1,000 operations" in lsmlab("trace", "record", "kvbench-mixed", file, "--records", 200, "--operations", 1000)
    assert "File exists" in lsmlab("trace", "record", "ycsb-a", file, code=1)
    told = json.loads(lsmlab("trace", "info", file, "--json"))
    assert told["operations"] == 1000 and "distinct keys" in lsmlab("trace", "info", file)
    replayed = json.loads(lsmlab("trace", "replay", file, "--db", tmp_path / "db", "--json"))
    assert replayed["operations"] == 1000 and replayed["found_otherwise"] == 0
    assert "a second" in lsmlab("trace", "replay", file, "--db", tmp_path / "db2")
    file.write_bytes(file.read_bytes()[:-3])
    assert "ends without its end mark" in lsmlab("trace", "replay", file, "--db", tmp_path / "db3", code=2)


def test_values_are_read_as_what_they_are() -> None:
    assert [value_of(t) for t in ("5", "1_000", "2.5", "true", "lru", "[1]", "1e3")] == [5, 1000, 2.5, True, "lru", "[1]", 1000.0]
    made = document(["a"], ["x.y=1,2", "run.rate=5"], ["x.z=q", "run.mode=open"])
    assert made["grid"] == {"x.y": [1, 2], "run.rate": [5]} and made["options"] == {"x": {"z": "q"}} and made["run"] == {"mode": "open"}


def test_the_knobs_of_other_engines_are_printed(tmp_path: Path) -> None:
    pytest.importorskip("rocksdict")
    lsmlab("sweep", "ycsb-c", "-g", "run.store=lsmlab,rocksdb", *SMALL, "--out", tmp_path / "r")
    rows = json.loads(lsmlab("results", "knobs", tmp_path / "r", "--json"))
    assert {"engine": "rocksdb", "ours": "write_buffer", "theirs": "write_buffer_size", "value": "16384"} in rows
    assert any(row["theirs"] == "none" and row["ours"] == "cache.policy" for row in rows)
    assert "block_cache (LRU)" in lsmlab("results", "knobs", tmp_path / "r")
