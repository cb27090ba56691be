"""Full-text answers against those of programs that nobody here wrote: SQLite FTS5, bm25s, PyStemmer, tantivy."""

from __future__ import annotations

import random
import sqlite3
import sys

import numpy as np
import pytest

from indexes import text

SEED = 11
WORDS = [
    "lsm",
    "tree",
    "log",
    "merge",
    "run",
    "level",
    "bloom",
    "filter",
    "block",
    "cache",
    "Write",
    "READ",
    "naïve",
    "ΩMEGA",
    "дерево",
    "x1",
    "treetop",
    "logs",
]


def corpus(n: int = 1500) -> dict[int, str]:
    rng = random.Random(SEED)
    weights = [1 / (i + 1) for i in range(len(WORDS))]
    texts = {
        rng.randrange(2**62): rng.choice((" ", ", ", "-", ".\n")).join(rng.choices(WORDS, weights, k=rng.randrange(1, 40)))
        for _ in range(n)
    }
    for module in list(sys.modules.values())[:300]:
        if isinstance(doc := vars(module).get("__doc__"), str):
            texts[rng.randrange(2**62)] = doc
    return texts


@pytest.fixture(scope="module")
def texts() -> dict[int, str]:
    return corpus()


@pytest.fixture(scope="module")
def fts(texts: dict[int, str]) -> sqlite3.Connection:
    con = sqlite3.connect(":memory:")
    try:
        con.execute("create virtual table t using fts5(x, tokenize='unicode61 remove_diacritics 0')")
    except sqlite3.OperationalError as missing:
        pytest.skip(f"this SQLite has no FTS5: {missing}")
    con.executemany("insert into t(rowid, x) values (?, ?)", texts.items())
    return con


@pytest.fixture(scope="module", params=["segment", "memory", "three"])
def searcher(request: pytest.FixtureRequest, texts: dict[int, str]) -> text.TextSearcher:
    rows, values = list(texts), list(texts.values())
    third = len(rows) // 3
    memory = text.TextMemory()
    if request.param == "memory":
        memory.add(rows, values)
        return text.TextSearcher(memory=memory)
    if request.param == "segment":
        return text.TextSearcher([text.open(text.build(rows, values))])
    memory.add(rows[2 * third :], values[2 * third :])
    old = text.open(text.build(rows, ["lsm stale " + value for value in values]))  # an earlier state of everything
    new = text.open(text.build(rows[:third], values[:third]))
    mid = text.open(text.build(rows[third : 2 * third], values[third : 2 * third]))
    return text.TextSearcher([new, mid, old], [None, None, sorted(rows[: 2 * third])], memory)


QUERIES = {  # ours: FTS5's
    "lsm": "lsm",
    "naïve": "naïve",
    "ωmega дерево": "ωmega OR дерево",
    "+lsm +write": "lsm AND write",
    "+bloom +filter +(cache block)": "bloom AND filter AND (cache OR block)",
    "lsm -tree": "lsm NOT tree",
    "(run OR level) AND NOT (bloom OR tree)": "(run OR level) NOT (bloom OR tree)",
    '"lsm tree"': '"lsm tree"',
    '"lsm tree log"': '"lsm tree log"',
    '"lsm tree" OR "x1 read"': '"lsm tree" OR "x1 read"',
    '+"tree log" -"log merge"': '"tree log" NOT "log merge"',
    "tre*": "tre*",
    "lo* -logs": "lo* NOT logs",
    "bloom NEAR/3 filter": "NEAR(bloom filter, 3)",
    "bloom NEAR/0 filter": "NEAR(bloom filter, 0)",
    '"lsm tree" NEAR/4 cache NEAR/4 read': 'NEAR("lsm tree" cache read, 4)',
    "nowhere": "nowhere",
    "module": "module",
    '"this module"': '"this module"',
    "pyth*": "pyth*",
}


@pytest.mark.parametrize("query", QUERIES)
def test_matches_are_those_of_fts5(fts: sqlite3.Connection, searcher: text.TextSearcher, query: str) -> None:
    want = sorted(row for (row,) in fts.execute("select rowid from t where t match ?", (QUERIES[query],)))
    got = searcher.match(query)
    assert got.tolist() == want
    assert searcher.count(query) == len(want)
    half = np.array([*want[::2], 1, 2, 3], np.uint64)
    half.sort()
    assert searcher.match(query, within=half).tolist() == want[::2]
    hits = searcher.search(query, 10**6)
    assert sorted(hits.rows.tolist()) == want
    assert sorted(searcher.search(query, 10**6, within=half).rows.tolist()) == want[::2]


@pytest.mark.parametrize(
    "query",
    [
        "lsm",
        "lsm tree cache",
        '"lsm tree"',
        '+"lsm tree" +bloom',
        "tre* log",
        '"lsm tree" OR "merge run" OR bl*',
        "lsm AND tree AND NOT log",
    ],
)
def test_scores_are_those_of_fts5(fts: sqlite3.Connection, searcher: text.TextSearcher, query: str) -> None:
    theirs = (
        " OR ".join(query.split())
        if '"' not in query and "AND" not in query
        else query.replace('+"lsm tree" +bloom', '"lsm tree" AND bloom')
    )
    theirs = theirs.replace("AND NOT", "NOT")
    want = dict(fts.execute("select rowid, -bm25(t) from t where t match ?", (theirs,)).fetchall())
    hits = searcher.search(query, 10**6, scoring=text.bm25("fts5"))
    assert len(want) > 20
    assert dict(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)) == pytest.approx(want, abs=1e-9)


def test_trigrams_match_as_those_of_fts5() -> None:
    con = sqlite3.connect(":memory:")
    con.execute("create virtual table t using fts5(x, tokenize='trigram')")
    values = ["The quick fox", "a QUICKer one", "qui ck", "уик quick"]
    con.executemany("insert into t(rowid, x) values (?, ?)", enumerate(values))
    searcher = text.TextSearcher([text.open(text.build(range(4), values, text.Analyzer("trigram")))], analyzer=text.Analyzer("trigram"))
    for part in ("quick", "uicke", "the qu", "fox", "i c"):
        want = [row for (row,) in con.execute("select rowid from t where t match ?", (f'"{part}"',))]
        assert searcher.match(text.Phrase(part)).tolist() == want, part


@pytest.mark.parametrize("name", ["robertson", "lucene", "atire", "bm25l", "bm25+"])
def test_scores_are_those_of_bm25s(texts: dict[int, str], searcher: text.TextSearcher, name: str) -> None:
    bm25s = pytest.importorskip("bm25s")
    analyzer = text.Analyzer()
    tokens = [[term.decode() for term in analyzer.terms(value) if term] for value in texts.values()]
    delta = 0.5
    index = bm25s.BM25(method=name, k1=1.5, b=0.75, delta=delta, dtype="float64")
    index.index(tokens, show_progress=False)
    scoring = text.bm25(name, k1=1.5, b=0.75, delta=delta)
    for query in (["lsm"], ["tree", "cache", "naïve"], ["merge", "x1", "treetop", "read"]):
        theirs = index.get_scores(query)
        hits = searcher.search(" ".join(query), 10**6, scoring=scoring)
        ours = dict(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True))
        # bm25s adds what bm25l and bm25+ give a term that is not in the document; here the sum runs over those that are
        absent = dict(
            zip(
                query,
                (0.0 if name not in ("bm25l", "bm25+") else float(index.nonoccurrence_array[index.vocab_dict[q]]) for q in query),
                strict=True,
            )
        )
        for row, words, score in zip(texts, tokens, theirs, strict=True):
            missing = sum(absent[q] for q in query if q not in words)
            assert ours.get(row, 0.0) == pytest.approx(float(score) - missing, abs=1e-9)


def test_stems_are_those_of_pystemmer(texts: dict[int, str]) -> None:
    stemmer = pytest.importorskip("Stemmer")
    analyzer = text.Analyzer(stem="english", stop=frozenset({"the", "of", "and"}))
    plain = text.Analyzer()
    view = text.open(text.build(list(texts), list(texts.values()), analyzer))
    words = {term.decode() for value in texts.values() for term in plain.terms(value) if term} - analyzer.stop
    assert {term.decode() for term, _ in view.terms()} == set(stemmer.Stemmer("english").stemWords(sorted(words)))
    searcher = text.TextSearcher([view], analyzer=analyzer)
    assert searcher.match("trees").tolist() == searcher.match("tree").tolist() != []
    assert searcher.match('"log of merging"').tolist() == text.TextSearcher([view], analyzer=analyzer).match('"logs and merge"').tolist()


def test_matches_are_those_of_tantivy(texts: dict[int, str], searcher: text.TextSearcher) -> None:
    tantivy = pytest.importorskip("tantivy")
    schema = tantivy.SchemaBuilder().add_unsigned_field("row", stored=True).add_text_field("x", tokenizer_name="default").build()
    index = tantivy.Index(schema)
    writer = index.writer(15_000_000, 1)
    ascii_only = {row: value for row, value in texts.items() if value.isascii()}
    for row, value in ascii_only.items():
        writer.add_document(tantivy.Document(row=row, x=value.replace("_", " ")))
    writer.commit()
    index.reload()
    found = index.searcher()
    rows = np.array(sorted(ascii_only), np.uint64)
    for query in ("+lsm +write", '"lsm tree"', "+run -tree", "+bloom +filter +cache", "naive lsm"):
        hits = found.search(index.parse_query(query, ["x"]), len(texts)).hits
        want = sorted(found.doc(address)["row"][0] for _, address in hits)
        assert searcher.match(query, within=rows).tolist() == want, query
    from_tantivy = tantivy.Query.fuzzy_term_query(schema, "x", "trre", distance=1, transposition_cost_one=False)
    want = sorted(found.doc(address)["row"][0] for _, address in found.search(from_tantivy, len(texts)).hits)
    assert searcher.match("trre~1", within=rows).tolist() == want != []
