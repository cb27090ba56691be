"""A damaged file of an open database rests: background work goes round it, writes go on, health tells, and a copy heals it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery

KEY, OTHER = bytes(range(32)), b"B" * 32
SMALL: dict[str, Any] = {
    "write_buffer": 1 << 14,
    "cache": {"capacity": 0},
    "table": {"block_size": 512},
    "compaction": {"level_base": 1 << 16, "output_bytes": 1 << 14},
}


def spoil(fs: recovery.FileSystem, path: str, at: int = 700) -> None:
    """Flip a bit of a file; a checkpoint that shares it keeps the good bytes."""
    data = bytearray(fs.read_all(path))
    data[at] ^= 16
    fs.write_all(f"{path}.new", bytes(data))
    fs.rename(f"{path}.new", path)


def wait_until(db: lsm.DB, told: Callable[[lsm.Health], bool]) -> lsm.Health:
    end = time.monotonic() + 60
    while not told(db.health) and time.monotonic() < end:
        time.sleep(0.002)
    assert told(db.health), str(db.health)
    return db.health


def filled(fs: recovery.FileSystem, model: dict[bytes, bytes], rounds: int, **options: Any) -> lsm.DB:
    db = lsm.open("/d", SMALL, fs=fs, **options)
    write(db, model, rounds, random.Random(1))
    return db


def write(db: lsm.DB, model: dict[bytes, bytes], rounds: int, rng: random.Random, step: int = 1) -> None:
    for _ in range(rounds):
        for _ in range(150):
            key, value = b"%04d" % rng.randrange(0, 2000, step), rng.randbytes(100)
            db.put(key, value)
            model[key] = value
    db.flush()


def compare(db: lsm.DB, model: dict[bytes, bytes]) -> int:
    """Every key answers right or raises CorruptionError. Returns how many raise."""
    refused = 0
    for key, value in model.items():
        try:
            assert db.get(key) == value
        except lsm.CorruptionError:
            refused += 1
    return refused


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("layout", ["leveling", "tiering", "lazy-leveling"])
def test_writes_and_compactions_go_on_beside_a_damaged_table(layout: str, threads: int) -> None:
    """A compaction that met one flipped bit made the whole database read-only."""
    fs, model = recovery.memory(), dict[bytes, bytes]()
    compaction = {**SMALL["compaction"], "layout": layout, "size_ratio": 3}
    with filled(fs, model, 12, threads=0, compaction=compaction) as db:  # one tree for both
        where = db.version().where()
        old = max(db.version().tables().values(), key=lambda t: (where[t.number][0], t.size, t.number))
        assert where[old.number][0] >= 2, "merges into level 1 do not meet it"
    spoil(fs, f"/d/{old.number:06d}.sst")
    with lsm.open("/d", SMALL, fs=fs, threads=threads, compaction=compaction) as db:
        written = db.stats().bytes(op="write", cause="compaction")
        write(db, model, 30, random.Random(2), 2)
        db.wait()
        health = db.health
        assert health.writable and health.error == "", str(health)
        assert old.number in db.version().tables()
        assert db.stats().bytes(op="write", cause="compaction") > written, "the rest is compacted"
        assert 0 < compare(db, model) < len(model) // 4
        health = db.health  # a merge has met it, or these reads have
        assert health.state in ("damaged", "slowed", "stopped")
        assert len(health.damaged) == 1 and f"{old.number:06d}.sst" in health.damaged[0]


def test_a_read_that_went_wrong_on_its_way_stops_no_compaction() -> None:
    disk, model = recovery.memory(), dict[bytes, bytes]()
    fs = recovery.fault(disk)
    with filled(fs, model, 12, threads=0) as db:
        old = min(db.version().tables())
        path = f"*{old:06d}.sst"
        before = fs.calls("pread", path)
        fs.arm("pread", path, 1, "flip")
        write(db, model, 20, random.Random(2))
        assert fs.calls("pread", path) > before and db.health.writable
        assert old not in db.version().tables(), "it was merged at the next turn"
        assert db.scrub() == [] and db.health.state == "ok"
        assert compare(db, model) == 0


@pytest.mark.parametrize("mode", ["buffered", "mapped"])
@pytest.mark.parametrize("key", [None, KEY])
def test_what_a_read_meets_is_told_by_health(key: bytes | None, mode: str) -> None:
    """Only a scrub told of damage; a read that raised left health at ok."""
    fs, model = recovery.memory(), dict[bytes, bytes]()
    table = {"block_size": 512, "read_mode": mode}
    filled(fs, model, 2, threads=0, encryption=key, table=table).close()
    path = next(p for p in fs.walk_files("/d") if p.endswith(".sst"))
    spoil(fs, path)
    with lsm.open("/d", SMALL, fs=fs, threads=0, encryption=key, table=table) as db:
        assert db.health.state == "ok"
        assert compare(db, model) > 0
        (line,) = db.health.damaged
        assert path in line and "at byte" in line and db.health.state == "damaged"
        assert db.scrub() and len(db.health.damaged) == 1
        data = bytearray(fs.read_all(path))
        data[700] ^= 16
        with fs.open(path, "r+") as f:
            f.pwrite(bytes(data), 0)
        if mode == "buffered":
            assert db.scrub() == [] and db.health.state == "ok"


def test_a_damaged_value_is_told_and_collections_go_round_it() -> None:
    fs, model, rng = recovery.memory(), dict[bytes, bytes](), random.Random(4)
    values = {"min_bytes": 50, "file_bytes": 1 << 13, "reserve": 0.3, "collector": "greedy"}
    with filled(fs, model, 8, threads=0, value_log=values) as db:
        live = db.version().live_values()
        number = max(live, key=lambda n: live[n][1])
    spoil(fs, f"/d/{number:06d}.vlog", 200)
    with lsm.open("/d", SMALL, fs=fs, threads=0, value_log=values) as db:
        refused = compare(db, model)
        assert refused and [line for line in db.health.damaged if f"{number:06d}.vlog" in line]
        before = {v.number for v in db.version().values}
        write(db, model, 40, rng)
        assert db.health.writable and not db.health.error
        assert before - {v.number for v in db.version().values}, "others were collected"
        assert compare(db, model) <= refused


@pytest.mark.parametrize("kind", ["plain", "zstd", "sealed", "encrypted"])
def test_a_target_of_backups_heals(kind: str) -> None:
    """The advice of health named a backup, and heal looked for tables by their footers, which objects of a target do not show."""
    fs, model = recovery.memory(), dict[bytes, bytes]()
    own = KEY if kind == "encrypted" else None
    key = OTHER if kind in ("sealed", "encrypted") else None
    values = {"min_bytes": 90, "file_bytes": 1 << 14}
    with filled(fs, model, 12, threads=0, encryption=own, value_log=values) as db:
        db.backup("/backups", key=key, codec="zstd" if kind == "zstd" else "none")
        db.backup("/backups", key=key)
    names = [p for p in fs.walk_files("/d") if p.endswith((".sst", ".vlog")) and fs.stat(p)[0] > 13_000]
    assert {p.rpartition(".")[2] for p in names} == {"sst", "vlog"}
    for path in names:
        spoil(fs, path, 5000)
    with lsm.open("/d", SMALL, fs=fs, threads=0, encryption=own, value_log=values) as db:
        assert len(db.scrub()) == len(names) and compare(db, model)
        if key:
            with pytest.raises(lsm.BackupError):
                db.heal("/backups", key=KEY)
        healed = db.heal("/backups", key=key)
        assert sorted(f"/d/{n}" for n in healed) == sorted(names)
        assert db.scrub() == [] and db.health.state == "ok" and compare(db, model) == 0


@pytest.mark.parametrize("key", [None, KEY])
def test_a_checkpoint_that_is_damaged_too_heals_nothing(key: bytes | None) -> None:
    """Of an encrypted one heal ended with an error, and left a file."""
    fs, model = recovery.memory(), dict[bytes, bytes]()
    filled(fs, model, 2, threads=0, encryption=key).close()
    with lsm.open("/d", SMALL, fs=fs, threads=0, encryption=key) as db:
        db.checkpoint("/copy")
        for path in [p for p in fs.walk_files("/d") if p.endswith(".sst")]:
            with fs.open(path, "r+") as f:
                f.pwrite(b"?", 5000)  # of both: they are one file
        assert db.scrub() and db.heal("/copy") == [] and db.health.state == "damaged"
        assert not [n for n in fs.listdir("/d") if n.endswith(".heal")]


def test_a_damaged_object_of_a_backup_heals_nothing() -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with filled(fs, model, 3, threads=0) as db:
        db.backup("/backups")
        for path in [p for p in fs.walk_files("/backups/objects") if fs.stat(p)[0] > 1000]:
            spoil(fs, path)
        path = next(p for p in fs.walk_files("/d") if p.endswith(".sst"))
        with fs.open(path, "r+") as f:
            f.pwrite(b"?", 700)
        assert db.scrub() and db.heal("/backups") == []
        assert db.health.state == "damaged" and not [n for n in fs.listdir("/d") if n.endswith(".heal")]


def test_the_background_heals_from_the_copy_that_the_options_name() -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with filled(fs, model, 6, threads=0) as db:
        db.backup("/backups")
    path = next(p for p in fs.walk_files("/d") if p.endswith(".sst"))
    spoil(fs, path)
    scrub = {"bytes_per_second": 1 << 30, "interval_s": 0, "heal": "/backups"}
    with lsm.open("/d", SMALL, fs=fs, threads=1, scrub=scrub) as db:
        wait_until(db, lambda h: h.last_scrub > 0 and h.state == "ok" and db.scrubber.passes > 1)
        assert compare(db, model) == 0
    with pytest.raises(lsm.InvalidOptions, match="absolute"):
        lsm.Options.from_dict({"scrub": {"heal": "here"}})
    with pytest.raises(lsm.InvalidOptions, match="not shown"):
        lsm.Options.from_dict({"scrub": {"heal_key": "secret"}})


def test_a_copy_that_cannot_be_read_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with filled(fs, model, 2, threads=0) as db:
        db.checkpoint("/copy")
    spoil(fs, next(p for p in fs.walk_files("/d") if p.endswith(".sst")))
    scrub = {"bytes_per_second": 1 << 30, "interval_s": 0, "heal": "/later"}
    with lsm.open("/d", SMALL, fs=fs, threads=1, scrub=scrub) as db:
        wait_until(db, lambda h: db.scrubber.passes > 1)
        assert "/later does not exist" in caplog.text
        fs.makedirs("/later")
        for name in fs.listdir("/copy"):
            fs.link(f"/copy/{name}", f"/later/{name}")
        wait_until(db, lambda h: h.state == "ok")
        assert compare(db, model) == 0
