"""Block traces: reading them, finding the default one, and generating a stand-in when there is none.

The forms are those of `eviction.load` (.u32, .ks32, .npy, ARC, LIRS, CSV, packed with xz or gzip), and CSV files whose header names the
column of the keys: key, obj_id, object, id, block, lbn or offset.
"""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import eviction

Keys = NDArray[np.uint64]
DEFAULT = "arc-OLTP.u32.xz"
VARIABLE = "LSMLAB_TRACES"
_COLUMNS = ("key", "obj_id", "object", "id", "block", "lbn", "offset")


class TraceError(ValueError):
    """A trace that cannot be read: the file, the place and what is allowed."""


@dataclass(frozen=True)
class Trace:
    """Requests in order; `source` says where they come from, in words for a report."""

    name: str
    source: str
    keys: Keys
    real: bool

    def digest(self) -> str:
        """SHA-256 of the keys."""
        return hashlib.sha256(self.keys.tobytes()).hexdigest()


def read(path: Path, limit: int | None = None) -> Keys:
    """Read the first `limit` requests of a trace (all when None). Raises TraceError on what cannot be read, with file and line."""
    try:
        keys = _named_column(path) if path.suffix == ".csv" else None
        if keys is None:
            keys = eviction.load(path).keys
    except (OSError, ValueError) as e:
        raise TraceError(str(e) if str(path) in str(e) else f"{path}: {e}") from e
    if not len(keys):
        raise TraceError(f"{path}: no requests in it")
    return keys[:limit]


def _named_column(path: Path) -> Keys | None:
    """The keys of a CSV whose header names their column; None when it has no such header. Words count as keys by their hash."""
    with path.open(newline="") as stream:
        rows = csv.reader(stream)
        header = [cell.strip().lower().lstrip("#") for cell in next(rows, [])]
        column = next((header.index(c) for c in _COLUMNS if c in header), None)
        if column is None:
            return None
        keys: list[int] = []
        for row in filter(None, rows):
            if len(row) <= column:
                raise TraceError(f"{path}, line {rows.line_num}: {','.join(row)[:60]!r} has no column {column + 1}")
            cell = row[column].strip()
            keys.append(int(cell) if cell.isdigit() else int.from_bytes(hashlib.blake2b(cell.encode(), digest_size=8).digest(), "little"))
    return np.array(keys, np.uint64)


def generated(count: int, seed: int = 1) -> Keys:
    """A stand-in for a block trace: a zipfian core whose hot set drifts, with sequential scans through it (one request in five)."""
    rng = np.random.default_rng(seed)
    blocks = max(64, count // 5)
    ranks = np.searchsorted(np.cumsum(np.arange(1, blocks + 1.0) ** -0.9), rng.random(count) * np.sum(np.arange(1, blocks + 1.0) ** -0.9))
    keys = (rng.permutation(blocks)[np.minimum(ranks, blocks - 1)] + np.arange(count) // 50) % blocks
    for start in rng.integers(0, max(1, count - 200), count // 1000):
        keys[start : start + 200] = (keys[start] + np.arange(len(keys[start : start + 200]))) % blocks
    return keys.astype(np.uint64)


def folders() -> list[Path]:
    """Where traces are looked for: $LSMLAB_TRACES, then a folder shared/traces or traces beside or above here."""
    named = [Path(p) for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    here = [
        base / tail for base in (Path.cwd(), Path(__file__).resolve().parents[1]) for tail in ("traces", "../traces", "../shared/traces")
    ]
    return [*named, *here]


def locate(name: str) -> Path | None:
    """The file of a trace given as a path, or by name in `folders()`; an empty name means the default one, and None that it is nowhere.

    A named trace that is missing is an error.
    """
    wanted = Path(name or DEFAULT)
    for path in [wanted, *(folder / wanted for folder in folders())]:
        if path.is_file():
            return path
    if name:
        raise TraceError(f"no trace {name!r} here, nor in {', '.join(map(str, folders()))} (set {VARIABLE} to the folder of your traces)")
    return None


def find(name: str, count: int, seed: int = 1) -> Trace:
    """The first `count` requests of the trace that `locate` finds, else of a generated stand-in whose `source` says that it is one."""
    if path := locate(name):
        keys = read(path, count)
        return Trace(path.name, f"{path.name}: {len(keys):,} requests to {len(np.unique(keys)):,} blocks of a real trace", keys, True)
    keys = generated(count, seed)
    missing = f"no {DEFAULT} was found (set {VARIABLE} to the folder of your traces)"
    return Trace("generated", f"GENERATED stand-in of {count:,} requests: {missing}", keys, False)
