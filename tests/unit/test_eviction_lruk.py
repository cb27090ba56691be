"""LRU-K: cases worked out by hand from figure 2.1 of the paper, rule by rule, and published hit ratios."""

from __future__ import annotations

import random

import pytest

import eviction
from tests.harness.driven import SHARED, Driven


def text(now: int, recent: str = "", once: str = "", ranked: str = "", retained: str = "") -> str:
    lines = (("recent", recent), ("once", once), ("ranked", ranked), ("retained", retained))
    return f"lru-k: now={now}\n" + "".join(f"{name}: {keys}".rstrip() + "\n" for name, keys in lines)


def test_keys_without_k_uses_leave_first_the_least_recently_used_of_them() -> None:
    driven = Driven("lru-k", 3, "crp=0")
    assert driven.requests(1, 1, 2, 3) == []
    assert driven.dump() == text(4, once="3 2", ranked="1/1")
    assert driven.requests(4) == [2], "LRU would take 1"


def test_the_farthest_second_last_use_leaves() -> None:
    driven = Driven("lru-k", 2, "crp=0")
    driven.requests(1, 2, 2, 1)
    assert driven.dump() == text(4, ranked="2/2 1/1")
    driven.requests(3)
    assert driven.dump() == text(5, once="3", ranked="2/2", retained="1"), "1 was used last, but its use before is the oldest"


def test_history_outlives_the_page() -> None:
    """1 comes back after its eviction with its use at 1 remembered, and is ranked by it at once; an LFU would begin anew."""
    driven = Driven("lru-k", 2, "crp=0")
    assert driven.requests(1, 2, 3, 1) == [1, 2]
    assert driven.dump() == text(4, once="3", ranked="1/1", retained="2")
    assert driven.policy.ghost_hits() == 1
    assert ("g", 1) in driven.heard
    assert driven.requests(4) == [3]


def test_history_is_of_so_many_keys() -> None:
    driven = Driven("lru-k", 2, "crp=0 history=1")
    driven.requests(*range(1, 8))
    assert driven.dump() == text(7, once="7 6", retained="5 4 3"), "2 slots and one"
    none = Driven("lru-k", 2, "crp=0 history=0")
    none.requests(*range(1, 8))
    assert none.dump() == text(7, once="7 6", retained="5")


@pytest.mark.parametrize(("gap", "known"), [(5, True), (6, False)])
def test_history_is_retained_for_a_period(gap: int, known: bool) -> None:
    """1 is used at 1 only; asked for again 5 requests later it is known with rip=5, 6 later no more."""
    driven = Driven("lru-k", 2, "crp=0 rip=5 history=8")
    driven.requests(1, *range(10, 9 + gap), 1)
    assert ("ranked: 1/1" in driven.dump()) is known
    assert driven.policy.ghost_hits() == known


def test_correlated_uses_are_one_use() -> None:
    """4 slots, crp=1: uses within as many requests as there are residents. 1 is used at 1, 2, 3, all correlated: still one use."""
    driven = Driven("lru-k", 4, "crp=1")
    driven.requests(1)
    assert driven.dump() == text(1, recent="1")
    driven.requests(1, 1)
    assert driven.dump() == text(3, recent="1")
    driven.requests(2, 3, 4, 5)
    assert driven.dump() == text(7, recent="5 4 3 2", retained="1"), "once 4 have come without it, it may go; 2 is in its period"


def test_the_time_of_correlated_uses_is_taken_out() -> None:
    """1 is used at 1, 2, 3, which is one use of 2 requests; a new use at 8 makes h1 = 8 and h2 = 1 + 2."""
    driven = Driven("lru-k", 4, "crp=1")
    driven.requests(1, 1, 1, 2, 2, 2, 2, 1, 3, 3, 3, 3, 3)
    assert driven.dump() == text(13, recent="3", once="2", ranked="1/3")


def test_a_key_in_correlated_uses_is_not_replaced_unless_all_are() -> None:
    driven = Driven("lru-k", 4, "crp=1")
    driven.requests(1, 2, 2, 2, 2, 2, 1)
    assert driven.dump() == text(7, recent="1 2")
    driven.requests(3, 4)
    assert driven.dump() == text(9, recent="4 3 1 2")
    assert driven.requests(5) == [2], "all are: the least recently used"


def test_on_a_miss_the_history_moves_on_whatever_the_period() -> None:
    """Figure 2.1 asks for the period on a hit only. 1, evicted in the middle of it and asked for again at 4, was used twice: h2 = 1."""
    driven = Driven("lru-k", 2, "crp=8")
    assert driven.requests(1, 2, 3, 1) == [1, 2]
    driven.requests(*[3] * 17)
    assert driven.dump() == text(21, recent="3", ranked="1/1", retained="2")


def test_three_uses() -> None:
    driven = Driven("lru-k", 2, "k=3 crp=0")
    driven.requests(1, 1, 2, 2, 2)
    assert driven.dump() == text(5, once="1", ranked="2/3")
    assert driven.requests(3) == [1], "LRU-2 too would take 1, but by its rank; here it has no third use"
    driven.requests(1)
    assert "1/1" in driven.dump(), "with the two that were retained it has three"


def test_of_one_use_it_is_lru() -> None:
    chance = random.Random(5)
    trace = [int(chance.paretovariate(0.6)) % 300 for _ in range(20000)]
    ours, lru = (eviction.replay(k, trace, [1, 2, 10, 100], params=p) for k, p in (("lru-k", "k=1 crp=0"), ("lru", "")))
    assert [r.hits for r in ours] == [r.hits for r in lru]


def test_a_removed_key_is_forgotten_wherever_it_is() -> None:
    driven = Driven("lru-k", 6, "crp=0.5")
    driven.requests(1, 1, 2, 2, 2, 1, 3, 4, 3, 5, 6, 1)
    for key in (1, 2, 6, 3):
        driven.remove(key)
    driven.requests(1)
    assert driven.policy.ghost_hits() == 0
    assert driven.resize(1)
    assert len(driven.place) == 1


@pytest.mark.parametrize("params", ["k=0", "k=9", "k=1.5", "crp=-1", "history=65", "rip=-1"])
def test_wrong_parameters_are_refused(params: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        eviction.replay("lru-k", [1], [1], params=params)


@pytest.mark.skipif(not SHARED.exists(), reason="the traces are not here")
def test_the_published_hit_ratios_of_lru_2() -> None:
    """ARC paper, table on OLTP: LRU-2 with its period tuned for each size; the default is above it everywhere."""
    published = {1000: 39.30, 2000: 45.82, 5000: 54.78}
    results = eviction.replay("lru-k", SHARED / "traces" / "arc-OLTP.u32.xz", list(published))
    apart = [100 * r.hit_ratio - published[r.size] for r in results]
    assert all(0 < a < 1.1 for a in apart), apart
