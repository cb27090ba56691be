"""The loop in C asks for pairs that are there, and notices one that is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experiments import bench_native
from experiments.bench_kv import BenchFailed
from experiments.native_loops import Loops

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def test_every_way_of_asking_is_measured(tmp_path: Path) -> None:
    told: list[str] = []
    result = bench_native.run(3_000, 2_000, 1, 2, tmp_path, lambda text, _: told.append(text))
    assert told == ["filling", *(what for what, _, _ in bench_native.ways(2))]
    assert [(r.what, r.threads, r.batch) for r in result.rows] == bench_native.ways(2)
    for row in result.rows:
        assert set(row.rates) == set(row.nanoseconds) == ({"lsmlab"} if result.peer else {"lsmlab", "rocksdb"})
        assert all(x > 0 for x in (*row.rates.values(), *row.nanoseconds.values()))
    assert [g["unit"] for g in result.goals()] == (["M/s"] if result.peer else ["M/s", "x"])


@pytest.mark.parametrize("batch", [0, 100])
def test_a_wrong_answer_is_noticed(tmp_path: Path, batch: int) -> None:
    loops = Loops(tmp_path)
    with bench_native._ours(tmp_path / "db", loops, 1_000) as store:
        loops.run(store, True, 1_000, 2, batch, 1_000, 1)
        with pytest.raises(BenchFailed, match=r"[1-9]\d* of 2000 answers were wrong"):
            loops.run(store, True, 2_000, 2, batch, 1_000, 1)  # half of them are not there


def test_without_a_compiler_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BenchFailed, match="no C compiler: 'no-such-compiler'"):
        Loops(tmp_path)
