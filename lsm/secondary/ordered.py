"""Indexes of encoded keys: ordered (several columns, covering, unique) and hash."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, product
from typing import Any, NamedTuple

import numpy as np

from indexes import hashed, ordered
from indexes.rowset import RowSet

from .. import keys as key_code
from ..scan import prefix_end
from .changes import Gathered, Ids, Payloads
from .kinds import Entries, IndexType, Row, register_index
from .predicate import Leaf
from .record import Names, decode_many, encode, encode_many

NULL, AFTER_NULL = b"\x02", b"\x03"
LISTED = b"\x34\x28\x00"  # beside the elements of a list: behind all other values, as lists are
_LIST = b"\x00"  # behind the key: its columns are elements of lists
MAX_KEY = 65535  # bytes of a key in a segment
MOST_RANGES = 1000  # of one query: an IN times an IN
_CLASSES = (
    (b"\x04", b"\x06"),
    (b"\x10", b"\x29"),
    (b"\x30", b"\x31"),
    (b"\x31", b"\x32"),
    (b"\x32", b"\x33"),
    (b"\x33", b"\x34"),
    (b"\x34", LISTED),  # a date
)


class Range(NamedTuple):
    """Keys from low on and below high; None: no bound."""

    low: bytes | None
    high: bytes | None


def elements(value: Any) -> list[bytes]:
    """Return the keys of a value; of a list, those of its elements, each once and without NULLs, and LISTED."""
    if isinstance(value, list | tuple):
        return [*sorted({encoded(v) for v in value if v is not None}), LISTED]
    return [encoded(value)]


def sized(keys: Sequence[bytes]) -> Sequence[bytes]:
    """Return the keys. ValueError when one is longer than segments hold."""
    if (longest := max(map(len, keys), default=0)) > MAX_KEY:
        raise ValueError(f"a key of {longest} bytes; allowed: up to {MAX_KEY}")
    return keys


def fits(keys: Iterable[bytes | None]) -> bool:
    """Tell whether segments can be asked for all of the keys; None: no bound."""
    return all(k is None or len(k) <= MAX_KEY for k in keys)


def encoded(value: Any) -> bytes:
    """Return the key of one value, the same for equal values: 1.0 as 1, a date as a tuple of its day."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = (value.toordinal(),)
    elif isinstance(value, list):
        value = tuple(value)
    return key_code.encode(value)


def keys_of(rows: Sequence[Row], column: Any) -> list[Any]:
    """Return the key of a column of each row; of a list, the list of its keys."""
    return key_code.indexed([row.get(column) for row in rows], _key_or_keys)


def _key_or_keys(value: Any) -> bytes | list[bytes]:
    return elements(value) if isinstance(value, list | tuple) else encoded(value)


def are_bytes(keys: Iterable[Any]) -> bool:
    """Tell whether there are no lists among them."""
    return set(map(type, keys)) <= {bytes}


def ranges_of(leaf: Leaf) -> list[Range] | None:
    """Return the keys of one column that satisfy a leaf, or None for one that is not about order."""
    op, v = leaf.op, leaf.values
    if op == "in":
        return [Range(e, prefix_end(e)) for e in sorted({encoded(x) for x in v})]
    if op == "is_null":
        return [Range(NULL, AFTER_NULL)]
    if op == "not_null":
        return [Range(AFTER_NULL, None)]
    if op == "startswith":
        p = key_code.encode(v[0])
        stem = p[:-2] if p.endswith(b"\x00\x01") else p
        return [Range(stem, prefix_end(stem))]
    if op == "not_in":
        if not v:
            return [Range(None, None)]
        edges = sorted({encoded(x) for x in v})
        lows = [AFTER_NULL, *(prefix_end(e) for e in edges)]
        return [Range(a, b) for a, b in zip(lows, [*edges, None], strict=True)]
    if op == "range":
        return _interval(*v)
    if op == "outside":
        low, with_low, high, with_high = v
        below = [] if low is None else _interval(None, False, low, not with_low)
        above = [] if high is None else _interval(high, not with_high, None, False)
        return [*below, *above, Range(LISTED, prefix_end(LISTED))]  # an empty list has no element within
    return None


def _interval(low: Any, with_low: bool, high: Any, with_high: bool) -> list[Range]:
    a, b = (None if x is None else encoded(x) for x in (low, high))
    first, end = next(c for c in _CLASSES if c[0] <= (a or b or b"") < c[1])
    start = first if a is None else a if with_low else prefix_end(a)
    stop = end if b is None else prefix_end(b) if with_high else b
    return [Range(start, stop)] if start is not None and stop is not None and start < stop else []


@register_index
class OrderedIndex(IndexType):
    """Keys in order: equality, ranges, prefixes, ORDER BY, over one column or the first of several. Lists are indexed by their elements.

    ``include``: columns kept beside the key, so that queries which want no others need no rows (covering). Rows whose indexed columns
    are all NULL are in it too.
    """

    kind = "ordered"
    can_be_unique = True

    def __init__(self, columns: tuple[Any, ...], *, include: Sequence[str] = ()) -> None:
        super().__init__(columns)
        self.include = (include,) if isinstance(include, str) else tuple(include)
        self.width = len(columns)
        self._names = Names(self.include)

    def needs(self) -> tuple[Any, ...]:
        """Its columns, and those included."""
        return (*self.columns, *self.include)

    def has(self, columns: Iterable[str]) -> bool:
        """Tell whether its entries give all of the columns."""
        return {*self.columns, *self.include}.issuperset(columns)

    def takes_all(self) -> bool:
        """Every stored value has a key; of a short row, one that fits."""
        return type(self) is OrderedIndex

    def payloads(self, row: Row) -> Sequence[bytes]:
        """Return the key of the row: its columns, then those included."""
        values = [row.get(c) for c in self.columns]
        heads = [elements(v) for v in values]
        tail = _LIST if any(isinstance(v, list | tuple) for v in values) else b""
        tail += encode({c: row.get(c) for c in self.include}, self._names) if self.include else b""
        return sized([b"".join(parts) + tail for parts in product(*heads)])

    def gather(self, rows: Sequence[Row]) -> Gathered:
        """Column by column, unless there are lists."""
        heads = [keys_of(rows, c) for c in self.columns]
        if not all(map(are_bytes, heads)):
            return super().gather(rows)
        if self.include:
            heads.append(encode_many([{c: row.get(c) for c in self.include} for row in rows], self._names))
        return Gathered(None, sized(heads[0] if len(heads) == 1 else list(map(b"".join, zip(*heads, strict=True)))))

    def build(self, entries: Entries) -> bytes:
        """Sort them."""
        return self.build_many(np.fromiter((r for r, _ in entries), np.uint64, len(entries)), [p for _, p in entries])

    def build_many(self, rows: Ids, payloads: Payloads) -> bytes:
        """Sort them."""
        return ordered.build(payloads, rows)

    def open(self, data: Any) -> ordered.OrderedView:
        """Open the segment in place."""
        return ordered.open(data)

    def search(self, view: ordered.OrderedView, query: Sequence[Range]) -> RowSet:
        """Return the rows of all ranges."""
        found = [view.range_rows(r.low, r.high) for r in query]
        return RowSet(found[0] if len(found) == 1 else np.concatenate([*found, np.empty(0, np.uint64)]))

    def entries(self, view: ordered.OrderedView) -> Iterator[tuple[int, bytes]]:
        """Yield all, in the order of keys."""
        for batch in view.entries():
            yield from zip(batch.rows.tolist(), batch.keys.tolist(), strict=True)

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Merge in C."""
        return ordered.merge(views, hide)

    def matches(self, leaves: Sequence[Leaf]) -> Iterable[tuple[Any, Sequence[Leaf]]]:
        """Equalities on the first columns and anything ordered on the next make one query of several leaves."""
        heads: list[list[Range]] = []
        used: list[Leaf] = []
        for column in self.columns:
            mine = [(leaf, r) for leaf in leaves if leaf.column == column and (r := ranges_of(leaf)) is not None]
            if not mine:
                break
            leaf, ranges = min(mine, key=lambda m: (m[0].op != "in", len(m[1])))
            if ranges and heads and len(ranges) * np.prod([len(h) for h in heads]) > MOST_RANGES:
                break
            heads.append(ranges)
            used.append(leaf)
            if leaf.op != "in":
                break
        joined = _joined(heads) if used else []
        if used and fits(bound for r in joined for bound in r):
            yield joined, used

    def same(self, payload: bytes) -> Sequence[Range]:
        """The range of one key, whatever is included."""
        end = key_code.part_ends(payload, self.width)[-1]
        return (Range(payload[:end], prefix_end(payload[:end])),)

    def unique_part(self, payload: bytes) -> bytes | None:
        """The key without what is included; None when a column of it is NULL, which nothing equals, or no element."""
        ends = [0, *key_code.part_ends(payload, self.width)]
        return None if any(payload.startswith((NULL, LISTED), e) for e in ends[:-1]) else payload[: ends[-1]]

    def shown(self, payload: bytes) -> Any:
        """The values of the key."""
        parts = key_code.decode(payload[: key_code.part_ends(payload, self.width)[-1]])
        return parts[0] if self.width == 1 else parts

    def is_element(self, payload: bytes) -> bool:
        """Tell whether a column of the key is an element of a list."""
        end = key_code.part_ends(payload, self.width)[-1]
        return payload.startswith(_LIST, end)

    def values(self, payloads: Sequence[bytes]) -> list[dict[Any, Any] | None]:
        """Return the columns kept of each, those of the key as normalised; None when one of them does not come back from a key.

        Best in the order of keys: a key is decoded once for its neighbours too.
        """
        head, end, row = b"", 0, None
        heads: list[dict[Any, Any] | None] = []
        tails: list[bytes | None] = []
        for payload in payloads:
            if not end or not payload.startswith(head):  # no key begins with another
                end = key_code.part_ends(payload, self.width)[-1]
                head = payload[:end]
                parts = key_code.decode(head)
                lost = any(isinstance(p, tuple) for p in parts)  # a date, which is kept as its day
                row = None if lost else dict(zip(self.columns, parts, strict=True))
            tail = payload[end:]
            known = row is not None and tail[:1] != _LIST  # an element of a list
            heads.append(row if known else None)
            tails.append(tail if known else None)
        if not self.include:
            return heads
        return [None if h is None or t is None else h | t for h, t in zip(heads, decode_many(tails, self._names), strict=True)]

    def estimate(self, view: ordered.OrderedView, query: Sequence[Range]) -> float:
        """Exact, in O(log n) a range."""
        return float(sum(view.count(r.low, r.high) for r in query))


def _joined(heads: list[list[Range]]) -> list[Range]:
    """Return the ranges of keys of several columns: all but the last are single values."""
    joined = []
    for combination in product(*heads):
        stem = b"".join(r.low or b"" for r in combination[:-1])
        last = combination[-1]
        joined.append(Range(stem + (last.low or b""), prefix_end(stem) if last.high is None and stem else last.high and stem + last.high))
    return joined


@register_index
class HashIndex(IndexType):
    """Equality of one or several columns, by a hash table a segment: the smallest and quickest for single values. NULLs are not in it.
    Lists are indexed by their elements.
    """

    kind = "hash"
    can_be_unique = True

    def needs(self) -> tuple[Any, ...]:
        """Its columns."""
        return self.columns

    def takes_all(self) -> bool:
        """Every stored value has a key; of a short row, one that fits."""
        return type(self) is HashIndex

    def payloads(self, row: Row) -> Sequence[bytes]:
        """Return the key of the row; of lists, those of all combinations of elements."""
        heads = [[e for e in elements(row.get(c)) if e not in (NULL, LISTED)] for c in self.columns]
        return sized([b"".join(parts) for parts in product(*heads)])

    def gather(self, rows: Sequence[Row]) -> Gathered:
        """Column by column, unless there are lists."""
        heads = [keys_of(rows, c) for c in self.columns]
        if not all(map(are_bytes, heads)):
            return super().gather(rows)
        keys = sized(heads[0] if len(heads) == 1 else list(map(b"".join, zip(*heads, strict=True))))
        full = [NULL not in row for row in zip(*heads, strict=True)]
        return Gathered(None, keys) if all(full) else Gathered([i for i, f in enumerate(full) if f], list(compress(keys, full)))

    def build(self, entries: Entries) -> bytes:
        """Hash them."""
        return self.build_many(np.fromiter((r for r, _ in entries), np.uint64, len(entries)), [p for _, p in entries])

    def build_many(self, rows: Ids, payloads: Payloads) -> bytes:
        """Hash them."""
        return hashed.build(payloads, rows)

    def open(self, data: Any) -> hashed.HashedView:
        """Open the segment in place."""
        return hashed.open(data)

    def search(self, view: hashed.HashedView, query: Sequence[bytes]) -> RowSet:
        """Return the rows of all keys."""
        return RowSet(view.lookup(query[0])) if len(query) == 1 else RowSet(view.lookup_many(list(query))[1])

    def entries(self, view: hashed.HashedView) -> Iterator[tuple[int, bytes]]:
        """Yield all, in the order of hashes."""
        for batch in view.entries():
            yield from zip(batch.rows.tolist(), batch.keys.tolist(), strict=True)

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Merge in C."""
        return hashed.merge(views, hide)

    def matches(self, leaves: Sequence[Leaf]) -> Iterable[tuple[Any, Sequence[Leaf]]]:
        """Equality or IN on every column."""
        mine = [next((x for x in leaves if x.column == c and x.op == "in"), None) for c in self.columns]
        used = [x for x in mine if x is not None]
        if len(used) == len(self.columns):
            keys = [b"".join(p) for p in product(*[[encoded(v) for v in leaf.values] for leaf in used])]
            if len(keys) <= MOST_RANGES and fits(keys):
                yield sorted(set(keys)), used

    def same(self, payload: bytes) -> Sequence[bytes]:
        """The key itself."""
        return (payload,)

    def shown(self, payload: bytes) -> Any:
        """The values of the key."""
        parts = key_code.decode(payload)
        return parts[0] if len(parts) == 1 else parts
