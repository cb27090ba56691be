"""Value files that are damaged, cut, swapped or gone: the right answer or an error that names the file; told, healed, repaired."""

from __future__ import annotations

import errno
import random
from functools import cache
from typing import Any

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.repair import repair

OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 14,
    "cache": {"capacity": 0},
    "table": {"block_size": 256},
    "compaction": {"l0_trigger": 2, "level_base": 1 << 12, "output_bytes": 1 << 11},
    "value_log": {"min_bytes": 10, "file_bytes": 600, "reserve": 0.3},
}
Model = dict[bytes, bytes]


@cache
def _made() -> tuple[recovery.MemoryFileSystem, Model]:
    fs, model, rng = recovery.memory(), Model(), random.Random(1)
    with lsm.open("/d", OPTIONS, fs=fs) as db:
        for i in range(120):
            key = b"%02d" % rng.randrange(30)
            db[key] = model[key] = b"%d." % i * rng.randrange(1, 12)
        db.flush()
    with lsm.open("/d", OPTIONS, fs=fs):
        pass  # the log goes: it still had values
    return fs, model


def made() -> tuple[recovery.MemoryFileSystem, Model]:
    """A closed database in memory, a copy of its own, and what is in it."""
    fs, model = _made()
    return fs.crash_clone("process"), model


def values_of(fs: recovery.FileSystem, path: str = "/d") -> list[str]:
    return sorted(n for n in fs.listdir(path) if n.endswith(".vlog"))


def change(fs: recovery.FileSystem, name: str, data: bytes) -> None:
    fs.write_all(f"/d/{name}", data)


def reads(fs: recovery.FileSystem, model: Model) -> list[str]:
    """Read everything in every way: right, or an error. Returns the errors."""
    told = list[str]()
    try:
        with lsm.open("/d", OPTIONS, fs=fs) as db:
            for key, value in model.items():
                try:
                    assert db.get(key) == value
                except lsm.CorruptionError as e:
                    told.append(str(e))
            for reverse in (False, True):
                try:
                    assert list(db.scan(reverse=reverse)) == sorted(model.items(), reverse=reverse)
                except lsm.CorruptionError as e:
                    told.append(str(e))
            try:
                assert db.get_many(sorted(model)) == [model[k] for k in sorted(model)]
            except lsm.CorruptionError as e:
                told.append(str(e))
            told += db.verify()
    except lsm.CorruptionError as e:
        told.append(str(e))
    return told


def test_a_flip_of_any_byte_is_found_and_names_the_file() -> None:
    fs, model = made()
    assert reads(fs, model) == []
    name = values_of(fs)[0]
    whole = fs.read_all(f"/d/{name}")
    for at in range(0, len(whole), 3):
        fs, _ = made()
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        change(fs, name, bytes(damaged))
        told = reads(fs, model)
        assert told and all(name in line for line in told), f"byte {at}: {told}"


@pytest.mark.parametrize("how", ["cut", "longer", "empty", "gone", "swapped", "foreign"])
def test_files_that_are_not_the_ones_named(how: str) -> None:
    fs, model = made()
    a, b = values_of(fs)[:2]
    first, second = fs.read_all(f"/d/{a}"), fs.read_all(f"/d/{b}")
    if how == "gone":
        fs.unlink(f"/d/{a}")
    elif how == "swapped":
        change(fs, a, second)
        change(fs, b, first)
    elif how == "foreign":
        with lsm.open("/other", {**OPTIONS, "seed": 5}, fs=fs) as db:
            db.put_many([(b"%02d" % i, b"other" * 9) for i in range(30)])
            db.flush()
        change(fs, a, fs.read_all(f"/other/{values_of(fs, '/other')[0]}"))
    else:
        change(fs, a, {"cut": first[:-1], "longer": first + b"x", "empty": b""}[how])
    told = reads(fs, model)
    assert told and all(a in line or b in line for line in told)
    report = check("/d", fs=fs)
    assert any(p.file == a for p in report.problems), str(report)


def test_scrub_and_health_name_it_and_check_the_keys() -> None:
    fs, model = made()
    name = values_of(fs)[1]
    data = bytearray(fs.read_all(f"/d/{name}"))
    data[len(data) // 2] ^= 32
    change(fs, name, bytes(data))
    with lsm.open("/d", OPTIONS, fs=fs) as db:
        (line,) = db.scrub()
        assert name in line and "record checksum" in line
        assert db.health.state == "damaged" and name in db.health.damaged[0]
        lost = [k for k in model if _fails(db, k)]
    report = check("/d", fs=fs)
    assert next(p.file for p in report.problems) == name
    assert {p.first for p in report.problems if p.file.endswith(".sst")} == set(lost)
    assert report.values == len(values_of(fs)) and "value files" in str(report)


def _fails(db: lsm.DB, key: bytes) -> bool:
    try:
        db.get(key)
    except lsm.CorruptionError:
        return True
    return False


@pytest.mark.parametrize("basis", ["manifest", "tables"])
@pytest.mark.parametrize("how", ["flip", "gone", "whole", "footer"])
def test_a_repair_keeps_every_value_that_can_be_read(how: str, basis: str) -> None:
    fs, model = made()
    name = values_of(fs)[1]
    data = bytearray(fs.read_all(f"/d/{name}"))
    if how == "flip":
        data[len(data) // 2] ^= 32
        change(fs, name, bytes(data))
    elif how == "footer":
        change(fs, name, bytes(data[:-20]))
    elif how == "gone":
        fs.unlink(f"/d/{name}")
    if basis == "tables":
        for other in fs.listdir("/d"):
            if other.startswith(("MANIFEST", "CURRENT")):
                fs.unlink(f"/d/{other}")
    report = repair("/d", "/r", fs=fs)
    assert report.basis == basis and report.problems == []
    with lsm.open("/r", OPTIONS, fs=fs) as db:
        found = dict(db.scan())
        assert db.verify() == []
    lost = model.keys() - found.keys()
    assert all(found[k] == model[k] for k in found)
    assert lost == {x.first for x in report.lost}
    assert (how in ("whole", "footer")) == (not lost)
    assert all(x.file == name for x in report.lost)
    assert how not in ("flip", "footer") or name in report.quarantined


def test_a_damaged_value_file_is_healed_from_a_copy() -> None:
    fs, model = made()
    with lsm.open("/d", OPTIONS, fs=fs) as db:
        db.checkpoint("/copy")
        name = values_of(fs)[1]
        data = bytearray(fs.read_all(f"/d/{name}"))
        data[len(data) // 2] ^= 32
        fs.unlink(f"/d/{name}")  # it is linked into the copy
        change(fs, name, bytes(data))
    with lsm.open("/d", OPTIONS, fs=fs) as db:
        assert len(db.scrub()) == 1
        assert db.heal("/copy") == [name]
        assert db.health.state == "ok" and db.scrub() == []
        assert dict(db.scan()) == model
    with lsm.open("/d", OPTIONS, fs=fs) as db:
        assert dict(db.scan()) == model and db.verify() == []


@pytest.mark.parametrize("op", ["open", "append", "sync", "pread", "unlink", "size_of"])
def test_each_call_on_a_value_file_may_fail(op: str) -> None:
    """An error or a right answer; then reopened, nothing that was acknowledged is missing."""
    probe = recovery.fault(recovery.memory())
    _live(probe)
    total = probe.calls(op, "*.vlog")
    assert total >= 3
    for nth in range(1, total + 1, max(1, total // 25)):
        for sticky in (False, True):
            disk = recovery.memory()
            fs = recovery.fault(disk)
            fs.arm(op, "*.vlog", nth, errno.EIO, sticky=sticky)
            acked, flight = _live(fs)
            fs.disarm()
            with lsm.open("/d", OPTIONS, fs=fs) as db:
                assert dict(db.scan()) in (acked, flight), f"repeat: {op} {nth}, sticky {sticky}"
                assert db.verify() == []
                db.flush()
                there = {n for n in disk.listdir("/d") if n.endswith(".vlog")}
                assert there == {f"{v.number:06d}.vlog" for v in db.version().values}


def _live(fs: Any) -> tuple[Model, Model]:
    """Write until the first error, read on; returns what was acknowledged, and with the write under way."""
    acked, flight = Model(), Model()
    try:
        for half in range(2):
            with lsm.open("/d", OPTIONS, fs=fs) as db:
                for i in range(60):
                    key, value = b"%02d" % (i * 7 % 20), b"%d-%d." % (half, i) * 12
                    flight = {**acked, key: value}
                    db.put(key, value)
                    acked = flight
                db.compact()
                found = dict(db.scan())
                assert found == acked
    except lsm.Error:
        pass
    return acked, flight


def test_an_untrusted_directory_with_value_files() -> None:
    fs, model = made()
    with lsm.open("/d", OPTIONS, fs=fs, untrusted=True) as db:
        assert dict(db.scan()) == model
    name = values_of(fs)[0]
    data = bytearray(fs.read_all(f"/d/{name}"))
    data[30] ^= 1
    change(fs, name, bytes(data))
    with pytest.raises(lsm.CorruptionError, match=name):
        lsm.open("/d", OPTIONS, fs=fs, untrusted=True)


def test_an_encrypted_database_with_value_files() -> None:
    fs, key = recovery.memory(), bytes(range(32))
    with lsm.open("/d", OPTIONS, fs=fs, encryption=key) as db:
        db.put_many([(b"%02d" % i, b"secret value %d " % i * 9) for i in range(60)])
        db.flush()
        assert len(db.version().values) > 3
    assert not any(b"secret" in fs.read_all(f"/d/{n}") for n in fs.listdir("/d"))
    assert check("/d", fs=fs, encryption=key).problems == []
    name = values_of(fs)[0]
    data = bytearray(fs.read_all(f"/d/{name}"))
    data[len(data) // 2] ^= 1
    with lsm.open("/d", OPTIONS, fs=fs, encryption=key) as db:
        assert db.get(b"07") == b"secret value 7 " * 9
    change(fs, name, bytes(data))
    report = check("/d", fs=fs, encryption=key)
    assert any(p.file == name for p in report.problems)
