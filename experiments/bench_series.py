"""Single puts without a pause, each timed on its own: what bench_stalls and bench_kv watch.

The keys of a chunk are drawn between chunks, off the clock. Windows are a tenth of a second of time inside the loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .histogram import Histogram

NONE = "none"
CHUNK = 4_096
WINDOW_NS = 100_000_000
STALL_US = 10_000.0


@dataclass
class Series:
    """One store: operations and longest put of each window, and the latencies of all puts."""

    store: str
    operations: list[int]
    longest_us: list[float]
    histogram: Histogram
    seconds: float
    puts: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"histogram": self.histogram.to_dict()}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Series:
        """What to_dict gave."""
        return cls(**given | {"histogram": Histogram.from_dict(given["histogram"])})

    def percentile(self, q: float) -> float:
        """Microseconds that q per cent of the puts stayed within."""
        return self.histogram.percentile(q) / 1000

    @property
    def longest(self) -> float:
        """The longest put in microseconds."""
        return max(self.longest_us)

    @property
    def stalls(self) -> int:
        """Windows with a put of more than 10 ms."""
        return sum(us > STALL_US for us in self.longest_us)

    def summary(self) -> dict[str, float]:
        """Return the figures of the whole."""
        figures = {f"p{q:g}": self.percentile(q) for q in (50, 99, 99.9, 99.99)}
        return {"puts a second": self.puts / self.seconds, **figures, "max": self.longest, "windows over 10 ms": self.stalls}


def _chunks(seed: int, value: int) -> Callable[[], tuple[list[bytes], list[bytes]]]:
    rng = np.random.default_rng(seed)
    pool = [rng.bytes(value) for _ in range(CHUNK)]

    def draw() -> tuple[list[bytes], list[bytes]]:
        raw = rng.bytes(16 * CHUNK)
        return [raw[i : i + 16] for i in range(0, len(raw), 16)], pool

    return draw


def write(put: Callable[[bytes, bytes], Any], seconds: float, seed: int, *, puts_wanted: int = 0, value_bytes: int = 100) -> Series:
    """Put until so many seconds were spent in puts, or, when puts are wanted, until so many were done."""
    draw, now = _chunks(seed, value_bytes), time.perf_counter_ns
    operations: list[int] = []
    longest: list[float] = []
    histogram = Histogram.merged([])
    spent = puts = 0
    limit = int(seconds * 1e9)
    while puts < puts_wanted if puts_wanted else spent < limit:
        keys, values = draw()
        times = []
        before = now()
        for key, value in zip(keys, values, strict=True):
            put(key, value)
            after = now()
            times.append(after - before)
            before = after
        ns = np.asarray(times)
        ends = spent + np.cumsum(ns)
        for window in range(spent // WINDOW_NS, int(ends[-1]) // WINDOW_NS + 1):
            inside = ns[ends // WINDOW_NS == window]
            operations += [0] * (window + 1 - len(operations))
            longest += [0.0] * (window + 1 - len(longest))
            operations[window] += len(inside)
            longest[window] = max(longest[window], float(inside.max(initial=0)) / 1000)
        histogram = Histogram.merged([histogram, Histogram.of(ns)])
        spent, puts = int(ends[-1]), puts + len(ns)
    return Series("", operations, longest, histogram, spent / 1e9, puts)
