"""Tables by the native builder and by the twin are the same bytes, and each reads what the other wrote."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import recovery
from lsm.memtable_twin import DELETE, MAX_SEQ, PUT, VALUE_POINTER, Entry, order
from lsm.merge_twin import Range
from lsm.native_tables import covering, get, ranges, scan
from lsm.table_twin import POINTER, Settings, separator, value_refs, varint, write_table
from lsm.table_twin_read import Reader, read_varint
from tests.harness.tables import DATABASE, PATH, Lab

LETTERS = st.binary(max_size=4).map(lambda b: bytes(c % 4 for c in b))
KEYS = st.one_of(
    LETTERS, st.binary(max_size=20), st.builds(lambda head, n: head * n, st.binary(min_size=1, max_size=2), st.integers(1, 700))
)
VALUES = st.one_of(st.binary(max_size=10), st.builds(bytes, st.integers(0, 400)))
SEQS = st.one_of(st.integers(1, 30), st.integers(0, MAX_SEQ))


@st.composite
def contents(draw: st.DrawFn) -> tuple[list[Entry], list[Range]]:
    rows = draw(
        st.lists(st.tuples(KEYS, SEQS, st.sampled_from([DELETE, PUT, VALUE_POINTER]), VALUES), max_size=40, unique_by=lambda r: r[:2])
    )
    shown = {DELETE: lambda _: b"", PUT: lambda v: v, VALUE_POINTER: lambda v: POINTER.pack(len(v) % 3, 1 << len(v) % 40, len(v), 7)}
    entries = sorted((Entry(k, s, kind, shown[kind](v)) for k, s, kind, v in rows), key=order)
    spans = draw(st.lists(st.tuples(LETTERS, LETTERS, SEQS), max_size=4))
    found = [Range(min(a, b), max(a, b), s) for a, b, s in spans if a != b]
    return (entries, found) if entries or found else ([Entry(b"", 1, 1, b"")], [])


settings = st.builds(
    Settings,
    block_size=st.sampled_from([1, 30, 100, 300, 4096]),
    restart_interval=st.sampled_from([1, 2, 3, 16]),
    hash_index=st.booleans(),
    hash_util=st.sampled_from([0.75, 0.5, 1.0, 3.0]),
    index_kind=st.integers(0, 1),
    filter=st.sampled_from(["", "bloom", "blocked_bloom"]),
    bits_per_key=st.sampled_from([1.0, 10.0, 9.37]),
    range_filter=st.sampled_from(["", "surf"]),
)


@given(contents(), settings, st.integers(1, 2**64 - 1), st.booleans())
def test_same_bytes_and_each_reads_the_other(content: tuple[list[Entry], list[Range]], s: Settings, number: int, mapped: bool) -> None:
    entries, spans = content
    lab = Lab()
    props = lab.build(lab.settings(s), entries, spans, number=number)
    written = lab.fs.read_all(PATH)
    assert written == write_table(DATABASE, number, entries, spans, s, recovery.crc32c)
    assert props.file_size == len(written)
    assert list(props.values) == value_refs(entries)
    reader = Reader(written, DATABASE, number, recovery.crc32c)
    assert (list(reader.entries()), list(reader.ranges())) == content
    assert all(reader.may_contain(e.key) for e in entries)
    table = lab.open(lab.settings(s, mapped=mapped), number=number, size=props.file_size, crc=props.footer_crc)
    table.verify()
    assert (list(scan(table)), ranges(table)) == content
    for key in {e.key for e in entries}:
        assert get(table, key) == next(e for e in entries if e.key == key)
    for key in {r.start for r in spans} | {r.end for r in spans}:
        assert covering(table, key) == max((r.seq for r in spans if r.start <= key < r.end), default=0)
    found = reader.properties()
    assert (found["smallest"], found["largest"]) == (table.props.smallest, table.props.largest)


@given(st.integers(0, 2**64 - 1))
def test_varints_come_back(v: int) -> None:
    assert read_varint(b"x" + varint(v), 1) == (v, 1 + len(varint(v)))


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_separators_separate(a: bytes, b: bytes) -> None:
    last, key = min(a, b), max(a, b)
    found = separator(last, key)
    assert last <= found <= key
    assert len(found) <= len(last)
    assert found < key or last == key
