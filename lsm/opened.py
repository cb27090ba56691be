"""The databases that this process has open: they are closed when it ends, and left alone in a child that fork made.

A child has copies of the handles, not of the threads; and both would write to one log. So to a child every inherited database is closed:
calls raise ClosedError, nothing is written, and what is inherited is never taken apart, for the locks inside may be held for ever.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from .errors import Error

if TYPE_CHECKING:
    from .db import DB

opened: set[DB] = set()  # a database that is forgotten is closed at exit: the collector would end its parts in any order


@atexit.register
def _close_forgotten() -> None:
    for db in list(opened):
        with suppress(Error):
            db.close()


def _leave_to_parent() -> None:
    for db in opened:
        for kept in (db, *db.cursors):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
        db.closed = True
        db.executor.orphan()
        db.core.disown()
        with suppress(OSError):
            if db._lock is not None:
                db._lock.close()  # the parent's goes on: it is of the open file, and ends with its last descriptor
    opened.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
