"""Files of a database that are gone: it is refused by name, and what is left stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery

OPTIONS: dict[str, Any] = {"threads": 0, "write_buffer": 1 << 16, "cache": {"capacity": 1 << 14}, "wal": {"segment_bytes": 4096}}


def closed(*, flushed: bool, logged: bool) -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    with lsm.open("/d", OPTIONS, fs=fs) as db:
        if flushed:
            db.put(b"a", b"1")
            db.flush()
        if logged:
            for i in range(20):
                db.put(b"%02d" % i, b"x" * 500)
    return fs


def files(fs: Any) -> dict[str, bytes]:
    return {name: fs.read_all(f"/d/{name}") for name in fs.listdir("/d") if name != "LOCK"}


def is_refused(fs: Any, match: str) -> None:
    before = files(fs)
    for _ in range(2):
        for how in ({}, {"read_only": True, "create": False}):
            with pytest.raises(lsm.CorruptionError, match=match):
                lsm.open("/d", OPTIONS, fs=fs, **how)
    assert files(fs) == before


@pytest.mark.parametrize(("flushed", "logged"), [(True, False), (False, True), (True, True)])
def test_a_database_without_its_pointer_is_not_made_anew(flushed: bool, logged: bool) -> None:
    fs = closed(flushed=flushed, logged=logged)
    fs.unlink("/d/CURRENT")
    is_refused(fs, "CURRENT")


@pytest.mark.parametrize("end", [".sst", "MANIFEST"])
def test_a_missing_file_is_named(end: str) -> None:
    fs = closed(flushed=True, logged=True)
    (name,) = (n for n in fs.listdir("/d") if end in n)
    fs.unlink(f"/d/{name}")
    is_refused(fs, name)


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
@pytest.mark.parametrize("writes", [1, 20])
def test_every_missing_segment_of_the_log_is_noticed(killed: bool, writes: int) -> None:
    whole = recovery.memory()
    with lsm.open("/d", OPTIONS, fs=whole) as db:
        for i in range(writes):
            db.put(b"%02d" % i, b"x" * 500)
        if killed:
            whole = whole.crash_clone("process")
    logs = [n for n in whole.listdir("/d") if n.endswith(".log")]
    assert len(logs) >= (3 if writes > 1 else 1)
    for name in logs:
        fs = whole.crash_clone("process")
        fs.unlink(f"/d/{name}")
        is_refused(fs, r"\.log")


def test_a_database_without_a_log_has_none_to_miss() -> None:
    """Written without a log, and then with one; killed in between."""
    fs = recovery.memory()
    for i, logs in enumerate((False, False, True, False, True)):
        with lsm.open("/d", OPTIONS | {"wal": {"enabled": logs}}, fs=fs) as db:
            assert len(list(db.scan())) == i
            db.put(b"%d" % i, b"v")
            db.flush()
            fs = fs.crash_clone("process")
