"""What is observed while a run goes on: counters phase by phase, the tree's shape over time, and every flush, merge and stall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contestants import Cells, Contestant

_PERCENTILES = {"p50_ns": 50.0, "p99_ns": 99.0, "p999_ns": 99.9, "max_ns": 100.0}


def ledger(phase: str, before: Cells, after: Cells) -> list[dict[str, Any]]:
    """Rows of what was counted between two readings."""
    names = ("operation", "level", "component", "cause")
    rows = []
    for key, (count, size) in after.items():
        old_count, old_size = before.get(key, (0, 0))
        if (count, size) != (old_count, old_size):
            rows.append({"phase": phase, **dict(zip(names, key, strict=True)), "count": count - old_count, "bytes": size - old_size})
    return rows


class Observer:
    """Readings of a contestant. `user_bytes` and `returned_bytes` are what the player wrote and got, the same for every contestant."""

    def __init__(self, store: Contestant) -> None:
        self.store = store
        self.user_bytes = self.returned_bytes = 0
        self.stall_ns = 0  # of the interval that is open
        self.rows: list[dict[str, Any]] = []
        self.counters: dict[str, dict[str, int]] = {}
        self.series: list[dict[str, Any]] = []
        self._cells, self._counters = store.reading()
        self._bytes = (0, 0)

    def phase(self, name: str) -> None:
        """What happened since the last phase belongs to this one."""
        cells, counters = self.store.reading()
        self.rows += ledger(name, self._cells, cells)
        self.counters[name] = {k: v - self._counters.get(k, 0) for k, v in counters.items()}
        self.counters[name] |= {"user_bytes": self.user_bytes - self._bytes[0], "returned_bytes": self.returned_bytes - self._bytes[1]}
        self._cells, self._counters, self._bytes = cells, counters, (self.user_bytes, self.returned_bytes)

    def sample(self, operations: int, seconds: float, elapsed: float, latency: NDArray[np.int64] | None = None) -> None:
        """Take one row of the time series: busy seconds, and seconds by the clock; `latency` is of the operations since the last one."""
        cells, _ = self.store.reading()

        def written(*causes: str, component: str | None = None) -> int:
            return sum(b for (op, _, c, why), (_, b) in cells.items() if op == "write" and why in causes and component in (None, c))

        some = latency is not None and len(latency)
        self.series.append(
            {
                "operations": operations,
                "seconds": seconds,
                "elapsed": elapsed,
                "user_bytes": self.user_bytes,
                "written_bytes": written("flush", "compaction"),
                "log_bytes": written("write", component="wal"),
                "debt": self.store.debt(),
                "admission_ns_per_kib": self.store.admission(),
                "stall_ns": self.stall_ns,
                **{name: int(np.percentile(latency, q)) if latency is not None and some else 0 for name, q in _PERCENTILES.items()},
                "levels": self.store.levels(),
            }
        )
        self.stall_ns = 0


class Events:
    """Notes every flush and merge of our engine, every wait of a writer, and every time in which writes were slowed down, from `begin` on.

    It stands around two methods of the executor of an open database, the one that runs a job and the one in which a writer waits, and
    around what opens and closes the door of the default keyspace. With threads=0 a job runs within the call of a writer, so each is a
    stall of that length.
    """

    def __init__(self, db: Any, now: Callable[[], int], observer: Observer) -> None:
        self.rows: list[dict[str, Any]] = []
        self.peak_bytes = 0  # of inputs and outputs of a merge that were there at the same time
        self.operation = 0
        self._db, self._now, self._observer, self._start = db, now, observer, now()
        self._slowed: tuple[int, str] | None = None  # since when, and why
        self._executor, self._door = db.executor, db.default.core
        self._run, self._wait, self._admit = self._executor._run, self._executor.wait_for_room, self._door.admit
        self._inline = not db.options.threads
        self._executor._run, self._executor.wait_for_room, self._door.admit = self._job, self._waiting, self._admitting

    def begin(self) -> None:
        """Times count from here; what came before is forgotten."""
        self.rows.clear()
        self._observer.stall_ns = 0
        self._start = self._now()
        if self._slowed is not None:
            self._slowed = self._start, self._slowed[1]

    def end(self) -> None:
        """Stand aside again."""
        self._quicken()
        del self._executor._run, self._executor.wait_for_room, self._door.admit

    def _job(self, space: Any, inputs: Any, **how: Any) -> Any:
        began = self._now()
        result = self._run(space, inputs, **how)
        held = sum(lv.size for lv in space.version.levels)
        self.peak_bytes = max(self.peak_bytes, held + result.bytes_written)
        entries = sum(t.entries for t in result.outputs)
        plan = how.get("plan")
        reason = f"to level {how['level']}" + (f": {plan.reason}" if plan is not None and plan.reason else "")
        self._note(how["cause"], reason, began, how["level"], result.bytes_read, result.bytes_written, result.entries_in, entries)
        if self._inline:
            self._observer.stall_ns += self._now() - began
        return result

    def _why(self) -> str:
        from lsm.stalls import reasons

        return "; ".join(why for space in self._db.spaces.values() for why in reasons(space)) or "room was made meanwhile"

    def _admitting(self, is_open: bool, delay_ns_per_kib: int) -> None:
        """The door of the keyspace is set; the executor's lock is held."""
        self._admit(is_open, delay_ns_per_kib)
        if is_open and delay_ns_per_kib:
            self._slowed = self._slowed or (self._now(), self._why())
        else:
            self._quicken()

    def _quicken(self) -> None:
        """Writes are not slowed down any more: open, or stopped."""
        if self._slowed is not None:
            began, why = self._slowed
            self._slowed = None
            self._note("slowed", why, began)

    def _waiting(self) -> None:
        began = self._now()
        with self._executor.lock:
            reason = self._why()
        self._wait()
        self._note("stall", reason, began)
        self._observer.stall_ns += self._now() - began

    def _note(self, kind: str, reason: str, began: int, level: int = -1, *sizes: int) -> None:
        names = ("bytes_in", "bytes_out", "entries_in", "entries_out")
        row: dict[str, Any] = {
            "kind": kind, "reason": reason, "start_ns": began - self._start, "length_ns": self._now() - began, "operation": self.operation,
            "level": level,
        }  # fmt: skip
        self.rows.append(row | dict(zip(names, sizes or (0, 0, 0, 0), strict=True)))

    def entries(self, kind: str, skip: int) -> int:
        """Entries that jobs of a kind wrote from operation `skip` on."""
        return sum(r["entries_out"] for r in self.rows if r["kind"] == kind and r["operation"] >= skip)
