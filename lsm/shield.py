"""Ctrl-C while the tree is being changed: it comes when the change is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .native import Job


@contextmanager
def shielded(job: Job | None = None) -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, and cancel the job meanwhile. Only the main thread gets signals."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pending = False

    def later(_number: int, _frame: Any) -> None:
        nonlocal pending
        pending = True
        if job is not None:
            job.cancel()

    signal.signal(signal.SIGINT, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pending:
            raise KeyboardInterrupt
