"""Statistics of a column: distinct values, quantiles, frequent values, NULLs, bytes. From all rows by sketches, or from a sample.

HyperLogLog (Flajolet et al., AOFA 2007) and frequent items (Anderson et al., IMC 2017) are those of the package ``datasketches``;
quantiles are in the manner of KLL (Karnin, Lang, Liberty, FOCS 2016), here, for those of the package draw random numbers that no seed
decides. Without the package, distinct values are guessed from the sample by the estimator GEE (Charikar et al.,
PODS 2000): sqrt(N / n) times those seen once, and those seen more often.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from .ordered import encoded

FREQUENT = 64  # values kept
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def token(value: Any) -> Any:
    """Return what is equal for equal values, and hashable."""
    kind = type(value)
    if kind is int or kind is str:
        return value
    if kind is float:
        return int(value) if value.is_integer() else value
    return encoded(value)


def label(t: Any) -> str:
    """Return a token as text, another for each."""
    return f"s{t}" if isinstance(t, str) else f"b{t.hex()}" if isinstance(t, bytes) else repr(t)


def elements_of(value: Any) -> Sequence[Any]:
    """Return the values that conditions see: those of a list each once, of another value itself."""
    return tuple(dict.fromkeys(value)) or ((),) if isinstance(value, list | tuple) else (value,)


class Quantiles:
    """The distribution of numbers: buffers of numbers that stand for 1, 2, 4, ... of them; a full one is sorted, and every other number
    goes up, from the first or the second on by lot, seeded. Memory O(log n).
    """

    def __init__(self, size: int = 1024) -> None:
        """``size`` of a buffer."""
        self.size, self.count = size, 0
        self.error = 4 / size  # of `below`, about, hardly ever more
        self._levels: list[np.ndarray[Any, Any]] = [np.empty(0)]
        self._random = random.Random(size)
        self._least, self._most = math.inf, -math.inf

    def add(self, numbers: np.ndarray[Any, Any]) -> None:
        """Take some."""
        self.count += len(numbers)
        self._least, self._most = min(self._least, float(numbers.min())), max(self._most, float(numbers.max()))
        for i in range(0, len(numbers), self.size):
            self._levels[0] = np.concatenate([self._levels[0], numbers[i : i + self.size]])
            self._compact()

    def _compact(self) -> None:
        for i, level in enumerate(self._levels):
            if len(level) < self.size:
                return
            if i + 1 == len(self._levels):
                self._levels.append(np.empty(0))
            level.sort()
            whole = len(level) // 2 * 2
            up = level[self._random.getrandbits(1) : whole : 2]
            self._levels[i], self._levels[i + 1] = level[whole:], np.concatenate([self._levels[i + 1], up])

    def below(self, value: float, *, included: bool) -> float:
        """Return about which share of the numbers are below a value, or equal to it."""
        found = [np.count_nonzero(level <= value if included else level < value) for level in self._levels]
        whole = sum(len(level) << i for i, level in enumerate(self._levels))
        return sum(int(n) << i for i, n in enumerate(found)) / whole

    def at(self, share: float) -> float:
        """Return about the number below which a share of them are."""
        if share in (0.0, 1.0):
            return self._most if share else self._least
        numbers = np.concatenate(self._levels)
        weights = np.concatenate([np.full(len(level), 1 << i) for i, level in enumerate(self._levels)])
        order = np.argsort(numbers)
        upto = np.cumsum(weights[order])
        return float(numbers[order][np.searchsorted(upto, share * upto[-1])])


@dataclass(frozen=True)
class ColumnStats:
    """``distinct`` values, elements for lists; ``nulls``: share of rows; ``frequent``: `label` -> share of rows; ``bytes`` of a value on
    average; ``quantiles``: least, quarters, greatest of the numbers; ``source``: exact, sample or sketch. ``ranks``: share of numbers
    below, when a sketch knows it better than the sample.
    """

    name: str
    distinct: float
    nulls: float
    frequent: Mapping[str, float]
    bytes: float
    quantiles: tuple[float, ...] | None
    lists: bool
    source: str
    ranks: Quantiles | None = field(default=None, repr=False, compare=False)

    def share(self, value: Any) -> float:
        """Return about which share of the rows have the value."""
        known = self.frequent.get(label(token(value)))
        if known is not None:
            return known
        left = max(0.0, 1.0 - self.nulls - sum(self.frequent.values()))
        return left / max(1.0, self.distinct - len(self.frequent))


def installed() -> bool:
    """Tell whether there is the package for sketches."""
    return find_spec("datasketches") is not None


def stats_of(name: str, values: Sequence[Any], total: int) -> ColumnStats:
    """Return the statistics of the values of a sample of total rows; exact when it is all of them."""
    n = max(1, len(values))
    held = [v for v in values if v is not None]
    counts = Counter(token(e) for v in held for e in elements_of(v))
    distinct = float(len(counts))
    if total > len(values):
        once = sum(1 for c in counts.values() if c == 1)
        distinct = min(float(total), math.sqrt(total / n) * once + (len(counts) - once))
    least = 1 if total <= len(values) else 3
    frequent = {label(t): c / n for t, c in counts.most_common(FREQUENT) if c >= least}
    numbers = np.array([v for v in held if _is_number(v)], np.float64)
    quantiles = tuple(np.quantile(numbers, _SHARES, method="lower").tolist()) if len(numbers) else None
    source = "exact" if total <= len(values) else "sample"
    return ColumnStats(name, distinct, 1 - len(held) / n, frequent, bytes_of(held, n), quantiles, _has_lists(held), source)


def bytes_of(held: Sequence[Any], n: int) -> float:
    """Return the bytes of values in keys, on average over n rows."""
    some = held[:1000]
    return sum(len(encoded(e)) for v in some for e in elements_of(v)) / max(1, len(some)) * len(held) / n


def _is_number(v: Any) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and abs(v) < 1e300


def _has_lists(held: Iterable[Any]) -> bool:
    return any(isinstance(v, list | tuple) for v in held)


class ColumnSketch:
    """Takes the values of one column, batch by batch, in memory that does not grow. ImportError without ``datasketches``."""

    def __init__(self) -> None:
        try:
            import datasketches
        except ImportError:
            raise ImportError("sketches need the package datasketches: pip install 'lsmlab[advisor]'") from None
        self.rows = self.nulls = 0
        self.lists = False
        self._distinct = datasketches.hll_sketch(12, datasketches.tgt_hll_type.HLL_8)
        self._frequent = datasketches.frequent_strings_sketch(10)
        self._numbers = Quantiles()
        self._sure = datasketches.frequent_items_error_type.NO_FALSE_POSITIVES

    def add(self, values: Sequence[Any]) -> None:
        """Take a batch."""
        held = [v for v in values if v is not None]
        self.rows += len(values)
        self.nulls += len(values) - len(held)
        if _has_lists(held):
            self.lists = True
            held = [e for v in held for e in elements_of(v)]
        for t, n in Counter(map(token, held)).items():
            said = label(t)
            self._distinct.update(said)
            self._frequent.update(said, n)
        numbers = [v for v in held if _is_number(v)]
        if numbers:
            self._numbers.add(np.array(numbers, np.float64))

    def stats(self, name: str, sampled: Sequence[Any]) -> ColumnStats:
        """Return the statistics; bytes are from the sample."""
        rows = max(1, self.rows)
        items = self._frequent.get_frequent_items(self._sure)
        floor = 3 * self._frequent.epsilon * rows  # what is not three times as frequent as the error is known to no use
        frequent = {t: about / rows for t, about, _, _ in items[:FREQUENT] if about > floor or len(items) < FREQUENT}
        held = [v for v in sampled if v is not None]
        empty = not self._numbers.count
        quantiles = None if empty else tuple(self._numbers.at(s) for s in _SHARES)
        distinct = float(min(self._distinct.get_estimate(), rows if not self.lists else math.inf))
        size = bytes_of(held, max(1, len(sampled)))
        return ColumnStats(
            name, distinct, self.nulls / rows, frequent, size, quantiles, self.lists, "sketch", None if empty else self._numbers
        )
