"""What fails while something that failed is being ended: the error is still the engine's own, and nothing is left behind."""

from __future__ import annotations

import errno
from typing import NoReturn

import pytest

import lsm
import recovery


def made() -> tuple[recovery.MemoryFileSystem, recovery.FaultFileSystem]:
    memory = recovery.memory()
    with lsm.open("/db", fs=memory, threads=0, write_buffer=4096) as db:
        db.put_many([(b"%03d" % i, b"v") for i in range(100)])
    return memory, recovery.fault(memory)


def test_opening_that_fails_at_any_call_for_good_raises_the_engines_error_and_lets_go_of_the_lock() -> None:
    raised = 0
    for nth in range(1, 1000):
        memory, fs = made()
        fs.arm(nth=nth, error=errno.EIO, sticky=True)
        try:
            lsm.open("/db", fs=fs, threads=0, write_buffer=4096).close()
        except lsm.Error:
            raised += 1
        else:
            break
        finally:
            fs.disarm()
        clone = memory.crash_clone("process")
        with lsm.open("/db", fs=clone, threads=0, write_buffer=4096) as db:
            assert len(list(db)) == 100
    assert raised > 20


def test_opening_without_memory_for_the_scrubber_lets_go_of_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = made()
    opened: list[lsm.DB] = []

    def none(rate: float) -> NoReturn:
        raise MemoryError("bucket")

    with monkeypatch.context() as m:
        m.setattr("lsm.scrub.Bucket", none)
        with pytest.raises(MemoryError) as told:
            opened.append(lsm.open("/db", fs=memory, threads=0))
    with lsm.open("/db", fs=memory, threads=0) as db:  # while what was raised still holds the frames, and so the database
        assert len(list(db)) == 100
    assert not opened and "bucket" in str(told.value)


@pytest.mark.parametrize("op", ["sync", "append", "close", "link", "sync_dir", "rename", "open", "mkdir"])
def test_a_checkpoint_that_fails_leaves_nothing_and_the_database_goes_on(op: str) -> None:
    _, fs = made()
    failed = 0
    for nth in range(1, 12):
        with lsm.open("/db", fs=fs, threads=0, write_buffer=4096) as db:
            db.flush()
            fs.arm(op, "/copy*", nth=nth)
            try:
                db.checkpoint("/copy")
            except lsm.IOFailure:
                failed += 1
                assert not fs.exists("/copy")
                db.put(b"still", b"here")
            else:
                break
            finally:
                fs.disarm()
    assert failed, f"no call of {op} was made"
