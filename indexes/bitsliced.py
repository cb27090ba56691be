"""Bit-sliced index components: one number of a row, for ranges, sums, extremes, top k and quantiles.

A column of int64 or float64 with NULLs (rows that are not there) as one bitmap for every binary digit, in chunks of 65,536 row ids that
know their least and most value. Aggregates take a RowSet of the rows to look at, the answer of other indexes.
Source: P. O'Neil, D. Quass, "Improved query performance with variant indexes", SIGMOD 1997; D. Rinfret, P. O'Neil, E. O'Neil,
"Bit-sliced index arithmetic", SIGMOD 2001.

>>> import numpy as np
>>> from indexes import bitsliced
>>> view = bitsliced.open(bitsliced.build(np.array([30, 10, 20]), [1, 2, 3]))
>>> view.range(15, None).rows()
array([1, 3], dtype=uint64)
>>> view.sum(), view.quantile(0.5)
(60, 20)
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .native_bitmap import NativeSlices, merge_slices, write_slices
from .native_rowset import Rows, as_rows
from .ordered import Hidden, hidden
from .rowset import RowSet

Number: TypeAlias = int | float
Column: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]
KINDS = ("int64", "float64")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1


class Ranked(NamedTuple):
    """Rows with their values, best first."""

    rows: Rows
    values: Column


class ValueBatch(NamedTuple):
    """Rows, ascending, with their values."""

    rows: Rows
    values: Column


def to_ordered(values: Column) -> Rows:
    """Return the numbers as unsigned ones of the same order: int64 with the sign turned; a float64's bits, all turned when negative."""
    if values.dtype == np.int64:
        return values.view(np.uint64) ^ np.uint64(_SIGN)
    bits: Rows = (values + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    return np.where(bits >> np.uint64(63), ~bits, bits | np.uint64(_SIGN))


def from_ordered(numbers: Rows, kind: int) -> Column:
    """Return what `to_ordered` was given."""
    if kind == 0:
        return (numbers ^ np.uint64(_SIGN)).view(np.int64)
    bits: Rows = np.where(numbers >> np.uint64(63), numbers ^ np.uint64(_SIGN), ~numbers)
    floats: npt.NDArray[np.float64] = bits.view(np.float64)
    return floats


def as_column(values: Any) -> Column:
    """Return values as int64 or float64. ValueError: NaN (leave NULLs out), no numbers, or whole numbers beyond 64 bits."""
    column = np.asarray(values)
    if column.size == 0:
        is_float = isinstance(values, np.ndarray) and values.dtype.kind == "f"
        return np.empty(0, np.float64) if is_float else np.empty(0, np.int64)
    if column.ndim != 1 or column.dtype.kind not in "iufb" or (column.dtype.kind == "u" and int(column.max()) >= _SIGN):
        raise ValueError(f"values are {column.dtype} of {column.ndim} dimensions; allowed: int64 or float64 in a row")
    if column.dtype.kind != "f":
        return np.ascontiguousarray(column, np.int64)
    if bool(np.isnan(column).any()):
        raise ValueError(f"value {int(np.isnan(column).argmax())} is NaN; allowed: numbers (a row without a value is left out)")
    return np.ascontiguousarray(column, np.float64)


def _floor(x: Number, kind: int) -> int:
    """The ordered number of the greatest value <= x; -1 when all are greater."""
    if kind == 0:
        return _ALL if x >= _SIGN else max(math.floor(x), -_SIGN - 1) + _SIGN if x > -math.inf else -1
    if isinstance(x, int) and abs(x) > 1 << 53:
        near = float(max(min(x, 1 << 1023), -(1 << 1023)))
        x = near if near <= x else math.nextafter(near, -math.inf)
    return int(to_ordered(np.array([x], np.float64))[0])


def _ceil(x: Number, kind: int) -> int:
    """The ordered number of the least value >= x; 2**64 when all are less."""
    exact = _floor(x, kind)
    if exact < 0:
        return 0
    value = from_ordered(np.array([exact], np.uint64), kind)[0].item()
    return exact if value >= x else exact + 1


def bounds(low: Number | None, high: Number | None, after_low: bool, with_high: bool, kind: int) -> tuple[int, int] | None:
    """Return the first and last ordered number in a range of values (NaN compares with nothing); None when there is none."""
    if any(isinstance(x, float) and math.isnan(x) for x in (low, high)):
        return None
    first = 0 if low is None else _floor(low, kind) + 1 if after_low else _ceil(low, kind)
    last = _ALL if high is None else _floor(high, kind) if with_high else _ceil(high, kind) - 1
    return (first, last) if first <= last else None


class BitSlicedView(NativeSlices):
    """A segment, read in place. Any number of threads; calls run without the GIL."""

    @property
    def kind(self) -> str:
        """What the values are: int64 or float64."""
        return KINDS[self._kind]

    def range(self, low: Number | None, high: Number | None, *, after_low: bool = False, with_high: bool = False) -> RowSet:
        """Return the rows with low <= value < high (None: no bound; after_low: low < value; with_high: value <= high).

        Chunks wholly in or out cost nothing; else one pass over the digits that matter.
        """
        span = bounds(low, high, after_low, with_high, self._kind)
        return self._range(*span) if span else RowSet()

    def equal(self, value: Number) -> RowSet:
        """Return the rows with this value."""
        return self.range(value, value, with_high=True)

    def count(
        self,
        low: Number | None = None,
        high: Number | None = None,
        *,
        after_low: bool = False,
        with_high: bool = False,
        among: RowSet | None = None,
    ) -> int:
        """Return how many rows (of `among`) are in the range, without making their set."""
        span = bounds(low, high, after_low, with_high, self._kind)
        return self._range_count(*span, among) if span else 0

    def sum(self, among: RowSet | None = None) -> Number:
        """Return the sum of the values (of the rows in `among`): exact for int64; 0 without rows."""
        if self._kind == 0:
            count, total = self._sum(among)
            return total - count * _SIGN
        with np.errstate(invalid="ignore", over="ignore"):  # of opposite infinities the sum is NaN
            return float(np.sum([batch.values.sum() for batch in self.entries(among)], dtype=np.float64))

    def mean(self, among: RowSet | None = None) -> float | None:
        """Return the mean value; None without rows."""
        count = self.count(among=among)
        return self.sum(among) / count if count else None

    def top(self, k: int, *, largest: bool = True, among: RowSet | None = None) -> Ranked:
        """Return the k rows of the largest (smallest) values, best first; of equal values the smallest rows first. ValueError: k < 0."""
        if k < 0:
            raise ValueError(f"k is {k}; allowed: 0 and more")
        rows, values = self._top(min(k, len(self)), largest, among)
        return Ranked(rows, from_ordered(values, self._kind))

    def min(self, among: RowSet | None = None) -> Number | None:
        """Return the least value; None without rows."""
        best = self.top(1, largest=False, among=among).values
        return best[0].item() if len(best) else None

    def max(self, among: RowSet | None = None) -> Number | None:
        """Return the greatest value; None without rows."""
        best = self.top(1, among=among).values
        return best[0].item() if len(best) else None

    def quantile(self, q: float, among: RowSet | None = None) -> Number | None:
        """Return the least value such that a share q of the rows is <= it (nearest rank); None without rows. ValueError: q outside 0 to 1.

        A binary search over values, each step a count; chunks outside the range left are skipped.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}; allowed: 0 to 1")
        count = self._range_count(0, _ALL, among)
        if count == 0:
            return None
        want = max(1, math.ceil(q * count))  # how many rows are <= the answer, at least
        low, high = (int(self._top(1, largest, among)[1][0]) for largest in (False, True))
        below = 0  # rows < low
        while low < high:
            middle = (low + high) // 2
            here = self._range_count(low, middle, among)
            if below + here >= want:
                high = middle
            else:
                below, low = below + here, middle + 1
        return from_ordered(np.array([low], np.uint64), self._kind)[0].item()  # type: ignore[no-any-return]

    def values_at(self, rows: Any) -> tuple[Column, npt.NDArray[np.bool_]]:
        """Return (values, found): the value of each row where there is one, else 0."""
        values, found = self._values(as_rows(rows))
        column = from_ordered(values, self._kind)
        column[~found] = 0
        return column, found

    def entries(self, among: RowSet | None = None) -> Iterator[ValueBatch]:
        """Yield all rows (of `among`) with their values, ascending by row."""
        return (ValueBatch(rows, from_ordered(values, self._kind)) for rows, values in self._decode(among))


class BitSlicedMemory:
    """The memory component: values by row. Inserts are O(1), queries scan. One writer with readers excluded, or any number of readers.

    `segment_view` turns it into a segment and answers everything else.
    """

    def __init__(self, kind: str = "int64") -> None:
        """ValueError when kind is neither int64 nor float64."""
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; allowed: {', '.join(KINDS)}")
        self.kind = kind
        self._place: dict[int, int] = {}
        self._rows: array[int] = array("Q")
        self._values: array[Any] = array("q" if kind == "int64" else "d")

    def insert(self, value: Number, row: int) -> None:
        """Set the row's value. ValueError: NaN, or a number that does not fit the kind; nothing has changed then."""
        if isinstance(value, float) and math.isnan(value):
            raise ValueError("value is NaN; allowed: numbers (a row without a value is left out)")
        place = self._place.get(row)
        try:
            if place is not None:
                self._values[place] = value
            else:
                self._values.append(value)
                self._place[row] = len(self._rows)
                self._rows.append(row)
        except (OverflowError, TypeError):
            if place is None and len(self._values) > len(self._rows):
                self._values.pop()
                self._place.pop(row, None)
            raise ValueError(f"value {value!r} of row {row!r}; allowed: {self.kind} and row ids from 0 to 2**64 - 1") from None

    def delete_row(self, row: int) -> int:
        """Remove the row's value; return how many there were, 0 or 1."""
        place = self._place.pop(row, None)
        if place is None:
            return 0
        last_row, last_value = self._rows.pop(), self._values.pop()
        if place < len(self._rows):
            self._rows[place], self._values[place], self._place[last_row] = last_row, last_value, place
        return 1

    def __len__(self) -> int:
        return len(self._rows)

    def _arrays(self) -> tuple[Column, Rows]:
        """Copies: the arrays may grow while someone holds them."""
        return np.array(self._values, self.kind), np.array(self._rows, np.uint64)

    def range(self, low: Number | None, high: Number | None, *, after_low: bool = False, with_high: bool = False) -> RowSet:
        """Return the rows in the range, as `BitSlicedView.range`."""
        values, rows = self._arrays()
        span = bounds(low, high, after_low, with_high, KINDS.index(self.kind))
        if span is None:
            return RowSet()
        numbers = to_ordered(values)
        return RowSet(rows[(numbers >= np.uint64(span[0])) & (numbers <= np.uint64(span[1]))])

    def equal(self, value: Number) -> RowSet:
        """Return the rows with this value."""
        return self.range(value, value, with_high=True)

    def not_null(self) -> RowSet:
        """Return the rows that have a value."""
        return RowSet(np.array(self._rows, np.uint64))

    def to_segment(self) -> bytes:
        """Return a segment of what it holds now."""
        return build(*self._arrays())

    def segment_view(self) -> BitSlicedView:
        """Return a view of what it holds now, for aggregates. O(n)."""
        return open(self.to_segment())


def build(values: Any, rows: Any) -> bytes:
    """Return a segment of values[i] of rows[i], in any order. The kind is float64 for floats, else int64.

    ValueError: NaN, not as many values as rows, or two values of a row.
    """
    column, ids = as_column(values), as_rows(rows)
    if len(column) != len(ids):
        raise ValueError(f"{len(column)} values and {len(ids)} row ids; allowed: as many")
    return write_slices(ids, to_ordered(column), KINDS.index(str(column.dtype)))


def open(data: Any) -> BitSlicedView:
    """Return a view of a segment (bytes, mmap, memoryview). All lengths and sets are checked here: ValueError. O(size)."""
    return BitSlicedView(data)


def merge(views: Sequence[BitSlicedView], hide: Hidden | None = None) -> bytes:
    """Return one segment of several: chunk by chunk. hide[i]: rows whose values in views[i] are void. ValueError: views of both kinds.

    A row that is left in several views is taken from the first of them.
    """
    kinds = {view._kind for view in views}
    if len(kinds) > 1:
        raise ValueError("views of int64 and of float64; allowed: one kind")
    return merge_slices(views, hidden(hide), kinds.pop() if kinds else 0)
