"""Row A: every file call of every story fails, in every way that it can, once and from then on.

While it fails: an error or a right answer. Then the fault is gone: the database reopens with an allowed content, verifies, takes a write
and reopens; so does, in the sync modes that promise it, what power loss would have left of the disk.
"""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lsm
import recovery

from .row import Found, Row, Slice
from .story import PROMISING, Contents, Play, Story, judged, stories

ERRORS = ("EIO", "ENOSPC", "EINTR", "EDQUOT", "EMFILE")
KINDS = {"short": ("append", "pwrite"), "short_read": ("pread",), "flip": ("pread",), "lie": ("sync", "sync_dir"), "stuck": ()}
"""Kinds that are no errno, and the calls that they can act on; none: all."""
OPERATIONS = (
    "open", "close", "append", "pwrite", "pread", "sync", "truncate", "allocate", "size_of", "map", "rename", "link", "unlink", "mkdir",
    "rmdir", "stat", "list", "sync_dir", "lock",
)  # fmt: skip
_QUICK, _FULL = 130, 1000  # cases of a story in each sync mode and way of writing the log; "group" has all in a full run
_PARTS = 6  # slices that all cases of a story and a way are cut into


@dataclass(frozen=True)
class Case:
    """The nth call of one operation goes wrong in one way."""

    op: str
    nth: int
    kind: str
    sticky: bool

    def __str__(self) -> str:
        return f"{self.op} call {self.nth}: {self.kind}{' from then on' if self.sticky else ''}"


@dataclass(frozen=True)
class Scene:
    """A story with the disk and the content that its first steps left behind."""

    story: Story
    disk: recovery.MemoryFileSystem
    contents: Contents
    mapped: bool

    def play(self) -> tuple[Play, recovery.FaultFileSystem, recovery.MemoryFileSystem]:
        """Return the rest of the story over a copy of the disk, not yet begun."""
        disk = self.disk.crash_clone("process")
        fs = recovery.fault(disk)
        if not self.mapped:
            fs.arm("map", error=errno.ENOTSUP, sticky=True)
        return Play(self.story, fs, may=[self.contents]), fs, disk


def prepare(story: Story, *, mapped: bool = True) -> Scene:
    """Play the steps that set the scene, and kill the process."""
    disk = recovery.memory()
    play = Play(story, disk).run(0, story.before)
    scene = disk.crash_clone("process")
    play.close()
    assert not play.errors and len(play.may) == 1, play.errors
    return Scene(story, scene, play.may[0], mapped)


def cases(scene: Scene) -> Iterator[Case]:
    """Yield every case of the rest of a story."""
    play, fs, _ = scene.play()
    play.run(scene.story.before)
    assert not play.errors, play.errors
    counts = {op: fs.calls(op) for op in OPERATIONS}
    play.close()
    for op, total in counts.items():
        kinds = [*ERRORS, *(kind for kind, ops in KINDS.items() if not ops or op in ops)]
        for nth, kind, sticky in itertools.product(range(1, total + 1), kinds, (False, True)):
            if not (kind == "stuck" and sticky):
                yield Case(op, nth, kind, sticky)


def attempt(scene: Scene, case: Case) -> list[str]:
    """Play one case; return what is wrong."""
    play, fs, disk = scene.play()
    fs.arm(case.op, nth=case.nth, error=getattr(errno, case.kind, case.kind), sticky=case.sticky)
    wrong: list[str] = []

    def run() -> None:
        try:
            play.run(scene.story.before)
            wrong.extend(play.wrong_reads())
        except Exception as e:  # whatever is not the engine's own error
            wrong.append(f"{type(e).__name__} came out: {e}")

    if case.kind == "stuck":
        _beside(run, fs)
    else:
        run()
    lost = disk.crash_clone("power")
    try:
        play.close()
    except lsm.Error as e:
        play.errors.append(f"close: {e}")
    fs.disarm()
    wrong += judged(play, fs)  # not on a copy: a lock that was not let go of shows here
    if scene.story.options.wal.sync in PROMISING and case.kind != "lie":
        wrong += [f"after power loss {w}" for w in judged(play, lost)]
    return [f"{w} ({case}; errors: {play.errors[:2]})" for w in wrong]


def _beside(run: Any, fs: recovery.FaultFileSystem) -> None:
    """Run in a thread until it is stuck, then let it go on."""
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive() and not fs.stuck():
        thread.join(0.0005)
    fs.disarm()
    thread.join()


def spread(n: int, most: int) -> list[int]:
    """Return up to `most` numbers below n, evenly."""
    return list(range(n)) if n <= most else [i * n // most for i in range(most)]


def slices(full: bool) -> list[Slice]:
    """A slice for each story, sync mode and way of writing the log; several where all cases are played."""
    made = []
    for sync, name, mapped in itertools.product(("group", "every", "os"), stories(), (True, False)):
        whole = full and sync == "group"
        for part in range(_PARTS if whole else 1):
            given = {"sync": sync, "story": name, "mapped": mapped, "part": part, "parts": _PARTS if whole else 0}
            given |= {"most": _FULL if full else _QUICK}
            made.append(Slice(f"{name.replace(' ', '-')}-{sync}-{'mapped' if mapped else 'written'}-{part}", given))
    return made


def run(given: dict[str, Any]) -> Found:
    """Play the cases of a slice."""
    scene = prepare(stories(given["sync"])[given["story"]], mapped=given["mapped"])
    every = list(cases(scene))
    mine = every[given["part"] :: given["parts"]] if given["parts"] else [every[i] for i in spread(len(every), given["most"])]
    found = Found()
    for case in mine:
        found.cases += 1
        found.violations += attempt(scene, case)
    return found


ROW = Row("A", "a fault in every file call", "cases", 16_000, 180_000, slices, run)
