"""Clock2Q+: each rule of the paper in a case worked out by hand, and libCacheSim's counts with its ghosts."""

from __future__ import annotations

import pytest

import eviction
from tests.harness.driven import SHARED, SMALL, Driven, counts, points

LOOP = [key for _ in range(30) for key in range(100)]


def test_clock2qplus_references_within_the_window_do_not_count() -> None:
    """S = 4 of 8, its window the newest 2: 3 and 4 are within, 1 and 2 are not, when all are referenced."""
    cache = Driven("clock2q+", 8, "small=0.5")
    cache.requests(1, 2, 3, 4, 1, 2, 3, 4, 4, 4)
    assert cache.queues() == {"clock2q+": ["window", "to", "3"], "S": ["4", "3", "2*", "1*"], "M": [], "G": []}
    cache.requests(5, 6, 7, 8)
    assert cache.queues()["M"] == ["8", "7", "6", "5"], "S has no room while the cache fills"
    cache.requests(9)  # 1 and 2 are promoted, their bits clear; 3 was not referenced that counts
    assert cache.queues() == {"clock2q+": ["window", "to", "4"], "S": ["9", "4"], "M": ["2", "1", "8", "7", "6", "5"], "G": ["3"]}


def test_clock2qplus_a_ghost_goes_to_m_and_the_hand_spares_the_referenced_once() -> None:
    cache = Driven("clock2q+", 4, "small=0.25")
    cache.requests(1, 2, 3, 4, 2, 2, 5)
    assert cache.queues() == {"clock2q+": ["window", "to", "5"], "S": ["5"], "M": ["4", "3", "2*"], "G": ["1"]}
    cache.requests(1)  # S holds its share: 5 leaves for 1
    assert cache.queues() == {"S": [], "M": ["1", "4", "3", "2*"], "G": ["5"]}
    cache.requests(6)  # S is empty: the hand spares 2, takes 3, which leaves no ghost
    assert cache.queues() == {"clock2q+": ["window", "to", "6"], "S": ["6"], "M": ["2", "1", "4"], "G": ["5"]}


def test_clock2qplus_the_hand_can_be_bounded() -> None:
    """2 to 6 are referenced, 1 came to M last: with a hand of 2 the third goes, though it is; without a bound 1, after a round."""
    for hand, gone in ((2, 4), (0, 1)):
        cache = Driven("clock2q+", 6, f"small=0.2 hand={hand}")
        cache.requests(1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7, 1, 8)
        assert cache.heard[-2:] == [("e", gone), ("a", 8)]


def test_clock2qplus_the_edge_of_the_window_moves_on_from_what_is_removed() -> None:
    cache = Driven("clock2q+", 8, "small=1 window=0.5")
    cache.requests(*range(1, 7))
    assert cache.queues()["clock2q+"] == ["window", "to", "3"]
    cache.remove(3)
    assert cache.queues()["clock2q+"] == ["window", "to", "4"]
    cache.remove(6)
    cache.requests(4, 2, 7)
    assert cache.queues() == {"clock2q+": ["window", "to", "4"], "S": ["7", "5", "4", "2*", "1"], "M": [], "G": []}
    cache.resize(4)
    assert cache.queues()["clock2q+"] == ["window", "to", "5"], "the window is half of the new share"


def test_clock2qplus_ghosts_are_half_of_the_capacity() -> None:
    cache = Driven("clock2q+", 10)
    cache.requests(*range(60))
    assert cache.queues()["G"] == ["58", "57", "56", "55", "54"]
    cache.resize(4)
    assert len(cache.queues()["G"]) == 2


def test_clock2qplus_on_a_loop_keeps_what_it_met_first() -> None:
    (result,) = eviction.replay("clock2q+", LOOP, sizes=[50])
    assert result.hits == 45 * 29


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
def test_clock2qplus_with_libcachesims_ghosts_has_its_counts() -> None:
    """All but those where its S of one entry admits nothing."""
    found = points("clock2q+", counts("Clock2Q+", "libcachesim", SMALL), "ghosts=0.9")
    assert len(found) > 50
    assert sum(map(bool, found)) <= 3
