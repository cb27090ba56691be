"""Full text over more documents than a window of the ranking holds: pruned and exhaustive give the same, and both the twin's order."""

from __future__ import annotations

import random

import numpy as np
import pytest

from indexes import text

N = 9000  # documents: two windows of 4096 and a part


def _value(i: int) -> str:
    rng = random.Random(i)
    words = [f"w{min(int(rng.paretovariate(0.6)), 60)}" for _ in range(rng.randrange(1, 12))]
    if i < 300:
        words.append("early")
    if i > N - 200:
        words.append("late")
    if i % 4000 == 17:
        words += ["rare"] * (1 + i % 7)
    return " ".join(words)


VALUES = [_value(i) for i in range(N)]


@pytest.fixture(scope="module")
def segment() -> text.TextView:
    return text.open(text.build(range(N), VALUES))


QUERIES = [
    "w1",
    "w1 w2",
    "w3 w5 w9 rare",
    "early rare",
    "early late",
    "early w50",
    "late w1 w2 w3",
    "rare",
    " ".join(f"w{i}" for i in range(1, 61)),
    "+w1 w2 late",
    "+early -w1",
    "+w1 +w2 +w3",
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("k", [1, 7, 500])
def test_pruned_as_exhaustive(segment: text.TextView, query: str, k: int) -> None:
    hidden = np.arange(0, N, 3, dtype=np.uint64)
    for hide in (None, hidden):
        searcher = text.TextSearcher([segment], [hide])
        hits, all_hits = searcher.search(query, k), searcher.search(query, k, exhaustive=True)
        assert hits.rows.tolist() == all_hits.rows.tolist() and hits.scores.tolist() == all_hits.scores.tolist()
        matched = searcher.match(query)
        assert set(hits.rows.tolist()) <= set(matched.tolist()) and len(hits.rows) == min(k, len(matched))
        assert searcher.count(query) == len(matched)
        if hide is not None:
            assert not set(hits.rows.tolist()) & set(hidden.tolist())
        within = matched[::5]
        assert (
            searcher.search(query, k, within=within).rows.tolist()
            == [row for row in searcher.search(query, N).rows.tolist() if row in set(within.tolist())][:k]
        )


def test_as_in_memory(segment: text.TextView) -> None:
    memory = text.TextMemory()
    memory.add(range(N), VALUES)
    stored, held = text.TextSearcher([segment]), text.TextSearcher(memory=memory)
    for query in QUERIES:
        a, b = stored.search(query, 50), held.search(query, 50)
        assert a.rows.tolist() == b.rows.tolist() and a.scores.tolist() == b.scores.tolist()
        assert stored.df(query) == held.df(query)


def test_deaths_are_counted_from_where_they_were(segment: text.TextView) -> None:
    """The documents of a term that died are counted once and from there on, for many terms; then everything is forgotten once."""
    memory = text.TextMemory()
    searcher = text.TextSearcher([segment], memory=memory)
    words = [f"w{i}" for i in range(1, 61)] + ["early", "late", "rare"]
    gone: set[int] = set()
    for begin in (0, 5, 4000, 4005, 8990):
        rows = range(begin, begin + (2000 if begin == 4005 else 5))
        memory.delete(rows)
        gone |= set(rows)
        for _ in range(2):
            got = searcher.df(" ".join(words))
            assert got == [sum(word in value.split() for i, value in enumerate(VALUES) if i not in gone) for word in words]


@pytest.mark.parametrize("k", [-1, 2**31, 2**63])
def test_more_hits_than_can_be_asked_for(k: int) -> None:
    searcher = text.TextSearcher([text.open(text.build([1], ["one"]))])
    with pytest.raises(ValueError, match=f"k is {k}; allowed: 0 to 2147483647"):
        searcher.search("one", k)
    assert searcher.search("one", 0).rows.tolist() == [] and searcher.search("one", 2**31 - 1).rows.tolist() == [1]


@pytest.mark.parametrize("term", [b"\x80" * 300, b"a" + b"\xbf" * 300, b"\xf0" + b"\x80" * 254, b"x" * 255, b"x" * 256])
def test_terms_that_are_no_text_are_cut_at_a_letter(term: bytes) -> None:
    """At 255 bytes, or where the letter begins that would not fit: of continuation bytes alone nothing is left."""
    memory = text.TextMemory()
    memory.add_terms([1], [[term, b"b"]])
    cut = (
        term[:255]
        if len(term) <= 255 or term[255] & 0xC0 != 0x80
        else term[: max((i for i in range(255) if term[i] & 0xC0 != 0x80), default=0)]
    )
    assert [t for t, _ in text.open(memory.freeze()).terms()] == sorted([cut, b"b"])
