"""A disk that does not answer is noticed while it does not: calls that take too long are logged, and `health` tells of them."""

from __future__ import annotations

import logging
import threading

from .native import Watch

log = logging.getLogger("lsm")


class DiskWatch:
    """Looks four times within the limit whether a marked call (log, tables, manifest) has been under way for longer than it."""

    def __init__(self, path: str, calls: Watch, limit_ms: int) -> None:
        """limit_ms 0: never tells."""
        self.path, self.calls, self.limit = path, calls, limit_ms / 1000
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look from now on, in a thread."""
        if self.limit and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lsm-disk-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def stuck(self) -> str:
        """What hangs, and for how long; "" when nothing does."""
        seconds, what = self.calls.oldest()
        return f"the disk does not answer: a {what} has taken {seconds:.1f} s so far" if self.limit and seconds >= self.limit else ""

    def _run(self) -> None:
        told = ""
        while not self._end.wait(self.limit / 4):
            now = self.stuck()
            if now and not told:
                log.warning("%s: %s", self.path, now)
            elif told and not now:
                log.warning("%s: the disk answers again", self.path)
            told = now
