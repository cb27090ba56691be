"""FRD: cases worked out by hand from the paper, and the counts of another program. Half of the capacity of 4 is the filter."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import eviction
from tests.harness.driven import Driven

OTHERS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "eviction-others.csv"
SMALL = ("lirs-cpp", "lirs-cs", "lirs-ps", "lirs-backf", "lirs-multi1", "lirs-zigzag", "lirs-scan")


class Policy(Driven):
    """FRD with unit weights, whose queues are told after every row of requests."""

    def __init__(self, capacity: int = 4, params: str = "filter=50") -> None:
        super().__init__("frd", capacity, params)

    def after(self, *keys: int) -> list[str]:
        """Request keys in turn; stack, filter and ghosts after the last."""
        self.requests(*keys)
        return self.dump().splitlines()[1:]


def test_warm_up_fills_the_stack_then_the_filter() -> None:
    assert Policy().after(1, 2, 3, 4) == ["stack: 2 1", "filter: 4* 3*", "ghosts:"]
    assert Policy(10, "").after(*range(1, 11)) == ["stack: 9 8 7 6 5 4 3 2 1", "filter: 10*", "ghosts:"]


def test_a_miss_without_history_costs_the_oldest_of_the_filter() -> None:
    assert Policy().after(1, 2, 3, 4, 5) == ["stack: 2 1", "filter: 5* 4*", "ghosts: 3"]


def test_a_miss_with_history_goes_to_the_stack_whose_oldest_leaves_without_history() -> None:
    driven = Policy()
    assert driven.after(1, 2, 3, 4, 5, 3) == ["stack: 3 2", "filter: 5* 4*", "ghosts:"]
    assert driven.policy.ghost_hits() == 1
    assert driven.after(1) == ["stack: 3 2", "filter: 1* 5*", "ghosts: 4"], "1 has no history: to the filter"


def test_a_hit_in_the_filter_does_not_promote() -> None:
    assert Policy().after(1, 2, 3, 4, 3, 3) == ["stack: 2 1", "filter: 3* 4*", "ghosts:"]


def test_a_hit_in_the_stack_prunes_only_from_the_bottom() -> None:
    driven = Policy()
    driven.after(1, 2, 3, 4, 5)
    assert driven.after(1) == ["stack: 1 2", "filter: 5* 4*", "ghosts: 3"], "2 is older than all history"
    assert driven.after(1) == ["stack: 1 2", "filter: 5* 4*", "ghosts: 3"]
    assert driven.after(2) == ["stack: 2 1", "filter: 5 4", "ghosts:"], "1 is newer"
    assert driven.after(6) == ["stack: 2 1", "filter: 6* 5", "ghosts:"], "4 had lost its history"


def test_history_is_bounded() -> None:
    assert Policy(4, "filter=50 ghosts=0 least=2").after(*range(1, 20))[2] == "ghosts: 17 16"
    assert Policy(4, "filter=50 ghosts=1 least=0").after(*range(1, 20))[2] == "ghosts: 17 16 15 14"
    assert Policy(4, "filter=50 ghosts=0 least=0").after(*range(1, 20))[2] == "ghosts:"


def test_a_removal_at_the_bottom_prunes() -> None:
    driven = Policy()
    driven.after(1, 2, 3, 4, 5, 1)
    driven.remove(2)
    assert driven.after() == ["stack: 1", "filter: 5 4", "ghosts:"]
    assert driven.after(6, 7) == ["stack: 1", "filter: 7* 6* 5", "ghosts:"]


@pytest.mark.skipif(not OTHERS.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize("name", SMALL)
def test_near_the_simulator_of_caffeine(name: str) -> None:
    """That one gives no history to blocks that come while there is room, and has no bound: never half a point apart here."""
    with OTHERS.open() as file:
        rows = [r for r in csv.DictReader(file) if (r["trace"], r["source"], r["policy"]) == (name, "caffeine", "FRD")]
    sizes = [int(row["cache_size"]) for row in rows]
    got = eviction.replay("frd", OTHERS.parent.parent / "traces" / f"{name}.u32.xz", sizes=sizes)
    assert sizes
    for result, row in zip(got, rows, strict=True):
        assert abs(result.hits - int(row["hits"])) <= 0.005 * result.requests, row
