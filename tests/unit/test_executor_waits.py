"""Waiting for background work ends when the last merge is installed, not when it has only been written."""

from __future__ import annotations

import time
from typing import Any

import pytest

import lsm
import recovery
from lsm.executor import Executor


@pytest.mark.threads
def test_wait_waits_for_a_merge_that_is_written_and_not_yet_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Executor._run

    def slow(self: Executor, *args: Any, **how: Any) -> Any:
        result = run(self, *args, **how)
        if how["cause"] == "compaction":
            time.sleep(0.2)  # the other worker finds nothing to do meanwhile
        return result

    monkeypatch.setattr(Executor, "_run", slow)
    fs = recovery.memory()
    with lsm.open("/db", fs=fs, threads=2, write_buffer=1 << 14, compaction={"l0_trigger": 2}) as db:
        for n in range(2):
            db.put_many([(b"%03d" % i, b"%d" % n) for i in range(200)])
            db.core.sync()
            db.default.core.seal()
            db.executor.on_sealed()
            db.wait()
        assert not any(db.executor.busy.values())
        assert not db.version().levels[0].runs
        db.sweep(logs=True)
        there = {name for name in fs.listdir("/db") if name.endswith(".sst")}
        assert there == {f"{n:06d}.sst" for n in db.version().tables()}
