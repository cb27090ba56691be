"""The threads that merge, collect and flush while others write; when nobody waits for anything, they look for what may be done then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import Cancelled

if TYPE_CHECKING:
    from .executor import Executor


def work(executor: Executor) -> None:
    """Do what is due until the executor closes, or something fails: then the database is read-only and says why."""
    try:
        while _turn(executor):
            pass
    except BaseException as e:
        executor.fail(e)


def _turn(executor: Executor) -> bool:
    """Wait until something is due, and look through all keyspaces once. False when the executor closes."""
    with executor.lock:
        idle = False
        while not executor.due and not executor.closing and not idle:
            quiet = not executor.idle.wait(1.0)
            idle = quiet and executor.idles()
            if quiet:
                executor.share(True)
        if executor.closing:
            return False
        spaces, asked = list(executor.db.spaces.values()), executor.asked
        executor.looking += 1
    try:
        worked = sum(executor.step(space, idle) for space in spaces) > 0
    except Cancelled:
        worked = False
    finally:
        with executor.lock:
            executor.looking -= 1
    with executor.lock:
        if worked and idle:
            executor.due = True  # it may have made something else due
        elif not worked and not executor.jobs and not executor.flushing and not executor.looking:
            executor.due = executor.asked != asked  # looked at last: on_sealed may count without the lock
        elif not worked:
            executor.idle.wait(0.05)  # others are at work, and tell when they are done
            return True
        executor.idle.notify_all()
    return True
