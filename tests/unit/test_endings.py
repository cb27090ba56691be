"""What other threads do at the moment when something ends: the manifest fails, the database closes, a keyspace goes, a process forks."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import lsm
import recovery
from lsm.executor import Executor
from lsm.plan import Plan
from lsm.secondary.riding import Riding

TINY = {"write_buffer": 1 << 16, "buffer_entries": 50}


class Idle:
    def plan(self, view: Any) -> None:
        return None


def until(what: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


def started(what: Callable[[], Any], told: list[object]) -> threading.Thread:
    """Do it in a thread; its end or its error is told."""

    def run() -> None:
        try:
            told.append(what())
        except BaseException as e:
            told.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def held_after(monkeypatch: pytest.MonkeyPatch, cause: str, name: str = "default") -> tuple[threading.Event, threading.Event]:
    """Jobs of a cause are made, and their installs wait for the second event."""
    made, go, real = threading.Event(), threading.Event(), Executor._run

    def slow(self: Executor, space: Any, *args: Any, **named: Any) -> Any:
        result = real(self, space, *args, **named)
        if named["cause"] == cause and space.name == name:
            made.set()
            go.wait()
        return result

    monkeypatch.setattr(Executor, "_run", slow)
    return made, go


def filled(db: lsm.DB, runs: int) -> None:
    db.set_policy(Idle())
    for r in range(runs):
        for i in range(49):
            db.put(b"%d-%040d" % (r, i), b"v" * 200)
        db.flush()


def test_nothing_goes_behind_a_record_of_the_manifest_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flusher wrote a shorter one over it, after a sync that had failed; what was left behind it was damage to the next open."""
    memory = recovery.memory()
    fs = recovery.fault(memory)
    db = lsm.open("/d", {**TINY, "compaction": {"output_bytes": 16384}}, fs=fs, threads=1)
    filled(db, 4)
    plan = Plan(tuple(db.version().tables()), 1, "compact", new_run=True)
    assert db.executor.claim(db.default, plan)
    made, go = held_after(monkeypatch, "flush")
    for i in range(60):
        db.put(b"x%03d" % i, b"v")
    made.wait()
    fs.arm("sync", "*MANIFEST*", error=errno.EIO)
    with pytest.raises(lsm.IOFailure):
        db.executor.compact(db.default, plan)
    records = db.manifest.records
    go.set()
    until(lambda: not db.executor.flushing)
    assert db.manifest.records == records
    with lsm.open("/d", fs=memory.crash_clone("process")) as again:
        assert len(list(again)) == 4 * 49 + 60
    assert db.resume() and len(list(db)) == 4 * 49 + 60
    db.close()
    with lsm.open("/d", fs=memory) as again:
        assert len(list(again)) == 4 * 49 + 60


@pytest.mark.parametrize("threads", [0, 2])
def test_close_beside_a_compact_that_installs(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Both wrote a record of the manifest at one place."""
    memory = recovery.memory()
    fs, told = recovery.fault(memory), list[object]()
    db = lsm.open("/d", TINY, fs=fs, threads=threads)
    filled(db, 6)
    made, go = held_after(monkeypatch, "compaction")
    compact = started(db.compact, told)
    made.wait()
    fs.arm("sync", "*MANIFEST*", error="stuck")
    close = started(db.close, told)
    until(fs.stuck)
    go.set()
    compact.join(0.2)
    fs.disarm()
    compact.join()
    close.join()
    assert [e for e in told if e is not None and not isinstance(e, lsm.ClosedError)] == []
    with lsm.open("/d", fs=memory) as again:
        assert len(list(again)) == 6 * 49 and again.verify() == []


def test_close_beside_a_new_keyspace(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = recovery.memory()
    fs, told, at, go = recovery.fault(memory), list[object](), threading.Event(), threading.Event()
    db = lsm.open("/d", fs=fs, threads=1)
    db.put(b"a", b"1")
    real = lsm.DB.check_writable

    def slow(self: lsm.DB) -> None:  # and then, before the lock is taken, another thread closes
        real(self)
        at.set()
        go.wait()

    monkeypatch.setattr(lsm.DB, "check_writable", slow)
    maker = started(lambda: db.keyspace("n"), told)
    at.wait()
    fs.arm("sync", "*MANIFEST*", error="stuck")
    close = started(db.close, told)
    until(fs.stuck)
    go.set()
    maker.join(0.2)
    fs.disarm()
    maker.join()
    close.join()
    with lsm.open("/d", fs=memory) as again:
        assert again[b"a"] == b"1"
    assert sum(isinstance(e, lsm.ClosedError) for e in told) == 1


def test_close_waits_for_the_files_of_a_compact_in_another_thread() -> None:
    """Its lock was free while the job wrote tables, under numbers that the next owner used too."""
    fs, told = recovery.fault(recovery.memory()), list[object]()
    db = lsm.open("/d", {**TINY, "compaction": {"output_bytes": 4096}}, fs=fs, threads=0)
    filled(db, 4)
    fs.arm("open", "*.sst", nth=2, error="stuck")
    compact = started(db.compact, told)
    until(fs.stuck)
    close = started(db.close, told)
    close.join(0.3)
    assert close.is_alive()
    fs.disarm()
    compact.join()
    close.join()
    with lsm.open("/d", fs=fs) as again:
        assert len(list(again)) == 4 * 49


def test_a_keyspace_is_dropped_while_a_flush_of_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread writes to it until the last moment. The flush found no keyspace, and the database became read-only."""
    real = Executor.wait
    with lsm.open("/d", TINY, fs=recovery.memory(), threads=2, max_sealed=1) as db:
        space, told = db.keyspace("x"), list[object]()
        made, go = held_after(monkeypatch, "flush", "x")

        def wait(self: Executor) -> None:  # and then, before the lock is taken:
            real(self)
            told.append(started(lambda: [space.put(b"%04d" % i, b"v") for i in range(1000)], told))
            until(lambda: space.core.sealed_count() == 2)
            made.wait()
            threading.Timer(0.2, go.set).start()

        with monkeypatch.context() as patch:
            patch.setattr(Executor, "wait", wait)
            db.drop_keyspace("x")
        writer = told[0]
        assert isinstance(writer, threading.Thread)
        writer.join(5)
        assert not writer.is_alive(), "it asks for ever for room in what is gone"
        assert isinstance(told[1], lsm.ClosedError)
        db.wait()
        assert db.health.state == "ok"
        db.put(b"a", b"1")
    assert [n for n in db.fs.listdir("/d") if n.endswith(".sst")] == []


@pytest.mark.parametrize("held", [False, True])
def test_a_child_that_waits_is_told(tmp_path: Path, held: bool) -> None:
    with lsm.open(tmp_path / "d", threads=1) as db:
        got, go = threading.Event(), threading.Event()

        def hold() -> None:
            with db.executor.lock:
                got.set()
                go.wait()

        if held:
            threading.Thread(target=hold).start()
            got.wait()
        child = os.fork()
        if not child:
            code = 1
            try:
                for call in (db.stats, lambda: db.memory, lambda: db.set_policy(Idle())):
                    with suppress(lsm.Error):
                        call()
                db.wait()
            except lsm.ClosedError:
                code = 7
            finally:
                os._exit(code)
        go.set()
        end = time.monotonic() + 5
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
            time.sleep(0.01)
        if not done[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert done[0] and os.waitstatus_to_exitcode(done[1]) == 7


def test_a_table_that_nobody_opened_stops_no_writes() -> None:
    """Until then nothing of its keyspace is merged: who waited for that waited for ever."""
    fs, told = recovery.memory(), list[object]()
    with lsm.open("/d", {**TINY, "stalls": {"slowdown_runs": 500, "stop_runs": 1000}}, fs=fs, threads=1) as db:
        table = db.table("rows", "id")
        db.set_policy(Idle(), "rows")
        for i in range(30):
            table.put({"id": i, "a": i})
            table.flush()
            db.flush()
        assert len(db.version("rows").levels[0].runs) == 30
    with lsm.open("/d", fs=fs, threads=1, stalls={"slowdown_runs": 8, "stop_runs": 12}) as db:
        batch = lsm.Batch()
        batch.put(b"k", b"v")
        writer = started(lambda: db.write(batch), told)
        writer.join(5)
        assert not writer.is_alive() and told == [None]


def test_what_is_left_of_a_segment_that_could_not_be_made_is_no_hole_in_the_log() -> None:
    """Neither made nor removed: the log went on behind it, and its end record named the segment after the next."""
    memory = recovery.memory()
    fs = recovery.fault(memory)
    with lsm.open("/d", fs=fs, threads=1, wal={"sync": "every"}) as db:
        db.put(b"a", b"1")
        fs.arm("sync", "*.log", error=errno.EIO)
        fs.arm("unlink", "*.log", error=errno.EIO)
        db.core.prepare_log()
        fs.disarm()
        db.core.rotate_log()
        db.put(b"b", b"2")
        clone = memory.crash_clone("power")
    with lsm.open("/d", fs=clone) as again:
        assert dict(again.scan()) == {b"a": b"1", b"b": b"2"}


def test_two_threads_close_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, told, both, real = recovery.memory(), list[object](), threading.Barrier(2), lsm.scrub.Scrubber.stop
    db = lsm.open("/d", fs=memory, threads=1)
    db.put(b"a", b"1")

    def stop(self: Any) -> None:
        real(self)
        both.wait(10)

    monkeypatch.setattr(lsm.scrub.Scrubber, "stop", stop)
    threads = [started(db.close, told) for _ in range(2)]
    for thread in threads:
        thread.join(20)
    assert told == [None, None]
    monkeypatch.undo()
    with lsm.open("/d", fs=memory) as again:
        assert again[b"a"] == b"1"


def test_close_beside_a_resume_leaves_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    at, go, told, real = threading.Event(), threading.Event(), list[object](), Executor.restart

    def restart(self: Executor) -> None:
        at.set()
        go.wait(1)
        real(self)

    monkeypatch.setattr(Executor, "restart", restart)
    db = lsm.open("/d", fs=recovery.memory(), threads=1)
    db.core.poison("a test")
    resume = started(db.resume, told)
    at.wait()
    close = started(db.close, told)
    close.join(0.3)
    go.set()
    resume.join()
    close.join()
    assert [t.name for t in db.executor.threads if t.is_alive()] == []


def test_a_table_is_dropped_while_its_components_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    real, real_wait = Riding.replace, Executor.wait
    with lsm.open("/d", TINY, fs=recovery.memory(), threads=2) as db:
        table = db.table("rows", "id")
        table.create_index("a", "a")
        at, go = threading.Event(), threading.Event()

        def replace(self: Any, *args: Any) -> Any:
            at.set()
            go.wait()
            return real(self, *args)

        monkeypatch.setattr(Riding, "replace", replace)

        def wait(self: Executor) -> None:
            real_wait(self)
            writer = threading.Thread(target=lambda: [table.put({"id": i, "a": i}) for i in range(600)])
            writer.start()
            at.wait(20)
            writer.join()
            until(lambda: not db.executor.flushing and not db.executor.jobs)
            threading.Timer(0.2, go.set).start()

        with monkeypatch.context() as patch:
            patch.setattr(Executor, "wait", wait)
            db.drop_keyspace("rows")
        go.set()
        assert at.is_set()
        db.wait()
        assert db.health.state == "ok"


def test_a_scheduler_that_raises_leaves_no_job_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job that never ran was paced by every flush that came, also by those of a resume."""
    broken, base = [True], lsm.registry.SCHEDULERS["fifo"]

    class Broken(base):  # type: ignore[misc, valid-type]
        kind = "broken"

        def pauses(self, *args: Any) -> bool:
            if broken[0]:
                raise RuntimeError("a scheduler")
            return False

    monkeypatch.setitem(lsm.registry.SCHEDULERS, "broken", Broken)
    options = {**TINY, "compaction": {"l0_trigger": 2, "scheduler": "broken"}}
    told = list[object]()
    with lsm.open("/d", options, fs=recovery.memory(), threads=1) as db:
        with pytest.raises(lsm.ReadOnlyError):
            for i in range(100_000):
                db.put(b"%06d" % i, b"v")
        until(lambda: db.executor.error is not None)
        broken[0] = False
        assert db.resume()
        waiter = started(db.wait, told)
        waiter.join(5)
        assert told == [None] and not db.executor.jobs
        db.put(b"a", b"1")
