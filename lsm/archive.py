"""The log archive: closed log segments are copied to a backup target before they may go, so that any moment can be restored.

    segment closed --> pending --sync, copy, verify, record--> shipped --> below the durable floor of the log? unlinked

What is pending and below the floor stands in the manifest, so that an open after a crash ships just that: a segment which recovery did not
use is not part of the history. When the target fails, the logs are kept, the database goes on, and `DB.health` says so.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import recovery
from recovery import BackupStore, Guard, TargetUnavailable, file_pieces

from .backup import Log, open_store, read_log, target_of
from .errors import BackupError, CorruptionError, IOFailure
from .native import NEWEST

if TYPE_CHECKING:
    from .db import DB

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds between attempts while the target fails


class Archiver:
    """Ships the closed segments of one database, oldest first: in a thread of its own, or with threads=0 when a memtable was flushed."""

    def __init__(self, db: DB, pending: dict[int, int], unused: tuple[int, int]) -> None:
        """pending: segments to ship, and how much of each; 0: all of it, with its end record. unused: the first and last sequence number
        that writes may have had which no log and no table has: the log of this session begins behind them.
        """
        self.db, self.pending, self.unused, self.first = db, dict(pending), unused, NEWEST
        self.target = target_of(db, None, db.options.wal.archive_key)
        self.shipped: set[int] = set()
        self.lost: dict[int, str] = {}  # damaged segments, and what is wrong with them
        self.error: Exception | None = None
        self.shipped_bytes = 0
        inline = not db.options.threads
        self.guard = Guard(f"log archive {db.options.wal.archive}", attempts=1 if inline else 4)
        self._store: BackupStore | None = None
        self._work, self._lock = threading.Lock(), threading.Lock()
        self._due, self._stopped = threading.Event(), False
        self._thread = None if inline else threading.Thread(target=self._run, name="lsm-archive", daemon=True)

    def start(self, first: int) -> None:
        """The log of this session begins with segment ``first``."""
        self.first = first
        if self._thread is not None:
            self._thread.start()
            self._due.set()
        else:
            self.ship()

    def stop(self) -> None:
        """End the thread; what is pending is shipped after the next open."""
        self._stopped = True
        self._due.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def collect(self) -> None:
        """Take segments that were closed meanwhile."""
        db = self.db
        now = db.core.log()[0]
        with self._lock:
            for n in recovery.log_numbers(db.fs, db.path):
                if self.first <= n < now and n not in self.shipped and n not in self.lost:
                    self.pending.setdefault(n, 0)

    def below(self, floor: int) -> list[tuple[int, int]]:
        """Return the pending segments that recovery needs no more, for the manifest."""
        with self._lock:
            return [(n, size) for n, size in sorted(self.pending.items()) if n < floor]

    def needs(self, number: int) -> bool:
        """Tell whether a segment must stay."""
        with self._lock:
            return number in self.pending

    def sync_sources(self) -> None:
        """Make what recovery found durable: from now on its content is in tables too, and the archive must not have less.

        A segment that is not there was shipped, and the manifest did not hear of it; `ship` looks whether that is so.
        """
        for number in sorted(self.pending):
            if self._is_here(number):
                _sync(self.db, number)

    def _is_here(self, number: int) -> bool:
        return self.db.fs.exists(f"{self.db.path}/{number:06d}.log")

    def poke(self) -> None:
        """A segment was closed, or the tree has changed: ship now, or let the thread do so."""
        if self.first == NEWEST:
            return  # recovery is at work
        if self._thread is None:
            self.ship()
        else:
            self._due.set()

    def ship(self) -> bool:
        """Ship what is pending. False when something is left; `error` says why."""
        with self._work:
            self.collect()
            for number in sorted(self.pending):
                try:
                    self._ship(number, self.pending[number])
                    self.error = None
                except recovery.LockHeld:
                    return False  # a backup, or a prune: later
                except CorruptionError as e:
                    self.lost[number] = str(e)
                except Exception as e:  # whatever it is: the log stays, and health tells
                    self.error = e
                    return False
                with self._lock:
                    del self.pending[number]
        return True

    def _ship(self, number: int, size: int) -> None:
        db = self.db
        if not self._is_here(number) and self.guard.call(self._has, number):
            self.shipped.add(number)
            return
        _sync(db, number)
        log = read_log(db, number, closed=size == 0)
        if size and log.size != size:
            raise CorruptionError(f"the segment has {log.size} good bytes, recovery used {size}", f"{db.path}/{number:06d}.log")
        self.shipped_bytes += self.guard.call(self._put, log)
        self.shipped.add(number)

    def _open(self) -> BackupStore:
        wal = self.db.options.wal
        if self._store is None:
            self._store = open_store(self.target, wal.archive, key=wal.archive_key or None, codec=wal.archive_codec, make=True)
        return self._store

    def _name(self, number: int) -> str:
        return f"{self.db.state.database_id:016x}-{self.db.state.timeline:016x}-{number:06d}"

    def _has(self, number: int) -> bool:
        return self._name(number) in self._open().names("segment")

    def _put(self, log: Log) -> int:
        """Copy a segment into the store. Safe to repeat."""
        db, store, name = self.db, self._open(), self._name(log.number)
        with store.exclusive(f"log archive of {db.path}"):
            stored = store.add(lambda: file_pieces(db.fs, f"{db.path}/{log.number:06d}.log", log.size))
            if name in store.names("segment"):
                if store.record("segment", name)["files"][0]["object"] != stored.digest:
                    raise BackupError(f"{store.path} holds another segment {name}: this is a copy of the database, or it was copied back")
                return 0
            files = [{"name": f"{log.number:06d}.log", "object": stored.digest, "size": stored.size}]
            store.put_record("segment", name, {"log": log.to_row(), "files": files, "created": db.wall_ns()})
        return stored.written

    def _run(self) -> None:
        wait = FIRST_WAIT
        while True:
            self._due.wait(None if not self.pending else wait)
            self._due.clear()
            if self._stopped:
                return
            done = self.ship()
            wait = FIRST_WAIT if done or self.error is None else min(LONGEST_WAIT, wait * 2)
            if self._stopped:
                return
            with self.db.executor.lock:
                if not self.db.closed:
                    self.db.sweep(logs=True)

    def problem(self) -> str:
        """Say what is wrong, or nothing."""
        told = [f"segment {n:06d}.log cannot be archived, make a new backup: {why}" for n, why in sorted(self.lost.items())]
        if self.error is not None:
            kind = "waits" if isinstance(self.error, TargetUnavailable) else recovery.classify(self.error).value
            told.append(f"{len(self.pending)} log segments wait for the archive {self.db.options.wal.archive} ({kind}): {self.error}")
        return "; ".join(told)

    def metrics(self) -> dict[str, int]:
        """Return what was done and what failed, as numbers."""
        figures = {"shipped": len(self.shipped), "shipped_bytes": self.shipped_bytes, "pending": len(self.pending), "lost": len(self.lost)}
        return figures | self.guard.metrics | {"breaker_open": int(self.guard.state == "open")}


def _sync(db: DB, number: int) -> None:
    path = f"{db.path}/{number:06d}.log"
    try:
        with db.fs.open(path, "r+") as f:
            f.sync()
    except FileNotFoundError:
        raise CorruptionError("the segment is missing", path) from None
    except OSError as e:
        raise IOFailure("sync log", path, e.errno or 0) from e


def catalogue(db: DB) -> bytes:
    """Return the note that tells what keyspaces there are from this place of the log on, and which sequence numbers nothing has."""
    state = db.state
    spaces = [
        {"id": n, "name": state.names[n], "options": state.options[n]} | ({"attached": state.attached[n]} if n in state.attached else {})
        for n in sorted(state.names)
    ]
    note: dict[str, Any] = {"keyspaces": spaces, "next_keyspace": state.next_keyspace}
    if db.archiver is not None and db.archiver.unused[0] <= db.archiver.unused[1]:
        note["unused"] = list(db.archiver.unused)
    return json.dumps(note, separators=(",", ":")).encode()
