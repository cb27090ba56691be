"""The recording file system logs every call, in order, with its result."""

from __future__ import annotations

import errno
import threading

import pytest

import recovery


def test_every_call_is_an_event() -> None:
    fs = recovery.record(recovery.memory())
    fs.mkdir("/d")
    with fs.open("/d/a", "w") as f:
        f.append(b"12")
        f.append(b"34")
        f.pwrite(b"5", 1)
        f.pread(2, 1)
        f.allocate(10)
        f.truncate(3)
        f.sync()
    fs.mark("here")
    fs.rename("/d/a", "/d/b")
    fs.link("/d/b", "/d/c")
    fs.unlink("/d/b")
    fs.sync_dir("/d")
    fs.listdir("/d")
    fs.lock("/LOCK", "me").close()
    with pytest.raises(FileNotFoundError):
        fs.rmdir("/nope")
    assert [str(e) for e in fs.events() if e.op != "size_of"] == [
        "mkdir(/d)", "open(/d/a)", "append(/d/a, 2 bytes at 0)", "append(/d/a, 2 bytes at 2)", "pwrite(/d/a, 1 bytes at 1)",
        "pread(/d/a, 2 bytes at 1)", "allocate(/d/a, 10)", "truncate(/d/a, 3)", "sync(/d/a)", "close(/d/a)", "mark(here)",
        "rename(/d/a, /d/b)", "link(/d/b, /d/c)", "unlink(/d/b)", "sync_dir(/d)", "list(/d)", "lock(/LOCK)", "close(/LOCK)",
        f"rmdir(/nope) = {-errno.ENOENT}",
    ]  # fmt: skip
    by_op = {e.op: e for e in fs.events()}
    assert (by_op["pwrite"].data, by_op["pwrite"].file, by_op["pread"].result, by_op["lock"].data) == (b"5", 1, 2, b"me")
    assert fs.read_all("/d/c") == b"153"


def test_failures_beneath_are_logged_with_their_error() -> None:
    disk = recovery.fault(recovery.memory())
    fs = recovery.record(disk)
    with fs.open("/a", "w") as f:
        disk.arm("append", error="short")
        with pytest.raises(OSError):
            f.append(b"1234")
        disk.arm("sync", error=errno.EIO)
        with pytest.raises(OSError):
            f.sync()
    assert [(e.op, e.result, e.data) for e in fs.events() if e.op in ("append", "sync")] == [
        ("append", -errno.ENOSPC, b"1234"),
        ("sync", -errno.EIO, b""),
    ]


def test_threads_are_told_apart_and_changes_are_in_order() -> None:
    fs = recovery.record(recovery.memory())
    fs.mkdir("/d")
    together = threading.Barrier(2)

    def work(name: str) -> None:
        together.wait(30)
        with fs.open(f"/d/{name}", "w") as f:
            for i in range(200):
                f.append(b"%03d" % i)
        together.wait(30)  # who ends may leave its name to the next

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    events = fs.events()
    by_thread = {path: {e.thread for e in events if e.path == path} for path in ("/d/a", "/d/b")}
    assert len(by_thread["/d/a"]) == len(by_thread["/d/b"]) == 1
    assert by_thread["/d/a"] != by_thread["/d/b"]
    for path in by_thread:
        assert b"".join(e.data for e in events if e.path == path and e.op == "append") == fs.read_all(path)


def test_a_read_only_mapping_passes_and_a_writable_one_does_not() -> None:
    fs = recovery.record(recovery.memory())
    with fs.open("/a", "w") as f:
        f.allocate(4096)
        with pytest.raises(OSError) as caught:
            f.map(0, 4096, writable=True)
        assert caught.value.errno == errno.ENOTSUP
        f.map(0, 4096).close()
    assert [(e.op, e.result) for e in fs.events() if "map" in e.op] == [("map", -errno.ENOTSUP), ("map", 0), ("unmap", 0)]


def test_events_add_up_over_calls_and_a_mark_needs_a_recording() -> None:
    fs = recovery.record(recovery.memory())
    fs.mkdir("/d")
    assert len(fs.events()) == 1
    fs.mark("x")
    assert [e.text for e in fs.events()] == ["", "x"]
