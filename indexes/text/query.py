"""Queries: a tree of small values, made by hand or from a string, and compiled to what the searcher runs.

A query string is a list of clauses: ``lsm tree`` (any of them, the more the better), ``+must``, ``-not``, ``"a phrase"``, ``prefix*``,
``patt?rn``, ``fuzzy~1`` (edit distance 1 or 2), ``a NEAR/5 "b c"`` (at most 5 tokens between), ``a AND b``, ``a OR b``, ``NOT c``,
``( ... )``, ``term^2.5`` (weight). ``\\`` takes the next character as it is. With ``default="and"`` every clause is a must.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..native_text import ALL, AND, FUZZY, GLOB, NEAR, NOT, OR, PREFIX, QUERY_DEPTH, TERM, Program
from .analysis import Analyzer

MOST_LEAVES = 65536
MOST_DISTANCE = 2


class QueryError(ValueError):
    """A query that cannot be understood; the message names the place."""


@dataclass(frozen=True)
class Word:
    """Text that becomes one term, or a phrase when the analyzer makes several of it, or nothing (a stop word)."""

    text: str
    boost: float = 1.0


@dataclass(frozen=True)
class Phrase:
    """The terms of the text in this order, stop words holding their places."""

    text: str
    boost: float = 1.0


@dataclass(frozen=True)
class Near:
    """Words or phrases in any order, with at most `distance` tokens between the end of one and the latest start."""

    texts: tuple[str, ...]
    distance: int = 10
    boost: float = 1.0


@dataclass(frozen=True)
class Prefix:
    """Terms that begin with the text (not stemmed)."""

    text: str
    boost: float = 1.0


@dataclass(frozen=True)
class Fuzzy:
    """Terms within a Levenshtein distance in characters of the text (not stemmed)."""

    text: str
    distance: int = 1
    boost: float = 1.0


@dataclass(frozen=True)
class Glob:
    """Terms that match a pattern of ``*`` and ``?`` (not stemmed)."""

    pattern: str
    boost: float = 1.0


@dataclass(frozen=True)
class And:
    """Documents that match every part; all documents when there is none."""

    parts: tuple[Query, ...]


@dataclass(frozen=True)
class Or:
    """Documents that match any part."""

    parts: tuple[Query, ...]


@dataclass(frozen=True)
class Not:
    """Documents that match `keep` and do not match `drop`."""

    keep: Query
    drop: Query


@dataclass(frozen=True)
class All:
    """Every document."""


Leaf: TypeAlias = Word | Phrase | Near | Prefix | Fuzzy | Glob
Query: TypeAlias = Leaf | And | Or | Not | All
Unit: TypeAlias = tuple[tuple[bytes, int], ...]  # terms of a phrase with their distances from its start


@dataclass(frozen=True)
class Resolved:
    """A leaf after analysis: kind of node, its bytes or its phrases, distance, weight."""

    kind: int
    text: bytes = b""
    units: tuple[Unit, ...] = ()
    number: int = 0
    boost: float = 1.0


def _unit(text: str, analyzer: Analyzer) -> Unit:
    found = [(term, at) for at, term in enumerate(analyzer.terms(text)) if term is not None]
    return tuple((term, at - found[0][1]) for term, at in found)


def _single(text: str, analyzer: Analyzer, what: str) -> bytes:
    if not text:
        raise QueryError(f"an empty {what}; allowed: at least one character")
    if callable(analyzer.tokenizer):
        return text.encode()
    if analyzer.rules.kind == "ngram":
        return _fold(text, analyzer).encode()
    tokens = analyzer.raw(text)
    if len(tokens) != 1:
        raise QueryError(f"{what} {text!r} is {len(tokens)} tokens; allowed: one")
    return tokens[0][0]


def _fold(text: str, analyzer: Analyzer) -> str:
    return "".join(f if len(f := c.casefold()) == 1 else c for c in text) if analyzer.fold else text


def resolve(leaf: Leaf, analyzer: Analyzer) -> Resolved | None:
    """Analyse a leaf; None when nothing of it is left. QueryError on a pattern or distance that cannot be."""
    if not 0 < leaf.boost <= 1e6:
        raise QueryError(f"weight is {leaf.boost:g}; allowed: more than 0, at most 1000000")
    match leaf:
        case Word(text) | Phrase(text):
            unit = _unit(text, analyzer)
            if len(unit) <= 1:
                return Resolved(TERM, unit[0][0], boost=leaf.boost) if unit else None
            return Resolved(NEAR, units=(unit,), boost=leaf.boost)
        case Near(texts, distance):
            if not 0 <= distance < 1 << 31:
                raise QueryError(f"NEAR distance is {distance}; allowed: 0 to {(1 << 31) - 1}")
            units = tuple(unit for text in texts if (unit := _unit(text, analyzer)))
            return Resolved(NEAR, units=units, number=distance, boost=leaf.boost) if units else None
        case Prefix(text):
            return Resolved(PREFIX, _single(text, analyzer, "prefix"), boost=leaf.boost)
        case Fuzzy(text, distance):
            if not 1 <= distance <= MOST_DISTANCE:
                raise QueryError(f"edit distance is {distance}; allowed: 1 to {MOST_DISTANCE}")
            return Resolved(FUZZY, _single(text, analyzer, "fuzzy term"), number=distance, boost=leaf.boost)
        case Glob(pattern):
            return Resolved(GLOB, _fold(pattern, analyzer).encode(), boost=leaf.boost)


Node: TypeAlias = tuple[int, bytes, int, int, int, int, float]


def _emit(query: Query, analyzer: Analyzer, out: list[Node], depth: int) -> bool:
    """Append the query's nodes in post-order; False when nothing of it is left after analysis, and nothing was appended."""
    if depth >= QUERY_DEPTH:
        raise QueryError(f"the query is nested deeper than {QUERY_DEPTH}")
    if isinstance(query, All):
        out.append((ALL, b"", 0, 0, 0, 0, 1.0))
        return True
    if isinstance(query, And | Or):
        n = sum(_emit(part, analyzer, out, depth + 1) for part in query.parts)
        if n > 1 or (n == 0 and not query.parts):
            out.append((AND if isinstance(query, And) else OR, b"", n, 0, 0, 0, 1.0))
        return n > 0 or not query.parts
    if isinstance(query, Not):
        if not _emit(query.keep, analyzer, out, depth + 1):
            return False
        if _emit(query.drop, analyzer, out, depth + 1):
            out.append((NOT, b"", 2, 0, 0, 0, 1.0))
        return True
    leaf = resolve(query, analyzer)
    if leaf is None:
        return False
    for number, unit in enumerate(leaf.units):
        out.extend((TERM, term, 0, 0, number, place, 1.0) for term, place in unit)
    out.append((leaf.kind, leaf.text, sum(map(len, leaf.units)), leaf.number, 0, 0, leaf.boost))
    if len(out) > MOST_LEAVES:
        raise QueryError(f"the query has too many terms; allowed: at most {MOST_LEAVES}")
    return True


def compile_query(query: Query, analyzer: Analyzer) -> Program:
    """Make the program of a query. QueryError when it is too deep or too large. A query of which nothing is left matches nothing."""
    nodes: list[Node] = []
    if not _emit(query, analyzer, nodes, 0):
        nodes = [(OR, b"", 0, 0, 0, 0, 1.0)]
    return Program(nodes)


def leaves(query: Query) -> Iterator[Leaf]:
    """The leaves that count for a match: those to the right of a Not are left out."""
    if isinstance(query, And | Or):
        for part in query.parts:
            yield from leaves(part)
    elif isinstance(query, Not):
        yield from leaves(query.keep)
    elif not isinstance(query, All):
        yield query


def weighted(query: Query, boost: float) -> Query:
    """The query with the weight of every leaf multiplied."""
    if isinstance(query, And | Or):
        return replace(query, parts=tuple(weighted(part, boost) for part in query.parts))
    if isinstance(query, Not):
        return replace(query, keep=weighted(query.keep, boost))
    return query if isinstance(query, All) else replace(query, boost=query.boost * boost)
