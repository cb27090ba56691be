"""Fuzz targets whose parsers are Python, second part: keys of encrypted databases; head, records and objects of backup stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import lsm
import recovery
from recovery import BackupStore, StoreDamage, WrongKey, crc32c, keyring, mask

from .control import Target

_MASTER, _STORE, _OUT = b"M" * 32, "/store", "/out"


def _keys() -> Target:
    """Heads and bodies of KEYS, sealed after the mutation."""
    rings = [keyring.Keyring(bytes(range(16)), {n: bytes([n]) * 32 for n in range(1, count + 1)}, count) for count in (1, 3, 200)]

    def read(data: bytes) -> object:
        head, body = data[: keyring.HEAD], data[keyring.HEAD :]
        ring = keyring.unpack(keyring.sealed(head, body, _MASTER) if len(head) == keyring.HEAD else data, _MASTER)
        if len(ring.keys) < keyring.MOST:
            ring.add()
        return keyring.unpack(keyring.pack(ring, _MASTER), _MASTER)

    return Target([b"".join(keyring.parts(r, b"s" * 16, b"n" * 12)) for r in rings], read, (WrongKey, recovery.KeysDamaged))


def _filled() -> recovery.MemoryFileSystem:
    """A store with two backups and two archived segments of a small database."""
    fs = recovery.memory()
    with lsm.open("/d", {"threads": 0, "wal": {"archive": _STORE, "segment_bytes": 4096}}, fs=fs, seed=1) as db:
        for n in range(2):
            for i in range(30):
                db.put(b"key%02d" % i, b"value %d" % n * 9)
            db.flush()
            db.put(b"late", b"%d" % n)
            db.backup(_STORE)
        table = db.table("people", key="id")
        table.create_index("age", "age")
        table.put({"id": 1, "age": 7})
        db.archive_now()
    return fs


def _line(payload: bytes) -> bytes:
    return payload + b"\n%08x\n" % mask(crc32c(payload))


def _records() -> Target:
    """Records of backups and of archived segments; what reads them lists, verifies and restores."""
    fs = _filled()
    folder = f"{_STORE}/records"
    names = sorted(fs.listdir(folder))
    whole = {n: fs.read_all(f"{folder}/{n}") for n in names}
    chosen = {"backup": [n for n in names if n.startswith("backup")][-1], "segment": [n for n in names if n.startswith("segment")][-1]}

    def read(data: bytes) -> object:
        name = chosen["backup" if b'"manifest"' in data else "segment"]
        fs.write_all(f"{folder}/{name}", _line(data))
        try:
            backups = lsm.Backups(_STORE, fs=fs)
            problems = backups.verify()
            listed = backups.backups()
            try:
                return problems, backups.restore(_OUT, to_seq=None if len(data) % 2 else listed[-1].seq + 1)
            finally:
                _remove(fs, _OUT)
        finally:
            fs.write_all(f"{folder}/{name}", whole[name])

    return Target([whole[n].splitlines()[0] for n in (*chosen.values(), names[0])], read)


def _remove(fs: recovery.MemoryFileSystem, folder: str) -> None:
    for path in list(fs.walk_files(folder)) if fs.exists(folder) else ():
        fs.unlink(path)


def _objects() -> Target:
    """Whole objects, packed and not: what they hold must be what their name says, so that only the one that they were passes."""
    fs, content = recovery.memory(), b"content " * 400
    seeds = dict[str, bytes]()
    for codec in recovery.BACKUP_CODECS:
        store = BackupStore(fs, f"/{codec}", codec=codec)
        digest = store.add(lambda: iter([content])).digest
        seeds[codec] = fs.read_all(f"/{codec}/objects/{digest[:2]}/{digest}")
    path = f"{store.path}/objects/{digest[:2]}/{digest}"

    def read(data: bytes) -> object:
        fs.write_all(path, data)
        if b"".join(store.read(digest, len(content))) != content:
            raise AssertionError("an object that passes and is not what it was")
        return None

    return Target(list(seeds.values()), read, (StoreDamage,))


def _stores() -> Target:
    """What a store says of itself, with and without a key."""
    fs, seeds = recovery.memory(), list[bytes]()
    for key in (None, _MASTER):
        BackupStore(fs, f"/{key is not None}", key=key)
        seeds.append(fs.read_all(f"/{key is not None}/STORE").splitlines()[0])

    def read(data: bytes) -> Any:
        fs.write_all("/True/STORE", _line(data))
        return BackupStore(fs, "/True", key=_MASTER if b"true" in data else None)

    return Target([*seeds, json.dumps({"format": 1, "encrypted": True}).encode()], read, (StoreDamage, WrongKey))


TARGETS: dict[str, Callable[[], Target]] = {"keys": _keys, "backup": _records, "backup_object": _objects, "backup_store": _stores}
