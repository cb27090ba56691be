"""Encryption of the extension as typed Python: AES-256-GCM by libcrypto, and the file system that encrypts what is on another one.

The library is looked for in the environment variable LSM_LIBCRYPTO, then as the system's (libcrypto.so.3, libcrypto.so.1.1).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from functools import cache

try:
    from ._native import ffi, lib
except ImportError as problem:
    raise ImportError("recovery/_native is missing or does not load: run make build") from problem

from .native import Buffer, FileSystem, Path, check

KEY, NONCE, TAG = int(lib.REC_KEY), int(lib.REC_NONCE), int(lib.REC_TAG)
DATABASE = 16


class CryptoMissing(LookupError):
    """No library offers AES-256-GCM; says where it was looked for."""


def crypto_paths() -> list[str]:
    """Return where libcrypto is looked for, in order."""
    chosen = os.environ.get("LSM_LIBCRYPTO")
    return [*([chosen] if chosen else []), "libcrypto.so.3", "libcrypto.so.1.1"]


def _sized(name: str, value: Buffer, size: int) -> Buffer:
    if len(value) != size:
        raise ValueError(f"the {name} has {len(value)} bytes; allowed: {size}")
    return value


class Crypto:
    """A loaded libcrypto. Keep it as long as a file system uses it (that does so itself). Any thread may use it."""

    def __init__(self, paths: list[str]) -> None:
        """Load the first of these libraries that has what is needed. CryptoMissing; MemoryError."""
        names = [ffi.new("char[]", path.encode()) for path in paths]
        out = ffi.new("rec_crypto **")
        code = lib.rec_crypto_load(ffi.new("char *[]", names), len(names), out)
        if code == -errno.ENOMEM:
            raise MemoryError("libcrypto")
        if code:
            raise CryptoMissing(f"no libcrypto with AES-256-GCM; looked for {', '.join(paths)}; set LSM_LIBCRYPTO to one")
        self.pointer = ffi.gc(out[0], lib.rec_crypto_free)
        self.version: str = ffi.string(lib.rec_crypto_version(self.pointer)).decode()

    def seal(self, key: Buffer, nonce: Buffer, data: Buffer, aad: Buffer = b"") -> bytes:
        """Return data encrypted, and the tag of 16 bytes behind it."""
        out, tag = bytearray(len(data)), bytearray(TAG)
        self._run(1, key, nonce, aad, data, out, tag)
        return bytes(out + tag)

    def open(self, key: Buffer, nonce: Buffer, data: Buffer, aad: Buffer = b"") -> bytes:
        """Return what was sealed. OSError EBADMSG when key, nonce, data or aad are not what they were."""
        if len(data) < TAG:
            raise ValueError(f"sealed data has {len(data)} bytes; allowed: {TAG} or more")
        body, tag = memoryview(data)[:-TAG], bytearray(data[-TAG:])
        out = bytearray(len(body))
        self._run(0, key, nonce, aad, body, out, tag)
        return bytes(out)

    def _run(self, seal: int, key: Buffer, nonce: Buffer, aad: Buffer, data: Buffer, out: bytearray, tag: bytearray) -> None:
        key, nonce = ffi.from_buffer(_sized("key", key, KEY)), ffi.from_buffer(_sized("nonce", nonce, NONCE))
        into, mark = ffi.from_buffer("uint8_t[]", out), ffi.from_buffer("uint8_t[]", tag)
        source, more = ffi.from_buffer("uint8_t[]", data), ffi.from_buffer("uint8_t[]", aad)
        check(lib.rec_crypto_gcm(self.pointer, seal, key, nonce, more, len(aad), source, len(data), into, mark))


@cache
def load_crypto() -> Crypto:
    """Return the library, loaded once. CryptoMissing."""
    return Crypto(crypto_paths())


class CryptFileSystem(FileSystem):
    """Encrypts what is on ``inner`` with AES-256-GCM; names and sizes are not hidden. ``recovery/csrc/fs_crypt.h`` has the format."""

    inner: FileSystem

    def __init__(self, inner: FileSystem, database: bytes, crypto: Crypto) -> None:
        """Use :func:`crypt`."""
        self._crypto = crypto  # lives as long
        super().__init__(lib.rec_fs_crypt(inner.pointer, crypto.pointer, _sized("database id", database, DATABASE)), inner=inner)

    def add_key(self, number: int, key: Buffer, *, current: bool = False) -> None:
        """Add a key; new files use the current one. FileExistsError for a number that is taken; OSError ENOSPC over 256 keys."""
        check(lib.rec_fs_crypt_add_key(self.pointer, number, ffi.from_buffer(_sized("key", key, KEY)), current))

    def key_of(self, path: Path) -> int | None:
        """Return the number of the key that a file is encrypted with; None for one that is not (LOCK, KEYS)."""
        out = ffi.new("uint64_t *")
        code = lib.rec_fs_crypt_key_of(self.pointer, os.fsencode(path), out)
        return None if code == -errno.ENODATA else (check(code, path), int(out[0]))[1]


def crypt(inner: FileSystem, database: bytes, keys: Mapping[int, Buffer], current: int) -> CryptFileSystem:
    """Return a file system that encrypts what is on ``inner``. database: 16 bytes that every file is bound to. CryptoMissing."""
    fs = CryptFileSystem(inner, database, load_crypto())
    for number, key in keys.items():
        fs.add_key(number, key, current=number == current)
    return fs
