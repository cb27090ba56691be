"""Policies × sizes × traces in one grid, their fraction of Belady's MIN, and the check against a table of reference counts."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import eviction

from .traces import TraceError, folders, locate

Told = Callable[[str, int], None]
DEFAULT_SIZES = "1%,5%,10%,25%,50%"
MIN, FREE = "belady", "unbounded"
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
GOLD = "eviction-gold.csv"
KINDS = {  # names of the reference table
    "LRU": "lru", "FIFO": "fifo", "LFU": "lfu", "SIEVE": "sieve", "2Q": "2q", "ARC": "arc", "LIRS": "lirs",
    "MIN": MIN, "OPT-bypass": "min-bypass",
}  # fmt: skip
OTHERS = {"ARC-int"}  # rows of the table that are no reference: ARC with its p in whole numbers


@dataclass(frozen=True)
class Row:
    """One policy at one size on one trace. `of_min`: hits as a fraction of MIN's at that size, None where MIN is not known."""

    trace: str
    requests: int
    unique: int
    asked: str
    size: int
    policy: str
    hits: int
    misses: int
    hit_ratio: float
    of_min: float | None
    byte_hits: int
    byte_misses: int
    byte_hit_ratio: float
    evictions: int
    bypassed: int
    ghost_hits: int
    memory: int | None
    seconds: float


def size_of(asked: str, whole: int) -> int:
    """A size as asked for: 5% of the whole (rounded up, at least 1), 1000, 64k, 128MiB. ValueError otherwise."""
    form = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|[a-z]*)\s*", asked.lower())
    if form and form[2] == "%" and float(form[1]) <= 100:
        return max(1, math.ceil(round(float(form[1]) * whole / 100, 6)))
    if form and form[2] in UNITS:
        return int(float(form[1]) * UNITS[form[2]])
    raise ValueError(f"{asked!r} is no cache size: give 5% of the unique keys, 1000, 64k or 128MiB")


def policies(text: str) -> list[str]:
    """The kinds named in a list with commas between, or all but the bounds. ValueError with the near names for one that is unknown."""
    if text == "all":
        return [kind for kind in eviction.POLICIES if kind not in eviction.BOUNDS]
    for kind in (names := [name.strip() for name in text.split(",") if name.strip()]):
        if kind not in eviction.BOUNDS:
            eviction.ops_address(kind)
    if not names:
        raise ValueError(f"no policy named; there are: {', '.join(eviction.POLICIES)}")
    return names


def grid(
    traces: Sequence[str],
    kinds: Sequence[str],
    sizes: Sequence[str],
    *,
    in_bytes: bool,
    seed: int,
    params: str,
    threads: int | None,
    told: Told,
) -> list[Row]:
    """Replay every policy at every size on every trace; MIN (with weights 1) and the unbounded cache always come along, last.

    Objects weigh 1, or with `in_bytes` what the trace says; percentages are then of the bytes of the unique objects.
    """
    rows: list[Row] = []
    wanted = list(dict.fromkeys([*kinds, *([] if in_bytes else [MIN]), FREE]))
    for number, name in enumerate(traces):
        trace = eviction.load(locate(name) or Path(name))
        label = Path(name).name.split(".")[0]
        if in_bytes and trace.weights is None:
            raise TraceError(f"{name}: no sizes in it, so nothing to count in bytes")
        first = np.unique(trace.keys, return_index=True)[1]
        whole = int(trace.weights[first].sum(dtype=np.uint64)) if in_bytes and trace.weights is not None else len(first)

        def hear(done: int, total: int, label: str = label, number: int = number) -> None:
            told(label, int(1000 * (number + done / max(1, total))))

        concrete = [size_of(asked, whole) for asked in sizes]
        got = eviction.replay(
            wanted, trace, concrete, weights=None if in_bytes else 1, seed=seed, params=params, threads=threads, progress=hear
        )
        best = {r.size: r.hits for r in got if r.policy == MIN}
        for i, r in enumerate(got):
            of_min = r.hits / best[r.size] if best.get(r.size) else None
            counted = {
                f: getattr(r, f) for f in ("size", "policy", "hits", "misses", "hit_ratio", "byte_hits", "byte_misses", "byte_hit_ratio")
            }
            more = {f: getattr(r, f) for f in ("evictions", "bypassed", "ghost_hits", "memory", "seconds")}
            rows.append(Row(label, len(trace.keys), len(first), sizes[i % len(sizes)], of_min=of_min, **counted, **more))
    return rows


def fractions(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """policy -> trace -> mean over the sizes of the fraction of MIN; the policies best first by their mean over the traces."""
    found: dict[str, dict[str, list[float]]] = {}
    for r in rows:
        if r.of_min is not None and r.policy not in (MIN, FREE):
            found.setdefault(r.policy, {}).setdefault(r.trace, []).append(r.of_min)
    means = {policy: {trace: mean(values) for trace, values in by.items()} for policy, by in found.items()}
    return dict(sorted(means.items(), key=lambda item: -mean(item[1].values())))


def write_csv(rows: Iterable[Row], stream: Any) -> None:
    """One line a row, with a header."""
    writer = csv.DictWriter(stream, [f.name for f in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(r) for r in rows)


@dataclass(frozen=True)
class Verified:
    """Rows of the reference table: how many there are, were checked and were equal; what differed, and why some were not checked."""

    rows: int
    checked: int
    equal: int
    wrong: list[dict[str, Any]]
    unchecked: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether every row was checked and equal."""
        return self.equal == self.rows > 0


def gold_table() -> Path:
    """The reference table beside a folder of traces. TraceError when it is nowhere."""
    for path in [place.parent / "reference" / GOLD for place in folders()]:
        if path.is_file():
            return path
    raise TraceError(f"no {GOLD} was found: give its path with --gold")


def verify(gold: Path, traces: Path | None, kinds: Sequence[str] | None, told: Told) -> Verified:
    """Replay every row of the table, weights 1; `traces` is the folder of the traces (default: where traces are looked for)."""
    with gold.open(newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["policy"] not in OTHERS]
    if kinds is not None:
        rows = [r for r in rows if KINDS.get(r["policy"], r["policy"]) in kinds]
    unchecked: dict[str, int] = {}
    wanted: dict[str, dict[tuple[str, int], list[dict[str, str]]]] = {}
    for r in rows:
        kind = KINDS.get(r["policy"])
        if kind is None or kind not in eviction.POLICIES:
            unchecked[f"no policy {kind or r['policy']}"] = unchecked.get(f"no policy {kind or r['policy']}", 0) + 1
        else:
            wanted.setdefault(r["trace"], {}).setdefault((kind, int(r["cache_size"])), []).append(r)
    wrong: list[dict[str, Any]] = []
    checked = 0
    for number, (name, cells) in enumerate(wanted.items()):
        told(name, number)
        path = _trace_file(name, traces)
        if path is None:
            unchecked[f"no trace {name}"] = sum(map(len, cells.values()))
            continue
        trace = eviction.load(path)
        by_sizes: dict[tuple[int, ...], list[str]] = {}
        for kind in dict.fromkeys(k for k, _ in cells):
            by_sizes.setdefault(tuple(sorted(s for k, s in cells if k == kind)), []).append(kind)
        for sizes, same in by_sizes.items():
            for got in eviction.replay(same, trace, sizes, weights=1):
                for r in cells[got.policy, got.size]:
                    checked += 1
                    if got.hits != int(r["hits"]):
                        wrong.append({"trace": name, "policy": got.policy, "size": got.size, "hits": got.hits, "reference": int(r["hits"])})
    return Verified(len(rows), checked, checked - len(wrong), wrong, unchecked)


def _trace_file(name: str, folder: Path | None) -> Path | None:
    places = [folder] if folder else folders()
    return next((p for place in places for form in ("u32", "ks32") if (p := place / f"{name}.{form}.xz").is_file()), None)
