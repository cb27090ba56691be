"""What befell an open database and what was done, as counts: failures by severity, resumes, healed files, calls to targets of backups."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from recovery import Severity, classify


class Events:
    """Counts since the database was opened. Any thread."""

    def __init__(self) -> None:
        self._lock, self._counts = threading.Lock(), Counter[str]()

    def count(self, name: str, n: int = 1) -> None:
        """Add to a count: resumes, healed_files."""
        with self._lock:
            self._counts[name] += n

    def failed(self, e: BaseException) -> None:
        """Background work failed, or the manifest: by severity."""
        self.count(f"failures_{classify(e).value}")

    def called(self, metrics: Mapping[str, int]) -> None:
        """Add what was counted of the calls to a target of backups."""
        with self._lock:
            self._counts.update({f"backup_{name}": n for name, n in metrics.items()})

    def figures(self) -> dict[str, int]:
        """Return all counts, those that are 0 too."""
        calls = ("calls", "retries", "failures", "refused", *(s.value for s in Severity))
        names = ("resumes", "healed_files", *(f"failures_{s.value}" for s in Severity), *(f"backup_{c}" for c in calls))
        with self._lock:
            return {name: self._counts[name] for name in names}
