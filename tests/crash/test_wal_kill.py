"""A process killed in the middle of appending loses nothing that it acknowledged (every sync mode but none)."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import recovery

CHILD = """
import sys, recovery
log = recovery.WalWriter(recovery.posix(), sys.argv[1], sync=sys.argv[2], segment_bytes=65536)
n = 0
while True:
    lsn = log.append(n, n.to_bytes(8, "little") * (1 + n % 300))
    log.sync_to(lsn)
    n += 1
    if n % 50 == 0 or sys.argv[2] != "os":
        print(n, flush=True)
"""


@pytest.mark.parametrize("sync", ["os", "group", "every", "interval"])
def test_kill(sync: str, tmp_path: Path, root: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), sync], stdout=subprocess.PIPE, text=True, cwd=root)
    assert child.stdout is not None
    acked = [int(child.stdout.readline()) for _ in range(40)]
    child.send_signal(signal.SIGKILL)
    acked += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.wait()
    found = [r for _, records, _ in recovery.replay(recovery.posix(), tmp_path) for r in records]
    assert [r.payload for r in found] == [n.to_bytes(8, "little") * (1 + n % 300) for n in range(len(found))]
    assert len(found) >= acked[-1]
