"""QD-LP-FIFO: each rule of the paper in a case worked out by hand."""

from __future__ import annotations

import eviction
from tests.harness.driven import Driven

LOOP = [key for _ in range(30) for key in range(100)]


def test_qdlp_quick_demotion_one_hit_is_enough_and_m_makes_its_own_room() -> None:
    """P = 3, M = 7: 1 was requested again and goes to M, which gives its oldest, without a ghost; 2 was not and becomes one."""
    cache = Driven("qdlp", 10, "probation=0.3")
    cache.requests(*range(1, 11), 1, 11)
    assert cache.queues() == {"P": ["11", "3", "2"], "M": ["1", "10", "9", "8", "7", "6", "5"], "G": []}
    assert ("p", 1) in cache.heard
    assert cache.heard[-2:] == [("e", 4), ("a", 11)]
    cache.requests(12)
    assert cache.queues() == {"P": ["12", "11", "3"], "M": ["1", "10", "9", "8", "7", "6", "5"], "G": ["2"]}
    cache.requests(2)
    assert cache.queues() == {"P": ["12", "11", "3"], "M": ["2", "1", "10", "9", "8", "7", "6"], "G": []}
    assert cache.policy.ghost_hits() == 1


def test_qdlp_lazy_promotion_the_hand_spares_a_key_up_to_three_times() -> None:
    cache = Driven("qdlp", 4, "probation=0.25")
    cache.requests(1, 2, 3, 4, 2, 2, 2, 2, 2, 3)
    assert cache.queues() == {"P": ["1"], "M": ["4", "3*", "2***"], "G": []}
    cache.requests(5, 1)  # 1 becomes a ghost, comes back to M: 2 and 3 are spared, 4 leaves
    assert cache.queues() == {"P": ["5"], "M": ["1", "3", "2**"], "G": []}
    one_bit = Driven("qdlp", 4, "probation=0.25 bits=1")
    one_bit.requests(1, 2, 3, 4, 2, 2, 2)
    assert one_bit.queues()["M"] == ["4", "3", "2*"]


def test_qdlp_ghosts_are_as_many_as_m_holds() -> None:
    cache = Driven("qdlp", 10)
    cache.requests(*range(60))
    assert cache.queues()["G"] == [str(key) for key in [*range(58, 49, -1)]]
    cache.resize(5)
    assert len(cache.queues()["G"]) == 4


def test_qdlp_on_a_loop_keeps_what_it_met_first() -> None:
    """The warm-up rule, seen: M's 45 keys of a cache of 50 stay through a loop over 100."""
    (result,) = eviction.replay("qdlp", LOOP, sizes=[50])
    assert result.hits == 45 * 29


def test_qdlp_works_in_tiny_caches_and_through_deletes() -> None:
    for capacity in (1, 2, 3):
        cache = Driven("qdlp", capacity)
        cache.requests(1, 1, 2, 1, 3, 3, 4, 1, 1, 5, 4)
        assert len(cache.place) == capacity
        cache.remove(next(iter(cache.place)))
        cache.requests(7, 8, 7)
        assert 7 in cache.place
