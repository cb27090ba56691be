"""Every kind of filter in the tables of a database: what is there is found, what is not mostly costs no block, also after reopening."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import indexes
import lsm
import recovery
from indexes.twins import TWINS
from lsm.table_twin import Settings, write_table
from lsm.table_twin_read import Reader
from tests.harness.tables import DATABASE, PATH, Lab, sample

KINDS = list(indexes.FILTERS)
N = 5000


def options(kind: str, bits: float = 10.0, **more: Any) -> dict[str, Any]:
    compaction = {"output_bytes": 64 * 1024, "l0_trigger": 3, "level_base": 128 * 1024}
    return {"threads": 0, "write_buffer": 32 * 1024, "table": {"filter": kind, "bits_per_key": bits}, "compaction": compaction, **more}


def present(i: int) -> bytes:
    return b"%08d" % (2 * i)


def absent(i: int) -> bytes:
    return b"%08d" % (2 * i + 1)


def fill(path: Path, kind: str, bits: float) -> dict[bytes, bytes]:
    """Write, overwrite and delete in random order; return what must be there."""
    rng = random.Random(11)
    keep: dict[bytes, bytes] = {}
    with lsm.open(path, options(kind, bits)) as db:
        for i in rng.sample(range(N), N):
            db.put(present(i), b"%d" % i)
            keep[present(i)] = b"%d" % i
        for i in rng.sample(range(N), 300):
            db.delete(present(i))
            del keep[present(i)]
        for i in rng.sample(range(N), 300):
            db.put(present(i), b"again %d" % i)
            keep[present(i)] = b"again %d" % i
        db.flush()
    return keep


@pytest.mark.parametrize("bits", [4.0, 16.0, 40.0])
@pytest.mark.parametrize("kind", KINDS)
def test_database_finds_what_is_there_and_skips_what_is_not(tmp_path: Path, kind: str, bits: float) -> None:
    keep = fill(tmp_path / "db", kind, bits)
    with lsm.open(tmp_path / "db", options(kind, bits)) as db:
        keys = [present(i) for i in range(N)]
        assert db.get_many(keys) == [keep.get(key) for key in keys]
        assert [db.get(key) for key in keys[::9]] == [keep.get(key) for key in keys[::9]]
        assert db.verify() == []
        before = db.stats()
        assert db.get_many([absent(i) for i in range(N)]) == [None] * N
        assert not any(absent(i) in db for i in range(0, N, 9))
        after = db.stats()
        skipped, asked = (after.counts(op=op, component="filter") - before.counts(op=op, component="filter") for op in ("skip", "probe"))
        false = after.counters["filter_false_positives"] - before.counters["filter_false_positives"]
        assert false == asked
    if kind == "none":
        assert skipped == 0
    else:
        rate = indexes.filter_ops(kind).expected_fpr(bits)
        assert asked + skipped >= N and asked / (asked + skipped) < 1.25 * rate + 0.005


def test_tables_keep_the_kind_they_were_written_with(tmp_path: Path) -> None:
    """Another kind in the options at each opening: old tables are read by the name in them, until a compaction rewrites them."""
    expected: dict[bytes, bytes] = {}
    for turn, kind in enumerate(KINDS):
        with lsm.open(tmp_path / "db", options(kind, compaction={"layout": "tiering", "size_ratio": 1000, "l0_trigger": 1000})) as db:
            for i in range(turn, 600, len(KINDS)):
                db.put(present(i), kind.encode())
                expected[present(i)] = kind.encode()
            db.flush()
            assert db.get_many(list(expected)) == list(expected.values())
    with lsm.open(tmp_path / "db", options("ribbon", compaction={"layout": "tiering", "size_ratio": 1000, "l0_trigger": 1000})) as db:
        assert len(db.version().tables()) == len(KINDS)
        db.compact()
        assert len(db.version().tables()) == 1
        assert db.get_many(list(expected)) == list(expected.values())
        assert db.verify() == []


@pytest.mark.parametrize("kind", TWINS)
def test_table_with_the_filter_is_the_twins(kind: str) -> None:
    entries = sample(800, seed=3)
    for bits in (4.0, 12.8, 40.0):
        settings, lab = Settings(filter=kind, bits_per_key=bits), Lab()
        lab.build(lab.settings(settings), entries)
        written = lab.fs.read_all(PATH)
        assert written == write_table(DATABASE, 7, entries, [], settings, recovery.crc32c)
        reader = Reader(written, DATABASE, 7, recovery.crc32c)
        assert all(reader.may_contain(key) for key in {e.key for e in entries})
        lab.open(lab.settings(settings)).verify()


@pytest.mark.parametrize("kind", indexes.filter_kinds())
@pytest.mark.parametrize("allocation", ["uniform", "monkey"])
def test_allocation_of_filter_memory_suits_every_kind(kind: str, allocation: str) -> None:
    with lsm.open("/d", options(kind, 6, filter_allocation=allocation), fs=recovery.memory()) as db:
        for i in range(N):
            db.put(present(i * 7 % N), b"x" * 20)
        db.flush()
        assert db.get_many([present(i) for i in range(N)]) == [b"x" * 20] * N
        assert db.verify() == []
