"""A child that fork made has handles of its parent's databases: it can do no harm with them, and the parent goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lsm
from lsm.check import check

STOPPED = """
import os, threading
import lsm, recovery

db = lsm.open("/d", fs=recovery.memory(), threads=1, write_buffer=1 << 16)
held, go, batch = threading.Event(), threading.Event(), lsm.Batch()
batch.put(b"a", b"1")

def hold():
    with db.executor.lock:
        db.default.core.admit(False, 0)
        held.set()
        go.wait()

holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
if not child:
    for call in (lambda: db.put(b"a", b"1"), lambda: db.delete(b"a"), lambda: db.put_many([(b"a", b"1")]), lambda: db.write(batch),
                 lambda: db.flush(), lambda: db.compact(), lambda: db.snapshot(), lambda: db.health, lambda: db.checkpoint("copy")):
        try:
            call()
        except lsm.ClosedError:
            continue
        os._exit(3)
    os._exit(7)
assert os.waitpid(child, 0)[1] >> 8 == 7
go.set()
holder.join()
db.put(b"b", b"1")
db.close()
"""


def test_a_child_does_not_wait_until_its_parents_writes_go_on() -> None:
    """It would wait for a lock that a thread holds which the child has not."""
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


STORY = """
import os, sys, threading
import lsm

db = lsm.open(sys.argv[1], wal={"sync": sys.argv[2]}, threads=int(sys.argv[3]), write_buffer=1 << 16)
other, scan, snapshot = db.keyspace("other"), db.scan(), db.snapshot()
for i in range(500):
    db.put(b"%04d" % i, b"v" * 100)
scan = db.scan()
next(scan)
read, write = os.pipe()
child = os.fork()
if not child:
    os.close(write)
    calls = [lambda: db.put(b"child", b"1"), lambda: db.get(b"0001"), lambda: other.put(b"child", b"1"), lambda: db.flush(),
             lambda: db.sync(), lambda: db.write(lsm.Batch(), sync=True), lambda: db.compact(), lambda: db.snapshot(),
             lambda: db.health, lambda: db.checkpoint("copy")]
    for n, call in enumerate(calls):
        try:
            call()
        except lsm.ClosedError:
            continue
        os.write(2, b"call %d went through\\n" % n)
        os._exit(3)
    db.close()
    if sys.argv[4] == "first":
        sys.exit(7)  # all that happens at an end happens: exit handlers, the collector
    os.read(read, 1)
    del db, other, scan, snapshot
    sys.exit(7)
if sys.argv[4] == "first":
    assert os.waitpid(child, 0)[1] >> 8 == 7
for i in range(500, 1000):
    db.put(b"%04d" % i, b"v" * 100)
assert len(list(scan)) == 499
if sys.argv[4] == "first":
    db.sync()
    os._exit(0)  # killed
scan.close(), snapshot.close(), db.close()
db = lsm.open(sys.argv[1])  # nobody holds it, though the child lives
assert len(list(db.scan())) == 1000
os.close(write)
assert os.waitpid(child, 0)[1] >> 8 == 7
db.close()
"""


@pytest.mark.parametrize("ends", ["first", "last"])
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("sync", ["none", "os", "group"])
def test_a_child_leaves_its_parents_database_alone(sync: str, threads: int, ends: str, tmp_path: Path) -> None:
    """The end of a child closed the database in its name: it wrote the end of the log, and what the parent wrote behind it was lost."""
    path = tmp_path / "db"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STORY, str(path), sync, str(threads), ends],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not check(path).problems
    with lsm.open(path) as db:
        assert [k for k, _ in db.scan()] == [b"%04d" % i for i in range(1000)]
