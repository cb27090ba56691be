"""A manifest written by version 1 of the format stays readable, and the writer still makes exactly it, with the CURRENT that names it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

import recovery
from lsm import manifest
from lsm.version import Edit, TableInfo

GOLDEN = Path(__file__).with_name("manifest_v1")
CURRENT = Path(__file__).with_name("current_v1")
NAME = "MANIFEST-000042"


def table(number: int, smallest: bytes, largest: bytes, **more: Any) -> TableInfo:
    return TableInfo(
        number, 1000 + number, 10, 1, smallest, largest, min_seq=number, max_seq=2**40 + number, footer_crc=2**32 - number, **more
    )


BORN = Edit(
    0, added=((0, 1, table(7, b"", b"a\0\xff")), (2, 2, table(3, b"b", b"m", largest_exclusive=True, range_deletes=2))), flushed_seq=11
)
MOVED = Edit(0, removed=(7,), added=((1, 3, table(7, b"", b"a\0\xff")), (2, 2, table(8, b"m", b"z" * 40))), flushed_seq=2**40 + 8)


def written() -> tuple[Any, manifest.State]:
    """Write it: a snapshot with two keyspaces and a tree, an edit, a keyspace that comes and one that goes, a clean end."""
    fs = recovery.memory()
    fs.mkdir("/db")
    state = manifest.State(0x0123456789ABCDEF)
    state.add_keyspace(0, "default", {})
    state.add_keyspace(4, "with @, ä and \x7f", {"memtable": "vector", "table": {"bits_per_key": 7.5}})
    state.apply(BORN)
    state.next_file, state.last_seq, state.log_floor = 43, 2**40 + 7, 5
    made = manifest.Manifest(fs, "/db", 42, state, None)
    state.apply(MOVED)
    state.next_file, state.log_floor = 44, 9
    made.commit(MOVED)
    state.add_keyspace(5, "late", {"threads": 0})
    made.commit(create={"id": 5, "name": "late", "options": {"threads": 0}})
    state.drop_keyspace(4)
    made.commit(drop=4)
    made.close(43, 777, 2**40 + 9)
    return fs, state


def test_the_writer_still_makes_it(request: pytest.FixtureRequest) -> None:
    fs, _ = written()
    files = {GOLDEN: fs.read_all(f"/db/{NAME}"), CURRENT: fs.read_all("/db/CURRENT")}
    if request.config.getoption("--rewrite"):
        for path, data in files.items():
            path.write_bytes(data)
    assert files == {path: path.read_bytes() for path in files}


def test_the_reader_takes_it() -> None:
    fs = recovery.memory()
    fs.mkdir("/db")
    fs.write_all(f"/db/{NAME}", GOLDEN.read_bytes())
    fs.write_all("/db/CURRENT", CURRENT.read_bytes())
    found, name = manifest.load(fs, "/db")
    _, state = written()
    assert (name, found.closed) == (NAME, {"log": 43, "used": 777, "seq": 2**40 + 9})
    assert vars(found) | {"closed": None} == vars(state)
    assert found.names == {0: "default", 5: "late"} and found.options == {0: {}, 5: {"threads": 0}}
    assert (found.next_file, found.last_seq, found.log_floor, found.next_run) == (44, 2**40 + 9, 9, 4)
    tree = [(level, run.id, t.number, t.smallest, t.largest) for level, run in found.versions[0].runs() for t in run.tables]
    assert tree == [(1, 3, 7, b"", b"a\0\xff"), (2, 2, 3, b"b", b"m"), (2, 2, 8, b"m", b"z" * 40)]


def test_it_is_what_the_document_says() -> None:
    """Read by hand, as docs/formats.md draws it: no line of the reader is used."""
    raw, rows, at, chain = GOLDEN.read_bytes(), list[dict[str, Any]](), 0, 0
    while at < len(raw):
        length, head, crc = struct.unpack_from("<III", raw, at)
        payload = raw[at + 12 : at + 12 + length]
        assert head == recovery.mask(recovery.crc32c(struct.pack("<IQI", length, len(rows), chain)))
        assert crc == recovery.mask(recovery.crc32c(payload))
        rows.append(json.loads(payload))
        at, chain = at + 12 + length, crc
    assert [sorted(row.keys() & {"format", "edits", "create", "drop", "close"}) for row in rows] == [
        ["format"],
        ["edits"],
        ["create", "edits"],
        ["drop", "edits"],
        ["close", "edits"],
    ]
    line, crc_text, rest = CURRENT.read_text().split("\n")
    assert json.loads(line) == {"manifest": NAME, "records": len(rows)}
    assert (int(crc_text, 16), rest) == (recovery.mask(recovery.crc32c(line.encode())), "")
