"""A database that is opened read-only reads everything, also what is in the log alone, and changes no file whatever its options ask for."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery

TIERING = {"layout": "tiering", "size_ratio": 100, "l0_trigger": 100}
EAGER = {"l0_trigger": 1, "level_base": 1024}


def files(fs: recovery.FileSystem) -> dict[str, bytes]:
    return {path: fs.read_all(path) for path in fs.walk_files("/")}


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("more", [{}, {"write_buffer": 1024}])
def test_it_neither_flushes_nor_merges(threads: int, more: dict[str, Any]) -> None:
    fs = recovery.memory()
    with lsm.open("/db", fs=fs, threads=0, write_buffer=1 << 16, compaction=TIERING) as db:
        for _ in range(6):
            db.put_many([(b"%d" % i, b"x" * 20) for i in range(200)])
            db.flush()
        for i in range(300):
            db.put(b"logged %d" % i, b"y" * 20)
    before = files(fs)
    with lsm.open("/db", fs=fs, threads=threads, read_only=True, compaction=EAGER, **more) as db:
        assert len(list(db)) == 500
        db.wait()
        assert len(db.version().levels[0].runs) == 6
        assert db.get(b"logged 7") == b"y" * 20
        assert db.health.state == "read_only"
        for call in (db.flush, db.compact, lambda: db.put(b"a", b"b")):
            with pytest.raises(lsm.ReadOnlyError):
                call()
    assert files(fs) == before
