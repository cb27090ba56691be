"""KEYS: the keys of an encrypted database, wrapped by its master key.

    KEYS = "LSMKEYS" 00 | version u32 = 1 | 0 u32 | database id 16 | salt 16 | nonce 12 | body, sealed | tag 16 | masked crc32c u32
    body = current u64 | (id u64 | key 32)*

Sealed with AES-256-GCM over all before the body, under HKDF-SHA256 (RFC 5869) of the master key, the salt and the database id. The
checksum tells damage from another master key. The file is replaced as a whole, never changed.
"""

from __future__ import annotations

import os
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .native import Buffer, FileSystem, crc32c, mask
from .native_crypt import DATABASE, KEY, NONCE, CryptFileSystem, crypt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NAME = "KEYS"
_HEAD = struct.Struct(f"<8sII{DATABASE}s16s{NONCE}s")
_MAGIC, _VERSION = b"LSMKEYS\0", 1
_ENTRY = struct.Struct(f"<Q{KEY}s")
_LAST = 1 << 62  # number of a key
HEAD, MOST = _HEAD.size, 256  # bytes before the body; keys


class WrongKey(ValueError):
    """The key is missing, not well formed, or not the one that was used."""


class KeysDamaged(ValueError):
    """The file of the keys fails its checksum or its form."""


@dataclass
class Keyring:
    """The keys of a database by number; ``current`` is the one for new files."""

    database: bytes
    keys: dict[int, bytes] = field(repr=False)
    current: int

    @classmethod
    def new(cls) -> Keyring:
        """Return a ring with one random key, for a new database."""
        return cls(secrets.token_bytes(DATABASE), {1: secrets.token_bytes(KEY)}, 1)

    def add(self) -> int:
        """Make a random key the current one; return its number. ValueError over 256 keys."""
        if len(self.keys) >= MOST:
            raise ValueError(f"there are {len(self.keys)} keys; allowed: {MOST}; compact the database and drop those that no file needs")
        self.current = max(self.keys) + 1
        self.keys[self.current] = secrets.token_bytes(KEY)
        return self.current

    def file_system(self, inner: FileSystem) -> CryptFileSystem:
        """Return the file system that these keys open. CryptoMissing."""
        return crypt(inner, self.database, self.keys, self.current)


def _cipher(master: Buffer, salt: bytes, database: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as problem:
        raise ImportError("an encrypted database needs the package cryptography: pip install 'lsmlab[encryption]'") from problem
    if len(master) != KEY:
        raise ValueError(f"the master key has {len(master)} bytes; allowed: {KEY}")
    return AESGCM(HKDF(SHA256(), KEY, salt, b"lsmlab KEYS 1" + database).derive(bytes(master)))


def pack(ring: Keyring, master: Buffer) -> bytes:
    """Return the bytes of KEYS."""
    return sealed(*parts(ring, secrets.token_bytes(16), secrets.token_bytes(NONCE)), master)


def parts(ring: Keyring, salt: bytes, nonce: bytes) -> tuple[bytes, bytes]:
    """Return the head of KEYS and the body that is to be sealed. No nonce may come twice with a salt."""
    body = struct.pack("<Q", ring.current) + b"".join(_ENTRY.pack(n, key) for n, key in sorted(ring.keys.items()))
    return _HEAD.pack(_MAGIC, _VERSION, 0, ring.database, salt, nonce), body


def sealed(head: bytes, body: bytes, master: Buffer) -> bytes:
    """Return the bytes of KEYS with this head and body."""
    _, _, _, database, salt, nonce = _HEAD.unpack(head)
    raw = head + _cipher(master, salt, database).encrypt(nonce, body, head)
    return raw + struct.pack("<I", mask(crc32c(raw)))


def unpack(raw: bytes, master: Buffer) -> Keyring:
    """Return the ring that these bytes of KEYS hold. KeysDamaged, WrongKey."""
    if len(raw) < _HEAD.size + 8 + _ENTRY.size + 16 + 4 or len(raw) > _HEAD.size + 8 + MOST * _ENTRY.size + 16 + 4:
        raise KeysDamaged(f"the file of the keys has {len(raw)} bytes")
    magic, version, zero, database, salt, nonce = _HEAD.unpack_from(raw)
    if magic != _MAGIC or struct.unpack("<I", raw[-4:])[0] != mask(crc32c(raw[:-4])):
        raise KeysDamaged("the file of the keys is damaged: its checksum is wrong")
    if version != _VERSION or zero:
        raise KeysDamaged(f"the file of the keys has version {version}; this program knows {_VERSION}")
    from cryptography.exceptions import InvalidTag

    try:
        body = _cipher(master, salt, database).decrypt(nonce, raw[_HEAD.size : -4], raw[: _HEAD.size])
    except InvalidTag:
        raise WrongKey("the master key is not the one that this database was encrypted with") from None
    if (len(body) - 8) % _ENTRY.size:
        raise KeysDamaged(f"the keys take {len(body) - 8} bytes; allowed: a multiple of {_ENTRY.size}")
    keys = dict(_ENTRY.iter_unpack(body[8:]))
    current = int.from_bytes(body[:8], "little")
    if current not in keys or not 0 < max(keys) <= _LAST:
        raise KeysDamaged(f"the file of the keys names key {current} of {len(keys)}, the last is {max(keys)}; allowed: up to {_LAST}")
    return Keyring(database, keys, current)


def load(fs: FileSystem, directory: str, master: Buffer) -> Keyring:
    """Read the keys of a database; ``fs`` is the one below the encryption. KeysDamaged, WrongKey, OSError."""
    return unpack(fs.read_all(os.path.join(directory, NAME)), master)


def save(fs: FileSystem, directory: str, ring: Keyring, master: Buffer) -> None:
    """Replace the keys of a database, atomically and durably: after a crash there are the old ones or the new ones."""
    temporary, path = (os.path.join(directory, name) for name in (f"{NAME}.tmp", NAME))
    fs.write_all(temporary, pack(ring, master), sync=True)
    fs.rename(temporary, path)
    fs.sync_dir(directory)
