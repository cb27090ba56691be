"""LIRS2: cases worked out by hand from the paper, and the counts of another program."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import eviction
from tests.harness.driven import Driven

OTHERS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "eviction-others.csv"
SMALL = ("lirs-cpp", "lirs-cs", "lirs-glimpse", "lirs-ps", "lirs-backf", "lirs-multi1", "lirs-zigzag", "lirs-scan")


class Policy(Driven):
    """LIRS2 with unit weights, whose queues are told after every row of requests."""

    def __init__(self, capacity: int, params: str = "") -> None:
        super().__init__("lirs2", capacity, params)

    def after(self, *keys: int) -> list[str]:
        """Request keys in turn; S, Q and ghosts after the last."""
        self.requests(*keys)
        return self.dump().splitlines()[1:]


def test_the_first_blocks_are_lir_with_both_places() -> None:
    assert Policy(4).after(1, 2, 3, 4) == ["S: 4/h1 4/h2 3/L1 3/L2 2/L1 2/L2 1/L1 1/L2", "Q: 4", "ghosts:"]


def test_an_access_makes_the_last_place_the_second_and_prunes() -> None:
    """1 used: its last access becomes the second-last, where it was; the bottom is now its, as the oldest second-last of a LIR block."""
    driven = Policy(4)
    driven.after(1, 2, 3, 4)
    assert driven.after(1)[0] == "S: 1/L1 4/h1 4/h2 3/L1 3/L2 2/L1 2/L2 1/L2"
    assert driven.after(2)[0] == "S: 2/L1 1/L1 4/h1 4/h2 3/L1 3/L2 2/L2 1/L2"
    assert driven.after(1)[0] == "S: 1/L1 2/L1 1/L2 4/h1 4/h2 3/L1 3/L2 2/L2"


def test_the_second_access_does_not_promote_the_third_does() -> None:
    driven = Policy(4)
    driven.after(1, 2, 3, 4)
    assert driven.after(1, 4) == ["S: 4/h1 1/L1 4/h2 3/L1 3/L2 2/L1 2/L2 1/L2", "Q: 4", "ghosts:"]
    assert driven.after(1, 4) == ["S: 4/L1 1/L1 4/L2 1/L2 3/L1 3/L2", "Q: 2", "ghosts:"], "4 is LIR, 2, whose was the bottom, is not"


def test_long_second_distance_does_not_promote() -> None:
    """4 has one short distance, but its second-last access has left S: LIRS would promote it, LIRS2 does not."""
    driven = Policy(4)
    driven.after(1, 2, 3, 4, 1, 2, 3, 1, 2, 3)
    assert driven.after(4) == ["S: 4/h1 3/L1 2/L1 1/L1 3/L2 2/L2 1/L2", "Q: 4", "ghosts:"]
    assert driven.after(1, 4)[1] == "Q: 4"
    assert driven.after(2, 4)[1] == "Q: 3"


def test_a_victim_in_s_is_remembered_and_promoted_when_both_distances_were_short() -> None:
    driven = Policy(4)
    assert driven.after(1, 2, 3, 4, 5) == ["S: 5/h1 5/h2 4/n1 4/n2 3/L1 3/L2 2/L1 2/L2 1/L1 1/L2", "Q: 5", "ghosts: 4"]
    assert driven.after(4) == ["S: 4/h1 5/n1 5/n2 4/h2 3/L1 3/L2 2/L1 2/L2 1/L1 1/L2", "Q: 4", "ghosts: 5"], "only its second access"
    assert driven.after(5, 4) == ["S: 4/L1 5/n1 4/L2 5/n2 3/L1 3/L2 2/L1 2/L2", "Q: 1", "ghosts: 5"]
    assert driven.policy.ghost_hits() == 3


def test_a_victim_out_of_s_and_a_ghost_that_leaves_s_are_forgotten() -> None:
    driven = Policy(4)
    driven.after(1, 2, 3, 4, 1, 2, 3, 1, 2, 3)
    assert driven.after(5) == ["S: 5/h1 5/h2 3/L1 2/L1 1/L1 3/L2 2/L2 1/L2", "Q: 5", "ghosts:"], "4 was out of S"
    assert driven.after(6)[2] == "ghosts: 5"
    assert driven.after(1, 2, 3, 1, 2, 3) == ["S: 3/L1 2/L1 1/L1 3/L2 2/L2 1/L2", "Q: 6", "ghosts:"]


def test_ghosts_are_at_most_twice_the_capacity() -> None:
    assert Policy(4).after(*range(1, 21))[2] == "ghosts: 19 18 17 16 15 14 13 12"
    assert Policy(4, "ghosts=0.5").after(*range(1, 21))[2] == "ghosts: 19 18"


def test_an_immediate_repeat_changes_nothing() -> None:
    driven = Policy(4)
    before = driven.after(1, 2, 3, 4)
    assert driven.after(4, 4, 4) == before


def test_removals_leave_no_trace() -> None:
    """The bottom of S is removed: S is pruned to the next LIR block's second place; there is room for a new LIR block."""
    driven = Policy(4)
    driven.after(1, 2, 3, 4, 5)
    driven.remove(1)
    assert driven.after() == ["S: 5/h1 5/h2 4/n1 4/n2 3/L1 3/L2 2/L1 2/L2", "Q: 5", "ghosts: 4"]
    assert driven.after(4)[0] == "S: 4/L1 4/L2 5/h1 5/h2 3/L1 3/L2 2/L1 2/L2"
    for key in (2, 3, 4):
        driven.remove(key)
    assert driven.after() == ["S:", "Q: 5", "ghosts:"], "without a LIR block nothing is in S"


@pytest.mark.skipif(not OTHERS.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize("name", SMALL)
def test_near_the_simulator_of_caffeine(name: str) -> None:
    """That one keeps ghosts which are no longer in S, and so fewer of those that are: never more than 0.1 points apart here."""
    with OTHERS.open() as file:
        rows = [r for r in csv.DictReader(file) if (r["trace"], r["source"], r["policy"]) == (name, "caffeine", "LIRS2")]
    sizes = [int(row["cache_size"]) for row in rows]
    got = eviction.replay("lirs2", OTHERS.parent.parent / "traces" / f"{name}.u32.xz", sizes=sizes)
    assert sizes
    for result, row in zip(got, rows, strict=True):
        assert abs(result.hits - int(row["hits"])) <= 0.001 * result.requests, row
