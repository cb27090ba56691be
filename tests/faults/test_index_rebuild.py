"""Index files that are damaged: derived data, made again from the rows."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.secondary import col, text

KEY = bytes(range(32))
OPTIONS: dict[str, Any] = {"threads": 0, "write_buffer": 1 << 14}


def made(key: bytes | None = None) -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    with lsm.open("/d", OPTIONS, fs=fs, encryption=key) as db:
        people = db.table("people", key="id")
        people.create_index("by_age", "age")
        people.create_index("names", "name", kind="text")
        for i in range(400):
            people.put({"id": i, "age": i % 9, "name": f"name{i % 50} of all"})
        people.delete(5)
        people.flush()
        people.put_many([{"id": i, "age": 8, "name": "late"} for i in range(400, 420)])  # in the log
    return fs


def right(db: lsm.DB) -> None:
    people = db.table("people")
    db.wait()
    assert people.scrub() == []
    assert [r["id"] for r in people.find(text("name", "name7"))] == [7, 57, 107, 157, 207, 257, 307, 357]
    assert people.count(col("age") == 8) == 44 + 20 and people.count(text("name", "late")) == 20 and people.get(5) is None


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("damage", ["a flip", "cut"])
def test_indexes_are_built_again_from_the_rows(damage: str, key: bytes | None) -> None:
    """With one damaged index file the rows could be neither read nor written, and repair was the only way out."""
    for name in [n for n in made(key).listdir("/d") if n.endswith(".idx")]:
        fs = made(key)
        data = bytearray(fs.read_all(f"/d/{name}"))
        data[len(data) // 2] ^= 4
        fs.unlink(f"/d/{name}")
        fs.write_all(f"/d/{name}", bytes(data) if damage == "a flip" else bytes(data[:-30]))
        with lsm.open("/d", OPTIONS, fs=fs, encryption=key) as db:
            with pytest.raises(lsm.Error, match=name):
                db.table("people")
            assert db.rebuild_indexes("people") == ["by_age", "names"]
            assert not [n for n in fs.listdir("/d") if n == name]
            crashed = fs.crash_clone("power")
            right(db)
            with pytest.raises(lsm.BusyError, match="is open"):
                db.rebuild_indexes("people")
        for disk in (fs, crashed):
            with lsm.open("/d", OPTIONS, fs=disk, encryption=key) as db:
                right(db)
            assert not check("/d", fs=disk, encryption=key).problems


def test_a_table_that_is_none_is_told() -> None:
    with lsm.open("/d", OPTIONS, fs=made()) as db, pytest.raises(KeyError, match=r"no table 'default'; there are people"):
        db.rebuild_indexes("default")
    with lsm.open("/d", OPTIONS, fs=made(), read_only=True) as db, pytest.raises(lsm.ReadOnlyError):
        db.rebuild_indexes("people")
