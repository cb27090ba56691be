"""Check and repair, for each way that files get lost, cut, flipped or swapped: damage is named, the rest reads, nothing is made up."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

import lsm
import recovery
from lsm.check import CheckReport, check
from lsm.inventory import footer_of
from lsm.repair import RepairReport, repair

SMALL = {
    "threads": 0,
    "cache": {"capacity": 1 << 20},
    "write_buffer": 1 << 14,
    "table": {"block_size": 512},
    "compaction": {"level_base": 1 << 16, "output_bytes": 1 << 14},
}


@dataclass
class Disk:
    """A closed database in memory, and what every key of its default keyspace ever held; the last is what it holds (None: deleted)."""

    fs: recovery.MemoryFileSystem
    ever: dict[bytes, list[bytes | None]]

    def names(self, end: str = "", start: str = "") -> list[str]:
        return [n for n in self.fs.listdir("/d") if n.endswith(end) and n.startswith(start)]

    def change(self, name: str, how: Callable[[bytes], bytes]) -> None:
        self.fs.write_all(f"/d/{name}", how(self.fs.read_all(f"/d/{name}")))

    def files(self) -> dict[str, bytes]:
        return {n: self.fs.read_all(f"/d/{n}") for n in self.fs.listdir("/d")}


def made(index: str = "full", codec: str = "none") -> Disk:
    """A copy of its own."""
    disk = _made(index, codec)
    return Disk(disk.fs.crash_clone("process"), disk.ever)


@cache
def _made(index: str, codec: str) -> Disk:
    """Several levels, a deletion, a range deletion, another keyspace, a table of rows with an index, and records in the log."""
    fs, ever = recovery.memory(), dict[bytes, list[bytes | None]]()
    with lsm.open("/d", SMALL, fs=fs, table={"block_size": 512, "index": index, "codec": codec}) as db:
        for r in range(6):
            for i in range(r * 100, r * 100 + 400):
                key, value = b"%05d" % i, b"v%d-" % r + b"x" * 50
                db.put(key, value)
                ever.setdefault(key, []).append(value)
            db.flush()
        db.keyspace("other").put(b"o", b"1")
        people = db.table("people")
        people.put_many([{"id": i, "age": i % 7} for i in range(50)])
        people.create_index("by_age", "age")
        db.delete_range(b"00100", b"00110")
        db.delete(b"00005")
        for key in [b"%05d" % i for i in range(100, 110)] + [b"00005"]:
            ever[key].append(None)
        db.flush()
        for i in range(30):
            db.put(b"log%d" % i, b"1")
            ever[b"log%d" % i] = [b"1"]
    return Disk(fs, ever)


def in_order(disk: Disk) -> list[str]:
    """The tables of the default keyspace by size, the largest last."""
    with lsm.open("/d", SMALL, fs=disk.fs, read_only=True) as db:
        return [f"{t.number:06d}.sst" for t in sorted(db.version().tables().values(), key=lambda t: t.size)]


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def mend(disk: Disk) -> tuple[CheckReport, RepairReport, dict[bytes, bytes]]:
    """Check, repair, and read all of the result. The damaged directory stays as it is; what is read was written once."""
    before = disk.files()
    found = check("/d", fs=disk.fs)
    done = repair("/d", fs=disk.fs)
    assert disk.files() == before
    assert done.problems == [] and not check("/d.repaired", fs=disk.fs).problems
    json.dumps([found.to_dict(), done.to_dict()])
    assert str(found) and str(done)
    with lsm.open("/d.repaired", SMALL, fs=disk.fs, create=False) as db:
        got = dict(db.scan())
        assert db.keyspace("other", create=False).get(b"o") == b"1"
        if done.basis == "manifest":
            people = db.table("people")
            assert people.count(lsm.secondary.col("age") == 3) == 7 and people.scrub() == []
    for key, value in got.items():
        assert value in disk.ever[key]
    return found, done, got


def newest(disk: Disk) -> dict[bytes, bytes]:
    return {k: v[-1] for k, v in disk.ever.items() if v[-1] is not None}


def test_a_whole_database_loses_nothing() -> None:
    disk = made()
    found, done, got = mend(disk)
    assert not found.problems and done.nothing_lost and done.basis == "manifest" and got == newest(disk)
    assert (found.indexes, found.recovery and found.recovery.records, done.indexes) == (1, 30, ["people.by_age"])


def test_the_manifest_is_deleted() -> None:
    disk = made()
    (name,) = disk.names(start="MANIFEST")
    disk.fs.unlink(f"/d/{name}")
    found, done, got = mend(disk)
    assert [p.file for p in found.problems] == [name]
    assert (done.basis, done.nothing_lost, done.lost, done.lost_records) == ("tables", False, [], [])
    assert got == newest(disk)  # as the logs and no replaced table were there
    assert any("'default'" in line for line in done.returned)


def test_current_is_lost() -> None:
    disk = made()
    disk.fs.unlink("/d/CURRENT")
    found, done, got = mend(disk)
    assert [p.file for p in found.problems] == ["CURRENT"]
    assert done.nothing_lost and got == newest(disk)


@pytest.mark.parametrize("index", ["full", "two_level"])
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_table_without_its_end(index: str, codec: str) -> None:
    disk = made(index, codec)
    name = in_order(disk)[-1]
    size = len(disk.fs.read_all(f"/d/{name}"))
    for left in (size - 100, size // 2, 700, 60):
        disk = made(index, codec)
        disk.change(name, lambda data, left=left: data[:left])  # type: ignore[misc]
        found, done, got = mend(disk)
        assert {p.file for p in found.problems} == {name} and done.quarantined == [name]
        missing = newest(disk).keys() - got.keys()
        assert sum(x.entries or 0 for x in done.lost) >= len(missing) and bool(missing) == bool(done.lost)
        for key in missing:
            assert any((x.first or b"") <= key <= (x.last or b"\xff") for x in done.lost)


def test_every_block_of_a_table_may_be_hit() -> None:
    """Keys that are not in a range told as lost are as they were."""
    size = len(made().fs.read_all(f"/d/{in_order(made())[-1]}"))
    for at in range(7, size, 1501):
        disk = made()
        name = in_order(disk)[-1]
        disk.change(name, flip(at))
        found, done, got = mend(disk)
        assert {p.file for p in found.problems} == {name} and done.salvaged == 1
        told = [(x.first or b"", x.last or b"\xff") for x in done.lost]
        for key, value in newest(disk).items():
            assert got.get(key) == value or any(a <= key <= b for a, b in told)
        changed = [k for k, values in disk.ever.items() if got.get(k) != values[-1]]  # gone, or back at what an older table has
        deleted = [k for k, values in disk.ever.items() if values[-1] is None and any(a <= k <= b for a, b in told)]  # lost and not missed
        assert len(changed) <= sum(x.entries or 0 for x in done.lost) <= len(changed) + len(deleted)


def test_a_flipped_bit_in_the_log() -> None:
    disk = made()
    name = disk.names(".log")[-1]
    disk.change(name, flip(500))
    found, done, got = mend(disk)
    (problem,) = found.problems
    (lost,) = done.lost_records
    assert problem.file == lost.file == name and (problem.offset or 0) <= 500
    assert lost.first_seq == lost.last_seq and len(newest(disk).keys() - got.keys()) == 1 and not done.nothing_lost
    assert done.records == 29 and done.quarantined == [name]


def test_two_tables_are_swapped() -> None:
    disk = made()
    a, b = in_order(disk)[-2:]
    x, y = disk.fs.read_all(f"/d/{a}"), disk.fs.read_all(f"/d/{b}")
    disk.fs.write_all(f"/d/{a}", y)
    disk.fs.write_all(f"/d/{b}", x)
    found, done, got = mend(disk)
    assert {p.file for p in found.problems} == {a, b}
    assert len(done.renamed) == 2 and done.nothing_lost and got == newest(disk)


def test_swapped_and_without_footers() -> None:
    """The checksums of the blocks say which table it is."""
    disk = made()
    a, b = in_order(disk)[-2:]
    x, y = disk.fs.read_all(f"/d/{a}"), disk.fs.read_all(f"/d/{b}")
    disk.fs.write_all(f"/d/{a}", y[:-50])
    disk.fs.write_all(f"/d/{b}", x[:-50])
    _, done, got = mend(disk)
    assert len(done.renamed) == 2 and done.salvaged == 2 and got == newest(disk)


def test_a_table_is_gone() -> None:
    disk = made()
    name = in_order(disk)[-1]
    disk.fs.unlink(f"/d/{name}")
    found, done, got = mend(disk)
    assert [p.file for p in found.problems] == [name]
    (lost,) = done.lost
    gone = newest(disk).keys() - got.keys()
    assert lost.file == name and gone and all((lost.first or b"") <= k <= (lost.last or b"") for k in gone)


@pytest.mark.parametrize("pointer", ["CURRENT", "MANIFEST"])
def test_a_table_and_the_pointer_are_gone(pointer: str) -> None:
    """The manifest that is still there names the table; the report did not."""
    disk = made()
    name = in_order(disk)[-1]
    disk.fs.unlink(f"/d/{name}")
    disk.fs.unlink("/d/" + disk.names(start=pointer)[0])
    _, done, got = mend(disk)
    gone = newest(disk).keys() - got.keys()
    assert gone and done.basis == "tables" and not done.nothing_lost
    if pointer == "CURRENT":
        (note,) = [n for n in done.notes if n.startswith(f"{name} is missing")]
        told = re.search(r"(\d+) entries, keys '(\d+)' to '(\d+)' of keyspace 'default'", note)
        assert told and int(told[1]) >= len(gone) and all(told[2].encode() <= k <= told[3].encode() for k in gone)
    else:
        assert any("no file is left" in note for note in done.notes)


def test_the_manifest_is_damaged_at_every_record() -> None:
    size = len(made().fs.read_all("/d/" + made().names(start="MANIFEST")[0]))
    for at in range(3, size, 907):
        disk = made()
        disk.change(disk.names(start="MANIFEST")[0], flip(at))
        found, done, got = mend(disk)
        assert found.problems and not done.lost and got == newest(disk), at


def test_a_table_of_another_database_is_left_out() -> None:
    disk, foreign = made(), recovery.memory()
    with lsm.open("/d", SMALL, fs=foreign, seed=7) as db:
        db.put(b"00001", b"foreign")
        db.flush()
        (number,) = db.version().tables()
    disk.fs.write_all("/d/000999.sst", foreign.read_all(f"/d/{number:06d}.sst"))
    disk.fs.unlink("/d/CURRENT")
    assert footer_of(disk.fs, "/d/000999.sst").database != footer_of(disk.fs, f"/d/{disk.names('.sst')[0]}").database
    found, done, got = mend(disk)
    assert "000999.sst" in {p.file for p in found.problems} and done.quarantined == ["000999.sst"] and got == newest(disk)


class Idle:
    """Never compacts."""

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        return None


def test_what_older_tables_may_give_back_is_told() -> None:
    fs = recovery.memory()
    with lsm.open("/d", SMALL, fs=fs) as db:
        db.put_many([(b"%03d" % i, b"old") for i in range(100)])
        db.compact()
        db.set_policy(Idle())
        db.put_many([(b"%03d" % i, b"new" * 20) for i in range(40, 60)])
        db.delete(b"050")
        db.flush()
        newer = max(db.version().tables().values(), key=lambda t: t.max_seq)
        db.put(b"zzz", b"1")
        db.flush()  # now the log of the flush before is gone
        older = min(db.version().tables().values(), key=lambda t: t.max_seq)
    assert newer.max_seq > older.max_seq
    disk = Disk(fs, {})
    disk.change(f"{newer.number:06d}.sst", flip(30))
    done = repair("/d", fs=fs)
    (lost,) = done.lost
    assert lost.entries and lost.min_seq == newer.min_seq
    assert any(f"{older.number:06d}.sst" in line for line in done.returned)
    assert not done.nothing_lost


def test_the_log_gives_back_what_a_table_lost() -> None:
    """Another keyspace still needs the segment that the flushed writes are in."""
    fs = recovery.memory()
    with lsm.open("/d", SMALL, fs=fs) as db:
        other = db.keyspace("other")
        other.put(b"o", b"1")
        db.put_many([(b"%03d" % i, b"v" * 50) for i in range(100)])
        db.default.flush()
        (number,) = db.version().tables()
    Disk(fs, {}).change(f"{number:06d}.sst", flip(30))
    done = repair("/d", fs=fs)
    assert [x.restored for x in done.lost] == [True] and done.nothing_lost
    with lsm.open("/d.repaired", SMALL, fs=fs) as db:
        assert dict(db.scan()) == {b"%03d" % i: b"v" * 50 for i in range(100)}


def test_a_repair_that_fails_leaves_nothing_behind() -> None:
    disk = made()
    faulty = recovery.fault(disk.fs)
    faulty.arm("sync", "/d.repaired/*", nth=3, error=28)
    with pytest.raises((OSError, lsm.Error)):
        repair("/d", fs=faulty)
    faulty.disarm()
    assert not disk.fs.exists("/d.repaired")
    assert repair("/d", fs=faulty).nothing_lost
    with pytest.raises(lsm.NotADatabase, match="exists"):
        repair("/d", fs=faulty)


def test_where_there_is_nothing() -> None:
    fs = recovery.memory()
    for path in ("/none", "/empty"):
        fs.makedirs("/empty")
        for what in (check, repair):
            with pytest.raises(lsm.NotADatabase):
                what(path, fs=fs)  # type: ignore[operator]


@pytest.mark.parametrize("layout", ["leveling", "tiering", "lazy-leveling", "1-leveling"])
@pytest.mark.parametrize("lost", ["", "CURRENT", "MANIFEST"])
def test_a_random_database_of_any_layout(layout: str, lost: str) -> None:
    """No false alarm; and when pointer or manifest are gone, nothing but what older tables give back may differ."""
    rng, fs, model = random.Random(f"{layout}{lost}"), recovery.memory(), dict[bytes, bytes]()
    shape = {"layout": layout, "size_ratio": 3, "level_base": 8192, "output_bytes": 4096, "l0_trigger": 2}
    with lsm.open("/d", SMALL, fs=fs, compaction=shape) as db:
        for i in range(3000):
            key = b"%03d" % rng.randrange(400)
            if rng.random() < 0.02:
                stop = key + b"~" if rng.random() < 0.5 else b"%03d" % min(400, int(key) + 5)
                if key < stop:
                    db.delete_range(key, stop)
                    model = {k: v for k, v in model.items() if not key <= k < stop}
            elif rng.random() < 0.3:
                db.delete(key)
                model.pop(key, None)
            else:
                db.put(key, b"%d" % i + b"x" * 40)
                model[key] = b"%d" % i + b"x" * 40
    if lost:
        fs.unlink("/d/" + next(n for n in fs.listdir("/d") if n.startswith(lost)))
    assert bool(check("/d", fs=fs).problems) == bool(lost), f"repeat: {layout} {lost}"
    done = repair("/d", fs=fs)
    assert not done.problems and not done.lost and not done.lost_records and done.basis == ("tables" if lost == "MANIFEST" else "manifest")
    with lsm.open("/d.repaired", SMALL, fs=fs) as db:
        assert dict(db.scan()) == model, f"repeat: {layout} {lost}"


def test_flipped_bits_in_any_file_are_told_with_its_name() -> None:
    """In files that the database needs as problems, in others as notes; a table of which nothing else is damaged is named by itself."""
    rng, disk = random.Random(5), made()
    needed = {n for n in disk.names() if not n.endswith(".log") and n != "LOCK"}
    for name in disk.names():
        whole = disk.fs.read_all(f"/d/{name}")
        for at in [0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(20))]:
            if name == "LOCK" or (name.endswith(".log") and not any(whole[at:])):
                continue
            disk.fs.write_all(f"/d/{name}", flip(at)(whole))
            found = check("/d", fs=disk.fs)
            assert any(name in text for text in [*map(str, found.problems), *found.notes]), (name, at)
            if name in needed:
                assert found.problems, (name, at)
            if name.endswith((".sst", ".idx")):
                assert {p.file for p in found.problems} == {name}, (name, at)
            disk.fs.write_all(f"/d/{name}", whole)


def test_what_was_merged_from_tables_alone_is_there_at_every_open() -> None:
    """No log, no manifest: nothing but the tables says which sequence number was the last."""
    fs = recovery.memory()
    with lsm.open("/d", SMALL, fs=fs) as db:
        db.put_many([(b"%03d" % i, b"v") for i in range(100)])
        db.flush()
    for name in fs.listdir("/d"):
        if not name.endswith(".sst"):
            fs.unlink(f"/d/{name}")
    assert repair("/d", "/r", fs=fs).basis == "tables"
    for _ in range(2):
        with lsm.open("/r", SMALL, fs=fs) as db:
            assert dict(db.scan()) == {b"%03d" % i: b"v" for i in range(100)}
