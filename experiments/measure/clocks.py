"""Clocks that a run is timed by: the machine's, or the virtual one of a simulated device."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

SPIN_NS = 60_000  # the last stretch before an operation is due is waited for awake: sleeping overshoots by about this


def wall_and_waited() -> tuple[float, float]:
    """Seconds by the wall, and seconds that this thread waited for a core, at one moment: had it waited between the two, it looks again."""
    waited = _waited()
    while True:
        now, before = time.perf_counter(), waited
        if (waited := _waited()) == before:
            return now, waited / 1e9


def _waited() -> int:
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1])


class TimedBy(Protocol):
    """What a player needs of a clock."""

    def now(self) -> int:
        """Nanoseconds."""

    def busy(self) -> float:
        """Seconds that count as the run's so far."""

    def wait_until(self, due: int) -> None:
        """Return when it is `due` or later."""


class Wall:
    """The machine's clock. `busy` leaves out what this thread waited for a core, so that a busy machine blurs less."""

    def __init__(self) -> None:
        self.now = time.perf_counter_ns

    def busy(self) -> float:
        """Wall seconds less the seconds waited for a core."""
        now, waited = wall_and_waited()
        return now - waited

    def wait_until(self, due: int) -> None:
        """Sleep, then spin."""
        while (left := due - time.perf_counter_ns()) > 0:
            if left > SPIN_NS:
                time.sleep((left - SPIN_NS) / 1e9)


class Virtual:
    """The clock of a simulated device. Each operation costs `cpu_ns` besides what its input and output cost."""

    def __init__(self, device: Any, cpu_ns: int) -> None:
        self.device, self.cpu_ns = device, cpu_ns
        self._asked = False

    def now(self) -> int:
        """Virtual nanoseconds."""
        return int(self.device.now_ns())

    def busy(self) -> float:
        """Virtual seconds."""
        return self.now() / 1e9

    def wait_until(self, due: int) -> None:
        """Move the clock forward."""
        self.device.advance_to(due)
