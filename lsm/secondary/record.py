"""Rows as compact bytes: a dict of typed columns in, single columns out without decoding the rest.

>>> names = Names()
>>> data = encode({"name": "pear", "price": 2.5, "tags": ["fruit", "green"], "sold": None}, names)
>>> field(data, names["price"]), fields(data, (names["name"], names["tags"]))
(2.5, ('pear', ['fruit', 'green']))
>>> decode(data, names)
{'name': 'pear', 'price': 2.5, 'tags': ['fruit', 'green'], 'sold': None}

**Values**: None, bool, int (of up to 65535 bytes), float, str, bytes, datetime (aware; comes back in UTC), date, UUID, and flat lists
or tuples of these. numpy scalars, one-dimensional arrays, bytearrays and subclasses (IntEnum) are taken for what they stand for.

**Names.** A row holds numbers instead of names of columns. `Names` gives them, in the order in which columns are first seen, and grows.
Whoever keeps rows keeps `list(names)` beside them, and writes it *before* the first row that has a new column: compare `len(names)`
before and after.

Layout and plain-Python twin: `record_twin`; the functions here are in C (lsm/csrc/record.c).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..native_typed import bind_records
from . import record_twin
from .record_twin import MAX_COLUMNS, RecordDecodeError, RecordTypeError, RecordValueError, plain

__all__ = [
    "Names",
    "RecordDecodeError",
    "RecordTypeError",
    "RecordValueError",
    "column",
    "decode",
    "decode_many",
    "encode",
    "encode_many",
    "field",
    "fields",
    "plain",
]


class Names:
    """The columns of a table, numbered from 0 in the order in which they were first seen. Any thread may use it.

    >>> names = Names(["id", "name"])
    >>> names.id("age"), names["name"], names.get("nmae"), list(names), len(names)
    (2, 1, None, ['id', 'name', 'age'], 3)
    """

    __slots__ = ("_lock", "ids", "names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Take up names that were kept. RecordValueError when one comes twice; RecordTypeError when one is not a str."""
        self.names: list[str] = []
        self.ids: dict[str, int] = {}
        self._lock = threading.Lock()
        for name in names:
            if name in self.ids:
                raise RecordValueError(f"column {name!r} comes twice")
            self.id(name)

    def id(self, name: str) -> int:
        """Return the number of a column; a new one when it has none. RecordValueError: too many (65535), a lone surrogate."""
        found = self.ids.get(name) if isinstance(name, str) else None
        if found is not None:
            return found
        if not isinstance(name, str):
            raise RecordTypeError(f"column names are str, not {type(name).__name__}: {name!r:.60}")
        name = str.__str__(name)
        if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
            raise RecordValueError(f"column {name!r:.60} has a lone surrogate")
        with self._lock:
            if name not in self.ids:
                if len(self.names) == MAX_COLUMNS:
                    raise RecordValueError(f"column {name!r:.60} would be one too many; allowed: {MAX_COLUMNS}")
                self.names.append(name)
                self.ids[name] = len(self.names) - 1  # last: who finds the number finds the name
            return self.ids[name]

    def get(self, name: str) -> int | None:
        """Return the number of a column, None when it has none."""
        return self.ids.get(name)

    def __getitem__(self, name: str) -> int:
        return self.ids[name]

    def __contains__(self, name: object) -> bool:
        return name in self.ids

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Names({self.names!r})"


if TYPE_CHECKING:

    def encode(row: Mapping[str, Any], names: Names) -> bytes: ...
    def encode_many(rows: Iterable[Mapping[str, Any]], names: Names) -> list[bytes]: ...
    def field(data: bytes | bytearray | memoryview, id: int, default: Any = None) -> Any: ...
    def fields(data: bytes | bytearray | memoryview, ids: Sequence[int]) -> tuple[Any, ...]: ...
    def decode(data: bytes | bytearray | memoryview, names: Names) -> dict[str, Any]: ...
    def column(datas: Iterable[bytes | bytearray | memoryview], id: int) -> list[Any]: ...
    def decode_many(
        datas: Iterable[bytes | memoryview | None], names: Names, key: str | None = ..., ids: Iterable[int] | None = ..., /
    ) -> list[dict[str, Any] | None]: ...
else:
    _twins = (record_twin.encode, record_twin.encode_many, record_twin.field, record_twin.fields, record_twin.decode, record_twin.column)
    _bound = bind_records(plain, *_twins, record_twin.decode_many)
    encode, encode_many, field, fields, decode, column, decode_many = _bound
