"""MQ: each rule of the paper in a case worked out by hand, and the counts of other programs with their parameters."""

from __future__ import annotations

import pytest

import eviction
from tests.harness.driven import SHARED, SMALL, Driven, counts, points


def test_mq_promotes_by_the_logarithm_of_the_count_and_demotes_a_head_that_expired() -> None:
    """Lifetime 3: 1 came to Q1 at time 1, so that it may stay until 4; at 5 it goes to the tail of Q0, for as long again."""
    cache = Driven("mq", 3, "lifetime=3 queues=3")
    cache.requests(1, 1, 2, 3)
    assert cache.queues() == {"mq": ["lifetime=3"], "Q2": [], "Q1": ["1/2@0"], "Q0": ["3/1@2", "2/1@1"], "Qout": []}
    cache.requests(2)
    assert cache.queues() == {"mq": ["lifetime=3"], "Q2": [], "Q1": ["2/2@2"], "Q0": ["1/2@3", "3/1@1"], "Qout": []}
    assert cache.heard[-2:] == [("p", 2), ("d", 1)]


def test_mq_evicts_the_head_of_the_lowest_queue_and_qout_remembers_its_count() -> None:
    cache = Driven("mq", 2, "lifetime=9 queues=3")
    cache.requests(1, 1, 1, 2, 3)
    assert cache.queues() == {"mq": ["lifetime=9"], "Q2": [], "Q1": ["1/3@6"], "Q0": ["3/1@8"], "Qout": ["2/1@-2"]}
    cache.requests(2)
    assert cache.queues()["Q1"] == ["2/2@8", "1/3@5"], "its second request, though it was evicted in between"
    cache.requests(4)
    assert cache.queues()["Qout"] == ["1/3@-5", "3/1@-3"], "Q0 was empty, so the head of Q1 left"
    assert cache.policy.ghost_hits() == 1


def test_mq_at_most_one_demotion_a_queue_and_request() -> None:
    """With a lifetime of 1 much expires at once; each request demotes the head of a queue at most."""
    cache = Driven("mq", 8, "lifetime=1 queues=4")
    for key in [1, 2, 3, 4] * 8 + [5, 6, 7, 8] * 3:
        before = len(cache.heard)
        cache.request(key)
        assert sum(what == "d" for what, _ in cache.heard[before:]) <= 3
    assert sum(what == "d" for what, _ in cache.heard) > 30


def test_mq_qout_is_bounded() -> None:
    cache = Driven("mq", 4, "qout=2")
    cache.requests(*range(100))
    assert len(cache.queues()["Qout"]) == 8
    cache.resize(2)
    assert len(cache.queues()["Qout"]) == 4


def test_mq_lifetime_becomes_the_peak_temporal_distance() -> None:
    """A loop over 100 keys: distances of 100, above the 50 blocks of the cache, in the octave 64 to 127, whose middle is 96."""
    cache = Driven("mq", 50)
    cache.requests(*range(64))
    assert cache.queues()["mq"] == ["lifetime=50"], "nothing was seen twice: the number of blocks"
    cache.requests(*[key % 100 for key in range(64, 300)])
    assert cache.queues()["mq"] == ["lifetime=96"]
    for key in [1, 2, 3] * 40:  # distances below the number of blocks are not asked about
        cache.request(key)
    assert cache.queues()["mq"] == ["lifetime=96"]


def test_mq_follows_a_change_of_the_distances() -> None:
    """Loops of 100, then of 300: the counts are halved, so that the new peak wins."""
    cache = Driven("mq", 90)
    cache.requests(*[key % 100 for key in range(1000)])
    assert cache.queues()["mq"] == ["lifetime=96"]
    cache.requests(*[1000 + key % 300 for key in range(3000)])
    assert cache.queues()["mq"] == ["lifetime=384"]


def test_mq_through_deletes() -> None:
    cache = Driven("mq", 6)
    for round_ in range(30):
        cache.requests(*[key * key % 17 for key in range(round_, round_ + 9)])
        cache.remove(next(iter(cache.place)))
    assert eviction.replay("mq", range(9), sizes=[3])[0].hits == 0


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize(("source", "params"), [("caffeine", "lifetime=75 qout=0.5"), ("libcachesim", "lifetime=10000 qout=4")])
def test_mq_with_the_parameters_of_another_program_has_its_counts(source: str, params: str) -> None:
    found = points("mq", counts("MQ", source, SMALL), params)
    assert len(found) > 50
    assert not any(found)
