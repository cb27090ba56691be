"""`lsmlab bench bitmap`: row sets, bitmap, bit-sliced, ordered and hashed components beside pyroaring, packed words, a numpy scan and pygm.

One process, one thread; CPU time, the least of several repeats. A case goes through different sets in every repeat's rounds, so that no
branch predictor learns one of them by heart. Our answer is checked against every peer's; the target is to be as quick as the best of them.
A row set and a pyroaring bitmap know how many rows they have, so packed words are counted too, or the answers were not the same; what they
take without the count is shown beside it.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from itertools import islice
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyroaring
import typer

from indexes import bitmap, bitsliced, hashed, ordered
from indexes.rowset import RowSet

from .console import emit, guarded, out, print_table

NOT_COUNTED = "packed words, not counted"  # half an answer: shown, but no target
ROUNDS = 4  # different sets that a case goes through
Call = Callable[[int], Any]  # the number of the round -> an answer
Peers = Mapping[str, tuple[Call, Callable[[Any], float]]]  # by name: the call, and how many rows an answer of its has


@dataclass
class Row:
    """A case: microseconds of ours and of each peer for one round, and what it answered (rows)."""

    case: str
    ours: float
    peers: dict[str, float]
    answer: float

    @property
    def best(self) -> str:
        """The quickest peer's name, of those that answer the same."""
        return min((name for name in self.peers if name != NOT_COUNTED), key=lambda name: self.peers[name])

    @property
    def ratio(self) -> float:
        """Our time over the best peer's."""
        return self.ours / self.peers[self.best]


def timed(call: Call, repeats: int) -> float:
    """Microseconds of the processor for one round, the least of the repeats."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time_ns()
        for i in range(ROUNDS):
            call(i)
        best = min(best, time.process_time_ns() - start)
    return best / ROUNDS / 1e3


def measure(case: str, repeats: int, ours: Call, size: Callable[[Any], float], peers: Peers) -> Row:
    """Time all of them in turn after checking that they answer the same. ValueError when they do not."""
    answer = size(ours(0))
    for name, (call, count) in peers.items():
        if abs(count(call(0)) - answer) > 1e-9 * abs(answer):
            raise ValueError(f"{case}: {name} answers {count(call(0))}, we {answer}")
    return Row(case, timed(ours, repeats), {name: timed(call, repeats) for name, (call, _) in peers.items()}, answer)


def _bits(words: npt.NDArray[np.uint64]) -> float:
    return float(np.bitwise_count(words).sum())


class Values:
    """The rows of some values of columns of one cardinality, in every representation."""

    def __init__(self, rng: np.random.Generator, n: int, cardinality: int) -> None:
        columns = [rng.integers(0, cardinality, n, dtype=np.uint16) for _ in range(5)]
        rows = [[np.flatnonzero(column == v) for column in columns] for v in range(ROUNDS)]
        self.ours = [[RowSet(r) for r in some] for some in rows]
        self.wide = [[s.expanded() for s in some] for some in self.ours]
        self.theirs = [[pyroaring.BitMap(r) for r in some] for some in rows]
        self.words = [[self._packed(column == v) for column in columns] for v in range(ROUNDS)]

    @staticmethod
    def _packed(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
        padded = np.concatenate([mask, np.zeros(-len(mask) % 64, np.bool_)])
        return np.packbits(padded, bitorder="little").view(np.uint64)


def _in_place(operate: Any, parts: list[Any]) -> Any:
    total = operate(parts[0], parts[1])
    for part in parts[2:]:
        operate(total, part, out=total)
    return total


def set_cases(v: Values, label: str, repeats: int) -> Iterator[Row]:
    """AND and OR of 2 to 5 sets: as they are, counted only, and as words where they are lists."""
    for k in range(2, 6):
        yield from _and_cases(v, k, f"AND of {k}, {label}", repeats)
        yield from _or_cases(v, k, f"OR of {k}, {label}", repeats)
    arrays: Peers = {"pyroaring": (lambda i: np.array((v.theirs[i][0] & v.theirs[i][1]).to_array()), len)}
    yield measure(f"AND of 2 and its row ids, {label}", repeats, lambda i: (v.ours[i][0] & v.ours[i][1]).rows(), len, arrays)


def _and_cases(v: Values, k: int, case: str, repeats: int) -> Iterator[Row]:
    peers: Peers = {
        "pyroaring": (lambda i: reduce(lambda a, b: a & b, v.theirs[i][:k]), len),
        "packed words": (lambda i: _bits(_in_place(np.bitwise_and, v.words[i][:k])), float),
        NOT_COUNTED: (lambda i: _in_place(np.bitwise_and, v.words[i][:k]), _bits),
    }
    yield measure(case, repeats, lambda i: RowSet.intersection(*v.ours[i][:k]), len, peers)
    yield measure(f"{case}, expanded", repeats, lambda i: RowSet.intersection(*v.wide[i][:k]), len, peers)
    counted: Peers = {"pyroaring": (lambda i: v.theirs[i][0].intersection_cardinality(v.theirs[i][1]), float)}
    if k == 2:
        yield measure(f"{case}, count", repeats, lambda i: RowSet.and_count(*v.ours[i][:2]), float, counted)


def _or_cases(v: Values, k: int, case: str, repeats: int) -> Iterator[Row]:
    peers: Peers = {
        "pyroaring": (lambda i: pyroaring.BitMap.union(*v.theirs[i][:k]), len),
        "packed words": (lambda i: _bits(_in_place(np.bitwise_or, v.words[i][:k])), float),
        NOT_COUNTED: (lambda i: _in_place(np.bitwise_or, v.words[i][:k]), _bits),
    }
    yield measure(case, repeats, lambda i: RowSet.union(*v.ours[i][:k]), len, peers)
    yield measure(f"{case}, expanded", repeats, lambda i: RowSet.union(*v.wide[i][:k]), len, peers)
    counted: Peers = {"pyroaring": (lambda i: v.theirs[i][0].union_cardinality(v.theirs[i][1]), float)}
    if k == 2:
        yield measure(f"{case}, count", repeats, lambda i: RowSet.or_count(*v.ours[i][:2]), float, counted)


def range_cases(rng: np.random.Generator, n: int, cardinality: int, is_sorted: bool, repeats: int) -> Iterator[Row]:
    """Ranges and aggregates of the bit-sliced component against bit slices on pyroaring and a scan of the column."""
    column = rng.integers(0, cardinality, n, dtype=np.uint16)
    if is_sorted:
        column.sort()
    label = f"{cardinality:,} values" + (", sorted" if is_sorted else "")
    view = bitsliced.open(bitsliced.build(column.astype(np.int64), np.arange(n)))
    digits = [pyroaring.BitMap(np.flatnonzero(column >> d & 1)) for d in range((cardinality - 1).bit_length())]
    everything = pyroaring.BitMap(range(n))

    def below(high: int) -> Any:
        less, equal = pyroaring.BitMap(), everything
        for d in reversed(range(len(digits))):
            if high >> d & 1:
                less, equal = less | equal - digits[d], equal & digits[d]
            else:
                equal = equal - digits[d]
        return less

    def ranged(share: float) -> Row:
        low, high = int(0.2 * cardinality), int((0.2 + share) * cardinality)
        peers: Peers = {
            "pyroaring slices": (lambda i: below(high) - below(low), len),
            "numpy scan": (lambda i: (column >= low) & (column < high), np.count_nonzero),
        }
        return measure(f"range of {share:.0%}, {label}", repeats, lambda i: view.range(low, high), len, peers)

    yield from map(ranged, (0.01, 0.1, 0.5))
    among = np.flatnonzero(rng.random(n) < 0.1)
    some, theirs = RowSet(among), pyroaring.BitMap(among)
    slices = {
        "pyroaring slices": (lambda i: sum(d.intersection_cardinality(theirs) << p for p, d in enumerate(digits)), float),
        "numpy gather": (lambda i: int(column[among].sum(dtype=np.int64)), float),
    }
    yield measure(f"sum over 10 %, {label}", repeats, lambda i: view.sum(some), float, slices)

    def narrowed(k: int) -> Any:
        sure, tied = pyroaring.BitMap(), everything
        for d in reversed(range(len(digits))):
            better = sure | tied & digits[d]
            sure, tied = (sure, tied & digits[d]) if len(better) > k else (better, tied - digits[d])
        return sure | pyroaring.BitMap(islice(tied, k - len(sure)))

    best = {
        "pyroaring slices": (lambda i: narrowed(10), len),
        "numpy partition": (lambda i: np.argpartition(column, n - 10)[n - 10 :], len),
    }
    yield measure(f"top 10, {label}", repeats, lambda i: view.top(10).rows, len, best)


def key_cases(rng: np.random.Generator, n: int, repeats: int) -> Iterator[Row]:
    """Lookups of ordered and hashed components, microseconds a lookup or range, against pygm, searchsorted and a dict."""
    values = np.sort(rng.permutation(4 * n)[:n])
    keys = values.astype(">u8").view("V8")
    by_order, by_hash = ordered.open(ordered.build(keys, np.arange(n))), hashed.open(hashed.build(keys, np.arange(n)))
    asked = rng.integers(0, n - 100, (ROUNDS, 2000))
    numbers, coded, ends = values[asked].tolist(), _coded(values[asked]), _coded(values[asked + 100])
    lookup = dict(zip(values.tolist(), range(n), strict=True))
    peers: dict[str, tuple[Call, Callable[[Any], float]]] = {"dict": (lambda r: [lookup[x] for x in numbers[r]], sum)}
    ranges: Peers = {
        "numpy searchsorted": (
            lambda r: [values[slice(*np.searchsorted(values, (x, values[i + 100])))] for x, i in zip(numbers[r], asked[r], strict=True)],
            len,
        )
    }
    try:
        listed = importlib.import_module("pygm").SortedList(values)
        peers["pygm"] = (lambda r: [listed.bisect_left(x) for x in numbers[r]], sum)
    except ImportError:
        out.print("pygm is not installed: left out", markup=False)
    each = len(coded[0])
    batch = {"numpy searchsorted": (lambda r: np.searchsorted(values, values[asked[r]]), lambda a: float(a.sum()))}
    packed = [values[row].astype(">u8").view("V8") for row in asked]
    yield from (
        _each(row, each)
        for row in (
            measure(f"ordered, one key of {n:,}", repeats, lambda r: [by_order.first(k) for k in coded[r]], sum, peers),
            measure(f"hashed, one key of {n:,}", repeats, lambda r: [by_hash.first(k) for k in coded[r]], sum, peers),
            measure(f"ordered, keys in batches of {each:,}", repeats, lambda r: by_order.lookup_many(packed[r])[1], _total, batch),
            measure(f"hashed, keys in batches of {each:,}", repeats, lambda r: by_hash.lookup_many(packed[r])[1], _total, batch),
            measure(
                f"ordered, range of 100 of {n:,}",
                repeats,
                lambda r: [by_order.range_rows(a, b) for a, b in zip(coded[r], ends[r], strict=True)],
                len,
                ranges,
            ),
        )
    )
    out.print(f"{by_order.size / n:.2f} and {by_hash.size / n:.2f} bytes a key in ordered and hashed segments", markup=False)


def _coded(numbers: npt.NDArray[np.int64]) -> list[list[bytes]]:
    return [[x.to_bytes(8, "big") for x in row] for row in numbers.tolist()]


def _total(rows: npt.NDArray[np.uint64]) -> float:
    return float(rows.sum())


def _each(row: Row, n: int) -> Row:
    return Row(row.case, row.ours / n, {name: t / n for name, t in row.peers.items()}, row.answer)


def size_rows(rng: np.random.Generator, n: int) -> list[list[str]]:
    """Bits a row and seconds to build, of bitmap and bit-sliced segments and of pyroaring's bytes."""
    shown = []
    for cardinality, is_sorted in ((10, False), (100, False), (10_000, False), (10_000, True)):
        column = rng.integers(0, cardinality, n, dtype=np.uint16)
        if is_sorted:
            column.sort()
        made = [_made(make, column) for make in (_as_bitmap, _as_slices, _as_pyroaring)]
        label = f"{cardinality:,} values" + (", sorted" if is_sorted else "")
        shown.append([label, *(f"{size:.2f}" for size, _ in made), *(f"{seconds:.2f}" for _, seconds in made)])
    return shown


def _made(make: Callable[[npt.NDArray[np.uint16]], bytes], column: npt.NDArray[np.uint16]) -> tuple[float, float]:
    start = time.process_time()
    return 8 * len(make(column)) / len(column), time.process_time() - start


def _as_bitmap(column: npt.NDArray[np.uint16]) -> bytes:
    return bitmap.build(column.astype(">u2").view("V2"), np.arange(len(column), dtype=np.uint64))


def _as_slices(column: npt.NDArray[np.uint16]) -> bytes:
    return bitsliced.build(column.astype(np.int64), np.arange(len(column), dtype=np.uint64))


def _as_pyroaring(column: npt.NDArray[np.uint16]) -> bytes:
    return b"".join(map(pyroaring.BitMap.serialize, _value_sets(column)))


def _value_sets(column: npt.NDArray[np.uint16]) -> Iterator[Any]:
    order = np.argsort(column, kind="stable")
    starts = np.flatnonzero(np.diff(column[order], prepend=-1))
    return (pyroaring.BitMap(part) for part in np.split(order, starts[1:]))


def cases(n: int, repeats: int, seed: int) -> Iterator[Row]:
    """Everything, in the order of the table."""
    rng = np.random.default_rng(seed)
    for cardinality in (10, 100, 10_000):
        yield from set_cases(Values(rng, n, cardinality), f"{cardinality:,} values", repeats)
    for cardinality, is_sorted in ((100, False), (10_000, False), (10_000, True)):
        yield from range_cases(rng, n, cardinality, is_sorted, repeats)
    yield from key_cases(rng, max(1000, n // 10), repeats)


def bench(
    *,
    n: Annotated[int, typer.Option("--n", min=10_000, help="Rows.")] = 10_000_000,
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Row sets and the bitmap, bit-sliced, ordered and hashed components beside pyroaring, packed words, numpy and pygm.

    Example: lsmlab bench bitmap --n 1000000
    """
    with guarded():
        rows = list(cases(n, repeats, seed))
        sizes = size_rows(np.random.default_rng(seed), n)
        plain = {"n": n, "repeats": repeats, "seed": seed, "cases": [{**asdict(r), "ratio": r.ratio} for r in rows], "sizes": sizes}
        emit(plain, as_json, lambda: _show(rows, sizes, n, repeats))


def _show(rows: list[Row], sizes: list[list[str]], n: int, repeats: int) -> None:
    shown = [
        [
            *(r.case, f"{r.ours:,.2f}", f"{r.peers[r.best]:,.2f}", r.best, f"{r.ratio:.2f}", "yes" if r.ratio <= 1 else "no"),
            f"{r.peers[NOT_COUNTED]:,.2f}" if NOT_COUNTED in r.peers else "",
        ]
        for r in rows
    ]
    title = f"microseconds of the processor, {n:,} rows, least of {repeats}; the best peer beside ours"
    header = ["case", "ours", "best peer", "which", "ours / best", "≤ 1", NOT_COUNTED]
    print_table(title, header, shown)
    header = ["column", "bitmap", "bit-sliced", "pyroaring", "bitmap, s", "bit-sliced, s", "pyroaring, s"]
    print_table("bits a row, and seconds to build", header, sizes)
