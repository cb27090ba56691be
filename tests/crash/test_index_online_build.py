"""An index made while writes go on, killed at any point: it is finished when the table is opened, and it says what the rows say."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lsm
import recovery
from lsm.secondary import Table, building, call, col

OPTIONS: dict[str, Any] = {
    "write_buffer": 16384,
    "cache": {"capacity": 1 << 20},
    "compaction": {"output_bytes": 16384, "level_base": 65536},
}
FUNCTIONS = {"last": lambda s: None if s is None else s[-1]}
KINDS: list[dict[str, Any]] = [
    {"columns": "a"},
    {"columns": ["b", "a"], "include": ["s"]},
    {"columns": call("last", "s"), "where": col("b") > 1},
    {"columns": "b", "kind": "bitmap"},
    {"columns": "s", "kind": "hash"},
    {"columns": "p", "kind": "rtree"},
]


def row(i: int, version: int, text: bool) -> dict[str, Any]:
    return {
        "k": f"k{i}" if text else i,
        "v": version,
        "a": i * 31 % 97 + version,
        "b": (i + version) % 5,
        "s": f"s{i % 13}",
        "p": [i, version],
    }


class Writer(threading.Thread):
    """Updates, inserts and deletes until it is told to stop; ``acked`` is the number of batches done."""

    def __init__(self, table: Table, text: bool, seed: int) -> None:
        super().__init__()
        self.table, self.text, self.random = table, text, random.Random(seed)
        self.acked, self.ended, self.error = 0, threading.Event(), None

    def run(self) -> None:
        try:
            while not self.ended.is_set():
                keys = [self.random.randrange(400) for _ in range(6)]
                self.table.put_many([row(i, self.acked + 1, self.text) for i in keys[:5]])
                self.table.delete(row(keys[5], 0, self.text)["k"])
                self.acked += 1
        except BaseException as e:
            self.error = e


def check(db: lsm.DB, kinds: list[dict[str, Any]]) -> None:
    table = db.table("t", key="k", functions=FUNCTIONS)
    assert {x["name"]: x["state"] for x in table.indexes()} == {f"i{n}": "ready" for n in range(len(kinds))}
    assert table.scrub() == []
    for bound in (20, 60, 100):
        assert sorted(r["v"] for r in table.find(col("a") < bound)) == sorted(r["v"] for r in table if r["a"] < bound)
    assert all(table.get(r["k"]) == r for r in table)


@pytest.mark.threads
@pytest.mark.parametrize("seed", range(4))
def test_index_online_build_killed_at_five_points(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "STRETCH", 40)
    rng, text, mode = random.Random(seed), bool(seed % 2), "process" if seed < 2 else "random"
    fs: recovery.MemoryFileSystem = recovery.memory()
    kinds: list[dict[str, Any]] = []
    for death in range(5):
        sync = rng.choice(["os", "every"])
        db = lsm.open("/db", OPTIONS, fs=fs, threads=1, wal={"sync": sync})
        table = db.table("t", key="k", functions=FUNCTIONS)
        table.put_many([row(i, 0, text) for i in range(300)])
        if mode == "random":
            table.flush()
        writer = Writer(table, text, seed * 10 + death)
        kinds.append(KINDS[(seed + death) % len(KINDS)])
        at = rng.randrange(6)
        clones: list[recovery.MemoryFileSystem] = []

        def progress(done: int, at: int = at, clones: list[Any] = clones, fs: Any = fs, death: int = death) -> None:
            time.sleep(0.003)
            if done >= at * 40 and not clones:
                clones.append(fs.crash_clone(mode, seed * 100 + death))

        writer.start()
        table.create_index(f"i{death}", progress=progress, **kinds[-1])
        writer.ended.set()
        writer.join()
        assert writer.error is None
        assert writer.acked
        assert table.scrub() == []
        db.close()
        if not clones:  # it was done before
            clones.append(fs.crash_clone("process"))
        fs = clones[-1]
        with lsm.open("/db", OPTIONS, fs=fs, threads=0) as again:
            check(again, kinds)


def child(path: str, n: int) -> None:
    """Make the n-th index while a thread writes, and tell how far it is."""
    building.STRETCH = 50
    table = lsm.open(path, OPTIONS, threads=1).table("t", key="k", functions=FUNCTIONS)
    if not table.indexes():
        table.put_many([row(i, 0, True) for i in range(2000)])
    Writer(table, True, n).start()
    table.create_index(f"i{n}", progress=lambda done: print("rows", done, flush=True), **KINDS[n])
    print("made", flush=True)
    threading.Event().wait()


def test_index_online_build_killed_by_a_signal(tmp_path: Path, root: Path) -> None:
    rng = random.Random(4)
    kinds: list[dict[str, Any]] = []
    for n in range(5):
        command = [sys.executable, __file__, str(tmp_path / "db"), str(n)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 25)):
            if process.stdout.readline() == "made\n":
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kinds.append(KINDS[n])
        with lsm.open(tmp_path / "db", OPTIONS, threads=0) as db:
            check(db, kinds)


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]))
