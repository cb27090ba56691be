"""The reader of lines in C against a plain one, whatever the bytes; and traces of text at every cut into blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eviction import load, native_trace, save, traces
from eviction.native_trace import Form, Refused, rows, word

MOST = 2**64 - 1
CELLS = st.one_of(
    st.integers(0, 99).map(str),
    st.sampled_from(
        [str(MOST), str(MOST + 1), "9" * 60, "0" * 30 + "7", "", "-1", "+1", "1e3", "0x1", "٣", "*", "a b", "\x00", "\xff", '"1"']
    ),
    st.text("0123456789 \t\r*ax\x00é", max_size=6),
)
LINES = st.lists(st.tuples(st.lists(CELLS, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n", " \n", "\t\r\n"])), max_size=8)
FORMS = [
    Form(",", 1, [0], [False]),
    Form(",", 3, [0, 2], [True, False]),
    Form(",", 4, [1, 2, 3], [False, True, False]),
    Form("", 2, [0, 1], [False, False], stars=True),
    Form("", 3, [2], [True]),
    Form("", 1, [0], [False], stars=True),
]


def cells_of(line: bytes, separator: str) -> list[bytes]:
    blanks = b" \t\r"
    if separator:
        return [cell.strip(blanks) for cell in line.split(separator.encode())]
    return [cell for cell in line.replace(b"\t", b" ").replace(b"\r", b" ").split(b" ") if cell]


def plainly(text: bytes, form: Form) -> list[list[int]] | tuple[int, str, int]:
    """The rows; or the number of the line that is refused, why, and for a cell its column."""
    found = []
    for at, line in enumerate(text.split(b"\n")):
        bare = line.strip(b" \t\r")
        if not bare or (form.stars and bare == b"*"):
            continue
        cells, row = cells_of(bare, form.separator), []
        for i, (column, is_word) in enumerate(zip(form.columns, form.words, strict=True)):
            if column >= len(cells):
                break
            cell = cells[column]
            if is_word:
                row.append(fnv(cell))
            elif not cell or any(c not in b"0123456789" for c in cell):
                return at, "number", i
            elif int(cell) > MOST:
                return at, "large", i
            else:
                row.append(int(cell))
        if len(cells) != form.width:
            return at, "width", len(cells)
        found.append(row)
    return found


def fnv(cell: bytes) -> int:
    """FNV-1a of 64 bits, then the finaliser of splitmix64."""
    h = 0xCBF29CE484222325
    for byte in cell:
        h = (h ^ byte) * 0x100000001B3 & MOST
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & MOST
    h = (h ^ h >> 27) * 0x94D049BB133111EB & MOST
    return h ^ h >> 31


@pytest.mark.parametrize("form", FORMS, ids=str)
@given(LINES, st.booleans())
@example([(["1", "2"], "\n"), (["3"], "\n")], True)
@settings(max_examples=150, deadline=None)
def test_as_a_plain_reader(form: Form, lines: list[tuple[list[str], str]], ended: bool) -> None:
    text = "".join((form.separator or " ").join(cells) + end for cells, end in lines).encode()
    text = text if ended else text.rstrip(b"\n")
    expected = plainly(text, form)
    try:
        got = rows(text, form)
    except Refused as no:
        assert expected == (no.line, no.why, int(no.cell) if no.why == "width" else no.column), text
    else:
        assert got.tolist() == expected, text


@given(st.binary(max_size=60))
@settings(max_examples=150)
def test_any_bytes(text: bytes) -> None:
    for form in FORMS:
        try:
            got = rows(text, form)
        except Refused as no:
            assert 0 <= no.line <= text.count(b"\n")
        else:
            assert got.tolist() == plainly(text, form)


def test_the_ends_of_the_numbers() -> None:
    one = Form(",", 1, [0], [False])
    assert rows(b"18446744073709551615\r\n 0 \n\n007", one)[:, 0].tolist() == [MOST, 0, 7]
    for text, why in ((b"18446744073709551616", "large"), (b"9" * 5000, "large"), (b"9" * 5000 + b"x", "number"), (b"-1", "number")):
        with pytest.raises(Refused) as caught:
            rows(b"5\n" + text, one)
        assert (caught.value.line, caught.value.why, caught.value.cell) == (1, why, text.decode())
    assert rows(b"", one).shape == rows(b"\n \r\n", one).shape == (0, 1)


def test_words_are_the_same_numbers_for_ever() -> None:
    """In files made today and read in years."""
    assert (
        (word(""), word("a"), word("user:1"))
        == (fnv(b""), fnv(b"a"), fnv(b"user:1"))
        == (
            0xF52A15E9A9B5E89B,
            0x02C0BDBF481420F8,
            0x3290BC1A92AD86C2,
        )
    )
    assert len({word(f"key{i}") for i in range(100_000)}) == 100_000
    assert native_trace.rows("é,1\n".encode(), Form(",", 2, [0], [True]))[0, 0] == word("é")


FILES = {
    "a.csv": ("key,size\r\n5,1\r\n\r\n6,2\r\n7,3", [5, 6, 7]),
    "b.csv": ("\ufeffkey\n5\n6\n\n\n7\n", [5, 6, 7]),
    "c.csv": ("\n" * 300 + "obj_id,a,b\n5,x,y\n6,,\n7,,", [5, 6, 7]),
    "d.csv": ("id\n\nann\nbob\nann", [word("ann"), word("bob"), word("ann")]),
    "e.csv": ("5\n6\n7", [5, 6, 7]),
    "f.trc": ("*\n5\n\n*\n6\n  7  ", [5, 6, 7]),
    "g.lis": ("5 2 0 1\r\n7 1 0 2", [5, 6, 7]),
    "h.csv": ("1,u,0,Read,20480,8192,1\n2,u,0,write,28672,1,1", [5, 6, 7]),
    "i.csv": ("0,5,1,2,0,get,0\n0,6,1,2,0,GET,0\n0,7,1,2,0,set,0", [5, 6, 7]),
    "j.csv": ("", []),
    "k.csv": ("key\n", []),
    "l.trc": ("\n\n", []),
    "m.lis": ("", []),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 1 << 20])
@pytest.mark.parametrize("name", FILES)
def test_blocks_may_be_cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    monkeypatch.setattr(traces, "_BLOCK", size)
    text, keys = FILES[name]
    (tmp_path / name).write_text(text, newline="")
    read = load(tmp_path / name)
    assert read.keys.tolist() == keys
    if name == "a.csv":
        assert read.weights is not None
        assert read.weights.tolist() == [1, 2, 3]


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("key,size\n5,1\n\n6,x\n", r":4: the weight is 'x'"),
        ("key,size\n5,1\n\n6,4294967296\n", r":4: the weight is 4294967296; allowed: a number from 0 to 2\*\*32 - 1"),
        ("\n\nkey\n5\n18446744073709551616", r":5: the key is '18446744073709551616'"),
        ("key\n5\n-6\n", r":3: the key is '-6'"),
        ("5 1\n6 1\n", "'5 1' has blanks between its numbers; allowed: commas, or format='arc'"),
        ("a,b,c\n1,2,3\n", "3 columns, and none is named key"),
        ("key\n5\n6,7\n", r":3: 2 cells"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_at_every_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, text: str, told: str
) -> None:
    monkeypatch.setattr(traces, "_BLOCK", size)
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=told) as caught:
        load(tmp_path / "x.csv")
    assert "x.csv" in str(caught.value)


@given(st.lists(st.integers(0, MOST), max_size=40), st.sampled_from(["csv", "trc", "lis"]), st.integers(1, 40))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_and_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[int], form: str, size: int) -> None:
    monkeypatch.setattr(traces, "_BLOCK", size)
    save(np.array(keys, np.uint64), tmp_path / f"t.{form}")
    assert load(tmp_path / f"t.{form}").keys.tolist() == keys
