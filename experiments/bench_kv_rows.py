"""The rows of `lsmlab bench kv`: which figure of which workload is compared with whose, and what is to be reached.

A row compares with the best LSM peer and with the best of all peers; `limit` rows judge our own figure alone. With 10 M records or values
of 1 KiB a ratio of rates may be a fifth lower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

US = "lsmlab"
RATE = "rate"
EASED_RECORDS, EASED_VALUE, EASE = 10_000_000, 1024, 0.8


@dataclass(frozen=True)
class Row:
    """`lsm` and `every` are ratios of ours to the best LSM peer's and to the best peer's; `limit` bounds our own figure."""

    name: str
    ours: str  # workload
    lsm: float | None = None
    every: float | None = None
    theirs: str = ""  # their workload, unless it is the same
    figure: str = RATE
    less: bool = False  # is better
    limit: float | None = None
    unit: str = "k/s"
    scale: float = 1e-3  # from the figure to the unit

    @property
    def peers_workload(self) -> str:
        """What the peers do for this row."""
        return self.theirs or self.ours

    def eased(self, target: float | None, n: int, value: int) -> float | None:
        """A target, lower where records are many or values are long."""
        if target is None or self.figure != RATE or (n < EASED_RECORDS and value < EASED_VALUE):
            return target
        return target * EASE


def _rates(targets: tuple[float, float], *names: str) -> tuple[Row, ...]:
    return tuple(Row(name, name, *targets) for name in names)


ROWS: tuple[Row, ...] = (
    *_rates((3, 3), "fillseq", "fillrandom", "overwrite", "delete"),
    *_rates((5, 5), "fillbatch"),
    Row("put_many from buffers", "put-buffers", 5, 5, theirs="fillbatch"),
    *_rates((3, 1.5), "get-hot", "get-uniform", "get-zipf"),
    *_rates((1.3, 1.3), "get-missing"),
    *_rates((6, 4), "get-many"),
    *_rates((1.6, 1.6), "scan"),
    Row("scan in chunks", "scan-chunks", 6, 6, theirs="scan"),
    Row("scan as Arrow", "scan-arrow", 6, 6, theirs="scan"),
    *_rates((3, 2), "seek"),
    *_rates((2.5, 1.5), "ycsb-a", "ycsb-b", "ycsb-c", "ycsb-d"),
    *_rates((3, 2), "ycsb-e"),
    *_rates((2.5, 1.5), "ycsb-f"),
    Row("get-many, 4 threads to 1", "get-threads", figure="scaling", limit=3, unit="times", scale=1),
    Row("sustained puts, p99.9", "sustained", 0.5, figure="p999", less=True, unit="µs", scale=1),
    Row("sustained puts, longest", "sustained", 0.25, figure="max", less=True, unit="ms", scale=1e-3),
    Row("sustained, windows over 10 ms", "sustained", figure="stalls", less=True, limit=0, unit="", scale=1),
    Row("fsync, 1 thread", "fsync-1", 1, 1),
    Row("fsync, 16 threads", "fsync-16", 4),
    Row("written / user bytes", "image", 1, figure="written", less=True, unit="times", scale=1),
    Row("space / user bytes", "image", 1, figure="space", less=True, unit="times", scale=1),
    Row("peak memory", "", 1, figure="peak", less=True, unit="MiB", scale=2**-20),
    Row("peak memory / budgets", "", figure="peak / budget", less=True, limit=1.15, unit="times", scale=1),
    Row("open after kill -9", "open-killed", 0.25, figure="open", less=True, unit="ms", scale=1e3),
    Row("clean open", "open-clean", figure="open", less=True, limit=1e-3, unit="ms", scale=1e3),
    *(
        Row(f"ledger's cost, {what}", "ledger", figure=what, less=True, limit=0.02, unit="%", scale=100)
        for what in ("put", "get", "get-many", "scan")
    ),
)


@dataclass(frozen=True)
class Verdict:
    """A row with what was measured; None where it could not be. `noise`: the largest of the repeats over the smallest, ours or a peer's;
    None with one repeat, and where a figure may be zero.
    """

    row: Row
    ours: float
    best_lsm: tuple[str, float] | None
    best: tuple[str, float] | None
    noise: float | None
    targets: tuple[float | None, float | None]

    def ratio(self, peer: tuple[str, float] | None) -> float | None:
        """Ours over a peer's."""
        return self.ours / peer[1] if peer and peer[1] else None

    @property
    def passed(self) -> bool | None:
        """Whether every target is reached; None when a peer that is needed did not run."""
        if self.row.limit is not None:
            return self.ours <= self.row.limit if self.row.less else self.ours >= self.row.limit
        reached = []
        for target, peer in zip(self.targets, (self.best_lsm, self.best), strict=True):
            if target is not None:
                if (got := self.ratio(peer)) is None:
                    return None
                reached.append(got <= target if self.row.less else got >= target)
        return all(reached)

    def distance(self) -> float:
        """How many times too little or too much the worst target's figure is; 1 and less: reached."""
        row = self.row
        if row.limit is not None:
            pairs = [(self.ours, row.limit)]
        else:
            ratios = ((self.ratio(p), t) for p, t in zip((self.best_lsm, self.best), self.targets, strict=True))
            pairs = [(r, t) for r, t in ratios if r is not None and t is not None]
        tiny = 1e-9
        return max(((got / max(want, tiny)) if row.less else want / max(got, tiny) for got, want in pairs), default=0.0)


Figure = Callable[[str, str, str], float | None]
"""(store, workload, figure) to the median of the repeats."""


def judge(stores: Iterable[str], lsm_stores: Iterable[str], figure: Figure, noise: Figure, n: int, value: int) -> list[Verdict]:
    """Every row of which our side was measured."""
    peers, trees, found = [s for s in stores if s != US], set(lsm_stores), []
    for row in ROWS:
        if (ours := figure(US, row.ours, row.figure)) is None:
            continue
        theirs = {p: x for p in peers if row.limit is None and (x := figure(p, row.peers_workload, row.figure)) is not None}
        pick = min if row.less else max
        best = pick(theirs.items(), key=lambda item: item[1], default=None)
        lsm = pick(((p, x) for p, x in theirs.items() if p in trees), key=lambda item: item[1], default=None)
        spreads = [noise(US, row.ours, row.figure), *(noise(p[0], row.peers_workload, row.figure) for p in (lsm, best) if p)]
        targets = (row.eased(row.lsm, n, value), row.eased(row.every, n, value))
        found.append(Verdict(row, ours, lsm, best, max((s for s in spreads if s), default=None), targets))
    return found
