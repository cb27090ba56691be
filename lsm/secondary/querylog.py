"""A log of what a table is asked, in bounded memory: queries that differ in their constants alone are one, with a few samples kept."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from . import planner
from .leaves import tree_of
from .predicate import Predicate
from .workload import Query, Workload, names_of, shape_of

if TYPE_CHECKING:
    from .table import Moment, Table


@dataclass
class Logged:
    """Queries of one shape: how many, what they took together, how many rows they gave, and some of them."""

    count: int = 0
    nanoseconds: int = 0
    rows: int = 0
    samples: list[Query] = field(default_factory=list)


class QueryLog(AbstractContextManager["QueryLog"]):
    """Logs the finds, counts and writes of a table from now until it is closed. Made by `Table.log_queries`. Any thread may query."""

    def __init__(self, table: Table, limit: int, samples: int, seed: int) -> None:
        """``limit``: shapes kept, those that took the most time; ``samples``: queries kept of each, drawn at random (Vitter's R)."""
        if limit < 1 or samples < 1:
            raise ValueError(f"limit is {limit!r} and samples {samples!r}; allowed: 1 and more")
        self.limit, self.most_samples = limit, samples
        self.writes = self.dropped = 0
        self._shapes: dict[Any, Logged] = {}
        self._lock, self._random, self._table = threading.Lock(), random.Random(seed), table
        table.logs = (*table.logs, self)

    def close(self) -> None:
        """Log no more; what was logged stays. Safe to call twice."""
        self._table.logs = tuple(log for log in self._table.logs if log is not self)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """How many shapes there are."""
        return len(self._shapes)

    def wrote(self, rows: int) -> None:
        """Note rows put or deleted."""
        with self._lock:
            self.writes += rows

    def note(self, query: Query, nanoseconds: int, rows: int) -> None:
        """Note a query that was answered."""
        node = None if query.where is None else tree_of(query.where)
        columns = None if query.columns is None else tuple(sorted(query.columns))
        shape = (shape_of(node), columns, query.order_by, None if query.limit is None else query.limit.bit_length(), query.count)
        with self._lock:
            logged = self._shapes.get(shape)
            if logged is None:
                if len(self._shapes) == self.limit:
                    least = min(self._shapes, key=lambda s: self._shapes[s].nanoseconds)
                    self.dropped += self._shapes.pop(least).count
                logged = self._shapes[shape] = Logged()
            logged.count += 1
            logged.nanoseconds += nanoseconds
            logged.rows += rows
            if len(logged.samples) < self.most_samples:
                logged.samples.append(query)
            elif (at := self._random.randrange(logged.count)) < self.most_samples:
                logged.samples[at] = query

    def shapes(self) -> list[Logged]:
        """Return what was logged, what took the most time first."""
        with self._lock:
            return sorted(self._shapes.values(), key=lambda s: -s.nanoseconds)

    def workload(self) -> Workload:
        """Return what was logged as a workload: a query a sample, with its part of the weight; equal ones are one."""
        queries = []
        for number, logged in enumerate(self.shapes()):
            weights: dict[Query, float] = {}
            for q in logged.samples:
                weights[q] = weights.get(q, 0.0) + logged.count / len(logged.samples)
            seconds = logged.nanoseconds / logged.count / 1e9
            queries += [
                Query(q.where, q.columns, q.order_by, q.limit, weight, q.count, number, round(seconds, 9)) for q, weight in weights.items()
            ]
        return Workload(tuple(queries), float(self.writes))

    def save(self, path: str | Path) -> None:
        """Write the workload to a file; `Workload.load` reads it."""
        self.workload().save(path)


def logged_find(
    table: Table,
    where: Predicate | None,
    columns: Sequence[str] | None,
    order_by: str | Sequence[str],
    limit: int | None,
    at: Moment | None,
) -> list[dict[str, Any]]:
    """Find, and note that in the table's logs."""
    begun = perf_counter_ns()
    rows = planner.find(table, where, columns, order_by, limit, at)
    took = perf_counter_ns() - begun
    query = Query(where, None if columns is None else tuple(columns), names_of(order_by, "order_by"), limit)
    for log in table.logs:
        log.note(query, took, len(rows))
    return rows


def logged_count(table: Table, where: Predicate | None, at: Moment | None) -> int:
    """Count, and note that in the table's logs."""
    begun = perf_counter_ns()
    rows = planner.count(table, where, at)
    took = perf_counter_ns() - begun
    for log in table.logs:
        log.note(Query(where, count=True), took, rows)
    return rows
