"""Trying advice out: the indexes are built on a table in memory of the sampled rows, and the queries are run with and without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from . import planner
from .sample import Sample
from .whatif import Hypothetical, WhatIf
from .workload import Query

if TYPE_CHECKING:
    from .table import Table

MOST_QUERIES = 200


@dataclass(frozen=True)
class Work:
    """Of a workload on the sample: rows read (the same each time) and microseconds (not)."""

    rows: float = 0.0
    time: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.rows + other.rows, self.time + other.time)

    def __sub__(self, other: Work) -> Work:
        return Work(self.rows - other.rows, self.time - other.time)

    def times(self, weight: float) -> Work:
        """So many times."""
        return Work(self.rows * weight, self.time * weight)


@dataclass(frozen=True)
class Verified:
    """``before`` and ``after``: with no new index and with all; ``without``: with all but this one, by name; ``expected``: what the model
    says of the same rows, before and after; ``insert``: microseconds to put a row, before and after; ``bytes`` of each index as built.
    """

    rows: int
    queries: int
    before: Work
    after: Work
    expected: tuple[Work, Work]
    without: dict[str, Work]
    bytes: dict[str, int]
    wrong: tuple[str, ...]

    def share(self, name: str) -> Work:
        """What an index saves beside the others."""
        return self.without[name] - self.after


def try_out(
    sample: Sample,
    queries: Sequence[Query],
    chosen: Sequence[Hypothetical],
    existing: Sequence[Hypothetical],
    what_if: Callable[[Sample], WhatIf],
    key: str,
    repeats: int,
) -> Verified:
    """Build and measure. The heaviest queries are run, at most MOST_QUERIES; times are the least of ``repeats``."""
    import recovery

    from ..db import open as open_db

    queries = queries[:MOST_QUERIES]
    model = what_if(sample.alone())
    with open_db("/verify", {"threads": 0}, fs=recovery.memory()) as db:
        table = db.table("sample", key=key, functions=sample.functions)
        table.put_many(sample.rows)
        for h in (*existing, *chosen):
            d = h.definition
            table.create_index(h.name, list(d.columns), kind=d.kind, where=d.where, **d.arguments)
        table.flush()
        kept, new = {h.name for h in existing}, {h.name for h in chosen}
        runner = _Runner(table, repeats)
        before, after, expected = Work(), Work(), (Work(), Work())
        without = dict.fromkeys((h.name for h in chosen), Work())
        wrong = []
        for q in queries:
            first, last = runner.run(q, kept), runner.run(q, kept | new)
            before += first.times(q.weight)
            after += last.times(q.weight)
            prices = (model.price(q, existing), model.price(q, (*existing, *chosen)))
            expected = tuple(e + Work(p.read, p.cost).times(q.weight) for e, p in zip(expected, prices, strict=True))  # type: ignore[assignment]
            for h in chosen:
                less = runner.run(q, kept | new - {h.name}) if h.name in runner.used(q, kept | new) else last
                without[h.name] += less.times(q.weight)
            wrong += [f"{q}: other rows with the indexes than without"] if runner.differs(q) else []
        sizes = {row["name"]: int(row["bytes"]) for row in table.indexes() if row["name"] in new}
    return Verified(len(sample.rows), len(queries), before, after, expected, without, sizes, tuple(wrong))


class _Runner:
    """Runs queries under sets of indexes, each once."""

    def __init__(self, table: Table, repeats: int) -> None:
        self.table, self.repeats = table, repeats
        self._done: dict[tuple[int, frozenset[str]], tuple[Work, frozenset[str], int]] = {}

    def run(self, query: Query, names: set[str]) -> Work:
        """Run with the indexes of these names."""
        return self._of(query, names)[0]

    def used(self, query: Query, names: set[str]) -> frozenset[str]:
        """Return which of them were used."""
        return self._of(query, names)[1]

    def differs(self, query: Query) -> bool:
        """Tell whether it gave another number of rows with other indexes."""
        return len({found for (q, _), (_, _, found) in self._done.items() if q == id(query)}) > 1

    def _of(self, query: Query, names: set[str]) -> tuple[Work, frozenset[str], int]:
        key = id(query), frozenset(names)
        if key not in self._done:
            self._done[key] = self._measured(query, names)
        return self._done[key]

    def _measured(self, query: Query, names: set[str]) -> tuple[Work, frozenset[str], int]:
        best = float("inf")
        with self.table.moment() as moment:
            moment.indexes = {n: x for n, x in moment.indexes.items() if n in names}
            for _ in range(self.repeats):
                begun = perf_counter()
                if query.count:
                    found, plan = planner.run_count(self.table, query.where, moment)
                else:
                    rows, plan = planner.run_find(self.table, query.where, query.columns, query.order_by, query.limit, moment)
                    found = len(rows)
                best = min(best, perf_counter() - begun)
        return Work(plan.read, best * 1e6), plan.uses(), found
