"""Rows in and out of Arrow: pyarrow's own conversion is the oracle."""

from __future__ import annotations

import builtins
import datetime
import decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.secondary.arrow import decode_table, encode_table, rows_of, to_table
from lsm.secondary.record import Names, decode, encode_many

pa = pytest.importorskip("pyarrow")
UTC = datetime.UTC
NOON = datetime.datetime(2020, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
moments = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(UTC))

TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.string(), st.text(max_size=5)),
    (pa.large_string(), st.text(max_size=5)),
    (pa.binary(), st.binary(max_size=5)),
    (pa.binary(2), st.binary(min_size=2, max_size=2)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us", "UTC"), moments),
    (pa.list_(pa.int16()), st.lists(st.integers(-5, 5) | st.none(), max_size=3)),
    (pa.list_(pa.string()), st.lists(st.text(max_size=3), max_size=3)),
    (pa.list_(pa.float64(), 2), st.lists(st.floats(allow_nan=False), min_size=2, max_size=2)),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b"])),
    (pa.null(), st.none()),
]


@given(st.data(), st.integers(0, 6))
def test_rows_are_what_pyarrow_says(data: st.DataObject, n: int) -> None:
    chosen = data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))
    columns = {
        f"c{i}": pa.array(data.draw(st.lists(values | st.none(), min_size=n, max_size=n)), kind) for i, (kind, values) in enumerate(chosen)
    }
    table = pa.table(columns)
    start = data.draw(st.integers(0, n))
    for part in (table, table.slice(start), pa.concat_tables([table, table.slice(start)]), *table.to_batches()):
        assert rows_of(part) == part.to_pylist()
    names = Names()
    assert [decode(d, names) for d in encode_table(table, names)] == table.to_pylist()


plain_columns: list[st.SearchStrategy[Any]] = [values for kind, values in TYPES if kind not in (pa.uint64(), pa.null())]


@given(st.data(), st.integers(0, 5))
def test_rows_go_there_and_back(data: st.DataObject, n: int) -> None:
    chosen = data.draw(st.lists(st.sampled_from(plain_columns), max_size=4))
    rows = [{f"c{i}": data.draw(values | st.none()) for i, values in enumerate(chosen)} for _ in range(n)]
    assert rows_of(to_table(rows)) == rows
    names = Names()
    datas = encode_many(rows, names)
    assert rows_of(decode_table(datas, names)) == rows
    some = list(names)[::-2]
    assert rows_of(decode_table(datas, names, some)) == [{name: row[name] for name in some} for row in rows]


def test_moments_of_all_units_and_zones_come_in_utc() -> None:
    for unit, zone in (("s", None), ("ms", "Europe/Paris"), ("us", None), ("ns", "UTC")):
        noon = pa.array([int(NOON.timestamp()) * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit], None], pa.timestamp(unit, zone))
        (first, second) = rows_of(pa.table({"t": noon}))
        assert first == {"t": NOON.replace(microsecond=0)}
        assert first["t"].tzinfo is UTC
        assert second == {"t": None}
    nanos = pa.array([1_500], pa.timestamp("ns"))
    assert rows_of(pa.table({"t": nanos})) == [{"t": datetime.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)}]


def test_uuids_lists_of_moments_and_missing_columns() -> None:
    rows = [{"u": UUID(int=7), "m": [NOON], "k": ("a", "b")}, {"u": None}, {"n": 2**63, "m": [], "f": 1}, {"f": 0.5}]
    table = to_table(rows, ["u", "m", "k", "n", "f", "none"])
    assert rows_of(table) == [
        {"u": UUID(int=7), "m": [NOON], "k": ["a", "b"], "n": None, "f": None, "none": None},
        {"u": None, "m": None, "k": None, "n": None, "f": None, "none": None},
        {"u": None, "m": [], "k": None, "n": 2**63, "f": 1.0, "none": None},
        {"u": None, "m": None, "k": None, "n": None, "f": 0.5, "none": None},
    ]
    assert to_table([{}, {}]).num_columns == 0
    assert rows_of(to_table([])) == []


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (pa.array([decimal.Decimal(1)]), "decimal"),
        (pa.array([{"a": 1}]), "struct"),
        (pa.array([[[1]]]), "list"),
        (pa.array([datetime.timedelta(1)]), "duration"),
        (pa.array([datetime.time(1)]), "time"),
    ],
    ids=lambda x: str(getattr(x, "type", "")),
)
def test_types_that_no_column_holds_are_named(array: Any, what: str) -> None:
    with pytest.raises(TypeError, match=f"column 'bad': it is of type .*{what}.*allowed"):
        rows_of(pa.table({"ok": [1], "bad": array}))


def test_columns_that_arrow_does_not_hold_are_named() -> None:
    for values, what in (
        ([1, "a"], "several kinds, number, str"),
        ([2**70], "does not fit"),
        ([2**60 + 1, 0.5], "does not fit"),
        ([[1, "a"]], "does not fit"),
    ):
        with pytest.raises(TypeError, match=f"column 'bad' .*{what}"):
            to_table([{"bad": v} for v in values])
    with pytest.raises(TypeError, match="Table or RecordBatch, not list"):
        rows_of([1])
    with pytest.raises(ValueError, match="of one name: a"):
        rows_of(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]))


def test_without_pyarrow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"install lsmlab\[arrow\]"):
        to_table([{"a": 1}])
