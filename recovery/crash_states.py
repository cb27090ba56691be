"""Crash states: from a recording, every state that a disk may be in when the power goes, as file systems in memory to recover from.

    record(memory()) --workload, marks--> events --crash_states()--> CrashState* --materialise()--> a file system --your recovery-->

At each event that changes something, and at each mark: all legal states when there are few, else the telling ones (nothing pending came
to the disk, all of it, one file or one directory change lost or kept alone) and others by chance, from a seed. The model is in
crash_model.py.

A state says what was marked before it (`last_mark`): a write that was acknowledged under a sync mode that promises it is to be there in
every state from its mark on. So check a state again when a later mark asks more of it; `is_new` says whether its content was met before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b
from itertools import product
from random import Random

from .crash_model import Disk, Inode
from .native import FileSystem, MemoryFileSystem, memory
from .recording import CHANGES, Event


@dataclass(frozen=True, slots=True)
class CrashState:
    """What a disk holds after power loss. `files`: by path; one that ends in / is a directory. `event`: how many events came before."""

    files: Mapping[str, bytes]
    digest: bytes  # of all names and contents
    event: int
    last_mark: str
    is_new: bool  # the first state of this content

    def materialise(self) -> MemoryFileSystem:
        """Return a file system in memory that holds it, all durable. O(bytes)."""
        return materialise(self.files)


def materialise(files: Mapping[str, bytes]) -> MemoryFileSystem:
    """Return a file system in memory with these files, all durable; a path that ends in / is a directory."""
    fs = memory()
    folders = ["/"]
    for path in sorted(files):
        if path.endswith("/"):
            fs.makedirs(path.rstrip("/"))
            folders.append(path.rstrip("/"))
    for path, data in files.items():
        if not path.endswith("/"):
            fs.write_all(path, data, sync=True)
    for folder in folders:
        fs.sync_dir(folder)
    return fs


def files_of(fs: FileSystem, top: str = "/") -> dict[str, bytes]:
    """Return what is under a directory, by path, as `crash_states` and `materialise` take it. O(bytes)."""
    found: dict[str, bytes] = {}
    for name in fs.listdir(top):
        path = f"{top.rstrip('/')}/{name}"
        if fs.stat(path)[1]:
            found[f"{path}/"] = b""
            found |= files_of(fs, path)
        else:
            found[path] = fs.read_all(path)
    return found


def crash_states(
    events: Iterable[Event],
    base: Mapping[str, bytes] | None = None,
    *,
    names: str = "posix",
    garbage: bool = False,
    limit: int = 256,
    samples: int = 64,
    seed: int = 0,
    ignore: Sequence[str] = (),
) -> Iterator[CrashState]:
    """Yield the legal states after power loss at each event of a recording.

    base: what was there, durably, when it began (`files_of`). names: "posix" or "journal". garbage: sectors that no sync ever covered may
    hold anything. limit: up to so many states an event are all taken; else about `samples` of them. ignore: patterns of paths whose files
    do not count as part of a state (a lock file, say). ValueError for a recording whose paths were not there.
    """
    disk = Disk(base or {}, names)
    rng = Random(seed)
    seen: set[bytes] = set()
    digests: dict[bytes, bytes] = {}
    mark = ""
    for n, event in enumerate(events, 1):
        if event.op == "mark":
            mark = event.text
        elif event.op not in CHANGES and event.op != "close":
            continue
        disk.feed(event)
        if event.op == "close":
            continue
        if len(digests) > 50_000:
            digests.clear()
        for files in _states(disk, rng, garbage=garbage, limit=limit, samples=samples, ignore=ignore):
            digest = _digest(files, digests)
            yield CrashState(files, digest, n, mark, digest not in seen)
            seen.add(digest)


def _digest(files: Mapping[str, bytes], known: dict[bytes, bytes]) -> bytes:
    whole = blake2b(digest_size=16)
    for path in sorted(files):
        data = files[path]
        part = known.get(data)
        if part is None:
            part = known[data] = blake2b(data, digest_size=16).digest()
        whole.update(path.encode("utf-8", "surrogateescape") + b"\0" + part)
    return whole.digest()


def _states(disk: Disk, rng: Random, *, garbage: bool, limit: int, samples: int, ignore: Sequence[str]) -> Iterator[dict[str, bytes]]:
    contents: dict[int, list[bytes]] = {}

    def of(node: Inode) -> list[bytes]:
        if id(node) not in contents:
            contents[id(node)] = [b""] if node.is_dir else node.outcomes(rng, garbage=garbage)
        return contents[id(node)]

    def tree(which: int) -> dict[str, Inode]:
        return {p: i for p, i in disk.tree(which).items() if not any(fnmatchcase(p, g) for g in ignore)}

    count = disk.tree_count()
    trees = [tree(k) for k in range(count)] if count <= limit else []
    totals = [_product(len(of(i)) for i in t.values()) for t in trees]
    if trees and sum(totals) <= limit:
        for t in trees:
            for picked in product(*(of(i) for i in t.values())):
                yield dict(zip(t, picked, strict=True))
        return
    for which, choose in _corners(count, len(disk.pending), journal=disk.journal):
        t = trees[which] if trees else tree(which)
        yield {p: of(i)[choose] for p, i in t.items()}
    last = trees[-1] if trees else tree(count - 1)
    for alone in [p for p, i in last.items() if len(of(i)) > 1]:
        for kept, lost in ((0, -1), (-1, 0)):  # this file's pending data alone came to the disk; or all but its
            yield {p: of(i)[kept if p == alone else lost] for p, i in last.items()}
    for _ in range(samples):
        which = rng.randrange(count)
        t = trees[which] if trees else tree(which)
        yield {p: rng.choice(of(i)) for p, i in t.items()}


def _corners(count: int, pending: int, *, journal: bool) -> Iterator[tuple[int, int]]:
    """Which directory changes survive, and which content all files have: the first or the last of theirs."""
    sets = {0, count - 1}
    if not journal:
        sets |= {1 << k for k in range(pending)} | {count - 1 - (1 << k) for k in range(pending)}
    for which in sorted(sets):
        yield which, 0
        yield which, -1


def _product(numbers: Iterable[int]) -> int:
    total = 1
    for n in numbers:
        total *= n
    return total
