"""2Q, SLRU, S3-FIFO and SIEVE: each rule of the papers in a case worked out by hand, and the counts of other programs."""

from __future__ import annotations

import pytest

import eviction
from tests.harness.driven import SHARED, SMALL, Driven, counts, points

LOOP = [key for _ in range(30) for key in range(100)]


def test_2q_hit_in_a1in_changes_nothing_and_a_ghost_goes_to_am() -> None:
    """Figure 2: Kin = 2, Kout = 4 of 8; a hit in A1in does not promote and does not reorder."""
    cache = Driven("2q", 8)
    cache.requests(1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 9)
    assert cache.queues() == {"A1in": ["9", "8", "7", "6", "5", "4", "3", "2"], "Am": [], "A1out": ["1"]}
    cache.requests(1)
    assert cache.queues() == {"A1in": ["9", "8", "7", "6", "5", "4", "3"], "Am": ["1"], "A1out": ["2"]}
    assert cache.policy.ghost_hits() == 1
    assert ("g", 1) in cache.heard


def test_2q_room_is_made_in_am_once_a1in_is_within_kin() -> None:
    """With Kin = 2 of 8, what leaves Am leaves no ghost; Am is an LRU."""
    cache = Driven("2q", 8)
    cache.requests(*range(1, 9), *range(11, 15), *range(1, 5))  # 1 to 4 became ghosts of 11 to 14, then went to Am
    assert cache.queues() == {"A1in": ["14", "13", "12", "11"], "Am": ["4", "3", "2", "1"], "A1out": ["8", "7", "6", "5"]}
    cache.requests(7, 8)
    cache.requests(1, 5)
    assert cache.queues() == {"A1in": ["14", "13"], "Am": ["5", "1", "8", "7", "4", "3"], "A1out": ["12", "11", "6"]}


def test_2q_ghosts_are_bounded_by_kout_and_the_oldest_goes() -> None:
    cache = Driven("2q", 8, "kin=0.5 kout=0.25")
    cache.requests(*range(20))
    assert cache.queues()["A1out"] == ["11", "10"]
    cache.resize(4)
    assert len(cache.queues()["A1out"]) == 1


def test_slru_promotes_and_hands_the_overflow_to_the_head_of_probation() -> None:
    """80 % of 5 are protected: the fifth promotion sends the oldest protected to the head of probation, not out."""
    cache = Driven("slru", 5)
    cache.requests(1, 2, 3, 4, 5, 1, 2, 3, 4)
    assert cache.queues() == {"1": ["4", "3", "2", "1"], "0": ["5"]}
    cache.requests(5)
    assert cache.queues() == {"1": ["5", "4", "3", "2"], "0": ["1"]}
    assert cache.heard[-2:] == [("p", 5), ("d", 1)]
    cache.requests(6)
    assert cache.queues()["0"] == ["6"], "the victim is the tail of probation"


def test_slru4_has_four_equal_segments_and_fills_from_the_lowest() -> None:
    """Segments 3 to 1 hold 2 of 8 each; new keys never go above segment 0 while the cache fills."""
    cache = Driven("slru4", 8)
    cache.requests(*range(8))
    assert cache.queues() == {"3": [], "2": [], "1": [], "0": [str(key) for key in range(7, -1, -1)]}
    cache.requests(0, 1, 2)
    assert cache.queues() == {"3": [], "2": [], "1": ["2", "1"], "0": ["0", "7", "6", "5", "4", "3"]}
    cache.requests(1, 1, 1, 2)
    assert cache.queues() == {"3": ["1"], "2": ["2"], "1": [], "0": ["0", "7", "6", "5", "4", "3"]}


@pytest.mark.parametrize("kind", ["slru", "slru4", "2q", "s3fifo"])
@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_a_share_that_rounds_to_nothing_still_takes_one(kind: str, capacity: int) -> None:
    cache = Driven(kind, capacity)
    cache.requests(1, 1, 1, 2, 1, 3, 1, 4, 1, 1, 5)
    assert len(cache.place) == capacity
    if kind.startswith("slru"):
        assert ("d", 1) not in cache.heard, "alone in its segment it is never too much"


def test_s3fifo_needs_two_hits_to_leave_s_for_m_and_counts_start_over() -> None:
    """S = 1 of 10: 1 was hit twice and moves to M with a clean count; 2, hit once, becomes a ghost."""
    cache = Driven("s3fifo", 10, "small=0.3")
    cache.requests(1, 2, 3, 11, 12, 13, 14, 15, 16, 17)  # 11 to 17 find S full while the cache fills
    assert cache.queues()["M"] == ["17", "16", "15", "14", "13", "12", "11"]
    cache.requests(1, 1, 2, 4)
    assert cache.queues() == {"S": ["4", "3"], "M": ["1", *map(str, range(17, 10, -1))], "G": ["2"]}
    assert ("p", 1) in cache.heard


def test_s3fifo_a_ghost_hit_goes_to_m_and_m_goes_round_while_there_are_counts() -> None:
    cache = Driven("s3fifo", 4, "small=0.25")
    cache.requests(1, 2, 3, 4)
    assert cache.queues() == {"S": ["1"], "M": ["4", "3", "2"], "G": []}
    cache.requests(5, 2, 2, 3, 1)  # 5 sends 1 to the ghosts; 1 comes back: S gives 5, which is below two hits
    assert cache.queues() == {"S": [], "M": ["1", "4", "3*", "2**"], "G": ["5"]}
    cache.requests(6)  # S is empty: M makes room, 2 and 3 go round for a count each, 4 leaves without a ghost
    assert cache.queues() == {"S": ["6"], "M": ["3", "2*", "1"], "G": ["5"]}


def test_s3fifo_counts_to_three_and_ghosts_are_as_many_as_m() -> None:
    cache = Driven("s3fifo", 10)
    cache.requests(*range(10), *[5] * 9, *range(20, 60))
    assert "5***" in cache.queues()["M"]
    assert cache.queues()["G"] == [str(key) for key in range(58, 49, -1)]


def test_s3fifo_on_a_loop_keeps_what_it_met_first() -> None:
    """The warm-up rule, seen: 90 % of a cache of 50 keep their keys of a loop over 100; LRU has none."""
    (result,) = eviction.replay("s3fifo", LOOP, sizes=[50])
    assert result.hits == 45 * 29


def test_sieve_the_hand_stays_where_it_was() -> None:
    """After 1 is spared, the hand is behind 2's place: the next search begins at 3, not at the tail."""
    cache = Driven("sieve", 4)
    cache.requests(1, 2, 3, 4, 1, 5)
    assert cache.queues() == {"sieve": ["5", "4", "3", "1"], "hand": ["3"]}
    cache.requests(1, 6)
    assert cache.queues() == {"sieve": ["6", "5", "4", "1*"], "hand": ["4"]}
    cache.remove(4)
    assert cache.queues()["hand"] == ["5"], "it moves on from what is removed"


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize(
    ("kind", "source", "policy"),
    [("2q", "libcachesim", "2Q"), ("sieve", "libcachesim", "SIEVE"), ("slru", "caffeine", "SLRU"), ("slru4", "caffeine", "SLRU-4")],
)
def test_equal_to_other_programs(kind: str, source: str, policy: str) -> None:
    found = points(kind, counts(policy, source, SMALL))
    assert len(found) > 50
    assert not any(found)


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
def test_s3fifo_is_close_to_its_authors_program() -> None:
    found = points("s3fifo", counts("S3-FIFO", "libcachesim", SMALL))
    assert len(found) > 50
    assert abs(sum(found) / len(found)) < 0.2
    assert sum(abs(d) < 0.5 for d in found) > 0.9 * len(found)
