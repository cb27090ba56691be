"""The stall benchmark sees a stall, counts every put, and judges by the best of the others."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import bench_stalls
from experiments.bench_series import CHUNK, NONE, Series, write
from experiments.bench_stalls import verdicts
from experiments.histogram import Histogram


def test_a_stall_is_seen_and_nothing_is_lost() -> None:
    puts = 0

    def put(key: bytes, value: bytes) -> None:
        nonlocal puts
        puts += 1
        if puts == CHUNK + 10:
            time.sleep(0.25)

    made = write(put, 0.3, 1)
    assert made.puts == puts == sum(made.operations) == len(made.histogram)
    assert made.puts % CHUNK == 0
    assert made.longest >= 250_000 and made.stalls >= 1
    assert made.operations[1] == 0 or made.operations[2] == 0, "the windows inside the stall are empty"
    assert made.percentile(100) == pytest.approx(made.longest)
    assert made.percentile(50) < 1000


def series(store: str, slow_us: float) -> Series:
    histogram = Histogram.of(np.repeat([1024, 8192], [990, 10]))
    return Series(store, [1000], [slow_us], histogram, 1.0, 1000)


def test_a_series_goes_through_json() -> None:
    made = series("lsmlab", 1000)
    again = Series.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made and again.summary() == made.summary()
    assert made.percentile(50) == 1.024 and made.percentile(99.9) == pytest.approx(8.192, rel=1 / 1024)


def test_verdicts_compare_with_the_best_other() -> None:
    found = [series("lsmlab", 1000), series("rocksdb", 5000), series("leveldb", 9000), series(NONE, 1)]
    by_name = {v["what"]: v for v in verdicts(found)}
    assert by_name["max against rocksdb"]["got"] == pytest.approx(0.2)
    assert by_name["max against rocksdb"]["pass"]
    assert not by_name["p99.9 against rocksdb"]["pass"]
    assert verdicts(found[:1]) == []


def test_an_unknown_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'oracle'; there are: lsmlab"):
        bench_stalls.run(["oracle"], 1, 1, tmp_path, lambda name, done: None)


def test_it_runs_and_draws(tmp_path: Path) -> None:
    found = bench_stalls.run(["lsmlab"], 1, 1, tmp_path, lambda name, done: None)
    assert [s.store for s in found] == ["lsmlab", NONE]
    assert all(s.puts > CHUNK for s in found)
    assert bench_stalls.draw(found, tmp_path / "p" / "stalls.png").stat().st_size > 10_000
