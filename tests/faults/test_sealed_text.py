"""Full-text segments that were changed and sealed again: opening, checking and every question refuse them, or answer, and no more."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

from indexes import text
from indexes.native_filter import xxh3

SECTIONS = ["header", "signature", "rows", "lengths", "fence", "dictionary", "postings", "positions"]
ENDS = 48
QUERIES = [
    "common",
    "common w3 rare7",
    '"common common w1"',
    "+common +w2 -w4",
    "rare1*",
    "r?re*",
    "rare1~1",
    "w2 NEAR/9 common",
    "zzz",
    "*",
]


def _sections(data: bytes) -> dict[str, tuple[int, int]]:
    ends = struct.unpack_from("<8Q", data, ENDS)
    return dict(zip(SECTIONS, zip((0, *ends), ends, strict=False), strict=True))


def _sealed(data: bytes) -> bytes:
    data = data[:112] + struct.pack("<Q", xxh3(data[:112])) + data[120:]
    return data[:-8] + struct.pack("<Q", xxh3(data[:-8]))


def _segment() -> bytes:
    """A list of three blocks whose positions come in groups, lists of one block, of one document; four blocks of terms."""
    values = [" ".join(["common"] * (i % 5 * 30 + 1) + [f"w{i % 5}"] + [f"rare{i}"] * (i % 7 == 0)) for i in range(300)]
    return text.build(range(0, 900, 3), values)


GOOD = _segment()
MOST = {"rows": 18, "lengths": 18, "fence": 60, "dictionary": 120, "postings": 120, "positions": 60}  # bytes that are changed


def _questions(data: bytes) -> Iterator[Callable[[], object]]:
    view = text.open(data)
    searcher = text.TextSearcher([view], [np.array([3, 9, 300, 600], np.uint64)])
    for query in QUERIES:
        yield partial(searcher.match, query)
        if query != "*":
            yield partial(searcher.search, query)
            yield partial(searcher.df, query)
    yield partial(searcher.match, "common w1", within=np.array([3, 30, 300]))
    yield partial(searcher.search, "common w1", 1, exhaustive=True)
    yield partial(searcher.search, "+common w1", 1, within=np.array([3, 30, 300]))
    yield view.check
    yield lambda: list(view.terms())
    yield lambda: list(view.entries())
    yield lambda: text.merge([view], [range(0, 900, 9)])
    yield lambda: text.merge([view, text.open(text.build([1, 5], ["common w1", "zebra"]))])


def _ask(data: bytes) -> int:
    """How many questions were refused. What cannot be opened refuses all."""
    refused = 0
    try:
        questions = list(_questions(data))
    except ValueError as error:
        assert "damaged" in str(error) or "analyzer" in str(error)
        return 1
    for ask in questions:
        try:
            ask()
        except ValueError as error:
            assert "damaged" in str(error) or "in two of the views" in str(error), error
            refused += 1
    return refused


def test_the_segment_is_sound() -> None:
    assert _sealed(GOOD) == GOOD and _ask(GOOD) == 0


@pytest.mark.parametrize("section", MOST)
def test_changed_bytes_of_a_section(section: str) -> None:
    begin, end = _sections(GOOD)[section]
    places = list(range(begin, end))
    if len(places) > MOST[section]:
        few = MOST[section] // 3
        places = places[:few] + places[few : -few : len(places) // few] + places[-few:]
    refused = 0
    for at in places:
        for value in {0, 0xFF, GOOD[at] ^ 1} - {GOOD[at]}:
            refused += _ask(_sealed(GOOD[:at] + bytes([value]) + GOOD[at + 1 :])) > 0
    assert refused > len(places) // 4


def test_changed_numbers_of_the_header() -> None:
    refused = 0
    for at in range(8, 112, 4):
        for number in (0, 2**31, 2**32 - 1, struct.unpack_from("<I", GOOD, at)[0] + 1):
            changed = GOOD[:at] + struct.pack("<I", number & 0xFFFFFFFF) + GOOD[at + 4 :]
            refused += changed != GOOD and _ask(_sealed(changed)) > 0
    assert refused > 40


def _with(section: str, at: int, cut: int, put: bytes) -> bytes:
    """The segment with other bytes at a place of a section, which becomes longer or shorter."""
    begin, _ = _sections(GOOD)[section]
    data = bytearray(GOOD[: begin + at] + put + GOOD[begin + at + cut :])
    for i in range(SECTIONS.index(section), len(SECTIONS)):
        (end,) = struct.unpack_from("<Q", data, ENDS + 8 * i)
        struct.pack_into("<Q", data, ENDS + 8 * i, end + len(put) - cut)
    struct.pack_into("<Q", data, 16, len(data))
    return _sealed(bytes(data))


LONG_ZERO, TOO_LONG, TOO_LARGE, ENDLESS = b"\x80" * 9 + b"\0", b"\x80" * 10 + b"\0", b"\xff" * 9 + b"\x02", b"\xff" * 12


def test_numbers_in_ten_bytes() -> None:
    """A number may be written in up to ten bytes; one that is longer or larger is none."""
    only = text.build([7], ["word"])
    begin, _ = _sections(only)["dictionary"]
    assert only[begin : begin + 2] == b"\0\x04"

    def with_first(number: bytes) -> bytes:
        data = bytearray(only[:begin] + number + only[begin + 1 :])
        for i in range(5, 8):
            struct.pack_into("<Q", data, ENDS + 8 * i, struct.unpack_from("<Q", only, ENDS + 8 * i)[0] + len(number) - 1)
        struct.pack_into("<Q", data, 16, len(data))
        return _sealed(bytes(data))

    view = text.open(with_first(LONG_ZERO))
    view.check()
    assert [term for term, _ in view.terms()] == [b"word"] and text.TextSearcher([view]).match("word").tolist() == [7]
    for number in (TOO_LONG, TOO_LARGE, ENDLESS, b"\x80" * 9 + b"\x01"):
        view = text.open(with_first(number))
        for ask in (view.check, lambda v=view: list(v.terms()), lambda v=view: text.TextSearcher([v]).match("word")):
            with pytest.raises(ValueError, match="damaged"):
                ask()


@pytest.mark.parametrize("number", [TOO_LONG, TOO_LARGE, b"", LONG_ZERO])
def test_numbers_of_the_dictionary(number: bytes) -> None:
    """Every byte of the first terms becomes a number that is none, or one more zero."""
    for at in range(30):
        _ask(_with("dictionary", at, 1, number))


@pytest.mark.parametrize("section", ["fence", "dictionary", "postings", "positions"])
@pytest.mark.parametrize("cut", [1, 5, 20])
def test_sections_that_end_early(section: str, cut: int) -> None:
    begin, end = _sections(GOOD)[section]
    for at in sorted({0, (end - begin) // 2, end - begin - cut}):
        assert _ask(_with(section, at, cut, b"")) > 0
