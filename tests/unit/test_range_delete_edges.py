"""Range deletes at their ends and at the edges of files: the first key goes, the last one stays, newer keys stay."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery

KEYS = [b"%02d" % i for i in range(20)]
RIGHT = {k: b"old" for k in KEYS if not b"05" <= k < b"15"} | {b"07": b"new"}


def is_right(db: lsm.DB) -> None:
    assert [db.get(k) for k in KEYS] == [RIGHT.get(k) for k in KEYS]
    assert db.get_many(KEYS) == [RIGHT.get(k) for k in KEYS]
    assert dict(db.scan()) == RIGHT
    assert list(db.scan(reverse=True)) == sorted(RIGHT.items(), reverse=True)


@pytest.mark.parametrize("where", ["memtable", "memtable over tables", "tables"])
def test_both_ends_of_a_range_delete(where: str) -> None:
    options: dict[str, Any] = {
        "threads": 0,
        "write_buffer": 1 << 16,
        "cache": {"capacity": 1 << 14},
        "table": {"block_size": 64},
        "compaction": {"layout": "1-leveling", "l0_trigger": 100, "output_bytes": 300},
    }
    with lsm.open("/d", options, fs=recovery.memory()) as db:
        for k in KEYS:
            db.put(k, b"old")
        if where != "memtable":
            db.flush()
        held = db.snapshot()
        db.delete_range(b"05", b"15")
        if where == "tables":
            db.flush()
        db.put(b"07", b"new")
        is_right(db)
        db.flush()
        is_right(db)
        db.compact()
        is_right(db)
        assert dict(held.scan()) == dict.fromkeys(KEYS, b"old")
        assert held.get_many(KEYS) == [b"old"] * len(KEYS)
        held.close()
        db.put(b"99", b"")
        db.delete(b"99")
        db.flush()
        db.compact()
        is_right(db)
        assert sum(level.entries for level in db.levels()) == len(RIGHT)
