"""Damage in tables of an open database: found by a scrub, told by health, reads of it raise and others do not, healed from a copy."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.native import Bucket

SMALL: dict[str, Any] = {"threads": 0, "cache": {"capacity": 1 << 20}, "table": {"block_size": 512}}


def opened(fs: recovery.FileSystem, **options: Any) -> tuple[lsm.DB, str]:
    """A database with one table of 400 keys, a row of it damaged on the disk, and a checkpoint from before."""
    db = lsm.open("/d", {**SMALL, **options}, fs=fs)
    db.put_many([(b"%03d" % i, b"v" * 40) for i in range(400)])
    db.flush()
    db.checkpoint("/copy")
    (number,) = db.version().tables()
    path = f"/d/{number:06d}.sst"
    data = bytearray(fs.read_all(path))
    fs.unlink(path)  # the checkpoint's link keeps the good bytes
    data[5000] ^= 16
    fs.write_all(path, bytes(data))
    db.close()
    return lsm.open("/d", {**SMALL, **options}, fs=fs, create=False), path


def answers(db: lsm.DB) -> tuple[list[int], list[int]]:
    right, refused = [], []
    for i in range(400):
        try:
            assert db.get(b"%03d" % i) == b"v" * 40
            right.append(i)
        except lsm.CorruptionError:
            refused.append(i)
    return right, refused


@pytest.mark.parametrize("index", ["full", "two_level"])
def test_found_told_and_healed(index: str) -> None:
    fs = recovery.memory()
    db, path = opened(fs, table={"block_size": 512, "index": index})
    name = path.rsplit("/", 1)[1]
    seen: list[tuple[str, int, int]] = []
    assert db.health.state == "ok" and db.health.last_scrub == 0
    before = db.stats().counters.get("cache_inserts", 0)
    (problem,) = db.scrub(progress=lambda *told: seen.append(told))
    assert name in problem and seen[0][0] == name and seen[-1] == ("done", seen[-1][2], seen[-1][2])
    assert db.stats().counters.get("cache_inserts", 0) == before
    health = db.health
    assert (health.state, health.writable, health.damaged) == ("damaged", True, (problem,)) and health.last_scrub > 0
    assert "heal" in health.advice and f"damaged: {problem}" in str(health)
    right, refused = answers(db)
    assert refused and len(right) > 380 and refused == list(range(refused[0], refused[-1] + 1))
    db.put(b"more", b"1")
    reader = db.scan(b"300", b"301")  # holds the damaged table while it is replaced
    assert db.heal("/copy") == [name]
    assert list(reader) == [(b"300", b"v" * 40)]
    assert answers(db) == (list(range(400)), []) and db.scrub() == [] and db.health.state == "ok"
    assert not [n for n in fs.listdir("/d") if n.endswith(".heal")]
    db.close()
    assert not check("/d", fs=fs).problems
    assert fs.crash_clone("power").read_all(path) == fs.read_all(path)


def test_a_copy_that_is_damaged_or_another_heals_nothing() -> None:
    fs = recovery.memory()
    db, path = opened(fs)
    db.scrub()
    name = path.rsplit("/", 1)[1]
    good = fs.read_all(f"/copy/{name}")
    fs.write_all(f"/copy/{name}", good[:100] + b"?" + good[101:])
    assert db.heal("/copy") == []
    fs.unlink(f"/copy/{name}")
    assert db.heal("/copy") == []
    with pytest.raises(lsm.NotADatabase):
        db.heal("/none")
    fs.makedirs("/elsewhere/deep")
    fs.write_all("/elsewhere/deep/any-name", good)
    assert db.health.state == "damaged"
    assert db.heal("/elsewhere") == [name] and answers(db)[1] == []
    db.close()


@pytest.mark.parametrize("op", ["open", "append", "sync", "rename", "sync_dir"])
def test_healing_that_fails_changes_nothing(op: str) -> None:
    disk = recovery.memory()
    fs = recovery.fault(disk)
    db, _ = opened(fs)
    db.scrub()
    fs.arm(op, "/d*", 1, 5)
    with pytest.raises(lsm.Error):
        db.heal("/copy")
    fs.disarm()
    assert len(answers(db)[0]) > 380
    assert len(db.heal("/copy")) == 1 or op == "sync_dir"
    assert answers(db)[1] == [] or op == "sync_dir"
    db.close()
    with lsm.open("/d", SMALL, fs=disk, create=False) as again:
        assert answers(again)[1] == []


def checked(db: lsm.DB) -> int:
    """Bytes that were read to look at them."""
    return sum(size for (op, _, _, cause), (_, size) in db.ledger.sum()[0].items() if (op, cause) == ("read", "check"))


def test_the_background_finds_it_and_ends_in_the_middle() -> None:
    fs = recovery.memory()
    db, path = opened(fs, scrub={"bytes_per_second": 1 << 30, "interval_s": 0}, threads=1)
    end = time.monotonic() + 60
    while db.health.state != "damaged" and time.monotonic() < end:
        time.sleep(0.001)
    assert path.rsplit("/", 1)[1] in db.health.damaged[0]
    db.close()
    with lsm.open("/d", SMALL, fs=fs) as db:  # more than the burst
        db.put_many([(b"more%06d" % i, os.urandom(100)) for i in range(2000)])
        db.flush()
    slow = lsm.open("/d", {**SMALL, "scrub": {"bytes_per_second": 1, "interval_s": 0}}, fs=fs)  # a pass takes a day
    while time.monotonic() < end and checked(slow) < 65_000:  # then it waits
        time.sleep(0.001)
    assert checked(slow) < 70_000
    slow.close()


class Watched(dict[int, Any]):
    """Attachments of keyspaces, which somebody adds to whenever they are looked through and nobody holds the lock."""

    def __init__(self, rows: dict[int, Any], add: Callable[[], object]) -> None:
        super().__init__(rows)
        self.add, self.threads = add, list[threading.Thread]()

    def values(self) -> Any:
        for row in super().values():
            if len(self.threads) < 3:
                self.threads.append(threading.Thread(target=self.add))
                self.threads[-1].start()
                self.threads[-1].join(0.1)  # it waits for the lock, if there is one
            yield row


def with_table(fs: recovery.FileSystem) -> lsm.DB:
    db = lsm.open("/d", SMALL, fs=fs)
    table = db.table("people", key="id")
    table.create_index("age", "age")
    table.put({"id": 1, "age": 7})
    db.flush()
    db.keyspace("people").flush()
    assert db.state.attached_files()
    return db


@pytest.mark.parametrize("look", [lambda db: db.scrub() == [], lambda db: db.scrubber.damaged == {}], ids=["scrub", "damaged"])
def test_tables_that_come_while_files_are_listed(look: Callable[[lsm.DB], bool]) -> None:
    """A scrub ended with a RuntimeError: the list of index files changed under it."""
    with with_table(recovery.memory()) as db:
        names = iter(range(100))
        db.state.attached = Watched(dict(db.state.attached), lambda: db.table(f"more{next(names)}", key="id"))
        assert look(db)
        for thread in db.state.attached.threads:
            thread.join()
        assert len(db.state.attached) > 1


def test_an_index_file_that_goes_while_it_is_scrubbed() -> None:
    """A scrub with a rate asked for its size when a merge had removed it, and ended with a FileNotFoundError."""
    fs = recovery.fault(recovery.memory())
    with with_table(fs) as db:
        asked = 0
        for nth in range(1, 9):
            before = fs.calls("stat", "*.idx")
            fs.arm("stat", "*.idx", nth, errno.ENOENT)
            assert db.scrubber.scan(Bucket(1 << 30), None) == []
            asked = max(asked, fs.calls("stat", "*.idx") - before)
            fs.disarm()
        assert 0 < asked < 8


def test_a_file_system_that_does_not_say_how_large_an_index_file_is(caplog: pytest.LogCaptureFixture) -> None:
    """The thread of the scrub ended there with an OSError: no file was looked at any more, and nobody was told."""
    fs = recovery.fault(recovery.memory())
    with with_table(fs) as db:
        told = 0
        for nth in range(1, 9):
            before, passes = fs.calls("stat", "*.idx"), db.scrubber.passes
            fs.arm("stat", "*.idx", nth, errno.EIO)
            problems = db.scrubber.scan(Bucket(1 << 30), None)
            fs.disarm()
            reached = fs.calls("stat", "*.idx") - before >= nth
            assert [".idx" in line and "Input/output error" in line for line in problems] == [True] * reached
            assert db.scrubber.passes == passes + 1 and db.health.state == "ok"
            told += reached
        assert 0 < told == sum("could not read" in line for line in caplog.messages)


def test_the_background_goes_on_behind_a_file_that_cannot_be_looked_at() -> None:
    fs = recovery.fault(recovery.memory())
    with_table(fs).close()
    with lsm.open("/d", {**SMALL, "scrub": {"bytes_per_second": 1 << 30, "interval_s": 0}}, fs=fs) as db:
        before = fs.calls("stat", "*.idx")
        fs.arm("stat", "*.idx", 1, errno.EIO)
        end = time.monotonic() + 60
        while fs.calls("stat", "*.idx") < before + 5 and time.monotonic() < end:
            time.sleep(0.001)
        fs.disarm()
        passes = db.scrubber.passes
        while db.scrubber.passes < passes + 2 and time.monotonic() < end:
            time.sleep(0.001)
        assert db.scrubber.passes >= passes + 2


def test_options_of_the_scrubber() -> None:
    with pytest.raises(lsm.InvalidOptions, match="bytes_per_second"):
        lsm.Options.from_dict({"scrub": {"bytes_per_second": -1}})
    assert lsm.Options().scrub == lsm.ScrubOptions(0, 86_400)
