"""Records of runs: one Parquet file each, immutable, holding all that a plot, a table or another person may ask of the run.

A file has one row. Small nested things (configuration, machine, versions, summary) are JSON text in columns of their own; samples,
ledger, time series and curves are typed lists, so that any Parquet reader can use them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .histogram import Histogram
from .suite import config_id

FORMAT = 1
SUFFIX = ".parquet"
_JSON = ("point", "config", "options", "machine", "versions", "summary", "counters", "files", "steady", "knobs")
_LEDGER = pa.struct(
    [
        ("phase", pa.string()),
        ("operation", pa.string()),
        ("level", pa.int32()),
        ("component", pa.string()),
        ("cause", pa.string()),
        ("count", pa.uint64()),
        ("bytes", pa.uint64()),
    ]
)
_LEVEL = pa.struct([("level", pa.int32()), ("runs", pa.int32()), ("tables", pa.int32()), ("bytes", pa.uint64()), ("entries", pa.uint64())])
_SERIES = pa.struct(
    [
        ("operations", pa.int64()),
        ("seconds", pa.float64()),
        ("elapsed", pa.float64()),
        ("user_bytes", pa.uint64()),
        ("written_bytes", pa.uint64()),
        ("log_bytes", pa.uint64()),
        ("debt", pa.uint64()),
        ("admission_ns_per_kib", pa.int64()),
        ("stall_ns", pa.int64()),
        *((name, pa.int64()) for name in ("p50_ns", "p99_ns", "p999_ns", "max_ns")),
        ("levels", pa.list_(_LEVEL)),
    ]
)
_HISTOGRAM = pa.struct(
    [
        ("name", pa.string()),
        ("buckets", pa.list_(pa.int64())),
        ("counts", pa.list_(pa.int64())),
        ("total", pa.int64()),
        ("maximum", pa.int64()),
    ]
)
_EVENT = pa.struct(
    [
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("start_ns", pa.int64()),
        ("length_ns", pa.int64()),
        ("operation", pa.int64()),
        ("level", pa.int32()),
        ("bytes_in", pa.uint64()),
        ("bytes_out", pa.uint64()),
        ("entries_in", pa.uint64()),
        ("entries_out", pa.uint64()),
    ]
)
_CURVE = pa.struct(
    [("stream", pa.string()), ("policy", pa.string()), ("blocks", pa.list_(pa.int64())), ("hit_ratio", pa.list_(pa.float64()))]
)
_RUN = pa.struct([("level", pa.int32()), ("entries", pa.uint64()), ("blocks", pa.uint64()), ("bits", pa.float64()), ("rate", pa.float64())])
_TEXT = ("id", "suite", "workload", "stream", "source", "code", *_JSON)
_SAMPLES = [("latency_ns", pa.list_(pa.int64())), ("codes", pa.list_(pa.uint8()))]
_LISTS = {"ledger": _LEDGER, "series": _SERIES, "curves": _CURVE, "runs": _RUN, "histograms": _HISTOGRAM, "events": _EVENT}
_TABLES = [(name, pa.list_(kind)) for name, kind in _LISTS.items()]
_SCHEMA = pa.schema([("format", pa.int32()), ("seed", pa.int64()), *((name, pa.string()) for name in _TEXT), *_SAMPLES, *_TABLES])


class RecordError(Exception):
    """A record that cannot be read: the file and why."""


@dataclass(frozen=True)
class Record:
    """One finished run. Phases of ledger and counters: "load", "warmup", "run" (after it, up to the last operation), "hits" and "misses"
    (probes of the final tree)."""

    id: str
    suite: str
    workload: str
    seed: int
    stream: str  # digest of the operation stream
    source: str  # where the stream comes from, in words
    point: Mapping[str, Any]
    config: Mapping[str, Any]
    options: Mapping[str, Any]  # of the engine, defaults written out
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    summary: Mapping[str, float]
    counters: Mapping[str, Mapping[str, int]]  # by phase
    files: Mapping[str, str]  # digest of each file of the closed database
    latency_ns: NDArray[np.int64]  # of every operation after the warm-up; in an open loop from when it was due
    codes: NDArray[np.uint8]  # what that operation was
    ledger: tuple[dict[str, Any], ...]
    series: tuple[dict[str, Any], ...]
    curves: tuple[dict[str, Any], ...]
    runs: tuple[dict[str, Any], ...] = ()  # of the final tree, newest first: costs.fitted.Run; none in records from before they were kept
    histograms: tuple[dict[str, Any], ...] = ()  # of latencies: by operation, "service" and, in an open loop, "intended"
    events: tuple[dict[str, Any], ...] = ()  # flushes, merges and stalls after the load
    code: str = ""  # digest of the code that ran
    steady: Mapping[str, Any] = field(default_factory=dict)  # steady.Verdict
    knobs: tuple[Mapping[str, str], ...] = ()  # how our options were told to another engine

    def histogram(self, name: str) -> Histogram:
        """The histogram of that name; an empty one when there is none."""
        return Histogram.merged(Histogram.from_dict(h) for h in self.histograms if h["name"] == name)

    def total(self, column: str = "bytes", **where: Any) -> int:
        """Sum of "bytes" or "count" over the rows of the ledger whose columns have those values (a tuple: any of them)."""
        return sum(
            row[column] for row in self.ledger if all(row[k] in v if isinstance(v, tuple) else row[k] == v for k, v in where.items())
        )

    def percentile(self, q: float) -> float:
        """Latency in microseconds that q per cent of the operations stayed within."""
        return float(np.percentile(self.latency_ns, q)) / 1000 if len(self.latency_ns) else 0.0

    @property
    def simulated(self) -> bool:
        """Whether time was the clock of a simulated device."""
        return bool(self.config.get("run", {}).get("device"))

    def config_id(self) -> str:
        """Names what was asked for, whatever code ran it."""
        return config_id(self.config)


def write(record: Record, folder: Path) -> Path:
    """Store the record as <id>.parquet; it appears whole or not at all."""
    row: dict[str, Any] = {f.name: getattr(record, f.name) for f in fields(Record)}
    row |= {name: json.dumps(row[name]) for name in _JSON}
    row |= {name: list(row[name]) for name in _LISTS}
    table = pa.Table.from_pylist([{"format": FORMAT, **row}], schema=_SCHEMA)
    path = folder / (record.id + SUFFIX)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    pq.write_table(table, draft, compression="zstd")
    draft.replace(path)
    return path


def read(path: Path) -> Record:
    """Read one record. Raises RecordError."""
    try:
        table = pq.read_table(path)
        row = table.to_pylist()[0] if table.num_rows else {}
    except (OSError, pa.ArrowException) as e:
        raise RecordError(f"{path}: {e}") from e
    if row.get("format") != FORMAT:
        raise RecordError(f"{path}: a record of format {row.get('format')}, this version reads {FORMAT}")
    row |= {name: json.loads(row[name]) for name in _JSON if name in row}
    row |= {name: tuple(row.get(name) or ()) for name in (*_LISTS, "knobs")}
    row |= {"latency_ns": np.asarray(row["latency_ns"], np.int64), "codes": np.asarray(row["codes"], np.uint8)}
    del row["format"]
    return Record(**row)


def read_all(folder: Path) -> list[Record]:
    """All records of a folder, in a stable order: workload, point, seed."""
    if not folder.is_dir():
        raise RecordError(f"{folder}: no such folder of records")
    records = [read(p) for p in sorted(folder.glob("*" + SUFFIX))]
    return sorted(records, key=lambda r: (r.workload, json.dumps(r.point), r.seed))


def group(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    """Records by what key gives, in order of first appearance."""
    out: dict[Any, list[Record]] = {}
    for record in records:
        out.setdefault(key(record), []).append(record)
    return out


def differences(a: Record, b: Record) -> list[str]:
    """What must be equal in two runs of one configuration and is not: stream, files byte for byte, ledger, counters, shape of the tree;
    on a simulated device, whose clock is a part of the run, also every latency, and begin and length of each flush, merge and stall."""
    out = []
    if a.stream != b.stream:
        out.append("the operation streams differ")
    for name in sorted(a.files.keys() | b.files.keys()):
        if a.files.get(name) != b.files.get(name):
            out.append(
                f"file {name}: " + ("differs" if name in a.files and name in b.files else f"only in {'A' if name in a.files else 'B'}")
            )
    rows = [
        {tuple(v for k, v in row.items() if k not in ("count", "bytes")): (row["count"], row["bytes"]) for row in r.ledger} for r in (a, b)
    ]
    for key in sorted(rows[0].keys() | rows[1].keys(), key=str):
        if rows[0].get(key) != rows[1].get(key):
            out.append(f"ledger {' '.join(map(str, key))}: {rows[0].get(key)} and {rows[1].get(key)}")
    if a.counters != b.counters:
        out.append("the counters differ")
    if [s["levels"] for s in a.series] != [s["levels"] for s in b.series]:
        out.append("the shape of the tree over time differs")
    if a.simulated and b.simulated:
        if not np.array_equal(a.latency_ns, b.latency_ns) or a.histograms != b.histograms:
            out.append(f"latencies by the simulated clock differ: p99 is {a.percentile(99):.1f} and {b.percentile(99):.1f} µs")
        if a.events != b.events or a.series != b.series:
            out.append("flushes, merges or stalls by the simulated clock differ")
    return out
