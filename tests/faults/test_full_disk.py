"""A disk that is really full: a small tmpfs. The log is mapped, and never is a store into it a SIGBUS: a write fails and says why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lsm
from lsm.check import check

CHILD = """
import sys, lsm
path, sync = sys.argv[1:]
acked, refused = 0, 0
db = lsm.open(path + "/db", threads=0, write_buffer=1 << 16, cache={"capacity": 1 << 20}, wal={"sync": sync})
for attempt in range(3):
    open(path + "/filler", "wb").close()
    with open(path + "/filler", "r+b", buffering=0) as filler:
        try:
            while True:
                filler.write(b"f" * 4096)
        except OSError:
            pass
    try:
        while True:
            db.put(b"%06d" % acked, b"v" * 500)
            acked += 1
    except lsm.Error as e:
        refused += "space" in str(db.health.error).lower() or "space" in str(e).lower()
    open(path + "/filler", "wb").close()
    db.resume()
    db.put(b"%06d" % acked, b"v" * 500)
    acked += 1
db.close()
print(acked, refused)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("sync", ["os", "group"])
def test_a_full_disk_is_an_error_and_passes(small_disk: Path, sync: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(small_disk), sync], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)  # -7 would be SIGBUS
    acked, refused = map(int, done.stdout.split())
    assert refused == 3
    assert not check(small_disk / "db").problems
    with lsm.open(small_disk / "db", create=False, threads=0, write_buffer=1 << 16) as db:
        assert sum(1 for _ in db) in range(acked, acked + 4)  # a write that was refused may be there
