"""Bad input at the door: each gives a typed error that names what is wrong, and nothing is written."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

import pytest

import lsm
import recovery


@pytest.fixture
def db() -> Iterator[lsm.DB]:
    with lsm.open("/db", threads=0, fs=recovery.memory()) as opened:
        yield opened


def test_wrong_types_name_what_was_given(db: lsm.DB) -> None:
    with pytest.raises(TypeError, match="str"):
        db.put("key", b"v")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="str"):
        db.get("key")
    assert list(db) == []


def test_sizes_past_the_limits_are_refused(db: lsm.DB) -> None:
    db.put(b"k" * 65536, b"")
    with pytest.raises(lsm.TooLarge, match="65536"):
        db.put(b"k" * 65537, b"v")
    assert list(db.values()) == [b""]


def test_lengths_of_another_width_are_refused(db: lsm.DB) -> None:
    with pytest.raises(ValueError, match="uint32"):
        db.put_packed(b"ab", array("Q", [1, 1]), b"xy", array("Q", [1, 1]))
    with pytest.raises(ValueError, match="add up"):
        db.put_packed(b"ab", array("I", [1, 2]), b"xy", array("I", [1, 1]))
    db.put_packed(b"ab", array("I", [1, 1]), b"xy", array("I", [1, 1]))
    assert list(db.scan()) == [(b"a", b"x"), (b"b", b"y")]


@pytest.mark.parametrize("kind", ["f", "i"])
def test_lengths_are_summed_as_they_are_read(db: lsm.DB, kind: str) -> None:
    """2.0 as a float is 2**30 as the length that C reads, and lengths below zero could make up for others."""
    lens = array(kind, [2] if kind == "f" else [-1, 3])
    keys = array("I", [1] * len(lens))
    with pytest.raises(ValueError, match="add up"):
        db.put_packed(b"ab"[: len(lens)], keys, b"xy", lens)
    assert list(db.scan()) == []


def test_a_scan_cut_off_by_close_says_so() -> None:
    db = lsm.open("/db", threads=0, fs=recovery.memory())
    db.put_many([(b"%04d" % i, b"v") for i in range(2000)])
    cut, whole = db.scan(), db.scan(limit=3)
    next(cut)
    assert len(list(whole)) == 3
    db.close()
    with pytest.raises(lsm.ClosedError):
        list(cut)
    assert list(whole) == []


def test_unknown_options_are_named_with_what_is_allowed() -> None:
    with pytest.raises(lsm.InvalidOptions, match="leveling"):
        lsm.open("/db", {"compaction": {"layout": "levelling"}}, fs=recovery.memory())
    with pytest.raises(lsm.InvalidOptions, match=r"write_bufer.*write_buffer"):
        lsm.open("/db", {"write_bufer": 1}, fs=recovery.memory())


def test_a_directory_of_something_else_is_left_alone() -> None:
    fs = recovery.memory()
    fs.makedirs("/home")
    fs.write_all("/home/letter.txt", b"dear")
    with pytest.raises(lsm.NotADatabase, match=r"letter\.txt"):
        lsm.open("/home", fs=fs)
    with pytest.raises(lsm.NotADatabase, match="does not exist"):
        lsm.open("/nowhere", fs=fs, create=False)


def test_a_second_opener_is_told_who_holds_it() -> None:
    fs = recovery.memory()
    with lsm.open("/db", fs=fs, threads=0), pytest.raises(lsm.LockedError, match="pid"):
        lsm.open("/db", fs=fs)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda db: db.keyspace(5), TypeError, "keyspace is text, not int"),
        (lambda db: db.write(None), TypeError, "takes an lsm.Batch, not NoneType"),
        (lambda db: db.scan(limit="x"), TypeError, "limit is 'x'"),
        (lambda db: db.scan(limit=-1), ValueError, "limit is -1"),
        (lambda db: db.get(b"k", snapshot=5), TypeError, "not int: 5"),
        (lambda db: db.put_many([(b"a",)]), TypeError, r"not \(b'a',\)"),
        (lambda db: db.put_many([b"ab"]), TypeError, "not b'ab'"),
        (lambda db: list(db.scan_chunks(chunk=0)), ValueError, "chunk is 0"),
        (lambda db: db.set_policy(5), TypeError, r"has plan\(view\)"),
        (lambda db: db.compact(1, 2), TypeError, "bytes-like, not int"),
        (lambda db: db.put(1 << 99999, b""), TypeError, "bytes-like, not int"),
        (lambda db: db.compact(b"b", b"a"), ValueError, "start <= stop"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(db: lsm.DB, call: Callable[[lsm.DB], object], error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        call(db)
    assert list(db.scan()) == []


def test_put_many_takes_a_mapping(db: lsm.DB) -> None:
    db.put_many({b"a": b"1", b"b": b"2"})
    assert list(db.scan()) == [(b"a", b"1"), (b"b", b"2")]


class Never:
    """A compaction policy that leaves level 0 alone."""

    def plan(self, view: object) -> None:
        return None


def test_a_policy_that_wants_nothing_does_not_stop_writes_for_ever() -> None:
    stalls = {"slowdown_runs": 2, "stop_runs": 4, "slowdown_us_per_kib": 1}
    with lsm.open("/d", fs=recovery.memory(), threads=1, write_buffer=4096, stalls=stalls, compaction={"size_ratio": 2}) as db:
        db.set_policy(Never())
        for i in range(2000):
            db.put(b"%05d" % i, b"v" * 50)
        db.wait()
        assert len(db.version().levels[0].runs) > 8
        assert sum(1 for _ in db.scan()) == 2000


def test_the_tightest_packing_is_read_back() -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=0, table={"codec": "zstd"}) as db:
        db.put(b"zeros", b"\0" * (32 << 20))
        db.flush()
        assert db.levels()[0].bytes < 16 << 10
        assert db.get(b"zeros") == b"\0" * (32 << 20)
