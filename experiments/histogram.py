"""A latency histogram of constant relative precision that merges without loss: HDR's buckets (Tene, HdrHistogram) in numpy.

Values below 2048 ns have buckets of their own; above, each power of two is cut into 1024 equal buckets, so a bucket is at most one 1024th
of its value wide. Counts are exact; a percentile is the upper end of its bucket, as HDR's is, and never above the exact maximum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 10
_EXACT = 2 << _BITS
MOST = (1 << 53) - 1  # ns: over a hundred days


def bucket_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each value of 0..MOST."""
    shift: NDArray[np.int64] = np.maximum(np.frexp(values.astype(np.float64))[1].astype(np.int64) - _BITS - 1, 0)
    return (shift << _BITS) + (values >> shift)


def upper_end(buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest value of each bucket."""
    shift = np.maximum((buckets >> _BITS) - 1, 0)
    ends: NDArray[np.int64] = ((buckets - (shift << _BITS) + 1) << shift) - 1
    return ends


@dataclass(frozen=True)
class Histogram:
    """Buckets that hold something, in order, and how many; the exact sum and maximum."""

    buckets: NDArray[np.int64]
    counts: NDArray[np.int64]
    total: int = 0
    maximum: int = 0

    @classmethod
    def of(cls, values: NDArray[Any]) -> Histogram:
        """The histogram of values in nanoseconds. ValueError below 0 or above MOST. O(n log n)."""
        values = np.asarray(values, np.int64)
        if not len(values):
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))
        if values.min() < 0 or values.max() > MOST:
            raise ValueError(f"values from {values.min()} to {values.max()}; allowed: 0 to {MOST}")
        buckets, counts = np.unique(bucket_of(values), return_counts=True)
        return cls(buckets, counts.astype(np.int64), int(values.sum()), int(values.max()))

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """What one histogram of all values would be: equal to the last bit."""
        some = list(parts)
        if not some:
            return cls.of(np.zeros(0, np.int64))
        buckets, places = np.unique(np.concatenate([p.buckets for p in some]), return_inverse=True)
        counts = np.zeros(len(buckets), np.int64)
        np.add.at(counts, places, np.concatenate([p.counts for p in some]))
        return cls(buckets, counts, sum(p.total for p in some), max(p.maximum for p in some))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_dict() == other.to_dict()

    def percentile(self, q: float) -> float:
        """The value in nanoseconds that q per cent of the values stay within, from 0 to 100; 0 when there are none."""
        if not len(self):
            return 0.0
        rank = max(1, int(np.ceil(q / 100 * len(self) - 1e-9)))
        place = int(np.searchsorted(np.cumsum(self.counts), rank))
        return float(min(upper_end(self.buckets[place : place + 1])[0], self.maximum))

    def mean(self) -> float:
        """The exact mean."""
        return self.total / len(self) if len(self) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"buckets": self.buckets.tolist(), "counts": self.counts.tolist(), "total": self.total, "maximum": self.maximum}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Histogram:
        """What to_dict gave."""
        return cls(np.array(given["buckets"], np.int64), np.array(given["counts"], np.int64), given["total"], given["maximum"])
