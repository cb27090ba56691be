"""Compaction by hand: what it merges is written once."""

from __future__ import annotations

from pathlib import Path

import pytest

import lsm


@pytest.mark.parametrize("threads", [0, 2])
def test_a_merge_by_hand_writes_everything_once(tmp_path: Path, threads: int) -> None:
    keys = [b"%06d" % i for i in range(3000)]
    with lsm.open(tmp_path / "db", threads=threads, write_buffer=1 << 20) as db:
        for step in range(3):  # tables that overlap, the last of them still in memory
            if step:
                db.flush()
            db.put_many([(key, b"%d" % step) for key in keys[step::3]])
        before = db.stats().counters["entries_in"]
        db.compact()
        flushed = len(keys[2::3])
        assert db.stats().counters["entries_in"] - before == flushed + len(keys), "the flush, and one merge of all"
        assert [(s.level, s.runs) for s in db.stats().levels["default"] if s.runs] == [(1, 1)]
        assert [k for k, _ in db.scan()] == keys


@pytest.mark.parametrize("threads", [0, 2])
def test_the_policy_goes_on_after_a_merge_by_hand(tmp_path: Path, threads: int) -> None:
    with lsm.open(tmp_path / "db", threads=threads) as db:
        db.compact(b"a", b"b")  # there is nothing
        db.put(b"a", b"1")
        db.compact()
        db.put(b"a", b"2")
        db.flush()
        assert [(s.level, s.runs) for s in db.stats().levels["default"] if s.runs] == [(1, 1)]
        assert db.get(b"a") == b"2"
