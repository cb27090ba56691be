"""Encryption of a database: keys, their rotation, what is refused, and that nothing is left in clear."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

import lsm
import recovery
from recovery import keyring

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


def fill(fs: recovery.FileSystem, key: Any = KEY, **options: Any) -> None:
    with lsm.open("/db", fs=fs, encryption=key, threads=0, write_buffer=20_000, **options) as db:
        for i in range(1500):
            db.put(b"plainkey%04d" % i, b"plainvalue%d" % i)
        db.compact()
        db.put(b"plainkey-in-log", b"plainvalue")


def contents(fs: recovery.FileSystem, path: str = "/db", key: Any = KEY) -> dict[bytes, bytes]:
    with lsm.open(path, fs=fs, encryption=key, threads=0, create=False) as db:
        assert db.verify() == []
        return dict(db.scan())


EXPECTED = {b"plainkey%04d" % i: b"plainvalue%d" % i for i in range(1500)} | {b"plainkey-in-log": b"plainvalue"}


@pytest.fixture
def fs() -> recovery.MemoryFileSystem:
    made = recovery.memory()
    fill(made)
    return made


def test_it_opens_again_with_its_key_in_every_form(fs: recovery.FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw").write_bytes(KEY)
    (tmp_path / "hex").write_text(KEY.hex() + "\n")
    monkeypatch.setenv("LSM_TEST_KEY", KEY.hex())
    for source in (KEY, bytearray(KEY), lambda: KEY, f"file:{tmp_path}/raw", f"file:{tmp_path}/hex", "env:LSM_TEST_KEY"):
        assert contents(fs, key=source) == EXPECTED


def test_a_wrong_a_missing_and_a_needless_key_are_told(fs: recovery.FileSystem, tmp_path: Path) -> None:
    before = {path: fs.read_all(path) for path in fs.walk_files("/")}
    refused = {
        OTHER: "is not the one",
        None: "is encrypted; open it with",
        b"short": "has 5 bytes; allowed: 32",
        "env:NO_SUCH": "'NO_SUCH' with the key is not set",
        f"file:{tmp_path}/none": "cannot be read",
        "secret": "key source is 32 bytes",
        lambda: b"": "has 0 bytes",
    }
    for source, why in refused.items():
        with pytest.raises(lsm.EncryptionError, match=why) as caught:
            lsm.open("/db", fs=fs, encryption=source)  # type: ignore[arg-type]
        assert "secret" not in str(caught.value)
    assert {path: fs.read_all(path) for path in fs.walk_files("/")} == before
    lsm.open("/plain", fs=fs).close()
    with pytest.raises(lsm.EncryptionError, match="is not encrypted"):
        lsm.open("/plain", fs=fs, encryption=KEY)
    with pytest.raises(lsm.NotADatabase):
        lsm.open("/none", fs=fs, encryption=KEY, create=False)
    fs.mkdir("/empty")
    with pytest.raises(lsm.NotADatabase):
        lsm.open("/empty", fs=fs, encryption=KEY, read_only=True)
    assert fs.listdir("/empty") == []


@pytest.mark.parametrize("key", [None, KEY])
def test_without_its_keys_file_it_is_told_and_not_made_anew(fs: recovery.FileSystem, key: bytes | None) -> None:
    fs.unlink("/db/KEYS")
    with pytest.raises(lsm.EncryptionError, match="KEYS is missing"):
        lsm.open("/db", fs=fs, encryption=key)


def test_a_damaged_keys_file_is_corruption(fs: recovery.FileSystem) -> None:
    whole = fs.read_all("/db/KEYS")
    for at in range(len(whole) * 8):
        raw = bytearray(whole)
        raw[at // 8] ^= 1 << at % 8
        fs.write_all("/db/KEYS", raw)
        with pytest.raises(lsm.CorruptionError, match="KEYS"):
            lsm.open("/db", fs=fs, encryption=KEY)
    fs.write_all("/db/KEYS", whole[:-1])
    with pytest.raises(lsm.CorruptionError, match="KEYS"):
        lsm.open("/db", fs=fs, encryption=KEY)


@pytest.mark.parametrize("body", [b"\1" + bytes(7 + 41), bytes(8 + 40), b"\1" + bytes(7 + 39), (b"\xff" * 8 + bytes(32)) * 2])
def test_keys_that_are_sealed_and_have_no_form_are_damage(body: bytes) -> None:
    """Row K found that a body of an odd size ended with a struct.error."""
    head, _ = keyring.parts(keyring.Keyring.new(), bytes(16), bytes(12))
    with pytest.raises(recovery.KeysDamaged):
        keyring.unpack(keyring.sealed(head, body, bytes(32)), bytes(32))


@pytest.mark.parametrize("sync", ["none", "os", "group", "every", "interval"])
def test_nothing_is_left_in_clear(sync: str) -> None:
    fs = recovery.memory()
    with lsm.open("/db", fs=fs, encryption=KEY, threads=0, write_buffer=20_000, wal={"sync": sync}) as db:
        space = db.keyspace("plainspace")
        for i in range(1500):
            db.put(b"plainkey%04d" % i, b"plainvalue%d" % i)
            space.put(b"plainkey%04d" % i, b"plainvalue")
        db.delete_range(b"plainkey0100", b"plainkey0200")
        db.checkpoint("/copy")
        for state in (fs, fs.crash_clone("process")):
            files = list(state.walk_files("/"))
            assert {re.sub(r"\d+", "", os.path.basename(p)) for p in files} == {"LOCK", "KEYS", "CURRENT", "MANIFEST-", ".log", ".sst"}
            for path in files:
                raw = state.read_all(path)
                assert b"plain" not in raw
                assert KEY not in raw
                assert os.path.basename(path) in ("LOCK", "KEYS") or raw.startswith(b"LSMCRYPT"), path


def test_the_master_key_is_changed_without_touching_the_data(fs: recovery.FileSystem) -> None:
    with lsm.open("/db", fs=fs, encryption=KEY, threads=0) as db:
        tables = {p: fs.read_all(p) for p in fs.walk_files("/db") if p.endswith(".sst")}
        db.rotate_key(OTHER)
        db.checkpoint("/copy")
    assert {p: fs.read_all(p) for p in tables} == tables
    for path in ("/db", "/copy"):
        with pytest.raises(lsm.EncryptionError, match="is not the one"):
            lsm.open(path, fs=fs, encryption=KEY)
        assert contents(fs, path, OTHER) == EXPECTED


def test_data_keys_are_changed_by_compaction_and_reopening(fs: recovery.FileSystem) -> None:
    with lsm.open("/db", fs=fs, encryption=KEY, threads=0) as db:
        assert db.key_report() == lsm.KeyReport(1, 1, {})
        before = db.rotate_data_keys()
        assert before.current == 2
        assert before.files_under_older_keys == len(fs.listdir("/db")) - 2
        db.compact()
        assert db.key_report().files_under_older_keys < before.files_under_older_keys
        assert not any(db.fs.key_of(f"/db/{n}") == 1 for n in fs.listdir("/db") if n.endswith(".sst"))
    with lsm.open("/db", fs=fs, encryption=KEY, threads=0) as db:
        assert db.key_report() == lsm.KeyReport(2, 2, {})
        db.rotate_data_keys()
        assert db.key_report().keys == 2, "key 1, which no file is under, is forgotten"
    assert contents(fs) == EXPECTED


def test_rotation_is_refused_where_there_is_nothing_to_rotate(fs: recovery.FileSystem) -> None:
    with lsm.open("/plain", fs=fs) as db:
        for rotate in (lambda: db.rotate_key(OTHER), db.rotate_data_keys, db.key_report):
            with pytest.raises(lsm.EncryptionError, match="is not encrypted"):
                rotate()
    with lsm.open("/db", fs=fs, encryption=KEY, read_only=True) as db:
        with pytest.raises(lsm.ReadOnlyError):
            db.rotate_key(OTHER)
        with pytest.raises(lsm.ReadOnlyError):
            db.rotate_data_keys()
    with lsm.open("/db", fs=fs, encryption=KEY) as db, pytest.raises(lsm.EncryptionError, match="has 3 bytes"):
        db.rotate_key(b"abc")
    assert contents(fs) == EXPECTED


def test_a_key_is_in_no_option_and_no_text(fs: recovery.FileSystem) -> None:
    with lsm.open("/db", fs=fs, encryption=KEY) as db:
        texts = [repr(db), repr(db.options), db.options.to_toml(), repr(db.encryption), repr(db.fs), repr(db.stats()), repr(db.health)]
        ring = db.encryption.load("/db")
        texts += [repr(ring), repr(vars(db))]
    for secret in (KEY, *ring.keys.values()):
        for text in texts:
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text


def test_files_of_another_name_or_database_are_refused(fs: recovery.MemoryFileSystem) -> None:
    with lsm.open("/db", fs=fs, encryption=KEY, threads=0, write_buffer=20_000) as db:
        for i in range(1500):
            db.put(b"z%d" % i, os.urandom(20))
        db.flush()
        tables = [f"/db/{n:06d}.sst" for n in sorted(db.version().tables())]
    fill(other := recovery.memory())
    clone = fs.crash_clone()
    first, second = clone.read_all(tables[0]), clone.read_all(tables[1])
    clone.write_all(tables[0], second)
    clone.write_all(tables[1], first)
    with pytest.raises(lsm.CorruptionError, match="authentication"):
        contents(clone)
    clone = fs.crash_clone()
    clone.write_all("/db/CURRENT", other.read_all("/db/CURRENT"))
    with pytest.raises(lsm.CorruptionError, match="authentication"):
        contents(clone)


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from recovery.native_crypt import Crypto

    with pytest.raises(recovery.CryptoMissing, match="set LSM_LIBCRYPTO"):
        Crypto(["/nowhere/libcrypto.so", "libm.so.6"])
    assert Crypto(["/nowhere/libcrypto.so", *recovery.native_crypt.crypto_paths()]).version.startswith("OpenSSL")
    monkeypatch.setenv("LSM_LIBCRYPTO", "/mine.so")
    assert recovery.native_crypt.crypto_paths()[0] == "/mine.so"
