"""The background workers: work announced while they look for some is not lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import lsm
import recovery

pytestmark = pytest.mark.threads


def test_a_memtable_sealed_while_a_worker_looks_is_flushed() -> None:
    with lsm.open("/db", {"threads": 1}, fs=recovery.memory()) as db:
        db.wait()
        space, executor = db.keyspace("default"), db.executor
        looked, flushed = threading.Event(), threading.Event()
        step, flush = executor.step, executor.flush

        def sealed_behind_its_back(*args: Any) -> bool:
            worked = step(*args)
            if not looked.is_set():
                looked.set()
                db.put(b"k", b"v")
                space.core.seal()
                executor.on_sealed()
            return worked

        def noted(*args: Any) -> None:
            flush(*args)
            flushed.set()

        executor.step, executor.flush = sealed_behind_its_back, noted  # type: ignore[method-assign]
        executor.on_sealed()
        assert looked.wait(20) and flushed.wait(20)
