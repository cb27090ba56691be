"""Files that must stay although the tree needs them no more: a backup is copying them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from recovery import FileSystem

from .native import NEWEST


class Holds:
    """The removal of the files of one directory. Any thread. What a crash leaves is swept by the next open."""

    def __init__(self, fs: FileSystem, path: str) -> None:
        self.fs, self.path = fs, path
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._late: set[str] = set()
        self.logs_from = NEWEST  # log segments from this one on stay for the next backup, while they are few bytes

    def remove(self, name: str) -> None:
        """Unlink a file, when nobody holds it any more; a failure leaves it for the next open."""
        with self._lock:
            if self._held[name]:
                self._late.add(name)
                return
        with suppress(OSError):
            self.fs.unlink(f"{self.path}/{name}")

    def free_logs(self, numbers: list[int], floor: int, budget: int) -> list[int]:
        """Return the segments that neither recovery needs (below floor) nor the next backup: it may have ``budget`` bytes of them."""
        old = [n for n in numbers if n < floor]
        kept = [n for n in old if n >= self.logs_from]
        if sum(self.fs.stat(f"{self.path}/{n:06d}.log")[0] for n in kept) > budget:
            self.logs_from = NEWEST
        return [n for n in old if n < self.logs_from]

    @contextmanager
    def keep(self, names: Iterable[str]) -> Iterator[None]:
        """Keep files until the end of the block. Enter it under the lock under which the tree changes, while the tree needs them."""
        held = list(names)
        with self._lock:
            self._held.update(held)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(held)
                free = {name for name in self._late if not self._held[name]}
                self._late -= free
            for name in free:
                self.remove(name)
