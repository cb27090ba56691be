"""Order-preserving ("memcomparable") encodings of tuples: the bytes of two keys compare as their values do.

>>> from lsm import keys
>>> sorted([keys.encode("b", 2), keys.encode("a", 10), keys.encode("a", 9)]) == [
...     keys.encode("a", 9), keys.encode("a", 10), keys.encode("b", 2)]
True
>>> keys.decode(keys.encode("user", -7, 2.5, None, (True, b"\\0")))
('user', -7, 2.5, None, (True, b'\\x00'))

**Order.** Tuples compare part by part, a shorter one before the longer ones that begin with it. Between types:
None < bool < number < bytes < str < uuid < datetime < tuple, then all descending parts (`desc`), in the opposite order.

- Numbers compare by exact value, int with float: 2**53 < 2**53 + 1 < float(2**53 + 2). Equal ones differ in bytes, the float farther from
  zero: -1.0, -1, -0.0, 0, 0.0, 1, 1.0. NaN comes after +inf; all NaNs are one. Ints have up to 65535 bytes. The price of the common order:
  small ints take 3 bytes, 64-bit ones 10; most doubles 9 to 17; from 2**64 on they take their whole part, up to 132.
- str compares by code point. Datetimes are aware and compare by instant, whatever their zone; they come back in UTC.

**Format.** A key is its parts, one after the other; none is a prefix of another, so the next begins where one ends. Big-endian.

    None     02                          false    04              true     05
    number   -inf 10 | 11 .. 1a negative | -0.0 1b | 0 1c | 0.0 1d | 1e .. 27 positive | +inf 28 | NaN 29
             below 1:        1e, the double (8)
             below 2**64:    1e + n, whole part (n = 1 .. 8, no leading zero), then 00 int | 01 float | 02 float, fraction * 2**56 (7)
             others:         27, n (2), whole part (n), then 00 int | 01 float
             negative:       38 - the tag of the magnitude (1e becomes 1a), complement of the rest
    bytes    30, with 00 as 00 ff, 00 01     str      31, the same of its UTF-8
    uuid     32, 16 bytes                    datetime 33, microseconds since 1970 + 2**63 (8)
    tuple    34, parts, 00                   desc(x)  complement of every byte of x

Tags lie in 01 .. 7f, so that a first byte of 80 .. fe says descending, 00 ends a tuple, and ff is above every part: `prefix_range` uses it.

The model is FoundationDB's tuple layer (design/tuple.md in its source), which keeps ints and floats apart; the two-byte
terminator, which makes strings prefix-free, is that of CockroachDB's encoding package.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from .batch import bytes_of
from .errors import Error
from .native_typed import bind_keys

MAX_DEPTH = 32  # tuples in tuples
MAX_INT = 0xFFFF  # bytes

_END, _NONE, _FALSE, _TRUE = 0x00, 0x02, 0x04, 0x05
_NEG_INF, _MINUS_ZERO, _ZERO, _FLOAT_ZERO, _SMALL, _HUGE, _INF, _NAN = 0x10, 0x1B, 0x1C, 0x1D, 0x1E, 0x27, 0x28, 0x29
_BYTES, _STR, _UUID, _DATETIME, _TUPLE = 0x30, 0x31, 0x32, 0x33, 0x34
_MIRROR = _SMALL + 0x1A  # the tag of -x is this less the tag of x
_INT, _FLOAT, _FRACTION = 0, 1, 2

_FLIP = bytes(255 - i for i in range(256))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = ((t.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND for t in (datetime.min, datetime.max))
_SINGLE = {_NONE: None, _FALSE: False, _TRUE: True, _ZERO: 0, _FLOAT_ZERO: 0.0, _MINUS_ZERO: -0.0}
_SINGLE |= {_INF: math.inf, _NEG_INF: -math.inf, _NAN: math.nan}


class KeyTypeError(Error, TypeError):
    """A part of a type that has no encoding. The message says which part, what it is, and what is allowed."""


class KeyValueError(Error, ValueError):
    """A part of a good type that cannot be encoded: a naive datetime, a lone surrogate, too deep a tuple, too long an int."""


class KeyDecodeError(Error, ValueError):
    """Bytes that `encode` does not make. `offset`: of the byte that is wrong, or where one is missing."""

    def __init__(self, offset: int, what: str) -> None:
        self.offset, self.what = offset, what
        super().__init__(f"not an encoded key, at byte {offset}: {what}")


def part_ends(data: bytes, parts: int) -> list[int]:
    """Return where each of the first parts of a key ends; anything may follow. KeyDecodeError unless `encode` made them.

    >>> part_ends(encode("a", 2) + b"more", 2)
    [4, 7]
    """
    reader = _Reader(data)
    ends = []
    for _ in range(parts):
        reader.part(0, 0)
        ends.append(reader.at)
    return ends


@dataclass(frozen=True, slots=True)
class Desc:
    """A part in descending order. Made by `desc`."""

    part: Part


Part: TypeAlias = bool | int | float | bytes | str | UUID | datetime | tuple[Any, ...] | Desc | None


def desc(part: Part) -> Desc:
    """Return part marked to sort in descending order. KeyTypeError when it is marked already.

    >>> encode("a", desc(2)) < encode("a", desc(1)), decode(encode("a", desc(2)))
    (True, ('a', 2))
    """
    if isinstance(part, Desc):
        raise KeyTypeError("desc() of a part that is descending already")
    return Desc(part)


def python_encode(*parts: Part) -> bytes:
    """The twin of `encode`: the specification, and what does the parts that are rare and raises the errors."""
    out = bytearray()
    for i, part in enumerate(parts):
        _put(out, part, str(i), 0)
    return bytes(out)


def python_decode(data: bytes) -> tuple[Any, ...]:
    """The twin of `decode`."""
    reader = _Reader(bytes_of(data))
    parts = []
    while reader.at < len(reader.data):
        parts.append(reader.part(0, 0))
    return tuple(parts)


def prefix_range(*parts: Part) -> tuple[bytes, bytes]:
    """Return (start, stop): the keys with start <= key < stop are those of the tuples that begin with parts, and that of parts itself.

    Without parts: all encoded keys. Errors as `encode`.

    >>> start, stop = prefix_range("user", 7)
    >>> start <= encode("user", 7) < encode("user", 7, "name") < stop <= encode("user", 8)
    True
    """
    start = encode(*parts)
    return start, start + b"\xff"


def _put(out: bytearray, part: Any, where: str, depth: int) -> None:
    if isinstance(part, Desc):
        inner = bytearray()
        _put(inner, part.part, where, depth)
        out += inner.translate(_FLIP)
    elif part is None:
        out.append(_NONE)
    elif isinstance(part, bool):
        out.append(_TRUE if part else _FALSE)
    elif isinstance(part, int | float):
        out += _number(part, where)
    elif isinstance(part, bytes | bytearray | memoryview):
        out += b"%c%b\0\1" % (_BYTES, bytes(part).replace(b"\0", b"\0\xff"))
    elif isinstance(part, str):
        try:
            out += b"%c%b\0\1" % (_STR, part.encode().replace(b"\0", b"\0\xff"))
        except UnicodeEncodeError as e:
            raise KeyValueError(f"part {where} has a lone surrogate at {e.start}: {part!r:.60}") from None
    elif isinstance(part, UUID):
        out.append(_UUID)
        out += part.bytes
    elif isinstance(part, datetime):
        out.append(_DATETIME)
        out += struct.pack(">Q", _microseconds(part, where) + (1 << 63))
    elif isinstance(part, tuple):
        if depth == MAX_DEPTH:
            raise KeyValueError(f"part {where} is a tuple at depth {depth + 1}; allowed: {MAX_DEPTH}")
        out.append(_TUPLE)
        for i, item in enumerate(part):
            _put(out, item, f"{where}.{i}", depth + 1)
        out.append(_END)
    else:
        allowed = "None, bool, int, float, bytes, str, uuid.UUID, datetime, tuple, desc() of these"
        raise KeyTypeError(f"part {where} is of type {type(part).__name__}; allowed: {allowed}")


def _microseconds(part: datetime, where: str) -> int:
    if part.utcoffset() is None:
        raise KeyValueError(f"part {where} is a naive datetime: {part!r}; say which zone, e.g. part.replace(tzinfo=datetime.UTC)")
    instant = (part - _EPOCH) // _MICROSECOND
    if not _FIRST <= instant <= _LAST:
        raise KeyValueError(f"part {where} is outside of the years 1 to 9999 in UTC: {part!r}")
    return instant


def _number(part: float, where: str) -> bytes:
    if part == 0:
        return bytes([_ZERO if isinstance(part, int) else _FLOAT_ZERO if math.copysign(1, part) > 0 else _MINUS_ZERO])
    if isinstance(part, float) and not math.isfinite(part):
        return bytes([_NAN if math.isnan(part) else _INF if part > 0 else _NEG_INF])
    if part > 0:
        return _positive(part, where)
    tag, *rest = _positive(-part, where)
    return bytes([_MIRROR - tag]) + bytes(rest).translate(_FLIP)


def _positive(part: float, where: str) -> bytes:
    if part < 1:
        return struct.pack(">Bd", _SMALL, part)
    whole = int(part)
    length = (whole.bit_length() + 7) // 8
    if length > MAX_INT:
        raise KeyValueError(f"part {where} is an int of {length} bytes; allowed: {MAX_INT}")
    head = struct.pack(">B", _SMALL + length) if length <= 8 else struct.pack(">BH", _HUGE, length)
    body = head + whole.to_bytes(length, "big")
    if isinstance(part, int):
        return body + bytes([_INT])
    if part == whole:
        return body + bytes([_FLOAT])
    return body + bytes([_FRACTION]) + int((part - whole) * 2**56).to_bytes(7, "big")  # exact: 52 bits at most, as part >= 1


class _Reader:
    """Reads parts. `flip`, 0 or 255, is what bytes of the part at hand are XORed with: 255 inside a descending one."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int, flip: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise KeyDecodeError(len(self.data), f"it ends here; {count - len(piece)} more bytes are due")
        self.at += count
        return piece.translate(_FLIP) if flip else piece

    def part(self, flip: int, depth: int) -> Any:
        start = self.at
        tag = self.take(1, flip)[0]
        if tag >= 0x80:  # descending
            tag, flip = 255 - tag, 255 - flip
        if tag in _SINGLE:
            return _SINGLE[tag]
        if _NEG_INF < tag < _INF:
            return self.number(tag, flip, start)
        if tag == _BYTES:
            return self.string(flip)
        if tag == _STR:
            text = self.string(flip)
            try:
                return text.decode()
            except UnicodeDecodeError as e:
                raise KeyDecodeError(start, f"a str that is not UTF-8: {e.reason}") from None
        if tag == _UUID:
            return UUID(bytes=self.take(16, flip))
        if tag == _DATETIME:
            instant = int.from_bytes(self.take(8, flip), "big") - (1 << 63)
            if not _FIRST <= instant <= _LAST:
                raise KeyDecodeError(start, "a datetime outside of the years 1 to 9999")
            return _EPOCH + timedelta(microseconds=instant)
        if tag == _TUPLE:
            return self.tuple(flip, depth, start)
        raise KeyDecodeError(start, f"no type has the tag {tag:#04x}")

    def tuple(self, flip: int, depth: int, start: int) -> tuple[Any, ...]:
        if depth == MAX_DEPTH:
            raise KeyDecodeError(start, f"a tuple at depth {depth + 1}; allowed: {MAX_DEPTH}")
        parts = []
        while self.data[self.at : self.at + 1] != bytes([_END ^ flip]):
            parts.append(self.part(flip, depth + 1))
        self.at += 1
        return tuple(parts)

    def string(self, flip: int) -> bytes:
        zero, pieces = bytes([flip]), []
        while True:
            end = self.data.find(zero, self.at)
            if end < 0:
                raise KeyDecodeError(len(self.data), "it ends here, within a string")
            pieces.append(self.take(end - self.at, flip))
            after = self.take(2, flip)[1]
            if after == 0x01:
                return b"".join(pieces)
            if after != 0xFF:
                raise KeyDecodeError(end + 1, f"{after:#04x} after a zero in a string; allowed: 0x01, 0xff")
            pieces.append(b"\0")

    def number(self, tag: int, flip: int, start: int) -> float:
        negative = tag < _ZERO
        if negative:
            tag, flip = _MIRROR - tag, 255 - flip
        value = self.magnitude(tag, flip)
        given = self.data[start + 1 : self.at]
        if not value or _positive(value, "") != bytes([tag]) + (given.translate(_FLIP) if flip else given):
            raise KeyDecodeError(start, "a number that is not in its shortest form")
        return -value if negative else value

    def magnitude(self, tag: int, flip: int) -> float:
        if tag == _SMALL:
            small = float(struct.unpack(">d", self.take(8, flip))[0])
            return small if 0 < small < 1 else 0.0  # 0.0 has no form here: refused as others that are not the shortest
        length = int.from_bytes(self.take(2, flip), "big") if tag == _HUGE else tag - _SMALL
        whole = int.from_bytes(self.take(length, flip), "big")
        at = self.at
        kind = self.take(1, flip)[0]
        if kind == _INT:
            return whole
        fraction = int.from_bytes(self.take(7, flip), "big") if kind == _FRACTION else 0
        try:
            if kind in (_FLOAT, _FRACTION):
                return float(whole) + math.ldexp(fraction, -56)
        except OverflowError:
            pass
        raise KeyDecodeError(at, f"{kind:#04x} after the whole part of a number; allowed: 0x00, 0x01, 0x02 below 2**64")


if TYPE_CHECKING:

    def encode(*parts: Part) -> bytes: ...
    def decode(data: bytes) -> tuple[Any, ...]: ...
    def indexed(values: Iterable[Any], other: Callable[[Any], Any]) -> list[Any]: ...
else:
    encode, decode, indexed = bind_keys(Desc, python_encode, python_decode)
