"""Range filters in the engine: scans skip tables, the ledger says how many, and no answer changes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexes
import lsm
import recovery
from tests.harness.ranges import ExactRanges

STEP = st.tuples(st.sampled_from(["put", "put", "delete", "range", "flush", "compact"]), st.integers(0, 99), st.integers(1, 9))
RUNS = {"layout": "tiering", "size_ratio": 100, "l0_trigger": 100, "output_bytes": 2048}  # what is flushed stays as it is
KINDS = {"surf": "suffix=0,8", "snarf": "slots=8 every=3", "prefix_bloom": "lengths=2,4 delimiter=58", "none": ""}


@pytest.fixture(scope="module", autouse=True)
def exact() -> str:
    """A range filter written in Python, registered once."""
    if "exact" not in indexes.RANGE_FILTERS:
        indexes.register_range_filter("exact", indexes.PythonRangeFilter(ExactRanges()))
    return "exact"


def opened(kind: str, fs: Any = None, params: str | None = None, **table: Any) -> lsm.DB:
    table = {"range_filter": kind, "range_params": KINDS.get(kind, "") if params is None else params, "block_size": 256, **table}
    options = {"threads": 0, "write_buffer": 1 << 20, "table": table, "compaction": RUNS}
    return lsm.open("/d", options, fs=fs or recovery.memory())


def probes(db: lsm.DB) -> tuple[int, int, int]:
    """Return how often range filters said maybe and no, and how often maybe was wrong."""
    stats = db.stats()
    said = [stats.counts(op=op, component="range_filter", cause="scan") for op in ("probe", "skip")]
    return said[0], said[1], stats.counters["range_filter_false_positives"]


def reads(db: lsm.DB) -> int:
    stats = db.stats()
    return stats.counts(op="read", component="data", cause="scan") + stats.counts(op="hit", component="data", cause="scan")


@pytest.mark.parametrize("kind", [*KINDS, "exact"])
@given(steps=st.lists(STEP, max_size=60), scans=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 12), st.booleans()), max_size=12))
def test_scans_are_those_of_a_sorted_dict(kind: str, steps: list[tuple[str, int, int]], scans: list[tuple[int, int, bool]]) -> None:
    model: dict[bytes, bytes] = {}
    with opened(kind) as db:
        for what, n, more in steps:
            key = b"k%03d:%d" % (n, more % 3)
            if what == "put":
                db.put(key, model.setdefault(key, b"v%d" % more))
            elif what == "delete":
                db.delete(key)
                model.pop(key, None)
            elif what == "range":
                db.delete_range(b"k%03d" % n, b"k%03d:\xff" % (n + more))
                model = {k: v for k, v in model.items() if not b"k%03d" % n <= k < b"k%03d:\xff" % (n + more)}
            else:
                getattr(db, what)()
        for n, width, reverse in scans:
            lo, hi = b"k%03d" % n, b"k%03d" % (n + width)
            wanted = sorted((k, v) for k, v in model.items() if lo <= k < hi)
            assert list(db.scan(lo, hi, reverse=reverse)) == wanted[:: -1 if reverse else 1]
            assert list(db.keys(prefix=lo, reverse=reverse)) == sorted((k for k in model if k.startswith(lo)), reverse=reverse)
        db.verify()


@pytest.mark.parametrize("kind", ["surf", "exact"])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_table_that_a_scan_reaches_is_counted_once(kind: str, reverse: bool) -> None:
    """Five runs of one table each; run i holds the keys i, i + 10, i + 20 ..."""
    with opened(kind) as db:
        for i in range(5):
            db.put_many([(b"%04d" % n, b"v") for n in range(i, 1000, 10)])
            db.flush()
        assert list(db.scan(b"0503", b"0504", reverse=reverse)) == [(b"0503", b"v")]
        assert probes(db) == (1, 4, 0)
        assert list(db.scan(b"0505", b"0510", reverse=reverse)) == []
        assert probes(db) == (1, 9, 0)
        assert len(list(db.scan(b"0500", b"0520", reverse=reverse))) == 10
        assert probes(db) == (6, 9, 0)
        assert list(db.scan(b"2", b"3", reverse=reverse)) == []  # beside all tables: nothing to ask
        assert probes(db) == (6, 9, 0)
        before = reads(db)
        for n in range(5, 990, 10):
            assert list(db.keys(prefix=b"%04d" % n, reverse=reverse)) == []
        assert reads(db) == before
        assert probes(db) == (6, 9 + 5 * 99, 0)
        list(db.scan(reverse=reverse))
        list(db.scan(b"0100", reverse=reverse))
        list(db.scan(None, b"0100", reverse=reverse))
        assert probes(db) == (6, 504, 0), "scans without both bounds ask nothing"


@pytest.mark.parametrize("reverse", [False, True])
def test_a_run_of_many_tables(reverse: bool) -> None:
    """Every hundredth number is there; a table has dozens. Only the one or two tables at the range are asked."""
    with opened("surf") as db:
        db.put_many([(b"%06d" % n, b"v" * 20) for n in range(0, 100_000, 100)])
        db.compact()
        rng = random.Random(3)
        for _ in range(200):
            n = rng.randrange(0, 99_000) // 100 * 100
            assert list(db.keys(b"%06d" % (n + 30), b"%06d" % (n + 60), reverse=reverse)) == []
            assert list(db.keys(b"%06d" % n, b"%06d" % (n + 60), reverse=reverse)) == [b"%06d" % n]
        maybe, no, wrong = probes(db)
        assert wrong == 0 and maybe == 200 and 100 < no <= 400, (maybe, no, wrong)
        wide = [b"%06d" % n for n in range(10_000, 90_000, 100)]
        assert list(db.keys(b"009901", b"090000", reverse=reverse)) == wide[:: -1 if reverse else 1]


def test_wrong_maybes_are_counted() -> None:
    """A filter of prefixes of two bytes says maybe to whatever has one of them; nothing is there."""
    with opened("prefix_bloom", params="lengths=2") as db:
        db.put_many([(b"%04d" % n, b"v") for n in range(0, 1000, 10)])
        db.flush()
        assert list(db.scan(b"0501", b"0509")) == []
        assert list(db.scan(b"0501", b"0509", reverse=True)) == []
        assert probes(db) == (2, 0, 2)
        assert list(db.scan(b"0501", b"0511")) == [(b"0510", b"v")]
        assert probes(db) == (3, 0, 2)


def test_seeks_inside_of_a_scan_ask_for_what_is_left() -> None:
    """A cursor placed again: before, between and behind the keys of a table."""
    from lsm.native_db import NEWEST, CoreCursor

    with opened("surf") as db:
        db.put_many([(b"%04d" % n, b"v") for n in range(0, 1000, 10)])
        db.flush()
        for reverse in (False, True):
            cursor = CoreCursor(db.default.core, NEWEST, b"0100", b"0200", reverse)
            for key in (b"0195", b"0100", b"0155", b"0000", b"0999", b"0101"):
                cursor.seek(key)
                wanted = [b"%04d" % n for n in range(100, 200, 10)]
                wanted = [k for k in reversed(wanted) if k <= key] if reverse else [k for k in wanted if k >= key]
                n, view, _, _ = cursor.fill(100, True)
                assert bytes(view[: 4 * n]) == b"".join(wanted), (key, reverse)
            cursor.close()


def test_tables_with_and_without_range_filters_stand_side_by_side() -> None:
    """What an older version wrote opens, is scanned beside new tables, and gets a filter when it is rewritten."""
    fs = recovery.memory()
    with opened("none", fs) as db:
        db.put_many([(b"%04d" % n, b"old") for n in range(0, 1000, 2)])
        db.flush()
    with opened("surf", fs) as db:
        assert list(db.scan(b"0100", b"0104")) == [(b"0100", b"old"), (b"0102", b"old")]
        assert probes(db) == (0, 0, 0)
        db.put_many([(b"%04d" % n, b"new") for n in range(1, 1000, 100)])
        db.flush()
        assert list(db.scan(b"0100", b"0103")) == [(b"0100", b"old"), (b"0101", b"new"), (b"0102", b"old")]
        assert list(db.scan(b"0150", b"0151")) == [(b"0150", b"old")]
        assert probes(db) == (1, 1, 0)
        db.compact()
        assert list(db.scan(b"0151", b"0152")) == []
        assert probes(db)[1] == 2
        db.verify()
    with opened("none", fs) as db:
        assert list(db.scan(b"0151", b"0152")) == []
        assert probes(db)[1] == 1, "the tables have their filters whatever the options for new ones say"


def test_a_range_filter_that_is_not_registered_is_named() -> None:
    fs = recovery.memory()
    with opened("exact", fs) as db:
        db.put(b"a", b"b")
        db.flush()
    taken = indexes.RANGE_FILTERS.pop("exact")
    try:
        with pytest.raises(lsm.InvalidOptions, match=r"exact"):
            opened("none", fs)
    finally:
        indexes.RANGE_FILTERS["exact"] = taken


@pytest.mark.parametrize(
    ("kind", "params", "wrong"),
    [("surf", "suffix=99,0", "range_params"), ("none", "x=1", "range_params"), ("surf", 5, "range_params"), ("surfer", "", "range_filter")],
)
def test_options_that_no_filter_takes_are_named(kind: str, params: Any, wrong: str) -> None:
    with pytest.raises(lsm.InvalidOptions, match=rf"table\.{wrong}"):
        lsm.Options.from_dict({"table": {"range_filter": kind, "range_params": params}})


def test_bytes_of_range_filters_are_booked_under_their_name() -> None:
    with opened("surf") as db:
        db.put_many([(b"%04d" % n, b"v") for n in range(1000)])
        db.flush()
        stats = db.stats()
        assert stats.counts(op="write", component="range_filter", cause="flush") == 1
        assert 1000 < stats.bytes(op="write", component="range_filter") < 8000
        assert stats.bytes(op="read", component="range_filter", cause="open") == stats.bytes(op="write", component="range_filter")


@pytest.mark.parametrize("params", ["", "loud=1"])
def test_a_python_range_filter_that_breaks_fails_the_flush_and_nothing_else(params: str) -> None:
    class Broken(ExactRanges):
        name = "broken" + params.replace("=", "")

        def build(self, keys: Any, params: str) -> bytes:
            raise RuntimeError("no filter today")

    adapter = indexes.PythonRangeFilter(Broken())
    indexes.register_range_filter(Broken.name, adapter)
    fs = recovery.memory()
    try:
        db = opened(Broken.name, fs, params)
        db.put(b"a", b"b")
        with pytest.raises(lsm.Error, match="range filter could not be built"):
            db.flush()
        assert str(adapter.last_error) == "no filter today"
        assert db.get(b"a") == b"b"
        db.close()
    finally:
        del indexes.RANGE_FILTERS[Broken.name]
