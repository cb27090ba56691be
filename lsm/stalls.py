"""Backpressure: how much unmerged work lets writes run, slows them down, or stops them."""

from __future__ import annotations

from dataclasses import dataclass

from .options import Options


@dataclass(frozen=True)
class Admission:
    """Whether writes may go on, and how long each waits per KiB, in nanoseconds."""

    is_open: bool = True
    delay_ns_per_kib: int = 0
    reason: str = ""


def decide(options: Options, sealed: int, level0_runs: int) -> Admission:
    """Return the admission for a keyspace with this many sealed memtables and runs in level 0. Pure.

    Stops at max_sealed memtables or stop_runs runs. Between slowdown_runs and stop_runs the delay grows linearly from
    slowdown_us_per_kib to ten times that, so that writers meet the brake before the wall (compare RocksDB's write controller).
    """
    s = options.stalls
    if sealed >= options.max_sealed:
        return Admission(False, 0, f"{sealed} sealed memtables wait for their flush")
    if level0_runs >= s.stop_runs:
        return Admission(False, 0, f"{level0_runs} runs in level 0")
    if level0_runs >= s.slowdown_runs:
        depth = (level0_runs - s.slowdown_runs) / max(1, s.stop_runs - s.slowdown_runs)
        return Admission(True, int(s.slowdown_us_per_kib * 1000 * (1 + 9 * depth)), f"{level0_runs} runs in level 0")
    return Admission()
