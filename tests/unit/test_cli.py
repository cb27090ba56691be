"""The command line: every command shows an example, does what it says, and ends with the exit code that it promises."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import cli, results, runner
from experiments.console import parse_bytes, show_bytes
from experiments.overlays import OVERLAYS
from experiments.suite import load

ROOT = Path(__file__).resolve().parents[2]
TINY = """name = "tiny"
question = "q"
expectation = "e"
refuted_if = "r"
workloads = ["ycsb-a"]
records = 3000
operations = 1500
probes = 200
samples = 5
[options]
threads = 0
write_buffer = 65536
[options.table]
filter = "bloom"
[options.compaction]
size_ratio = 4
level_base = 131072
output_bytes = 65536
[grid]
"compaction.layout" = ["leveling", "tiering"]
"""
DATABASE = ["get", "put", "delete", "scan", "load", "stats", "dump", "check", "repair"]
COMMANDS = [
    *DATABASE, "demo", "run", "plot", "report", "list", "bench", "cache", "verify", "crashtest", "torture", "library", "advise", "model",
    "backup",
]  # fmt: skip
COMMANDS += ["simulate", "policy"]
COMMANDS += ["keygen", "encrypt", "decrypt", "view", "explain"]
COMMANDS += ["sweep", "trace", "results"]
COMMANDS += ["reproduce"]


def lsmlab(*words: object, code: int = 0, stdin: str | None = None) -> str:
    """Run the command in this process; require the exit code; give what it printed."""
    done = CliRunner().invoke(cli.app, [str(w) for w in words], input=stdin)
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "db"
    for i in range(5):
        lsmlab("put", path, f"k{i}", f"v{i}")
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS,
        "backup create",
        "backup list",
        "backup verify",
        "backup prune",
        "backup restore",
        "bench kv",
        "bench cache",
        "bench filters",
        "bench ranges",
        "bench bitmap",
        "bench spatial",
        "bench stalls",
        "bench encryption",
        "bench native",
        "bench text",
        "bench secondary",
        "bench strategies",
        "bench advisor",
        "policy new",
        "policy check",
        "policy list",
        "cache run",
        "cache verify",
        "model list",
        "trace record",
        "trace replay",
        "trace info",
        "results list",
        "results check",
        "results export",
        "results metrics",
        "results compare",
        "results knobs",
        "model C7",
    ],
)
def test_help_shows_an_example(command: str) -> None:
    assert re.search(rf"Example:\s+lsmlab {command.split(maxsplit=1)[0]}", lsmlab(*command.split(), "--help"))


def test_there_are_no_other_commands() -> None:
    help_text = lsmlab("--help")
    assert set(re.findall(r"^\W*([a-z][a-z-]+)  ", help_text.split("Commands")[1], re.M)) == set(COMMANDS)


def test_one_key_at_a_time(db: Path) -> None:
    assert lsmlab("get", db, "k3") == "v3\n"
    assert json.loads(lsmlab("get", db, "k3", "--json")) == {"key": "k3", "value": "v3"}
    lsmlab("delete", db, "k3")
    assert "no such key" in lsmlab("get", db, "k3", code=1)
    lsmlab("delete", db, "k0", "--until", "k2")
    assert lsmlab("scan", db) == "k2\tv2\nk4\tv4\n"


def test_scans(db: Path) -> None:
    assert lsmlab("scan", db, "--keys", "--reverse", "--limit", 2) == "k4\nk3\n"
    assert lsmlab("scan", db, "--from", "k1", "--to", "k3") == "k1\tv1\nk2\tv2\n"
    assert lsmlab("scan", db, "--prefix", "k2", "--json") == '{"key": "k2", "value": "v2"}\n'


def test_binary_keys(db: Path) -> None:
    lsmlab("put", db, "00ff", "0a00", "--hex")
    assert lsmlab("get", db, "00ff", "--hex") == "0a00\n"
    assert lsmlab("scan", db, "--limit", 1) == "\\x00\\xff\t\\x0a\\x00\n"
    assert "is not hexadecimal" in lsmlab("get", db, "0f0", "--hex", code=2)
    assert show_bytes(parse_bytes("é\\", False), False) == "é\\"


def test_load_counts_and_names_a_bad_line(tmp_path: Path) -> None:
    (tmp_path / "pairs").write_text("".join(f"a{i}\tb{i}\n" for i in range(2500)))
    assert "2500 pairs" in lsmlab("load", tmp_path / "db", tmp_path / "pairs")
    assert lsmlab("get", tmp_path / "db", "a2499") == "b2499\n"
    (tmp_path / "bad").write_text("x\ty\nno tab\n")
    assert "line 2" in lsmlab("load", tmp_path / "db", tmp_path / "bad", code=2)


def test_looking_inside(db: Path) -> None:
    assert isinstance(json.loads(lsmlab("stats", db, "--json")), dict)
    lsmlab("stats", db)
    assert lsmlab("dump", db).strip()
    assert "no problems found\n" in lsmlab("check", db)


def test_damage_is_found_and_repaired(tmp_path: Path) -> None:
    import lsm

    path = tmp_path / "db"
    with lsm.open(path) as opened:
        opened.put_many([b"%d" % i for i in range(1000)], [b"x" * 50] * 1000)
        opened.flush()
        opened.put(b"more", b"1")
        opened.flush()  # the log of the first flush is gone now: it would give back what the table loses
    table = max(path.glob("*.sst"), key=lambda p: p.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 1
    table.write_bytes(data)
    found = json.loads(lsmlab("check", path, "--json", code=1))["problems"]
    assert [p["file"] for p in found] == [table.name] and found[0]["offset"] <= len(data) // 3
    done = json.loads(lsmlab("repair", path, "--json", code=1))
    lost = done["lost"][0]["entries"]
    assert (done["target"], done["basis"], len(done["lost"]), done["problems"]) == (f"{path}.repaired", "manifest", 1, [])
    lsmlab("check", f"{path}.repaired")
    with lsm.open(f"{path}.repaired", create=False) as opened:
        assert len(list(opened)) == 1001 - lost and lost > 0
    assert "exists" in lsmlab("repair", path, code=1)
    assert f"lost: {table.name}" in lsmlab("repair", path, "--to", tmp_path / "other", code=1)


def test_bad_paths_are_answered_in_a_line(tmp_path: Path) -> None:
    for command in (["get", tmp_path / "none", "k"], ["stats", tmp_path / "none"], ["check", tmp_path / "none"]):
        assert len(lsmlab(*command, code=1).strip().splitlines()) == 1
    lsmlab("frobnicate", code=2)
    assert "there are" in lsmlab("run", "frist", code=2)
    assert "there are" in lsmlab("bench", "kv", "--stores", "rokcs", code=2)
    assert "no such folder" in lsmlab("verify", tmp_path / "a", tmp_path / "b", code=1)


def test_list_knows_the_registries() -> None:
    known = json.loads(lsmlab("list", "--json"))
    assert {"leveling", "tiering", "lazy-leveling"} <= set(known["layouts"])
    assert "first" in known["suites"] and "rocksdb" in known["stores"]
    assert "ycsb-a" in lsmlab("list")


def test_a_suite_runs_resumes_reports_and_verifies(tiny: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    assert len(json.loads(lsmlab("run", tiny, "--out", a, "-j", 2, "--json"))["done"]) == 2
    again = json.loads(lsmlab("run", tiny, "--out", a, "--json"))
    assert (len(again["done"]), len(again["skipped"])) == (0, 2)
    assert not (a / "work").exists()
    lsmlab("run", tiny, "--out", b, "-j", 2)
    assert "byte-identical: 2 runs" in lsmlab("verify", a, b)
    assert "report.html" in lsmlab("report", tiny, "--out", a)
    assert lsmlab("plot", tiny, "--out", a, "--only", "tree").strip().endswith("tree.png")
    next(iter(b.glob("*.parquet"))).unlink()
    assert "without a partner" in lsmlab("verify", a, b, code=1)
    lsmlab("run", tiny, "--out", b, "--seed", 9)
    assert "1 of 1 runs identical" in lsmlab("verify", a, b, code=1)
    (tmp_path / "empty").mkdir()
    assert f"no records in {tmp_path / 'empty'}; lsmlab run" in " ".join(lsmlab("verify", a, tmp_path / "empty", code=1).split())


def test_a_run_that_fails_is_named_and_the_others_go_on(tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(TINY.replace('"tiering"', '"teiring"'))
    out = lsmlab("run", tiny, "--out", tmp_path / "a", code=1)
    assert "teiring" in out and "1 runs done" in out


PLUGIN = """
import lsm


class FullMerge:
    kind = "full-merge"

    def plan(self, view):
        tables = tuple(t.number for level in view.levels[:2] for run in level.runs for t in run.tables)
        if len(view.levels[0].runs) < 4 or any(n in view.busy for n in tables):
            return None
        return lsm.Plan(inputs=tables, output_level=1, reason="four runs")


lsm.register_compaction("full-merge", FullMerge)
"""


def test_a_plugin_takes_part(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text(PLUGIN)
    text = TINY.replace("records", 'plugins = ["plug.py"]\nrecords').replace(
        '"compaction.layout" = ["leveling", "tiering"]', '"compaction.policy" = ["", "full-merge"]'
    )
    tiny.write_text(text)
    lsmlab("run", tiny, "--out", tmp_path / "a")
    plain, own = sorted(results.read_all(tmp_path / "a"), key=lambda r: str(r.point["compaction.policy"]))
    assert own.options["compaction"]["policy"] == "full-merge"
    assert max(lv["level"] for s in own.series for lv in s["levels"] if lv["runs"]) == 1
    assert own.files != plain.files
    ours, theirs = (OVERLAYS["writes"](r) for r in (own, plain))
    assert ours is not None and ours.worst is None and theirs is not None and theirs.worst is not None
    assert "report.html" in lsmlab("report", tiny, "--out", tmp_path / "a")


@pytest.mark.parametrize(("how", "ignored"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)])
def test_an_interrupt_ends_the_processes_and_keeps_what_is_done(tmp_path: Path, how: signal.Signals, ignored: bool) -> None:
    """ignored: SIGINT is, as in what a script runs in the background."""
    big = tmp_path / "big.toml"
    big.write_text(TINY.replace('["ycsb-a"]', '["ycsb-a", "ycsb-b"]').replace("1500", "400000", 1))
    command = [sys.executable, "-m", "experiments.cli", "run", str(big), "--out", str(tmp_path / "a"), "-j", "2"]
    if ignored:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 30
    while not list(tmp_path.glob("a/work/*/db")) and time.monotonic() < limit:
        time.sleep(0.02)
    assert _processes_in(tmp_path)
    process.send_signal(how)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not _processes_in(tmp_path)
    assert not list(tmp_path.glob("a/*.draft"))


class Swallows:
    """Its finalizer is where the interrupt comes: what a finalizer raises is dropped."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_comes_in_a_finalizer_is_noticed(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner.Processes, "run", lambda pool, run: time.sleep(0.1) or "")
    with pytest.raises(KeyboardInterrupt):
        runner.run_suite(load(tiny), tmp_path / "a", 1, told=lambda label, done, total: Swallows() and None)


def _processes_in(folder: Path) -> list[str]:
    """Processes at work whose current directory is the folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            state = (link.parent / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if link.readlink() == folder and state != "Z":
                found.append(link.parent.name)
        except OSError:
            continue  # ended meanwhile, or not ours to look at
    return found


def test_the_first_suite_is_found_by_name() -> None:
    assert load("first").folder.name == "suites"
