"""A scan that meets a block whose checksum is right and whose entries are not: what is before it is given, then the damage is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

import lsm
import recovery
from lsm.memtable_twin import Entry
from lsm.native_db import CoreCursor, CoreDB, CoreKeyspace
from lsm.native_memtables import builtin_memtable
from tests.faults.test_forged_tables import ENTRIES, Forgery

NEWEST = 2**64 - 1
Step = Callable[[CoreCursor], list[bytes]]


@contextmanager
def cursor_over(made: Forgery, *, reverse: bool = False) -> Iterator[CoreCursor]:
    table = made.open()
    db = CoreDB(made.lab.env, "/d", recovery.wal_ops_address(), {}, 1, 100, True)
    space = CoreKeyspace(db, 1, builtin_memtable("skiplist").address, (1 << 20, 0), 0, False)
    space.publish([(1, [table])], 0, [])
    cursor = CoreCursor(space, NEWEST, None, None, reverse)
    try:
        yield cursor
    finally:
        cursor.close()
        space.drop()
        db.close()


def packed(cursor: CoreCursor) -> list[bytes]:
    n, data, lens = cursor.packed(4)
    keys, at = [], 0
    for i in range(n):
        key, value = (int.from_bytes(lens[8 * i + 4 * j : 8 * i + 4 * j + 4], "little") for j in range(2))
        keys.append(data[at : at + key])
        at += key + value
    return keys


def columns(cursor: CoreCursor) -> list[bytes]:
    found = cursor.columns(4)
    if found is None:
        return []
    (ends, data), (value_ends, _) = found
    assert len(ends) == len(value_ends)
    return [data[a:b].tobytes() for a, b in pairwise(ends)]


def spoil(made: Forgery, place: int) -> None:
    """Let entry `place` of the first block say that it shares more of its key than the one before it has."""
    _, size = made.first_packed()

    def change(stored: bytearray) -> None:
        at = 0
        for _ in range(place):  # shared u8, unshared u8, value length u8, suffix, tag, value
            at += 3 + stored[at + 1] + 8 + stored[at + 2]
        stored[at] = 100

    made.block(0, size, change)


@pytest.mark.parametrize("step", [packed, columns])
@pytest.mark.parametrize("place", [1, 2, 3, 4])  # of the five of the block
def test_a_scan_tells_of_a_block_that_does_not_parse(step: Step, place: int) -> None:
    made = Forgery()
    spoil(made, place)
    with cursor_over(made) as cursor:
        found: list[bytes] = []
        with pytest.raises(lsm.CorruptionError, match="does not parse"):
            while some := step(cursor):
                found += some
        assert found == [e.key for e in ENTRIES[:place]]
        for _ in range(2):
            with pytest.raises(lsm.CorruptionError, match="does not parse"):
                step(cursor)


@pytest.mark.parametrize("step", [packed, columns])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_honest_table_is_scanned_whole(step: Step, reverse: bool) -> None:
    with cursor_over(Forgery(), reverse=reverse) as cursor:
        found: list[bytes] = []
        while some := step(cursor):
            found += some
        want: list[Entry] = ENTRIES[::-1] if reverse else ENTRIES
        assert found == [e.key for e in want]
