"""CAR and CART: each rule of the paper's figures in a case worked out by hand, and Caffeine's counts."""

from __future__ import annotations

import pytest

from tests.harness.driven import SHARED, SMALL, Driven, counts, points


def test_car_a_hit_sets_the_bit_only_and_the_hand_clears_it_on_the_way_to_t2() -> None:
    cache = Driven("car", 2)
    cache.requests(1, 2, 1, 1)
    assert cache.queues() == {"car": ["p=0"], "T1": ["2", "1*"], "T2": [], "B1": [], "B2": []}
    cache.requests(3)
    assert cache.queues() == {"car": ["p=0"], "T1": ["3"], "T2": ["1"], "B1": ["2"], "B2": []}
    assert ("p", 1) in cache.heard


def test_car_ghost_hits_move_p_and_go_to_t2() -> None:
    cache = Driven("car", 2)
    cache.requests(1, 2, 1, 3)
    cache.requests(2)  # in B1, with 3 that just left: p grows by max(1, 0 / 2)
    assert cache.queues() == {"car": ["p=1"], "T1": [], "T2": ["2", "1"], "B1": ["3"], "B2": []}
    cache.requests(3)  # T1 is empty, 1 leaves T2: p grows by max(1, 1 / 1), up to c
    assert cache.queues() == {"car": ["p=2"], "T1": [], "T2": ["3", "2"], "B1": [], "B2": ["1"]}
    cache.requests(1)  # in B2: p shrinks by max(1, 0 / 2)
    assert cache.queues() == {"car": ["p=1"], "T1": [], "T2": ["1", "3"], "B1": [], "B2": ["2"]}
    assert cache.policy.ghost_hits() == 3


def test_car_p_moves_after_room_was_made_and_the_ratio_is_real() -> None:
    """1 is one of two in B1; 7 leaves first and is the third in B2: p grows by 3 / 2. Rounded or before that it would be 1."""
    cache = Driven("car", 5)
    cache.requests(2, 4, 6, 2, 7, 5, 8, 4, 7, 6, 1, 3, 8, 0)
    assert cache.queues() == {"car": ["p=3"], "T1": ["0", "3"], "T2": ["8", "6", "7"], "B1": ["1", "5"], "B2": ["4", "2"]}
    cache.requests(1)
    assert cache.queues() == {"car": ["p=4.5"], "T1": ["0", "3"], "T2": ["1", "8", "6"], "B1": ["5"], "B2": ["7", "4", "2"]}


def test_car_a_new_page_drops_the_oldest_of_b1_when_l1_is_full() -> None:
    """|T1| + |B1| = c: 1 is forgotten; keys seen once only never fill more than c of the directory."""
    cache = Driven("car", 3)
    cache.requests(1, 2, 3, 1, 4)
    assert cache.queues()["B1"] == ["2"]
    cache.requests(5, 6, 7)
    assert (cache.queues()["T1"], cache.queues()["T2"], cache.queues()["B1"]) == (["7", "6"], ["1"], ["5"])


def test_car_keeps_its_bounds_through_deletes_and_resizes() -> None:
    cache = Driven("car", 6)
    cache.requests(1, 2, 3, 4, 5, 6, 1, 2, 7, 8, 9, 3, 4)
    for key in list(cache.place)[::2]:
        cache.remove(key)
    cache.resize(3)
    cache.requests(1, 2, 3, 7, 8, 9, 1, 2, 3)
    cache.resize(6)
    cache.requests(*range(20))
    assert len(cache.place) == 6


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
def test_car_differs_from_caffeine_by_its_rounding_only() -> None:
    """Caffeine rounds the ratios of the learning rule: half of the cells are equal, none is more than a point away."""
    found = points("car", counts("CAR", "caffeine", SMALL))
    assert len(found) > 50
    assert abs(sum(found) / len(found)) < 0.05
    assert max(map(abs, found)) < 0.6


def test_cart_a_page_referenced_in_t1_becomes_long_term_in_its_next_round_and_goes_to_t2_in_the_one_after() -> None:
    cache = Driven("cart", 2)
    cache.requests(1, 2, 1)
    assert cache.queues()["T1"] == ["2S", "1S*"]
    cache.requests(3)
    assert cache.queues() == {"cart": ["p=0", "q=0", "nS=1", "nL=1"], "T1": ["3S", "1L"], "T2": [], "B1": ["2"], "B2": []}
    cache.requests(2)  # from B1, where 3 joins it: p grows by max(1, 0 / 2); 1 goes to T2: q becomes max(0 - 1, 2 - 1)
    assert cache.queues() == {"cart": ["p=1", "q=1", "nS=0", "nL=2"], "T1": ["2L"], "T2": ["1"], "B1": ["3"], "B2": []}


def test_cart_ghost_hits_move_p_and_those_of_b2_raise_q() -> None:
    cache = Driven("cart", 2)
    cache.requests(1, 2, 1, 3, 2, 3)  # 2 goes to T2 (q = 2 - 0), 1 to B2, 3 comes back from B1: p = 1 + max(1, 0 / 1)
    assert cache.queues() == {"cart": ["p=2", "q=2", "nS=0", "nL=2"], "T1": ["3L"], "T2": ["2"], "B1": [], "B2": ["1"]}
    cache.requests(1)  # 3 goes to T2, 2 to B2: p shrinks by max(1, 1 / 2), q grows as T2, B2 and the L pages of T1 fill c
    assert cache.queues() == {"cart": ["p=1", "q=3", "nS=0", "nL=2"], "T1": ["1L"], "T2": ["3"], "B1": [], "B2": ["2"]}


def test_cart_the_filter_keeps_a_page_short_term_while_t1_is_short() -> None:
    """3 was referenced, but |T1| = 1 is below min(p + 1, |B1|) = 2: its bit is cleared, it stays S; T1 is below p: 5 leaves T2."""
    cache = Driven("cart", 4)
    cache.requests(5, 5, 2, 0, 6, 7, 2, 0, 3, 3)
    assert cache.queues() == {"cart": ["p=2", "q=1", "nS=1", "nL=3"], "T1": ["3S*", "0L", "2L"], "T2": ["5"], "B1": ["7", "6"], "B2": []}
    cache.requests(1)
    assert cache.queues() == {"cart": ["p=2", "q=3", "nS=2", "nL=2"], "T1": ["1S", "3S"], "T2": ["0", "2"], "B1": ["7", "6"], "B2": ["5"]}


def test_cart_numbers_do_not_drift_through_deletes_and_resizes() -> None:
    """check() counts nS and nL after every step."""
    cache = Driven("cart", 6)
    cache.requests(1, 2, 3, 4, 5, 6, 1, 2, 7, 8, 9, 3, 4)
    for key in list(cache.place)[::2]:
        cache.remove(key)
    cache.resize(3)
    cache.requests(1, 2, 3, 7, 8, 9, 1, 2, 3)
    cache.resize(6)
    cache.requests(*range(20))
    assert len(cache.place) == 6


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
def test_cart_differs_from_caffeine_by_its_rounding_only() -> None:
    found = points("cart", counts("CART", "caffeine", SMALL))
    assert len(found) > 50
    assert abs(sum(found) / len(found)) < 0.1
    assert sum(abs(d) < 0.3 for d in found) > 0.85 * len(found)
