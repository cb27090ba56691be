"""The log mode `interval` in a quiet hour: what was written is synced when the interval has passed, also when nobody writes any more."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from .errors import Error

if TYPE_CHECKING:
    from .native_db import CoreDB


class IntervalSync:
    """A thread that syncs the log every `seconds` if something was written since. A failed sync makes the database read-only."""

    def __init__(self, core: CoreDB, seconds: float) -> None:
        self._core, self._seconds = core, seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lsm-interval", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        synced = 0
        while not self._end.wait(self._seconds):
            last = self._core.sequence()
            if last != synced:
                with suppress(Error):  # the next write says why
                    self._core.sync()
                synced = last

    def stop(self) -> None:
        """End the thread. The database is still open."""
        self._end.set()
        self._thread.join()
