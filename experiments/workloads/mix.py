"""Mixes: shares of operations over records that are picked by one distribution. YCSB's, and those that it lacks.

Sources: the mixes A-F are the core workloads of YCSB (Cooper et al., SoCC 2010, section 4 and the CoreWorkload properties); the zipfian
constant 0.99 and the scrambling of ranks over the records are YCSB's too (here by a seeded permutation, so that no two ranks meet in one
record).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..names import listed
from .draws import DISTRIBUTIONS, ZIPF, Distribution, pick
from .stream import EMPTY_SCAN, INSERT, KEY_BYTES, RANGE_DELETE, READ, SCAN, UPDATE, Ids, Numbering, Stream


@dataclass(frozen=True)
class Mix:
    """Shares of the operations (they sum to 1) and how records are picked. `scan_max`: a scan asks for 1 to so many entries, evenly."""

    read: float = 0.0
    update: float = 0.0
    insert: float = 0.0
    scan: float = 0.0
    rmw: float = 0.0
    delete: float = 0.0
    missing: float = 0.0
    range_delete: float = 0.0
    merge: float = 0.0
    empty_scan: float = 0.0
    empty_delete: float = 0.0
    distribution: Distribution = "zipfian"
    skew: float = ZIPF
    shape: tuple[float, float] | None = None
    drift: float = 0.0  # share of the records by which the popular ones move during the stream
    scan_max: int = 100
    range_span: int = 50  # records that a range delete covers
    key_bytes: int = KEY_BYTES
    numbering: Numbering = "hashed"

    def __post_init__(self) -> None:
        if isinstance(self.shape, list):
            object.__setattr__(self, "shape", tuple(self.shape))
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(f"distribution {self.distribution!r} is unknown; there are {listed(self.distribution, DISTRIBUTIONS)}")
        if self.scan_max < 1 or self.range_span < 1:
            raise ValueError(f"scan_max = {self.scan_max}, range_span = {self.range_span}; they must be 1 or more")

    def shares(self) -> tuple[float, ...]:
        """The shares in the order of the operation codes."""
        return (
            self.read, self.update, self.insert, self.scan, self.rmw, self.delete, self.missing, self.range_delete, self.merge,
            self.empty_scan, self.empty_delete,
        )  # fmt: skip

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """A stream of so many operations over so many loaded records."""
        return mixed(self, records, operations, seed, self.numbering)


MIXES: dict[str, Mix] = {
    "ycsb-a": Mix(read=0.5, update=0.5),
    "ycsb-b": Mix(read=0.95, update=0.05),
    "ycsb-c": Mix(read=1.0),
    "ycsb-d": Mix(read=0.95, insert=0.05, distribution="latest"),
    "ycsb-e": Mix(scan=0.95, insert=0.05),
    "ycsb-f": Mix(read=0.5, rmw=0.5),
    "uniform-read": Mix(read=1.0, distribution="uniform"),
    "uniform-update": Mix(update=1.0, distribution="uniform"),
    "empty-read": Mix(read=0.5, missing=0.5, distribution="uniform"),
    "empty-scan": Mix(scan=0.5, empty_scan=0.5, distribution="uniform"),
    "delete-heavy": Mix(read=0.3, update=0.3, insert=0.2, delete=0.2, distribution="uniform"),
    "range-delete": Mix(read=0.3, insert=0.69, range_delete=0.01, distribution="uniform"),
    "moving-hot-set": Mix(read=0.5, update=0.5, drift=0.5),
    "write-burst": Mix(update=0.6, insert=0.4, distribution="uniform"),
}


def mixed(mix: Mix, loaded: int, count: int, seed: int, numbering: Numbering = "hashed") -> Stream:
    """Draw a stream of `count` operations over `loaded` records. Inserts append records loaded, loaded + 1, ...; "latest" counts back
    from the newest."""
    shares = np.asarray(mix.shares())
    if abs(shares.sum() - 1.0) > 1e-9 or (shares < 0).any():
        raise ValueError(f"the shares of a mix sum to 1, these to {shares.sum():g}")
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(shares), count, p=shares).astype(np.uint8)
    return of_codes(mix, codes, loaded, rng, numbering)


def of_codes(mix: Mix, codes: NDArray[np.uint8], loaded: int, rng: np.random.Generator, numbering: Numbering) -> Stream:
    """The stream of operations whose codes are drawn already."""
    count = len(codes)
    inserts = codes == INSERT
    newest = loaded - 1 + np.cumsum(inserts)
    ids = pick(rng, mix.distribution, max(1, loaded), count, skew=mix.skew, shape=mix.shape, drift=mix.drift)
    if mix.distribution == "latest":
        ids = np.maximum(newest - ids, 0)
    ids[inserts] = newest[inserts]
    lengths = np.where(codes == SCAN, rng.integers(1, mix.scan_max + 1, count), 0).astype(np.uint32)
    lengths[codes == RANGE_DELETE] = mix.range_span
    lengths[codes == EMPTY_SCAN] = 1
    return Stream(codes, ids, lengths, loaded, numbering, mix.key_bytes)


def replayed(blocks: Ids, update_share: float, seed: int) -> Stream:
    """A stream out of a block trace: each request reads the record of its block, or updates it with chance `update_share`.

    Blocks are renumbered 0, 1, ... in their own order, so blocks that were neighbours stay neighbours.
    """
    unique, ids = np.unique(blocks, return_inverse=True)
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random(len(blocks)) < update_share, UPDATE, READ).astype(np.uint8)
    return Stream(codes, ids.astype(np.int64), np.zeros(len(blocks), np.uint32), len(unique), "dense")
