"""Rows from Arrow tables and batches, and back, column by column. Needs pyarrow: install lsmlab[arrow].

| Arrow | column |
|---|---|
| bool, ints, floats | bool, int, float |
| string, binary and their large, view and fixed-size forms | str, bytes |
| timestamp of any unit and zone (none: UTC), cut to microseconds | datetime in UTC |
| date32, date64 | date |
| uuid | UUID |
| list, large list, fixed-size list of these | list |
| dictionary, run-end encoded | what it encodes |
| null | None |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from . import record
from .record import Names
from .values import kind_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as problem:
        raise ImportError("rows in and out of Arrow need pyarrow: install lsmlab[arrow]") from problem
    return pyarrow


def rows_of(data: Any) -> list[dict[str, Any]]:
    """Return the rows of a pyarrow Table or RecordBatch; NULLs become None. TypeError names a column of another type. O(values)."""
    columns = _columns_of(data)
    if not columns:
        return [{} for _ in range(data.num_rows)]
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def encode_table(data: Any, names: Names) -> list[bytes]:
    """Return the rows of a Table or RecordBatch in bytes, as record.encode makes them. TypeError as rows_of."""
    return record.encode_many(rows_of(data), names)


def _columns_of(data: Any) -> dict[str, list[Any]]:
    pa = _pyarrow()
    if not isinstance(data, pa.Table | pa.RecordBatch):
        raise TypeError(f"rows come from a pyarrow Table or RecordBatch, not {type(data).__name__}: {data!r:.60}")
    names = data.schema.names
    if len(set(names)) < len(names):
        raise ValueError(f"columns of one name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    columns: dict[str, list[Any]] = {}
    for name, column in zip(names, data.columns, strict=True):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        try:
            columns[name] = [value for chunk in chunks for value in _values(pa, chunk)]
        except TypeError as e:
            raise TypeError(f"column {name!r}: {e}") from None
    return columns


def _values(pa: Any, array: Any) -> list[Any]:
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return _values(pa, array.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return _values(pa, pa.compute.run_end_decode(array))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _lists(pa, array)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return _filled(array, lambda a: a.to_numpy(zero_copy_only=False).tolist(), False if types.is_boolean(kind) else 0)
    if types.is_timestamp(kind):
        numbers = array.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        return [None if n is None else _EPOCH + timedelta(microseconds=n) for n in _values(pa, numbers)]
    if isinstance(kind, pa.ExtensionType | pa.BaseExtensionType) and kind.extension_name == "arrow.uuid":
        return [None if b is None else UUID(bytes=b) for b in array.storage.to_pylist()]
    plain = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary, types.is_binary_view)
    if any(test(kind) for test in (*plain, types.is_fixed_size_binary, types.is_date, types.is_null)) and not types.is_decimal(kind):
        found: list[Any] = array.to_pylist()
        return found
    raise TypeError(f"it is of type {kind}; allowed: bool, ints, floats, string, binary, timestamp, date, uuid, null, flat lists of these")


def _filled(array: Any, convert: Callable[[Any], list[Any]], zero: Any) -> list[Any]:
    """Convert at once what would not be so with NULLs in it; put these back after."""
    if not array.null_count:
        return convert(array)
    values = convert(array.fill_null(zero))
    for i in array.is_null().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
        values[i] = None
    return values


def _lists(pa: Any, array: Any) -> list[Any]:
    inner = array.type.value_type
    if pa.types.is_nested(inner):
        raise TypeError(f"it is of type {array.type}; allowed: lists that are flat")
    items = _values(pa, array.flatten())
    result: list[Any] = []
    at = 0
    for length in pa.compute.list_value_length(array).to_pylist():
        result.append(None if length is None else items[at : at + length])
        at += length or 0
    return result


def to_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> Any:
    """Return a pyarrow Table of rows; columns: which, in which order (all, as they are first seen). What a row lacks is NULL.

    TypeError names a column that holds values of several kinds, or ints that no Arrow type holds.
    """
    rows = list(rows)
    wanted = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else list(columns)
    return _table({name: [row.get(name) for row in rows] for name in wanted}, len(rows))


def decode_table(datas: Iterable[bytes | memoryview], names: Names, columns: Sequence[str] | None = None) -> Any:
    """Return the same of rows in bytes, without making dicts. columns: all of names by default. RecordDecodeError, TypeError."""
    datas = list(datas)
    wanted = list(names) if columns is None else list(columns)
    return _table({name: record.column(datas, names.ids.get(name, -1)) for name in wanted}, len(datas))


def _table(columns: Mapping[str, list[Any]], rows: int) -> Any:
    pa = _pyarrow()
    if not columns:
        return pa.table({"": pa.nulls(rows)}).select([])
    return pa.table({name: _array(pa, name, values) for name, values in columns.items()})


def _array(pa: Any, name: str, values: list[Any]) -> Any:
    kinds = {kind_of(v) for v in values} - {"null"}
    if len(kinds) > 1:
        raise TypeError(f"column {name!r} has values of several kinds, {', '.join(sorted(kinds))}; allowed: one, and NULL")
    try:
        if kinds == {"uuid"}:
            raw = pa.array([None if v is None else v.bytes for v in values], pa.binary(16))
            return pa.ExtensionArray.from_storage(pa.uuid(), raw) if hasattr(pa, "uuid") else raw
        if kinds == {"datetime"}:
            return pa.array(values, pa.timestamp("us", "UTC"))
        if kinds == {"number"} and any(isinstance(v, float) for v in values):
            return pa.array(values, pa.float64())
        if kinds == {"number"} and max(v for v in values if v is not None) >= 1 << 63:
            return pa.array(values, pa.uint64())
        return pa.array([list(v) if isinstance(v, tuple) else v for v in values] if kinds == {"list"} else values)
    except (pa.ArrowException, OverflowError, TypeError) as e:
        raise TypeError(f"column {name!r} does not fit an Arrow type: {str(e)[:200]}") from None
