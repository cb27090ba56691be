"""LeCaR and CACHEUS: their rules worked out by hand from the papers, long runs in lock step, and the counts of other programs."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

import eviction
from eviction.twins import TWINS
from tests.harness.driven import SHARED, Driven, counts, points
from tests.harness.fractions import fractions

SMALL = ("lirs-cpp", "lirs-cs", "lirs-glimpse", "lirs-ps", "lirs-multi1", "lirs-2_pools", "cache2k-web12", "corda-vaultservice")
shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared traces are not here")


def lecar(w: str, queue: str, recency: str = "", frequency: str = "") -> str:
    lines = (
        f"Q:{queue and ' ' + queue}",
        f"history of recency:{recency and ' ' + recency}",
        f"history of frequency:{frequency and ' ' + frequency}",
    )
    return f"lecar: weights={w} rate=0.4500\n" + "".join(f"{line}\n" for line in lines)


def cacheus(w: str, q: str, s: str, recency: str = "") -> str:
    lines = (f"Q:{q and ' ' + q}", f"S: {s}", f"history of recency:{recency and ' ' + recency}", "history of frequency:")
    return f"cacheus: weights={w} rate=0.3723\n" + "".join(f"{line}\n" for line in lines)


def test_lecar_whom_both_experts_name_goes_into_no_history() -> None:
    driven = Driven("lecar", 4)
    assert driven.requests(1, 2, 3, 4, 1, 5) == [2], "the oldest, and of those asked for once the oldest"
    assert driven.dump() == lecar("0.5000,0.5000", "5/1 1/2 4/1 3/1")


def test_lecar_regret_is_discounted_by_time_and_the_count_comes_back() -> None:
    """1 was evicted by recency one request ago: w = 0.99 exp(-0.45 * 0.005^(1/4)) against 0.01, normalised."""
    driven = Driven("lecar", 4, "weight=0.99")
    assert driven.requests(1, 1, 2, 3, 4, 5) == [1]
    assert driven.dump() == lecar("0.9900,0.0100", "5/1 4/1 3/1 2/1", recency="1")
    assert driven.requests(1) == [2]
    assert driven.dump() == lecar("0.9887,0.0113", "1/3 5/1 4/1 3/1")
    assert driven.policy.ghost_hits() == 1


def test_lecar_regret_of_the_frequency_expert() -> None:
    """2 was evicted by frequency two requests ago: w = 0.99 exp(-0.45 * 0.005^(2/4)) against 0.01."""
    driven = Driven("lecar", 4, "weight=0.01")
    assert driven.requests(1, 1, 2, 3, 4, 5) == [2]
    assert driven.dump() == lecar("0.0100,0.9900", "5/1 4/1 3/1 1/2", frequency="2")
    driven.request(5)
    assert driven.requests(2) == [3]
    assert driven.dump() == lecar("0.0103,0.9897", "2/2 5/2 4/1 1/2", frequency="3")


@pytest.mark.parametrize("kind", ["lecar", "cacheus"])
def test_histories_hold_half_of_the_capacity_and_weights_stay_between_their_ends(kind: str) -> None:
    driven, chance = Driven(kind, 8), random.Random(4)
    for step in range(2_000):
        driven.request(chance.randrange(20) if step % 5 else step % 12)
        first, *rest = driven.dump().splitlines()
        recency, frequency = (float(w) for w in first.split("weights=")[1].split()[0].split(","))
        assert 0.01 <= recency <= 0.99
        assert recency + frequency == pytest.approx(1, abs=2e-4)
        assert all(len(line.split(":")[1].split()) <= 4 for line in rest if line.startswith("history"))


@pytest.mark.parametrize("kind", ["lecar", "cacheus"])
def test_chance_is_of_the_seed_alone(kind: str) -> None:
    chance = random.Random(1)
    trace = [int(chance.paretovariate(0.7)) % 400 for _ in range(8_000)]
    runs = [[eviction.replay(kind, trace, 60, seed=seed)[0].hits for seed in range(5)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 1


def test_cacheus_fills_s_first_and_what_s_gives_up_is_demoted() -> None:
    """Q is for 1 of 10, S for 9. 10 finds S full and Q empty; for 11, both experts name 10: the oldest of Q, the most recent of count 1."""
    driven = Driven("cacheus", 10, "weight=0.99")
    driven.requests(*range(1, 11))
    assert driven.dump() == cacheus("0.9900,0.0100", "10/1", "9/1 8/1 7/1 6/1 5/1 4/1 3/1 2/1 1/1")
    assert driven.requests(11) == [10]
    assert driven.dump() == cacheus("0.9900,0.0100", "1/1d 11/1n", "9/1 8/1 7/1 6/1 5/1 4/1 3/1 2/1")


def test_cacheus_of_the_least_count_the_most_recent_leaves() -> None:
    driven = Driven("cacheus", 10, "weight=0.01")
    driven.requests(*range(1, 12))
    driven.request(11)
    assert driven.requests(12) == [9], "the frequency expert: of those asked for once 9 was last"


def test_cacheus_the_new_flag_goes_through_the_history_and_moves_the_border() -> None:
    """12 was new when recency evicted it from Q: Q gets 2 and S 8, so S gives up two; a hit of one of these gives the place back."""
    driven = Driven("cacheus", 10, "weight=0.99")
    assert driven.requests(*range(1, 15)) == [10, 11, 1, 12]
    assert driven.dump() == cacheus("0.9900,0.0100", "14/1n 13/1n", "9/1 8/1 7/1 6/1 5/1 4/1 3/1 2/1", recency="12 1")
    assert driven.requests(12) == [13]
    w = "0.9856,0.0144"  # 0.99 exp(-0.3723) against 0.01
    assert driven.dump() == cacheus(w, "3/1d 2/1d 14/1n", "12/1 9/1 8/1 7/1 6/1 5/1 4/1", recency="13 1")
    driven.request(2)
    assert driven.dump() == cacheus(w, "3/1d 14/1n", "2/2 12/1 9/1 8/1 7/1 6/1 5/1 4/1", recency="13 1")
    driven.request(14)
    assert driven.dump() == cacheus(w, "3/1d", "14/2n 2/2 12/1 9/1 8/1 7/1 6/1 5/1 4/1", recency="13 1"), "S is for 9 again"


def test_cacheus_the_rate_follows_what_it_did_to_the_hit_ratio() -> None:
    """0.3723 came with a hit ratio up by 0.3: times 1.372. That came with one down by 0.2: times 1 - (0.511 - 0.372)."""
    driven = Driven("cacheus", 10)
    driven.requests(1, 1, 1, 1, 2, 3, 4, 5, 6)
    assert "rate=0.3723\n" in driven.dump()
    driven.request(7)
    assert "rate=0.5108\n" in driven.dump()
    driven.requests(7, *range(8, 16))
    assert "rate=0.5108\n" in driven.dump()
    driven.request(16)
    assert "rate=0.4398\n" in driven.dump()


def test_cacheus_the_border_moves_by_weight() -> None:
    """As the case of the flag, all ten times as heavy: Q is for one entry of ten there, so its share is 0.1 here."""
    driven = Driven("cacheus", 100, "weight=0.99 q=0.1", slots=10)
    for key in (*range(1, 15), 12, 2, 14):
        driven.request(key, 10)
    assert "\nQ: 3/1d\nS: 14/2n 2/2 12/1 9/1 8/1 7/1 6/1 5/1 4/1\n" in driven.dump()


def test_cacheus_a_share_of_less_than_an_entry_is_an_entry_at_a_time() -> None:
    """Q is for 1 of 100, S for 99. S, below 99, takes 10 too; 11 pushes out 1, the oldest of S, then whoever is in Q goes."""
    driven = Driven("cacheus", 100, "weight=0.99", slots=10)
    gone = [left for key in (*range(1, 15), 12, 2, 14) for left in driven.request(key, 10) or []]
    assert gone == [1, 11, 12, 13, 14, 12]
    assert driven.dump() == cacheus("0.9900,0.0100", "14/1n", "2/2 10/1 9/1 8/1 7/1 6/1 5/1 4/1 3/1", recency="1")


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("kind", ["lecar", "cacheus"])
def test_long_runs_in_lock_step(kind: str, heavy: bool) -> None:
    chance = random.Random(7)
    driven, twin = Driven(kind, 90, seed=5), TWINS[kind](90, seed=5)
    for step in range(6_000):
        key = int(chance.paretovariate(0.5)) % 400 if step % 3 else step // 3 % 120
        weight = chance.randrange(1, 8) if heavy else 1
        assert twin.request(key, weight) == (driven.request(key, weight) is None), f"step {step}"
        if step % 40 == 0:
            assert driven.dump() == twin.dump(), f"step {step}"


@pytest.mark.parametrize("kind", ["lecar", "cacheus"])
def test_few_slots_bound_the_histories_too(kind: str) -> None:
    """Light entries: slots, not the capacity, are the bound; the counts of what is new still fit (checked at every step)."""
    driven, twin, chance = Driven(kind, 1_000, slots=1_000, seed=2), TWINS[kind](1_000, seed=2), random.Random(3)
    small = eviction.Policy(eviction.ops_address(kind), 1_000, 6)
    place: dict[int, int] = {}
    for step in range(1_500):
        key = chance.randrange(30)
        driven.request(key, 100)
        twin.request(key, 100)
        if key in place:
            small.hit(place[key])
        elif small.miss(key):
            if len(place) == 6:
                slot = small.evict()
                place = {k: s for k, s in place.items() if s != slot}
            place[key] = min(set(range(6)) - set(place.values()))
            small.insert(place[key], key)
        assert small.check() is None, f"step {step}"
    assert driven.dump() == twin.dump()


@shared
def test_cacheus_the_fraction_of_min() -> None:
    """At least that of Caffeine's, the best of other programs."""
    assert fmean(fractions("cacheus").values()) >= 0.820
    loop = eviction.load(SHARED / "traces" / "lirs-loop.u32.xz")
    assert eviction.replay("cacheus", loop, 512)[0].hit_ratio > 0.50, "libcachesim's has 0, MIN 50.5 %"


@shared
def test_beside_other_programs() -> None:
    """cacheus: chance apart Caffeine's. lecar: libcachesim's forgets the count of a key that comes back, which the papers' authors keep."""
    assert abs(fmean(points("cacheus", counts("Cacheus", "caffeine", SMALL)))) < 1
    lecars = points("lecar", counts("LeCaR", "libcachesim", SMALL))
    assert 0 < fmean(lecars) < 5
    assert sum(abs(point) < 0.5 for point in lecars) > len(lecars) / 2
