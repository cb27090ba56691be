"""Repair, where files lie under wrong names or twice, and where a copy of the database has what is damaged."""

from __future__ import annotations

import itertools

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.repair import RepairReport, repair
from lsm.table_twin import FOOTER_SIZE

KEY = bytes(range(32))
SMALL = {
    "threads": 0,
    "write_buffer": 1 << 14,
    "table": {"block_size": 512},
    "compaction": {"level_base": 1 << 16, "output_bytes": 1 << 14},
    "value_log": {"min_bytes": 200, "file_bytes": 1 << 13},
}
EXPECTED = {b"%04d" % i: b"%d" % i * (10 if i % 3 else 120) for i in range(900)}


def made(key: bytes | None = None) -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    with lsm.open("/d", SMALL, fs=fs, encryption=key) as db:
        for k, v in EXPECTED.items():
            db.put(k, v)
        people = db.table("people")
        people.create_index("by_age", "age")
        people.put_many([{"id": i, "age": i % 7} for i in range(50)])
        db.flush()
        db.put(b"last", b"in the log")
        db.checkpoint("/copy")
        db.backup("/backups", key=key)
    return fs


def names(fs: recovery.FileSystem, end: str) -> list[str]:
    return [n for n in fs.listdir("/d") if n.endswith(end)]


def replace(fs: recovery.FileSystem, name: str, data: bytes) -> None:
    """Give a file new bytes; the checkpoint's link keeps the old ones."""
    fs.unlink(f"/d/{name}")
    fs.write_all(f"/d/{name}", data)


def swap(fs: recovery.FileSystem, a: str, b: str) -> None:
    fs.rename(f"/d/{a}", "/d/between")
    fs.rename(f"/d/{b}", f"/d/{a}")
    fs.rename("/d/between", f"/d/{b}")


def mend(fs: recovery.FileSystem, key: bytes | None = None, **how: object) -> tuple[RepairReport, dict[bytes, bytes]]:
    """Repair, check, read all. The damaged directory stays as it is, and nothing is left beside the result."""
    before = {n: fs.read_all(f"/d/{n}") for n in fs.listdir("/d")}
    assert check("/d", fs=fs, encryption=key).problems
    done = repair("/d", fs=fs, encryption=key, **how)  # type: ignore[arg-type]
    assert {n: fs.read_all(f"/d/{n}") for n in fs.listdir("/d")} == before
    assert done.problems == [] and "d.repaired.staging" not in fs.listdir("/")
    with lsm.open("/d.repaired", SMALL, fs=fs, create=False, encryption=key) as db:
        people = db.table("people")
        assert people.count(lsm.secondary.col("age") == 3) == 7 and people.scrub() == []
        assert db.get(b"last") == b"in the log"
        return done, {k: v for k, v in db.scan() if k != b"last"}


@pytest.mark.parametrize("end", [".sst", ".vlog"])
@pytest.mark.parametrize("key", [None, KEY])
def test_swapped_files_cost_nothing(key: bytes | None, end: str) -> None:
    """An encrypted file under another's name cannot be opened: repair itself ended with an error."""
    fs = made(key)
    a, b, c = names(fs, end)[:3]
    swap(fs, a, b)
    swap(fs, b, c)
    done, got = mend(fs, key)
    assert len(done.renamed) == 3 and done.nothing_lost and got == EXPECTED


def test_everything_encrypted_is_shuffled_and_the_pointer_is_gone() -> None:
    fs = made(KEY)
    for end in (".sst", ".vlog", ".idx", ".log"):
        for a, b in itertools.pairwise(names(fs, end)):
            swap(fs, a, b)
    fs.unlink("/d/CURRENT")
    done, got = mend(fs, KEY)
    assert done.nothing_lost and got == EXPECTED


def test_an_encrypted_file_whose_key_is_damaged_is_lost_and_told() -> None:
    fs = made(KEY)
    name = names(fs, ".sst")[0]
    data = bytearray(fs.read_all(f"/d/{name}"))
    data[60] ^= 1
    replace(fs, name, bytes(data))
    done, got = mend(fs, KEY)
    (lost,) = done.lost
    gone = EXPECTED.keys() - got.keys()
    assert gone and lost.file == name and all((lost.first or b"") <= k <= (lost.last or b"") for k in gone)
    assert done.quarantined == [name]
    assert fs.read_all(f"/d.repaired/quarantine/{name}") == bytes(data)
    assert all(EXPECTED[k] == v for k, v in got.items())


PAGE = 4096 + 28  # sealed, with its nonce and its tag


def large() -> tuple[recovery.MemoryFileSystem, str, str]:
    """An encrypted database with two tables of many pages."""
    fs = recovery.memory()
    with lsm.open("/d", {"threads": 0, "compaction": {"layout": "1-leveling", "l0_trigger": 100}}, fs=fs, encryption=KEY) as db:
        for half in (range(0, 900, 2), range(1, 900, 2)):
            db.put_many([(b"%04d" % i, b"%d" % i * 30) for i in half])
            db.flush()
    first, second = names(fs, ".sst")
    return fs, first, second


def halves(fs: recovery.FileSystem) -> tuple[RepairReport, set[bytes]]:
    """Repair; all that is there is right. Returns the report, and the keys that are gone."""
    done = repair("/d", fs=fs, encryption=KEY)
    with lsm.open("/d.repaired", fs=fs, create=False, encryption=KEY) as db:
        got = dict(db.scan())
    assert all(got[k] == b"%d" % int(k) * 30 for k in got) and not done.problems
    return done, {b"%04d" % i for i in range(900)} - got.keys()


@pytest.mark.parametrize("pages", [0, 1, 2, 5, 5.5])
def test_an_encrypted_table_without_its_end_gives_its_whole_pages(pages: float) -> None:
    """Its last page says that it is the last: without it the file did not open, and all of it was lost."""
    fs, name, _ = large()
    data = fs.read_all(f"/d/{name}")
    for more in (0, 3, 40):
        replace(fs, name, data[: 88 + int(pages * PAGE) + more])
        done, gone = halves(fs)
        (cut,) = done.lost
        assert (cut.file, cut.entries) == (name, len(gone)) and all((cut.first or b"") <= k <= (cut.last or b"") for k in gone)
        assert 450 - pages * 60 <= len(gone) <= 450 - int(pages) * 25
        for path in fs.listdir("/d.repaired"):
            if path != "quarantine":
                fs.unlink(f"/d.repaired/{path}")
        fs.unlink(f"/d.repaired/quarantine/{name}")
        fs.rmdir("/d.repaired/quarantine")
        fs.rmdir("/d.repaired")


def test_an_encrypted_table_that_was_cut_is_found_under_another_name() -> None:
    fs, first, second = large()
    replace(fs, first, fs.read_all(f"/d/{first}")[: 88 + 3 * PAGE])
    swap(fs, first, second)
    done, gone = halves(fs)
    assert len(done.renamed) == 2 and [x.file for x in done.lost] == [first] and 0 < len(gone) < 400


def test_an_encrypted_value_file_whose_key_is_damaged_is_lost_and_told() -> None:
    fs = made(KEY)
    name = names(fs, ".vlog")[0]
    data = bytearray(fs.read_all(f"/d/{name}"))
    data[60] ^= 1
    replace(fs, name, bytes(data))
    done, got = mend(fs, KEY)
    gone = EXPECTED.keys() - got.keys()
    assert gone and {x.file for x in done.lost} == {name} and len(done.lost) == len(gone)
    assert all(EXPECTED[k] == v for k, v in got.items())


def test_a_damaged_copy_of_a_table_does_not_take_its_place() -> None:
    """A write that went astray left a table twice, the later one damaged; its whole file was not looked at."""
    fs = made()
    first, *_, last = names(fs, ".sst")
    data = bytearray(fs.read_all(f"/d/{first}"))
    data[300] ^= 1
    fs.write_all("/d/000999.sst", bytes(data))
    fs.unlink("/d/CURRENT")
    done, got = mend(fs)
    assert done.nothing_lost and got == EXPECTED and done.quarantined == ["000999.sst"]
    assert any("000999.sst: another copy" in n for n in done.notes) and last


def test_a_table_that_ends_in_the_footer_of_another_is_read_by_its_blocks() -> None:
    """The footer alone was believed, and all that the table holds was told as lost."""
    fs = made()
    first, *_, last = names(fs, ".sst")
    mine, other = fs.read_all(f"/d/{first}"), fs.read_all(f"/d/{last}")
    replace(fs, first, mine[:-FOOTER_SIZE] + other[-FOOTER_SIZE:])
    done, got = mend(fs)
    assert not done.lost and got == EXPECTED and done.quarantined == [first]


@pytest.mark.parametrize("copy", ["/copy", "/backups"])
@pytest.mark.parametrize("key", [None, KEY])
def test_what_a_copy_has_is_taken_from_there(key: bytes | None, copy: str) -> None:
    """A table with a damaged index does not open, so nothing could be healed, though there were backups."""
    fs = made(key)
    first, second, *_, last = names(fs, ".sst")
    value = names(fs, ".vlog")[0]
    fs.unlink(f"/d/{first}")
    for name in (second, last, value):
        data = fs.read_all(f"/d/{name}")
        replace(fs, name, data[: len(data) // 2])
    with pytest.raises(lsm.CorruptionError):
        lsm.open("/d", SMALL, fs=fs, encryption=key)
    done, got = mend(fs, key, copy=copy, copy_key=key if copy == "/backups" else None)
    assert done.nothing_lost and got == EXPECTED
    assert sorted(done.healed) == sorted([first, second, last, value])
    assert f"taken from the copy: {first}" in str(done)


def test_a_copy_that_is_damaged_too_is_not_taken() -> None:
    fs = made()
    first = names(fs, ".sst")[0]
    for path in (f"/d/{first}", f"/copy/{first}"):
        data = bytearray(fs.read_all(path))
        data[300] ^= 1
        fs.unlink(path)
        fs.write_all(path, bytes(data))
    done, got = mend(fs, copy="/copy")
    assert done.lost and not done.healed and len(got) < len(EXPECTED)
    with pytest.raises(lsm.NotADatabase, match="does not exist"):
        repair("/d", "/again", fs=fs, copy="/nowhere")
    assert not fs.exists("/again")
