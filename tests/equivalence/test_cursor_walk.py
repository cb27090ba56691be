"""Cursors against the model: any bounds, direction, snapshot, chunk size and seeks, over memtables and tables with range deletes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
import recovery
from experiments.torture import model as m
from lsm.native_db import NEWEST, CoreCursor

KEYS = st.one_of(st.binary(max_size=2), st.integers(0, 25).map(lambda i: b"common/%02d" % i), st.just(b"\xff" * 3))
STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=9)),
    st.tuples(st.just("put"), KEYS, st.integers(0, 9).map(lambda i: b"%d" % i * 700)),
    st.tuples(st.just("delete"), KEYS, st.just(b"")),
    st.tuples(st.just("delete_range"), KEYS, KEYS).filter(lambda t: t[1] < t[2]),
    st.sampled_from([("seal",), ("flush",), ("compact",), ("snapshot",)]),
)
WALK = st.fixed_dictionaries(
    {
        "lower": st.none() | KEYS,
        "upper": st.none() | KEYS,
        "reverse": st.booleans(),
        "keys_only": st.booleans(),
        "which": st.integers(0, 99),
        "moves": st.lists(st.one_of(st.integers(1, 7), KEYS), max_size=8),
    }
)


def unpack(cursor: CoreCursor, pairs: int, keys_only: bool) -> list[tuple[bytes, bytes]]:
    """The next chunk, cut by its lengths; the text of its format must say the same lengths."""
    n, view, text, lens = cursor.fill(pairs, keys_only)
    lengths = [int(lens[i]) for i in range(2 * n)]
    assert text == b"".join(b"%ds" % x for x in lengths)
    data, at, fields = bytes(view[: sum(lengths)]), 0, []
    for x in lengths:
        fields.append(data[at : at + x])
        at += x
    return list(zip(fields[::2], fields[1::2], strict=True))


def play(db: lsm.DB, steps: list[tuple[Any, ...]]) -> list[tuple[int, dict[bytes, bytes]]]:
    """Apply the steps; return (sequence, state) of each snapshot, and of the end."""
    state: m.State = {"default": {}}
    held = []
    for kind, *args in steps:
        if kind == "seal":
            db.spaces["default"].core.seal()
        elif kind in ("flush", "compact"):
            getattr(db, kind)()
        elif kind == "snapshot":
            held.append((db.core.snapshot(), state["default"]))
        else:
            getattr(db, kind)(*(args[:1] if kind == "delete" else args))
            state = m.apply(state, [(kind, "default", args[0], args[1])])
    return [*held, (NEWEST, state["default"])]


def walk(db: lsm.DB, how: dict[str, Any], seq: int, state: dict[bytes, bytes]) -> None:
    """Fill and seek as told, then read on to the end."""
    expected = m.scan(state, how["lower"], how["upper"], reverse=how["reverse"])
    if how["keys_only"]:
        expected = [(k, b"") for k, _ in expected]
    cursor = CoreCursor(db.spaces["default"].core, seq, how["lower"], how["upper"], how["reverse"])
    at = 0
    for move in how["moves"]:
        if isinstance(move, int):
            assert unpack(cursor, move, how["keys_only"]) == expected[at : at + move]
            at = min(at + move, len(expected))
        else:
            cursor.seek(move)
            at = sum(k > move if how["reverse"] else k < move for k, _ in expected)
    while chunk := unpack(cursor, 3, how["keys_only"]):
        assert chunk == expected[at : at + 3]
        at += 3
    assert at >= len(expected)
    assert unpack(cursor, 1, how["keys_only"]) == []
    cursor.close()


@given(
    steps=st.lists(STEP, max_size=50),
    walks=st.lists(WALK, min_size=1, max_size=6),
    memtable=st.sampled_from(["btree", "skiplist", "vector", "hash"]),
)
def test_any_walk_agrees_with_the_model(steps: list[tuple[Any, ...]], walks: list[dict[str, Any]], memtable: str) -> None:
    tree = {"layout": "tiering", "size_ratio": 3, "output_bytes": 1024, "l0_trigger": 3, "level_base": 4096}
    options = {"threads": 0, "write_buffer": 4096, "memtable": memtable, "table": {"block_size": 128}, "compaction": tree}
    with lsm.open("/db", options, fs=recovery.memory()) as db:
        views = play(db, steps)
        for how in walks:
            walk(db, how, *views[how["which"] % len(views)])
        for seq, _ in views[:-1]:
            db.core.release(seq)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cursor_keeps_what_it_saw_first(reverse: bool) -> None:
    with lsm.open("/db", fs=recovery.memory(), threads=0) as db:
        before = [(b"%03d" % i, b"old") for i in range(50)]
        db.put_many(before)
        cursor = CoreCursor(db.spaces["default"].core, NEWEST, None, None, reverse)
        db.delete_range(b"010", b"020")
        db.put_many([(b"%03d" % i, b"new") for i in range(0, 90, 2)])
        db.flush()
        db.compact()
        seen: list[tuple[bytes, bytes]] = []
        while chunk := unpack(cursor, 7, False):
            seen += chunk
        cursor.close()
    assert seen == (before[::-1] if reverse else before)


def test_a_value_larger_than_the_room_is_returned_whole() -> None:
    with lsm.open("/db", fs=recovery.memory(), threads=0) as db:
        pairs = [(b"a", b"1"), (b"b", b"x" * 300_000), (b"c", b""), (b"d", b"2")]
        db.put_many(pairs)
        for reverse in (False, True):
            cursor = CoreCursor(db.spaces["default"].core, NEWEST, None, None, reverse)
            seen: list[tuple[bytes, bytes]] = []
            while chunk := unpack(cursor, 2, False):
                seen += chunk
            cursor.close()
            assert seen == (pairs[::-1] if reverse else pairs)


def test_a_cursor_that_outlives_the_database_says_closed() -> None:
    db = lsm.open("/db", fs=recovery.memory(), threads=0)
    db.put(b"a", b"1")
    cursor = CoreCursor(db.spaces["default"].core, NEWEST, None, None, False)
    db.close()
    with pytest.raises(lsm.ClosedError):
        cursor.fill(1)
    with pytest.raises(lsm.ClosedError):
        cursor.seek(b"a")
    cursor.close()
