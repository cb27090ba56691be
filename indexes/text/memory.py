"""The memory component: documents that can be searched the moment they are in, and frozen to a segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..native_text import Memory, Rows, row_ids
from .analysis import Analyzer


class TextMemory:
    """Documents by row id. Changes by one thread at a time while no query runs on it; queries by any number of threads.

    searchable=False leaves out the postings: cheaper, for what is only frozen.
    """

    def __init__(self, analyzer: Analyzer | None = None, *, searchable: bool = True) -> None:
        self.analyzer = analyzer or Analyzer()
        self.native = Memory(searchable=searchable, mapped=self.analyzer.maps)
        self.searchable = searchable

    def __len__(self) -> int:
        """Live documents."""
        return self.native.facts()["documents"]

    def __contains__(self, row: int) -> bool:
        """Whether the row has a live document here."""
        return self.native.has(row)

    @property
    def tokens(self) -> int:
        """Length of the live documents together."""
        return self.native.facts()["tokens"]

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return self.native.facts()["bytes"]

    def add(self, rows: Any, texts: Sequence[str | bytes]) -> None:
        """Insert or replace documents; all of them or, on a ValueError, none. O(bytes)."""
        ids = row_ids(rows)
        if len(ids) != len(texts):
            raise ValueError(f"{len(texts)} texts for {len(ids)} row ids; allowed: as many")
        if callable(self.analyzer.tokenizer):
            self.native.terms([[term for term, _, _ in self.analyzer.raw(_text(text, self.analyzer))] for text in texts])
        else:
            encode = self.analyzer.encode
            self.native.tokenise(self.analyzer.native_rules, [encode(text) for text in texts])
        self._commit(ids)

    def add_terms(self, rows: Any, documents: Sequence[Sequence[bytes | None]]) -> None:
        """The same with the terms as they are to be indexed, by position; None is a place without a term."""
        ids = row_ids(rows)
        if len(ids) != len(documents):
            raise ValueError(f"{len(documents)} documents for {len(ids)} row ids; allowed: as many")
        self.native.terms(documents)
        if self.analyzer.maps:
            self.native.map(self.native.unmapped())
        self.native.commit(ids)

    def _commit(self, ids: Rows) -> None:
        if self.analyzer.maps and (new := self.native.unmapped()):
            self.native.map(self.analyzer.map_terms(new))
        self.native.commit(ids)

    def insert(self, row: int, text: str | bytes) -> None:
        """Insert or replace one document, visible to the next query. O(bytes)."""
        self.add(np.array([row], np.uint64), [text])

    def delete(self, rows: Any) -> npt.NDArray[np.bool_]:
        """Void these rows here and in every older component. Returns which had a document here. O(rows + their tokens)."""
        return self.native.delete(row_ids(rows))

    def touched(self) -> Rows:
        """Row ids inserted, replaced or deleted here, ascending: what this component hides in the older ones."""
        return np.sort(self.native.touched())

    def freeze(self) -> bytes:
        """The live documents as a segment; the component stays as it is. O(tokens + terms log terms)."""
        return self.native.freeze(self.analyzer.signature)


def _text(text: str | bytes, analyzer: Analyzer) -> str:
    return text if isinstance(text, str) else analyzer.encode(text).decode()
