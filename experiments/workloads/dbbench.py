"""db_bench's benchmarks by the names that people expect (google/leveldb and facebook/rocksdb, tools/db_bench_tool.cc).

Keys are numbered densely, as there. Deviations, said here because a name promises: one stream stands for all threads, so the writer of
readwhilewriting is a share of the operations; mergerandom is a read-modify-write where the store has no merge operator. `timeseries` is
TimeSeries, `mixgraph` Mixgraph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..names import listed
from .mix import Mix, of_codes
from .stream import INSERT, KEY_BYTES, Stream

RANDOM: dict[str, Mix] = {  # over a loaded store, records evenly drawn
    "overwrite": Mix(update=1.0, distribution="uniform"),
    "readrandom": Mix(read=1.0, distribution="uniform"),
    "readmissing": Mix(missing=1.0, distribution="uniform"),
    "seekrandom": Mix(scan=1.0, distribution="uniform", scan_max=1),
    "deleterandom": Mix(delete=1.0, distribution="uniform"),
    "updaterandom": Mix(rmw=1.0, distribution="uniform"),
    "mergerandom": Mix(merge=1.0, distribution="uniform"),
}
NAMES = ("fillseq", "fillrandom", "readwhilewriting", *RANDOM)


@dataclass(frozen=True)
class DbBench:
    """One of db_bench's benchmarks. `seek_nexts`: entries read after a seek. `write_share`: the writer's part of readwhilewriting."""

    benchmark: str
    seek_nexts: int = 0
    write_share: float = 0.1
    key_bytes: int = KEY_BYTES

    def __post_init__(self) -> None:
        if self.benchmark not in NAMES:
            raise ValueError(f"benchmark {self.benchmark!r} is unknown; there are {listed(self.benchmark, NAMES)}")
        if self.seek_nexts < 0 or not 0 <= self.write_share <= 1:
            raise ValueError(f"seek_nexts = {self.seek_nexts}, write_share = {self.write_share}; allowed: 0 and more, 0 to 1")

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """The fills write `operations` of `records` keys into an empty store, the others run over `records` that are loaded."""
        rng = np.random.default_rng(seed)
        nothing = np.zeros(operations, np.uint32)
        if self.benchmark == "fillseq":
            codes = np.full(operations, INSERT, np.uint8)
            return Stream(codes, np.arange(operations, dtype=np.int64), nothing, 0, "dense", self.key_bytes)
        if self.benchmark == "fillrandom":  # with replacement, as there
            ids = rng.integers(0, records, operations, dtype=np.int64)
            return Stream(np.full(operations, INSERT, np.uint8), ids, nothing, 0, "dense", self.key_bytes)
        mix = RANDOM.get(self.benchmark) or Mix(read=1 - self.write_share, update=self.write_share, distribution="uniform")
        stream = of_codes(mix, rng.choice(len(mix.shares()), operations, p=mix.shares()).astype(np.uint8), records, rng, "dense")
        lengths = np.full(operations, 1 + self.seek_nexts, np.uint32) if self.benchmark == "seekrandom" else stream.lengths
        return Stream(stream.codes, stream.ids, lengths, records, "dense", self.key_bytes)
