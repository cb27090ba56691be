"""Comparing the points of a sweep pair by pair: the same stream, from the same tree where it was forked, under two configurations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .definitions import METRICS, metric
from .inference import Paired, compare
from .names import listed
from .results import Record

DEFAULT = ("throughput", "p99", "WA-user", "SA-bytes")
FIGURES: Mapping[str, Callable[[Record], float | None]] = {
    "throughput": lambda r: r.summary["throughput"],
    "p50": lambda r: r.percentile(50),
    "p99": lambda r: r.percentile(99),
    "p99.9": lambda r: r.percentile(99.9),
    "max": lambda r: r.percentile(100),
}


@dataclass(frozen=True)
class Row:
    """A metric of a point against the base's on one workload."""

    workload: str
    metric: str
    point: str
    base: float  # median
    value: float  # median
    paired: Paired


def figure(name: str) -> Callable[[Record], float | None]:
    """What gives a figure of a record: of FIGURES, or a metric by its id. ValueError names those there are."""
    if name in FIGURES:
        return FIGURES[name]
    if name not in METRICS:
        raise ValueError(f"no figure {name!r}; there are {listed(name, (*FIGURES, *METRICS))}")
    return metric(name).of


def label(record: Record) -> str:
    """The point in a few words."""
    return " ".join(str(v) for v in record.point.values()) or "all defaults"


def pairs(records: Sequence[Record], names: Sequence[str] = DEFAULT, base: str | None = None) -> list[Row]:
    """Compare every point with the base (a label; by default the first point), workload by workload; all comparisons of a metric on a
    workload are one family. Points are paired by seed. ValueError when streams of a pair differ, or nothing pairs.
    """
    rows = []
    for workload in dict.fromkeys(r.workload for r in records):
        by: dict[str, dict[int, Record]] = {}
        for r in records:
            if r.workload == workload:
                by.setdefault(label(r), {})[r.seed] = r
        first = base if base is not None else next(iter(by))
        if first not in by:
            raise ValueError(f"no point {first!r} on {workload}; there are {', '.join(map(repr, by))}")
        seeds = [s for s in by[first] if all(s in other for other in by.values())]
        if not seeds:
            raise ValueError(f"no seed of {workload} was run at every point")
        for seed in seeds:
            if len({r[seed].stream for r in by.values()}) > 1:
                raise ValueError(f"the streams of {workload}, seed {seed}, differ between the points: they cannot be paired")
        rows += [row for name in names for row in _family(workload, name, first, by, seeds)]
    return rows


def _family(workload: str, name: str, first: str, by: Mapping[str, Mapping[int, Record]], seeds: Sequence[int]) -> list[Row]:
    of = figure(name)
    values = {point: [of(runs[s]) for s in seeds] for point, runs in by.items()}
    whole = {point: [float(v) for v in some if v] for point, some in values.items()}
    if len(whole[first]) < len(seeds):
        return []  # the base has no such figure, or one of 0, which has no ratios
    others = [point for point in by if point != first and len(whole[point]) == len(seeds)]
    found = compare(whole[first], [whole[point] for point in others])
    return [
        Row(workload, name, point, _median(whole[first]), _median(whole[point]), paired)
        for point, paired in zip(others, found, strict=True)
    ]


def _median(values: Sequence[float]) -> float:
    some = sorted(values)
    return (some[(len(some) - 1) // 2] + some[len(some) // 2]) / 2


def plain(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The rows as plain values."""
    out: list[dict[str, object]] = json.loads(
        json.dumps([{**vars(r), "paired": {**vars(r.paired), "clear": r.paired.clear}} for r in rows])
    )
    return out
