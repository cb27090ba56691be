"""Curves against brute force and against replays; samples near the exact curve; what a trace is like; generated traces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eviction
from eviction import generate, native
from eviction.mrc import mrc, trace_stats

KEYS = st.lists(st.integers(0, 12), max_size=80)


@given(KEYS)
def test_stack_distances_by_brute_force(keys: list[int]) -> None:
    want = []
    for i, key in enumerate(keys):
        last = max((j for j in range(i) if keys[j] == key), default=None)
        want.append(0 if last is None else len(set(keys[last:i])))
    assert native.stack_distances(np.array(keys, np.uint64)).tolist() == want


@given(KEYS, st.lists(st.integers(0, 14), min_size=1, max_size=5))
def test_the_exact_curve_is_what_replays_give(keys: list[int], sizes: list[int]) -> None:
    for policy in ("lru", "arc"):
        curve = mrc(keys, policy, sizes)
        assert curve.hit_ratio.tolist() == pytest.approx([r.hit_ratio for r in eviction.replay(policy, keys, sizes=sizes)])


@pytest.mark.parametrize("how", [{"rate": 0.1}, {"samples": 2000}])
@pytest.mark.parametrize(("method", "policy"), [("shards", "lru"), ("mini", "lru"), ("mini", "s3fifo")])
def test_samples_are_near(method: str, policy: str, how: dict[str, float]) -> None:
    trace = generate.zipf(20_000, 200_000, 0.8, seed=3)
    curve = mrc(trace, policy, [500, 1_000, 2_000, 5_000, 10_000], method, check=True, **how)  # type: ignore[arg-type]
    assert curve.error is not None and curve.error < 0.03
    assert 0.05 < curve.sampled < 0.2


def test_sampling_everything_is_exact() -> None:
    trace = generate.phases(300, 5_000, seed=1)
    for method in ("shards", "mini"):
        curve = mrc(trace, method=method, rate=1.0, check=True)
        assert curve.error == pytest.approx(0) and curve.sampled == 1
    assert (np.diff(mrc(trace).miss_ratio) <= 0).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"method": "x"}, "exact, shards, mini"),
        ({"rate": 0}, "rate is 0"),
        ({"method": "shards", "policy": "arc"}, "LRU only"),
        ({"sizes": [-1]}, "size is -1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        mrc([1, 2, 1], **arguments)  # type: ignore[arg-type]


def test_what_a_trace_is_like() -> None:
    stats = trace_stats([1, 2, 3, 1, 2, 3, 4, 5, 6, 7])
    assert (stats.requests, stats.unique, stats.one_hit_wonders) == (10, 7, pytest.approx(4 / 7))
    assert stats.reuse[50] == 3 and stats.working_set == (1,) * 10 and stats.zipf is None
    assert trace_stats([]).requests == 0
    assert trace_stats(generate.zipf(1_000, 400_000, 0.9)).zipf == pytest.approx(0.9, abs=0.05)


def test_generated_traces() -> None:
    assert generate.loop(3, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert eviction.replay("lru", generate.loop(100, 1_000), sizes=[99])[0].hits == 0
    assert eviction.replay("belady", generate.scan(500), sizes=[100])[0].hits == 0
    a = generate.phases(50, 1_000, count=4, seed=2)
    assert len(a) == 1_000 and a.max() < 200
    assert (a == generate.phases(50, 1_000, count=4, seed=2)).all()
    assert (a != generate.phases(50, 1_000, count=4, seed=3)).any()
