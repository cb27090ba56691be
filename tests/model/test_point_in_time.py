"""Backup and restore to a moment, of a database in use, against a record of what was written when."""

from __future__ import annotations

import itertools
import random
import threading
from pathlib import Path

import pytest

import lsm
import recovery
from lsm.secondary import col

START = 1_700_000_000_000_000_000
MS = 1_000_000


class Story:
    """What was written: (time, first and last sequence number, operations) of each batch, in the order of the log."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int, int, list[tuple[str, bytes, bytes | None]]]] = []

    def state(self, *, seq: int | None = None, time: int | None = None) -> dict[str, dict[bytes, bytes]]:
        out: dict[str, dict[bytes, bytes]] = {"default": {}, "other": {}}
        for at, _, last, operations in self.batches:
            if (seq is not None and last > seq) or (time is not None and at > time):
                break
            for space, key, value in operations:
                if value is None:
                    out[space].pop(key, None)
                else:
                    out[space][key] = value
        return out


def contents(db: lsm.DB) -> dict[str, dict[bytes, bytes]]:
    return {name: dict(db.keyspace(name, create=False).scan()) for name in ("default", "other")}


def restored(backups: lsm.Backups, path: str, fs: recovery.FileSystem, **how: int) -> tuple[lsm.Restored, dict[str, dict[bytes, bytes]]]:
    done = backups.restore(path, **how)
    with lsm.open(path, fs=fs, create=False, threads=0, write_buffer=8192) as db:
        assert db.verify() == []
        return done, contents(db)


@pytest.mark.parametrize("sync", ["os", "group", "none"])
def test_backups_of_a_database_under_load_lead_to_every_moment(tmp_path: Path, sync: str) -> None:
    """Writers and a backup thread at once; then restores to many times and sequence numbers equal the record."""
    clock, story, lock = recovery.Clock(START), Story(), threading.Lock()
    fs, target = recovery.posix(), str(tmp_path / "target")
    options = {"sync": sync, "archive": target}
    db = lsm.open(tmp_path / "db", clock=clock, threads=2, write_buffer=32 << 10, wal=options)
    spaces = {"default": db.default, "other": db.keyspace("other")}
    first = db.backup(target)

    def write(number: int) -> None:
        rng = random.Random(number)
        for _ in range(250):
            operations = [
                (rng.choice(("default", "other")), b"%05d" % rng.randrange(800), rng.randbytes(60) if rng.random() < 0.8 else None)
                for _ in range(rng.randint(1, 8))
            ]
            batch = lsm.Batch()
            for space, key, value in operations:
                if value is None:
                    batch.delete(key, keyspace=spaces[space])
                else:
                    batch.put(key, value, keyspace=spaces[space])
            with lock:  # the record must have the order of the log, nothing more
                clock.now_ns += rng.choice((0, MS // 3, MS, 5 * MS))
                before = db.core.sequence()
                db.write(batch)
                story.batches.append((clock.now_ns // MS, before + 1, before + len(operations), operations))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for w in writers:
        w.start()
    made = [first]
    while any(w.is_alive() for w in writers):
        made.append(db.backup(target))
    for w in writers:
        w.join()
    db.archive_now()
    assert db.health.archive == ""
    assert contents(db) == story.state()
    db.close()

    backups = lsm.Backups(target)
    assert backups.verify() == []
    rng, points = random.Random(7), itertools.count()
    for b in {made[0], made[-1], *rng.sample(made, min(2, len(made)))}:
        done, found = restored(backups, str(tmp_path / f"r{next(points)}"), fs, backup=b.id)  # type: ignore[arg-type]
        assert (done.seq, found) == (b.seq, story.state(seq=b.seq))
    for at, _, last, _ in rng.sample(story.batches, 6):
        done, found = restored(backups, str(tmp_path / f"r{next(points)}"), fs, to_seq=last)
        assert (done.seq, found) == (last, story.state(seq=last))
        done, found = restored(backups, str(tmp_path / f"r{next(points)}"), fs, to_time=at * MS + MS - 1)
        assert found == story.state(time=at)
    middle = next((first, last) for _, first, last, _ in story.batches[300:] if last > first)
    done, found = restored(backups, str(tmp_path / f"r{next(points)}"), fs, to_seq=middle[0])
    assert (done.seq, found) == (middle[0] - 1, story.state(seq=middle[0])), "a batch is there whole or not at all"


def small(fs: recovery.MemoryFileSystem, clock: recovery.Clock, path: str = "/d", **more: object) -> lsm.DB:
    return lsm.open(path, fs=fs, clock=clock, threads=0, write_buffer=8 << 10, wal={"archive": "/t"}, **more)


def test_a_clock_that_goes_backwards_loses_nothing_and_keeps_the_order() -> None:
    fs, clock = recovery.memory(), recovery.Clock(START)
    with small(fs, clock) as db:
        db.backup("/t")
        db.put(b"a", b"1")
        clock.now_ns = START + 10 * MS
        db.put(b"a", b"2")
        clock.now_ns = START - 3_600_000 * MS  # an hour back
        db.put(b"a", b"3")
        clock.now_ns = START + 20 * MS
        db.put(b"a", b"4")
        clock.now_ns = START + 5 * MS
        db.backup("/t")
        db.archive_now()
    with small(fs, clock) as db:  # marks go on from the last one, also over a restart
        db.put(b"a", b"5")
        db.archive_now()
    backups = lsm.Backups("/t", fs=fs)
    assert backups.prune(keep=1).backups == ("000001",), "the newer one is told by its number, not by the clock"
    for n, (ms, value) in enumerate([(20, b"5"), (40, b"5")]):
        backups.restore(f"/r{n}", to_time=START + ms * MS)
        with lsm.open(f"/r{n}", fs=fs, threads=0, write_buffer=8192) as db:
            assert db.get(b"a") == value
    with pytest.raises(lsm.RestoreError, match="no backup at or before"):
        backups.restore("/early", to_time=START)
    assert not fs.exists("/early")


def test_moments_before_and_after_the_step_back_are_told_apart() -> None:
    fs, clock = recovery.memory(), recovery.Clock(START)
    with small(fs, clock) as db:
        db.backup("/t")
        for n, ms in enumerate((1, 10, -50, 5, 20)):
            clock.now_ns = START + ms * MS
            db.put(b"a", b"%d" % n)
        db.archive_now()
    backups = lsm.Backups("/t", fs=fs)
    for at, value in ((0, None), (1, b"0"), (9, b"0"), (10, b"3"), (19, b"3"), (20, b"4")):
        backups.restore(f"/at{at}", to_time=START + at * MS + MS - 1)
        with lsm.open(f"/at{at}", fs=fs, threads=0, write_buffer=8192) as db:
            assert db.get(b"a") == value, at


def test_keyspaces_are_as_they_were_then() -> None:
    fs, clock = recovery.memory(), recovery.Clock(START)
    moments: list[tuple[int, dict[str, dict[bytes, bytes]]]] = []
    with small(fs, clock) as db:

        def note() -> None:
            moments.append((clock.now_ns, {name: dict(db.keyspace(name).scan()) for name in db.keyspaces()}))
            clock.now_ns += 10 * MS

        db.put(b"k", b"0")
        db.backup("/t")
        note()
        one = db.keyspace("one")
        one.put(b"a", b"1")
        note()
        db.drop_keyspace("one")
        db.put(b"k", b"2")
        note()
        db.keyspace("one").put(b"b", b"3")
        note()
        db.flush()
        note()
        db.archive_now()
    for n, (at, state) in enumerate(moments):
        lsm.Backups("/t", fs=fs).restore(f"/r{n}", to_time=at)
        with lsm.open(f"/r{n}", fs=fs, threads=0, write_buffer=8192) as db:
            assert {name: dict(db.keyspace(name).scan()) for name in db.keyspaces()} == state, n


def test_tables_with_indexes_are_restored_with_them() -> None:
    fs, clock = recovery.memory(), recovery.Clock(START)
    with small(fs, clock) as db:
        table = db.table("people")
        table.create_index("by_city", "city", kind="hash")
        for i in range(200):
            table.put({"id": i, "city": "AB"[i % 2], "age": i})
        db.backup("/t")
        table.create_index("by_age", "age")
        for i in range(200, 400):
            table.put({"id": i, "city": "AB"[i % 2], "age": i, "new column": i})
        clock.now_ns += 10 * MS
        at = clock.now_ns
        clock.now_ns += 10 * MS
        table.put({"id": 1000, "city": "A", "age": 5})
        db.archive_now()
    lsm.Backups("/t", fs=fs).restore("/r", to_time=at)
    with lsm.open("/r", fs=fs, threads=0, write_buffer=8192) as db:
        table = db.table("people")
        db.wait()
        assert table.scrub() == []
        assert [r["id"] for r in table.find(col("age") == 5)] == [5]
        assert len(list(table.find(col("city") == "A"))) == 200
        assert table.get(399)["new column"] == 399
        assert {x["name"] for x in table.indexes()} == {"by_city", "by_age"}


def test_a_restored_database_goes_its_own_way_in_the_same_archive() -> None:
    fs, clock = recovery.memory(), recovery.Clock(START)
    with small(fs, clock) as db:
        db.put(b"a", b"1")
        db.backup("/t")
        clock.now_ns += 10 * MS
        db.put(b"a", b"original")
        db.archive_now()
    backups = lsm.Backups("/t", fs=fs)
    backups.restore("/r", backup="000001")
    clock.now_ns += 10 * MS
    with small(fs, clock, "/r") as db:
        db.put(b"a", b"copy")
        copied = db.backup("/t")
        clock.now_ns += 10 * MS
        db.put(b"a", b"copy 2")
        db.archive_now()
    with pytest.raises(lsm.RestoreError, match="2 databases or timelines"):
        backups.restore("/x", to_time=clock.now_ns)
    for name, line, value in (
        ("/o", f"{copied.database}-{'0' * 16}", b"original"),
        ("/c", f"{copied.database}-{copied.timeline}", b"copy 2"),
    ):
        backups.restore(name, to_time=clock.now_ns, database=line)
        with lsm.open(name, fs=fs, threads=0, write_buffer=8192) as db:
            assert db.get(b"a") == value
