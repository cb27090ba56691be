"""CLOCK-Pro and CLOCK-Pro+: cases worked out by hand from the papers, rule by rule, and the counts of another program."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import eviction

OTHERS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "eviction-others.csv"
SMALL = ("lirs-cpp", "lirs-cs", "lirs-glimpse", "lirs-ps", "lirs-backf", "lirs-multi1", "lirs-zigzag")


class Driven:
    """A policy with its driver, unit weights."""

    def __init__(self, kind: str, capacity: int, params: str = "") -> None:
        self.capacity = capacity
        self.place: dict[int, int] = {}
        self.policy = eviction.Policy(eviction.ops_address(kind), capacity, capacity, 0, params)

    def request(self, *keys: int) -> str:
        """Request keys in turn; the dump after the last."""
        for key in keys:
            if key in self.place:
                self.policy.hit(self.place[key])
            elif self.policy.miss(key):
                while len(self.place) >= self.capacity:
                    slot = self.policy.evict()
                    self.place = {k: s for k, s in self.place.items() if s != slot}
                self.place[key] = min(set(range(self.capacity)) - set(self.place.values()))
                self.policy.insert(self.place[key], key)
            assert self.policy.check() is None
        return self.policy.dump()


def text(kind: str, cold: int, *lines: str) -> str:
    return f"{kind}: cold={cold}\n" + "".join(f"{line}\n" for line in lines)


def test_warm_up_is_hot_but_for_the_least_cold_share() -> None:
    assert Driven("clockpro", 4).request(1, 2, 3, 4) == text("clockpro", 2, "hot: 2 1", "cold: 4? 3?", "ghosts:")


def test_a_victim_in_test_stays_as_a_ghost_and_is_hot_when_used() -> None:
    """3 leaves while in test; used again it turns hot, and hand hot turns the oldest hot page cold, at the head and not in test."""
    driven = Driven("clockpro", 4)
    assert driven.request(1, 2, 3, 4, 5, 6) == text("clockpro", 2, "hot: 2 1", "cold: 6? 5?", "ghosts: 4 3")
    assert driven.request(3) == text("clockpro", 2, "hot: 3 2", "cold: 1 6?", "ghosts: 5 4")
    assert driven.policy.ghost_hits() == 1


def test_a_victim_out_of_test_leaves_no_ghost() -> None:
    driven = Driven("clockpro", 4)
    driven.request(1, 2, 3, 4, 5, 6, 3)
    assert driven.request(7) == text("clockpro", 2, "hot: 3 2", "cold: 7? 1", "ghosts: 6 5 4")
    assert "ghosts: 6 5 4\n" not in driven.request(4)  # 1 went; it was no longer in test


def test_hand_hot_ends_the_tests_that_it_passes() -> None:
    """To make 4 hot, 2 turns cold and the hand goes on to 3, past the ghosts 4, 5 and 6, which are older than 3."""
    driven = Driven("clockpro", 4)
    driven.request(1, 2, 3, 4, 5, 6, 3, 7)
    assert driven.request(4) == text("clockpro", 2, "hot: 4 3", "cold: 2 7?", "ghosts:")


def test_hand_cold_on_a_used_page_in_test_makes_it_hot() -> None:
    driven = Driven("clockpro", 4)
    assert driven.request(1, 2, 3, 4, 3, 5) == text("clockpro", 2, "hot: 3 2", "cold: 5? 1", "ghosts: 4")


def test_hand_cold_on_a_used_page_out_of_test_begins_a_test() -> None:
    """1, demoted and then used, is spared as a cold page in test; 6, next in line, leaves."""
    driven = Driven("clockpro", 4)
    assert driven.request(1, 2, 3, 4, 5, 6, 3, 1, 7) == text("clockpro", 2, "hot: 3 2", "cold: 7? 1*", "ghosts: 6 5 4")
    assert driven.request(8) == text("clockpro", 2, "hot: 3 2", "cold: 8? 1?", "ghosts: 7 6 5 4")


def test_hand_hot_spares_used_pages_and_gives_up_at_the_trigger() -> None:
    """Hot pages 1 and 2 are used: hand hot clears both bits and comes to 3 before any unused hot page: 3 is not promoted."""
    driven = Driven("clockpro", 4)
    driven.request(1, 2, 3, 4, 5, 1, 2)
    assert driven.request(3) == text("clockpro", 2, "hot: 2 1", "cold: 3? 5", "ghosts:")


def test_an_immediate_repeat_sets_no_bit() -> None:
    driven = Driven("clockpro", 4)
    assert driven.request(1, 2, 3, 3, 3) == text("clockpro", 2, "hot: 2 1", "cold: 3?", "ghosts:")
    assert driven.request(1, 3) == text("clockpro", 2, "hot: 2 1*", "cold: 3?*", "ghosts:")


def test_ghosts_are_at_most_twice_the_capacity() -> None:
    driven = Driven("clockpro", 4)
    assert driven.request(*range(1, 21)).splitlines()[3] == "ghosts: 18 17 16 15 14 13 12 11"
    assert Driven("clockpro", 4, "ghosts=0").request(*range(1, 21)).splitlines()[3] == "ghosts:"


def test_the_target_follows_tests_used_and_unused_within_its_bounds() -> None:
    driven = Driven("clockpro", 8)
    assert driven.request(*range(1, 12)) == text("clockpro", 2, "hot: 6 5 4 3 2 1", "cold: 11? 10?", "ghosts: 9 8 7")
    assert driven.request(7).startswith("clockpro: cold=3\n"), "a use in test: one more"
    assert driven.request(9) == text("clockpro", 4, "hot: 9 7 6 5", "cold: 4 3 2 1", "ghosts: 11 10 8")
    dump = driven.request(8)
    assert dump == text("clockpro", 2, "hot: 8 9 7", "cold: 6 5 4 3 2", "ghosts:"), (
        "one more, and one less for each of 8, 10, 11: hand hot is at 7"
    )
    assert sum(len(line.split()) - 1 for line in dump.splitlines()[1:3]) == 8, "hot and cold add up to the capacity"


def test_the_hands_leave_removed_pages() -> None:
    """Remove the oldest hot and the oldest cold page: the hot hand goes on to 3, and what it passes loses its test."""
    driven = Driven("clockpro", 4)
    driven.request(1, 2, 3, 4, 5, 6, 3, 7)
    driven.policy.remove(driven.place.pop(2))
    assert driven.policy.check() is None
    assert driven.policy.dump() == text("clockpro", 2, "hot: 3", "cold: 7? 1", "ghosts:")
    driven.policy.remove(driven.place.pop(1))
    assert driven.policy.check() is None
    assert driven.request(8, 9) == text("clockpro", 2, "hot: 3", "cold: 9? 8? 7?", "ghosts:")


def test_a_smaller_capacity_turns_hot_pages_cold() -> None:
    driven = Driven("clockpro", 8)
    driven.request(*range(1, 9))
    driven.policy.resize(4)
    driven.capacity = 4
    assert driven.request(20) == text("clockpro", 2, "hot: 6 5", "cold: 20? 4", "ghosts: 8 7")


def test_plus_moves_the_target_only_for_ghosts_and_demoted_pages() -> None:
    """A used ghost: plus max(1, demoted / ghosts). A demoted page that is used: minus max(1, ghosts / demoted). Tests that end: nothing."""
    driven = Driven("clockpro+", 8)
    assert driven.request(*range(1, 12)) == text("clockpro+", 2, "hot: 6 5 4 3 2 1", "cold: 11? 10?", "ghosts: 9 8 7")
    assert driven.request(7) == text("clockpro+", 3, "hot: 7 6 5 4 3", "cold: 2! 1! 11?", "ghosts: 10 9 8")
    assert driven.request(*range(20, 40)).startswith("clockpro+: cold=3\n"), "tests that ended unused"
    driven = Driven("clockpro+", 8)
    driven.request(*range(1, 12), 7, 1, 12)
    assert driven.request(13).startswith("clockpro+: cold=2\n"), "1, demoted, was used: hand cold found its bit"


@pytest.mark.skipif(not OTHERS.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize(("kind", "policy"), [("clockpro", "Clock-Pro"), ("clockpro+", "Clock-Pro+")])
@pytest.mark.parametrize("name", SMALL)
def test_as_the_simulator_of_caffeine(name: str, kind: str, policy: str) -> None:
    with OTHERS.open() as file:
        rows = [r for r in csv.DictReader(file) if (r["trace"], r["source"], r["policy"]) == (name, "caffeine", policy)]
    sizes = [int(row["cache_size"]) for row in rows]
    got = eviction.replay(kind, OTHERS.parent.parent / "traces" / f"{name}.u32.xz", sizes=sizes)
    assert sizes
    assert [r.hits for r in got] == [int(row["hits"]) for row in rows]
