"""Encryption at rest: the master key, the file KEYS it opens, and their rotation.

    master key (yours) --wraps--> keys of the database, in KEYS --wrap--> a data key a file --encrypts--> pages or frames of the file

The bytes are in ``recovery/csrc/fs_crypt.h`` and ``recovery/keyring.py``. Keys never enter options, dumps, logs or reprs.
"""

from __future__ import annotations

import binascii
import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recovery import CryptFileSystem, CryptoMissing, FileSystem, KeysDamaged, LockHeld, WrongKey, keyring

from .errors import CorruptionError, EncryptionError, LockedError, NotADatabase, ReadOnlyError, of_os
from .recover import ours

if TYPE_CHECKING:
    from .db import DB

KeySource = bytes | bytearray | str | Callable[[], bytes]
"""32 bytes; "file:PATH" (32 raw bytes, or 64 hex digits); "env:NAME" (64 hex digits); or a function that returns 32 bytes."""

_PIECE = 1 << 20  # bytes copied at once
_FORMS = "32 bytes, 'file:PATH', 'env:NAME', or a function that returns 32 bytes"


@dataclass(frozen=True)
class KeyReport:
    """Keys of an encrypted database: the current one, how many KEYS holds, and how many files are under older ones, by key."""

    current: int
    keys: int
    older: dict[int, int]

    @property
    def files_under_older_keys(self) -> int:
        """The number of files that a compaction, a flush or a reopening has yet to replace."""
        return sum(self.older.values())


def master_key(source: KeySource) -> bytearray:
    """Return the 32 bytes that a source stands for; the caller wipes them. EncryptionError says what is wrong, and shows no key."""
    try:
        if isinstance(source, bytes | bytearray):
            raw = bytearray(source)
        elif callable(source):
            raw = bytearray(source())
        elif isinstance(source, str) and source.startswith("file:"):
            raw = _text(Path(source[5:]).read_bytes())
        elif isinstance(source, str) and source.startswith("env:"):
            raw = _text(os.environ[source[4:]].encode())
        else:
            raise EncryptionError(f"a key source is {_FORMS}; not {type(source).__name__} that begins otherwise")
    except OSError as e:
        raise EncryptionError(f"the key file cannot be read: {e}") from None
    except KeyError as e:
        raise EncryptionError(f"the environment variable {e} with the key is not set") from None
    if len(raw) != 32:
        size = len(raw)
        wipe(raw)
        raise EncryptionError(f"the master key has {size} bytes; allowed: 32 (in text: 64 hex digits)")
    return raw


def _text(raw: bytes) -> bytearray:
    if len(raw) == 32:
        return bytearray(raw)
    try:
        return bytearray(binascii.unhexlify(raw.strip()))
    except ValueError:
        return bytearray(raw)


def wipe(key: bytearray) -> None:
    """Overwrite a key with zeros."""
    key[:] = bytes(len(key))


class Encryption:
    """What an open database knows of its encryption: the file system below, and where the master key comes from."""

    def __init__(self, below: FileSystem, source: KeySource) -> None:
        """Use enter."""
        self.below, self._source = below, source

    def __repr__(self) -> str:
        return "<lsm encryption: AES-256-GCM>"

    def load(self, path: str, source: KeySource | None = None) -> keyring.Keyring:
        """Read KEYS. EncryptionError for a wrong key; CorruptionError."""
        key = master_key(self._source if source is None else source)
        try:
            return keyring.load(self.below, path, key)
        except WrongKey as e:
            raise EncryptionError(f"{path}: {e}") from None
        except KeysDamaged as e:
            raise CorruptionError(str(e), f"{path}/{keyring.NAME}") from None
        except ImportError as e:
            raise EncryptionError(str(e)) from None
        finally:
            wipe(key)

    def save(self, path: str, ring: keyring.Keyring, source: KeySource | None = None) -> None:
        """Replace KEYS, wrapped by another master key if a source is given, which then is the one to use."""
        key = master_key(self._source if source is None else source)
        try:
            keyring.save(self.below, path, ring, key)
        except ImportError as e:
            raise EncryptionError(str(e)) from None
        finally:
            wipe(key)
        if source is not None:
            self._source = source


def enter(fs: FileSystem, path: str, source: KeySource | None, *, create: bool) -> tuple[FileSystem, Encryption | None]:
    """Return the file system to use for a database, and its encryption. create: keys may be made for a directory without a database.

    EncryptionError when there is a key for a plain database, none or a wrong one for an encrypted one, or a library is missing.
    """
    names = fs.listdir(path)
    encrypted = keyring.NAME in names
    if not encrypted and "CURRENT" in names and _begins_encrypted(fs, f"{path}/CURRENT"):
        raise EncryptionError(f"{path} is encrypted, but its file KEYS is missing; without it nothing can be read")
    if source is None:
        if encrypted:
            raise EncryptionError(f"{path} is encrypted; open it with encryption= and its key ({_FORMS})")
        return fs, None
    chosen = Encryption(fs, source)
    if not encrypted and any(ours(name) and name not in ("LOCK", f"{keyring.NAME}.tmp") for name in names):
        raise EncryptionError(f"{path} is not encrypted; open it without encryption=, or make an encrypted copy (lsmlab encrypt)")
    if not encrypted and not create:
        raise NotADatabase(f"{path} holds no database; create=True and read_only=False make one")
    ring = chosen.load(path) if encrypted else keyring.Keyring.new()
    try:
        inside = ring.file_system(fs)
    except CryptoMissing as e:
        raise EncryptionError(str(e)) from None
    if not encrypted:
        chosen.save(path, ring)
    return inside, chosen


def reading(fs: FileSystem, path: str, source: KeySource | None) -> FileSystem:
    """Return the file system to read a database with, which may be damaged. EncryptionError; NotADatabase without the directory."""
    if not fs.exists(path) or not fs.stat(path)[1]:
        raise NotADatabase(f"{path} is no directory")
    return enter(fs, path, source, create=False)[0]


def copy_keys(fs: FileSystem, path: str, target: str, source: KeySource | None) -> None:
    """Give another directory the keys of an encrypted database."""
    if source is not None:
        chosen = Encryption(fs, source)
        chosen.save(target, chosen.load(path))


def _begins_encrypted(fs: FileSystem, path: str) -> bool:
    with fs.open(path) as f:
        return f.pread(8, 0) == b"LSMCRYPT"


def _of(db: DB) -> tuple[CryptFileSystem, Encryption]:
    if db.encryption is None or not isinstance(db.fs, CryptFileSystem):
        raise EncryptionError(f"{db.path} is not encrypted: it has no keys to rotate")
    return db.fs, db.encryption


def rotate_master(db: DB, source: KeySource) -> None:
    """Wrap the keys of a database by another master key: KEYS is replaced, no other file is touched."""
    _, encryption = _of(db)
    if db.read_only:
        raise ReadOnlyError("the database was opened read-only")
    with db.executor.lock:
        encryption.save(db.path, encryption.load(db.path), source)


def rotate_data(db: DB) -> KeyReport:
    """Add a key for new files, and forget those that no file is under. The new one is durable before the first file uses it."""
    fs, encryption = _of(db)
    db.check_writable()
    with db.executor.lock:
        ring, used = encryption.load(db.path), files_by_key(db)
        for number in set(ring.keys) - set(used) - {ring.current}:
            del ring.keys[number]
        try:
            number = ring.add()
        except ValueError as e:
            raise EncryptionError(str(e)) from None
        encryption.save(db.path, ring)
        fs.add_key(number, ring.keys[number], current=True)
    return report(db)


def files_by_key(db: DB) -> Counter[int]:
    """Return how many files are under each key. O(files)."""
    fs, _ = _of(db)
    found: Counter[int] = Counter()
    for name in fs.listdir(db.path):
        try:
            number = fs.key_of(f"{db.path}/{name}")
        except FileNotFoundError:  # swept meanwhile
            continue
        except OSError as e:
            if e.errno == errno.EISDIR:
                continue
            raise
        if number is not None:
            found[number] += 1
    return found


def report(db: DB) -> KeyReport:
    """Return what keys there are and how many files are still under older ones."""
    _, encryption = _of(db)
    ring, used = encryption.load(db.path), files_by_key(db)
    return KeyReport(ring.current, len(ring.keys), {number: n for number, n in sorted(used.items()) if number != ring.current})


def copy(fs: FileSystem, path: str, target: str, key: KeySource | None, new_key: KeySource | None, told: Callable[[str], None]) -> int:
    """Copy a database that nobody has open to a new directory, under another key, or none: encrypts, decrypts, and changes every data key.

    Returns the files copied; told hears of each. CURRENT comes last, so that a copy that was broken off does not open. LockedError when it
    is open, NotADatabase when target exists, EncryptionError.
    """
    if fs.exists(target):
        raise NotADatabase(f"{target} exists; a copy makes its own directory")
    if not fs.exists(f"{path}/CURRENT"):
        raise NotADatabase(f"{path} holds no database")
    try:
        lock = fs.lock(f"{path}/LOCK", f"pid {os.getpid()}, copying")
    except LockHeld as e:
        raise LockedError(path, e.holder) from None
    try:
        source, _ = enter(fs, path, key, create=False)
        fs.makedirs(target)
        into, _ = enter(fs, target, new_key, create=True)
        names = [n for n in fs.listdir(path) if ours(n) and n not in ("LOCK", "KEYS", "KEYS.tmp", "CURRENT.tmp", "CURRENT")]
        for name in [*names, "CURRENT"]:
            told(name)
            _copy_file(source, f"{path}/{name}", into, f"{target}/{name}")
            if name == names[-1]:
                fs.sync_dir(target)
        fs.sync_dir(target)
        fs.sync_dir(os.path.dirname(target) or "/")
        return len(names) + 1
    except OSError as e:
        raise of_os(e) from e
    finally:
        lock.close()


def _copy_file(source: FileSystem, path: str, into: FileSystem, target: str) -> None:
    with source.open(path) as a, into.open(target, "x") as b:
        size, at = a.size(), 0
        while at < size:
            piece = a.pread(min(_PIECE, size - at), at)
            b.append(piece)
            at += len(piece)
        b.sync()
