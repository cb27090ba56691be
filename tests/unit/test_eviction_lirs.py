"""LIRS: cases worked out by hand from the paper, rule by rule, and the counts of the authors' own program."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import eviction
from tests.harness.driven import Driven

GOLD = Path(__file__).resolve().parents[3] / "shared" / "reference" / "eviction-gold.csv"


class Policy(Driven):
    """LIRS with unit weights, whose queues are told after every row of requests."""

    def __init__(self, capacity: int, params: str = "") -> None:
        super().__init__("lirs", capacity, params)

    def after(self, *keys: int) -> list[str]:
        """Request keys in turn; S and Q after the last."""
        self.requests(*keys)
        return self.dump().splitlines()[1:]


def test_the_first_blocks_are_lir_until_the_hir_share_is_left() -> None:
    """One percent, but at least two."""
    assert Policy(5).after(1, 2, 3, 4, 5) == ["S: 5/h 4/h 3/L 2/L 1/L", "Q: 5 4"]
    assert Policy(5, "hir=0.6").after(1, 2, 3) == ["S: 3/h 2/L 1/L", "Q: 3"]


def test_a_lir_access_at_the_bottom_prunes() -> None:
    """As from (a) to (b) in figure 2 of the paper: the HIR blocks below the new bottom leave S; resident ones stay in Q."""
    driven = Policy(5)
    driven.after(1, 4, 5, 6, 7)  # 1, 4 and 5 are LIR
    assert driven.after(4, 5) == ["S: 5/L 4/L 7/h 6/h 1/L", "Q: 7 6"]
    assert driven.after(1) == ["S: 1/L 5/L 4/L", "Q: 7 6"]


def test_a_hir_hit_in_s_is_promoted_and_the_bottom_lir_goes_to_the_end_of_q() -> None:
    assert Policy(5).after(1, 2, 3, 4, 5, 4) == ["S: 4/L 5/h 3/L 2/L", "Q: 1 5"]


def test_a_hir_hit_out_of_s_goes_to_the_top_of_s_and_the_end_of_q() -> None:
    driven = Policy(5)
    assert driven.after(1, 2, 3, 4, 5, 1, 2, 3) == ["S: 3/L 2/L 1/L", "Q: 5 4"]
    assert driven.after(4) == ["S: 4/h 3/L 2/L 1/L", "Q: 4 5"], "not LIR: its recency was long"


def test_a_victim_in_s_stays_there_and_is_lir_when_used() -> None:
    driven = Policy(5)
    assert driven.after(1, 2, 3, 4, 5, 6) == ["S: 6/h 5/h 4/n 3/L 2/L 1/L", "Q: 6 5"]
    assert driven.after(4) == ["S: 4/L 6/h 5/n 3/L 2/L", "Q: 1 6"]
    assert driven.policy.ghost_hits() == 1


def test_a_victim_out_of_s_is_forgotten() -> None:
    driven = Policy(5)
    driven.after(1, 2, 3, 4, 5, 1, 2, 3)
    assert driven.after(6, 4) == ["S: 4/h 6/h 3/L 2/L 1/L", "Q: 4 6"]
    assert driven.policy.ghost_hits() == 0


def test_an_immediate_repeat_changes_nothing() -> None:
    driven = Policy(5)
    before = driven.after(1, 2, 3, 4, 5)
    assert driven.after(5, 5) == before


def test_a_removed_bottom_prunes_and_leaves_room_for_a_lir() -> None:
    driven = Policy(5)
    driven.after(1, 2, 3, 4, 5)
    driven.remove(1)
    assert driven.after() == ["S: 5/h 4/h 3/L 2/L", "Q: 5 4"]
    assert driven.after(6) == ["S: 6/L 5/h 4/h 3/L 2/L", "Q: 5 4"]


@pytest.mark.skipif(not GOLD.exists(), reason="the reference counts are not here")
def test_every_count_of_the_authors_program_on_short_traces() -> None:
    with GOLD.open() as file:
        rows = [r for r in csv.DictReader(file) if r["policy"] == "LIRS" and r["source"] == "authors" and int(r["requests"]) < 150_000]
    assert len(rows) > 100
    wrong = []
    for name in sorted({row["trace"] for row in rows}):
        (path,) = (GOLD.parent.parent / "traces").glob(f"{name}.*32.xz")
        mine = [row for row in rows if row["trace"] == name]
        got = eviction.replay("lirs", path, sizes=[int(row["cache_size"]) for row in mine], weights=1)
        wrong += [(name, r.size, r.hits, row["hits"]) for r, row in zip(got, mine, strict=True) if r.hits != int(row["hits"])]
    assert not wrong
