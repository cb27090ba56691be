"""All ways of keeping a secondary index answer as a dict does, and their counters add up."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lsm
import recovery
from lsm.secondary import strategies
from lsm.secondary.strategies import STRATEGIES, Strategy

VALUES = [None, "x", 2.5, *range(8)]
OPTIONS: dict[str, Any] = {"threads": 0, "write_buffer": 65536}


class Run:
    """Random changes to one way and to a dict; after each of some, the same questions to both."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.fs, self.random = kind, recovery.memory(), random.Random(seed)
        self.model: dict[int, Any] = {}
        self.open()

    def open(self) -> None:
        self.db = lsm.open("/strategies", fs=self.fs, **OPTIONS)
        self.way: Strategy = strategies.make(self.kind, self.db, "t", ("value", "pad"), "value")

    def row(self) -> dict[str, Any]:
        r = self.random
        return {"id": r.randrange(80), "value": r.choice(VALUES), "pad": "x" * r.choice([0, 10, 900])}

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.4:
            rows = [self.row() for _ in range(self.random.choice([1, 5, 60]))]
            self.way.put_many(rows)
            self.model |= {row["id"]: row["value"] for row in rows}
        elif chance < 0.6:
            row = self.row()
            self.way.put(row)
            self.model[row["id"]] = row["value"]
        elif chance < 0.8:
            row_id = self.random.randrange(80)
            self.way.delete(row_id)
            self.model.pop(row_id, None)
        elif chance < 0.86:
            self.way.flush()
        elif chance < 0.9:
            self.way.maintain()
        elif chance < 0.93:
            self.way.compact()
        else:
            self.db.close()
            self.open()

    def check(self) -> None:
        value = self.random.choice(VALUES)
        before = vars(self.way.counters).copy()
        found = self.way.lookup(value).tolist()
        assert found == sorted(i for i, v in self.model.items() if v == value and (v is None) == (value is None)), value
        low, high = sorted((self.random.randrange(9), self.random.randrange(9)))
        between = self.way.range(low, high).tolist()
        assert between == sorted(i for i, v in self.model.items() if isinstance(v, int | float) and low <= v < high), (low, high)
        counters = self.way.counters
        assert counters.hits - before["hits"] == len(found) + len(between)
        assert counters.candidates == counters.hits + counters.false_hits


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", STRATEGIES)
def test_every_strategy_answers_as_a_dict(kind: str, seed: int) -> None:
    run = Run(kind, seed)
    try:
        for step in range(120):
            run.step()
            try:
                run.check()
            except AssertionError as e:
                raise AssertionError(f"{kind}, seed {seed}, step {step}: {e}") from e
    finally:
        run.db.close()


def pairs(way: Strategy, space: int = 0) -> list[tuple[bytes, bytes]]:
    return [(bytes(k), bytes(v)) for k, v in way.spaces[space].scan()]


@pytest.mark.parametrize("kind", STRATEGIES)
def test_counters_of_a_strategy_count_what_is_there(kind: str) -> None:
    """100 rows, 40 of them changed, 10 deleted, one batch each."""
    with lsm.open("/counters", fs=recovery.memory(), **OPTIONS) as db:
        way = strategies.make(kind, db, "t", ("value",), "value")
        way.put_many([{"id": i, "value": i % 10} for i in range(100)])
        inserted = vars(way.counters).copy()
        way.put_many([{"id": i, "value": 10 + i % 2} for i in range(40)])
        for i in range(90, 100):
            way.delete(i)
        c = way.counters
        reads = {"embedded": 0, "shadow": 0, "validated": 0, "mutable_bitmap": 150, "composite": 150, "lazy": 150}
        assert c.reads == reads.get(kind, 150 + 10 + 12 + 10)  # eager: lists of ten values, of twelve, and one a delete
        writes = {
            "embedded": (0, 0),
            "shadow": (100, 50),
            "eager": (10, 12 + 10),
            "lazy": (10, 12 + 10),
            "composite": (100, 80 + 10),
            "validated": (200, 80 + 10),
            "mutable_bitmap": (200, 80 + 10),
        }
        assert (inserted["writes"], c.writes - inserted["writes"]) == writes[kind]
        if kind == "composite":
            assert len(pairs(way)) == 90 == inserted["writes"] - 10
        if kind in ("validated", "mutable_bitmap"):
            assert (len(pairs(way)), len(pairs(way, 1))) == (140, 90)
            assert way.lookup(3).tolist() == [43, 53, 63, 73, 83]
            assert (c.candidates, c.hits, c.false_hits) == (10, 5, 5)
            assert c.reads == reads[kind] + (10 if kind == "validated" else 0)
            way.maintain()
            assert len(pairs(way)) == 90
            way.lookup(3)
            assert c.false_hits == 5
        if kind == "lazy":
            assert len(pairs(way)) == 32
            way.maintain()
            assert len(pairs(way)) == 32  # none has more than four


def test_lazy_lists_are_folded_by_the_pass() -> None:
    with lsm.open("/lazy", fs=recovery.memory(), **OPTIONS) as db:
        way = strategies.make("lazy", db, "t", ("value",), "value")
        for i in range(12):
            way.put({"id": i, "value": 7})
        assert len(pairs(way)) == 12
        way.maintain()
        assert len(pairs(way)) == 1
        assert way.lookup(7).tolist() == list(range(12))
        for i in range(12):
            way.delete(i)
        way.maintain()
        assert pairs(way) == []


def test_embedded_scans_only_stretches_that_may_hold_a_hit() -> None:
    """Values that grow with the row: zone maps tell nearly all; values in no order, few hits: filters do."""
    with lsm.open("/embedded", fs=recovery.memory(), **OPTIONS) as db:
        way = strategies.make("embedded", db, "t", ("value", "other"), "value")
        other = strategies.make("embedded", db, "u", ("value", "other"), "other")
        numbers = random.Random(1).sample(range(2000), 2000)
        for each in (way, other):
            each.put_many([{"id": i, "value": i, "other": numbers[i]} for i in range(2000)])
        db.flush()
        assert way.range(100, 110).tolist() == list(range(100, 110))
        assert way.counters.candidates <= 2 * 64
        assert other.lookup(5).tolist() == [numbers.index(5)]
        assert other.counters.candidates <= 6 * 64


def test_strategies_refuse_what_they_do_not_know() -> None:
    with lsm.open("/unknown", fs=recovery.memory(), **OPTIONS) as db:
        with pytest.raises(ValueError, match=r"kind is 'bitmaps'; allowed: embedded, eager"):
            strategies.make("bitmaps", db, "t", ("a",), "a")
        with pytest.raises(ValueError, match="column 'b' of a; allowed"):
            strategies.make("lazy", db, "t", ("a",), "b")
