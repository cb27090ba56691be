"""The process of tests/faults/test_recovery_sweeps.py: small scripts over each file system while a file call, an allocation or a call of
libcrypto fails, each in turn. Prints the cases it did and what was wrong, as JSON.

It is started with the shim of recovery/alloc_fault.py and with another that stands before libcrypto and getrandom.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import recovery
from recovery.native_crypt import crypto_paths

KEYS = {1: b"\1" * 32, 7: b"\7" * 32}
LOG, TABLE, DIR = "/d/000001.log", "/d/000002.sst", "/d"
Script = Callable[["Run", recovery.FileSystem], None]


@dataclass
class Run:
    """One pass of a script: what it saw, and what was promised to outlive power loss (a path's first bytes; sequence numbers)."""

    seen: list[Any] = field(default_factory=list)
    acked: dict[str, bytes] = field(default_factory=dict)
    records: list[int] = field(default_factory=list)


def data(n: int) -> bytes:
    """Bytes without a word of zeros."""
    return bytes(1 + i % 251 for i in range(n))


def framed(run: Run, fs: recovery.FileSystem) -> None:
    """A file that is appended, written at places, reserved and cut: a log."""
    all_of_it = data(9000)
    fs.mkdir(DIR)
    with fs.open(LOG, "x") as f:
        fs.sync_dir(DIR)
        fs.sync_dir("/")
        f.append(all_of_it[:100])
        f.sync()
        run.acked[LOG] = all_of_it[:100]
        f.allocate(30_000)
        for at in (100, 3000, 6000):
            f.pwrite(all_of_it[at : at + 3000], at)
        run.seen.append(f.pread(5000, 50))
        f.sync()
        run.acked[LOG] = all_of_it
        f.truncate(9000)
        f.append(b"")
        f.pwrite(b"late", 50_000)
        f.pwrite(b"over", 20_000)
        run.seen.append([f.size(), f.pread(100, 49_990), f.pread(1, 60_000)])
    with fs.open(LOG, "a") as f:
        f.truncate(40_000)
        f.append(b"more")
        run.seen.append(f.size())
    with fs.open(LOG) as f, fs.open(LOG) as g:
        run.seen += [f.pread(n, at) for n, at in ((10, 0), (4000, 1000), (40_004, 0))]
        run.seen.append(g.pread(4, 40_000))
    run.seen += [fs.stat(LOG)[1], fs.exists("/d/none")]  # the size that stat tells is that of what can be salvaged


def paged(run: Run, fs: recovery.FileSystem) -> None:
    """A file that is written once from end to end: a table."""
    all_of_it = data(160_000)
    fs.mkdir(DIR)
    with fs.open(TABLE, "x") as f:
        fs.sync_dir(DIR)
        fs.sync_dir("/")
        for at, end in ((0, 100), (100, 4096), (4096, 150_000)):
            f.append(all_of_it[at:end])
            run.seen.append([f.size(), f.pread(30_000, max(0, end - 20_000)), f.pread(10, 0)])
            f.sync()
            run.acked[TABLE] = all_of_it[:end]
    with fs.open(TABLE, "a") as f:
        f.append(all_of_it[150_000:])
        run.seen.append([f.size(), f.pread(50, 159_990), f.pread(1, 10**6)])
    with fs.open(TABLE) as f:
        run.seen += [f.pread(n, at) for n, at in ((10, 0), (4096, 4096), (160_000, 0), (100, 4050), (30_000, 4050))]
    run.seen += [fs.stat(TABLE), fs.stat(DIR)]


def names(run: Run, fs: recovery.FileSystem) -> None:
    """Directories, links, locks."""
    fs.mkdir(DIR)
    fs.sync_dir("/")
    with fs.open("/d/CURRENT.tmp", "w") as f:
        f.append(b"MANIFEST-000001")
        f.sync()
    fs.rename("/d/CURRENT.tmp", "/d/CURRENT")
    fs.sync_dir(DIR)
    run.acked["/d/CURRENT"] = b"MANIFEST-000001"
    fs.mkdir("/d/e")
    fs.link("/d/CURRENT", "/d/e/CURRENT")
    run.seen += [fs.listdir(DIR), sorted(fs.walk_files(DIR)), fs.stat("/d/e/CURRENT"), fs.read_all("/d/e/CURRENT")]
    fs.unlink("/d/e/CURRENT")
    fs.sync_dir("/d/e")
    fs.rmdir("/d/e")
    lock = fs.lock("/d/LOCK", "me")
    try:
        fs.lock("/d/LOCK", "you")
    except recovery.LockHeld as e:
        run.seen.append(e.holder)
    except BlockingIOError:
        run.seen.append("me")  # found locked, and who has it could not be read
    finally:
        lock.close()
    with fs.open("/d/LOCK") as f, suppress(FileNotFoundError):
        run.seen.append(f.read_all())
        fs.stat("/d/none")
    if isinstance(fs, recovery.MemoryFileSystem):
        run.seen += [recovery.memory().listdir("/"), *(fs.crash_clone(mode).listdir(DIR) for mode in ("process", "power"))]
    if isinstance(fs, recovery.CryptFileSystem):
        run.seen += [fs.key_of("/d/CURRENT"), fs.key_of("/d/LOCK")]
        crypto = recovery.Crypto(crypto_paths())
        run.seen.append(crypto.open(KEYS[1], bytes(12), crypto.seal(KEYS[1], bytes(12), b"data", b"aad"), b"aad"))
    if isinstance(fs, recovery.RecordFileSystem):
        fs.mark("here")
        run.seen.append([e.op for e in fs.events()])
    if isinstance(fs, recovery.FaultFileSystem):
        fs.arm("stat", "/d/nothing", 1, errno.EPERM)


def log(sync: str) -> Script:
    """A log over several segments, in one sync mode."""

    def script(run: Run, fs: recovery.FileSystem) -> None:
        clock = recovery.Clock(10**18)
        fs.mkdir(DIR)
        fs.sync_dir("/")
        wal = recovery.WalWriter(fs, DIR, 1, sync=sync, segment_bytes=4096, salt=9, clock=clock, interval_ns=1)
        try:
            for seq in range(1, 14):
                clock.now_ns += 2_000_000
                lsn = wal.append(seq, b"%d" % seq, data(1000 if seq != 7 else 9000))
                clock.now_ns += 2_000_000
                wal.note(b"note %d" % seq)
                if seq % 3 == 0:
                    wal.sync_to(recovery.FORCE if sync in ("none", "os") else lsn)
                if sync in ("group", "every") and (sync == "every" or seq % 3 == 0):
                    run.records = list(range(1, seq + 1))
        finally:
            wal.close()
        run.seen.append(logged(fs))

    script.__name__ = f"log {sync}"
    return script


def logged(fs: recovery.FileSystem) -> list[int]:
    """The sequence numbers that are in the log."""
    found: list[int] = []
    for name in sorted((name for name in fs.listdir(DIR) if name.endswith(".log")), reverse=True):
        records, _ = recovery.read_wal(fs, f"{DIR}/{name}", "point_in_time", salt=9, is_last=not found)
        found = [r.seq for r in records] + found
    return found


@dataclass
class Stack:
    """A file system to run on. `below`: where file calls fail; `disk`: what is left after power loss."""

    disk: recovery.MemoryFileSystem
    below: recovery.FaultFileSystem
    top: recovery.FileSystem


def stack(kind: str) -> Stack:
    """Build one."""
    disk = recovery.memory()
    below = recovery.fault(disk)
    return Stack(disk, below, over(kind, below if kind != "memory" else disk))


def over(kind: str, inner: recovery.FileSystem) -> recovery.FileSystem:
    """The upper part of a stack."""
    if kind == "crypt":
        return recovery.crypt(inner, bytes(range(16)), KEYS, 7)
    return recovery.record(inner) if kind == "record" else recovery.fault(inner) if kind == "fault" else inner


class CryptoFaults:
    """The n-th call of libcrypto or getrandom fails, returns nothing ("none", getrandom alone) or is interrupted ("again", likewise)."""

    KINDS = ("fail", "none", "again")

    def __init__(self) -> None:
        self.c = ctypes.CDLL(None)

    def arm(self, nth: int, kind: str, *, sticky: bool) -> None:
        self.c.crypto_fault_arm(nth, self.KINDS.index(kind), sticky and kind != "again")

    @property
    def asked(self) -> int:
        return int(self.c.crypto_fault_asked())


@dataclass
class Case:
    """What fails: armed before the stack is built, or on it."""

    what: str
    before: Callable[[], None] = lambda: None
    on: Callable[[Stack], None] = lambda made: None


class Sweep:
    """All cases of one script on one stack."""

    def __init__(self, kind: str, script: Script) -> None:
        self.kind, self.script = kind, script
        self.allocations, self.crypto = recovery.AllocationFaults(["/recovery/_native.abi3.so"]), CryptoFaults()
        self.cases, self.wrong = 0, list[str]()

    def play(self, case: Case) -> tuple[Run, Stack | None, BaseException | None]:
        """Build a stack and run the script on it while something fails; nothing fails any more when this returns."""
        run, made = Run(), None
        problem: BaseException | None = None
        case.before()
        try:
            made = stack(self.kind)
            case.on(made)
            self.script(run, made.top)
        except (OSError, MemoryError) as e:
            problem = e.with_traceback(None)
        self.allocations.disarm()
        self.crypto.arm(0, "fail", sticky=False)
        if made is not None:
            made.below.disarm()
        return run, made, problem

    def judge(self, case: Case, want: Run) -> None:
        """Do one case."""
        run, made, problem = self.play(case)
        self.cases += 1
        if problem is None and run.seen != want.seen:
            differ = [(a, b) for a, b in zip(run.seen, want.seen, strict=False) if a != b]
            self.wrong.append(f"{case.what}: it saw {str(differ)[:300]} (got, wanted), {len(run.seen)} of {len(want.seen)}")
        if made is None:
            return
        try:
            gone = list(lost(run, over(self.kind, made.disk.crash_clone("power"))))
            self.wrong += [f"{case.what}: {text} (raised: {problem!r})" for text in gone]
        except OSError as e:
            self.wrong.append(f"{case.what}: after power loss {e!r} (raised: {problem!r})")

    def all(self) -> None:
        """Do every case."""
        for _ in range(2):  # the first time makes what stays for ever
            want, made, problem = self.play(Case("", self.count))
            assert problem is None and made is not None, problem
            calls = made.below.calls()
            made = None
            gc.collect()
        base = self.allocations.live
        gc.freeze()  # what is there now need not be looked through after each case
        for case in [*self.allocation_cases(), *self.call_cases(calls), *self.crypto_cases()]:
            self.judge(case, want)
            gc.collect()
            if (live := self.allocations.live) > base:
                self.wrong.append(f"{case.what}: {live - base} blocks are not freed")
                base = live

    def count(self) -> None:
        """Nothing fails, and all is counted."""
        self.allocations.trace()
        self.crypto.arm(0, "fail", sticky=False)

    def allocation_cases(self) -> Iterator[Case]:
        """Yield each allocation, or of many each way to one."""
        self.count()
        self.script(Run(), stack(self.kind).top)
        asked = self.allocations.asked
        places = range(1, asked + 1) if asked <= 300 else self.allocations.first_of_each_way()
        for nth, sticky in product(places, (False, True)):
            yield Case(f"allocation {nth}, sticky {sticky}", partial(self.allocations.arm, nth, sticky=sticky))

    def call_cases(self, calls: int) -> Iterator[Case]:
        """Yield each file call below."""
        for nth, kind, sticky in product(range(1, calls + 1), (errno.EIO, errno.ENOTSUP, "short", "short_read"), (False, True)):
            yield Case(f"call {nth}: {kind}, sticky {sticky}", on=partial(_arm, nth=nth, error=kind, sticky=sticky))

    def crypto_cases(self) -> Iterator[Case]:
        """Yield the first calls of libcrypto and getrandom, and some of the others."""
        self.count()
        self.script(Run(), stack(self.kind).top)
        asked = self.crypto.asked
        places = [*range(1, min(asked, 250) + 1), *range(251, asked + 1, 1 + asked // 40)]
        for nth, kind, sticky in product(places, CryptoFaults.KINDS, (False, True)):
            yield Case(f"crypto call {nth}: {kind}, sticky {sticky}", partial(self.crypto.arm, nth, kind, sticky=sticky))


def _arm(made: Stack, **how: Any) -> None:
    made.below.arm("*", "*", **how)


def lost(run: Run, fs: recovery.FileSystem) -> Iterator[str]:
    """What was promised and is not there."""
    for path, head in run.acked.items():
        if (found := fs.read_all(path)[: len(head)]) != head:
            yield f"after power loss {path} begins with {found!r:.60}, not {head!r:.60}"
    if run.records and (gone := set(run.records) - set(logged(fs))):
        yield f"after power loss the log lacks {sorted(gone)}"


SCRIPTS: dict[str, Script] = {s.__name__: s for s in (framed, paged, names, *(log(m) for m in recovery.SYNC_MODES))}


def main() -> None:
    """Sweep what is named."""
    sweep = Sweep(sys.argv[1], SCRIPTS[sys.argv[2]])
    sweep.all()
    print(json.dumps({"cases": sweep.cases, "wrong": sweep.wrong[:20]}))


if __name__ == "__main__":
    main()
