"""Immutable segments: build, open, merge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import native_text
from ..native_text import Rows
from .analysis import Analyzer
from .memory import TextMemory

DEFAULT = Analyzer()


def build(rows: Any, texts: Sequence[str | bytes], analyzer: Analyzer = DEFAULT) -> bytes:
    """Return a segment of these documents. A row id that comes again replaces the text before.

    rows: n whole numbers from 0 to 2**64 - 1. ValueError when they are not, when the numbers of rows and texts differ, and on invalid text
    (`InvalidText`, see `Analyzer.errors`). O(bytes + terms log terms); about six bytes of memory a token beside the texts.
    """
    memory = TextMemory(analyzer, searchable=False)
    memory.add(rows, texts)
    return memory.freeze()


def build_terms(entries: Iterable[tuple[int, Sequence[tuple[int, bytes]]]], analyzer: Analyzer = DEFAULT) -> bytes:
    """Return a segment of documents given by their terms: (position, term) with ascending positions, as `TextView.entries` gives them.

    ValueError when positions do not ascend. A row id that comes again replaces the document before. Memory grows with the last position.
    """
    rows, documents = [], []
    for row, terms in entries:
        document: list[bytes | None] = []
        for position, term in terms:
            if position < len(document):
                raise ValueError(f"position {position} of row {row} comes behind {len(document) - 1}; allowed: ascending")
            document.extend([None] * (position - len(document)))
            document.append(term)
        rows.append(row)
        documents.append(document)
    memory = TextMemory(analyzer, searchable=False)
    memory.add_terms(rows, documents)
    return memory.freeze()


def open(buffer: Any, *, verify: bool = True) -> TextView:
    """Open a segment over bytes or any buffer, without copying; the view keeps the buffer alive.

    verify: the checksum of all bytes is compared (O(bytes)); without it, only the header's. ValueError when the bytes are no segment of
    this version. Bytes that lie behind a right checksum give wrong answers or a ValueError at the query, never more.
    """
    return TextView(native_text.Segment(buffer, verify=verify))


class TextView:
    """An open segment. Any number of threads may use it."""

    def __init__(self, native: native_text.Segment) -> None:
        self.native = native

    def __len__(self) -> int:
        """Documents."""
        return self.native.facts["documents"]

    @property
    def signature(self) -> bytes:
        """What the segment's analyzer wrote."""
        return self.native.signature

    @property
    def tokens(self) -> int:
        """Length of all documents together."""
        return self.native.facts["tokens"]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes in all, of the dictionary, the postings and the positions; documents, terms, tokens."""
        return dict(self.native.facts)

    def rows(self) -> Rows:
        """Row ids, ascending."""
        return self.native.rows()

    def lengths(self) -> npt.NDArray[np.uint32]:
        """Terms in each document, in the order of `rows`."""
        return self.native.lengths()

    def terms(self) -> Iterator[tuple[bytes, int]]:
        """Terms ascending with the number of documents that have them, hidden or not."""
        terms, documents = self.native.terms()
        return zip(terms, documents.tolist(), strict=True)

    def check(self) -> None:
        """Read everything. ValueError when anything does not fit together. O(bytes)."""
        self.native.check()

    def entries(self) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
        """Row ids, ascending, each with its terms as (position, term) by position. For scrubbing and rebuilding.

        `build_terms` of it gives the same bytes. ValueError when the segment is damaged. O(tokens log tokens) once.
        """
        terms, _ = self.native.terms()
        ordinals, docs, positions = self.native.occurrences()
        order = np.lexsort((positions, docs))
        starts = np.searchsorted(docs[order], np.arange(len(self) + 1))
        for at, row in enumerate(self.rows().tolist()):
            mine = order[starts[at] : starts[at + 1]]
            yield row, [(place, terms[i]) for place, i in zip(positions[mine].tolist(), ordinals[mine].tolist(), strict=True)]


def merge(views: Sequence[TextView], hide: Sequence[Any] | None = None) -> bytes:
    """Return one segment of what is not hidden: hide[i] is a sorted array of row ids that are void in views[i], or None.

    ValueError when the views' analyzers differ, when a row is live in two views, or when a view is damaged. O(bytes), term by term.
    """
    signatures = {view.signature for view in views}
    if len(signatures) > 1:
        raise ValueError(f"the views were made by different analyzers: {sorted(signatures)}")
    signature = signatures.pop() if signatures else DEFAULT.signature
    return native_text.merge([view.native for view in views], hide if hide is not None else [None] * len(views), signature)
