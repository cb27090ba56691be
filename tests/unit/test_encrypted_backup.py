"""Backups and log archives of an encrypted database are encrypted too, and what is restored can be."""

from __future__ import annotations

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.repair import repair

KEY, OTHER = bytes(range(32)), b"B" * 32
SECRET = b"plain text that must not be seen"


def filled(fs: recovery.FileSystem, **options: object) -> lsm.DB:
    db = lsm.open("/d", fs=fs, threads=0, encryption=KEY, **options)
    db.put_many([(SECRET + b"%d" % i, SECRET * 3) for i in range(200)])
    db.flush()
    db.put(SECRET, b"in the log: " + SECRET)
    return db


def plain_files(fs: recovery.FileSystem, folder: str) -> list[str]:
    return [path for path in fs.walk_files(folder) if SECRET[:16] in fs.read_all(path)]


def test_a_backup_in_the_clear_is_refused() -> None:
    fs = recovery.memory()
    with filled(fs) as db, pytest.raises(lsm.EncryptionError, match="needs a key"):
        db.backup("/backups")
    assert not fs.exists("/backups")


def test_an_archive_in_the_clear_is_refused() -> None:
    fs = recovery.memory()
    with pytest.raises(lsm.EncryptionError, match=r"wal\.archive_key"):
        lsm.open("/d", fs=fs, threads=0, encryption=KEY, wal={"archive": "/archive"})


@pytest.mark.parametrize("encryption", [None, KEY])
def test_what_is_backed_up_is_restored_encrypted_or_not(encryption: bytes | None) -> None:
    fs = recovery.memory()
    with filled(fs) as db:
        before = dict(db.scan())
        db.backup("/backups", key=OTHER)
    assert not plain_files(fs, "/d")
    assert not plain_files(fs, "/backups")
    lsm.Backups("/backups", key=OTHER, fs=fs).restore("/again", encryption=encryption)
    assert bool(plain_files(fs, "/again")) == (encryption is None)
    with lsm.open("/again", fs=fs, threads=0, encryption=encryption) as db:
        assert dict(db.scan()) == before
        assert db.verify() == []


def test_check_and_repair_take_the_key() -> None:
    fs = recovery.memory()
    with filled(fs) as db:
        before = dict(db.scan())
    assert check("/d", fs=fs, encryption=KEY).problems == []
    with pytest.raises(lsm.EncryptionError):
        check("/d", fs=fs)
    fs.unlink("/d/CURRENT")
    assert check("/d", fs=fs, encryption=KEY).problems
    with pytest.raises(lsm.EncryptionError):
        repair("/d", fs=fs, encryption=OTHER)
    report = repair("/d", fs=fs, encryption=KEY)
    assert report.problems == []
    assert not plain_files(fs, "/d.repaired")
    with lsm.open("/d.repaired", fs=fs, threads=0, encryption=KEY) as db:
        assert dict(db.scan()) == before


def test_the_log_of_a_copy_is_checked_by_its_own_timeline() -> None:
    fs = recovery.memory()
    with lsm.open("/d", fs=fs, threads=0) as db:
        db.put(b"k", b"v")
        db.checkpoint("/copy")
    with lsm.open("/copy", fs=fs, threads=0) as copy:
        copy.put(b"k2", b"v2")
    assert check("/copy", fs=fs).problems == []
    for name in ("CURRENT", *[n for n in fs.listdir("/copy") if n.startswith("MANIFEST")]):
        fs.unlink(f"/copy/{name}")
    assert repair("/copy", fs=fs).problems == []
    with lsm.open("/copy.repaired", fs=fs, threads=0) as again:
        assert dict(again.scan()) == {b"k": b"v", b"k2": b"v2"}
