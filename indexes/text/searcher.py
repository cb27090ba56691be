"""One index out of components: boolean and ranked queries with exact live statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import native_text
from ..native_text import Program, Rows, ascending
from .analysis import Analyzer
from .memory import TextMemory
from .parser import parse
from .query import Query, compile_query
from .scoring import Scoring
from .segment import TextView

_LUCENE = Scoring()
_REMEMBERED = 256  # compiled query strings


def _shown(signature: bytes) -> str:
    return repr(signature.decode(errors="replace"))


class Hits(NamedTuple):
    """A ranked answer: row ids and scores, best first; equal scores by ascending row id."""

    rows: Rows
    scores: npt.NDArray[np.float64]


class TextSearcher:
    """Searches views (newest first) under a memory component (newer than all of them, optional).

    hide[i]: sorted row ids that are void in views[i] because a newer view replaced or deleted them; what the memory component touched is
    hidden by the searcher itself, also what it touches later. Statistics (documents, average length, documents with a term) count live
    documents only, exactly. Any number of threads may query at once while the memory component does not change.
    ValueError when a view's analyzer is another one.
    """

    def __init__(
        self,
        views: Sequence[TextView] = (),
        hide: Sequence[Any] | None = None,
        memory: TextMemory | None = None,
        *,
        analyzer: Analyzer | None = None,
    ) -> None:
        if memory is not None and not memory.searchable:
            raise ValueError("the memory component is not searchable; allowed: TextMemory(..., searchable=True)")
        self.analyzer = analyzer or (memory.analyzer if memory is not None else Analyzer())
        for signature in [*(view.signature for view in views), *([memory.analyzer.signature] if memory is not None else [])]:
            if signature != self.analyzer.signature:
                raise ValueError(f"a component was made by the analyzer {_shown(signature)}, not {_shown(self.analyzer.signature)}")
        self._programs: dict[tuple[str, str], Program] = {}
        segments = [view.native for view in views]
        self._native = native_text.Searcher(
            segments, hide if hide is not None else [None] * len(views), memory.native if memory is not None else None
        )

    def _program(self, query: str | Query, default: str) -> Program:
        if not isinstance(query, str):
            return compile_query(query, self.analyzer)
        found = self._programs.get((query, default))
        if found is None:
            if len(self._programs) >= _REMEMBERED:
                self._programs.clear()
            found = self._programs[query, default] = compile_query(parse(query, default=default), self.analyzer)
        return found

    @property
    def documents(self) -> int:
        """Live documents."""
        return self._native.stats()[0]

    @property
    def average_length(self) -> float:
        """Mean number of terms of a live document; 0 when there is none."""
        documents, tokens = self._native.stats()
        return tokens / documents if documents else 0.0

    def match(self, query: str | Query, *, default: str = "or", within: Any = None) -> Rows:
        """Row ids of the documents that match, ascending; only those in `within` (ascending row ids) when it is given.

        default: what joins clauses of a string without an operator, "or" or "and". QueryError on a query that cannot be understood;
        ValueError when a damaged segment is met.
        """
        return self._native.match(self._program(query, default), None if within is None else ascending(within))

    def count(self, query: str | Query, *, default: str = "or") -> int:
        """How many documents match."""
        return self._native.count(self._program(query, default))

    def search(
        self,
        query: str | Query,
        k: int = 10,
        *,
        scoring: Scoring = _LUCENE,
        default: str = "or",
        within: Any = None,
        exhaustive: bool = False,
    ) -> Hits:
        """The k best documents. Every leaf of the query (term, phrase, prefix, ...) scores as one term.

        Scores are sums with 40 fractional bits: they do not depend on the components or on pruning, which `exhaustive` turns off (for
        comparison). ValueError when k is negative or the weights are so great that scores pass 4 million. Errors as `match`.
        """
        if not 0 <= k < 1 << 31:
            raise ValueError(f"k is {k}; allowed: 0 to {(1 << 31) - 1}")
        only = None if within is None else ascending(within)
        k = min(k, self.documents) if k > 1000 else k
        return Hits(*self._native.rank(self._program(query, default), scoring.native, k, only, exhaustive))

    def df(self, query: str | Query, *, default: str = "or") -> list[int]:
        """Live documents of each leaf of the query, in its order: what the scores are made with."""
        return self._native.df(self._program(query, default))
