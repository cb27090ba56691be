"""Rows in bytes: the layout, its errors, and the codec in plain Python: the twin of lsm/csrc/record.c, which leaves to it what is rare.

    row     = version u8 (1) | widths u8 | columns u16 | id * columns, ascending | end * columns | tag u8 * columns | values
    widths  = bytes of an id (1, 2) + 16 * bytes of an end (1, 2, 4); an end is where a value ends, counted from the first value
    list    = width w u8 (1, 2, 4) | items (w) | end (w) * items | tag u8 * items | values

    tag 0 None   1 False   2 True     3 int, two's complement, as short as it goes, 0 in no bytes     4 float (8)
        5 str, UTF-8       6 bytes    7 datetime, microseconds since 1970 i64     8 date, days since 1970 i32     9 UUID, big-endian (16)
        10 list   11 tuple (of tags 0 to 9)     12 list of floats   13 tuple of floats (8 each, one at least)

Little-endian. Columns are numbers given by the table's `Names`; a row that has a column with None is not one that lacks it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from ..errors import Error

MAX_INT = 0xFFFF  # bytes
MAX_ROW = 1 << 30  # bytes of values
MAX_COLUMNS = 0xFFFF

_NONE, _FALSE, _TRUE, _INT, _FLOAT, _STR, _BYTES, _DATETIME, _DATE, _UUID, _LIST, _TUPLE, _FLOATS, _FLOAT_TUPLE = range(14)
_VERSION, _HEAD = 1, 4
_EPOCH, _DAY0 = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_ALLOWED = "None, bool, int, float, str, bytes, datetime, date, uuid.UUID, numpy scalars, a flat list or tuple of these"


class RecordTypeError(Error, TypeError):
    """A value of a type that no column holds, or a row that is not a mapping of names. The message names the column and what is allowed."""


class RecordValueError(Error, ValueError):
    """A value of a good type that no column holds: a naive datetime, a lone surrogate, too long an int."""


class RecordDecodeError(Error, ValueError):
    """Bytes that are not a row."""


class NameTable(Protocol):
    """What the codec needs of `Names`."""

    ids: dict[str, int]
    names: list[str]

    def id(self, name: str) -> int:
        """Return the number of a column, a new one when it has none."""


def plain(value: Any) -> Any:
    """Return a value as decode gives it back: numpy scalars and arrays, bytearrays and subclasses become what they stand for.

    A datetime64 counts as UTC (NaT: None). TypeError, ValueError say what is wrong with a value that no column holds.
    """
    if isinstance(value, list | tuple):
        return [_scalar(v) for v in value] if isinstance(value, list) else tuple(_scalar(v) for v in value)
    if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):
        return [_scalar(v) for v in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if type(value).__module__ == "numpy":
        return _scalar(_of_numpy(value))
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value) if kind is not str else str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError("a datetime without a zone; say which, e.g. value.replace(tzinfo=datetime.UTC)")
        try:
            return _EPOCH + (value - _EPOCH) // _MICROSECOND * _MICROSECOND
        except OverflowError:
            raise ValueError("outside of the years 1 to 9999 in UTC") from None
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    if isinstance(value, UUID):
        return value
    raise TypeError(f"it is of type {type(value).__name__}; allowed: {_ALLOWED}")


def _of_numpy(value: Any) -> Any:
    kind = value.dtype.kind if getattr(value, "ndim", 1) == 0 else "O"
    if kind == "M":
        if value.dtype.str.endswith(("[D]", "[M]", "[Y]", "[W]")):
            return value.astype("datetime64[D]").item()
        moment = value.astype("datetime64[us]").item()
        return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else moment
    if kind not in "biufSU":
        raise TypeError(f"it is of type numpy.{type(value).__name__}, dtype {getattr(value, 'dtype', '?')}; allowed: {_ALLOWED}")
    return value.item()


def _width(largest: int) -> int:
    return 1 if largest <= 0xFF else 2 if largest <= 0xFFFF else 4


def _pack(numbers: Iterable[int], width: int) -> bytes:
    return b"".join(n.to_bytes(width, "little") for n in numbers)


def _ends(values: Sequence[bytes]) -> list[int]:
    ends, end = [], 0
    for value in values:
        end += len(value)
        ends.append(end)
    return ends


def _put(value: Any) -> tuple[int, bytes]:
    """Return (tag, bytes) of a plain value."""
    if value is None:
        return _NONE, b""
    if isinstance(value, bool):
        return (_TRUE if value else _FALSE), b""
    if isinstance(value, int):
        length = (~value if value < 0 else value).bit_length() // 8 + 1 if value else 0
        if length > MAX_INT:
            raise ValueError(f"an int of {length} bytes; allowed: {MAX_INT}")
        return _INT, value.to_bytes(length, "little", signed=True)
    if isinstance(value, float):
        return _FLOAT, struct.pack("<d", value)
    if isinstance(value, str):
        try:
            return _STR, value.encode()
        except UnicodeEncodeError as e:
            raise ValueError(f"a lone surrogate at {e.start}") from None
    if isinstance(value, bytes):
        return _BYTES, value
    if isinstance(value, datetime):
        return _DATETIME, struct.pack("<q", (value - _EPOCH) // _MICROSECOND)
    if isinstance(value, date):
        return _DATE, struct.pack("<i", (value - _DAY0).days)
    if isinstance(value, UUID):
        return _UUID, value.bytes
    is_list = isinstance(value, list)
    if value and all(isinstance(v, float) for v in value):
        return (_FLOATS if is_list else _FLOAT_TUPLE), struct.pack(f"<{len(value)}d", *value)
    items = [_put(v) for v in value]
    ends = _ends([data for _, data in items])
    width = _width(max(len(items), ends[-1] if ends else 0))
    head = bytes([width]) + _pack([len(items), *ends], width) + bytes(tag for tag, _ in items)
    return (_LIST if is_list else _TUPLE), head + b"".join(data for _, data in items)


def _shown(value: Any) -> str:
    huge = isinstance(value, int) and value.bit_length() > 200  # it may have no text
    text = "" if huge else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def encode(row: Mapping[str, Any], names: NameTable) -> bytes:
    """Return the bytes of a row. RecordTypeError, RecordValueError."""
    if not isinstance(row, Mapping):
        raise RecordTypeError(f"a row is a mapping of column names to values, not {type(row).__name__}: {_shown(row)}")
    fields: list[tuple[str, int, bytes]] = []
    for name, value in row.items():
        if not isinstance(name, str):
            raise RecordTypeError(f"column names are str, not {type(name).__name__}: {_shown(name)}")
        try:
            fields.append((name, *_put(plain(value))))
        except TypeError as e:
            raise RecordTypeError(f"column {name!r}: {_shown(value)}: {e}") from None
        except ValueError as e:
            raise RecordValueError(f"column {name!r}: {_shown(value)}: {e}") from None
    size = sum(len(data) for _, _, data in fields)
    if size > MAX_ROW or len(fields) > MAX_COLUMNS:
        raise RecordValueError(f"a row of {len(fields)} columns, {size} bytes; allowed: {MAX_COLUMNS} columns, {MAX_ROW} bytes")
    numbered = sorted((names.id(name), tag, data) for name, tag, data in fields)  # numbers are given only to columns of good rows
    ends = _ends([data for _, _, data in numbered])
    id_width, end_width = _width(numbered[-1][0] if numbered else 0), _width(size)
    head = struct.pack("<BBH", _VERSION, id_width | end_width << 4, len(numbered))
    ids = _pack((i for i, _, _ in numbered), id_width)
    return head + ids + _pack(ends, end_width) + bytes(tag for _, tag, _ in numbered) + b"".join(data for _, _, data in numbered)


def encode_many(rows: Iterable[Mapping[str, Any]], names: NameTable) -> list[bytes]:
    """Return encode(row, names) of each."""
    return [encode(row, names) for row in rows]


class _View:
    """A row or a list, open. Raises RecordDecodeError when lengths do not fit."""

    def __init__(self, data: bytes, ids: int, width: int, count: int, at: int) -> None:
        if width not in (1, 2, 4) or len(data) < at + count * (ids + width + 1):
            raise RecordDecodeError(f"{len(data)} bytes with {count} values whose ends are {width} bytes wide")
        self.ids = [int.from_bytes(data[at + i * ids : at + (i + 1) * ids], "little") for i in range(count)]
        at += ids * count
        self.ends = [int.from_bytes(data[at + i * width : at + (i + 1) * width], "little") for i in range(count)]
        at += width * count
        self.tags, self.values = data[at : at + count], data[at + count :]
        if len(self.values) != (self.ends[-1] if count else 0):
            raise RecordDecodeError(f"values of {len(self.values)} bytes that should end at {self.ends[-1] if count else 0}")

    def load(self, i: int, read: Callable[[int, bytes], Any]) -> Any:
        start, end = self.ends[i - 1] if i else 0, self.ends[i]
        if not start <= end <= len(self.values):
            raise RecordDecodeError(f"value {i} lies at {start} to {end} of {len(self.values)} bytes")
        return read(self.tags[i], self.values[start:end])


def _open(data: Any) -> _View:
    try:
        raw = bytes(memoryview(data))
    except TypeError:
        raise RecordTypeError(f"a row in bytes is bytes-like, not {type(data).__name__}: {_shown(data)}") from None
    if len(raw) < _HEAD or raw[0] != _VERSION or raw[1] & 15 not in (1, 2):
        raise RecordDecodeError(f"no row begins with {raw[:_HEAD].hex(' ') or 'nothing'}; allowed: version {_VERSION}, ids of 1 or 2 bytes")
    return _View(raw, raw[1] & 15, raw[1] >> 4, int.from_bytes(raw[2:4], "little"), _HEAD)


_FIXED = {_NONE: 0, _FALSE: 0, _TRUE: 0, _FLOAT: 8, _DATETIME: 8, _DATE: 4, _UUID: 16}


def _load_scalar(tag: int, data: bytes) -> Any:
    if tag > _UUID or len(data) != _FIXED.get(tag, len(data)):
        raise RecordDecodeError(f"a value of tag {tag} in {len(data)} bytes")
    try:
        if tag == _STR:
            return data.decode()
        if tag == _DATETIME:
            return _EPOCH + timedelta(microseconds=int.from_bytes(data, "little", signed=True))
        if tag == _DATE:
            return _DAY0 + timedelta(days=int.from_bytes(data, "little", signed=True))
    except (ValueError, OverflowError) as e:
        raise RecordDecodeError(f"a value of tag {tag}: {e}") from None
    if tag == _INT:
        return int.from_bytes(data, "little", signed=True)
    if tag == _FLOAT:
        return struct.unpack("<d", data)[0]
    if tag == _UUID:
        return UUID(bytes=data)
    return data if tag == _BYTES else {_NONE: None, _FALSE: False, _TRUE: True}[tag]


def _load(tag: int, data: bytes) -> Any:
    if tag < _LIST:
        return _load_scalar(tag, data)
    if tag in (_FLOATS, _FLOAT_TUPLE):
        if not data or len(data) % 8:
            raise RecordDecodeError(f"floats in {len(data)} bytes")
        items = list(struct.unpack(f"<{len(data) // 8}d", data))
    elif tag in (_LIST, _TUPLE):
        width = data[0] if data else 0
        view = _View(data, 0, width, int.from_bytes(data[1 : 1 + width], "little"), 1 + width)
        items = [view.load(i, _load_scalar) for i in range(len(view.ends))]
    else:
        raise RecordDecodeError(f"no type has the tag {tag}")
    return items if tag in (_LIST, _FLOATS) else tuple(items)


def field(data: Any, id: int, default: Any = None) -> Any:
    """Return the value of one column; default when the row does not have it."""
    view = _open(data)
    return view.load(view.ids.index(id), _load) if id in view.ids else default


def fields(data: Any, ids: Iterable[int]) -> tuple[Any, ...]:
    """Return field(data, id) of each."""
    return tuple(field(data, id) for id in ids)


def decode(data: Any, names: NameTable) -> dict[str, Any]:
    """Return the row. RecordDecodeError also when it has a column that names does not know."""
    view = _open(data)
    if view.ids != sorted(set(view.ids)):
        raise RecordDecodeError(f"columns that are not in order: {view.ids[:20]}")
    if view.ids and view.ids[-1] >= len(names.names):
        raise RecordDecodeError(f"column {view.ids[-1]}; known: {len(names.names)}")
    return {names.names[id]: view.load(i, _load) for i, id in enumerate(view.ids)}


def column(datas: Iterable[Any], id: int) -> list[Any]:
    """Return field(data, id) of each."""
    return [field(data, id) for data in datas]


def decode_many(
    datas: Iterable[Any], names: NameTable, key: str | None = None, ids: Iterable[Any] | None = None
) -> list[dict[str, Any] | None]:
    """Return decode(data, names) of each, None for None; with key and ids, as many as datas, each row begins with {key: id}."""
    datas = list(datas)
    if ids is None:
        return [None if data is None else decode(data, names) for data in datas]
    assert key is not None
    return [None if data is None else {key: i, **decode(data, names)} for i, data in zip(ids, datas, strict=True)]
