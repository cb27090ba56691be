"""Readers beside a writer, flushes and compactions: a batch is seen whole or not at all, and time does not go backwards."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import lsm
import recovery

KEYS = [b"key%d" % i for i in range(8)]
ROUNDS = 400


def by_get_many(db: lsm.DB) -> list[bytes | None]:
    return list(db.get_many(KEYS))


def by_scan(db: lsm.DB) -> list[bytes | None]:
    return [v for k, v in db.scan(prefix=b"key")]


def by_reverse_scan(db: lsm.DB) -> list[bytes | None]:
    return [v for k, v in db.scan(prefix=b"key", reverse=True)]


def by_snapshot(db: lsm.DB) -> list[bytes | None]:
    with db.snapshot() as snapshot:
        return [snapshot.get(k) for k in KEYS]


@pytest.mark.threads
@pytest.mark.parametrize("sync", ["os", "group"])
def test_batches_are_seen_whole_and_in_order(sync: str) -> None:
    options = {"layout": "tiering", "size_ratio": 3, "l0_trigger": 2, "output_bytes": 4096, "level_base": 8192}
    db = lsm.open("/db", fs=recovery.memory(), threads=1, write_buffer=16384, wal={"sync": sync}, compaction=options)
    stop, wrong = threading.Event(), []
    db.put_many([(k, b"%08d" % 0) for k in KEYS])

    def read(how: Callable[[lsm.DB], list[bytes | None]]) -> None:
        last = b""
        while not stop.is_set():
            seen = how(db)
            if len(seen) != len(KEYS) or len(set(seen)) != 1 or seen[0] is None or seen[0] < last:
                wrong.append((how.__name__, last, seen))
                return
            last = seen[0]

    readers = [threading.Thread(target=read, args=(how,)) for how in (by_get_many, by_scan, by_reverse_scan, by_snapshot)]
    for thread in readers:
        thread.start()
    for i in range(1, ROUNDS):
        batch = lsm.Batch()
        if i % 5 == 0:
            batch.delete_range(b"key", b"kez")
        for k in KEYS:
            batch.put(k, b"%08d" % i)
        db.write(batch)
        db.put(b"other%d" % i, b"x" * 100)
    stop.set()
    for thread in readers:
        thread.join()
    db.wait()
    assert wrong == []
    assert by_scan(db) == [b"%08d" % (ROUNDS - 1)] * len(KEYS)
    db.close()


@pytest.mark.threads
def test_closing_waits_for_those_inside_and_refuses_the_rest() -> None:
    db = lsm.open("/db", fs=recovery.memory(), threads=0)
    db.put_many([(b"%05d" % i, b"x" * 50) for i in range(3000)])
    ended: list[str] = []
    started = threading.Barrier(4)

    def work(write: bool) -> None:
        started.wait()
        try:
            for i in range(1_000_000):
                if write:
                    db.put(b"%05d" % (i % 3000), b"y" * 50)
                else:
                    assert len(db.get_many([b"%05d" % (i * 7 % 3000)] * 50)) == 50
        except lsm.ClosedError:
            ended.append("closed")

    threads = [threading.Thread(target=work, args=(i == 0,)) for i in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    threading.Event().wait(0.05)
    db.close()
    for thread in threads:
        thread.join()
    assert ended == ["closed"] * 3
