"""Scans at their bounds, at the borders of tables and at the end of the key space: the same in both directions, and the same as get."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery

OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "cache": {"capacity": 1 << 14},
    "table": {"block_size": 64},
    "compaction": {"layout": "1-leveling", "l0_trigger": 100, "output_bytes": 1024},
}


def loaded(keys: list[bytes], where: str) -> lsm.DB:
    db = lsm.open("/d", OPTIONS, fs=recovery.memory())
    for half in (keys[::2], keys[1::2]):
        for k in half:
            db.put(k, k)
        if where != "memtable":
            db.flush()
    if where == "run":
        db.compact()
    return db


@pytest.mark.parametrize("where", ["memtable", "tables", "run"])
def test_scans_are_the_same_in_both_directions(where: str) -> None:
    keys = [b"%02d" % i for i in range(30)]
    with loaded(keys, where) as db:
        for i in range(30):
            for j in (i, i + 1, i + 5, 30):
                start, stop = b"%02d" % i, b"%02d" % j
                there, back = list(db.keys(start, stop)), list(db.keys(start, stop, reverse=True))
                assert there == back[::-1] == keys[i:j], (start, stop)


@pytest.mark.parametrize("where", ["memtable", "tables", "run"])
def test_prefixes_that_end_in_the_largest_byte(where: str) -> None:
    keys = sorted(
        [b"a", b"a\xfe", b"a\xfe\xff", b"a\xff", b"a\xff\x00", b"a\xff\xff", b"a\xff\xff\xff", b"b", b"\xff", b"\xff\xff", b"\xff\xff1"]
    )
    with loaded(keys, where) as db:
        for prefix in (b"", b"a", b"a\xfe", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff", b"\xff\xff\xff"):
            expected = [k for k in keys if k.startswith(prefix)]
            assert list(db.keys(prefix=prefix)) == expected
            assert list(db.keys(prefix=prefix, reverse=True)) == expected[::-1]


def test_keys_at_the_borders_of_tables() -> None:
    keys = [b"%04d" % i for i in range(300)]
    with loaded(keys, "run") as db:
        (run,) = [run for _, run in db.version().runs()]
        assert len(run.tables) >= 3
        for table in run.tables:
            for k in (table.smallest, table.largest):
                assert db.get(k) == k and db.get_many([k]) == [k]
                assert next(db.keys(k)) == k
                assert next(db.keys(None, k + b"\0", reverse=True)) == k
        assert db.get_many(keys) == keys
