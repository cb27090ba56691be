"""MRU, random, LFU, CLOCK and FIFO with reinsertion: cases worked out by hand, and the counts of other programs."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import eviction
from tests.harness.driven import SHARED, Driven, counts, points

SMALL = ("lirs-cpp", "lirs-cs", "lirs-glimpse", "lirs-multi1", "lirs-ps", "lirs-backf", "lirs-sprite", "lirs-zigzag", "cache2k-web07")
LOOP = [key for _ in range(20) for key in range(100)]
SKEWED = [int(p) % 997 for p in map(random.Random(9).paretovariate, [0.6] * 30000)]
absent = pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")


def test_mru_takes_the_last_one_admitted_or_hit() -> None:
    driven = Driven("mru", 3)
    assert driven.requests(1, 2, 3, 4) == [3]
    driven.requests(1)
    assert driven.dump() == "mru: 1 4 2\n"
    assert driven.requests(5) == [1]


def test_mru_is_near_the_best_on_a_loop() -> None:
    (mru,), (best,) = (eviction.replay(kind, LOOP, [60]) for kind in ("mru", "belady"))
    assert best.hits - 20 <= mru.hits <= best.hits


def test_random_takes_all_with_equal_chance() -> None:
    gone = Counter[int]()
    for seed in range(1000):
        driven = Driven("random", 5, seed=seed)
        gone.update(driven.requests(1, 2, 3, 4, 5, 1, 1, 1, 6))
    assert set(gone) == {1, 2, 3, 4, 5}, "never the newcomer, which is not there yet"
    assert all(150 < times < 250 for times in gone.values()), gone


def test_random_is_repeated_by_its_seed() -> None:
    first, again, other = (eviction.replay("random", SKEWED, [100], seed=seed)[0].hits for seed in (1, 1, 2))
    assert first == again != other


@absent
def test_random_is_near_other_programs() -> None:
    apart = points("random", counts("Random", "caffeine", SMALL))
    assert len(apart) > 50
    assert abs(sum(apart) / len(apart)) < 0.1
    assert max(map(abs, apart)) < 1.5


def test_lfu_takes_the_oldest_of_the_least() -> None:
    driven = Driven("lfu", 3)
    assert driven.requests(1, 2, 3, 1, 2) == []
    assert driven.dump() == "lfu: 2/2 1/2 3/1\n"
    assert driven.requests(4, 4) == [3]
    assert driven.dump() == "lfu: 4/2 2/2 1/2\n"
    assert driven.requests(5) == [1], "all of 2: the one that has been there longest, not the one used longest ago"
    assert driven.requests(2, 2, 6) == [5]


def test_lfu_counts_only_while_resident() -> None:
    driven = Driven("lfu", 1)
    driven.requests(1, 1, 1, 2, 1)
    assert driven.dump() == "lfu: 1/1\n"


def test_lfu_buckets_come_and_go() -> None:
    """A hit alone in its bucket, into the next one, past a gap, and out of a bucket that others stay in."""
    driven = Driven("lfu", 4)
    driven.requests(1, 1, 1, 2, 3, 4)
    assert driven.dump() == "lfu: 1/3 4/1 3/1 2/1\n"
    driven.requests(3)
    assert driven.dump() == "lfu: 1/3 3/2 4/1 2/1\n"
    driven.requests(3)
    assert driven.dump() == "lfu: 3/3 1/3 4/1 2/1\n"
    driven.remove(3)
    driven.remove(2)
    driven.requests(4, 4, 4)
    assert driven.dump() == "lfu: 4/4 1/3\n"


@absent
@pytest.mark.parametrize(
    ("kind", "policy", "source", "params"),
    [("lfu", "LFU", "libcachesim", ""), ("clock", "CLOCK", "libcachesim", ""), ("fifo-reinsertion", "CLOCK", "libcachesim", "bits=1")],
)
def test_the_same_hits_as_another_program(kind: str, policy: str, source: str, params: str) -> None:
    apart = points(kind, counts(policy, source, SMALL), params)
    assert len(apart) > 60
    assert not any(apart)


def test_clock_spares_what_was_hit_once_a_round() -> None:
    driven = Driven("clock", 3)
    driven.requests(1, 2, 3, 1, 1)
    assert driven.dump() == "clock: 3 2 1/1\n"
    assert driven.requests(4) == [2], "1 loses its mark and goes behind the hand"
    assert driven.dump() == "clock: 4 1 3\n", "the newcomer is the last that the hand comes to"
    assert driven.requests(5, 6) == [3, 1]


def test_clock_with_every_mark_set_is_fifo() -> None:
    driven = Driven("clock", 3)
    assert driven.requests(1, 2, 3, 3, 1, 2, 4) == [1]
    assert driven.dump() == "clock: 4 3 2\n"


def test_clock_counts_to_three_with_two_bits() -> None:
    driven = Driven("clock", 2, "bits=2")
    driven.requests(1, 1, 1, 1, 1, 1, 2)
    assert driven.dump() == "clock: 2 1/3\n"
    assert driven.requests(3, 4, 5) == [2, 3, 4]
    assert driven.dump() == "clock: 5 1\n"
    assert driven.requests(6) == [1]


def test_the_hand_stops_within_its_reach() -> None:
    """Three rounds would be needed; after 4 steps who is at the hand leaves."""
    driven = Driven("clock", 3, "bits=2 reach=4")
    driven.requests(1, 2, 3, *[1, 2, 3] * 3)
    assert driven.requests(4) == [2]
    assert driven.dump() == "clock: 4 1/1 3/2\n"
    free = Driven("clock", 3, "bits=2")
    assert free.requests(1, 2, 3, *[1, 2, 3] * 3, 4) == [1]


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_fifo_with_reinsertion_is_clock(bits: int) -> None:
    sizes = [1, 2, 10, 100, 500]
    clock, fifo = (eviction.replay(kind, SKEWED, sizes, params=f"bits={bits}") for kind in ("clock", "fifo-reinsertion"))
    assert [r.hits for r in clock] == [r.hits for r in fifo]
    assert [r.hits for r in clock] != [r.hits for r in eviction.replay("fifo", SKEWED, sizes)]


@pytest.mark.parametrize("params", ["bits=0", "bits=9", "bits=1.5", "reach=0", "hand=1"])
def test_wrong_parameters_of_clock_are_refused(params: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        eviction.replay("clock", [1], [1], params=params)


@absent
def test_clock_of_two_bits_has_the_share_of_min_that_was_measured() -> None:
    """0.871 of MIN on OLTP: mean over 1, 5, 10, 25 and 50 % of 186880 keys."""
    trace = eviction.load(SHARED / "traces" / "arc-OLTP.u32.xz")
    sizes = [1868, 9344, 18688, 46720, 93440]
    clock, best = (eviction.replay(kind, trace, sizes, params=p) for kind, p in (("clock", "bits=2"), ("belady", "")))
    assert round(sum(c.hits / b.hits for c, b in zip(clock, best, strict=True)) / 5, 3) == 0.871
