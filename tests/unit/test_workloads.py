"""Operation streams: the distributions are what they claim, the keys are where they should be, and a seed fixes everything."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from experiments.workloads import (
    EMPTY_SCAN,
    INSERT,
    MISSING,
    MIXES,
    OPERATIONS,
    RANGE_DELETE,
    READ,
    SCAN,
    UPDATE,
    Mix,
    Values,
    key_numbers,
    keys_of,
    mixed,
    pick,
    replayed,
    zipf_ranks,
)


def test_zipf_ranks_follow_the_law() -> None:
    n, count = 1000, 200_000
    got = np.bincount(zipf_ranks(np.random.default_rng(1), n, count), minlength=n) / count
    want = np.arange(1, n + 1.0) ** -0.99
    want /= want.sum()
    assert np.abs(got - want).max() < 0.004
    assert abs(got[0] - want[0]) / want[0] < 0.03


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_has_its_shares_and_stays_within_the_records(name: str) -> None:
    stream = mixed(MIXES[name], 5000, 20_000, 7)
    shares = np.bincount(stream.codes, minlength=len(OPERATIONS)) / len(stream)
    assert np.abs(shares - MIXES[name].shares()).max() < 0.02
    existing = 5000 + np.cumsum(stream.codes == INSERT) - (stream.codes == INSERT)
    others = stream.codes != INSERT
    assert (stream.ids[others] < existing[others]).all()
    assert (stream.ids >= 0).all()
    inserted = stream.ids[stream.codes == INSERT]
    assert (inserted == np.arange(5000, 5000 + len(inserted))).all()
    assert ((stream.lengths > 0) == np.isin(stream.codes, (SCAN, RANGE_DELETE, EMPTY_SCAN))).all()


def test_latest_prefers_the_newest_record() -> None:
    stream = mixed(MIXES["ycsb-d"], 1000, 20_000, 3)
    newest = 999 + np.cumsum(stream.codes == INSERT)
    age = (newest - stream.ids)[stream.codes == READ]
    assert np.median(age) < 200
    assert (age == 0).mean() > 0.1


def test_hot_draws_from_one_record_in_a_hundred() -> None:
    assert len(np.unique(pick(np.random.default_rng(1), "hot", 10_000, 50_000))) == 100


@pytest.mark.parametrize("numbering", ["dense", "hashed"])
def test_keys_are_distinct_and_missing_keys_lie_between_them(numbering: str) -> None:
    ids = np.arange(50_000)
    keys, missing = keys_of(ids, numbering), keys_of(ids, numbering, missing=True)
    assert {len(k) for k in keys} == {16}
    assert all(k.isdigit() for k in keys[:100])
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(missing)
    assert min(keys) <= min(missing) and sorted(missing)[-2] < max(keys)
    assert [int(k) for k in keys[:100]] == key_numbers(ids[:100], numbering).tolist()


def test_a_stream_marks_reads_of_nothing() -> None:
    stream = mixed(MIXES["empty-read"], 100, 1000, 1)
    for code, key in zip(stream.codes, stream.keys(), strict=True):
        assert (int(key) % 2 == 1) == (code == MISSING)


def test_a_seed_fixes_the_stream() -> None:
    a, b, c = (mixed(MIXES["ycsb-a"], 100, 1000, seed) for seed in (1, 1, 2))
    assert a.digest() == b.digest() != c.digest()


def test_shares_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        mixed(Mix(read=0.5), 10, 10, 1)


def test_values_are_half_compressible_and_told_apart() -> None:
    values = Values(100)
    ids = np.arange(1000)
    text = b"".join(values.of(ids))
    assert 0.45 < len(zlib.compress(text)) / len(text) < 0.65
    assert values.of(ids) != values.of(ids, 1)
    assert {len(v) for v in values.of(ids)} == {100}
    assert Values(0).of(ids[:3]) == [b""] * 3


def test_a_replay_keeps_neighbours_together() -> None:
    stream = replayed(np.array([900, 7, 8, 900, 9], np.int64), 0.5, 1)
    assert stream.ids.tolist() == [3, 0, 1, 3, 2]
    assert stream.loaded == 4
    assert set(stream.codes.tolist()) <= {READ, UPDATE}
