"""The full-text kernels at the ends of what they take: bytes that are no text, malformed programs, odd terms, pending documents."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from indexes import text
from indexes.native_text import (
    ALL,
    AND,
    FUZZY,
    GLOB,
    NEAR,
    NOT,
    OR,
    PREFIX,
    QUERY_DEPTH,
    TERM,
    TERM_MOST,
    Memory,
    Program,
    Rules,
    Searcher,
    Segment,
    scan,
)
from indexes.twins import text as twin

Node = tuple[int, bytes, int, int, int, int, float]


def node(kind: int, of: bytes = b"", children: int = 0, number: int = 0, unit: int = 0, place: int = 0, boost: float = 1.0) -> Node:
    return kind, of, children, number, unit, place, boost


def invalid_texts() -> list[bytes]:
    rng = random.Random(3)
    pieces = [b"a", b"B ", b" ", "é".encode(), "中".encode(), "文".encode(), "\U00020000".encode(), "\U0001f600".encode()]
    broken = [b"\x80", b"\xc0\x80", b"\xc2", b"\xe4\xb8", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf0\x80\x80\x80"]
    broken += [b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xe4a", b"\xe4\xb8a", b"\xf0\x9fab", b"\xf0\x9f\x98a", b"\xc2a"]
    found = [*broken, *(a + b + a for a in pieces for b in broken)]
    return found + [b"".join(rng.choices(pieces + broken, k=rng.randrange(12))) for _ in range(400)]


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("singles", [False, True])
@pytest.mark.parametrize("kind", ["unicode", "whitespace", "ngram"])
def test_bytes_that_are_no_text_end_a_word(kind: str, fold: bool, singles: bool) -> None:
    """What the twins say of the same text with a character for each wrong byte that is in no word, and in no term."""
    rules = Rules(kind, 2, fold, singles)
    for data in invalid_texts():
        parts = data.decode("utf-8", "surrogateescape").translate(dict.fromkeys(range(0xDC80, 0xDD00), "\n")).split("\n")
        want: list[bytes] = []
        for part in parts:
            if kind == "unicode":
                want += [term for term, _, _ in twin.words(part, folded=fold, singles=singles)]
            elif kind == "ngram":
                want += [term for term, _, _ in twin.ngrams(part, 2, folded=fold)]
            else:
                want += [twin.cut(twin.fold(word) if fold else word) for word in part.split()]
        found = scan(rules, data)
        assert [found.terms[i] for i in found.ids.tolist()] == want, data


def test_every_space_of_python_is_one() -> None:
    for char in map(chr, [*range(0x3100), 0xFEFF, 0x10000]):
        data = f"a{char}b".encode()
        assert [scan(Rules("whitespace", 3, False), data).terms[i] for i in scan(Rules("whitespace", 3, False), data).ids] == [
            word.encode() for word in f"a{char}b".split()
        ]


@pytest.mark.parametrize("n", [0, 17, 1000])
def test_an_ngram_length_that_is_not_taken(n: int) -> None:
    with pytest.raises(MemoryError):  # who calls has made sure; the kernel has no other word for it
        scan(Rules("ngram", n), b"abc")


def components() -> list[Searcher]:
    """The same documents in a segment and in memory."""
    documents = ["ant bee", "bee cat dog", "ant ant bee", "", "dog"]
    memory = Memory(searchable=True, mapped=False)
    memory.tokenise(Rules().native(), [d.encode() for d in documents])
    memory.commit(np.arange(5, dtype=np.uint64))
    segment = Segment(memory.freeze(b""), verify=True)
    return [Searcher([segment], [None], None), Searcher([], [], memory)]


A, B, C = node(TERM, b"ant"), node(TERM, b"bee"), node(TERM, b"cat")
GOOD: list[tuple[list[Node], list[int]]] = [
    ([A], [0, 2]),
    ([A, B, node(AND, children=2)], [0, 2]),
    ([A, C, node(OR, children=2)], [0, 1, 2]),
    ([B, C, node(NOT, children=2)], [0, 2]),
    ([node(ALL)], [0, 1, 2, 3, 4]),
    ([node(ALL), A, node(NOT, children=2)], [1, 3, 4]),
    ([node(AND)], [0, 1, 2, 3, 4]),
    ([node(OR)], []),
    ([node(NEAR)], []),
    ([node(PREFIX, b"a")], [0, 2]),
    ([node(PREFIX, b"")], [0, 1, 2, 4]),
    ([node(GLOB, b"*")], [0, 1, 2, 4]),
    ([node(GLOB, b"?e*e**")], [0, 1, 2]),
    ([node(FUZZY, b"bea", number=1)], [0, 1, 2]),
    ([node(FUZZY, b"", number=0)], []),
    ([A, node(TERM, b"bee", place=1), node(NEAR, children=2)], [0, 2]),
    ([A, node(TERM, b"bee", unit=1), node(NEAR, children=2, number=1)], [0, 2]),
    ([node(TERM, b"bee"), node(TERM, b"dog", unit=1), node(NEAR, children=2, number=1)], [1]),
    ([node(TERM, b"bee"), node(TERM, b"dog", unit=1), node(NEAR, children=2)], []),
    ([A, node(OR, children=1), B, node(AND, children=2)], [0, 2]),
    ([node(TERM, b"\x80" * 300)], []),
    ([node(TERM, b"nothing"), node(TERM, b"ant", place=1), node(NEAR, children=2)], []),
]
BAD: list[list[Node]] = [
    [],
    [A, B],
    [node(AND, children=1)],
    [A, node(AND, children=2)],
    [node(99)],
    [node(TERM, b"ant", children=1)],
    [A, node(TERM, b"ant", children=1)],
    [A, node(PREFIX, b"b", children=1)],
    [A, node(ALL, children=1)],
    [A, node(NOT, children=1)],
    [A, B, C, node(NOT, children=3)],
    [node(TERM, b"ant", boost=0)],
    [node(TERM, b"ant", boost=-1)],
    [node(TERM, b"ant", boost=float("nan"))],
    [node(FUZZY, b"ant", number=3)],
    [node(FUZZY, b"a" * (TERM_MOST + 1), number=1)],
    [node(PREFIX, b"a"), node(NEAR, children=1)],
    [node(TERM, b"ant", unit=1), node(NEAR, children=1)],
    [A, node(TERM, b"bee", unit=2), node(NEAR, children=2)],
    [A, node(TERM, b"bee", unit=1), node(TERM, b"bee"), node(NEAR, children=3)],
    [A, *[node(AND, children=1)] * (QUERY_DEPTH + 1)],
    [A, node(TERM, b"bee", place=2**31 - 1), node(NEAR, children=2)],
]


@pytest.mark.parametrize("at", range(len(GOOD)))
def test_programs(at: int) -> None:
    nodes, rows = GOOD[at]
    for searcher in components():
        program = Program(nodes)
        assert searcher.match(program, None).tolist() == rows
        assert searcher.count(program) == len(rows)
        assert searcher.match(program, np.array([0, 2, 9], np.uint64)).tolist() == [row for row in rows if row in (0, 2)]


@pytest.mark.parametrize("at", range(len(BAD)))
def test_malformed_programs_are_refused(at: int) -> None:
    program = Program(BAD[at])
    scoring = text.bm25().native
    for searcher in components():
        for ask in (
            lambda s=searcher: s.match(program, None),
            lambda s=searcher: s.count(program),
            lambda s=searcher: s.df(program),
            lambda s=searcher: s.rank(program, scoring, 3, None, False),
        ):
            with pytest.raises(ValueError, match="malformed"):
                ask()


def test_random_programs_are_refused_or_answered() -> None:
    rng = random.Random(5)
    searchers, answered = components(), 0
    leaves = [
        node(TERM, b"ant"),
        node(PREFIX, b"b"),
        node(FUZZY, b"dot", number=1),
        node(GLOB, b"?a*"),
        node(ALL),
        node(TERM, b"bee", unit=1),
    ]
    for case in range(3000):
        nodes: list[Node] = []
        for _ in range(rng.randrange(1, 7)):
            nodes.append(rng.choice([*leaves, node(rng.choice([AND, OR, NOT, NEAR]), children=rng.randrange(4), number=rng.randrange(3))]))
        found = []
        for searcher in searchers:
            try:
                found.append(searcher.match(Program(nodes), None).tolist())
            except ValueError as error:
                found.append(str(error))
        assert found[0] == found[1], f"random.Random(5), case {case}: {nodes}"
        answered += isinstance(found[0], list)
    assert answered > 300


def test_no_documents_are_asked_for() -> None:
    scoring = text.bm25().native
    for searcher in components():
        for k in (0, 1, 50):
            rows, scores = searcher.rank(Program([A, B, node(OR, children=2)]), scoring, k, None, False)
            assert len(rows) == len(scores) == min(k, 3)
            only, _ = searcher.rank(Program([A]), scoring, k, np.array([2], np.uint64), True)
            assert only.tolist() == [2][:k]


def test_documents_are_committed_as_many_as_were_given() -> None:
    memory = Memory(searchable=True, mapped=True)
    memory.tokenise(Rules().native(), [b"one two", b"two three"])
    rows = np.arange(2, dtype=np.uint64)
    for wrong in (rows[:1], np.arange(3, dtype=np.uint64)):
        with pytest.raises(ValueError, match="cannot hold"):
            memory.commit(wrong)
    with pytest.raises(ValueError, match="cannot hold"):
        memory.commit(rows)  # its terms are not mapped yet
    assert memory.unmapped() == [b"one", b"two", b"three"]
    with pytest.raises(ValueError, match="cannot hold"):
        memory.map([b"x"] * 4)
    memory.map([b"x", None])
    assert memory.unmapped() == [b"three"]
    memory.map([b"y"])
    assert memory.unmapped() == []
    memory.commit(rows)
    assert memory.facts()["documents"] == 2 and memory.facts()["tokens"] == 2
    searcher = Searcher([], [], memory)
    assert searcher.match(Program([node(TERM, b"x")]), None).tolist() == [0]
    assert searcher.match(Program([node(TERM, b"y")]), None).tolist() == [1]
    memory.delete(np.array([0, 77], np.uint64))
    memory.tokenise(Rules().native(), [b"never committed"])
    memory.tokenise(Rules().native(), [])
    memory.map([None] * len(memory.unmapped()))
    memory.commit(np.empty(0, np.uint64))
    assert memory.touched().tolist() == [0, 1, 77] and not memory.has(0) and not memory.has(5) and memory.has(1)


def ends(terms: Sequence[bytes]) -> text.TextView:
    memory = text.TextMemory(text.Analyzer(tokenizer="whitespace", fold=False), searchable=False)
    memory.add_terms(range(len(terms)), [[term] for term in terms])
    return text.open(memory.freeze())


def test_terms_of_any_bytes() -> None:
    """Dictionaries with terms at the end of the order, long common beginnings and lengths up to the longest; all of them are found."""
    rng = random.Random(11)
    heads = [b"", b"\xff", b"\xff\xff\xff", b"a" * 200, b"\xc3\xa9" * 100, b"\xf4\x8f\xbf\xbf"]
    terms = sorted(
        {rng.choice(heads) + bytes(rng.choices(b"\x00ab\x80\xfe\xff", k=rng.randrange(4))) for _ in range(500)} | {b"z" * TERM_MOST}
    )
    view = ends(terms)
    view.check()
    assert [term for term, _ in view.terms()] == terms
    searcher = Searcher([view.native], [None], None)
    for at in range(0, len(terms), 7):
        assert searcher.match(Program([node(TERM, terms[at])]), None).tolist() == [at]
        begin = terms[at][:3]
        assert searcher.match(Program([node(PREFIX, begin)]), None).tolist() == [i for i, t in enumerate(terms) if t.startswith(begin)]
    assert searcher.match(Program([node(PREFIX, b"\xff\xff\xff\xff\xff\xff\xff\xff")]), None).tolist() == []


@pytest.mark.parametrize("most", [0, 1, 2])
def test_terms_near_words_of_any_characters(most: int) -> None:
    rng = random.Random(most)
    letters = "ab\x7f\x80é\u07ff\u0800中\uffff\U00010000\U0010ffff"
    words = sorted({"".join(rng.choices(letters, k=rng.randrange(1, 6))) for _ in range(400)} | {"\U0010ffff" * 60}, key=str.encode)
    view, memory = ends([word.encode() for word in words]), text.TextMemory(text.Analyzer(tokenizer="whitespace", fold=False))
    memory.add_terms(range(len(words)), [[word.encode()] for word in words])
    for _ in range(60):
        word = rng.choice([rng.choice(words), "".join(rng.choices(letters, k=rng.randrange(6))), "\U0010ffff" * 59])
        want = [i for i, other in enumerate(words) if twin.edit_distance(word, other, most) <= most]
        program = Program([node(FUZZY, word.encode(), number=most)])
        assert Searcher([view.native], [None], None).match(program, None).tolist() == want, word
        assert Searcher([], [], memory.native).match(program, None).tolist() == want, word


def test_more_terms_than_are_counted_at_once() -> None:
    """The counts of terms that a searcher keeps: more of them than it begins with."""
    words = [f"w{i}" for i in range(700)]
    view = text.open(text.build(range(700), [f"{word} {words[i // 2]}" for i, word in enumerate(words)]))
    searcher = text.TextSearcher([view], [np.array([3], np.uint64)])
    for _ in range(2):
        got = [searcher.df(word)[0] for word in words]
        assert got == [text.TextSearcher([view], [np.array([3], np.uint64)]).df(word)[0] for word in words]
