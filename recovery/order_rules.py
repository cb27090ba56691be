"""Order rules: what must have been synced before what, checked on a recording while it is made or afterwards.

A broken rule names the call that is missing, at the event where it was missed: far cheaper to understand than a crash state that lost a
write. The rules are the ones that journalling and log-structured stores share (SQLite's journal test VFS checks the like); which files
they speak of is told by patterns of fnmatch over whole paths, so they serve any store:

    rules = OrderRules(Files(log=("*.log",), record=("*/MANIFEST-*", "*/CURRENT"), data=("*.sst",)))
    fs = recovery.record(recovery.memory(), [rules])

| rule | at | what must have happened |
|---|---|---|
| sync-before-ack | a mark `acked ...` | a good sync of every log, after its last byte |
| name-before-ack | a mark `acked ...` | a sync_dir after each log or record that was created, linked or renamed |
| sync-before-rename | a rename onto a record | a good sync of the file renamed, and of every file that is a record or data |
| name-before-rename | a rename onto a record | a sync_dir after each record or data file that was created |
| sync-before-record | a write to a durably named record | a good sync of the data files that it names, and a sync_dir |
| record-before-unlink | an unlink of a log or data file | all records synced and their names durable, once since the log's last byte |
| no-write-after-failed-sync | a write or sync | no sync of that file has failed |
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from .recording import Event

_WRITES = ("append", "pwrite", "truncate", "allocate")
_EVEN_FAILED = (*_WRITES, "sync")
_CREATE = 4


@dataclass(frozen=True)
class Files:
    """Which files are what, as patterns over paths.

    `record`: says what the store consists of (a manifest, a pointer). `data`: what records name. `ack`: the marks after which everything
    that was logged is promised. `names`: the paths of the data files that bytes written to a record speak of; without it, of all there
    are, which is right while nothing goes on in the background.
    """

    log: Sequence[str] = ()
    record: Sequence[str] = ()
    data: Sequence[str] = ()
    ack: str = "acked*"
    names: Callable[[bytes], Iterable[str]] | None = None


@dataclass(frozen=True)
class Broken:
    """One broken rule: its name, the event (its number from 0, and itself), the call that is missing before it."""

    rule: str
    number: int
    event: Event
    missing: str

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.rule}: {self.event} (event {self.number}) without {self.missing}"


class OrderBroken(AssertionError):
    """Raised by rules that are to fail at once; `broken` is what they found."""

    def __init__(self, broken: Broken) -> None:
        """Keep what was found."""
        self.broken = broken
        super().__init__(str(broken))


@dataclass
class _File:
    path: str
    dirty: bool = False  # bytes that no good sync has covered
    unnamed: bool = False  # no sync_dir since its name was made
    failed: bool = False
    changed: int = -1  # number of the last event that wrote to it
    promised: bool = True  # an acknowledgement came while it was there


class OrderRules:
    """The rules above over one recording. `feed` takes its events; what is broken is in `broken`, and raised at once when `raising`.

    existing: paths of files that were there, durably, when the recording began.
    """

    def __init__(self, files: Files, *, existing: Iterable[str] = (), raising: bool = False) -> None:
        """Know the files by their patterns."""
        self.files, self.raising = files, raising
        self.broken: list[Broken] = []
        self._by_path = {path: _File(path) for path in existing}
        self._open: dict[int, _File] = {}
        self._number = -1
        self._recorded = -1  # number of the last event that made a record, or its name, durable
        self._handlers: dict[str, Callable[[Event], None]] = {
            **dict.fromkeys(_WRITES, self._write),
            **{op: getattr(self, f"_{op}") for op in ("close", "sync", "sync_dir", "rename", "link", "unlink", "mark")},
            **dict.fromkeys(("open", "lock"), self._opened),
        }

    def feed(self, event: Event) -> None:
        """Check one event. OrderBroken when `raising`. O(files)."""
        self._number += 1
        handler = self._handlers.get(event.op)
        if handler is not None and (event.result >= 0 or event.op in _EVEN_FAILED):
            handler(event)

    def check(self, events: Iterable[Event]) -> list[Broken]:
        """Feed all events; return what is broken."""
        for event in events:
            self.feed(event)
        return self.broken

    def _fail(self, rule: str, event: Event, missing: str) -> None:
        self.broken.append(Broken(rule, self._number, event, missing))
        if self.raising:
            raise OrderBroken(self.broken[-1])

    def _of(self, *kinds: Sequence[str]) -> list[_File]:
        return [f for path, f in sorted(self._by_path.items()) if _matches(path, *kinds)]

    def _need_sync(self, rule: str, event: Event, files: Iterable[_File]) -> None:
        for f in files:
            if f.dirty:
                self._fail(rule, event, f"sync({f.path})")

    def _need_names(self, rule: str, event: Event, files: Iterable[_File]) -> None:
        for folder in dict.fromkeys(posixpath.dirname(f.path) for f in files if f.unnamed):
            self._fail(rule, event, f"sync_dir({folder})")

    def _opened(self, e: Event) -> None:
        f = self._by_path.get(e.path)
        if f is None:
            made = e.op == "lock" or bool(e.offset & _CREATE)
            f = self._by_path[e.path] = _File(e.path, unnamed=made, promised=not made)
        self._open[e.file] = f

    def _close(self, e: Event) -> None:
        self._open.pop(e.file, None)

    def _write(self, e: Event) -> None:
        f = self._open[e.file]
        if f.failed:
            self._fail("no-write-after-failed-sync", e, f"giving {f.path} up: its sync has failed")
        if e.op not in ("append", "pwrite"):
            return  # sizes are no bytes: a log that is cut where it ends has lost nothing
        f.dirty, f.changed = True, self._number
        if _matches(f.path, self.files.record) and not f.unnamed:  # a new one is in force once something durable leads to it
            named = None if self.files.names is None else set(self.files.names(e.data))
            data = [d for d in self._of(self.files.data) if named is None or d.path in named]
            self._need_sync("sync-before-record", e, data)
            self._need_names("sync-before-record", e, data)

    def _sync(self, e: Event) -> None:
        f = self._open[e.file]
        if f.failed:
            self._fail("no-write-after-failed-sync", e, f"giving {f.path} up: its sync has failed")
        elif e.result < 0:
            f.failed = True
        else:
            if f.dirty and _matches(f.path, self.files.record):
                self._recorded = self._number
            f.dirty = False

    def _sync_dir(self, e: Event) -> None:
        folder = posixpath.normpath(e.path)
        for f in self._by_path.values():
            if f.unnamed and posixpath.dirname(f.path) == folder:
                f.unnamed = False
                if _matches(f.path, self.files.record):
                    self._recorded = self._number

    def _rename(self, e: Event) -> None:
        f = self._by_path.pop(e.path, None) or _File(e.path)
        if _matches(e.other, self.files.record):
            others = self._of(self.files.record, self.files.data)
            self._need_sync("sync-before-rename", e, [f, *(o for o in others if o.path != e.other)])
            self._need_names("name-before-rename", e, (o for o in others if o.path != e.other))
        f.path, f.unnamed = e.other, True
        self._by_path[e.other] = f

    def _link(self, e: Event) -> None:
        old = self._by_path.get(e.path) or _File(e.path)
        self._by_path[e.other] = replace(old, path=e.other, unnamed=True)

    def _unlink(self, e: Event) -> None:
        f = self._by_path.pop(e.path, None)
        files = self.files
        if f is None or not f.promised or not _matches(e.path, files.log, files.record, files.data):
            return
        records = self._of(files.record)
        self._need_sync("record-before-unlink", e, records)
        self._need_names("record-before-unlink", e, records)
        if _matches(e.path, files.log) and self._recorded <= f.changed:
            self._fail("record-before-unlink", e, f"a record made durable since the last byte of {e.path}")

    def _mark(self, e: Event) -> None:
        if not fnmatchcase(e.text, self.files.ack):
            return
        logs = self._of(self.files.log)
        self._need_sync("sync-before-ack", e, logs)
        self._need_names("name-before-ack", e, [*logs, *self._of(self.files.record)])
        for f in self._by_path.values():
            f.promised = True


def _matches(path: str, *kinds: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for kind in kinds for pattern in kind)
