"""What is refused, and how: bytes that are no segment, text that is no text, queries that are too much."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np
import pytest

from indexes import text
from indexes.native_filter import xxh3

ROWS = [3, 5, 8, 13, 2**63]
VALUES = ["the lsm tree", "a log, structured; merge tree", "", "tree tree tree bloom", "x"]
QUERIES = ["tree", '"lsm tree"', "t*", "tre~1", "a NEAR/3 log", "+tree -bloom", "tr?e", "-x"]


def small() -> bytes:
    return text.build(ROWS, VALUES)


def large() -> bytes:
    """Lists of several blocks, positions of several groups."""
    values = [" ".join(["common"] * (i % 5 * 40 + 1) + [f"w{i % 7}", f"rare{i}"]) for i in range(400)]
    return text.build(range(400), values)


def resealed(data: bytearray) -> bytes:
    """The bytes with right checksums: what a hostile writer would give."""
    struct.pack_into("<Q", data, 112, xxh3(bytes(data[:112])))
    struct.pack_into("<Q", data, len(data) - 8, xxh3(bytes(data[:-8])))
    return bytes(data)


def use(data: bytes) -> None:
    """Open and ask everything; a ValueError or a wrong answer is fine, anything else is not."""
    view = text.open(data)
    if view.signature != text.Analyzer().signature:
        return
    searcher = text.TextSearcher([view], [np.array([5, 8, 100], np.uint64)])
    for query in QUERIES:
        for ask in (searcher.match, searcher.search, searcher.df):
            try:
                ask(query)
            except ValueError as error:
                assert "damaged" in str(error)
    for whole in (view.check, lambda: list(view.entries()), lambda: text.merge([view])):
        try:
            whole()
        except ValueError as error:
            assert "damaged" in str(error)


def test_every_flipped_bit_is_found() -> None:
    good = small()
    for bit in range(len(good) * 8):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="damaged"):
            text.open(bytes(data))


def test_every_truncation_is_found() -> None:
    good = small()
    for n in range(len(good)):
        with pytest.raises(ValueError, match="damaged"):
            text.open(good[:n])
        with pytest.raises(ValueError, match="damaged"):
            text.open(good[:n], verify=False)
    with pytest.raises(ValueError, match="damaged"):
        text.open(good + b"\0")


def test_hostile_bytes_behind_right_checksums_do_no_harm() -> None:
    good = small()
    for at in range(8, len(good) - 8):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF, good[at] ^ 0x10):
            data = bytearray(good)
            data[at] = value
            sealed = resealed(data)
            try:
                text.open(sealed)
            except ValueError:
                continue
            if value in (0xFF, 0x80) or at % 3 == 0:
                use(sealed)


def test_hostile_bytes_in_long_lists_do_no_harm() -> None:
    good = large()
    rng = np.random.default_rng(17)
    print("seed 17")
    for at in rng.integers(120 + len(text.Analyzer().signature), len(good) - 8, 400).tolist():
        data = bytearray(good)
        data[at] = int(rng.integers(256))
        searcher = text.TextSearcher([text.open(resealed(data))], [np.arange(0, 400, 9, dtype=np.uint64)])
        for query in ("common", "common w3 rare7", '"common common w1"', "+common +w2", "rare1*", "rare1~1", "w2 NEAR/9 common"):
            for ask in (searcher.match, searcher.search):
                try:
                    ask(query)
                except ValueError as error:
                    assert "damaged" in str(error)


def test_another_version_is_refused() -> None:
    data = bytearray(small())
    data[8] = 2
    with pytest.raises(ValueError, match="damaged"):
        text.open(resealed(data))


def test_check_finds_what_checksums_cannot() -> None:
    good = large()
    view = text.open(good)
    view.check()
    lengths_at = struct.unpack_from("<Q", good, 48 + 8 * 2)[0]
    data = bytearray(good)
    data[lengths_at] += 1
    with pytest.raises(ValueError, match="damaged"):
        text.open(resealed(data)).check()


def test_segments_open_over_any_buffer_and_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(b"odd" + small())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = text.open(memoryview(mapped)[3:])
    del mapped
    assert text.TextSearcher([view]).match("tree").tolist() == [3, 5, 13]
    assert len(view) == 5
    assert view.lengths().tolist() == [3, 5, 0, 4, 1]


def test_an_empty_index_answers() -> None:
    view = text.open(text.build([], []))
    view.check()
    for searcher in (text.TextSearcher([view]), text.TextSearcher(), text.TextSearcher(memory=text.TextMemory())):
        assert searcher.documents == 0
        assert searcher.average_length == 0
        for query in [*QUERIES, "*"]:
            assert searcher.match(query).tolist() == []
            assert searcher.search(query).rows.tolist() == []
    assert list(view.entries()) == []
    assert text.merge([view, view]) == text.build([], [])
    assert text.merge([]) == text.build([], [])


@pytest.mark.parametrize("bad", [b"ab\xffcd", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80"])
def test_invalid_utf8_is_refused_or_replaced(bad: bytes) -> None:
    at = {b"ab\xffcd": 2}.get(bad, 0)
    memory = text.TextMemory()
    with pytest.raises(text.InvalidText, match=f"not UTF-8 at byte {at} "):
        memory.add([1, 2], ["fine", bad])
    assert len(memory) == 0
    tolerant = text.Analyzer(errors="replace")
    assert [t for t in tolerant.terms(tolerant.encode(bad).decode()) if t] == [
        t.encode() for t in bad.decode(errors="replace").replace("\ufffd", " ").split()
    ]


def test_half_a_surrogate_pair_is_refused_or_replaced() -> None:
    with pytest.raises(text.InvalidText, match="at character 2"):
        text.build([1], ["ab\ud800cd"])
    view = text.open(text.build([1], ["ab\ud800cd \U0001d49c"], text.Analyzer(errors="replace")))
    assert [term for term, _ in view.terms()] == [b"ab", b"cd", "\U0001d49c".encode()]


@pytest.mark.parametrize("rows", [[-1], [1.5], [2**64], ["a"], [[1]], np.array([-3]), np.array([0.5]), np.zeros((1, 1), np.uint64)])
def test_row_ids_that_are_none_are_refused(rows: object) -> None:
    with pytest.raises(ValueError, match="allowed"):
        text.build(rows, ["x"])


def test_unequal_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 texts for 2 row ids"):
        text.build([1, 2], ["x"])
    with pytest.raises(TypeError, match="text is int"):
        text.build([1], [7])  # type: ignore[list-item]


def test_a_document_of_ten_megabytes() -> None:
    words = " ".join(f"w{i % 1000}" for i in range(2_000_000))[: 10 << 20]
    value = words + " needle in here"
    memory = text.TextMemory()
    memory.insert(1, value)
    memory.insert(2, "needle")
    view = text.open(memory.freeze())
    view.check()
    for searcher in (text.TextSearcher(memory=memory), text.TextSearcher([view])):
        assert searcher.match('"needle in here"').tolist() == [1]
        assert searcher.match('"w998 w999 w0"').tolist() == [1]
        assert searcher.search("needle w5").rows.tolist() == [1, 2] or searcher.search("needle w5").rows.tolist() == [2, 1]
    assert text.snippet(value, "needle in here", tokens=3) == "…<b>needle</b> <b>in</b> <b>here</b>"


def test_a_word_of_ten_megabytes_is_cut() -> None:
    view = text.open(text.build([1], ["x" * (10 << 20)]))
    assert [term for term, _ in view.terms()] == [b"x" * 255]
    assert text.TextSearcher([view]).match("x" * 300).tolist() == [1]


def test_a_query_of_ten_thousand_terms() -> None:
    view = text.open(text.build(range(2000), [f"t{i} t{i * 7 % 2000} all" for i in range(2000)]))
    searcher = text.TextSearcher([view])
    query = " ".join(f"t{i}" for i in range(10_000))
    assert searcher.count(query) == 2000
    assert len(searcher.search(query, 5).rows) == 5
    assert searcher.match(query, default="and").tolist() == []
    assert searcher.match(f'"{query}"').tolist() == []
    with pytest.raises(text.QueryError, match="too many terms"):
        searcher.match(" ".join(["t1"] * 300_000))
    with pytest.raises(text.QueryError, match="nested deeper"):
        searcher.match("(" * 150 + "x" + ")" * 150)
    deep: text.Query = text.Word("t1")
    for _ in range(500):
        deep = text.And((deep, text.Word("all")))
    with pytest.raises(text.QueryError, match="nested deeper"):
        searcher.match(deep)


def test_far_positions_survive() -> None:
    data = text.build_terms([(1, [(0, b"a"), (3_000_001, b"b")]), (2, [(0, b"a"), (1, b"b")])])
    view = text.open(data)
    view.check()
    assert len(data) < 300
    searcher = text.TextSearcher([view])
    assert searcher.match('"a b"').tolist() == [2]
    assert searcher.match("a NEAR/2999999 b").tolist() == [2]
    assert searcher.match("a NEAR/3000000 b").tolist() == [1, 2]
    assert text.build_terms(view.entries()) == data
    with pytest.raises(ValueError, match="position 1 of row 9 comes behind 1"):
        text.build_terms([(9, [(1, b"a"), (1, b"b")])])


def test_weights_that_overflow_are_refused() -> None:
    searcher = text.TextSearcher([text.open(small())])
    with pytest.raises(ValueError, match="cannot hold"):
        searcher.search(" ".join(["bloom^1000000"] * 20))
    with pytest.raises(text.QueryError, match="weight is 2e"):
        searcher.search("tree^2000000")
    with pytest.raises(ValueError, match="k is -1"):
        searcher.search("tree", -1)
    with pytest.raises(ValueError, match="b is 2; allowed"):
        text.bm25(b=2)
    with pytest.raises(ValueError, match="scoring is 'bm26'"):
        text.bm25("bm26")
    with pytest.raises(ValueError, match="delta is"):
        text.bm25("tf-ldp", delta=0.5)
