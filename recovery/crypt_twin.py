"""Encrypted files in plain Python with the package cryptography: the readable twin of ``recovery/csrc/fs_crypt.h``, and its specification.

Reads what the native file system writes and writes what it reads. No speed, no tricks; a file is one byte string.
"""

from __future__ import annotations

import re
import secrets
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .native import crc32c, mask

PAGE, MARK, FRAME, HEADER, MAX_DATA = 4096, 28, 44, 88, 1 << 20
PAGED, FRAMED = 0x45474150, 0x4D415246  # "PAGE", "FRAM"
_FIELDS = struct.Struct("<8sIIIQ12s")
_IDENTITY = re.compile(r"(\d+\.[a-z]+|MANIFEST-\d+|CURRENT)(?:\..*)?")
Operation = tuple[str, int, bytes]
"""("write", offset, data) or ("size", size, b"")."""


class Unauthentic(ValueError):
    """Damaged, of another name, database or key, or not encrypted."""


@dataclass
class Keys:
    """Database id (16 bytes), keys by number, and where random bytes come from."""

    database: bytes
    keys: Mapping[int, bytes] = field(repr=False)
    draw: Callable[[int], bytes] = field(default=secrets.token_bytes, repr=False)


def identity(name: str) -> str:
    """Return what a file is bound to of its name: its number and kind, or nothing."""
    match = _IDENTITY.fullmatch(name)
    return match[1] if match else ""


def form_of(name: str) -> int:
    """Return the form that a new file of this name gets."""
    return PAGED if identity(name).endswith((".sst", ".idx", ".vlog")) else FRAMED


def make_header(name: str, keys: Keys, number: int) -> tuple[bytes, bytes]:
    """Return a header, and the data key in it."""
    form, data_key, nonce = form_of(name), keys.draw(32), keys.draw(12)
    head = _FIELDS.pack(b"LSMCRYPT", 1, form, PAGE if form == PAGED else 0, number, nonce)
    aad = head + keys.database + identity(name).encode()
    return head + AESGCM(keys.keys[number]).encrypt(nonce, data_key, aad), data_key


def read_header(raw: bytes, name: str, keys: Keys) -> tuple[int, bytes] | None:
    """Return form and data key; None for a file that a crash tore while it was made, which is empty. Unauthentic."""
    try:
        magic, version, form, page, number, nonce = _FIELDS.unpack_from(raw)
        if magic == b"LSMCRYPT" and version == 1 and (form, page) in ((PAGED, PAGE), (FRAMED, 0)) and number in keys.keys:
            aad = raw[: _FIELDS.size] + keys.database + identity(name).encode()
            return form, AESGCM(keys.keys[number]).decrypt(nonce, raw[_FIELDS.size : HEADER], aad)
    except (struct.error, InvalidTag, ValueError):
        pass
    if not any(raw[HEADER:]) and (len(raw) < HEADER or _has_zero_word(raw[:HEADER])):
        return None
    raise Unauthentic(f"{name}: the header")


def _has_zero_word(raw: bytes) -> bool:
    return any(raw[i : i + 8] == bytes(8) for i in range(0, len(raw) - 7, 8))


# Paged


def write_paged(name: str, data: bytes, keys: Keys, number: int) -> bytes:
    """Return a paged file that holds the data."""
    out, data_key = make_header(name, keys, number)
    count = max(1, -(-len(data) // PAGE))
    for page in range(count):
        nonce = keys.draw(12)
        aad = struct.pack("<QQ", page, page == count - 1)
        sealed = AESGCM(data_key).encrypt(nonce, data[page * PAGE : (page + 1) * PAGE], aad)
        out += nonce + sealed[-16:] + sealed[:-16]
    return out


def _read_paged(raw: bytes, name: str, data_key: bytes) -> bytes:
    body, slot, out = raw[HEADER:], PAGE + MARK, b""
    count = -(-len(body) // slot)
    for page in range(max(1, count)):
        piece = body[page * slot : (page + 1) * slot]
        try:
            sealed = piece[MARK:] + piece[12:MARK]
            out += AESGCM(data_key).decrypt(piece[:12], sealed, struct.pack("<QQ", page, page >= count - 1))
        except (InvalidTag, ValueError):
            raise Unauthentic(f"{name}: page {page}") from None
    return out


# Framed


def _check(data_key: bytes, place: int, head: bytes) -> int:
    seed = int.from_bytes(AESGCM(data_key).encrypt(b"\xff" * 12, b"", b"")[:4], "little")
    return mask(crc32c(struct.pack("<Q", place) + head[:4] + head[8:28], seed))


def write_framed(name: str, operations: Iterable[Operation], keys: Keys, number: int, reserved: int = 0) -> bytes:
    """Return a framed file in which the operations were done, and so many zeros behind."""
    out, data_key = make_header(name, keys, number)
    for kind, offset, data in operations:
        pieces = [data[i : i + MAX_DATA] for i in range(0, len(data), MAX_DATA)] if kind == "write" else [b""]
        for i, piece in enumerate(pieces):
            nonce, place = keys.draw(12), len(out)
            word = (offset + i * MAX_DATA) | ord("W" if kind == "write" else "S") << 56
            head = struct.pack("<IIQ12s", FRAME + len(piece), 0, word, nonce)
            head = head[:4] + struct.pack("<I", _check(data_key, place, head)) + head[8:]
            sealed = AESGCM(data_key).encrypt(nonce, piece, struct.pack("<Q", place) + head[:16])
            frame = head + sealed[-16:] + sealed[:-16]
            out += frame + b"\xff" * (8 - len(frame) % 8)
    return out + bytes(reserved)


def _head_at(raw: bytes, place: int, data_key: bytes) -> tuple[str, int, int] | None:
    """Return kind, offset and data bytes of the frame whose head is at a place."""
    if place + 28 > len(raw):
        return None
    length, check, word = struct.unpack_from("<IIQ", raw, place)
    kind, offset = chr(word >> 56), word & (1 << 56) - 1
    if not FRAME <= length <= FRAME + MAX_DATA or kind not in "WS" or (kind == "W") != (length > FRAME):
        return None
    return (kind, offset, length - FRAME) if check == _check(data_key, place, raw[place : place + 28]) else None


def _open_frame(raw: bytes, place: int, n: int, data_key: bytes) -> bytes | None:
    """Return the data of a frame; None when a crash tore it. Unauthentic."""
    span = (FRAME + n + 8) // 8 * 8
    whole = raw[place : place + span]
    try:
        sealed = whole[FRAME : FRAME + n] + whole[28:FRAME]
        data = AESGCM(data_key).decrypt(whole[16:28], sealed, struct.pack("<Q", place) + whole[:16])
        if set(whole[FRAME + n :]) == {0xFF}:
            return data
    except InvalidTag:
        pass
    if not whole[-1] or _has_zero_word(whole):
        return None
    raise Unauthentic(f"the frame at {place}")


def _read_framed(raw: bytes, data_key: bytes) -> bytes:
    out, place = bytearray(), HEADER
    while place < len(raw):
        head = _head_at(raw, place, data_key)
        span = (FRAME + head[2] + 8) // 8 * 8 if head else 0
        if head and place + span <= len(raw):
            kind, offset, n = head
            data = _open_frame(raw, place, n, data_key)
            if kind == "W":
                out += bytes(max(0, offset + n - len(out)))
                out[offset : offset + n] = bytes(n) if data is None else data
            elif data is not None:
                del out[offset:]
                out += bytes(offset - len(out))
            place += span
            continue
        if any(raw[place:]) and not (head or place + 32 > len(raw) or _has_zero_word(raw[place : place + 32])):
            raise Unauthentic(f"the frame at {place}")
        place = next((p for p in range(place + 8, len(raw), 8) if _head_at(raw, p, data_key)), len(raw))
    return bytes(out)


def read_file(raw: bytes, name: str, keys: Keys) -> bytes:
    """Return what an encrypted file holds. Unauthentic."""
    found = read_header(raw, name, keys)
    if found is None:
        return b""
    form, data_key = found
    return _read_paged(raw, name, data_key) if form == PAGED else _read_framed(raw, data_key)
