"""Backpressure: the rule that says how fast a keyspace may be written."""

from __future__ import annotations

from .options import Options


def limits(options: Options) -> tuple[int, int]:
    """Return the runs in level 0 from which writes slow down, and from which they stop.

    A layout that wants more runs in level 0 than slowdown_runs (tiering with a large T) moves both up.
    """
    s = options.stalls
    shift = max(0, options.compaction.size_ratio - s.slowdown_runs // 2)
    return s.slowdown_runs + shift, s.stop_runs + shift


def admission(options: Options, level0_runs: int, sealed: int) -> tuple[bool, int]:
    """Return (open, nanoseconds of delay per KiB written).

    Closed when more than max_sealed memtables wait for their flush or level 0 has as many runs as stop it; from the runs on that slow it
    down the delay grows linearly up to slowdown_us_per_kib.
    """
    slow, stop = limits(options)
    if sealed > options.max_sealed or level0_runs >= stop:
        return False, 0
    if level0_runs < slow:
        return True, 0
    share = (level0_runs - slow + 1) / max(1, stop - slow)
    return True, int(share * options.stalls.slowdown_us_per_kib * 1000)
