"""Bad input at the door: each gives a typed error that names what is wrong, and nothing is written."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

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
