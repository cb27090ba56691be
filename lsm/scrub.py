"""Scrubbing: every live table, value file and index file is read past the cache and verified, now or round and round in the background.

A damaged file stays in use: reads of its damaged blocks raise CorruptionError, all else goes on, and `health` names it until it is healed
or a compaction of another range has no more use for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import Cancelled, ClosedError, CorruptionError, Error, of_os
from .native import Bucket, Flag, Table
from .native_values import ValueFile

if TYPE_CHECKING:
    from .db import DB

log = logging.getLogger("lsm")
Progress = Callable[[str, int, int], None]


class Scrubber:
    """What a database knows of its damaged files, and the thread that looks for more. ``damaged``: a line by the name of the file."""

    def __init__(self, db: DB) -> None:
        self.db, self.lock = db, threading.Lock()
        self._found: dict[str, str] = {}
        self.passes, self.last = 0, 0.0  # whole passes, and when the last ended (seconds since 1970)
        self.stop_flag, self._wake = Flag(), threading.Event()
        options = db.options.scrub
        self._bucket = Bucket(options.bytes_per_second)
        self._thread = threading.Thread(target=self._run, name="lsm-scrub", daemon=True) if options.bytes_per_second else None

    def start(self) -> None:
        """Begin, if the options want it."""
        if self._thread is not None:
            self._thread.start()

    def stop(self) -> None:
        """End the thread, in the middle of a file too."""
        self.stop_flag.raise_()
        self._wake.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self.stop_flag:
            try:
                if self.scan(self._bucket, None) and self.db.options.scrub.heal and not self.db.read_only:
                    self._heal()
            except (Cancelled, ClosedError):
                return
            self._wake.wait(self.db.options.scrub.interval_s)

    def _heal(self) -> None:
        """Take what is damaged out of the copy that the options name. When that fails the next pass tries it again."""
        options = self.db.options.scrub
        try:
            for name in self.db.heal(options.heal, key=options.heal_key or None):
                log.warning("%s: %s was damaged; healed from %s", self.db.path, name, options.heal)
        except ClosedError:
            raise
        except Error as e:
            log.warning("%s: damaged files could not be healed from %s: %s", self.db.path, options.heal, e)

    @property
    def damaged(self) -> dict[str, str]:
        """Damaged files that are still in use: those that were verified, and those where a read met wrong bytes."""
        db, met = self.db, dict[str, str]()
        with db.executor.lock:
            live = {f"{n:06d}.idx" for n in db.state.attached_files()}
            for name, file in self._live().items():
                live.add(name)
                if (at := file.damage()) is not None:
                    met[name] = f"{db.path}/{name} at byte {at}: a read found wrong bytes"
        with self.lock:
            self._found = {name: line for name, line in self._found.items() if name in live}
            return met | self._found

    @property
    def tables(self) -> frozenset[int]:
        """Numbers of tables that were verified and are damaged: nothing is to be merged out of them."""
        with self.lock:
            return frozenset(int(name.removesuffix(".sst")) for name in self._found if name.endswith(".sst"))

    @property
    def values(self) -> frozenset[int]:
        """Likewise, of value files."""
        with self.lock:
            return frozenset(int(name.removesuffix(".vlog")) for name in self._found if name.endswith(".vlog"))

    def blames(self, e: CorruptionError) -> bool:
        """Tell whether an error of background work is the fault of a file in use; that is verified, and noted if it is damaged.

        If it is whole, a read of it went wrong on its way, and the work can be done again.
        """
        name = e.file.rpartition("/")[2]
        with self.db.executor.lock:
            if (live := self._live().get(name)) is None:
                return False
            file = live.share()
        try:
            file.verify(None, self.stop_flag)
        except CorruptionError as damage:
            self.note(name, str(damage))
            log.warning("background work goes round a damaged file: %s", damage)
        finally:
            file.close()
        return True

    def _live(self) -> dict[str, Table | ValueFile]:
        """Tables and value files by name, under the lock."""
        spaces = list(self.db.spaces.values())
        tables = {f"{t.number:06d}.sst": t for s in spaces for t in s.tables.values()}
        return {**tables, **{f"{v.number:06d}.vlog": v for s in spaces for v in s.value_files.values()}}

    def note(self, name: str, line: str | None) -> None:
        """A file was found to be damaged; None: it is whole."""
        with self.lock:
            self._found.pop(name, None)
            if line is not None:
                self._found[name] = line

    def _files(self) -> list[tuple[str, int, Table | ValueFile]]:
        """Name, bytes and a reference of every table and value file, by number."""
        with self.db.executor.lock:  # background work may close its own references at any time
            rows = [(name, f.props.file_size if isinstance(f, Table) else f.info.size, f.share()) for name, f in self._live().items()]
        return sorted(rows, key=lambda row: row[2].number)

    def scan(self, bucket: Bucket | None, progress: Progress | None) -> list[str]:
        """Verify every file live now, tables and value files by number. Returns a line for all that is wrong. Cancelled at `stop`."""
        files = self._files()
        total, done, problems = sum(size for _, size, _ in files), 0, list[str]()
        try:
            for name, size, file in files:
                if progress is not None:
                    progress(name, done, total)
                found = self._one(name, lambda file=file: file.verify(bucket, self.stop_flag))  # type: ignore[misc]
                if not found:
                    file.forget_damage()
                problems += found
                done += size
        finally:
            for _, _, file in files:
                file.close()
        problems += self._riders(bucket)
        with self.lock:
            self.passes, self.last = self.passes + 1, time.time()
        if progress is not None:
            progress("done", done, total)
        return problems

    def _one(self, name: str, verify: Callable[[], object]) -> list[str]:
        try:
            verify()
        except Cancelled:
            raise
        except Error as e:
            if not isinstance(e, CorruptionError):
                return [self._unread(name, e)]
            self.note(name, str(e))
            return [str(e)]
        self.note(name, None)
        return []

    def _riders(self, bucket: Bucket | None) -> list[str]:
        from .secondary.component import read_component

        db, problems = self.db, list[str]()
        with db.executor.lock:  # tables come and go meanwhile
            numbers = sorted(db.state.attached_files())
        for n in numbers:
            if self.stop_flag:
                raise Cancelled("the database is closing")
            found = self._one(f"{n:06d}.idx", lambda n=n: read_component(db.fs, db.path, n, db.state.database_id))  # type: ignore[misc]
            with db.executor.lock:
                there = n in db.state.attached_files()
            if there:  # a merge may have removed it meanwhile
                problems += found
                problems += self._paid(f"{db.path}/{n:06d}.idx", bucket)
        return problems

    def _paid(self, path: str, bucket: Bucket | None) -> list[str]:
        """Wait as long as the bytes of an index file allow; where the file system does not say how many, that is told."""
        if bucket is None:
            return []
        try:
            size = self.db.fs.stat(path)[0]
        except FileNotFoundError:  # removed meanwhile
            return []
        except OSError as e:
            return [self._unread(path, of_os(e))]
        bucket.take(size, self.stop_flag)
        return []

    def _unread(self, what: str, e: Error) -> str:
        """What could not be read may be whole: the next pass tries it again."""
        log.warning("%s: the scrub could not read %s: %s", self.db.path, what, e)
        return str(e)
