"""The full-text kernels against their readable twins: tokens, packing, impacts, scores, matches, pruning."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexes import text
from indexes.native_text import Bits, Rules, scan
from indexes.text.scoring import IDF_PART, TF_PART
from indexes.twins import text as twin
from indexes.twins import text_segment as segment_twin

U32 = st.integers(0, 2**32 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text(
    "aAbB cß1İſ\u4e2d\u6587ガ\uac00é\u0301.-_\U00020000Ω\t\xa0", max_size=60
)
unicode14 = pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="the tables are those of Unicode 14")


def tokens(rules: Rules, value: str) -> list[tuple[bytes, int, int]]:
    data = value.encode()
    found = scan(rules, data)
    spans = zip(found.ids.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)
    return [(found.terms[i], len(data[:start].decode()), len(data[:end].decode())) for i, start, end in spans]


@unicode14
@pytest.mark.parametrize("singles", [False, True])
@pytest.mark.parametrize("folded", [False, True])
@given(value=TEXTS)
def test_words_are_the_twins(folded: bool, singles: bool, value: str) -> None:
    assert tokens(Rules("unicode", 3, folded, singles), value) == list(twin.words(value, folded=folded, singles=singles))


@unicode14
def test_every_character_is_classified_and_folded_as_the_twin_does() -> None:
    chars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    value = " ".join(chars)
    got = scan(Rules(), value.encode())
    want = [twin.cut(char if twin.is_ideograph(char) else twin.fold(char)) for char in chars if twin.is_word(char)]
    assert [got.terms[i] for i in got.ids.tolist()] == want


@given(value=TEXTS, n=st.integers(1, 16), folded=st.booleans())
def test_ngrams_are_the_twins(value: str, n: int, folded: bool) -> None:
    if unicodedata.unidata_version == "14.0.0" or value.isascii():
        assert tokens(Rules("ngram", n, folded), value) == list(twin.ngrams(value, n, folded=folded))


@given(value=TEXTS)
def test_whitespace_is_that_of_str_split(value: str) -> None:
    assert [term for term, _, _ in tokens(Rules("whitespace", 3, False), value)] == [twin.cut(word) for word in value.split()]


@pytest.mark.parametrize("char", ["a", "é", "中", "\U00020000"])
def test_long_terms_are_cut_at_a_character(char: str) -> None:
    value = "x" + char * 300
    assert tokens(Rules("whitespace"), value)[0][0] == twin.cut(value)
    assert len(twin.cut(value)) > 250


@given(values=st.lists(U32 | st.integers(0, 300), max_size=128))
@example(values=[2**25 - 1] * 128)
@example(values=[2**26 - 1] * 128)
@example(values=[1] * 9)
def test_packed_bits_are_the_twins(values: list[int]) -> None:
    width, packed = Bits.pack(np.array(values, np.uint32))
    assert (width, packed) == twin.pack(values)
    for portable in (False, True):
        assert Bits.unpack(packed, len(values), width, portable=portable).tolist() == values == twin.unpack(packed, len(values), width)


@given(gaps=st.lists(st.integers(0, 1 << 20) | U32, max_size=128), previous=U32)
def test_sums_of_gaps_are_the_same_with_and_without_simd(gaps: list[int], previous: int) -> None:
    want, at = [], previous
    for gap in gaps:
        at = (at + gap + 1) & 0xFFFFFFFF
        want.append(at)
    for portable in (False, True):
        got, most = Bits.gaps_sum(np.array(gaps, np.uint32), previous, portable=portable)
        assert (got.tolist(), most) == (want, max(want, default=0))


@given(
    pairs=st.lists(
        st.tuples(st.integers(1, 40) | st.integers(1, 2**31), st.integers(1, 90) | st.integers(1, 2**31)), min_size=1, max_size=128
    )
)
@example(pairs=[(f, f) for f in range(1, 60)])
def test_impacts_bound_every_posting_and_are_no_looser_than_the_twins(pairs: list[tuple[int, int]]) -> None:
    frequencies, lengths = (np.array(column, np.uint32) for column in zip(*pairs, strict=True))
    got = Bits.impacts(frequencies, lengths)
    assert 1 <= len(got) <= 4
    for f, length in pairs:
        assert any(high >= f and low <= length for high, low in got)
    rounded = {(twin.rounded_up(f), twin.rounded(length)) for f, length in pairs}
    best = [p for p in rounded if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in rounded)]
    if len(best) <= 4:
        assert sorted(got) == sorted(best)


def random_documents(seed: int, n: int) -> dict[int, str]:
    rng = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(40)]
    weights = [1 / (i + 1) for i in range(40)]
    rows = rng.sample(range(1, 20 * n), n)
    return {row: " ".join(rng.choices(vocabulary, weights, k=rng.choice((0, 1, 3, 8, 30, 200)))) for row in rows}


def make(documents: dict[int, str]) -> tuple[text.TextSearcher, twin.TextTwin]:
    model = twin.TextTwin()
    for row, value in documents.items():
        model.put(row, [term.encode() for term in value.split()])
    view = text.open(text.build(list(documents), list(documents.values())))
    view.check()
    return text.TextSearcher([view]), model


def check_ranked(got: text.Hits, want: dict[int, float], k: int) -> None:
    """The k best, whichever of nearly equal ones come first; in the promised order by the scores that were given."""
    assert got.scores.tolist() == pytest.approx(sorted(want.values(), reverse=True)[:k], abs=1e-9)
    assert got.scores.tolist() == pytest.approx([want[row] for row in got.rows.tolist()], abs=1e-9)
    pairs = list(zip((-got.scores).tolist(), got.rows.tolist(), strict=True))
    assert pairs == sorted(set(pairs))


@pytest.mark.parametrize("name", text.SCORINGS)
def test_scores_are_the_twins(name: str) -> None:
    searcher, model = make(random_documents(5, 300))
    for query in ("w0", "w3 w9", "w0 w1 w2 w30", "w5 w5 w38 nowhere"):
        for k1, b in ((1.2, 0.75), (0.0, 1.0), (2.0, 0.0)):
            scoring = text.bm25(name, k1=k1, b=b)
            want = model.scores([t.encode() for t in query.split()], TF_PART[name], IDF_PART[name], k1, b, scoring.delta)
            for k in (3, 1000):
                got = searcher.search(query, k, scoring=scoring)
                check_ranked(got, want, k)


@pytest.mark.parametrize("name", text.SCORINGS)
@given(seed=st.integers(0, 2**32), k=st.integers(1, 40), terms=st.lists(st.integers(0, 39), min_size=1, max_size=6))
def test_pruned_ranking_is_the_exhaustive_one_bit_for_bit(name: str, seed: int, k: int, terms: list[int]) -> None:
    documents = random_documents(seed, 700)
    searcher, _ = make(documents)
    query = " ".join(f"w{i}^{1 + i % 3}" for i in terms)
    pruned, full = (searcher.search(query, k, scoring=text.bm25(name), exhaustive=e) for e in (False, True))
    assert pruned.rows.tolist() == full.rows.tolist()
    assert pruned.scores.tolist() == full.scores.tolist()
    everything = searcher.search(query, len(documents), scoring=text.bm25(name))
    assert everything.rows[:k].tolist() == full.rows.tolist()
    assert sorted(everything.rows.tolist()) == searcher.match(query).tolist()


UNITS = st.lists(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 3)), min_size=1, max_size=3), min_size=1, max_size=3
)


@given(
    documents=st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", None]), max_size=25), min_size=1, max_size=8),
    texts=st.lists(st.sampled_from(["a", "b", "c", "a b", "b a", "a a", "c b a"]), min_size=1, max_size=3),
    distance=st.integers(0, 6),
)
def test_proximity_is_the_twins(documents: list[list[bytes | None]], texts: list[str], distance: int) -> None:
    model = twin.TextTwin()
    for row, terms in enumerate(documents):
        model.put(row, terms)
    view = text.open(
        text.build_terms((row, [(at, t) for at, t in enumerate(terms) if t is not None]) for row, terms in enumerate(documents))
    )
    memory = text.TextMemory()
    memory.add_terms(range(len(documents)), documents)
    units = [[(word.encode(), at) for at, word in enumerate(one.split())] for one in texts]
    want = [row for row in model.documents if model.near(row, units, distance)]
    for searcher in (text.TextSearcher([view]), text.TextSearcher(memory=memory)):
        assert searcher.match(text.Near(tuple(texts), distance)).tolist() == want
        for one, unit in zip(texts, units, strict=True):
            found = {row: len(model.phrase(row, unit)) for row in model.documents if model.phrase(row, unit)}
            hits = searcher.search(text.Phrase(one), 100, scoring=text.bm25("tf"))
            want_scores = {row: 1 + np.log(n) for row, n in found.items()}
            assert dict(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)) == pytest.approx(want_scores)


@given(
    words=st.lists(st.text("abé中", max_size=6), max_size=60),
    query=st.text("abé中", min_size=1, max_size=6),
    distance=st.integers(1, 2),
)
def test_fuzzy_terms_are_those_within_the_edit_distance(words: list[str], query: str, distance: int) -> None:
    plain = text.Analyzer("whitespace", fold=False)
    documents = [[word.encode()] for word in words]
    want = [row for row, word in enumerate(words) if twin.edit_distance(query, word, distance) <= distance]
    view = text.open(text.build_terms(((row, [(0, words[0])]) for row, words in enumerate(documents)), plain))
    memory = text.TextMemory(plain)
    memory.add_terms(range(len(documents)), documents)
    for searcher in (text.TextSearcher([view], analyzer=plain), text.TextSearcher(memory=memory)):
        assert searcher.match(text.Fuzzy(query, distance)).tolist() == want


TERMS = st.sampled_from([b"", b"a", b"ab", b"abc", b"b", b"\xc3\xa9", b"x" * 255, b"x" * 254 + b"y"])


@given(documents=st.dictionaries(st.integers(0, 2**64 - 1), st.lists(TERMS | st.none(), max_size=20), max_size=20))
def test_segment_bytes_are_the_twins(documents: dict[int, list[bytes | None]]) -> None:
    sparse = {row: [(at, term) for at, term in enumerate(terms) if term is not None] for row, terms in documents.items()}
    assert text.build_terms(sparse.items()) == segment_twin.write(sparse, text.Analyzer().signature)


def test_large_segment_bytes_are_the_twins() -> None:
    rng = random.Random(9)
    words = [f"w{i}".encode() for i in range(60)]
    documents = {
        row * 3: list(enumerate(rng.choices(words, [1 / (i + 1) for i in range(60)], k=rng.choice((1, 9, 40, 300))))) for row in range(400)
    }
    documents[5] = [(at, b"w0") for at in range(0, 140_000, 2)]  # longer than 16 bits tell
    assert text.build_terms(documents.items()) == segment_twin.write(documents, text.Analyzer().signature)
