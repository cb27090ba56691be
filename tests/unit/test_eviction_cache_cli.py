"""`lsmlab cache` and `lsmlab bench cache`: tables, files, plots and exit codes on small traces of our own; medians and verdicts."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import eviction
from experiments import bench_cache, bench_objects, cachesim, cli, cli_cache
from experiments.bench_cache import FITTED, OBJECTS, PEER, SCALING, US, Job, Result


def lsmlab(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli.app, [str(w) for w in words])
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output if code else done.stdout


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Ten times over the same 200 keys, which weigh 2 each."""
    pairs = np.column_stack([np.tile(np.arange(200), 10), np.full(2000, 2)]).astype("<u4")
    (tmp_path / "loop.ks32").write_bytes(pairs.tobytes())
    return tmp_path / "loop.ks32"


@pytest.fixture
def zipf(tmp_path: Path) -> Path:
    bench_cache.write_trace(tmp_path, 5000, 500, 3)
    return (tmp_path / "keys.npy").rename(tmp_path / "zipf.npy")


def test_run_counts_what_replay_counts(loop: Path) -> None:
    rows = json.loads(lsmlab("cache", "run", loop, "--policies", "lru,arc", "--sizes", "10%, 150", "--json"))
    assert [(r["policy"], r["asked"], r["size"]) for r in rows] == [
        (k, a, s) for k in ("lru", "arc", "belady", "unbounded") for a, s in (("10%", 20), ("150", 150))
    ]
    for r in rows:
        (same,) = eviction.replay(r["policy"], loop, r["size"], weights=1)
        assert (r["hits"], r["misses"], r["evictions"], r["memory"]) == (same.hits, same.misses, same.evictions, same.memory)
    best = next(r for r in rows if r["policy"] == "belady" and r["size"] == 150)
    assert [r["of_min"] for r in rows if r["size"] == 150] == [0, 0, 1, 1800 / best["hits"]]


def test_run_in_bytes(loop: Path, zipf: Path) -> None:
    rows = json.loads(lsmlab("cache", "run", loop, "--policies", "lru", "--sizes", "50%,100%,1KiB", "--bytes", "--json"))
    assert [(r["policy"], r["size"], r["hits"], r["byte_hits"]) for r in rows] == [
        ("lru", 200, 0, 0), ("lru", 400, 1800, 3600), ("lru", 1024, 1800, 3600), *(("unbounded", s, 1800, 3600) for s in (200, 400, 1024))
    ]  # fmt: skip
    assert "no sizes in it" in lsmlab("cache", "run", zipf, "--bytes", code=2)


def test_run_writes_a_table_and_draws(loop: Path, zipf: Path, tmp_path: Path) -> None:
    shown = lsmlab("cache", "run", loop, zipf, "--policies", "lru,sieve", "--csv", tmp_path / "a.csv", "--plot", tmp_path / "plots")
    assert "loop: hit ratio in percent, 2,000 requests to 200 keys" in shown
    assert "fraction of MIN" in shown
    with (tmp_path / "a.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 4 * 5
    assert {r["policy"] for r in rows} == {"lru", "sieve", "belady", "unbounded"}
    for name in ("hit-ratio", "fraction-of-min"):
        assert (tmp_path / "plots" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert lsmlab("cache", "run", loop, "--policies", "lru", "--csv", "-").startswith("trace,requests,unique,asked,size,policy")


def test_fractions_are_means_over_sizes_and_rank_policies(loop: Path, zipf: Path) -> None:
    rows = cachesim.grid(
        [str(loop), str(zipf)], ["lru", "fifo", "arc"], ["10%", "50%"], in_bytes=False, seed=0, params="", threads=1, told=lambda *_: None
    )
    table = cachesim.fractions(rows)
    means = [sum(by.values()) / 2 for by in table.values()]
    assert means == sorted(means, reverse=True)
    lru = [
        r.hits / b.hits for r in rows for b in rows if r.policy == "lru" and b.policy == "belady" and (r.trace, r.size) == (b.trace, b.size)
    ]
    assert table["lru"]["zipf"] == pytest.approx(sum(lru[2:]) / 2)
    assert table["lru"]["loop"] == 0


@pytest.mark.parametrize(
    ("asked", "size"), [("5%", 6), ("0.01%", 1), ("100%", 101), ("12", 12), ("2k", 2000), ("1.5 KiB", 1536), ("1GiB", 1 << 30), ("0", 0)]
)
def test_sizes(asked: str, size: int) -> None:
    assert cachesim.size_of(asked, 101) == size


@pytest.mark.parametrize("asked", ["101%", "-1", "x", "", "1e3", "5 %%"])
def test_sizes_that_are_none(asked: str) -> None:
    with pytest.raises(ValueError, match="no cache size"):
        cachesim.size_of(asked, 100)


def test_what_is_refused(loop: Path, tmp_path: Path) -> None:
    assert "did you mean lru" in lsmlab("cache", "run", loop, "--policies", "lur", code=2)
    assert "no trace 'gone.u32'" in lsmlab("cache", "run", "gone.u32", code=2)
    assert "refused" in lsmlab("cache", "run", loop, "--policies", "lru", "--params", "x=1", code=2)
    (tmp_path / "bad.trc").write_text("1\nx\n")
    assert "bad.trc:2" in lsmlab("cache", "run", tmp_path / "bad.trc", code=2)


def gold(folder: Path, *rows: tuple[str, str, int, int]) -> Path:
    path = folder / "gold.csv"
    path.write_text("trace,cache_size,policy,hits\n" + "".join(f"{t},{s},{p},{h}\n" for t, p, s, h in rows))
    return path


def test_verify(tmp_path: Path) -> None:
    import lzma

    keys = [1, 2, 3, 1, 2, 4, 1, 2]
    (tmp_path / "t.u32.xz").write_bytes(lzma.compress(np.array(keys, "<u4").tobytes()))
    right = [("t", "LRU", 3, 4), ("t", "FIFO", 3, 2), ("t", "MIN", 2, 2), ("t", "ARC-int", 3, 99)]
    said = lsmlab("cache", "verify", "--gold", gold(tmp_path, *right), "--traces", tmp_path)
    assert said == "3 of 3 rows checked, 3 equal: 100 %\n"
    wrong = gold(tmp_path, *right, ("t", "LRU", 2, 1), ("gone", "LRU", 2, 1), ("t", "Other", 2, 1))
    said = lsmlab("cache", "verify", "--gold", wrong, "--traces", tmp_path, code=1)
    assert "t lru at 2: 0 hits, reference 1" in said
    assert "no trace gone: 1 rows not checked" in said
    assert "no policy Other: 1 rows not checked" in said
    assert "4 of 6 rows checked, 3 equal: 50 %" in said
    got = json.loads(lsmlab("cache", "verify", "--gold", wrong, "--traces", tmp_path, "--policies", "fifo,belady", "--json"))
    assert (got["rows"], got["equal"], got["complete"]) == (2, 2, True)
    lsmlab("cache", "verify", "--gold", gold(tmp_path), "--traces", tmp_path, code=1)


def test_medians_ratios_and_verdicts() -> None:
    result = Result(1_000_000, 100, 10, 1, 3)
    outcomes = {
        ("lru", US): [(0.1, 50, 30), (0.2, 50, 30), (0.9, 50, 30)],
        ("lru", PEER): [(1.1, 50, 1400)] * 3,
        ("lru", FITTED): [(0.4, 50, 60)] * 3,
        ("arc", US): [(0.5, 50, 70)],
        ("arc", PEER): [(1.0, 49, 99)],
        ("arc", FITTED): [(1.0, 49, 99)],
    }
    for key, runs in outcomes.items():
        result.outcomes[key] = [dict(zip(("seconds", "hits", "bytes"), run, strict=True)) for run in runs]
    result.outcomes[SCALING, US] = [{"scaling": 3.5}]
    for name, seconds in (("Cache lru", 0.1), ("cachetools LRUCache", 0.29), ("cached lru", 0.14), ("functools.lru_cache", 0.1)):
        result.outcomes[OBJECTS, name] = [{"seconds": seconds, "requests": 500, "hits": 5, "bytes": 60}]
    assert result.rate(OBJECTS, "Cache lru") == pytest.approx(5000)
    assert result.rate("lru", US) == 5_000_000
    assert result.rate("fifo", US) is None
    verdicts = {v["what"]: (round(v["got"], 2), v["pass"]) for v in result.verdicts()}
    assert verdicts == {
        "lru: speed": (5.5, True),
        "arc: speed": (2.0, False),
        "lru: bytes an object": (0.5, True),
        "arc: bytes an object": (0.71, False),
        "lru: hits": (1.0, True),
        "arc: hits": (1.02, False),
        "Cache lru: speed": (2.9, False),
        "cached lru: time of a call": (1.4, True),
        "passes side by side on 4 cores": (3.5, True),
    }
    assert result.to_dict()["scaling"] == 3.5


def test_unknown_kinds_are_not_compared() -> None:
    assert {p.kind for p in bench_cache.chosen([])} <= set(eviction.POLICIES)
    with pytest.raises(ValueError, match="'belady' is not compared"):
        bench_cache.chosen(["belady"])


def test_both_libraries_count_the_same(tmp_path: Path) -> None:
    pytest.importorskip(PEER)
    bench_cache.write_trace(tmp_path, 20_000, 2000, 1)
    for kind in ("lru", "arc"):
        ours, theirs = (bench_cache.run(Job(library, kind, 200, str(tmp_path))) for library in (US, FITTED))
        assert ours["hits"] == theirs["hits"] > 0
        assert ours["seconds"] > 0
    assert bench_cache.run(Job(US, SCALING, 200, str(tmp_path)))["scaling"] > 0


@pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizer ends libcachesim for faults of its own")
def test_the_whole_benchmark(tmp_path: Path) -> None:
    pytest.importorskip(PEER)
    done = CliRunner().invoke(
        cli.app, ["bench", "cache", "--n", "20000", "--objects", "2000", "--policies", "lru", "--repeats", "1", "--dir", str(tmp_path)]
    )
    assert done.exit_code in (0, 1), done.output
    assert "lru: hits" in done.output
    assert "Cache lru" in done.output
    assert "functools.lru_cache" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", bench_objects.SIDES)
def test_caches_of_objects_count_the_same(name: str, tmp_path: Path) -> None:
    pytest.importorskip(bench_objects.SIDES[name].module)
    bench_cache.write_trace(tmp_path, 20_000, 2000, 1)
    got = bench_objects.run(name, tmp_path, 200)
    assert got["requests"] == 20_000
    assert got["seconds"] > 0
    if "lru" in name.lower():
        assert got["hits"] == eviction.replay("lru", tmp_path / "keys.npy", 200)[0].hits
    assert got["hits"] > 8_000


def test_a_library_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    side = bench_objects.Side("gone Cache", "no_such_module", lambda _keys, _size: (0, None))
    monkeypatch.setitem(bench_objects.SIDES, side.name, side)
    sides, missing = bench_objects.present()
    assert (side.name in sides, "Cache lru" in sides, missing[-1:]) == (False, True, ["no_such_module"])
    result = Result(10, 5, 2, 1, 1, missing=missing)
    cli_cache._show_objects(result)
    assert "not installed, so not compared: " in capsys.readouterr().out
    assert result.verdicts() == []
