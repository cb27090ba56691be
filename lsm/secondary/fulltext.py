"""Text indexes: words, phrases, proximity, prefixes, ranked with exact live statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self
from weakref import WeakKeyDictionary

from indexes import text as kernel
from indexes.rowset import RowSet

from .component import Stack
from .kinds import Entries, IndexType, Row, register_index
from .predicate import Functions, Leaf


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
        self._searchers = WeakKeyDictionary[kernel.TextView, kernel.TextSearcher]()

    @classmethod
    def make(cls, columns: tuple[Any, ...], functions: Functions, params: Mapping[str, Any]) -> Self:
        """With the functions, one of which may be the tokeniser."""
        return cls(columns, **params, functions=functions)

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

    def open(self, data: Any) -> kernel.TextView:
        """Open the segment in place; its checksum was verified with the file."""
        return kernel.open(data, verify=False)

    def search(self, view: kernel.TextView, query: Any) -> RowSet:
        """Return the documents of one segment that match."""
        return RowSet(self._searcher(view).match(query))

    def entries(self, view: kernel.TextView) -> Iterator[tuple[int, tuple[tuple[int, bytes], ...]]]:
        """Yield every document as its terms with their positions."""
        return ((row, tuple(terms)) for row, terms in view.entries())

    def kept(self, payload: str) -> tuple[tuple[int, bytes], ...]:
        """The terms of a text with their positions."""
        return tuple((i, t) for i, t in enumerate(self.analyzer.terms(payload)) if t is not None)

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Merge term by term, in C."""
        return kernel.merge(views, _arrays(hide))

    def match(self, leaf: Leaf) -> Any | None:
        """Text conditions on the column, and what does not satisfy them."""
        if leaf.column != self.columns[0] or leaf.op not in ("text", "not_text"):
            return None
        return leaf.values[0] if leaf.op == "text" else kernel.Not(kernel.All(), kernel.parse(leaf.values[0]))

    def is_exact(self, leaves: Sequence[Leaf]) -> bool:
        """Negations too: a row has one text."""
        return True

    def estimate(self, view: kernel.TextView, query: Any) -> float:
        """By counting the documents that match."""
        return float(self._searcher(view).count(query))

    def cost(self, query: Any, rows: float) -> float:
        """Postings are merged."""
        return 20.0 + 0.02 * rows

    def _searcher(self, view: kernel.TextView) -> kernel.TextSearcher:
        """The searcher of one segment, made once."""
        found = self._searchers.get(view)
        if found is None:
            found = self._searchers[view] = kernel.TextSearcher([view], analyzer=self.analyzer)
        return found

    def searcher(self, stack: Stack, index: int) -> kernel.TextSearcher:
        """Return a searcher over all components, with exact live statistics."""
        views = stack.views(index, self)
        return kernel.TextSearcher([v for v, _ in views], _arrays([h for _, h in views]), analyzer=self.analyzer)


def _arrays(hide: Sequence[RowSet | None]) -> list[Any]:
    return [None if h is None or not h else h.rows() for h in hide]
