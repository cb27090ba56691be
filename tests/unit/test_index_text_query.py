"""The query string, analyzers, highlighting."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from indexes import text
from indexes.text import All, And, Fuzzy, Glob, Near, Not, Or, Phrase, Prefix, Word, parse

A, B, C = Word("a"), Word("b"), Word("c")


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("a", A),
        ("a b", Or((A, B))),
        ("+a b", And((A, Or((B, All()))))),
        ("+a +b", And((A, B))),
        ("a -b", Not(A, B)),
        ("-a", Not(All(), A)),
        ("-a -b", Not(All(), Or((A, B)))),
        ("a AND b", And((A, B))),
        ("a AND NOT b AND c", Not(And((A, C)), B)),
        ("a OR b c", Or((A, Or((B, C))))),
        ("NOT a b", Not(B, A)),
        ("+(a b) c^2", And((Or((A, B)), Or((Word("c", 2.0), All()))))),
        ("(a b)^0.5", Or((Word("a", 0.5), Word("b", 0.5)))),
        ('"a b"', Phrase("a b")),
        (r'"a \"b"', Phrase('a "b')),
        ("pre*", Prefix("pre")),
        ("*", All()),
        ("p*e", Glob("p*e")),
        ("p?", Glob("p?")),
        (r"p\*", Word("p*")),
        (r"\-a", Word("-a")),
        ("fuz~", Fuzzy("fuz", 1)),
        ("fuz~2", Fuzzy("fuz", 2)),
        ("a NEAR/5 b", Near(("a", "b"), 5)),
        ('a NEAR "b c" NEAR/3 d', Near(("a", "b c", "d"), 10)),
        ("NEARBY ANDROID", Or((Word("NEARBY"), Word("ANDROID")))),
        ("b-tree it's", Or((Word("b-tree"), Word("it's")))),
        ("x:y", Word("x:y")),
    ],
)
def test_a_query_string_means(query: str, tree: text.Query) -> None:
    assert parse(query) == tree


def test_the_default_may_be_and() -> None:
    assert parse("a b -c", default="and") == Not(And((A, B)), C)
    with pytest.raises(ValueError, match="default is 'xor'"):
        parse("a", default="xor")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the query is empty"),
        ("   ", "the query is empty"),
        ("(a", "closing parenthesis is missing before the end"),
        ("a)", r"an operator is missing before '\)' at character 1"),
        ("()", r"a term is missing before '\)' at character 1"),
        ('a "b', "the quote at character 2"),
        ("a AND", "a term is missing before the end"),
        ("OR a", "a term is missing before 'OR' at character 0"),
        ("a OR", "a term is missing before the end"),
        ("a^", "needs a number"),
        ("a^0", "needs a number"),
        ("^2", "a term is missing before '\\^2'"),
        ("a NEAR/3", "a term is missing before the end"),
        ("a NEAR/3 b*", "NEAR takes words and phrases"),
        ("a NEAR/99999999999 b", "NEAR distance is 99999999999"),
        ("a\\", "is not understood"),
        ("fuz~3", "edit distance is 3; allowed: 1 to 2"),
        ("b-tr*", "prefix 'b-tr' is 2 tokens"),
        ("..*", "prefix '..' is 0 tokens"),
    ],
)
def test_a_query_that_is_none_says_where(query: str, message: str) -> None:
    with pytest.raises(text.QueryError, match=message):
        text.TextSearcher().match(query)


def test_words_of_several_tokens_are_phrases_and_stop_words_hold_places() -> None:
    analyzer = text.Analyzer(stop=frozenset({"of", "the"}))
    values = ["end of the line", "end line", "end of line", "b-tree", "b tree b"]
    searcher = text.TextSearcher([text.open(text.build(range(5), values, analyzer))], analyzer=analyzer)
    assert searcher.match('"end of the line"').tolist() == [0]
    assert searcher.match('"end line"').tolist() == [1]
    assert searcher.match("end-of-line").tolist() == [2]
    assert searcher.match("b-tree").tolist() == [3, 4]
    assert searcher.match("the").tolist() == []
    assert searcher.match("+the +end").tolist() == [0, 1, 2]
    assert searcher.match("end -the").tolist() == [0, 1, 2]
    assert searcher.match('"of the"').tolist() == []


def test_a_python_tokenizer_is_used_for_text_and_queries() -> None:
    def by_camel(value: str) -> Iterator[tuple[str, int, int]]:
        for found in re.finditer(r"[A-Z]?[a-z]+|[A-Z]+|\d+", value):
            yield found[0].lower(), found.start(), found.end()

    analyzer = text.Analyzer(by_camel, name="camel", stop=frozenset({"get"}))
    assert analyzer.terms("getHTTPResponse2") == [None, b"httpr", b"esponse", b"2"]
    memory = text.TextMemory(analyzer)
    memory.add([1, 2], ["getFileName", b"setFileSize"])
    for searcher in (text.TextSearcher(memory=memory), text.TextSearcher([text.open(memory.freeze())], analyzer=analyzer)):
        assert searcher.match("FileName").tolist() == [1]
        assert searcher.match("file").tolist() == [1, 2]
        assert searcher.match("fil*").tolist() == [1, 2]
    assert text.highlight("a FileName here", "name", analyzer) == "a File<b>Name</b> here"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"tokenizer": "spaces"}, "tokenizer is 'spaces'"),
        ({"tokenizer": "ngram:0"}, "tokenizer is 'ngram:0'"),
        ({"tokenizer": "ngram:17"}, "tokenizer is 'ngram:17'"),
        ({"tokenizer": str.split}, "needs a name"),
        ({"errors": "ignore"}, "errors is 'ignore'; allowed: strict, replace"),
        ({"stem": "klingon"}, "stem is 'klingon'"),
    ],
)
def test_analyzers_that_are_none_are_refused(bad: dict[str, object], message: str) -> None:
    if "stem" in bad:
        pytest.importorskip("Stemmer")
    with pytest.raises(ValueError, match=message):
        text.Analyzer(**bad)  # type: ignore[arg-type]


def test_signatures_tell_analyzers_apart() -> None:
    some = [
        text.Analyzer(),
        text.Analyzer("trigram"),
        text.Analyzer("ngram:2"),
        text.Analyzer("whitespace"),
        text.Analyzer(fold=False),
        text.Analyzer(singles=True),
        text.Analyzer(stop=frozenset({"a", "b"})),
        text.Analyzer(stop=frozenset({"ab"})),
        text.Analyzer(str.split, name="split"),  # type: ignore[arg-type]
    ]
    assert len({analyzer.signature for analyzer in some}) == len(some)
    assert text.Analyzer(stop=frozenset({"b", "a"})).signature == some[6].signature
    assert text.open(text.build([1], ["x"], some[6])).signature == some[6].signature


@pytest.mark.parametrize(
    ("value", "query", "want"),
    [
        ("An LSM tree, and a tree.", "tree", "An LSM [tree], and a [tree]."),
        ("An LSM tree, and a tree.", '"lsm tree"', "An [LSM tree], and a tree."),
        ("naïve Éclair", "éclair na*", "[naïve] [Éclair]"),
        ("one two three four", "one NEAR/1 three", "[one] two [three] four"),
        ("one two three four", "one NEAR/0 three", "one two three four"),
        ("trees treat it", "tre?s trat~1", "[trees] [treat] it"),
        ("keep this not that", "this -that", "keep [this] not that"),
        ("中文字", "中文", "[中文]字"),
        ("a a a", '"a a"', "[a a a]"),
    ],
)
def test_highlight(value: str, query: str, want: str) -> None:
    assert text.highlight(value, query, before="[", after="]") == want
    assert text.highlight(value, parse(query), before="[", after="]") == want


def test_highlight_follows_the_stems() -> None:
    pytest.importorskip("Stemmer")
    analyzer = text.Analyzer(stem="english")
    assert text.highlight("Running dogs ran", "run dog", analyzer) == "<b>Running</b> <b>dogs</b> ran"


def test_snippet_shows_the_densest_stretch() -> None:
    value = "alpha " + "x " * 50 + "beta y alpha z beta " + "w " * 50 + "alpha"
    assert text.snippet(value, "alpha beta", tokens=5, before="", after="") == "…beta y alpha z beta…"
    assert text.snippet(value, "nowhere", tokens=3) == "alpha x x…"
    assert text.snippet("short one", "one") == "short <b>one</b>"
    assert text.snippet("...", "one") == "..."
    with pytest.raises(ValueError, match="tokens is 0"):
        text.snippet("x", "x", tokens=0)
