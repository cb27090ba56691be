"""Block traces: reading the usual forms, finding the default one, and generating a stand-in when there is none.

Forms, by file name: `.u32` (little-endian uint32 keys), `.ks32` (pairs of key and size), ARC `.lis` (start, count, ...: Megiddo & Modha,
FAST 2003), LIRS `.trace` and `.trc` (one number a line, `*` marks are skipped), `.csv` (a header names the column: key, obj_id, id, block
or lbn; without a header the first column; libCacheSim's `time, object, size` included). Each may be packed with xz or gzip.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import lzma
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
DEFAULT = "arc-OLTP.u32.xz"
VARIABLE = "LSMLAB_TRACES"
FORMS = (".u32", ".ks32", ".lis", ".trace", ".trc", ".csv")
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
    """Read the first `limit` requests of a trace (all when None). Raises TraceError on an unknown form or a broken line."""
    name = path.name
    try:
        data = path.read_bytes()
        if name.endswith(".xz"):
            data, name = lzma.decompress(data), name[:-3]
        elif name.endswith(".gz"):
            data, name = gzip.decompress(data), name[:-3]
    except (OSError, lzma.LZMAError, EOFError) as e:
        raise TraceError(f"{path}: {e}") from e
    form = Path(name).suffix
    if form == ".u32":
        keys = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    elif form == ".ks32":
        keys = np.frombuffer(data[: len(data) // 8 * 8], "<u4")[::2]
    elif form in FORMS:
        keys = _text(path, form, data.decode("ascii", "replace"), limit)
    else:
        raise TraceError(f"{path}: not a form of trace that is known; there are {', '.join(FORMS)}, plain or with .xz or .gz")
    if not len(keys):
        raise TraceError(f"{path}: no requests in it")
    return keys[:limit].astype(np.uint64)


def _text(path: Path, form: str, text: str, limit: int | None) -> Keys:
    if form == ".csv":
        return _csv(path, text, limit)
    keys: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0] == "*":
            continue
        try:
            start = int(words[0])
            keys.extend(range(start, start + int(words[1])) if form == ".lis" else (start,))
        except (ValueError, IndexError):
            raise TraceError(f"{path}, line {number}: {line[:60]!r} is not {'start and count' if form == '.lis' else 'a number'}") from None
        if limit is not None and len(keys) >= limit:
            break
    return np.array(keys, np.uint64)


def _csv(path: Path, text: str, limit: int | None) -> Keys:
    rows = csv.reader(io.StringIO(text))
    first = next(rows, [])
    header = [cell.strip().lower().lstrip("#") for cell in first]
    column = next((header.index(c) for c in _COLUMNS if c in header), None)
    keys: list[int] = []
    if column is None:
        column = 1 if len(first) > 2 else 0
        rows = csv.reader(io.StringIO(text))
    for number, row in enumerate(rows, 1):
        if limit is not None and len(keys) >= limit:
            break
        if not row:
            continue
        try:
            cell = row[column].strip()
            keys.append(int(cell) if cell.isdigit() else int.from_bytes(hashlib.blake2b(cell.encode(), digest_size=8).digest(), "little"))
        except IndexError:
            raise TraceError(f"{path}, row {number}: {','.join(row)[:60]!r} has no column {column + 1}") from None
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
