"""A disk that hangs is noticed while it hangs: health says what, the log record too, and both say when it is over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery
from recovery.native import ffi


class Hanging:
    """A file system whose sync of files that match waits for `go`: memory's own, with one function of its tables replaced."""

    def __init__(self, part: str) -> None:
        self.fs = recovery.memory()
        self.go = threading.Event()
        self.go.set()
        self.reached = threading.Event()
        ops = self.fs.pointer.ops
        self._of_fs = ffi.new("rec_fs_ops *", ops[0])
        self._plain, self._slow = ffi.new("rec_fs_ops *", ops[0]), ffi.new("rec_fs_ops *", ops[0])

        @ffi.callback("int(rec_file *)")  # type: ignore[untyped-decorator]
        def sync(file: Any) -> int:
            self.reached.set()
            self.go.wait(60)
            return int(ops.sync(file))

        @ffi.callback("int(rec_fs *, const char *, int, rec_file **)")  # type: ignore[untyped-decorator]
        def open_(fs: Any, path: Any, flags: int, out: Any) -> int:
            code = int(ops.open(fs, path, flags, out))
            if code == 0 and part in ffi.string(path).decode():
                out[0].ops = self._slow
            return code

        self._keep = (sync, open_)
        self._slow.sync = sync
        self._of_fs.open = open_
        self.fs.pointer.ops = self._of_fs


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what() and time.monotonic() < end:
        time.sleep(0.005)
    assert what()


def log_sync(db: lsm.DB) -> None:
    batch = lsm.Batch()
    batch.put(b"k", b"v")
    db.write(batch, sync=True)


@pytest.mark.parametrize(
    ("part", "act", "what"),
    [
        (".log", log_sync, "sync of the log"),
        (".log", lambda db: db.sync(), "sync of the log"),
        (".sst", lambda db: (db.put(b"k", b"v"), db.flush()), "sync of a table"),
        ("MANIFEST-", lambda db: db.keyspace("new"), "write of the manifest"),
    ],
)
def test_what_hangs_is_told(part: str, act: Callable[[lsm.DB], object], what: str, caplog: pytest.LogCaptureFixture) -> None:
    hanging = Hanging(part)
    with (
        lsm.open("/d", fs=hanging.fs, threads=1, write_buffer=1 << 16, stalls={"disk_ms": 50}) as db,
        caplog.at_level(logging.WARNING, "lsm"),
    ):
        db.put(b"a", b"1")
        assert db.health.state == "ok"
        hanging.go.clear()
        worker = threading.Thread(target=act, args=(db,))
        worker.start()
        try:
            wait_for(lambda: db.health.state == "stuck")
            health = db.health
            assert what in health.error and health.writable and "disk" in health.advice and db.get(b"a") == b"1"
            wait_for(lambda: any(what in r.message for r in caplog.records))
        finally:
            hanging.go.set()
            worker.join()
        wait_for(lambda: any("answers again" in r.message for r in caplog.records))
        assert db.health.state == "ok"


def test_it_can_be_turned_off() -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=1, stalls={"disk_ms": 0}) as db:
        assert db.disk.stuck() == "" and not any(t.name == "lsm-disk-watch" for t in threading.enumerate())
