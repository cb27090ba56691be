"""Full-text search: analysis, immutable segments, a memory component, queries and ranking with exact live statistics.

>>> from indexes import text
>>> view = text.open(text.build([7, 9], ["the LSM tree", "a B-tree, not an LSM"]))
>>> text.TextSearcher([view]).match('"lsm tree"').tolist()
[7]
"""

from .analysis import Analyzer, InvalidText, Tokenizer
from .highlight import highlight, snippet
from .memory import TextMemory
from .parser import parse
from .query import All, And, Fuzzy, Glob, Near, Not, Or, Phrase, Prefix, Query, QueryError, Word
from .scoring import SCORINGS, Scoring, bm25
from .searcher import Hits, TextSearcher
from .segment import TextView, build, build_terms, merge, open

__all__ = [
    "SCORINGS",
    "All",
    "Analyzer",
    "And",
    "Fuzzy",
    "Glob",
    "Hits",
    "InvalidText",
    "Near",
    "Not",
    "Or",
    "Phrase",
    "Prefix",
    "Query",
    "QueryError",
    "Scoring",
    "TextMemory",
    "TextSearcher",
    "TextView",
    "Tokenizer",
    "Word",
    "bm25",
    "build",
    "build_terms",
    "highlight",
    "merge",
    "open",
    "parse",
    "snippet",
]
