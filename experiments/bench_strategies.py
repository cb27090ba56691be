"""`lsmlab bench strategies`: the published ways of keeping a secondary index on an LSM tree, on the same operations, in one run.

The comparison of Qader, Cheng and Hristidis (SIGMOD 2018) and of Luo and Carey (VLDB 2019), with shadow bitmaps beside. Each way begins
with an empty database: rows of 100 bytes in batches, then updates of random rows that change the indexed value, then a flush; queries are
for one value, before and after everything was merged. Bracketed by no index, whose queries scan.

Times are processor time of the process, all threads. The ways are Python over batches of pairs, and shadow is `db.table` and its kernels
in C: what does not depend on the language are reads, entries and bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lsm
from lsm.batch import Batch
from lsm.secondary import strategies
from lsm.secondary.strategies import STRATEGIES, Strategy
from lsm.secondary.strategies.base import Entered, Keys

if TYPE_CHECKING:
    from .plots_base import Plot

ALONE = "no index"
CARDINALITIES = (100, 10_000)
BATCH = 100
QUERIES, SLOW_QUERIES = 50, 4
MEASURES = {
    "insert": "µs",
    "update": "µs",
    "reads": "per update",
    "entries": "per update",
    "written": "B/row",
    "query": "µs, as written",
    "merged": "µs, merged",
    "false": "per hit",
    "size": "B/row",
    "packed": "B/row, merged",
}


class Alone(Entered):
    """No index: the rows alone, which queries scan."""

    kind = ALONE

    def change(self, batch: Batch, new: Keys) -> None:
        """There is nothing to keep."""

    def search(self, low: bytes, high: bytes | None) -> tuple[int, list[int]]:
        """Scan."""
        ids = [int.from_bytes(raw, "big") for raw in self.rows]
        keys = self.keys_of_rows(ids)
        return len(ids), [i for i, key in zip(ids, keys, strict=True) if key is not None and low <= key and (high is None or key < high)]


@dataclass
class Result:
    """What one run found, by (way, number of values)."""

    n: int
    updates: int
    seed: int
    rows: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        rows = [{"way": way, "values": values, **got} for (way, values), got in self.rows.items()]
        return {"n": self.n, "updates": self.updates, "seed": self.seed, "results": rows}


def chosen_ways(names: list[str]) -> list[str]:
    """Return these ways, all without names, with no index first. ValueError for one that is not known."""
    for name in names:
        if name not in STRATEGIES:
            raise ValueError(f"way is {name!r}; allowed: {', '.join(STRATEGIES)}")
    return [ALONE, *(names or STRATEGIES)]


def bench(ways: list[str], result: Result, home: Path, told: Callable[[str], None]) -> Result:
    """Run everything into an empty result. RuntimeError when two ways find different rows."""
    for values in CARDINALITIES:
        expected: dict[int, int] = {}
        for way in ways:
            told(f"{way}, {values} values")
            folder = home / f"{way.replace(' ', '-')}-{values}"
            with lsm.open(folder, write_buffer=4 << 20) as db:
                columns = ("value", "pad")
                made = Alone(db, "t", columns, "value") if way == ALONE else strategies.make(way, db, "t", columns, "value")
                result.rows[way, values] = _run(db, made, values, result, expected)
    return result


def _run(db: lsm.DB, way: Strategy, values: int, result: Result, expected: dict[int, int]) -> dict[str, float]:
    rng, got = np.random.default_rng(result.seed), dict[str, float]()
    n, updates = result.n, result.updates
    got["insert"] = _write(way, rng.permutation(n), values, rng)
    reads, entries = way.counters.reads, way.counters.writes
    got["update"] = _write(way, rng.integers(0, n, updates), values, rng)
    got["reads"], got["entries"] = (way.counters.reads - reads) / updates, (way.counters.writes - entries) / updates
    way.flush()
    got["query"], hits = _ask(way, values, rng, expected)
    got["false"] = way.counters.false_hits / max(1, hits)
    got["size"] = way.size() / n
    way.compact()
    got["merged"], _ = _ask(way, values, rng, expected)
    got["packed"] = way.size() / n
    got["written"] = (db.stats().bytes(op="write") + way.written()) / (n + updates)
    return got


def _write(way: Strategy, ids: np.ndarray[Any, Any], values: int, rng: np.random.Generator) -> float:
    """Microseconds a row."""
    drawn, spent = rng.integers(0, values, len(ids)).tolist(), 0.0
    rows = [{"id": i, "value": v, "pad": "x" * 80} for i, v in zip(ids.tolist(), drawn, strict=True)]
    for at in range(0, len(rows), BATCH):
        start = time.process_time()
        way.put_many(rows[at : at + BATCH])
        spent += time.process_time() - start
    return spent / len(rows) * 1e6


def _ask(way: Strategy, values: int, rng: np.random.Generator, expected: dict[int, int]) -> tuple[float, int]:
    """(Microseconds a query, hits); the first query is not timed."""
    asked = rng.integers(0, values, QUERIES).tolist()
    slow = way.kind in (ALONE, "embedded")
    way.lookup(asked[0])
    start, hits = time.process_time(), 0
    for value in asked[:SLOW_QUERIES] if slow else asked:
        found = len(way.lookup(value))
        if expected.setdefault(value, found) != found:
            raise RuntimeError(f"{way.kind} finds {found} rows of value {value}, another way {expected[value]}")
        hits += found
    return (time.process_time() - start) / (SLOW_QUERIES if slow else QUERIES) * 1e6, hits


def plot(result: Result) -> Plot:
    """Draw what every way costs: small is good, logarithmic."""
    from matplotlib import rc_context
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    from .plots_base import COLOURS, STYLE, Plot, panels

    ways = list(dict.fromkeys(way for way, _ in result.rows))
    shown = {
        "insert": "insert, µs a row",
        "update": "update, µs a row",
        "written": "bytes written a row, all levels",
        "query": "query, µs, as written",
        "merged": "query, µs, merged",
        "size": "bytes of index a row",
    }
    with rc_context(STYLE):
        figure, axes = panels(len(shown), columns=3, sharey=True)
        for axis, (measure, title) in zip(axes, shown.items(), strict=True):
            for k, values in enumerate(CARDINALITIES):
                got = [result.rows[way, values][measure] for way in ways]
                places = [i + 0.2 * (2 * k - 1) for i in range(len(ways))]
                axis.plot([x if x > 0 else math.nan for x in got], places, "os"[k], color=COLOURS[k], label=f"{values:,} values")
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0,) if measure in ("query", "merged") else (1.0, 3.0)))
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_title(title)
            axis.set_yticks(range(len(ways)), ways)
            axis.grid(axis="y", visible=False)
            for i in range(1, len(ways)):
                axis.axhline(i - 0.5, color="0.9", linewidth=0.8)
        axes[0].invert_yaxis()
        axes[0].legend(loc="best", fontsize=8)
    caption = (
        f"{result.n:,} rows of 100 bytes, {result.updates:,} updates of random rows; times are those of one processor. Left is better; a "
        "way without a mark in a panel takes nothing."
    )
    return Plot("strategies", "What an index costs, by the way in which it is kept", caption, figure)
