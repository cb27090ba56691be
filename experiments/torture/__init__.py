"""`lsmlab torture`: the suite that tries to make the engine lose or garble a byte. One module a row, the runner in runner.py."""

from __future__ import annotations

from .row import Found, Row, Slice
from .rows import ROWS
from .runner import Outcome, run_rows

__all__ = ["ROWS", "Found", "Outcome", "Row", "Slice", "run_rows"]
