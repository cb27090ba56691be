"""Operation streams: what is asked of a store, drawn once as arrays so that every store replays exactly the same.

Keys are 16 decimal digits. Record `i` has an even key number, so every odd number is a key inside the range that does not exist.
"dense" numbering keeps neighbours adjacent (2 * i); "hashed" spreads records by a bijection of 52 bits, as YCSB's hashed insert order does.

Sources: the mixes A-F are the core workloads of YCSB (Cooper et al., SoCC 2010, section 4 and the CoreWorkload properties); the zipfian
constant 0.99 and the scrambling of ranks over the records are YCSB's too (here by a seeded permutation, so that no two ranks meet in one
record).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Numbering = Literal["dense", "hashed"]
Distribution = Literal["zipfian", "uniform", "latest", "hot"]

READ, UPDATE, INSERT, SCAN, RMW, DELETE, MISSING = range(7)
OPERATIONS = ("read", "update", "insert", "scan", "read-modify-write", "delete", "read of nothing")
KEY_BYTES = 16
ZIPF = 0.99
_MASK = np.uint64((1 << 52) - 1)


@dataclass(frozen=True)
class Mix:
    """Shares of the operations (they sum to 1) and how records are picked."""

    read: float = 0.0
    update: float = 0.0
    insert: float = 0.0
    scan: float = 0.0
    rmw: float = 0.0
    delete: float = 0.0
    missing: float = 0.0
    distribution: Distribution = "zipfian"
    scan_max: int = 100

    def shares(self) -> tuple[float, ...]:
        """The shares in the order of the operation codes."""
        return (self.read, self.update, self.insert, self.scan, self.rmw, self.delete, self.missing)


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
    "delete-heavy": Mix(read=0.3, update=0.3, insert=0.2, delete=0.2, distribution="uniform"),
}


@dataclass(frozen=True)
class Stream:
    """One operation a row: code, record, number of entries a scan asks for. `loaded` records 0..loaded-1 exist before it starts."""

    codes: NDArray[np.uint8]
    ids: Ids
    lengths: NDArray[np.uint16]
    loaded: int
    numbering: Numbering = "hashed"

    def __len__(self) -> int:
        return len(self.codes)

    def digest(self) -> str:
        """SHA-256 of the whole stream: two runs with the same digest asked the same."""
        h = hashlib.sha256(f"{self.loaded} {self.numbering} ".encode())
        for column in (self.codes, self.ids, self.lengths):
            h.update(np.ascontiguousarray(column).tobytes())
        return h.hexdigest()

    def keys(self) -> list[bytes]:
        """The key of every operation. O(n)."""
        numbers = key_numbers(self.ids, self.numbering)
        return format_keys(numbers + (self.codes == MISSING).astype(np.int64))


def zipf_ranks(rng: np.random.Generator, n: int, count: int, constant: float = ZIPF) -> Ids:
    """Draw `count` ranks in 0..n-1, rank r with weight (r + 1) ** -constant, by inverting the exact distribution. O(n + count log n)."""
    cumulative = np.cumsum(np.arange(1, n + 1, dtype=np.float64) ** -constant)
    ranks: Ids = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right").astype(np.int64)
    return ranks


def pick(rng: np.random.Generator, distribution: Distribution, n: int, count: int) -> Ids:
    """Draw `count` records of 0..n-1. "hot" draws evenly from one record in a hundred, scattered over the range."""
    if distribution == "uniform":
        return rng.integers(0, n, count, dtype=np.int64)
    if distribution == "hot":
        return rng.choice(rng.permutation(n)[: max(1, n // 100)], count).astype(np.int64)
    ranks = zipf_ranks(rng, n, count)
    if distribution == "latest":
        return ranks
    scattered: Ids = rng.permutation(n)[ranks]
    return scattered


def mixed(mix: Mix, loaded: int, count: int, seed: int, numbering: Numbering = "hashed") -> Stream:
    """Draw a stream of `count` operations over `loaded` records. Inserts append records loaded, loaded + 1, ...; "latest" counts back
    from the newest."""
    shares = np.asarray(mix.shares())
    if abs(shares.sum() - 1.0) > 1e-9 or (shares < 0).any():
        raise ValueError(f"the shares of a mix sum to 1, these to {shares.sum():g}")
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(shares), count, p=shares).astype(np.uint8)
    inserts = codes == INSERT
    newest = loaded - 1 + np.cumsum(inserts)
    ids = pick(rng, mix.distribution, loaded, count)
    if mix.distribution == "latest":
        ids = np.maximum(newest - ids, 0)
    ids[inserts] = newest[inserts]
    lengths = np.where(codes == SCAN, rng.integers(1, mix.scan_max + 1, count), 0).astype(np.uint16)
    return Stream(codes, ids, lengths, loaded, numbering)


def replayed(blocks: Ids, update_share: float, seed: int) -> Stream:
    """A stream out of a block trace: each request reads the record of its block, or updates it with chance `update_share`.

    Blocks are renumbered 0, 1, ... in their own order, so blocks that were neighbours stay neighbours.
    """
    unique, ids = np.unique(blocks, return_inverse=True)
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random(len(blocks)) < update_share, UPDATE, READ).astype(np.uint8)
    return Stream(codes, ids.astype(np.int64), np.zeros(len(blocks), np.uint16), len(unique), "dense")


def key_numbers(ids: Ids, numbering: Numbering) -> Ids:
    """The even number of each record. The hashed form is a bijection of 52 bits (xor-shift, odd multiply, twice)."""
    if numbering == "dense":
        return ids * 2
    x = ids.astype(np.uint64) & _MASK
    for odd in (0x9E3779B97F4A7, 0xC2B2AE3D27D4F):
        x ^= x >> np.uint64(26)
        x = (x * np.uint64(odd)) & _MASK
    x ^= x >> np.uint64(26)
    return (x * np.uint64(2)).astype(np.int64)


def format_keys(numbers: Ids) -> list[bytes]:
    """Each number as 16 decimal digits. O(16 n), in numpy."""
    digits = np.empty((len(numbers), KEY_BYTES), np.uint8)
    rest = numbers.copy()
    for column in range(KEY_BYTES - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        digits[:, column] = digit + 48
    keys: list[bytes] = digits.view(f"S{KEY_BYTES}").ravel().tolist()
    return keys


def keys_of(ids: Ids, numbering: Numbering = "hashed", *, missing: bool = False) -> list[bytes]:
    """Keys of the records, or keys beside them that do not exist."""
    return format_keys(key_numbers(ids, numbering) + int(missing))


class Values:
    """Values that compress to about half: random bytes, then as many of one letter. Drawn from a pool, so a million cost no memory.

    `of(ids, generation)` always gives the same value for the same record and generation, which is what samples are checked against.
    """

    POOL = 4093

    def __init__(self, size: int, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, size])
        body = rng.integers(0, 256, (self.POOL, size - size // 2), dtype=np.uint8)
        self.pool = [row.tobytes() + bytes([97 + i % 26]) * (size // 2) for i, row in enumerate(body)]

    def of(self, ids: Ids, generation: int = 0) -> list[bytes]:
        """The values of the records in that generation."""
        pool = self.pool
        return [pool[j] for j in ((ids * 31 + generation * 977) % self.POOL).tolist()]
