"""Hyperbolic caching: cases worked out by hand from the paper, its sample, and the counts of another program."""

from __future__ import annotations

from collections import Counter

import pytest

import eviction
from tests.harness.driven import SHARED, Driven, counts, points

SMALL = ("lirs-cpp", "lirs-glimpse", "lirs-multi1", "lirs-sprite", "cache2k-web12")


def test_the_least_requests_per_time_leave() -> None:
    """At request 8: 1 came at 1 and was asked for 4 times, 4/7; 2 at 5, twice, 2/3; 3 at 7, once, 1/1."""
    driven = Driven("hyperbolic", 3)
    assert driven.requests(1, 1, 1, 1, 2, 2, 3) == []
    assert driven.dump() == "hyperbolic: 1/4/6 2/2/2 3/1/0\n"
    assert driven.request(4) == [1], "LFU would take 3, LRU too would take 1"
    assert driven.requests(2, 2, 2, 5) == [3], "2: 5/8, 3: 1/6, 4: 1/5 at request 13"


def test_a_popular_key_falls_with_the_time_without_a_request() -> None:
    """What LFU keeps for ever leaves: 1 was asked for 8 times in 8 requests and then never again."""
    driven = Driven("hyperbolic", 2)
    driven.requests(*[1] * 8)
    cold = driven.requests(*range(2, 400))
    assert 1 in cold
    assert 1 not in Driven("lfu", 2).requests(*[1] * 8, *range(2, 400))


def test_a_key_as_old_as_the_eviction_divides_by_nothing() -> None:
    driven = Driven("hyperbolic", 2)
    driven.requests(1, 2)
    assert driven.resize(1) == [1], "2 came with this very request: 1/1 against 1/1, and the first of the pool"
    assert driven.resize(0) == [2]


def test_time_goes_on_with_every_request_also_a_refused_one() -> None:
    driven = Driven("hyperbolic", 2)
    driven.requests(1, 1, 2)
    for _ in range(5):
        assert driven.request(9, 3) == []
    assert driven.dump() == "hyperbolic: 1/2/7 2/1/5\n"


def test_a_priority_is_that_of_a_unit_of_weight() -> None:
    """1: 2/3 over 4 units, 2: 1/1. Without sizes the newcomer's 1/1 is above 2/3 too; after two more ticks it is not."""
    for params, gone in (("", 1), ("size=0", 2)):
        driven = Driven("hyperbolic", 5, params)
        driven.request(1, 4)
        driven.requests(1, 1, 2, 1, 1)
        assert driven.request(3, 1) == [gone], params


def test_removed_keys_are_no_longer_drawn() -> None:
    driven = Driven("hyperbolic", 8, "sample=2")
    driven.requests(*range(8))
    for key in (7, 0, 3):
        driven.remove(key)
    assert driven.dump().count("/") == 10
    assert driven.requests(*range(10, 13)) == []


def test_a_sample_holds_no_key_twice() -> None:
    """Half of the pool, drawn with replacement, would miss the one worst key far more often than every second time."""
    gone = Counter[int]()
    for seed in range(400):
        driven = Driven("hyperbolic", 10, "sample=5", seed)
        driven.requests(*[key for key in range(10) for _ in range(9 if key else 1)])
        gone.update(driven.request(99) or [])
    assert 160 <= gone[0] <= 240, "5 of 10: every second sample has it; with replacement 1 - 0.9**5 = 41 % of 400 = 164 at most"
    assert gone[0] > 180


def test_a_seed_repeats_a_run_and_another_does_not() -> None:
    trace = [(i * i * 7919) % 613 for i in range(20000)]
    first, again, other = (eviction.replay("hyperbolic", trace, [100], seed=s, params="sample=4")[0].hits for s in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize("params", ["sample=0", "sample=2000", "size=2", "samples=3"])
def test_wrong_parameters_are_refused(params: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        eviction.replay("hyperbolic", [1], [1], params=params)


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize(("source", "params"), [("libcachesim", ""), ("caffeine", "sample=8")])
def test_near_other_programs_with_their_samples(source: str, params: str) -> None:
    """libCacheSim draws 64, Caffeine's simulator 8; other random numbers, so near and not equal."""
    apart = points("hyperbolic", counts("Hyperbolic", source, SMALL), params)
    assert len(apart) > 30
    assert abs(sum(apart) / len(apart)) < 0.1
    assert max(map(abs, apart)) < 1.5
