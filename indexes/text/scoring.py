"""Scoring functions by name: the BM25 family, the formula of SQLite FTS5, and two of TF-IDF.

>>> bm25("atire", k1=0.9)
Scoring(name='atire', k1=0.9, b=0.75, delta=0.0)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..native_text import native_scoring

_FORMULAE = {  # term-frequency part, inverse document frequency, default delta
    "lucene": ("BM25", "LUCENE", 0.0),
    "robertson": ("BM25", "ROBERTSON", 0.0),
    "atire": ("BM25_K", "ATIRE", 0.0),
    "bm25l": ("BM25L", "BM25L", 0.5),
    "bm25+": ("BM25_PLUS", "BM25_PLUS", 1.0),
    "fts5": ("BM25_K", "FTS5", 0.0),
    "tf-ldp": ("LDP", "BM25_PLUS", 1.0),
    "tfidf": ("LOG", "ATIRE", 0.0),
    "tf": ("LOG", "ONE", 0.0),
}
SCORINGS = tuple(_FORMULAE)
TF_PART = {name: parts[0] for name, parts in _FORMULAE.items()}
IDF_PART = {name: parts[1] for name, parts in _FORMULAE.items()}


@dataclass(frozen=True)
class Scoring:
    """A scoring function and its parameters; statistics are taken live from the index at every query.

    With N live documents, df of them with the term, f occurrences in a document of length L, average A and n = 1 - b + b L / A:
    lucene        ln(1 + R) f / (f + k1 n)                      R = (N - df + 1/2) / (df + 1/2)
    robertson     ln(max(1, R)) f / (f + k1 n)
    atire         ln(N / df) (k1 + 1) f / (f + k1 n)
    bm25l         ln((N + 1) / (df + 1/2)) (k1 + 1) (c + delta) / (k1 + c + delta)       c = f / n
    bm25+         ln((N + 1) / df) ((k1 + 1) f / (f + k1 n) + delta)
    fts5          ln R, at least 1e-6, times (k1 + 1) f / (f + k1 n)
    tf-ldp        ln((N + 1) / df) (1 + ln(1 + ln(c + delta)))
    tfidf, tf     (1 + ln f) ln(N / df),  1 + ln f
    Kamphuis, de Vries, Boytsov and Lin, "Which BM25 do you mean?", ECIR 2020 (the first five and tf-ldp). As in Lv and Zhai, CIKM 2011, a
    sum runs over the terms that are in the document: bm25l and bm25+ give nothing for the others.
    ValueError on an unknown name or a parameter out of range.
    """

    name: str = "lucene"
    k1: float = 1.2
    b: float = 0.75
    delta: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in _FORMULAE:
            raise ValueError(f"scoring is {self.name!r}; allowed: {', '.join(_FORMULAE)}")
        least = 1.0 if self.name == "tf-ldp" else 0.0  # its logarithms need an argument of at least 1
        for what, value, low, high in (("k1", self.k1, 0.0, 1000.0), ("b", self.b, 0.0, 1.0), ("delta", self.delta, least, 1000.0)):
            if not low <= value <= high:
                raise ValueError(f"{what} is {value}; allowed: {low:g} to {high:g}")

    @cached_property
    def native(self) -> Any:
        """The function as the native code takes it."""
        return native_scoring(TF_PART[self.name], IDF_PART[self.name], self.k1, self.b, self.delta)


def bm25(name: str = "lucene", *, k1: float = 1.2, b: float = 0.75, delta: float | None = None) -> Scoring:
    """A scoring function with its usual delta (0.5 for bm25l, 1 for bm25+ and tf-ldp) unless one is given."""
    usual = _FORMULAE[name][2] if name in _FORMULAE else 0.0
    return Scoring(name, k1, b, usual if delta is None else delta)
