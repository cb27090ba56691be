"""The benchmark: every store answers every workload correctly, and medians, ratios, verdicts and noise are what they say."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments import bench_kv, bench_kv_special, cli, kv_page
from experiments.bench_kv import Kept, Result, bench, check_names, chosen_workloads, does, steps
from experiments.bench_kv_rows import ROWS
from experiments.bench_kv_special import SPECIAL
from experiments.bench_series import NONE
from experiments.bench_worker import IMAGE, OURS, WORKLOADS, WRITES, Failed, Job, build_image, run, sample
from experiments.cli_kv import parse_size
from experiments.measure import clocks
from experiments.stores import BUDGET, STORES, shares

N = 2000
ROOT = Path(__file__).resolve().parents[2]


def there(name: str) -> None:
    if name != "sqlite" and not STORES[name].version():
        pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module", params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    there(request.param)
    image = tmp_path_factory.mktemp(request.param) / "image"
    made = build_image(Job(request.param, IMAGE, N, 1, str(image)))
    assert made["space"] > 0.3
    return request.param, image


@pytest.mark.parametrize("workload", [*WORKLOADS, "fsync-16", "open-clean"])
def test_every_store_runs_every_workload(store: tuple[str, Path], workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, image = store
    if not does(name, workload):
        pytest.skip(f"{name} has no such way")
    monkeypatch.setattr(bench_kv_special, "COMMITS", 32)
    job = Job(name, workload, N, 1, str(tmp_path / "db"), None if workload in WRITES else str(image))
    got = SPECIAL.get(workload, run)(job)
    if workload == "open-clean":
        assert got["open"] > 0
    else:
        assert got["operations"] >= 32
        assert got["seconds"] > 0


def test_the_stores_of_the_folder_of_peers_leave_ours_alone() -> None:
    there("lsm-db")
    import lsm
    from experiments.stores import binding

    assert hasattr(binding("lsm-db"), "SAFETY_FULL")
    assert sys.modules["lsm"] is lsm


def test_versions_are_known() -> None:
    assert all(STORES[name].version() for name in ("lsmlab", "sqlite"))
    assert shares(BUDGET) == (64 << 20, 256 << 20)


def test_a_wrong_value_is_noticed(tmp_path: Path) -> None:
    db = STORES["sqlite"](tmp_path / "db")
    db.put_batch([b"a"], [b"1"])
    sample(db, [b"a", b"b"], [b"1", None])
    with pytest.raises(Failed, match="wrong value"):
        sample(db, [b"a"], [b"2"])
    db.close()


def test_what_is_special(tmp_path: Path) -> None:
    image = tmp_path / "image"
    build_image(Job("lsmlab", IMAGE, N, 1, str(image)))
    small = 5 << 20
    killed = SPECIAL["open-killed"](Job("lsmlab", "open-killed", N, 1, str(tmp_path / "killed"), None, 100, small))
    assert killed["puts"] == N
    threads = SPECIAL["get-threads"](Job("lsmlab", "get-threads", N, 1, "", str(image)))
    assert threads["scaling"] == pytest.approx(threads["four"] / threads["one"], rel=0.9)
    tails = SPECIAL["sustained"](Job(NONE, "sustained", N, 1, ""))
    assert tails["operations"] >= 3 * N and tails["p50"] <= tails["p999"] <= tails["max"] * 1.02
    costs = SPECIAL["ledger"](Job("lsmlab", "ledger", N, 1, str(tmp_path / "copy"), str(image)))
    assert set(costs) == {"put", "get", "get-many", "scan"} and all(abs(c) < 5 for c in costs.values())


def test_the_ledger_can_pause(tmp_path: Path) -> None:
    import lsm

    with lsm.open(tmp_path / "db") as db:
        db.put(b"k", b"v")
        db.env.count(None)
        assert db.get(b"k") == b"v"
        paused = db.stats().counters["gets_hit"]
        db.env.count(db.ledger)
        assert db.get(b"k") == b"v"
        assert (paused, db.stats().counters["gets_hit"]) == (0, 1)


def outcome(rate: float, **more: float) -> dict[str, float]:
    return {"operations": 1000, "seconds": 1000 / rate, "peak": BUDGET, **more}


def made(stores: dict[str, tuple[float, ...]], workload: str = "get-hot", **how: Any) -> Result:
    result = Result(1000, 1, 3, **how)
    for name, rates in stores.items():
        result.outcomes[name, workload] = [outcome(r) for r in rates]
    return result


def test_rates_are_medians_and_rows_are_judged() -> None:
    result = made({"lsmlab": (9, 6, 1), "rocksdb": (2, 2, 2), "leveldb": (1, 1, 1), "lmdb": (5, 5, 5)})
    assert result.figure("lsmlab", "get-hot") == pytest.approx(6)
    assert result.figure("lsmlab", "scan") is None
    rows = {v.row.name: v for v in result.verdicts()}
    hot = rows["get-hot"]
    assert hot.best_lsm is not None and hot.best is not None
    assert (hot.best_lsm[0], hot.best[0]) == ("rocksdb", "lmdb")
    assert (hot.ratio(hot.best_lsm), hot.ratio(hot.best)) == (pytest.approx(3), pytest.approx(1.2))
    assert hot.passed is False and hot.distance() == pytest.approx(1.25)
    assert hot.noise == pytest.approx(9)
    assert rows["peak memory / budgets"].passed and rows["peak memory"].passed
    assert result.noises()["lsmlab"] == [pytest.approx(9)]
    assert json.loads(json.dumps(result.to_dict()))["rows"][0]["pass"] is False


def test_targets_are_lower_for_long_values() -> None:
    pairs = {"lsmlab": (2.5,), "rocksdb": (1.0,)}
    assert [v.passed for v in made(pairs, "fillseq").verdicts()[:1]] == [False]
    assert [v.passed for v in made(pairs, "fillseq", value=1024).verdicts()[:1]] == [True]


def test_a_row_without_its_peer_is_not_judged() -> None:
    assert [v.passed for v in made({"lsmlab": (9,)}).verdicts() if v.row.name == "get-hot"] == [None]
    assert [v.passed for v in made({"lsmlab": (9,), "lmdb": (1,)}).verdicts() if v.row.name == "get-hot"] == [None]


def test_less_is_better_where_it_is() -> None:
    result = made({})
    result.outcomes["lsmlab", "open-killed"] = [{"open": 0.2}]
    result.outcomes["leveldb", "open-killed"] = [{"open": 1.0}]
    result.outcomes["lmdb", "open-killed"] = [{"open": 0.001}]
    (row,) = result.verdicts()
    assert row.passed and row.ratio(row.best_lsm) == pytest.approx(0.2)


def test_rows_name_workloads_that_there_are() -> None:
    for row in ROWS:
        assert {row.ours, row.peers_workload} <= {*bench_kv.ALL, IMAGE, ""}
    assert set(OURS) <= set(WORKLOADS)


def test_the_turns_rotate_and_only_the_empty_loop_is_no_store() -> None:
    plan = steps(["lsmlab", "lmdb"], ["scan", "scan-chunks", "sustained"], 2)
    assert plan[:2] == [("lsmlab", "scan", 0), ("lmdb", "scan", 0)]
    assert plan.index(("lmdb", "scan", 1)) < plan.index(("lsmlab", "scan", 1))
    assert ("lmdb", "scan-chunks", 0) not in plan
    assert [p for p in plan if p[0] == NONE] == [(NONE, "sustained", 0), (NONE, "sustained", 1)]


def test_a_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, str]] = []

    def call(job: Job) -> dict[str, Any]:
        called.append((job.store, job.workload))
        if len(called) == 3:
            raise KeyboardInterrupt
        return {"version": "1", "written": 1.0, "space": 1.0} if job.workload == IMAGE else outcome(5)

    def again(**how: Any) -> Result:
        return bench(["lsmlab", "lmdb"], ["fillseq"], Result(1000, 1, 2, **how), tmp_path / "kept", tmp_path / "home", lambda *_: None)

    monkeypatch.setattr(bench_kv, "call", call)
    with pytest.raises(KeyboardInterrupt):
        again()
    with (tmp_path / "kept" / bench_kv.RUNS).open("a") as f:
        f.write('{"store": "lsm')  # what an interruption may leave
    assert len(again().outcomes["lmdb", "fillseq"]) == 2
    assert len(called) == 5, "two were kept, one was interrupted, two were left"
    assert len(again(value=50).outcomes["lsmlab", "fillseq"]) == 2
    assert len(called) == 9, "other values are another benchmark"
    assert Kept(tmp_path / "kept", Result(1000, 2, 1)).done == set()


def test_unknown_names_are_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown store 'rokcs'; there are: lsmlab"):
        check_names(["rokcs"], [])
    with pytest.raises(ValueError, match=r"unknown workload 'get-hott'; there are: .*get-hot.*groups: fill, get"):
        chosen_workloads("get-hott")
    assert chosen_workloads("open,scan,scan") == ["open-killed", "open-clean", "scan"]
    assert chosen_workloads("")[0] == IMAGE


@pytest.mark.parametrize(("text", "size"), [("256MB", 256_000_000), ("320MiB", BUDGET), ("1 gib", 1 << 30), ("8000000", 8_000_000)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "12 parsecs", "-5MB", "1.5GB", "4MB", "9999999GiB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: "):
        parse_size(text)


def test_the_command(tmp_path: Path) -> None:
    words = ["bench", "kv", "--n", "1000", "--stores", "lsmlab,sqlite", "--only", "fillseq,get-missing,sustained", "--repeats", "2"]
    done = CliRunner().invoke(cli.app, [*words, "--out", str(tmp_path), "--report", "--json"])
    assert done.exit_code in (0, 1), done.output
    told = json.loads(done.stdout)
    assert {(r["store"], r["workload"]) for r in told["results"]} >= {("lsmlab", "fillseq"), ("sqlite", "get-missing"), (NONE, "sustained")}
    assert all(len(r["runs"]) == 2 for r in told["results"] if r["workload"] != IMAGE)
    page = (tmp_path / "index.html").read_text()
    assert "sustained puts, longest" in page and page.count("data:image/png") == 3
    assert not re.search(r"(src|href)=\"(?!data:|#)", page), "the page holds everything"
    shown = CliRunner().invoke(cli.app, [*words, "--out", str(tmp_path)])
    assert "fillseq" in shown.stdout and "each store against itself" in shown.stdout
    unknown = CliRunner().invoke(cli.app, ["bench", "kv", "--stores", "oracle"])
    assert unknown.exit_code == 2 and "there are: lsmlab" in unknown.output


def test_a_page_of_nothing_but_absolute_rows(tmp_path: Path) -> None:
    result = made({})
    result.outcomes["lsmlab", "open-clean"] = [{"open": 0.0005}]
    assert "clean open" in kv_page.write(result, tmp_path).read_text()


def test_ctrl_c_ends_it_at_once_and_keeps_what_is_done(tmp_path: Path) -> None:
    words = ["bench", "kv", "--n", "1000", "--stores", "lsmlab", "--only", "get", "--repeats", "500", "--out", str(tmp_path / "kept")]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-m", "experiments.cli", *words], env=env, stderr=subprocess.PIPE, text=True)
    runs = tmp_path / "kept" / bench_kv.RUNS
    deadline = time.monotonic() + 120
    while not runs.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "goes on from there" in said and "Traceback" not in said
    assert runs.exists() and not list(tmp_path.glob("lsmlab-bench-*"))


def test_time_waited_for_a_core_is_never_more_than_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits between the two looks has waited, but not in the time that it reads: their difference could fall below 0."""
    waited, walls = iter([5, 9, 9]), iter([1.0, 2.0])
    monkeypatch.setattr(clocks, "_waited", lambda: next(waited) * 10**9)
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: next(walls))
    assert clocks.wall_and_waited() == (2.0, 9.0)
