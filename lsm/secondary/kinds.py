"""Kinds of secondary indexes: what a kind must offer, and the registry.

A kind turns a row into payloads, a pile of (row id, payload) into one immutable byte string (a *segment*), and a segment and a query
into row ids. Everything else is done for it: logging, memory, flushing with the rows, shadowing, merging, reopening, snapshots, online
build, planning, scrubbing.

    row --payloads--> [p, ...] --build--> segment --open--> view --search(query)--> RowSet
                                                            view --entries--> (row id, payload), for merging and scrubbing
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from indexes.rowset import RowSet

from .changes import Gathered, Ids, Payloads
from .predicate import NEGATIVE, Functions, Leaf

SHORT = 4096  # bytes of a stored row
Row = Mapping[Any, Any]
Entries = Sequence[tuple[int, Any]]  # (row id, payload), row ids ascending


class IndexType(ABC):
    """The base of all kinds. A subclass sets ``kind`` and gives build, search and entries, and match to be used by queries.

    ``exact``: search returns the rows that satisfy the query and no others; else the rows are checked. ``columns`` are names of columns or
    expressions of the table; ``params`` are plain values, kept in the manifest.
    """

    kind: ClassVar[str]
    exact: ClassVar[bool] = True
    can_be_unique: ClassVar[bool] = False

    def __init__(self, columns: tuple[Any, ...], **params: Any) -> None:
        """Keep what the index is of. TypeError for parameters that the kind does not know."""
        if params:
            raise TypeError(f"a {self.kind} index takes no {', '.join(params)}")
        self.columns = columns

    @classmethod
    def make(cls, columns: tuple[Any, ...], functions: Functions, params: Mapping[str, Any]) -> Self:
        """Return the type of an index; functions: those that the table was given. By default without them."""
        return cls(columns, **params)

    def needs(self) -> tuple[Any, ...] | None:
        """Return the columns and expressions that payloads reads, so that no others are decoded for it; None: maybe all.

        By default its columns, if it has the default payloads.
        """
        return self.columns if type(self).payloads is IndexType.payloads else None

    def takes_all(self) -> bool:
        """Tell whether it has payloads for any row of at most `SHORT` stored bytes: then they are gathered later, of many rows at once.

        By default not.
        """
        return False

    def payloads(self, row: Row) -> Sequence[Any]:
        """Return what the index keeps of a row; nothing when the row is not in it. By default the value of its column, unless NULL.

        ValueError or TypeError refuse the row. It must depend on the row alone.
        """
        value = row.get(self.columns[0])
        return () if value is None else (value,)

    def gather(self, rows: Sequence[Row]) -> Gathered:
        """Return the payloads of many rows, as `payloads` gives them; errors too. A kind may be quicker at it than one by one."""
        places, gathered = list[int](), list[Any]()
        for place, row in enumerate(rows):
            found = self.payloads(row)
            places += [place] * len(found)
            gathered += found
        return Gathered(places, gathered)

    @abstractmethod
    def build(self, entries: Entries) -> bytes:
        """Return a segment."""

    def build_many(self, rows: Ids, payloads: Payloads) -> bytes:
        """Return a segment of rows[i] with payloads[i], in any order. By default by way of build."""
        return self.build(sorted(zip(rows.tolist(), payloads, strict=True), key=lambda e: e[0]))

    def open(self, data: Any) -> Any:
        """Return a view of a segment, over the buffer itself. By default the buffer. ValueError when it is damaged."""
        return data

    @abstractmethod
    def search(self, view: Any, query: Any) -> RowSet:
        """Return the row ids of a segment that match."""

    def search_among(self, view: Any, query: Any, among: RowSet) -> RowSet:
        """Return those of `among` that match. By default by searching all."""
        return self.search(view, query) & among

    @abstractmethod
    def entries(self, view: Any) -> Iterable[tuple[int, Any]]:
        """Return all (row id, payload) of a segment, in any order."""

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Return one segment of several, newest first, without the rows hidden in each. By default by way of entries and build."""
        kept: list[tuple[int, Any]] = []
        for view, hidden in zip(views, hide, strict=True):
            kept += [e for e in self.entries(view) if hidden is None or e[0] not in hidden]
        kept.sort(key=lambda e: e[0])
        return self.build(kept)

    def match(self, leaf: Leaf) -> Any | None:
        """Return the query that answers a leaf of a predicate, or None when this index cannot."""
        return None

    def matches(self, leaves: Sequence[Leaf]) -> Iterable[tuple[Any, Sequence[Leaf]]]:
        """Yield (query, leaves that it answers) for leaves that must all hold. By default one by one, by way of match."""
        return ((query, (leaf,)) for leaf in leaves if (query := self.match(leaf)) is not None)

    def is_exact(self, leaves: Sequence[Leaf]) -> bool:
        """Tell whether the rows found need no check. By default as ``exact`` says, but for negations, which lists of values make wider."""
        return self.exact and not any(leaf.op in NEGATIVE for leaf in leaves)

    def same(self, payload: Any) -> Any:
        """Return the query for rows with this payload; a kind that can be unique has it. TypeError: this one cannot."""
        raise TypeError(f"a {self.kind} index cannot be unique")

    def unique_part(self, payload: Any) -> Any | None:
        """Return what must differ between rows, hashable; None: nothing, because of a NULL."""
        return payload

    def shown(self, payload: Any) -> Any:
        """Return the value of a payload, for messages."""
        return payload

    def kept(self, payload: Any) -> Any:
        """Return what `entries` gives for a payload, for scrubbing; hashable."""
        return payload

    def estimate(self, view: Any, query: Any) -> float:
        """Return how many rows of a segment match, about. By default by searching."""
        return len(self.search(view, query))

    def cost(self, query: Any, rows: float) -> float:
        """Return the microseconds that a search takes which finds so many rows. By default what a sorted list takes."""
        return 5.0 + 0.01 * rows


KINDS: dict[str, type[IndexType]] = {}
"""Kind to class: the built-in ones and what `register_index` adds."""


def register_index(cls: type[IndexType]) -> type[IndexType]:
    """Make a kind known; usable as a decorator. ValueError for a name that is taken by another class, TypeError for no IndexType."""
    if not (isinstance(cls, type) and issubclass(cls, IndexType)):
        raise TypeError(f"an index kind is a subclass of lsm.secondary.IndexType, not {cls!r:.60}")
    lacks = sorted(cls.__abstractmethods__) + ["same"] * (cls.can_be_unique and cls.same is IndexType.same)
    if lacks:
        raise TypeError(f"index kind {cls.__qualname__} lacks {', '.join(lacks)}")
    if KINDS.get(cls.kind, cls) is not cls and KINDS[cls.kind].__qualname__ != cls.__qualname__:
        raise ValueError(f"the kind {cls.kind!r} is {KINDS[cls.kind].__qualname__} already")
    KINDS[cls.kind] = cls
    return cls


def make_type(kind: str, columns: tuple[Any, ...], functions: Functions, params: Mapping[str, Any]) -> IndexType:
    """Make the type of an index. ValueError for an unknown kind names the near ones."""
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, 3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise ValueError(f"kind is {kind!r}{hint}; allowed: {', '.join(sorted(KINDS))}")
    return KINDS[kind].make(columns, functions, params)


def by_row(entries: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, list[Any]]]:
    """Gather sorted entries by row id."""
    row, payloads = None, list[Any]()
    for r, p in entries:
        if r != row and row is not None:
            yield row, payloads
            payloads = []
        row = r
        payloads.append(p)
    if row is not None:
        yield row, payloads
