"""Parts that reproductions are made of: RocksDB's universal compaction, TRIAD's memory and deferred merges, the model of a circular log,
and background work on a device that the foreground shares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lsm
import recovery
from experiments.reproduce import f10, f15_triad, universal
from experiments.reproduce.trees import Tree, numbers, packed
from experiments.reproduce.virtual import Clock, Served, VirtualExecutor
from lsm.policies import make_policy


@pytest.mark.parametrize(
    ("sizes", "merged"),
    [
        ([1, 1, 10], None),  # fewer than four runs rest
        ([1, 1, 1, 1], (0, 4)),  # as much above the oldest as 200 % of it
        ([1, 1, 1, 100], (0, 3)),  # each at most 1 % larger than those before it
        ([1, 2, 4, 100], None),
        ([5, 2, 2, 100], (0, 3)),
        ([1, 3, 3, 200], (1, 3)),  # the newest is too small, the next two are alike
        ([1, 2, 4, 8, 200], (0, 2)),  # one more than four
    ],
)  # fmt: skip
def test_universal_compaction_merges_neighbours(sizes: list[int], merged: tuple[int, int] | None) -> None:
    assert universal.picked(sizes) == merged


@universal.registered()
def test_universal_compaction_keeps_four_runs_and_all_keys() -> None:
    keys = numbers(6_000, 3)
    with Tree(buffer=100, options={"compaction": {"policy": universal.KIND}}) as tree:
        most = list[int]()
        tree.put(keys, lambda done: most.append(sum(level["runs"] for level in tree.shape())))
        assert max(most) == universal.TRIGGER
        assert all(v is not None for v in tree.db.get_many(packed(keys)))


@pytest.mark.parametrize("reserve", [0.1, 0.3, 0.5, 0.9])
def test_the_model_of_a_circular_log_is_the_closed_form_for_even_keys(reserve: float) -> None:
    """u = exp(-(1 + reserve)(1 - u)) is alive at the tail, and 1 / (1 - u) is written for each record that comes."""
    alive = 0.5
    for _ in range(10_000):
        alive = math.exp(-(1 + reserve) * (1 - alive))
    assert f10.circular(np.full(10_000, 1e-4), reserve, 1) == pytest.approx(1 / (1 - alive), rel=1e-3)


def test_hot_keys_stay_in_memory_and_nothing_is_lost() -> None:
    rng, memory = np.random.default_rng(1), f15_triad.Memory(1_000, 300)
    flushed: set[int] = set()
    written: set[int] = set()
    for _ in range(20):
        some = f15_triad.drawn(memory.free, 10_000, "1 %/99 %", rng)
        written |= set(some.tolist())
        flushed |= set(memory.flush(some).tolist())
        assert len(memory.held) <= 300
    assert flushed | set(memory.held.tolist()) == written
    assert (memory.held < 100).mean() > 0.95, "the hot keys are the first hundredth"
    even = f15_triad.Memory(1_000, 300)
    even.flush(f15_triad.drawn(1_000, 1_000_000, "uniform", rng))
    assert len(even.held) < 5


@pytest.mark.parametrize(("same", "runs"), [(True, 3), (False, 5)])
def test_level_0_merges_when_its_runs_overlap(same: bool, runs: int) -> None:
    """Four runs of the same keys merge at once; runs of different keys wait until there are six."""
    options = lsm.Options.from_dict({"threads": 0, "compaction": {"layout": "1-leveling", "l0_trigger": f15_triad.RUNS}})
    policy = f15_triad.Deferred(make_policy(options))
    with lsm.open("/db", options, fs=recovery.memory()) as db:
        db.trace(policy.told)
        db.set_policy(policy)
        most = 0
        for i in range(12):
            keys = numbers(500, 1 if same else 10 + i)
            policy.flushed(keys)
            db.put_many([(k, b"v") for k in packed(keys)])
            db.flush()
            most = max(most, len(db.version().levels[0].runs))
        assert most == runs


def served(scheduler: str, *, share: bool = False, free: bool = False, seed: int = 1) -> tuple[Served, dict[bytes, bytes], dict[str, Any]]:
    """20,000 puts in two bursts on a slow device with two workers."""
    profile = recovery.DeviceProfile(0, 50_000, 20_000, 10_000, 1_000, 6_000_000, 6_000_000, 8, 1 << 17)
    device = recovery.device(recovery.memory(), profile)
    options = {
        "threads": 0, "write_buffer": 1 << 16, "max_sealed": 1, "wal": {"sync": "none"},
        "compaction": {"layout": "1-leveling", "level_base": 1 << 19, "size_ratio": 5, "output_bytes": 1 << 16, "scheduler": scheduler},
        "stalls": {"slowdown_runs": 12, "stop_runs": 12},
    }  # fmt: skip
    rng, keys = np.random.default_rng(seed), packed(numbers(5_000, 2))
    times = np.sort(np.concatenate([rng.random(10_000) * 3, 5 + rng.random(10_000) * 3])).tolist()
    asked = rng.integers(0, len(keys), len(times)).tolist()
    with lsm.open("/db", options, fs=device) as db:
        executor = VirtualExecutor(db, device, 2, free)
        clock = Clock(db, device, executor, share)
        done = clock.run(times, [True] * len(times), lambda i: lambda: db.put(keys[asked[i]], b"%d." % i * 40))
        while executor.works:
            executor.end(executor.works[0])
        held = {k: db.get(k) for k in keys}
        expected = {keys[a]: b"%d." % i * 40 for i, a in enumerate(asked)}
        assert held == {k: expected.get(k) for k in keys}
        return done, expected, {"jobs": db.default.step, "levels": [lv.runs for lv in db.levels()]}


def test_virtual_time_is_the_same_every_time_and_loses_nothing() -> None:
    first, again = served("silk", share=True), served("silk", share=True)
    assert first[0].latencies == again[0].latencies and first[0].stalls == again[0].stalls and first[2] == again[2]
    assert first[2]["jobs"] > 15


def test_background_work_costs_the_foreground_time() -> None:
    """The bound: work at no cost. What the device does beside the puts makes them wait."""
    free, fifo = served("fifo", free=True)[0], served("fifo")[0]
    assert np.mean(fifo.latencies) > 1.2 * np.mean(free.latencies)
    assert sum(length for _, length, _ in fifo.stalls) > sum(length for _, length, _ in free.stalls)
