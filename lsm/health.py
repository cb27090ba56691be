"""What somebody who runs a database wants to know first: does it take writes, and if not, why, and what helps."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import eviction

from .errors import ClosedError, CorruptionError, IOFailure
from .stalls import admission, limits

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace

_NO_SLOT = 2**32 - 1
_SAFE = "Reads go on; nothing that was acknowledged is lost."
_AGAIN = "close and open the database again: recovery replays the log"
_MEANING = {  # by how the error begins
    "the manifest could not be written": "Whether the last change of the tree is on the disk is unknown; opening finds out.",
    "the log could not be": "The write that failed may be there or not after a restart.",
    "a new log segment could not be made": "The log cannot go on.",
}


@dataclass(frozen=True)
class Health:
    """The state of a database at one moment. Made by `DB.health`.

    `state`: "ok"; "slowed" or "stopped": writes wait for background work (`stalls` say where and why); "read_only": opened so;
    "failed": an error has made it read-only (`error`, the first one; `advice`, what it means and what to do).
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
    policies: tuple[str, ...] = ()  # what eviction policies did against their rules; reads are right nevertheless

    @property
    def writable(self) -> bool:
        """Whether a write is taken, now or after a wait."""
        return self.state in ("ok", "slowed", "stopped")

    def __str__(self) -> str:
        """Return it as lines of text."""
        lines = [f"state: {self.state}"]
        lines += [f"{name}: {text}" for name, text in (("error", self.error), ("advice", self.advice)) if text]
        lines += [f"stall: {stall}" for stall in self.stalls]
        lines += [f"policy: {told}" for told in self.policies]
        lines.append(f"level 0: up to {self.level0_runs} runs, {self.sealed_memtables} memtables wait for their flush")
        lines.append(f"compactions: {self.pending_compaction_bytes} bytes due or under way, {self.running_jobs} jobs running")
        sizes = [f"{name} {'?' if n is None else n} bytes" for name, n in (("log", self.wal_bytes), ("manifest", self.manifest_bytes))]
        return "\n".join([*lines, f"files: {', '.join(sizes)}"])


def health_of(db: DB) -> Health:
    """Return the health of an open database. ClosedError when it is closed. O(tables + files); asks each compaction policy what is due."""
    if db.closed:
        raise ClosedError("the database is closed")
    executor = db.executor
    with executor.lock:
        spaces = list(db.spaces.values())
        opened = [] if db.read_only or not executor.threads else [admission(s.options, *_backlog(s)) for s in spaces]
        why, cause = db.core.why_read_only(), executor.error
        state = "ok"
        if db.read_only:
            state = "read_only"
        elif why is not None or cause is not None:
            state = "failed"
        elif not all(is_open for is_open, _ in opened):
            state = "stopped"
        elif any(delay for _, delay in opened):
            state = "slowed"
        error = (why or f"a background job failed: {cause}") if state == "failed" else ""
        return Health(
            state=state,
            error=error,
            advice=_advice(state, error, cause),
            stalls=tuple(s for space in spaces for s in _stalls(space)) if state in ("slowed", "stopped") else (),
            level0_runs=max(_backlog(s)[0] for s in spaces),
            sealed_memtables=max(_backlog(s)[1] for s in spaces),
            pending_compaction_bytes=sum(_pending(s, executor.busy.get(s.name, set())) for s in spaces),
            running_jobs=len(executor.jobs),
            wal_bytes=_size(db, "", ".log"),
            manifest_bytes=_size(db, "MANIFEST-", ""),
            policies=tuple(broken_policies(db)),
        )


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


def _stalls(space: Keyspace) -> Iterator[str]:
    runs, sealed = _backlog(space)
    slow, stop = limits(space.options)
    if sealed > space.options.max_sealed:
        yield f"keyspace {space.name}: {sealed} memtables wait for their flush; writes stop above {space.options.max_sealed}"
    if runs >= slow:
        yield f"keyspace {space.name}: {runs} runs in level 0; writes slow down from {slow} on and stop at {stop}"


def _pending(space: Keyspace, busy: set[int]) -> int:
    """The bytes of tables that jobs hold and of those that the policy would have merged, plan by plan, while others run."""
    tables, held = space.version.tables(), set(busy)
    with suppress(Exception):  # a policy that fails is told by the job that asks it
        while (plan := space.policy.plan(space.view(frozenset(held)))) is not None and not held.issuperset(plan.inputs):
            held.update(plan.inputs)
    return sum(tables[n].size for n in held if n in tables)


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


def _advice(state: str, error: str, cause: BaseException | None) -> str:
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
    if getattr(cause, "errno", 0) == errno.ENOSPC or "no space" in error.lower():
        return f"The disk is full. {_SAFE} Free some space, then {_AGAIN}."
    for start, text in _MEANING.items():
        if error.startswith(start):
            return f"{text} {_SAFE} Check the disk, then {_AGAIN}."
    if isinstance(cause, CorruptionError):
        return f"A file is damaged: {cause.file or 'see the error'}. {_SAFE} `DB.verify` names every damaged table; restore a checkpoint."
    if isinstance(cause, IOFailure):
        return f"The disk refused a flush or a compaction, which changed nothing. {_SAFE} Check the disk, then {_AGAIN}."
    if cause is not None:
        return f"A flush or a compaction failed, but not by the disk; it changed nothing. {_SAFE} Mend the part that failed, then {_AGAIN}."
    return f"{_SAFE} See to the cause, then {_AGAIN}."
