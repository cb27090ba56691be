"""What somebody who runs a database wants to know first: does it take writes, and if not, why, and what helps."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import eviction

from .errors import ClosedError, CorruptionError, IOFailure
from .stalls import admission_of, pending, reasons

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace

_NO_SLOT = 2**32 - 1
_SAFE = "Reads go on; nothing that was acknowledged is lost."
_AGAIN = "call db.resume(), or close and open the database again"
_MEANING = {  # by how the error begins
    "the manifest could not be written": "Whether the last change of the tree is on the disk is unknown; opening finds out.",
    "the log could not be": "The write that failed may be there or not after a restart.",
    "a new log segment could not be made": "The log cannot go on.",
}


@dataclass(frozen=True)
class Health:
    """The state of a database at one moment. Made by `DB.health`.

    `state`: "ok"; "degraded": reads and writes go on, something else does not (`archive`, `policies`); "damaged": files are (`damaged` says
    which), all else goes on; "slowed" or "stopped": writes wait for background work (`stalls` say where and why); "stuck": a call to the
    disk takes longer than stalls.disk_ms (`error`, which); "read_only": opened so; "failed": an error has made it read-only (`error`, the
    first one; `advice`, what it means and what to do).
    """

    state: str
    error: str
    advice: str
    stalls: tuple[str, ...]
    level0_runs: int  # of the keyspace that has most
    sealed_memtables: int  # of the keyspace that has most
    pending_compaction_bytes: int  # inputs of the compactions that run or are due
    running_jobs: int
    wal_bytes: int | None  # of the files, with what is preallocated; None: the file system does not say
    manifest_bytes: int | None
    damaged: tuple[str, ...] = ()  # files in use that are damaged: reads of the damaged range raise CorruptionError
    last_scrub: float = 0.0  # when the last whole pass of a scrub ended, seconds since 1970; 0: never
    archive: str = ""  # what is wrong with the log archive; the log stays until it is shipped
    policies: tuple[str, ...] = ()  # what eviction and compaction policies did against their rules; the data are right nevertheless

    @property
    def writable(self) -> bool:
        """Whether a write is taken, now or after a wait."""
        return self.state in ("ok", "degraded", "damaged", "slowed", "stopped", "stuck")

    def __str__(self) -> str:
        """Return it as lines of text."""
        lines = [f"state: {self.state}"]
        lines += [f"{name}: {text}" for name, text in (("error", self.error), ("advice", self.advice)) if text]
        lines += [f"stall: {stall}" for stall in self.stalls]
        lines += [f"damaged: {line}" for line in self.damaged]
        lines += [f"policy: {told}" for told in self.policies]
        lines += [f"archive: {self.archive}"] if self.archive else []
        lines.append(f"level 0: up to {self.level0_runs} runs, {self.sealed_memtables} memtables wait for their flush")
        lines.append(f"compactions: {self.pending_compaction_bytes} bytes due or under way, {self.running_jobs} jobs running")
        sizes = [f"{name} {'?' if n is None else n} bytes" for name, n in (("log", self.wal_bytes), ("manifest", self.manifest_bytes))]
        return "\n".join([*lines, f"files: {', '.join(sizes)}"])


def health_of(db: DB) -> Health:
    """Return the health of an open database. ClosedError when it is closed. O(tables + files); asks each compaction policy what is due."""
    if db.closed:
        raise ClosedError("the database is closed")
    while True:  # who waits for the disk may hold the lock
        if stuck := db.disk.stuck():
            return _stuck(db, stuck)
        if db.executor.lock.acquire(timeout=0.05):
            break
    try:
        return _looked_at(db)
    finally:
        db.executor.lock.release()


def _looked_at(db: DB) -> Health:
    executor = db.executor
    spaces = list(db.spaces.values())
    opened = [] if db.read_only or not executor.threads else [admission_of(s) for s in spaces]
    why, cause = db.core.why_read_only(), executor.error
    damaged = tuple(db.scrubber.damaged.values())
    state = "ok"
    if db.read_only:
        state = "read_only"
    elif why is not None or cause is not None:
        state = "failed"
    elif not all(is_open for is_open, _ in opened):
        state = "stopped"
    elif any(delay for _, delay in opened):
        state = "slowed"
    elif damaged:
        state = "damaged"
    archive = db.archiver.problem() if db.archiver is not None else ""
    refused = [f"compaction policy of keyspace {s.name!r}: {executor.refused[s.name]}" for s in spaces if s.name in executor.refused]
    waiting = state in ("slowed", "stopped")
    if (state == "ok" and archive) or (refused and (state == "ok" or waiting)):
        state = "degraded"
    error = (why or f"a background job failed: {cause}") if state == "failed" else ""
    return Health(
        state=state,
        error=error,
        advice=_advice(state, error, cause, refused),
        stalls=tuple(s for space in spaces for s in reasons(space)) if waiting else (),
        level0_runs=max(_backlog(s)[0] for s in spaces),
        sealed_memtables=max(_backlog(s)[1] for s in spaces),
        pending_compaction_bytes=sum(pending(s, executor.busy.get(s.name, set())) for s in spaces),
        running_jobs=len(executor.jobs),
        wal_bytes=_size(db, "", ".log"),
        manifest_bytes=_size(db, "MANIFEST-", ""),
        damaged=damaged,
        last_scrub=db.scrubber.last,
        archive=archive,
        policies=(*broken_policies(db), *refused),
    )


def _stuck(db: DB, what: str) -> Health:
    """Without a lock, which may be held by the call that hangs, and without asking the disk."""
    spaces = list(db.spaces.values())
    runs, sealed = max(_backlog(s)[0] for s in spaces), max(_backlog(s)[1] for s in spaces)
    advice = "Calls that need the disk wait; reads of what is in memory go on. See to the disk; nothing that was acknowledged is lost."
    return Health("stuck", what, advice, (what,), runs, sealed, 0, len(db.executor.jobs), None, None)


def broken_policies(db: DB) -> Iterator[str]:
    """What the eviction policies of the caches did wrong: victims that they do not hold, and what a Python class raised."""
    for cache, options in ((db.cache, db.options.cache), (db.row_cache, db.options.row_cache)):
        figures = cache.stats() if cache else {"refused": 0}
        raised = eviction.problem(options.policy) if cache else None
        if raised or figures["refused"]:
            slot = "no slot" if figures["refused"] and figures["wrong_slot"] == _NO_SLOT else f"slot {figures.get('wrong_slot')}"
            what = f"{type(raised).__name__}: {raised}" if raised else f"it evicted {slot}: not a slot that it holds"
            yield f"{options.where}.policy {options.policy!r}: {what} ({figures['refused']} evictions refused)"


def _backlog(space: Keyspace) -> tuple[int, int]:
    return len(space.version.levels[0].runs), space.core.sealed_count()


def _size(db: DB, start: str, end: str) -> int | None:
    total = 0
    try:
        for name in db.fs.listdir(db.path):
            if name.startswith(start) and name.endswith(end):
                with suppress(FileNotFoundError):  # removed meanwhile
                    total += db.fs.stat(f"{db.path}/{name}")[0]
    except OSError:
        return None
    return total


def _advice(state: str, error: str, cause: BaseException | None, refused: list[str]) -> str:
    """What a state means and what to do about it."""
    if state == "read_only":
        return "The database was opened with read_only=True. Open it without to write."
    if state in ("slowed", "stopped"):
        return (
            "Writes come faster than they are flushed and merged. It passes; if it comes back: more threads, "
            "a higher compaction.rate_limit, a larger write_buffer, or a layout that merges less."
        )
    if state == "ok":
        return ""
    if state == "damaged":
        return (
            "Reads of the damaged ranges raise CorruptionError, and nothing is merged out of these files; all else goes on. "
            "db.heal(COPY) takes them out of a checkpoint or of backups; without one, lsmlab repair saves the rest. "
            "Index files (.idx) are made again by db.rebuild_indexes. If a read went wrong on its way, db.scrub() finds them whole."
        )
    if state == "degraded" and refused:
        return (
            f"A compaction policy broke its rules and is not asked any more; {_SAFE[0].lower()}{_SAFE[1:]} Level 0 grows until "
            "db.set_policy gives the keyspace another one; lsmlab policy check tries one without risk."
        )
    if state == "degraded":
        return f"{_SAFE} The log grows until its archive takes it; see to the target, it is tried again by itself."
    if getattr(cause, "errno", 0) == errno.ENOSPC or "no space" in error.lower():
        return f"The disk is full. {_SAFE} Free some space, then {_AGAIN}."
    for start, text in _MEANING.items():
        if error.startswith(start):
            return f"{text} {_SAFE} Check the disk, then {_AGAIN}."
    if isinstance(cause, CorruptionError):
        where = f"A file is damaged: {cause.file or 'see the error'}."
        return f"{where} {_SAFE} `DB.verify` names every damaged table, `DB.heal` takes them out of a copy."
    if isinstance(cause, IOFailure):
        return f"The disk refused a flush or a compaction, which changed nothing. {_SAFE} Check the disk, then {_AGAIN}."
    if cause is not None:
        return f"A flush or a compaction failed, but not by the disk; it changed nothing. {_SAFE} Mend the part that failed, then {_AGAIN}."
    return f"{_SAFE} See to the cause, then {_AGAIN}."
