"""Each file call of a workload fails in turn, once or from then on: an error or a right answer, and nothing acknowledged is lost."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

import lsm
import recovery

OPERATIONS = [
    "open",
    "append",
    "pwrite",
    "pread",
    "sync",
    "allocate",
    "map",
    "truncate",
    "rename",
    "unlink",
    "sync_dir",
    "link",
    "mkdir",
    "list",
    "size_of",
    "lock",
    "stat",
]
OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 4096,
    "wal": {"sync": "os"},
    "table": {"block_size": 256},
    "cache": {"capacity": 2048},
    "compaction": {"layout": "leveling", "size_ratio": 2, "output_bytes": 2048, "level_base": 4096, "l0_trigger": 2},
}


class Run:
    """One pass of the workload; remembers what was acknowledged and what was in flight."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs
        self.acked: dict[bytes, bytes] = {}
        self.flight: dict[bytes, bytes] | None = None
        self.errors: list[BaseException] = []

    def step(self, call: Any, after: dict[bytes, bytes] | None = None) -> Any:
        if after is not None:
            self.flight = after  # a later step does not settle what became of an earlier one
        try:
            result = call()
        except lsm.Error as e:
            self.errors.append(e)
            return None
        if after is not None:
            self.acked, self.flight = after, None
        return result

    def go(self) -> None:
        for half in range(2):
            db = self.step(lambda: lsm.open("/db", OPTIONS, fs=self.fs))
            if db is None:
                return
            self.fill(db, half)
            self.step(db.close)

    def fill(self, db: lsm.DB, half: int) -> None:
        for i in range(60):
            if self.errors:
                break
            key, value = b"%03d" % (i * 7 % 60), b"%d-%d" % (half, i) * 12
            self.step(lambda k=key, v=value: db.put(k, v), {**self.acked, key: value})
        if not self.errors:
            gone = {k: v for k, v in self.acked.items() if not b"010" <= k < b"013"}
            self.step(lambda: db.delete_range(b"010", b"013"), gone)
        if not self.errors:
            self.step(db.compact)
        self.check_reads(db)

    def check_reads(self, db: lsm.DB) -> None:
        """An error is fine, a wrong answer never."""
        legal = [self.acked] if self.flight is None else [self.acked, self.flight]
        for key in (b"000", b"011", b"042", b"nope"):
            try:
                got = db.get(key)
            except lsm.Error:
                continue
            assert got in [state.get(key) for state in legal], key
        try:
            found = dict(db.scan())
        except lsm.Error:
            return
        assert found in legal


def cases() -> Iterator[tuple[str, int]]:
    probe = recovery.fault(recovery.memory())
    run = Run(probe)
    run.go()
    assert not run.errors
    for op in OPERATIONS:
        total = probe.calls(op)
        step = max(1, total // 8)  # every call of the rare kinds, an even sample of the common ones
        yield from ((op, n) for n in range(1, total + 1, step))


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_every_call_may_fail(code: int, sticky: bool) -> None:
    seen = 0
    for op, n in cases():
        disk = recovery.memory()
        broken = recovery.fault(disk)
        broken.arm(op, "*", n, code, sticky)
        run = Run(broken)
        try:
            run.go()
            healthy = disk.crash_clone(0, 0)
            if not run.acked and not healthy.exists("/db"):
                continue
            with lsm.open("/db", OPTIONS, fs=healthy) as db:
                found = dict(db.scan())
                assert found in ([run.acked] if run.flight is None else [run.acked, run.flight])
                assert db.verify() == []
                db.put(b"after", b"all")
                assert db.get(b"after") == b"all"
        except BaseException as e:
            e.add_note(f"repeat: {op} call {n} fails with {errno.errorcode[code]}, sticky={sticky}; errors so far: {run.errors}")
            raise
        seen += 1
    assert seen > 50


@pytest.mark.parametrize("op", ["open", "pread", "size_of", "close"])
def test_a_log_that_cannot_be_read_is_not_thrown_away(op: str) -> None:
    """An error while the log is read, for once: opening fails, and the next time all is there."""
    disk = recovery.memory()
    with lsm.open("/db", OPTIONS, fs=disk) as db:
        db.put(b"k", b"v" * 500)
        db.put(b"l", b"w")
    fs = recovery.fault(disk)
    fs.arm(op, "*.log", 1, errno.EIO)
    with pytest.raises(lsm.IOFailure):
        lsm.open("/db", OPTIONS, fs=fs)
    with lsm.open("/db", OPTIONS, fs=fs) as again:
        assert dict(again.scan()) == {b"k": b"v" * 500, b"l": b"w"}
