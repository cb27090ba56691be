"""Row E: kill -9 at a random moment, reopen, compare with what was acknowledged; each slice is a database of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..crashtest import crashtest
from .row import Found, Row, Slice

_CYCLES = 100


def slices(full: bool) -> list[Slice]:
    """100 kills a slice: 2 of them, or 100."""
    return [Slice(f"seed-{seed}", {"seed": seed, "cycles": _CYCLES}) for seed in range(1, (100 if full else 2) + 1)]


def run(given: dict[str, Any]) -> Found:
    """Kill and reopen one database many times."""
    with tempfile.TemporaryDirectory(prefix="lsmlab-kill-") as home:
        r = crashtest(Path(home) / "db", given["cycles"], given["seed"])
    return Found(r.cycles, [*(f"LOST {x}" for x in r.lost), *(f"TORN {x}" for x in r.torn)], {"batches": r.batches})


ROW = Row("E", "kill -9 of real processes", "kills", 200, 10_000, slices, run)
