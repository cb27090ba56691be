"""The thread that does nothing but flush: a sealed memtable never waits for a merge to end, and so its writers do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import Cancelled

if TYPE_CHECKING:
    from .executor import Executor


def work(executor: Executor) -> None:
    """Flush what is sealed until the executor closes, or a flush fails."""
    flushed = True
    while True:
        with executor.lock:
            while not executor.closing and not (flushed and _is_due(executor)):
                flushed = True
                executor.idle.wait(0.25)
            if executor.closing:
                return
            spaces = list(executor.db.spaces.values())
        try:
            flushed = sum(executor.step(space, merges=False) for space in spaces) > 0
        except Cancelled:
            continue
        except BaseException as e:
            executor.fail(e)
            return


def _is_due(executor: Executor) -> bool:
    return any(s.core.sealed_count() and s.name not in executor.flushing for s in executor.db.spaces.values())
