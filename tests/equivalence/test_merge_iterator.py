"""The merging iterator against sorting: any walk, with turns, over any children; an error of a child is never the end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.memtable_twin import DELETE, MAX_SEQ, PUT, Entry, order
from lsm.native_memtables import Cursor, Memtable, builtin_memtable, merged, sequence_cursor

KEYS = st.one_of(st.binary(max_size=2), st.integers(0, 30).map(lambda i: b"common start/%03d" % i))
ENTRY = st.builds(Entry, KEYS, st.integers(1, 12), st.sampled_from([PUT, DELETE]), st.just(b""))
CHILDREN = st.lists(st.lists(ENTRY, max_size=15, unique_by=order), min_size=0, max_size=6)
MOVES = st.lists(
    st.one_of(
        st.sampled_from(["next", "prev", "next", "prev", "first", "last"]).map(lambda m: (m,)),
        st.tuples(st.just("seek"), KEYS, st.integers(0, 13)),
        st.tuples(st.just("seek_before"), KEYS),
    ),
    max_size=40,
)


def tagged(children: list[list[Entry]]) -> tuple[list[list[Entry]], list[Entry]]:
    """Mark each entry with its child, so that equal ones can be told apart; and all of them in the order of the contract."""
    marked = [[e._replace(value=b"child %d" % i) for e in sorted(child, key=order)] for i, child in enumerate(children)]
    return marked, sorted((e for child in marked for e in child), key=lambda e: (order(e), e.value))


def native_child(entries: list[Entry]) -> tuple[Memtable, Cursor]:
    memtable = Memtable(builtin_memtable("skiplist"), budget=1 << 16)
    for e in entries:
        memtable.add(e)
    return memtable, memtable.cursor()


@given(children=CHILDREN, moves=MOVES)
def test_any_walk_is_a_walk_over_the_sorted_union(children: list[list[Entry]], moves: list[tuple[object, ...]]) -> None:
    marked, union = tagged(children)
    tables = [native_child(child) for child in marked]
    cursor, at = merged([c for _, c in tables]), -1
    for move, *args in moves:
        if move in ("next", "prev") and not 0 <= at < len(union):
            continue
        if move in ("next", "prev"):
            at += 1 if move == "next" else -1
        elif move in ("first", "last"):
            at = 0 if move == "first" else len(union) - 1
        elif move == "seek":
            at = sum(order(e) < (args[0], -args[1], -255) for e in union)
        else:
            at = sum(e.key < args[0] for e in union) - 1
        got = getattr(cursor, str(move))(*args)
        assert got == (union[at] if 0 <= at < len(union) else None), (move, args)
    cursor.close()
    for memtable, _ in tables:
        memtable.close()


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_there_and_back(n: int) -> None:
    marked, union = tagged([[Entry(b"%05d" % (i * n + c), 1, PUT, b"") for i in range(50)] for c in range(n)])
    cursor = merged([sequence_cursor(child) for child in marked])
    there, entry = [], cursor.first()
    while entry is not None:
        there.append(entry)
        entry = cursor.next()
    back, entry = [], cursor.last()
    while entry is not None:
        back.append(entry)
        entry = cursor.prev()
    cursor.close()
    assert there == union and back == union[::-1]


class Failing(Sequence[Entry]):
    """Raises when the entry at bad is read."""

    def __init__(self, entries: list[Entry], bad: int) -> None:
        self.entries, self.bad = entries, bad

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, i: int) -> Entry:  # type: ignore[override]
        if i == self.bad:
            raise OSError("read failed")
        return self.entries[i]


@pytest.mark.parametrize("children", [1, 2, 3])
@pytest.mark.parametrize("move", ["next", "prev"])
def test_an_error_of_a_child_is_not_the_end(children: int, move: str) -> None:
    rows = [[Entry(b"%03d" % (i * children + c), 1, PUT, b"") for i in range(10)] for c in range(children)]
    bad = Failing(rows[0], 5)
    cursor = merged([sequence_cursor(bad), *(sequence_cursor(row) for row in rows[1:])])
    seen = 0
    with pytest.raises(RuntimeError, match="status -9"):
        entry = cursor.first() if move == "next" else cursor.last()
        while entry is not None:
            seen += 1
            entry = getattr(cursor, move)()
    assert seen == 4 * children + (move == "next")
    assert not cursor.it.valid and cursor.it.status < 0
    bad.bad = -1  # the error has gone: another seek goes on
    found = cursor.seek(b"%03d" % (9 * children))
    assert found is not None and found.key == b"%03d" % (9 * children)
    cursor.close()


@pytest.mark.parametrize("turn", ["next", "prev"])
def test_an_error_at_a_turn(turn: str) -> None:
    bad = Failing([Entry(b"b", 1, PUT, b""), Entry(b"d", 1, PUT, b""), Entry(b"f", 1, PUT, b"")], -1)
    cursor = merged([sequence_cursor([Entry(b"c", 1, PUT, b""), Entry(b"e", 1, PUT, b"")]), sequence_cursor(bad)])
    entry = cursor.seek(b"d") if turn == "prev" else cursor.seek_before(b"e")
    assert entry is not None and entry.key == b"d"
    (cursor.next if turn == "prev" else cursor.prev)()
    bad.bad = 1  # the entry that the turn must find again
    with pytest.raises(RuntimeError, match="status -9"):
        getattr(cursor, turn)()
    cursor.close()


def test_newest_child_first_among_equals() -> None:
    rows = [[Entry(b"k", 5, PUT, b"from %d" % i)] for i in range(3)]
    cursor = merged([sequence_cursor(row) for row in rows])
    assert [cursor.first(), cursor.next(), cursor.next(), cursor.next()] == [rows[0][0], rows[1][0], rows[2][0], None]
    assert [cursor.seek(b"k", MAX_SEQ), cursor.last(), cursor.prev(), cursor.prev()] == [rows[0][0], rows[2][0], rows[1][0], rows[0][0]]
    cursor.close()
