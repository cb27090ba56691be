"""Room for keys, rows and results that C asks the system for: when there is none, MemoryError; nothing is leaked or wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import recovery

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizers bring an allocator of their own")

PROGRAM = """
import gc
from datetime import UTC, date, datetime
from uuid import UUID

import lsm, recovery
from lsm import keys
from lsm.secondary import record

WHEN, NUMBER = datetime(2026, 5, 1, 12, tzinfo=UTC), UUID(int=2**127 + 5)
PARTS = [None, True, 7, -(2**40), 2**63, 1.5, b"a\\0b", "text", NUMBER, WHEN, (1, 2), keys.desc("ab"), keys.desc(5)]
VALUES = [5, 2.5, "text", b"bytes", WHEN, date(2026, 5, 1), NUMBER, [1, "x"], (1, b"y"), [0.5, 1.5], ["s" * 40] * 30]
names = record.Names(["pad", "value", *(f"c{i}" for i in range(60))])
db = lsm.open("/d", {"threads": 0}, fs=recovery.memory())
for i in range(50):
    db.put(b"%02d" % i, b"v" * 1000)
db.put(b"long", b"v" * 100_000)


def calls():
    for n in range(470, 513):
        for part in PARTS:
            yield lambda: keys.encode("x" * n, part)
        for value in VALUES:
            yield lambda: record.encode({"pad": "x" * n, "value": value}, names)
    for part in PARTS[:11]:
        yield lambda: keys.indexed(["x" * 600, part], lambda value: None)
    for n in (100, 600, 5000):
        yield lambda: keys.indexed(["x" * n, 2.0, b"x" * n], lambda value: None)
        key = keys.encode("x" * n, b"y" * n)
        yield lambda: keys.decode(key)
    yield lambda: record.encode({f"c{i}": i for i in range(60)}, names)
    yield lambda: db.get_many([b"%02d" % i for i in range(50)])
    yield lambda: db.range()


faults = recovery.AllocationFaults(["/lsm/_native.abi3.so"])
failed = 0
for _ in range(2):
    for call in calls():
        call()
gc.collect()
base = faults.live
for call in calls():
    faults.disarm()
    want = call()
    for nth in range(1, min(faults.asked, 20) + 1):
        faults.arm(nth)
        try:
            got = call()
        except (MemoryError, lsm.Error):
            failed += 1
        else:
            assert got == want, (got, want)
    faults.disarm()
    assert call() == want
gc.collect()
assert faults.live <= base, "a block is not freed"
assert failed > 200, failed
print("all right")
"""


def test_no_room_for_what_is_made(tmp_path: Path) -> None:
    try:
        library = recovery.build_alloc_fault(tmp_path)
    except RuntimeError as e:
        pytest.skip(str(e))
    env = {**os.environ, **recovery.alloc_fault_environment(library)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
