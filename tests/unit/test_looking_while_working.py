"""Questions about the tables while background work replaces them."""

from __future__ import annotations

import threading

import pytest

import lsm
import recovery

pytestmark = pytest.mark.threads


def test_verify_and_stats_hold_the_tables_that_they_look_at() -> None:
    options = {
        "threads": 2,
        "write_buffer": 4096,
        "compaction": {"l0_trigger": 1, "size_ratio": 2, "output_bytes": 4096, "level_base": 8192},
    }
    wrong: list[object] = []
    with lsm.open("/d", options, fs=recovery.memory()) as db:
        done = threading.Event()

        def look() -> None:
            try:
                while not done.is_set():
                    wrong.extend(db.verify())
                    db.stats()
            except BaseException as e:
                wrong.append(e)

        looker = threading.Thread(target=look)
        looker.start()
        for i in range(3000):
            db.put(b"%06d" % (i * 7919 % 2000), b"v" * 60)
        done.set()
        looker.join()
    assert not wrong
