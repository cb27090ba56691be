"""A checkpoint is the database of its moment, on its own, and it is there after a power loss once it was told done."""

from __future__ import annotations

from typing import Any

import lsm
import recovery

OPTIONS: dict[str, Any] = {"threads": 0, "write_buffer": 1 << 16, "cache": {"capacity": 1 << 14}}


def filled(fs: Any) -> tuple[lsm.DB, dict[str, dict[bytes, bytes]]]:
    db = lsm.open("/db", OPTIONS, fs=fs)
    other = db.keyspace("other")
    for i in range(30):
        db.put(b"%02d" % i, b"a" * 50)
        if i == 10:
            db.flush()
    other.put(b"o", b"1")
    return db, {"default": dict(db.scan()), "other": dict(other.scan())}


def state(db: lsm.DB) -> dict[str, dict[bytes, bytes]]:
    return {name: dict(db.keyspace(name).scan()) for name in db.keyspaces()}


def test_a_checkpoint_has_all_that_was_written() -> None:
    fs = recovery.memory()
    db, before = filled(fs)
    db.checkpoint("/copies/one")
    db.put(b"later", b"x")
    db.delete_range(b"00", b"20")
    floor = db.state.log_floor
    db.flush()
    db.compact()
    assert db.state.log_floor >= floor
    with lsm.open("/copies/one", OPTIONS, fs=fs, create=False) as copy:
        assert state(copy) == before and copy.verify() == []
        copy.put(b"own", b"y")
    after = state(db)
    with lsm.open("/db", OPTIONS, fs=fs.crash_clone("process")) as again:
        assert state(again) == after
    db.close()
    with lsm.open("/copies/one", OPTIONS, fs=fs, create=False) as copy:
        assert state(copy)["default"] == before["default"] | {b"own": b"y"}


def test_a_write_after_a_checkpoint_is_in_the_log_that_a_crash_leaves() -> None:
    """The checkpoint's own manifest needs no log; the database's does."""
    fs = recovery.memory()
    db, _ = filled(fs)
    db.checkpoint("/copy")
    db.put(b"later", b"x")
    db.keyspace("third").put(b"t", b"1")  # a record of the manifest
    before = state(db)
    with lsm.open("/db", OPTIONS, fs=fs.crash_clone("process")) as again:
        assert state(again) == before
    db.close()


def test_a_checkpoint_survives_a_power_loss() -> None:
    fs = recovery.memory()
    db, before = filled(fs)
    db.checkpoint("/copies/of/today")
    for mode, seed in (("power", 0), *(("random", n) for n in range(20))):
        with lsm.open("/copies/of/today", OPTIONS, fs=fs.crash_clone(mode, seed), create=False) as copy:
            assert state(copy) == before, (mode, seed)
            assert copy.verify() == []
    db.close()
