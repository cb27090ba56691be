"""The machine dies at every file call of a small life of a database: what was acknowledged is there, and every file fits the others.

The log is synced at every write, so that nothing acknowledged may be lost. Dying is a fault that no call after it escapes; then the disk is
what a power loss leaves of it.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest

import lsm
import recovery

OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "cache": {"capacity": 1 << 14},
    "wal": {"sync": "every", "segment_bytes": 4096},
    "table": {"block_size": 256},
    "compaction": {"layout": "1-leveling", "l0_trigger": 100, "output_bytes": 1024},
}
State = dict[str, dict[bytes, bytes]]
SEEDS = {"power": 1, "random": 4}


class Life:
    """What was acknowledged, and the state that the write under way would make."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs
        self.acked: State = {"default": {}, "other": {}}
        self.flight = self.acked

    def wrote(self, call: Any, space: str, pairs: dict[bytes, bytes | None]) -> None:
        both = {**self.acked[space], **pairs}
        self.flight = {**self.acked, space: {k: v for k, v in both.items() if v is not None}}
        call()
        self.acked = self.flight

    def go(self) -> None:
        """Live until the first error."""
        try:
            for half in range(2):
                db = lsm.open("/db", OPTIONS, fs=self.fs)
                try:
                    self.fill(db, half)
                finally:
                    db.close()
        except lsm.Error:
            return

    def fill(self, db: lsm.DB, half: int) -> None:
        other = db.keyspace("other")
        for i in range(6):
            key, value = b"%02d" % (i * 5 + half), b"%d/%d " % (half, i) * 20
            self.wrote(lambda k=key, v=value: db.put(k, v), "default", {key: value})
        self.wrote(lambda: other.put(b"o", b"%d" % half), "other", {b"o": b"%d" % half})
        db.flush()
        self.wrote(lambda: db.delete(b"05"), "default", {b"05": None})
        big = b"#" * 5000  # a segment of its own
        self.wrote(lambda: db.put(b"big", big), "default", {b"big": big})
        if half:
            db.compact()
        self.wrote(lambda: other.put(b"last", b"%d" % half), "other", {b"last": b"%d" % half})


def content(disk: recovery.MemoryFileSystem) -> list[tuple[str, bytes]]:
    """All that a crash now may leave: the files as they are, and as they are durably."""
    return [(p, c.read_all(p)) for c in (disk.crash_clone("process"), disk.crash_clone("power")) for p in c.walk_files("/")]


def is_whole(disk: recovery.MemoryFileSystem, life: Life) -> None:
    with lsm.open("/db", OPTIONS, fs=disk) as db:
        found = {name: dict(db.keyspace(name).scan()) for name in ("default", "other")}
        assert found in (life.acked, life.flight)
        assert db.verify() == []
        db.put(b"after", b"all")
    with lsm.open("/db", OPTIONS, fs=disk) as db:
        assert db.get(b"after") == b"all"


@pytest.mark.parametrize("mode", SEEDS)
def test_the_power_may_fail_at_every_call(mode: str) -> None:
    probe = recovery.fault(recovery.memory())
    Life(probe).go()
    total = probe.calls("*")
    assert total > 200
    before: list[tuple[str, bytes]] = []
    states = 0
    for nth in range(1, total + 1):
        disk = recovery.memory()
        dying = recovery.fault(disk)
        dying.arm("*", "*", nth, errno.EIO, sticky=True)
        life = Life(dying)
        life.go()
        if (now := content(disk)) == before:
            continue  # the call before this one changed nothing
        before, states = now, states + 1
        for seed in range(SEEDS[mode]):
            try:
                is_whole(disk.crash_clone(mode, nth * 100 + seed), life)
            except BaseException as e:
                e.add_note(f"repeat: call {nth} of {total} and all later ones fail, then crash_clone({mode!r}, {nth * 100 + seed})")
                raise
    assert states > 50


def test_a_database_in_new_directories_is_durable() -> None:
    disk = recovery.memory()
    with lsm.open("/one/two/three", OPTIONS, fs=disk) as db:
        db.put(b"k", b"v")
        with lsm.open("/one/two/three", OPTIONS, fs=disk.crash_clone("power")) as after:
            assert after.get(b"k") == b"v"
