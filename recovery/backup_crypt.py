"""How objects of a backup are packed: pieces, each compressed, then encrypted, under a data key of the object's own.

    master key (32 bytes) --BLAKE2b, keyed, with a random salt--> data key --AES-256-GCM, nonce = number of the piece--> piece

A data key is used for one object, so no nonce comes twice. What is authenticated beside the bytes is the object's name and the number of
the piece, so a piece of another object, or in another place, does not pass. Needs the `cryptography` package (install lsmlab[encryption]).
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from backports import zstd

from .keyring import WrongKey

KEY_BYTES = 32
SALT_BYTES = 32
PIECE = 1 << 20  # raw bytes of a piece; the last one of an object may be shorter
OVERHEAD = 64 << 10  # what compression and encryption may add to a piece at most
CODECS = {"none": 0, "zstd": 1}


def load_key(given: bytes | str | None) -> bytes | None:
    """Return a key of 32 bytes: given as bytes, as ``file:PATH`` (32 bytes, or 64 hexadecimal digits) or as ``env:NAME`` (digits).

    WrongKey for anything else; None stays None. The text of a key never stands in a message.
    """
    if given is None or (isinstance(given, bytes) and len(given) == KEY_BYTES):
        return given
    if isinstance(given, str) and given.startswith("file:"):
        try:
            with open(given[5:], "rb") as f:
                raw = f.read(KEY_BYTES * 4)
        except OSError as e:
            raise WrongKey(f"the key file {given[5:]} cannot be read: {e.strerror}") from None
    elif isinstance(given, str) and given.startswith("env:"):
        if given[4:] not in os.environ:
            raise WrongKey(f"the environment has no variable {given[4:]}")
        raw = os.environ[given[4:]].encode()
    else:
        what = (
            f"{len(given)} bytes"
            if isinstance(given, bytes)
            else "text of another form"
            if isinstance(given, str)
            else type(given).__name__
        )
        raise WrongKey(f"the key is {what}; allowed: {KEY_BYTES} bytes, file:PATH or env:NAME")
    if len(raw) == KEY_BYTES:
        return raw
    try:
        key = bytes.fromhex(raw.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise WrongKey(f"the key at {given.split(':')[0]}:... is not {KEY_BYTES} bytes or {KEY_BYTES * 2} hexadecimal digits")
    return key


def digester(key: bytes | None) -> Any:
    """Return a hash over the content of an object; keyed where there is a key, so that names tell nothing of what is in them."""
    return hashlib.blake2b(digest_size=20, key=key or b"", person=b"lsmlab-object")


def new_salt() -> bytes:
    """Return the salt of a new object."""
    return os.urandom(SALT_BYTES)


class Packer:
    """Packs and unpacks the pieces of one object. key None: no encryption; then the salt does not count."""

    def __init__(self, name: str, codec: int, key: bytes | None, salt: bytes) -> None:
        """ValueError for an unknown codec, WrongKey when there is a key and no `cryptography` package."""
        if codec not in CODECS.values():
            raise ValueError(f"codec {codec}; known: {', '.join(f'{n} ({c})' for n, c in CODECS.items())}")
        self.name, self.codec = name, codec
        self.cipher: Any = None
        if key is not None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ModuleNotFoundError:
                raise WrongKey("an encrypted backup needs the cryptography package: pip install 'lsmlab[encryption]'") from None
            self.cipher = AESGCM(hashlib.blake2b(salt, digest_size=KEY_BYTES, key=key, person=b"lsmlab-data-key").digest())

    def _aad(self, number: int) -> bytes:
        return f"{self.name}/{number}".encode()

    def pack(self, number: int, piece: bytes) -> bytes:
        """Return what is stored of a piece."""
        if self.codec == CODECS["zstd"]:
            piece = zstd.compress(piece)
        if self.cipher is not None:
            piece = self.cipher.encrypt(number.to_bytes(12, "little"), piece, self._aad(number))
        return piece

    def unpack(self, number: int, stored: bytes, size: int) -> bytes:
        """Return the piece of ``size`` bytes. ValueError when it is not that, before more than that is made."""
        if self.cipher is not None:
            from cryptography.exceptions import InvalidTag

            try:
                stored = self.cipher.decrypt(number.to_bytes(12, "little"), stored, self._aad(number))
            except InvalidTag:
                raise ValueError(f"piece {number} fails its authentication: damaged, or another key") from None
        if self.codec == CODECS["zstd"]:
            stored = _inflate(stored, size, number)
        if len(stored) != size:
            raise ValueError(f"piece {number} has {len(stored)} bytes, not {size}")
        return stored


def _inflate(stored: bytes, size: int, number: int) -> bytes:
    stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 23})
    try:
        out = stream.decompress(stored, max_length=size + 1)
    except zstd.ZstdError as e:
        raise ValueError(f"piece {number} cannot be decompressed: {e}") from None
    if not stream.eof or stream.unused_data:
        raise ValueError(f"piece {number} is more than {size} bytes, or is cut, or has bytes behind its end")
    return bytes(out)
