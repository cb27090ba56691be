"""Text indexes: words, phrases, proximity, prefixes, ranked with exact live statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from indexes import text as kernel
from indexes.rowset import RowSet

from .component import Stack
from .kinds import Entries, IndexType, Row, register_index
from .predicate import Functions, Leaf

FEW = 1000  # documents of a query's terms below which an estimate counts the matches


class Opened(NamedTuple):
    """A segment, and a searcher over it alone, which remembers queries."""

    view: kernel.TextView
    alone: kernel.TextSearcher


@register_index
class TextIndex(IndexType):
    """An inverted index with positions over a column of str. Parameters are those of `indexes.text.Analyzer`: tokenizer, stem, stop, ...

    ``tokenizer`` may be the name of a function given to `DB.table`: from a str to (term, start, end).
    """

    kind = "text"

    def __init__(
        self,
        columns: tuple[Any, ...],
        *,
        tokenizer: str = "unicode",
        stem: str | None = None,
        stop: Sequence[str] = (),
        fold: bool = True,
        singles: bool = False,
        functions: Functions = MappingProxyType({}),
    ) -> None:
        super().__init__(columns)
        if len(columns) != 1:
            raise ValueError(f"a text index has one column, not {len(columns)}")
        own = functions.get(tokenizer)
        named = {"tokenizer": own, "name": tokenizer} if own is not None else {"tokenizer": tokenizer}
        self.analyzer = kernel.Analyzer(**named, stem=stem, stop=frozenset(stop), fold=fold, singles=singles)

    @classmethod
    def make(cls, columns: tuple[Any, ...], functions: Functions, params: Mapping[str, Any]) -> Self:
        """With the functions, one of which may be the tokeniser."""
        return cls(columns, **params, functions=functions)

    def needs(self) -> tuple[Any, ...]:
        """Its columns."""
        return self.columns

    def payloads(self, row: Row) -> Sequence[str]:
        """Return the text, unless NULL. ValueError for what is no str, and for half a surrogate pair."""
        value = row.get(self.columns[0])
        if value is None:
            return ()
        if not isinstance(value, str):
            raise ValueError(f"column {self.columns[0]!r} has {value!r:.40}; a text index takes str")
        self.analyzer.encode(value)
        return (value,)

    def build(self, entries: Entries) -> bytes:
        """Analyse and pack them."""
        return kernel.build([r for r, _ in entries], [p for _, p in entries], self.analyzer)

    def open(self, data: Any) -> Opened:
        """Open the segment in place; its checksum was verified with the file."""
        view = kernel.open(data, verify=False)
        return Opened(view, kernel.TextSearcher([view], analyzer=self.analyzer))

    def search(self, view: Opened, query: Any) -> RowSet:
        """Return the documents of one segment that match."""
        return RowSet(view.alone.match(query))

    def search_among(self, view: Opened, query: Any, among: RowSet) -> RowSet:
        """Return those of `among` that match: where they are few, the documents between are passed over."""
        return RowSet(view.alone.match(query, within=among.rows())) if len(among) < FEW else self.search(view, query) & among

    def entries(self, view: Opened) -> Iterator[tuple[int, tuple[tuple[int, bytes], ...]]]:
        """Yield every document as its terms with their positions."""
        return ((row, tuple(terms)) for row, terms in view.view.entries())

    def kept(self, payload: str) -> tuple[tuple[int, bytes], ...]:
        """The terms of a text with their positions."""
        return tuple((i, t) for i, t in enumerate(self.analyzer.terms(payload)) if t is not None)

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Merge term by term, in C."""
        return kernel.merge([v.view for v in views], _arrays(hide))

    def match(self, leaf: Leaf) -> Any | None:
        """Text conditions on the column, and what does not satisfy them."""
        if leaf.column != self.columns[0] or leaf.op not in ("text", "not_text"):
            return None
        return leaf.values[0] if leaf.op == "text" else kernel.Not(kernel.All(), kernel.parse(leaf.values[0]))

    def is_exact(self, leaves: Sequence[Leaf]) -> bool:
        """Negations too: a row has one text."""
        return True

    def estimate(self, view: Opened, query: Any) -> float:
        """The documents of all its terms; where these are few, those that match."""
        most = sum(view.alone.df(query))
        return float(min(most, len(view.view)) if most > FEW else view.alone.count(query))

    def cost(self, query: Any, rows: float) -> float:
        """Postings are merged."""
        return 20.0 + 0.02 * rows

    def searcher(self, stack: Stack, index: int) -> kernel.TextSearcher:
        """Return a searcher over all components, with exact live statistics."""
        views = stack.views(index, self)
        return kernel.TextSearcher([v.view for v, _ in views], _arrays([h for _, h in views]), analyzer=self.analyzer)


def _arrays(hide: Sequence[RowSet | None]) -> list[Any]:
    return [None if h is None or not h else h.rows() for h in hide]
