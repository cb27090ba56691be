"""Backups: how much they copy, what they refuse, and what happens when the target fails."""

from __future__ import annotations

import errno
import json
import random
from typing import Any

import pytest

import lsm
import lsm.backup
import lsm.db
import recovery
from recovery import Guard, Severity, TargetUnavailable, classify

KEY = bytes(range(32))


def filled(fs: recovery.FileSystem, n: int = 300, **more: Any) -> lsm.DB:
    db = lsm.open("/d", fs=fs, threads=0, write_buffer=64 << 10, **more)
    for i in range(n):
        db.put(b"%05d" % i, b"value %d " % i * 30)
    return db


def changed_row(fs: recovery.FileSystem, change: Any, name: str = "000001") -> lsm.Backups:
    """Rewrite a record as somebody would who knows its checksum."""
    store = recovery.BackupStore(fs, "/t")
    row = store.record("backup", name)
    change(row)
    store.put_record("backup", name, row)
    return lsm.Backups("/t", fs=fs)


def test_one_percent_changed_copies_less_than_three_percent_also_when_everything_was_merged_meanwhile() -> None:
    """The smaller one of 200 MB with default options, where it was 1.1 percent."""
    fs, rng = recovery.memory(), random.Random(1)
    with lsm.open("/d", fs=fs, threads=0, write_buffer=1 << 20, compaction={"level_base": 4 << 20, "output_bytes": 1 << 20}) as db:
        keys = [b"%06d" % i for i in rng.sample(range(20_000), 20_000)]
        for i in range(0, len(keys), 100):
            db.put_many([(k, rng.randbytes(500)) for k in keys[i : i + 100]])
        full = db.backup("/t")
        assert full.new_bytes > 10_000_000
        for merge in (False, True, False):
            for k in rng.sample(keys, len(keys) // 100):
                db.put(k, rng.randbytes(500))
            if merge:
                db.compact()
            made = db.backup("/t")
            assert made.new_bytes < 0.03 * full.new_bytes, made
        lsm.Backups("/t", fs=fs).restore("/r")
        with lsm.open("/r", fs=fs, threads=0) as copy:
            assert list(copy.scan()) == list(db.scan())


def test_a_backup_of_nothing_new_copies_nothing() -> None:
    fs = recovery.memory()
    with filled(fs) as db:
        assert db.backup("/t").new_bytes > 0
        assert db.backup("/t").new_bytes == 0


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_an_encrypted_backup_shows_nothing_and_needs_its_key(codec: str) -> None:
    fs = recovery.memory()
    with filled(fs) as db:
        db.backup("/t", key=KEY, codec=codec)
        expected = dict(db.scan())
    everything = b"".join(fs.read_all(p) for p in fs.walk_files("/t"))
    assert b"value 7" not in everything and b"00007" not in everything and b"000002.sst" not in everything
    for key, word in ((None, "needs its key"), (bytes(32), "not the one"), ("env:LSMLAB_NOT_SET", "no variable")):
        with pytest.raises(lsm.BackupError, match=word):
            lsm.Backups("/t", key=key, fs=fs)
    lsm.Backups("/t", key=KEY, fs=fs).restore("/r")
    with lsm.open("/r", fs=fs, threads=0) as copy:
        assert dict(copy.scan()) == expected


@pytest.mark.parametrize("name", ["../evil.sst", "/etc/passwd", "000001.sst/../x", "CURRENT", "LOCK", "evil.py", "000001.log\n", ""])
def test_names_that_are_not_those_of_our_files_are_refused_and_nothing_is_written(name: str) -> None:
    fs = recovery.memory()
    filled(fs).backup("/t")

    def change(row: dict[str, Any]) -> None:
        row["files"][0]["name"] = name

    with pytest.raises(lsm.RestoreError):
        changed_row(fs, change).restore("/r")
    assert [p for p in fs.walk_files("/r") if not p.endswith("RESTORING")] == [] if fs.exists("/r") else True
    assert not fs.exists("/evil.sst")


def _drop(row: dict[str, Any]) -> None:
    row["files"] = [f for f in row["files"] if not f["name"].endswith(".sst")]


def _double(row: dict[str, Any]) -> None:
    row["files"].append(row["files"][0])


def _huge(row: dict[str, Any]) -> None:
    row["files"][0]["size"] = 1 << 60


def _other_size(row: dict[str, Any]) -> None:
    next(f for f in row["files"] if f["name"].endswith(".sst"))["size"] += 1


def _swap(row: dict[str, Any]) -> None:
    logs = [f for f in row["files"] if f["name"].endswith(".log")]
    tables = [f for f in row["files"] if f["name"].endswith(".sst")]
    logs[0]["object"], tables[0]["object"] = tables[0]["object"], logs[0]["object"]


def _no_manifest(row: dict[str, Any]) -> None:
    row["manifest"] = None


def _wrong_kinds(row: dict[str, Any]) -> None:
    row["logs"] = [{"number": "x"}]


def _other_format(row: dict[str, Any]) -> None:
    row["format"] = 99


def _no_object(row: dict[str, Any]) -> None:
    del row["files"][0]["object"]


def _deep(row: dict[str, Any]) -> None:
    for _ in range(40):
        row["files"] = [row["files"]]


@pytest.mark.parametrize(
    "change", [_drop, _double, _huge, _other_size, _swap, _no_manifest, _wrong_kinds, _other_format, _no_object, _deep]
)
def test_records_that_contradict_themselves_are_errors_and_no_database(change: Any) -> None:
    fs = recovery.memory()
    filled(fs).backup("/t")
    with pytest.raises(lsm.BackupError):
        changed_row(fs, change).restore("/r")
    assert not fs.exists("/r/CURRENT")


@pytest.mark.parametrize("change", [_huge, _no_manifest, _wrong_kinds, _other_format, _no_object, _deep])
def test_a_record_without_its_form_is_told_by_everything_that_reads_it(change: Any) -> None:
    """Row K found that only a restore did; a list, a prune and the next backup ended with a KeyError or a TypeError."""
    fs = recovery.memory()
    with filled(fs) as db:
        db.backup("/t")
        backups = changed_row(fs, change)
        assert ["backup-000001" in p for p in backups.verify()] == [True]
        for call in (backups.backups, lambda: backups.prune(1), lambda: backups.restore("/r"), lambda: db.backup("/t")):
            with pytest.raises(lsm.BackupError, match="backup-000001"):
                call()


def test_a_record_under_a_name_that_is_none_is_told() -> None:
    fs = recovery.memory()
    with filled(fs) as db:
        db.backup("/t")
        fs.write_all("/t/records/backup-first", fs.read_all("/t/records/backup-000001"))
        backups = lsm.Backups("/t", fs=fs)
        assert ["backup-first" in p for p in backups.verify()] == [True]
        for call in (backups.backups, lambda: db.backup("/t")):
            with pytest.raises(lsm.BackupError, match="'first' is no name of a backup"):
                call()


def test_damage_is_named_by_verify_and_refused_by_restore() -> None:
    fs = recovery.memory()
    filled(fs, 1000).backup("/t")
    objects = sorted(p for p in fs.walk_files("/t/objects"))
    assert len(objects) > 2
    for n, path in enumerate(objects):
        whole = fs.read_all(path)
        fs.write_all(path, whole[:-1] + bytes([whole[-1] ^ 4]))
        backups = lsm.Backups("/t", fs=fs)
        assert [path in p for p in backups.verify()] == [True]
        with pytest.raises(lsm.BackupError, match=path.rpartition("/")[2]):
            backups.restore(f"/r{n}")
        fs.unlink(path)
        assert ["missing" in p for p in backups.verify()] == [True]
        fs.write_all(path, whole)
    fs.write_all("/t/records/backup-000001", fs.read_all("/t/records/backup-000001")[:-9])
    assert ["backup-000001" in p for p in lsm.Backups("/t", fs=fs).verify()] == [True]
    with pytest.raises(lsm.BackupError, match="backup-000001"):
        lsm.Backups("/t", fs=fs).prune(1)


@pytest.mark.parametrize("kind", [".sst", ".log"])
def test_a_damaged_file_does_not_get_into_a_backup(kind: str) -> None:
    """Failure mode 93: a backup that copies what is damaged, and looks well."""
    fs = recovery.memory()
    db = filled(fs, cache={"capacity": 0})
    db.core.rotate_log()
    name = [n for n in fs.listdir("/d") if n.endswith(kind)][-2 if kind == ".log" else 0]
    with fs.open(f"/d/{name}", "r+") as f:
        byte = f.pread(1, 100)
        f.pwrite(bytes([byte[0] ^ 1]), 100)
    with pytest.raises(lsm.CorruptionError, match=name):
        db.backup("/t")
    assert lsm.Backups("/t", fs=fs).backups() == []


def test_files_stay_while_they_are_copied() -> None:
    """A compaction between two files of a backup must not take the second away."""
    fs = recovery.memory()
    db = filled(fs, 1000)
    expected = dict(db.scan())
    names: list[str] = []

    def told(name: str, done: int, total: int) -> None:
        names.append(name)
        if done == 1:
            for i in range(300):
                db.put(b"%05d" % i, b"newer" * 50)
            db.compact()

    db.backup("/t", told=told, threads=1)
    assert len(names) > 2
    lsm.Backups("/t", fs=fs).restore("/r")
    with lsm.open("/r", fs=fs, threads=0) as copy:
        assert dict(copy.scan()) == expected
    live = {f"{n:06d}.sst" for n in db.version().tables()}
    assert {n for n in fs.listdir("/d") if n.endswith(".sst")} == live, "what was held back is gone afterwards"


def test_a_backup_of_a_closed_database_is_refused_and_of_one_at_rest_is_made_read_only() -> None:
    fs = recovery.memory()
    db = filled(fs)
    expected = dict(db.scan())
    with pytest.raises(lsm.LockedError), lsm.open("/d", fs=fs, read_only=True, threads=0) as reader:
        reader.backup("/t")
    db.close()
    with pytest.raises(lsm.ClosedError):
        db.backup("/t")
    before = {n: fs.read_all(f"/d/{n}") for n in fs.listdir("/d") if n != "LOCK"}
    with lsm.open("/d", fs=fs, read_only=True, threads=0) as reader:
        reader.backup("/t")
    assert {n: fs.read_all(f"/d/{n}") for n in fs.listdir("/d") if n != "LOCK"} == before
    lsm.Backups("/t", fs=fs).restore("/r")
    with lsm.open("/r", fs=fs, threads=0) as copy:
        assert dict(copy.scan()) == expected


def test_a_restore_does_not_touch_what_is_there() -> None:
    fs = recovery.memory()
    filled(fs).backup("/t")
    fs.mkdir("/home")
    fs.write_all("/home/letter", b"dear")
    fs.write_all("/file", b"")
    for path in ("/home", "/file", "/d"):
        with pytest.raises(lsm.RestoreError):
            lsm.Backups("/t", fs=fs).restore(path)
    assert fs.listdir("/home") == ["letter"]


def test_what_cannot_be_restored_is_told() -> None:
    fs = recovery.memory()
    with filled(fs) as db:
        made = db.backup("/t")
    backups = lsm.Backups("/t", fs=fs)
    for how, word in (
        ({"backup": "000009"}, "no backup 000009"),
        ({"to_seq": made.seq - 1}, "no backup at or before"),
        ({"to_seq": made.seq + 1}, f"reach sequence number {made.seq}"),
        ({"to_time": made.time + 1}, "nothing of the log was archived"),
        ({"to_time": made.time - 1}, "no backup at or before"),
        ({"to_time": 1, "to_seq": 1}, "one of them"),
    ):
        with pytest.raises(lsm.RestoreError, match=word):
            backups.restore("/r", **how)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keep is 0"):
        backups.prune(0)


def test_prune_keeps_what_the_kept_need() -> None:
    fs = recovery.memory()
    with filled(fs) as db:
        for i in range(5):
            db.put(b"x", b"%d" % i)
            db.backup("/t")
        backups = lsm.Backups("/t", fs=fs)
        assert backups.prune(2).backups == ("000001", "000002", "000003")
        assert backups.verify() == []
        for b, value in zip(backups.backups(), (b"3", b"4"), strict=True):
            backups.restore(f"/r{b.id}", backup=b.id)
            with lsm.open(f"/r{b.id}", fs=fs, threads=0) as copy:
                assert copy.get(b"x") == value
        assert db.backup("/t").id == "000006", "ids are not used again"


# When the target fails


def test_the_archive_may_fail_and_the_database_goes_on() -> None:
    inner = recovery.memory()
    fs = recovery.fault(inner)
    db = filled(fs, 0, wal={"archive": "/t"})
    assert db.archiver is not None
    db.backup("/t")
    fs.arm(path="/t*", error=errno.EIO, sticky=True)
    for i in range(3000):
        db.put(b"%05d" % i, b"x" * 100)
    health = db.health
    assert (health.state, health.writable) == ("degraded", True)
    assert "/t" in health.archive and "archive: " in str(health) and "target" in health.advice
    figures = db.stats().archive
    assert figures["pending"] >= 3 and figures["failures"] >= 3 and figures["refused"] >= 1 and figures["breaker_open"] == 1
    waiting = [n for n in fs.listdir("/d") if n.endswith(".log")]
    assert len(waiting) > figures["pending"], "logs are kept until they are shipped"
    with pytest.raises(lsm.BackupError, match="log segments wait"):
        db.archive_now()
    db.close()
    fs.disarm()
    with lsm.open("/d", fs=fs, threads=0, wal={"archive": "/t"}) as db:  # what was not shipped is known after a restart
        db.archive_now()
        assert (db.health.state, db.stats().archive["pending"]) == ("ok", 0)
        lsm.Backups("/t", fs=fs).restore("/r", to_seq=db.core.sequence())
        with lsm.open("/r", fs=fs, threads=0) as copy:
            assert dict(copy.scan()) == dict(db.scan())


@pytest.mark.parametrize("end", ["close", "process", "power"])
def test_a_segment_that_was_shipped_and_is_gone_is_not_asked_for_again(end: str) -> None:
    """Row G found that the third open refused: the manifest still named a segment that was shipped since, and unlinked."""
    fs = recovery.memory()
    for n in range(4):
        db = lsm.open("/d", fs=fs, threads=0, wal={"archive": "/t", "sync": "every"})
        if n == 0:
            db.put(b"k", b"v")
        if end == "close":
            db.close()
        else:
            fs, old = fs.crash_clone(end), db
            old.close()
    with lsm.open("/d", fs=fs, threads=0, wal={"archive": "/t"}) as db:
        assert db[b"k"] == b"v"
        db.archive_now()
        assert db.stats().archive is not None and db.stats().archive["pending"] == db.stats().archive["lost"] == 0
        assert db.health.archive == ""


def test_a_segment_that_is_gone_and_was_not_shipped_is_told_and_the_database_opens() -> None:
    fs = recovery.memory()
    faulty = recovery.fault(fs)
    db = lsm.open("/d", fs=faulty, threads=0, wal={"archive": "/t"})
    db.put(b"k", b"v")
    faulty.arm(path="/t*", nth=1, sticky=True, error=errno.EIO)
    db.flush()
    db.close()
    faulty.disarm()
    with lsm.open("/d", fs=fs, threads=0, read_only=True) as db:
        waiting = [n for n, _ in db.state.unshipped]
    for number in waiting:
        fs.unlink(f"/d/{number:06d}.log")
    assert waiting
    with lsm.open("/d", fs=fs, threads=0, wal={"archive": "/t"}) as db:
        assert db[b"k"] == b"v"
        assert f"segment {waiting[0]:06d}.log cannot be archived, make a new backup" in db.health.archive


def test_a_session_without_the_archive_is_a_gap_that_is_told() -> None:
    fs = recovery.memory()
    with filled(fs, 10, wal={"archive": "/t"}) as db:
        db.backup("/t")
        db.archive_now()
    with filled(fs, 10) as db:
        db.flush()
    with filled(fs, 10, wal={"archive": "/t"}) as db:
        db.archive_now()
        seq = db.core.sequence()
        assert seq == 30
    with pytest.raises(lsm.RestoreError, match="lacks sequence numbers 11 to"):
        lsm.Backups("/t", fs=fs).restore("/r", to_seq=seq)


@pytest.mark.parametrize("backed_up", [1, 2])
@pytest.mark.parametrize("crashes", [1, 2])
def test_numbers_of_writes_that_a_crash_took_are_no_gap(backed_up: int, crashes: int) -> None:
    """The manifest may know of sequence numbers that the log lost: the next session counts on behind them."""
    fs = recovery.memory()
    how: dict[str, Any] = {"threads": 0, "wal": {"archive": "/t", "sync": "none"}}
    db = lsm.open("/d", fs=fs, **how)
    for n in (1, 2):
        db.put(b"%d" % n, b"")
        if n == backed_up:
            db.backup("/t")
    db.flush()
    db.put(b"3", b"lost")
    db.put(b"4", b"lost")
    db.set_policy({"compaction": {"size_ratio": 5}})
    for _ in range(crashes):
        fs = fs.crash_clone("process")
        db = lsm.open("/d", fs=fs, **how)
        assert list(db.scan()) == [(b"1", b""), (b"2", b"")]
    db.put(b"5", b"")
    seq = db.core.sequence()
    assert seq == 5
    db.archive_now()
    db.put(b"6", b"")
    db.archive_now()
    kept = lsm.Backups("/t", fs=fs)
    for limit, expected in [(2, [b"1", b"2"]), (4, [b"1", b"2"]), (5, [b"1", b"2", b"5"]), (6, [b"1", b"2", b"5", b"6"])]:
        kept.restore(f"/r{limit}", to_seq=limit)
        with lsm.open(f"/r{limit}", fs=fs, threads=0) as copy:
            assert [k for k, _ in copy.scan()] == expected


def test_two_copies_of_a_database_do_not_mix_in_one_archive() -> None:
    fs = recovery.memory()
    with filled(fs, 10, wal={"archive": "/t"}) as db:
        db.archive_now()
    fs.mkdir("/copy")
    for name in fs.listdir("/d"):
        fs.write_all(f"/copy/{name}", fs.read_all(f"/d/{name}"))
    with filled(fs, 10, wal={"archive": "/t"}) as db:
        db.archive_now()
    with lsm.open("/copy", fs=fs, threads=0, wal={"archive": "/t"}) as db:
        db.put(b"another", b"story")
        with pytest.raises(lsm.BackupError, match="another segment"):
            db.archive_now()


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (OSError(errno.EINTR, "x"), Severity.TRANSIENT),
        (OSError(errno.ENOSPC, "x"), Severity.RECOVERABLE),
        (OSError(errno.EIO, "x"), Severity.CRITICAL),
        (OSError(9999, "x"), Severity.CRITICAL),
        (recovery.StoreDamage("x", "y"), Severity.FATAL),
        (recovery.WrongKey("x"), Severity.FATAL),
        (lsm.IOFailure("write", "/x", errno.EDQUOT), Severity.RECOVERABLE),
        (ValueError("a defect"), Severity.FATAL),
    ],
)
def test_failures_by_what_helps(error: Exception, severity: Severity) -> None:
    assert classify(error) is severity


def test_a_guard_retries_what_may_pass_with_growing_waits_and_then_opens() -> None:
    waits: list[float] = []
    guard = Guard("target", attempts=4, first_wait=1, longest_wait=3, fail_max=2, reset_after=0, sleep=waits.append, seed=1)
    failing = {"left": 3}

    def work(error: Exception) -> str:
        if failing["left"]:
            failing["left"] -= 1
            raise error
        return "done"

    assert guard.call(work, OSError(errno.EIO, "x")) == "done"
    assert len(waits) == 3 and all(0 <= w <= top for w, top in zip(waits, (1, 2, 3), strict=True))
    failing["left"] = 10**6
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            Guard("other", sleep=waits.append).call(work, OSError(errno.ENOSPC, "No space"))
    assert len(waits) == 3, "no waiting for somebody to free space"
    for _ in range(2):
        assert guard.state == "closed"
        with pytest.raises(OSError, match="x"):
            guard.call(work, OSError(errno.EIO, "x"))
    assert guard.state == "open"
    failing["left"] = 0
    assert guard.call(work, OSError(errno.EIO, "x")) == "done", "half-open: tried once"
    assert guard.state == "closed"
    assert guard.metrics["retries"] == 9 and guard.metrics["critical"] == 2


def test_an_open_breaker_refuses_and_says_why() -> None:
    guard = Guard("target", attempts=1, fail_max=1, reset_after=3600)

    def work() -> None:
        raise OSError(errno.EIO, "the cable is out")

    with pytest.raises(OSError, match="cable"):
        guard.call(work)
    with pytest.raises(TargetUnavailable, match="cable"):
        guard.call(work)
    fatal = Guard("other", fail_max=1)
    for _ in range(3):
        with pytest.raises(recovery.StoreDamage):
            fatal.call(lambda: recovery.BackupStore(recovery.memory(), "/t").record("backup", "000001"))
    assert fatal.state == "closed", "damage is no reason to ask less often"


def test_a_store_that_somebody_uses_is_no_failure_of_the_target() -> None:
    """A long backup opened the breaker of the log archive, which then waited half a minute for nothing."""
    store, guard = recovery.BackupStore(recovery.memory(), "/t"), Guard("target", attempts=2, fail_max=2, sleep=lambda _: None)

    def work() -> str:
        with store.exclusive("archive"):
            return "done"

    with store.exclusive("backup"):
        for _ in range(5):
            with pytest.raises(recovery.LockHeld):
                guard.call(work)
    assert guard.state == "closed"
    assert guard.call(work) == "done"


def test_a_checkpoint_is_one_moment_over_keyspaces_and_a_timeline_of_its_own() -> None:
    fs = recovery.memory()
    with filled(fs, 10) as db:
        other = db.keyspace("other")
        batch = lsm.Batch()
        batch.put(b"k", b"1")
        batch.put(b"k", b"1", keyspace=other)
        db.write(batch)
        tables = db.version().tables()
        db.checkpoint("/c")
        assert db.version().tables() == tables, "nothing is flushed"
        with lsm.open("/c", fs=fs, threads=0) as copy:
            assert copy.get(b"k") == copy.keyspace("other").get(b"k") == b"1"
            assert copy.state.timeline != db.state.timeline
            assert copy.state.database_id == db.state.database_id
        assert json.loads(json.dumps(copy.recovery_report.records)) == 11
