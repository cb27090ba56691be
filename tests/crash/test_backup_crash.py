"""The process dies, or the power fails, at any call of a backup, a prune, an archive or a restore: what is listed restores exactly."""

from __future__ import annotations

import errno
import random
from contextlib import suppress

import pytest

import lsm
import lsm.backup
import recovery

State = dict[bytes, bytes]
MS = 1_000_000


def opened(fs: recovery.FileSystem, clock: recovery.Clock, **wal: object) -> lsm.DB:
    return lsm.open("/d", fs=fs, clock=clock, threads=0, write_buffer=32 << 10, wal={"archive": "/t", **wal})


def contents(fs: recovery.FileSystem, path: str) -> State:
    with lsm.open(path, fs=fs, create=False, threads=0, write_buffer=32 << 10) as db:
        assert db.verify() == []
        return dict(db.scan())


def check(fs: recovery.FileSystem, states: dict[int, State], known: set[str]) -> None:
    """Every backup that is listed verifies and restores to what the database was at its sequence number; none that was known is gone."""
    if not fs.exists("/t/STORE"):
        assert not known
        return
    backups = lsm.Backups("/t", fs=fs)
    assert backups.verify() == []
    found = backups.backups()
    assert known <= {b.id for b in found}
    for b in found[-3:]:
        path = f"/check{b.id}"
        done = backups.restore(path, backup=b.id)
        assert done.seq == b.seq
        assert contents(fs, path) == states[b.seq], f"backup {b.id}"
        for p in list(fs.walk_files(path)):
            fs.unlink(p)
        fs.rmdir(path)


CRASHES = ("process", "power", "random")


def calls(crash: str, most: int = 600) -> range:
    """Each call dies in one way of crashing, and its neighbours in the others."""
    return range(1 + CRASHES.index(crash), most, 3)


@pytest.mark.parametrize("crash", CRASHES)
def test_a_backup_that_dies_at_any_call_leaves_every_listed_one_whole(crash: str) -> None:
    base = recovery.memory()
    clock, states, model = recovery.Clock(10**18), {0: {}}, dict[bytes, bytes]()
    with lsm.open("/d", fs=base, clock=clock, threads=0, write_buffer=32 << 10) as db:
        for i in range(60):
            key, value = b"%03d" % (i * 7 % 50), b"%d" % i * 400
            db.put(key, value)
            model[key] = value
            states[db.core.sequence()] = dict(model)
            if i == 40:
                db.backup("/t")
        db.sync()
        for nth in calls(crash):
            fs = recovery.fault(base.crash_clone("process"))
            died = _dies(fs, clock, nth)
            after = fs.inner.crash_clone(crash, seed=nth)  # type: ignore[union-attr]
            check(after, states, {"000001"})
            with lsm.open("/d", fs=after, threads=0, write_buffer=32 << 10) as again:
                assert dict(again.scan()) == model or crash != "process"
                if dict(again.scan()) == model:
                    states[again.core.sequence()] = model
                    made = again.backup("/t")
                    check(after, states, {"000001", made.id})
            if not died:
                return
    raise AssertionError("more calls than expected")


def _dies(fs: recovery.FaultFileSystem, clock: recovery.Clock, nth: int) -> bool:
    """Open the database and back it up; every call from the nth on fails, as after a death. Tells whether it came to that."""
    fs.arm(nth=nth, error=errno.EIO, sticky=True)
    try:
        with lsm.open("/d", fs=fs, clock=clock, threads=0, write_buffer=32 << 10) as db:
            store = lsm.backup.open_store(fs, "/t", key=None, make=True)
            lsm.backup.create(db, store, recovery.Guard("t", attempts=1), None, 1)
    except (lsm.Error, OSError):
        return True
    return False


@pytest.mark.parametrize("seed", range(4))
def test_random_writes_backups_prunes_and_crashes(seed: int) -> None:
    """Repeat one with: pytest tests/crash/test_backup_crash.py -k "random_writes and [SEED]"."""
    rng, clock = random.Random(seed), recovery.Clock(10**18)
    fs: recovery.MemoryFileSystem = recovery.memory()
    states: dict[int, State] = {0: {}}
    moments: list[tuple[int, int]] = []  # (time, sequence number) of what is in the archive for sure
    known: set[str] = set()
    for _ in range(6):
        flaky = recovery.fault(fs)
        db = opened(flaky, clock, sync="every")
        model = dict(db.scan())
        assert states.setdefault(db.core.sequence(), model) == model
        with suppress(lsm.Error, OSError):
            for _ in range(rng.randint(5, 40)):
                clock.now_ns += rng.choice((0, MS, 3 * MS, -20 * MS))
                what = rng.random()
                if what < 0.8:
                    key, value = b"%02d" % rng.randrange(30), rng.randbytes(rng.randrange(3000))
                    model = model | {key: value}
                    states[db.core.sequence() + 1] = model
                    db.put(key, value)
                elif what < 0.9:
                    store = lsm.backup.open_store(flaky, "/t", key=None, make=True)
                    known.add(lsm.backup.create(db, store, recovery.Guard("t", attempts=1), None, 1).id)
                elif what < 0.93 and known:
                    keep = rng.randint(1, 2)
                    gone = lsm.Backups("/t", fs=flaky).prune(keep).backups
                    known -= set(gone)
                elif what < 0.96:
                    db.archive_now()
                    moments.append((db.core.log_time(), db.core.sequence()))
                elif rng.random() < 0.5:
                    flaky.arm(path="/t/*", nth=rng.randint(1, 25), error=rng.choice((errno.EIO, errno.ENOSPC)), sticky=True)
        fs = fs.crash_clone(rng.choice(("process", "power", "random")), seed=rng.randrange(1 << 30))
        with suppress(lsm.Error, OSError):
            flaky.disarm()
            db.close()
    if not known:
        return
    left = {b.id for b in lsm.Backups("/t", fs=fs).backups()}
    check(fs, states, known & left)
    backups = lsm.Backups("/t", fs=fs)
    oldest = min(b.seq for b in backups.backups())
    for n, (_, seq) in enumerate(m for m in moments if m[1] >= oldest):
        done = backups.restore(f"/moment{n}", to_seq=seq)
        assert (done.seq, contents(fs, done.path)) == (seq, states[seq])


@pytest.mark.parametrize("crash", CRASHES)
def test_a_restore_that_dies_at_any_call_is_no_database_and_can_be_done_again(crash: str) -> None:
    base = recovery.memory()
    with lsm.open("/d", fs=base, threads=0, write_buffer=32 << 10) as db:
        for i in range(60):
            db.put(b"%03d" % i, b"%d" % i * 400)
        expected = dict(db.scan())
        db.backup("/t")
    for nth in calls(crash):
        inner = base.crash_clone("process")
        fs = recovery.fault(inner)
        fs.arm(nth=nth, error=errno.EIO, sticky=True)
        try:
            lsm.Backups("/t", fs=fs).restore("/r")
            died = False
        except (lsm.Error, OSError):
            died = True
        after = inner.crash_clone(crash, seed=nth)
        if after.exists("/r/CURRENT"):
            assert contents(after, "/r") == expected, "complete, or no database"
        else:
            if after.exists("/r") and after.listdir("/r"):
                with pytest.raises((lsm.CorruptionError, lsm.NotADatabase)):
                    lsm.open("/r", fs=after, create=False, write_buffer=32 << 10)
            lsm.Backups("/t", fs=after).restore("/r")
            assert contents(after, "/r") == expected
        if not died:
            return
    raise AssertionError("more calls than expected")


@pytest.mark.parametrize("crash", CRASHES)
def test_a_checkpoint_under_a_crash_is_whole_or_no_database(crash: str) -> None:
    base = recovery.memory()
    db = lsm.open("/d", fs=base, threads=0, write_buffer=32 << 10)
    other = db.keyspace("other")
    for i in range(40):
        batch = lsm.Batch()
        batch.put(b"%03d" % i, b"x" * 900)
        batch.put(b"%03d" % i, b"x" * 900, keyspace=other)
        db.write(batch)
    db.sync()
    db.checkpoint("/c")
    after = base.crash_clone(crash, seed=1)
    assert len(contents(after, "/c")) == 40, "durable when it returns, the log included"
    for nth in calls(crash):
        inner = base.crash_clone("process")
        fs = recovery.fault(inner)
        with lsm.open("/d", fs=fs, threads=0, write_buffer=32 << 10) as again:
            fs.arm(nth=nth, error=errno.EIO, sticky=True)
            died = True
            with suppress(lsm.Error):
                again.checkpoint("/c2")
                died = False
            after = inner.crash_clone(crash, seed=nth)
            fs.disarm()
        if after.exists("/c2/CURRENT"):
            with lsm.open("/c2", fs=after, create=False, threads=0, write_buffer=32 << 10) as copy:
                assert dict(copy.scan()) == dict(copy.keyspace("other").scan())
                assert len(dict(copy.scan())) == 40
        if not died:
            return
    raise AssertionError("more calls than expected")
