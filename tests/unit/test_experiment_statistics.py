"""Histogram, paired tests and the test for a steady state, against SciPy, NumPy and tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments import inference, steady
from experiments.histogram import MOST, Histogram, bucket_of, upper_end


def test_every_bucket_is_narrow_and_they_follow_each_other() -> None:
    edges = np.unique(np.concatenate([np.arange(5000), *(2**b + np.array([-1, 0, 1, 2**b // 3]) for b in range(12, 53)), [MOST]]))
    edges = edges[edges <= MOST]
    buckets = bucket_of(edges)
    assert (np.diff(buckets) >= 0).all()
    ends = upper_end(buckets)
    assert (ends >= edges).all()
    assert ((ends - edges) <= edges / 1024).all()
    assert (bucket_of(ends) == buckets).all()
    assert (bucket_of(ends[:-1] + 1) == buckets[:-1] + 1).all()


def test_percentiles_are_within_a_thousandth_and_merging_loses_nothing() -> None:
    rng = np.random.default_rng(1)
    values = (rng.pareto(1.2, 50_000) * 1000).astype(np.int64)
    whole = Histogram.of(values)
    for q in (0, 50, 90, 99, 99.9, 99.99, 100):
        exact = np.sort(values)[max(0, math.ceil(round(q * len(values) / 100, 6)) - 1)]
        assert exact <= whole.percentile(q) <= exact * (1 + 1 / 1024) + 1
    parts = [Histogram.of(part) for part in np.array_split(rng.permutation(values), 7)]
    assert Histogram.merged(parts) == whole == Histogram.from_dict(whole.to_dict())
    assert whole.mean() == values.mean()
    assert whole.percentile(100) == values.max()
    assert len(whole) == len(values)


def test_values_that_are_no_latencies_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 to 5"):
        Histogram.of(np.array([5, -1]))
    with pytest.raises(ValueError, match=str(MOST)):
        Histogram.of(np.array([MOST + 1]))
    empty = Histogram.merged([])
    assert (len(empty), empty.percentile(99), empty.mean()) == (0, 0.0, 0.0)


@pytest.mark.parametrize("n", [1, 5, 8, 20, 50, 80])
def test_wilcoxon_is_scipys(n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(n)
    a, b = rng.normal(10, 1, n), rng.normal(10.3, 1, n)
    p, effect = inference.wilcoxon(a, b)
    want = stats.wilcoxon(b, a, mode="exact" if n <= inference.EXACT else "approx", correction=False)
    assert p == pytest.approx(want.pvalue, rel=1e-9)
    assert -1 <= effect <= 1


def test_wilcoxon_with_ties_and_zeros_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    a = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10.0])
    b = a + np.array([1, 1, 2, 0, -1, 3, 2, 2, -1, 1])
    p, effect = inference.wilcoxon(a, b)
    want = stats.wilcoxon(b, a, mode="approx", correction=False, zero_method="wilcox")
    assert p == pytest.approx(want.pvalue)
    d = (b - a)[b != a]
    r = stats.rankdata(np.abs(d))
    assert effect == pytest.approx((r[d > 0].sum() - r[d < 0].sum()) / r.sum())


def test_wilcoxon_by_the_published_table() -> None:
    """Wilcoxon 1945: of 10 pairs, a smaller sum of ranks of 8 is met with chance 0.05 (0.048828), of 3 with 0.01 (0.009766)."""
    for smaller, chance in ((8, 0.048828125), (3, 0.009765625)):
        signs = np.ones(10)
        signs[smaller - 1] = -1
        assert inference.wilcoxon(np.zeros(10), signs * np.arange(1, 11))[0] == pytest.approx(chance)
    assert inference.wilcoxon([1.0, 2.0], [1.0, 2.0]) == (1.0, 0.0)


def test_holm_by_hand() -> None:
    assert inference.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert inference.holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])


def test_a_comparison_finds_what_is_there_and_only_that() -> None:
    rng = np.random.default_rng(3)
    base = rng.lognormal(0, 0.5, 12)  # streams differ more than configurations: pairs see through that
    better, same = base * rng.lognormal(math.log(0.8), 0.02, 12), base * rng.lognormal(0, 0.02, 12)
    first, second = inference.compare(base.tolist(), [better.tolist(), same.tolist()])
    assert first.clear and first.low < 0.8 < first.high and first.effect == -1
    assert not second.clear and second.low < 1 < second.high
    assert first.adjusted == pytest.approx(2 * first.p)
    with pytest.raises(ValueError, match="do not pair"):
        inference.compare([1.0, 2.0], [[1.0]])
    with pytest.raises(ValueError, match="above 0"):
        inference.compare([1.0, 2.0], [[1.0, 0.0]])


def test_the_interval_covers_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(5, 1, 40)
        low, high = inference.bootstrap(values.tolist(), lambda x: x.mean(axis=-1), seed)
        hits += low <= 5 <= high
    assert 0.90 <= hits / 200 <= 0.98


def test_the_trend_is_kendalls() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    y = rng.normal(0, 1, 60) + np.arange(60) / 40
    p, drift = inference.trend(y)
    tau, _ = stats.kendalltau(np.arange(60), y)
    s = tau * 60 * 59 / 2
    assert p == pytest.approx(2 * stats.norm.cdf(-(abs(s) - 1) / math.sqrt(60 * 59 * 125 / 18)), rel=1e-6)
    assert drift == pytest.approx(stats.theilslopes(y)[0] * 59 / np.median(np.abs(y)))
    assert inference.trend([1.0] * 20) == (1.0, 0.0)
    assert inference.trend([1.0, 2.0]) == (1.0, 0.0)


def row(i: int, rate: float = 100.0, held: int = 10_000, user: int = 1000, debt: int = 0) -> dict[str, object]:
    levels = [{"level": 1, "runs": 1, "tables": 1, "bytes": held, "entries": 10}]
    return {
        "operations": i * 100,
        "seconds": i * 100 / rate,
        "user_bytes": i * user,
        "written_bytes": 5 * i * user,
        "levels": levels,
        "debt": debt,
    }


OPTIONS = {"write_buffer": 2000, "compaction": {"size_ratio": 4}}


def test_a_steady_run_is_steady_and_others_say_why() -> None:
    assert str(steady.judge([row(i) for i in range(20)], OPTIONS)) == "steady"
    slower = steady.judge([row(i, 100 - 2 * i) for i in range(20)], OPTIONS)
    assert not slower.steady and "throughput drifts" in str(slower)
    growing = steady.judge([row(i, held=10_000 + 1000 * i) for i in range(20)], OPTIONS)
    assert "stored bytes drifts by +" in str(growing)
    indebted = steady.judge([row(i, debt=500 * i) for i in range(20)], OPTIONS)
    assert "debt drifts" in str(indebted)
    assert "turned over 0.2" in str(steady.judge([row(i, user=100) for i in range(20)], OPTIONS))
    assert "too few" in str(steady.judge([row(i) for i in range(5)], OPTIONS))


def test_rates_go_by_the_clock_not_by_busy_seconds() -> None:
    """On a machine that others use an interval's busy seconds can come out as none at all."""
    busy = [{**row(i), "elapsed": i * 1.0, "seconds": 0.1 * (i // 7)} for i in range(40)]
    assert steady.judge(busy, OPTIONS).drifts["throughput"] == pytest.approx(0.0)
    assert steady.judge(busy, OPTIONS).steady


def test_noise_is_no_drift() -> None:
    rng = np.random.default_rng(5)
    called = 0
    for _ in range(100):
        rates = rng.normal(100, 20, 30)
        times = np.concatenate([[0], np.cumsum(100 / rates)])
        rows = [{**row(i), "seconds": times[i]} for i in range(31)]
        called += not steady.judge(rows, OPTIONS).steady
    assert called <= 4
