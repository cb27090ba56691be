"""The kinds of workloads: each has the statistics that it was published with, keeps to its records, and refuses what cannot be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from experiments.workloads import (
    ABSENT,
    DELETE,
    EMPTY_DELETE,
    EMPTY_SCAN,
    INSERT,
    MERGE,
    MISSING,
    RANGE_DELETE,
    READ,
    RMW,
    SCAN,
    UPDATE,
    WORKLOADS,
    Mix,
    Stream,
    Values,
    format_keys,
    from_settings,
    mixed,
    pick,
    settings,
)
from experiments.workloads.dbbench import DbBench
from experiments.workloads.draws import pareto
from experiments.workloads.kvbench import KVBench
from experiments.workloads.mixgraph import Mixgraph
from experiments.workloads.phases import Phases
from experiments.workloads.timeseries import TimeSeries
from experiments.workloads.twitter import Twitter, clusters, one_hits

FEW = [name for name in WORKLOADS if not name.startswith("twitter-")] + ["twitter-12", "twitter-15", "twitter-45", "twitter-52"]


def share(stream: Stream, *codes: int) -> float:
    return float(np.isin(stream.codes, codes).mean())


@pytest.mark.parametrize("name", FEW)
def test_every_workload_keeps_to_its_records_and_its_seed(name: str) -> None:
    w = WORKLOADS[name]
    a, b, c = (w.draw(3000, 4000, seed) for seed in (1, 1, 2))
    assert a.digest() == b.digest() and (a.digest() != c.digest() or name == "fillseq")
    assert len(a) == 4000 and (a.ids >= 0).all()
    fills = name in ("fillseq", "fillrandom")
    assert a.loaded == (0 if fills else 3000)
    inserts = np.isin(a.codes, INSERT)
    if not fills and not name.startswith("twitter"):
        existing = a.loaded + np.cumsum(inserts) - inserts
        assert (a.ids[~inserts] < existing[~inserts]).all()
    everything = np.arange(max(a.loaded, int(a.ids.max()) + 1))
    keys, beside = a.keys_of(everything), a.keys_of(everything, True)
    assert len(set(keys)) == len(keys) and not set(keys) & set(beside)
    assert {len(k) for k in keys} == {a.key_bytes}
    for code, key, stop in zip(a.codes.tolist(), a.keys(), a.stops(), strict=True):
        assert (stop is not None and stop > key) == (code in (RANGE_DELETE, EMPTY_SCAN))
    assert from_settings(settings(w)) == w


def test_a_scan_of_nothing_lies_between_two_neighbours() -> None:
    for numbering in ("dense", "hashed"):
        stream = replace(mixed(Mix(empty_scan=1.0), 500, 200, 1), numbering=numbering)
        keys = sorted(stream.keys_of(np.arange(500)))
        for start, stop in zip(stream.keys(), stream.stops(), strict=True):
            assert stop is not None and not any(start <= k < stop for k in keys)


@pytest.mark.parametrize("numbering", ["dense", "hashed"])
def test_a_range_delete_covers_about_as_many_records_as_it_says(numbering: str) -> None:
    stream = mixed(Mix(range_delete=1.0, range_span=40, distribution="uniform"), 5000, 300, 1, numbering)
    keys = sorted(stream.keys_of(np.arange(5000)))
    covered = [sum(start <= k < stop for k in keys) for start, stop in zip(stream.keys(), stream.stops(), strict=True) if stop]
    assert 36 <= np.mean(covered) <= 42


@pytest.mark.parametrize("size", [8, 12, 15, 16, 17, 48])
def test_keys_of_every_length_are_distinct_and_in_order(size: int) -> None:
    numbers = np.unique(np.concatenate([np.arange(3000), 10 ** np.arange(4, 16), [9_007_199_254_740_990]]))
    keys = format_keys(numbers, size)
    assert keys == sorted(keys) and len(set(keys)) == len(keys) and {len(k) for k in keys} == {size}
    with pytest.raises(ValueError, match="8 or more"):
        format_keys(numbers, 7)


def test_distributions_have_their_moments() -> None:
    rng = np.random.default_rng(1)
    normal = pick(rng, "normal", 10_000, 50_000)
    assert abs(normal.mean() - 5000) < 30 and abs(normal.std() - 1000) < 30
    beta = pick(rng, "beta", 10_000, 50_000, shape=(2.0, 5.0))
    assert abs(beta.mean() / 10_000 - 2 / 7) < 0.01
    moved = pick(np.random.default_rng(2), "hot", 10_000, 50_000, drift=0.5)
    still = pick(np.random.default_rng(2), "hot", 10_000, 50_000)
    both = [len(set(drawn[:500].tolist()) & set(drawn[-500:].tolist())) for drawn in (moved, still)]
    assert both[0] < 40 and both[1] > 90
    sizes = pareto(rng, 200_000, 0.2, 10.0)
    assert abs(sizes.mean() - 12.5) < 0.3
    exponential = pareto(rng, 200_000, 0.0, 10.0)
    assert abs(exponential.mean() - 10) < 0.2


def test_db_benchs_names_do_what_they_say() -> None:
    streams = {name: WORKLOADS[name].draw(2000, 3000, 1) for name in WORKLOADS if isinstance(WORKLOADS[name], DbBench)}
    assert (np.diff(streams["fillseq"].ids) == 1).all() and share(streams["fillseq"], INSERT) == 1
    assert streams["fillseq"].keys() == sorted(streams["fillseq"].keys())
    whole = {"readrandom": READ, "readmissing": MISSING, "seekrandom": SCAN, "deleterandom": DELETE, "overwrite": UPDATE}
    whole |= {"updaterandom": RMW, "mergerandom": MERGE}
    assert all(share(streams[name], code) == 1 for name, code in whole.items())
    assert (streams["seekrandom"].lengths == 1).all()
    assert (DbBench("seekrandom", seek_nexts=10).draw(100, 10, 1).lengths == 11).all()
    assert abs(share(streams["readwhilewriting"], UPDATE) - 0.1) < 0.02
    with pytest.raises(ValueError, match=r"'fillup' is unknown; there are .*fillseq"):
        DbBench("fillup")


def test_mixgraph_has_its_published_statistics() -> None:
    """The hottest range takes 80.7 % of the accesses, the next 5.7 and 1.5 %; values are about 35 bytes on average before they wrap."""
    graph = Mixgraph()
    assert graph.hotness()[:3] == pytest.approx([0.807, 0.057, 0.015], abs=0.003)
    stream = graph.draw(30_000, 100_000, 1)
    assert [share(stream, c) for c in (READ, UPDATE, SCAN)] == pytest.approx([0.85, 0.14, 0.01], abs=0.005)
    by_range = np.sort(np.bincount(stream.ids // 1000, minlength=30))[::-1] / len(stream)
    assert by_range[0] == pytest.approx(0.807, abs=0.01)
    assert stream.sizes is not None and 33 < stream.sizes.mean() < 37 and 10 <= stream.sizes.min() <= stream.sizes.max() <= 1024
    scans = stream.lengths[stream.codes == SCAN]
    assert scans.min() >= 1 and scans.max() <= 10_000
    popular = np.sort(np.bincount(stream.ids))[::-1]  # a power law: F(1) = a of the accesses of a range go to its hottest key
    assert popular[0] / len(stream) > 0.807 * 0.002312 * 0.8
    assert stream.arrivals_ns is not None
    rate = 1e9 * (len(stream) - 1) / stream.arrivals_ns[-1]
    assert rate == pytest.approx(50_000, rel=0.01) and (np.diff(stream.arrivals_ns) >= 0).all()
    slow = Mixgraph(sine_a=900.0, sine_b=1.0, sine_d=1000.0).arrivals(20_000)  # 20 s, three periods
    seconds = np.bincount((slow // 10**9).astype(int))[:6]
    want = [1000 + 900 * (math.cos(t) - math.cos(t + 1)) for t in range(6)]
    assert seconds == pytest.approx(want, rel=0.02)


def test_kvbenchs_axes_are_met() -> None:
    bench = KVBench(
        insert=2, update=2, point_delete=1, range_delete=0.1, point_query=4, range_query=1, zero_result_lookups=0.25,
        zero_result_deletes=0.5, range_query_selectivity=0.01, range_delete_selectivity=0.002, entry_size=200, key_share=0.2,
        lookup_law="zipf", insert_law="normal",
    )  # fmt: skip
    stream = bench.draw(5000, 50_000, 1)
    total = 10.1
    want = {INSERT: 2, UPDATE: 2, DELETE: 0.5, EMPTY_DELETE: 0.5, RANGE_DELETE: 0.1, READ: 3, MISSING: 1, SCAN: 0.75, EMPTY_SCAN: 0.25}
    for code, weight in want.items():
        assert share(stream, code) == pytest.approx(weight / total, abs=0.01), code
    assert (stream.lengths[stream.codes == SCAN] == 50).all() and (stream.lengths[stream.codes == RANGE_DELETE] == 10).all()
    assert stream.key_bytes == 40 and stream.sizes is not None and set(stream.sizes.tolist()) == {160}
    numbers = stream.numbers_of(np.arange(5000)) / 2**53
    assert abs(numbers.mean() - 0.5) < 0.01 and abs(numbers.std() - 0.1) < 0.01
    popular = np.bincount(stream.ids[stream.codes == READ])
    assert popular.max() > 20 * popular[popular > 0].mean()
    for wrong, said in (
        ({"point_query": 1, "zero_result_lookups": 1.5}, "from 0 to 1"),
        ({"point_query": 1, "lookup_law": "gamma"}, "uniform, normal, beta, zipf"),
        ({}, "not all 0"),
        ({"point_query": 1, "entry_size": 16, "key_share": 0.1}, "allowed: 8"),
    ):
        with pytest.raises(ValueError, match=said):
            KVBench(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [12, 14, 29, 45, 52])
def test_a_cluster_has_its_published_statistics(number: int) -> None:
    c = clusters()[number]
    assert c.alpha is not None
    operations = round(2000 * c.mean_frequency)
    stream = Twitter(number).draw(2000, max(operations, 20_000), 1)
    mix = {"write": (UPDATE, INSERT, RMW), "read": (READ, MISSING), "delete": (DELETE,)}
    told = {"write": ("set", "add", "cas", "incr", "prepend"), "read": ("get", "gets"), "delete": ("delete",)}
    whole = sum(c.operations.values())
    for name, codes in mix.items():
        assert share(stream, *codes) == pytest.approx(sum(c.operations.get(t, 0) for t in told[name]) / whole, abs=0.02), name
    asked = np.bincount(stream.ids)
    asked = asked[asked > 0]
    p = np.arange(1, 2001.0) ** -c.alpha
    p /= p.sum()
    once, seen = (len(stream) * p * (1 - p) ** (len(stream) - 1)).sum(), (1 - (1 - p) ** len(stream)).sum()
    assert (asked == 1).mean() == pytest.approx(max(c.one_hit, once / seen), abs=0.03)  # popularity alone may leave more
    core = np.sort(np.bincount(stream.ids[stream.ids < 2000], minlength=2000))[::-1]
    if c.alpha > 1:  # the slope of the popular end, in logarithms
        slope = np.polyfit(np.log(np.arange(1, 21)), np.log(core[:20]), 1)[0]
        assert -slope == pytest.approx(c.alpha, rel=0.1)
    assert stream.sizes is not None and (stream.sizes == c.value_bytes).all() and stream.key_bytes == max(8, c.key_bytes)
    assert stream.arrivals_ns is not None and 1e9 * len(stream) / stream.arrivals_ns[-1] == pytest.approx(c.kqps * 1000, rel=0.03)


def test_clusters_without_statistics_are_refused() -> None:
    assert len(clusters()) == 53
    for number in (5, 43, 46, 99):
        with pytest.raises(ValueError, match=f"cluster = {number}"):
            Twitter(number)
    assert one_hits(np.full(10, 0.1), 100, 0.0) == 0
    assert one_hits(np.full(10, 0.1), 100, 0.5) == 10


def test_late_readings_come_as_late_as_it_says() -> None:
    stream = TimeSeries(devices=10, out_of_order=0.2, delay=30, read=0, scan=0).draw(5000, 5000, 1)
    assert stream.numbers is not None
    time = (stream.numbers // 2 & (2**32 - 1)) * 10 + (stream.numbers // 2 >> 32)
    behind = np.maximum.accumulate(time) - time
    late = behind > 0
    assert late.mean() == pytest.approx(0.2, abs=0.03)
    assert 200 < behind.max() <= 310
    in_order = TimeSeries(devices=10, out_of_order=0.0).draw(1000, 100, 1)
    assert in_order.numbers is not None
    time = (in_order.numbers // 2 & (2**32 - 1)) * 10 + (in_order.numbers // 2 >> 32)
    assert (np.diff(time) == 1).all()


def test_expiry_deletes_a_devices_oldest_stretch() -> None:
    stream = TimeSeries(devices=4, out_of_order=0.0, expire=0.02, expire_span=10).draw(2000, 5000, 1)
    rows = np.flatnonzero(stream.codes == RANGE_DELETE)
    assert stream.numbers is not None
    starts = stream.numbers[stream.ids[rows]] // 2
    assert [(int(s) >> 32, int(s) & (2**32 - 1)) for s in starts[:6]] == [(0, 0), (1, 0), (2, 0), (3, 0), (0, 10), (1, 10)]


def test_phases_follow_each_other_over_the_same_records() -> None:
    stream = Phases((("write-burst", 1.0), ("ycsb-c", 1.0), ("ycsb-d", 2.0)), rounds=2).draw(1000, 8000, 1)
    assert [name for _, name in stream.marks] == ["write-burst", "ycsb-c", "ycsb-d"] * 2
    edges = [at for at, _ in stream.marks]
    assert edges == [0, 1000, 2000, 4000, 5000, 6000]
    assert share(replace(stream, codes=stream.codes[1000:2000]), READ) == 1
    inserted = stream.ids[stream.codes == INSERT]
    assert (inserted == 1000 + np.arange(len(inserted))).all()
    assert stream.ids[1000:2000].max() >= 1000  # what was inserted before is read
    for parts, said in (((("ycsb-z", 1.0),), "no mix; there are"), ((("ycsb-a", 0.0),), "above 0"), ((), "of 0 phases")):
        with pytest.raises(ValueError, match=said):
            Phases(parts)


def test_settings_that_are_wrong_are_named() -> None:
    with pytest.raises(ValueError, match="kind 'mixx' is unknown; there are mix"):
        from_settings({"kind": "mixx"})
    with pytest.raises(ValueError, match=r"'reed' is unknown in a workload of kind mix; allowed: .*read"):
        from_settings({"reed": 1})
    with pytest.raises(ValueError, match="distribution 'zipf' is unknown; there are zipfian"):
        from_settings({"read": 1.0, "distribution": "zipf"})
    with pytest.raises(ValueError, match=r"kind db_bench: .*benchmark"):
        from_settings({"kind": "db_bench"})


def test_values_have_their_sizes_and_differ_by_generation() -> None:
    sizes = np.array([0, 1, 100, 5000], np.uint32)
    ids = np.arange(4)
    values = Values(10)
    assert [len(v) for v in values.sized(ids, sizes)] == sizes.tolist()
    assert values.sized(ids, sizes)[2:] != values.sized(ids, sizes, 1)[2:]
    assert values.sized(ids, None) == values.of(ids)


def test_what_asks_for_nothing_asks_beside_the_records() -> None:
    stream = mixed(Mix(read=0.4, missing=0.2, empty_scan=0.2, empty_delete=0.2), 300, 2000, 1)
    for code, key in zip(stream.codes.tolist(), stream.keys(), strict=True):
        assert (int(key) % 2 == 1) == (code in ABSENT)
