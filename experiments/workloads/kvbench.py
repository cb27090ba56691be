"""KVBench's axes: shares of inserts, updates, deletes and lookups, how many of them find nothing, selectivity, entry size, distributions.

Sources: Zhu, Sarkar, Raman, Athanassoulis, "KVBench: A Key-Value Benchmarking Suite" (DBTest 2024), as its generator has it
(BU-DiSC/K-V-Workload-Generator, README.md and load_gen.cc): lambda is the key's share of an entry, selectivity a share of the records,
the defaults of the distributions are those of the code, and the distribution of inserts is laid over 1024 equal parts of the key space.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from .draws import pick
from .stream import (
    DELETE,
    EMPTY_DELETE,
    EMPTY_SCAN,
    INSERT,
    MISSING,
    RANGE_DELETE,
    READ,
    SCAN,
    UPDATE,
    Ids,
    Stream,
)

Law = Literal["uniform", "normal", "beta", "zipf"]
LAWS: tuple[Law, ...] = ("uniform", "normal", "beta", "zipf")
PARTS = 10  # bits
_REST = 42  # bits of a key number below its part


@dataclass(frozen=True)
class KVBench:
    """Weights of the operations (any scale) and the axes. `mean`, `deviation`, `alpha`, `beta`, `zipf` are of whichever law uses them."""

    insert: float = 0.0
    update: float = 0.0
    point_delete: float = 0.0
    range_delete: float = 0.0
    point_query: float = 0.0
    range_query: float = 0.0
    zero_result_lookups: float = 0.0  # share of the point and range queries
    zero_result_deletes: float = 0.0  # share of the point deletes
    range_delete_selectivity: float = 0.001
    range_query_selectivity: float = 0.001
    entry_size: int = 128
    key_share: float = 0.125  # lambda
    insert_law: Law = "uniform"
    update_law: Law = "uniform"
    lookup_law: Law = "uniform"
    zero_law: Law = "uniform"
    mean: float = 0.5
    deviation: float = 0.1
    alpha: float = 1.0
    beta: float = 1.0
    zipf: float = 1.0

    def __post_init__(self) -> None:
        for name in ("zero_result_lookups", "zero_result_deletes", "range_delete_selectivity", "range_query_selectivity"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}; it is a share, from 0 to 1")
        for name in ("insert_law", "update_law", "lookup_law", "zero_law"):
            if getattr(self, name) not in LAWS:
                raise ValueError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(LAWS)}")
        weights = [getattr(self, f.name) for f in fields(self)[:6]]
        if min(weights) < 0 or not sum(weights):
            raise ValueError(f"the weights of the operations are {weights}; allowed: 0 and more, and not all 0")
        if not 8 <= self.key_bytes <= self.entry_size:
            raise ValueError(
                f"entry_size = {self.entry_size} with key_share = {self.key_share:g}: a key of {self.key_bytes}; allowed: 8 to all"
            )

    @property
    def key_bytes(self) -> int:
        """Bytes of a key."""
        return round(self.entry_size * self.key_share)

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """A stream over so many loaded records."""
        rng = np.random.default_rng(seed)
        zl, zd = self.zero_result_lookups, self.zero_result_deletes
        weights = {
            INSERT: self.insert, UPDATE: self.update, RANGE_DELETE: self.range_delete,
            DELETE: self.point_delete * (1 - zd), EMPTY_DELETE: self.point_delete * zd,
            READ: self.point_query * (1 - zl), MISSING: self.point_query * zl,
            SCAN: self.range_query * (1 - zl), EMPTY_SCAN: self.range_query * zl,
        }  # fmt: skip
        p = np.array(list(weights.values()))
        codes = np.array(list(weights), np.uint8)[rng.choice(len(p), operations, p=p / p.sum())]
        inserts = codes == INSERT
        ids = np.zeros(operations, np.int64)
        for law, kinds in (
            (self.update_law, (UPDATE, DELETE, RANGE_DELETE)),
            (self.lookup_law, (READ, SCAN)),
            (self.zero_law, (MISSING, EMPTY_SCAN, EMPTY_DELETE)),
        ):
            rows = np.isin(codes, kinds)
            ids[rows] = self._pick(rng, law, records, int(rows.sum()))
        ids[inserts] = records + np.arange(inserts.sum())
        lengths = np.zeros(operations, np.uint32)
        lengths[codes == SCAN] = max(1, round(self.range_query_selectivity * records))
        lengths[codes == RANGE_DELETE] = max(1, round(self.range_delete_selectivity * records))
        sizes = np.full(operations, self.entry_size - self.key_bytes, np.uint32)
        total = records + int(inserts.sum())
        numbers = None if self.insert_law == "uniform" else self._numbers(rng, total)
        load = np.full(records, self.entry_size - self.key_bytes, np.uint32)
        return Stream(codes, ids, lengths, records, "hashed", self.key_bytes, numbers, sizes=sizes, load_sizes=load)

    def _pick(self, rng: np.random.Generator, law: Law, n: int, count: int) -> Ids:
        shape = (self.alpha, self.beta) if law == "beta" else (self.mean, self.deviation)
        return pick(rng, "zipfian" if law == "zipf" else law, n, count, skew=self.zipf, shape=shape)

    def _numbers(self, rng: np.random.Generator, total: int) -> Ids:
        """Key numbers of which so many fall into each part of the key space as the law says; no two are equal."""
        part = self._pick(rng, self.insert_law, 1 << PARTS, total)
        within = (np.arange(total, dtype=np.uint64) * np.uint64(0x2545F4914F6CDD1D | 1)) & np.uint64((1 << _REST) - 1)
        return ((part.astype(np.int64) << _REST) | within.astype(np.int64)) * 2
