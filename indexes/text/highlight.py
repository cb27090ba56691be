"""Highlighting and snippets: the text, which the caller keeps, is analysed again and compared with the query's leaves."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from ..native_text import FUZZY, GLOB, PREFIX, TERM
from ..twins.text import edit_distance
from .analysis import Analyzer
from .parser import parse
from .query import Query, Resolved, Unit, leaves, resolve

Span = tuple[int, int]
_PLAIN = Analyzer()


@lru_cache(256)
def _resolved(query: str, default: str, analyzer: Analyzer) -> tuple[Resolved, ...]:
    return _resolve(parse(query, default=default), analyzer)


def _resolve(query: Query, analyzer: Analyzer) -> tuple[Resolved, ...]:
    return tuple(found for leaf in leaves(query) if (found := resolve(leaf, analyzer)) is not None)


def _test(leaf: Resolved) -> Callable[[bytes], bool]:
    if leaf.kind == TERM:
        return leaf.text.__eq__
    if leaf.kind == PREFIX:
        return lambda term: term.startswith(leaf.text)
    if leaf.kind == FUZZY:
        wanted = leaf.text.decode()
        return lambda term: edit_distance(wanted, term.decode(errors="replace"), leaf.number) <= leaf.number
    assert leaf.kind == GLOB
    parts = re.split(r"([*?])", leaf.text.decode())
    pattern = re.compile("".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts), re.DOTALL)
    return lambda term: pattern.fullmatch(term.decode(errors="replace")) is not None


def _starts(unit: Unit, places: dict[bytes, list[int]]) -> list[int]:
    """Where the phrase begins."""
    sets = [{place - at for place in places.get(term, ())} for term, at in unit]
    return sorted(place for place in set.intersection(*sets) if place >= 0)


def _clumps(units: Sequence[Unit], distance: int, places: dict[bytes, list[int]]) -> set[Span]:
    """Places (first, last) of the phrases that stand together."""
    starts = [_starts(unit, places) for unit in units]
    lengths = [max(at for _, at in unit) + 1 for unit in units]
    found: set[Span] = set()
    if len(units) == 1:
        return {(start, start + lengths[0] - 1) for start in starts[0]}
    at = [0] * len(units)
    while all(i < len(s) for i, s in zip(at, starts, strict=True)):
        now = [s[i] for i, s in zip(at, starts, strict=True)]
        latest = max(now)
        late = [u for u, start in enumerate(now) if start + lengths[u] + distance < latest]
        if late:
            for u in late:
                at[u] += 1
            continue
        found.update((start, start + length - 1) for start, length in zip(now, lengths, strict=True))
        at[now.index(min(now))] += 1
    return found


def _hits(tokens: Sequence[tuple[bytes | None, int, int]], found: Iterable[Resolved]) -> list[tuple[int, int, int]]:
    """(first token, last token, number of the leaf) of everything that the leaves match."""
    places: dict[bytes, list[int]] = {}
    for at, (term, _, _) in enumerate(tokens):
        if term is not None:
            places.setdefault(term, []).append(at)
    hits: list[tuple[int, int, int]] = []
    for number, leaf in enumerate(found):
        if leaf.units:
            hits.extend((first, last, number) for first, last in _clumps(leaf.units, leaf.number, places))
        else:
            test = _test(leaf)
            hits.extend((at, at, number) for term, all_at in places.items() if test(term) for at in all_at)
    return sorted(hits)


def _analysed(
    text: str, query: str | Query, analyzer: Analyzer, default: str
) -> tuple[list[tuple[bytes | None, int, int]], list[tuple[int, int, int]]]:
    found = _resolved(query, default, analyzer) if isinstance(query, str) else _resolve(query, analyzer)
    tokens = analyzer.tokens(text)
    return tokens, _hits(tokens, found)


def _spans(tokens: Sequence[tuple[bytes | None, int, int]], hits: Iterable[tuple[int, int, int]]) -> list[Span]:
    """Character spans of the hits, ascending, overlapping ones as one."""
    spans: list[Span] = []
    for first, last, _ in hits:
        start, end = tokens[first][1], tokens[last][2]
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _marked(text: str, spans: Sequence[Span], low: int, high: int, before: str, after: str) -> str:
    out, at = [], low
    for start, end in spans:
        out += [text[at:start], before, text[start:end], after]
        at = end
    return "".join([*out, text[at:high]])


def highlight(
    text: str, query: str | Query, analyzer: Analyzer = _PLAIN, *, before: str = "<b>", after: str = "</b>", default: str = "or"
) -> str:
    """Return the text with what the query matches between `before` and `after`. Nothing is escaped. O(tokens) a leaf."""
    tokens, hits = _analysed(text, query, analyzer, default)
    return _marked(text, _spans(tokens, hits), 0, len(text), before, after)


def snippet(
    text: str,
    query: str | Query,
    analyzer: Analyzer = _PLAIN,
    *,
    tokens: int = 24,
    before: str = "<b>",
    after: str = "</b>",
    gap: str = "…",
    default: str = "or",
) -> str:
    """Return the stretch of at most `tokens` tokens with the most different leaves, then the most matches, then the first; highlighted.

    `gap` stands where text was left out. The start of the text when nothing matches. ValueError when tokens is below 1.
    """
    if tokens < 1:
        raise ValueError(f"tokens is {tokens}; allowed: at least 1")
    found, hits = _analysed(text, query, analyzer, default)
    if not found:
        return text
    lasts = [hit[1] for hit in hits]
    best, first = (0, 0), 0
    for i, (start, _, _) in enumerate(hits):
        within = [hit for hit in hits[i : bisect_right(lasts, start + tokens - 1, lo=i)] if hit[1] < start + tokens]
        worth = (len({hit[2] for hit in within}), len(within))
        if worth > best:
            best, first = worth, start
    shown = [hit for hit in hits if first <= hit[0] and hit[1] < first + tokens]
    slack = tokens - (shown[-1][1] - first + 1) if shown else 0
    first = max(0, min(first - slack // 2, len(found) - tokens))
    last = min(first + tokens, len(found)) - 1
    shown = [hit for hit in hits if first <= hit[0] and hit[1] <= last]
    low = 0 if first == 0 else found[first][1]
    high = len(text) if last == len(found) - 1 else found[last][2]
    body = _marked(text, _spans(found, shown), low, high, before, after)
    return (gap if low else "") + body + (gap if high < len(text) else "")
