"""A recorded operation trace as a workload: the same calls on the same keys, with values of the same sizes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import operations as ops
from .stream import DELETE, RANGE_DELETE, READ, SCAN, UPDATE, Stream

Column = NDArray[Any]
_CODES = np.array([READ, UPDATE, DELETE, SCAN, RANGE_DELETE], np.uint8)  # by ops.GET, PUT, ...


@dataclass(frozen=True)
class Traced:
    """`file`: the trace. `digest`: SHA-256 of it, filled in when made, so that another trace is another run."""

    file: str
    digest: str = ""

    def __post_init__(self) -> None:
        path = Path(self.file)
        if not path.is_file():
            raise ValueError(f"file = {self.file!r}; it must be the path of an operation trace (lsmlab trace record makes one)")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.digest and self.digest != found:
            raise ValueError(f"{self.file} has changed since the run was configured")
        object.__setattr__(self, "file", str(path.resolve()))
        object.__setattr__(self, "digest", found)

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """The first `operations` of the trace; `records` and seed play no part: what a get found before it was put is loaded before."""
        blocks, left = [], operations
        for block in ops.read(Path(self.file)):
            blocks.append(block)
            left -= len(block)
            if left <= 0:
                break
        op = np.concatenate([np.zeros(0, np.uint8), *(b.op for b in blocks)])[:operations]
        found = np.concatenate([np.zeros(0, np.uint8), *(b.found for b in blocks)])[:operations]
        length = np.concatenate([np.zeros(0, np.uint32), *(b.length for b in blocks)])[:operations]
        gaps = np.concatenate([np.zeros(0, np.uint32), *(b.gap_us for b in blocks)])[:operations]
        keys = [key for b in blocks for key in b.keys][:operations]
        stops = [stop for b in blocks for stop in b.stops][:operations]
        return _stream(op, found, length, gaps, keys, stops)


def _stream(op: Column, found: Column, length: Column, gaps: Column, keys: list[bytes], stops: list[bytes]) -> Stream:
    first: dict[bytes, int] = {}  # row of the first get or put of each key
    for row, (kind, key) in enumerate(zip(op.tolist(), keys, strict=True)):
        if kind in (ops.GET, ops.PUT):
            first.setdefault(key, row)
    there = [key for key, row in first.items() if op[row] == ops.GET and found[row]]
    ids = {key: i for i, key in enumerate(there)}
    for key in keys:
        ids.setdefault(key, len(ids))
    codes = _CODES[op]
    lengths = np.where(op == ops.SCAN, np.maximum(length, 1), 0).astype(np.uint32)
    load_sizes = np.array([length[first[key]] for key in there], np.uint32)
    ends = {row: stop for row, stop in enumerate(stops) if stop}
    return Stream(
        codes, np.array([ids[key] for key in keys], np.int64), lengths, len(there), names=list(ids), ends=ends,
        sizes=np.where(op == ops.PUT, length, 0).astype(np.uint32), load_sizes=load_sizes,
        arrivals_ns=np.cumsum(gaps.astype(np.int64)) * 1000,
    )  # fmt: skip
