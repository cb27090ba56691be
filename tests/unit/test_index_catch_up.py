"""What recovery put back reaches the indexes: rows and deletions in one memtable."""

from __future__ import annotations

import lsm
import recovery
from lsm.secondary import col


def test_rows_and_deletions_that_no_rider_saw() -> None:
    fs = recovery.memory()
    db = lsm.open("/t", fs=fs, threads=0)
    table = db.table("t")
    table.create_index("a", "a")
    table.put_many([{"id": i, "a": i % 7} for i in range(100)])
    table.delete_many(range(0, 100, 3))
    table.put({"id": 3, "a": 50})
    with lsm.open("/t", fs=fs.crash_clone("process"), threads=0) as again:
        found = again.table("t")
        assert found.scrub() == []
        assert found.count(col("a") == 50) == 1
        assert found.count() == found.count(col("a").not_null()) == 67
    db.close()


def test_what_is_in_memory_when_a_build_begins_does_not_hide_what_it_finds() -> None:
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put_many([{"id": i, "a": i % 7} for i in range(11)])
        table.delete(77)  # the last change before the build takes one sequence number
        table.create_index("a", "a")
        table.create_index("b", "a", kind="bitmap")
        assert table.count(col("a") == 3) == 2
        assert table.scrub() == []
