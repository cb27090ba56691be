"""Least hit density: densities worked out by hand, the rules of the paper one by one, and the counts of another program."""

from __future__ import annotations

import re

import pytest

import eviction
from tests.harness.driven import SHARED, Driven, counts, points

LOOP = [key for _ in range(60) for key in range(300)]


def ranks(driven: Driven) -> dict[int, float]:
    """Return the rank of every resident, as the dump tells it."""
    return {int(key): float(rank) for key, rank in re.findall(r"^(\d+)!? .*rank=(\S+)$", driven.dump(), re.M)}


def test_before_anything_is_known_the_oldest_of_a_class_leaves() -> None:
    driven = Driven("lhd", 3, "explore=0")
    assert driven.requests(1, 2, 3, 4) == [1]
    assert ranks(driven) == {2: pytest.approx(1 / 3, 1e-4), 3: 0.5, 4: 1.0}, "(class 0 + 1) / (age + 1)"


def test_a_short_time_between_uses_is_a_better_class() -> None:
    """Slots 4: ages up to 2^8 = 64 * 4 + 64, rounded down. A key hit one request after it came is of class 8 - 0: (8 + 1) / (0 + 1)."""
    driven = Driven("lhd", 4, "explore=0")
    driven.requests(1, 1)
    assert ranks(driven) == {1: 9.0}
    driven.requests(1)
    assert ranks(driven) == {1: 8.0}, "the last two together are 2: class 8 - 1"
    driven.requests(2, 3, 1)
    assert ranks(driven)[1] == 7.0, "3 and 1: class 8 - 2"


def test_density_is_hits_to_come_over_time_to_be_spent() -> None:
    """One slot. 1 comes (class 0), is hit at age 1 (then class 7), at 1 (6), at 1 (6), and leaves at 1 for 2: for class 6 one hit and
    one eviction at age 1, so 1 / 2 there and 1 / (2 + 2) at age 0; for classes 0 and 7 one hit: 1 / 1 and 1 / (1 + 1)."""
    driven = Driven("lhd", 1, "explore=0 interval=6 decay=1")
    assert driven.requests(1, 1, 1, 1, 2) == [1]
    driven.requests(2)
    assert "2 class=7 age=0" in driven.dump()
    assert ranks(driven) == {2: 0.5}
    driven.requests(2)
    assert "2 class=6 age=0" in driven.dump()
    assert ranks(driven) == {2: 0.25}


def test_events_fade() -> None:
    """With decay 0 what was seen until then counts nothing: no density at all."""
    driven = Driven("lhd", 1, "explore=0 interval=3 decay=0")
    driven.requests(1, 1, 1)
    assert ranks(driven) == {1: 0.0}


def test_a_density_is_that_of_a_unit_of_weight() -> None:
    driven = Driven("lhd", 5, "explore=0")
    driven.request(1, 4)
    driven.request(2, 1)
    assert ranks(driven) == {1: pytest.approx(1 / 2 / 4), 2: 1.0}
    assert driven.request(3, 1) == [1]


def test_what_is_older_than_any_age_leaves_first() -> None:
    driven = Driven("lhd", 2, "explore=0")
    driven.requests(1, 1, *[2] * 127)
    assert ranks(driven)[1] > 0
    driven.requests(2)
    assert ranks(driven)[1] == -1, "128 = 2^7 = 64 * 2 requests ago, in any class"
    assert driven.requests(3) == [1]


def test_explorers_are_few_and_spared() -> None:
    driven = Driven("lhd", 40, "explore=0.1")
    seen = 0
    for key in range(400):
        driven.request(key)
        exploring = set(map(int, re.findall(r"^(\d+)! ", driven.dump(), re.M)))
        assert len(exploring) <= 4, "a tenth of the capacity"
        seen = max(seen, len(exploring))
        if exploring:
            assert not exploring & set(driven.request(1000 + key) or [])
    assert seen == 4
    assert "!" not in Driven("lhd", 40, "explore=0").dump()


def test_removed_keys_and_explorers_are_forgotten() -> None:
    driven = Driven("lhd", 8, "explore=1 sample=2")
    for key in range(200):
        driven.request(key % 23)
        if key % 5 == 0:
            driven.remove(key % 23)
    for key in list(driven.place):
        driven.remove(key)
    assert driven.dump().count("\n") == 1


def test_it_learns_a_loop_that_does_not_fit() -> None:
    (lhd,), (lru,) = (eviction.replay(kind, LOOP, [150]) for kind in ("lhd", "lru"))
    assert lru.hits == 0
    assert lhd.hit_ratio > 0.3, "MIN has about a half"


def test_a_seed_repeats_a_run_and_another_does_not() -> None:
    first, again, other = (eviction.replay("lhd", LOOP, [150], seed=seed)[0].hits for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("params", ["sample=0", "interval=0", "decay=2", "explore=-1", "ages=9"])
def test_wrong_parameters_are_refused(params: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        eviction.replay("lhd", [1], [1], params=params)


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
def test_better_than_a_program_that_does_not_come_to_learn() -> None:
    """libCacheSim computes densities every 2^20 requests, and so never in these traces: see lhd.c."""
    traces = ("lirs-cs", "lirs-cpp", "lirs-scan", "lirs-zigzag", "lirs-backf", "cache2k-web12")
    apart = points("lhd", counts("LHD", "libcachesim", traces))
    assert len(apart) > 40
    assert sum(apart) / len(apart) > 1
