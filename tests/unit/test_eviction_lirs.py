"""LIRS: cases worked out by hand from the paper, rule by rule, and the counts of the authors' own program."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import eviction

GOLD = Path(__file__).resolve().parents[3] / "shared" / "reference" / "eviction-gold.csv"


class Driven:
    """A policy with its driver, unit weights."""

    def __init__(self, capacity: int, params: str = "") -> None:
        self.capacity = capacity
        self.place: dict[int, int] = {}
        self.policy = eviction.Policy(eviction.ops_address("lirs"), capacity, capacity, 0, params)

    def request(self, *keys: int) -> list[str]:
        """Request keys in turn; S and Q after the last."""
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
        return self.policy.dump().splitlines()[1:]


def test_the_first_blocks_are_lir_until_the_hir_share_is_left() -> None:
    """One percent, but at least two."""
    assert Driven(5).request(1, 2, 3, 4, 5) == ["S: 5/h 4/h 3/L 2/L 1/L", "Q: 5 4"]
    assert Driven(5, "hir=0.6").request(1, 2, 3) == ["S: 3/h 2/L 1/L", "Q: 3"]


def test_a_lir_access_at_the_bottom_prunes() -> None:
    """As from (a) to (b) in figure 2 of the paper: the HIR blocks below the new bottom leave S; resident ones stay in Q."""
    driven = Driven(5)
    driven.request(1, 4, 5, 6, 7)  # 1, 4 and 5 are LIR
    assert driven.request(4, 5) == ["S: 5/L 4/L 7/h 6/h 1/L", "Q: 7 6"]
    assert driven.request(1) == ["S: 1/L 5/L 4/L", "Q: 7 6"]


def test_a_hir_hit_in_s_is_promoted_and_the_bottom_lir_goes_to_the_end_of_q() -> None:
    assert Driven(5).request(1, 2, 3, 4, 5, 4) == ["S: 4/L 5/h 3/L 2/L", "Q: 1 5"]


def test_a_hir_hit_out_of_s_goes_to_the_top_of_s_and_the_end_of_q() -> None:
    driven = Driven(5)
    assert driven.request(1, 2, 3, 4, 5, 1, 2, 3) == ["S: 3/L 2/L 1/L", "Q: 5 4"]
    assert driven.request(4) == ["S: 4/h 3/L 2/L 1/L", "Q: 4 5"], "not LIR: its recency was long"


def test_a_victim_in_s_stays_there_and_is_lir_when_used() -> None:
    driven = Driven(5)
    assert driven.request(1, 2, 3, 4, 5, 6) == ["S: 6/h 5/h 4/n 3/L 2/L 1/L", "Q: 6 5"]
    assert driven.request(4) == ["S: 4/L 6/h 5/n 3/L 2/L", "Q: 1 6"]
    assert driven.policy.ghost_hits() == 1


def test_a_victim_out_of_s_is_forgotten() -> None:
    driven = Driven(5)
    driven.request(1, 2, 3, 4, 5, 1, 2, 3)
    assert driven.request(6, 4) == ["S: 4/h 6/h 3/L 2/L 1/L", "Q: 4 6"]
    assert driven.policy.ghost_hits() == 0


def test_an_immediate_repeat_changes_nothing() -> None:
    driven = Driven(5)
    before = driven.request(1, 2, 3, 4, 5)
    assert driven.request(5, 5) == before


def test_a_removed_bottom_prunes_and_leaves_room_for_a_lir() -> None:
    driven = Driven(5)
    driven.request(1, 2, 3, 4, 5)
    driven.policy.remove(driven.place.pop(1))
    assert driven.request() == ["S: 5/h 4/h 3/L 2/L", "Q: 5 4"]
    assert driven.request(6) == ["S: 6/L 5/h 4/h 3/L 2/L", "Q: 5 4"]


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
