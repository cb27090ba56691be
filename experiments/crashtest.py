"""`lsmlab crashtest`: kill the writer at a random moment, reopen, compare with what it acknowledged; again and again on the same database.

A child process writes batches that a seed decides and raises a counter in memory shared with the parent after each one returned. The
parent kills it with SIGKILL, opens the database itself and requires that it holds exactly the first A or A + 1 batches, A being the
counter: fewer would be an acknowledged write lost, anything else a torn batch. Every cycle goes on where the last one ended, through
flushes, compactions and log segments.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lsm

KEYS = 4_000
PATIENCE = 60  # seconds for opening
OPTIONS: dict[str, Any] = {
    "write_buffer": 256 << 10,
    "threads": 1,
    "cache": {"capacity": 1 << 20},
    "compaction": {"size_ratio": 4, "level_base": 1 << 20, "output_bytes": 256 << 10},
}


class Counter:
    """What the writer tells through shared memory. Each number is one store of eight bytes: a kill cannot leave half of one.

    struct.pack_into would not do: it clears the bytes before it writes them, one by one.
    """

    def __init__(self, shared: mmap.mmap) -> None:
        self._words = memoryview(shared).cast("Q")

    def start(self, first: int) -> None:
        """A new writer comes that has not opened the database; `first` batches are acknowledged."""
        self._words[0], self._words[1] = first, 0

    def acknowledge(self, batches: int) -> None:
        """So many batches are acknowledged."""
        self._words[0] = batches

    def say_open(self) -> None:
        """The database is open."""
        self._words[1] = 1

    @property
    def acknowledged(self) -> int:
        """Batches acknowledged."""
        return self._words[0]

    @property
    def opened(self) -> bool:
        """Whether the writer has opened the database."""
        return bool(self._words[1])

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *error: object) -> None:
        self._words.release()


@dataclass(frozen=True)
class CrashResult:
    """What came of it. `lost` and `torn` name the cycle and what was wrong; both empty means that all is well."""

    seed: int
    cycles: int
    batches: int
    seconds: float
    unacknowledged: int = 0  # batches found although the kill came before their acknowledgement: allowed
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)


def batch(seed: int, number: int) -> list[tuple[bytes, bytes | None]]:
    """The operations of a batch: 1 to 40 records put, one in eight deleted. The value tells the batch it is of."""
    rng = random.Random(seed << 32 | number)
    out: list[tuple[bytes, bytes | None]] = []
    for i in range(rng.randint(1, 40)):
        key = b"%016d" % rng.randrange(KEYS)
        out.append((key, None if rng.random() < 0.125 else b"%d/%d/" % (number, i) + bytes(rng.randrange(200))))
    return out


def apply(model: dict[bytes, bytes], operations: list[tuple[bytes, bytes | None]]) -> None:
    """Do to the model what a batch does to the database."""
    for key, value in operations:
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value


def _child(path: Path, seed: int, first: int, counter: Counter) -> None:
    with open(_where(path), "w") as told:
        faulthandler.dump_traceback_later(PATIENCE / 2, file=told)
        db = lsm.open(path, **OPTIONS)
        faulthandler.cancel_dump_traceback_later()
    counter.say_open()
    number = first
    while True:
        made = lsm.Batch()
        for key, value in batch(seed, number):
            if value is None:
                made.delete(key)
            else:
                made.put(key, value)
        db.write(made)
        number += 1
        counter.acknowledge(number)


def _spawn(path: Path, seed: int, first: int, counter: Counter) -> int:
    counter.start(first)
    pid = os.fork()
    if pid == 0:
        try:
            _child(path, seed, first, counter)
        except BaseException as e:
            os.write(2, f"crashtest: the writer failed: {type(e).__name__}: {e}\n".encode())
        finally:
            os._exit(70)
    return pid


def crashtest(path: Path, cycles: int, seed: int, told: Callable[[int], None] = lambda cycle: None) -> CrashResult:
    """Run the cycles on a fresh database at `path`, which is removed when all is well and kept for a look when not.

    Needs a process with one thread (it forks). Stops at the first fault.
    """
    shutil.rmtree(path, ignore_errors=True)
    rng = random.Random(seed)
    model: dict[bytes, bytes] = {}
    applied = extra = 0
    lost: list[str] = []
    torn: list[str] = []
    started = time.monotonic()
    with mmap.mmap(-1, mmap.PAGESIZE) as shared, Counter(shared) as counter:
        for cycle in range(cycles):
            told(cycle)
            acknowledged = _kill_one(path, seed, applied, counter, rng.uniform(0.0, 0.1))
            with lsm.open(path, **OPTIONS) as db:
                found = dict(db.scan())
            for number in range(applied, acknowledged):
                apply(model, batch(seed, number))
            applied = acknowledged
            if found != model:
                before = dict(model)
                apply(model, batch(seed, applied))
                applied, extra = applied + 1, extra + 1
                if found != model:
                    text, is_torn = _blame(cycle, acknowledged, found, before)
                    lost, torn = ([], text) if is_torn else (text, [])
                    break
    if not lost and not torn:
        shutil.rmtree(path, ignore_errors=True)
        _where(path).unlink(missing_ok=True)
    return CrashResult(seed, cycle + 1 if cycles else 0, applied, time.monotonic() - started, extra, lost, torn)


def _where(path: Path) -> Path:
    """The file in which a writer that does not get on says where it stands."""
    return path.with_name(path.name + ".where")


def _kill_one(path: Path, seed: int, first: int, counter: Counter, delay: float) -> int:
    """Let a writer run for `delay` seconds after it opened the database, kill it, and give the number of batches acknowledged."""
    pid = _spawn(path, seed, first, counter)
    limit = time.monotonic() + PATIENCE
    alive = True
    try:
        while alive and not counter.opened and time.monotonic() < limit:
            time.sleep(0.0005)
            alive = os.waitpid(pid, os.WNOHANG)[0] == 0
        time.sleep(delay)
        alive = alive and os.waitpid(pid, os.WNOHANG)[0] == 0
    finally:
        if alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    if not alive or not counter.opened:
        stood = " < ".join(line.strip() for line in _where(path).read_text().splitlines()[1:8]) or "unknown"
        what = f"did not open the database in {PATIENCE} s, halfway it stood at {stood}" if alive else "ended by itself"
        raise RuntimeError(f"the writer {what}; the database is at {path}")
    return counter.acknowledged


def _blame(cycle: int, acknowledged: int, found: dict[bytes, bytes], want: dict[bytes, bytes]) -> tuple[list[str], bool]:
    """Say what is wrong, and whether it is a torn batch (parts of one that was not acknowledged) rather than a lost write."""
    wrong = sorted(k for k in found.keys() | want.keys() if found.get(k) != want.get(k))
    newer = [k for k in wrong if k in found and int(found[k].split(b"/")[0]) >= acknowledged]
    first = wrong[0]
    text = f"cycle {cycle}: {len(wrong)} keys differ after {acknowledged} acknowledged batches, first {first!r}: "
    text += f"found {found.get(first)!r:.60}, want {want.get(first)!r:.60}"
    return [text], bool(newer)
