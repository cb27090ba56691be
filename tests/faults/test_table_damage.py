"""Every byte of a table damaged, and every length cut: found by verify, and never a wrong answer, a crash or another error.

Below that the same through a database: every byte of each of its files, as `open`, `scan` and `DB.verify` see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lsm
import recovery
from lsm.merge_twin import Range
from lsm.native_tables import get, ranges, scan
from tests.harness.tables import PATH, SHAPES, Lab, sample

ENTRIES = sample(60)
RANGES = [Range(b"b", b"m", 70), Range(b"u", b"user5", 71)]
NEWEST = {e.key: e for e in reversed(ENTRIES)}


def made(shape: str, mapped: bool) -> tuple[Lab, Callable[[], object], bytes]:
    """Return a lab with a table, what opens it as a database would (size and footer are known), and its bytes."""
    twin, extra = SHAPES[shape]
    lab = Lab()
    props = lab.build(lab.settings(twin, **extra), ENTRIES, RANGES)
    settings = lab.settings(twin, mapped=mapped, **extra)
    return lab, lambda: lab.open(settings, size=props.file_size, crc=props.footer_crc), lab.fs.read_all(PATH)


def answers_rightly_or_refuses(open_table: Callable[[], object]) -> None:
    """Ask everything; a CorruptionError that names the file may come at any point, a wrong answer never."""
    try:
        table = open_table()
    except lsm.CorruptionError as e:
        assert PATH in str(e)
        return
    questions: list[tuple[Callable[[], object], object]] = [(lambda: list(scan(table)), ENTRIES), (lambda: ranges(table), RANGES)]
    questions += [(lambda k=key: get(table, k), entry) for key, entry in NEWEST.items()]
    for ask, right in questions:
        try:
            answer: object = ask()
        except lsm.CorruptionError as e:
            assert PATH in str(e)
        else:
            assert answer == right
    with pytest.raises(lsm.CorruptionError, match=PATH):
        table.verify()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mapped", [False, True], ids=["buffered", "mapped"])
def test_every_flipped_bit_is_found(shape: str, mapped: bool) -> None:
    lab, open_table, whole = made(shape, mapped)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        lab.fs.unlink(PATH)
        lab.fs.write_all(PATH, bytes(damaged))
        try:
            answers_rightly_or_refuses(open_table)
        except BaseException as e:
            e.add_note(f"shape {shape!r}, bit {at % 8} of byte {at}")
            raise


@pytest.mark.parametrize("shape", ["plain", "zstd, two levels"])
def test_every_cut_and_every_appendix_is_found(shape: str) -> None:
    lab, open_table, whole = made(shape, False)
    for data in [*(whole[:n] for n in range(len(whole))), whole + b"\0", whole + whole[-80:]]:
        lab.fs.unlink(PATH)
        lab.fs.write_all(PATH, data)
        with pytest.raises(lsm.CorruptionError, match=PATH):
            open_table()


def test_whole_tables_pass() -> None:
    """The control: the same questions of tables that nobody damaged."""
    for shape in SHAPES:
        _, open_table, _ = made(shape, False)
        table = open_table()
        assert list(scan(table)) == ENTRIES
        assert ranges(table) == RANGES
        assert {k: get(table, k) for k in NEWEST} == NEWEST
        table.verify()


def test_a_missing_table_is_named() -> None:
    lab, open_table, _ = made("plain", False)
    lab.fs.unlink(PATH)
    with pytest.raises(lsm.CorruptionError, match="missing"):
        open_table()


def test_every_block_of_another_table_is_refused() -> None:
    """The same content under another number or database: nothing of it passes, block by block."""
    twin, extra = SHAPES["hash index"]
    for number, database in ((8, None), (7, 5)):
        lab, open_table, whole = made("hash index", False)
        other = Lab() if database is None else Lab(database=database)
        other.build(other.settings(twin, **extra), ENTRIES, RANGES, number=number)
        foreign = other.fs.read_all(PATH)
        assert len(foreign) == len(whole)
        for data in (foreign, foreign[:-120] + whole[-120:]):  # all of it, and with the right footer
            lab.fs.unlink(PATH)
            lab.fs.write_all(PATH, data)
            with pytest.raises(lsm.CorruptionError):
                list(scan(open_table()))


# Through a database

CODED = [("none", "full"), ("none", "two_level"), ("lz4", "full"), ("lz4", "two_level")]
WRITES = [(b"w%d" % i, b"value %d" % i * (i % 3 + 1)) for i in range(7)]


def opened(fs: Any, *, codec: str = "none", index: str = "full", mode: str = "point_in_time", read_only: bool = True) -> lsm.DB:
    """Open the database of these tests; read-only leaves every file as it is."""
    return lsm.open(
        "/d",
        fs=fs,
        threads=0,
        read_only=read_only,
        wal={"recovery": mode, "segment_bytes": 4096},
        table={"block_size": 120, "codec": codec, "index": index},
        cache={"capacity": 1 << 16},
        compaction={"layout": "1-leveling", "l0_trigger": 100},
    )


def one_table(codec: str, index: str) -> Any:
    """Return the files of a closed database with one table: two blocks of data and more, a filter, a range tombstone."""
    fs = recovery.memory()
    with opened(fs, codec=codec, index=index, read_only=False) as db:
        for i in range(5):
            db.put(b"k%d" % i, b"%d" % i * 60)
        db.delete(b"k4")
        db.delete_range(b"k1", b"k2")
        db.flush()
    return fs


def logged(*, closed: bool) -> Any:
    """Return the files of a database that has WRITES in its log only, closed or as a killed process leaves it."""
    fs = recovery.memory()
    with opened(fs, read_only=False) as db:
        for key, value in WRITES:
            db.put(key, value)
        if not closed:
            killed = fs.crash_clone("process")
    return fs if closed else killed


def only(fs: Any, end: str) -> str:
    """Return the path of the one file whose name ends so, or begins so."""
    (name,) = (n for n in fs.listdir("/d") if n.endswith(end) or n.startswith(end))
    return f"/d/{name}"


def flips(fs: Any, path: str, end: int | None = None) -> Iterator[str]:
    """Flip a bit of each byte in turn, up to an offset. Yields what to call it; the file is whole again at the end."""
    whole = fs.read_all(path)
    for at in range(len(whole) if end is None else end):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        fs.write_all(path, bytes(damaged))
        yield f"bit {at % 8} of byte {at} of {path}"
    fs.write_all(path, whole)


def cuts(fs: Any, path: str) -> Iterator[str]:
    """Cut the file at each length in turn. Yields what to call it."""
    whole = fs.read_all(path)
    for n in range(len(whole)):
        fs.write_all(path, whole[:n])
        yield f"{path} cut at byte {n} of {len(whole)}"
    fs.write_all(path, whole)


@pytest.mark.parametrize(("codec", "index"), CODED)
def test_a_database_reports_every_flipped_bit_of_a_table(codec: str, index: str) -> None:
    fs = one_table(codec, index)
    path = only(fs, ".sst")
    with opened(fs, codec=codec, index=index) as db:
        right = list(db.scan())
        assert [k for k, _ in right] == [b"k0", b"k2", b"k3"] and db.verify() == []
    for damage in flips(fs, path):
        try:
            db = opened(fs, codec=codec, index=index)
        except lsm.CorruptionError as e:
            assert (e.file, e.offset is None) == (path, False), damage
            continue
        with db:
            problems = db.verify()
            assert len(problems) == 1 and path in problems[0] and "at byte" in problems[0], damage
            try:
                assert list(db.scan()) == right, damage
            except lsm.CorruptionError as e:
                assert (e.file, e.offset is None) == (path, False), damage


@pytest.mark.parametrize("file", ["CURRENT", "MANIFEST-"])
def test_a_database_refuses_every_flip_and_cut_of_its_manifest(file: str) -> None:
    fs = one_table("none", "full")
    path = only(fs, file)
    for damage_of in (flips, cuts):
        for damage in damage_of(fs, path):
            with pytest.raises(lsm.CorruptionError, match=r"/d/(CURRENT|MANIFEST-)"):
                opened(fs)
                pytest.fail(damage)
    opened(fs).close()


@pytest.mark.parametrize("mode", ["absolute", "tolerate_tail", "point_in_time"])
def test_a_log_that_was_closed_is_read_whole_or_refused(mode: str) -> None:
    """Whole may be without the mark of the end, which holds no write: cut off it is missed by nobody, damaged only by absolute."""
    fs = logged(closed=True)
    path, passed = only(fs, ".log"), []
    for damage_of in (flips, cuts):
        for damage in damage_of(fs, path):
            try:
                db = opened(fs, mode=mode)
            except lsm.CorruptionError as e:
                assert e.file == path, damage
                continue
            with db:
                assert list(db.scan()) == WRITES, damage
            passed.append(damage)
    mark = len(fs.read_all(path)) - 48
    if mode == "absolute":
        assert passed == [f"{path} cut at byte {mark} of {mark + 48}"]
    assert all(int(damage.partition(" byte ")[2].split()[0]) >= mark for damage in passed)


@pytest.mark.parametrize("mode", ["absolute", "tolerate_tail", "point_in_time"])
def test_a_flipped_bit_in_the_log_of_a_killed_process_is_no_torn_tail(mode: str) -> None:
    fs = logged(closed=False)
    path = only(fs, ".log")
    used = len(fs.read_all(path).rstrip(b"\0"))
    with opened(fs, mode=mode) as db:
        assert list(db.scan()) == WRITES
    for damage in flips(fs, path, used):
        with pytest.raises(lsm.CorruptionError, match=path):
            opened(fs, mode=mode)
            pytest.fail(damage)


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_skip_drops_whole_writes_and_says_so(closed: bool) -> None:
    fs = logged(closed=closed)
    path = only(fs, ".log")
    used = len(fs.read_all(path).rstrip(b"\0"))
    for damage in flips(fs, path, used):
        with opened(fs, mode="skip") as db:
            found, report = list(db.scan()), db.recovery_report
            assert found == [w for w in WRITES if w in found], damage
            assert found == WRITES or (report.dropped or report.reasons), damage
