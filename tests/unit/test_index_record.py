"""Rows in bytes: the C codec against its twin in lock step, what comes back, refusals that name the column, and bytes from anywhere."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsm.secondary import record, record_twin
from lsm.secondary.record import (
    Names,
    RecordDecodeError,
    RecordTypeError,
    RecordValueError,
    column,
    decode,
    decode_many,
    encode,
    encode_many,
    field,
    fields,
)

TOKYO = timezone(timedelta(hours=9))
ints = st.integers() | st.sampled_from(
    [s * (2**n + d) for n in (0, 7, 8, 15, 16, 31, 55, 56, 63, 64, 200) for d in (-1, 0, 1) for s in (1, -1)]
)
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.sampled_from([UTC, TOKYO]))
scalars = st.none() | st.booleans() | ints | st.floats() | st.text(max_size=8) | st.binary(max_size=8) | moments | st.dates() | st.uuids()
lists = st.lists(scalars, max_size=5) | st.lists(st.floats(), max_size=5)
values = scalars | lists | lists.map(tuple)
columns = st.sampled_from([f"c{i}" for i in range(8)]) | st.text(max_size=3)
rows = st.dictionaries(columns, values, max_size=8)
FEW = Names(["id", "name"])


def exact(value: Any) -> Any:
    """Values told apart by type; NaN equal to itself, zeros by sign; moments by instant."""
    if isinstance(value, list | tuple):
        return type(value), [exact(v) for v in value]
    if isinstance(value, float):
        return float, "nan" if math.isnan(value) else value.hex()
    return type(value), value


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return repr(call(*args))
    except Exception as e:
        return type(e), str(e)


@given(st.lists(rows, max_size=3))
@example([{f"c{i}": i for i in range(300)}, {"c299": "x" * 70_000, "c0": None}])
@example([{"long": list(range(300))}, {"longer": ["x" * 300, b"y" * 70_000, None]}, {}])
def test_rows_come_back_and_both_codecs_agree(made: list[dict[str, Any]]) -> None:
    names, twins = Names(), Names()
    for row in made:
        data = encode(row, names)
        assert data == record_twin.encode(row, twins)
        assert list(names) == list(twins)
        for back in (decode(data, names), record_twin.decode(data, names), decode(memoryview(data), names)):
            assert {k: exact(v) for k, v in back.items()} == {k: exact(v) for k, v in row.items()}
        for name, value in row.items():
            assert exact(field(data, names[name])) == exact(value) == exact(record_twin.field(data, names[name]))
        ids = (*range(len(names)), 70_000)
        assert repr(fields(data, ids)) == repr(record_twin.fields(data, ids))
    datas = encode_many(made, names)
    assert datas == [encode(row, names) for row in made]
    for id in range(min(len(names), 10)):
        assert repr(column(datas, id)) == repr([record_twin.field(d, id) for d in datas])
    gaps = [None, *datas]
    assert (
        repr(decode_many(iter(gaps), names))
        == repr(record_twin.decode_many(gaps, names))
        == repr([None, *(decode(d, names) for d in datas)])
    )
    keyed = [None, *({"key": i, **decode(d, names)} for i, d in enumerate(datas, 1))]
    for many in (decode_many, record_twin.decode_many):
        assert repr(many(gaps, names, "key", iter(range(len(gaps))))) == repr(keyed)


def test_columns_are_read_without_python_whether_listed_or_in_a_tuple() -> None:
    names = Names("ab")
    data = encode({"a": 1, "b": "two"}, names)
    called: list[str] = []
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    try:
        got = fields(data, [0, 1]), fields(data, (0, 1)), field(data, 0), decode(data, names)
    finally:
        sys.setprofile(None)
    assert not called
    assert got == ((1, "two"), (1, "two"), 1, {"a": 1, "b": "two"})


@given(st.permutations([f"c{i}" for i in range(7)]))
def test_the_order_of_a_dict_does_not_matter(order: list[str]) -> None:
    names = Names(f"c{i}" for i in range(7))
    assert encode({name: name for name in order}, names) == encode({name: name for name in names}, names)


def test_none_is_a_value_and_missing_is_not() -> None:
    names = Names(["a", "b"])
    data = encode({"a": None}, names)
    assert decode(data, names) == {"a": None}
    assert field(data, 0, "default") is None
    assert field(data, 1, "default") == "default"
    assert field(data, 1) is None
    assert decode(encode({}, names), names) == {}


def test_the_bytes_never_change() -> None:
    row = {"i": -2, "f": 1.5, "s": "é", "t": (True, None, 300), "p": [0.5], "d": date(1970, 1, 2), "z": 0}
    data = "01 11 07 00 | 00 01 02 03 04 05 06 | 01 09 0b 15 1d 21 21 | 03 04 05 0b 0c 08 03"
    parts = "fe | 000000000000f83f | c3a9 | 01 03 00 00 02 02 00 03 2c01 | 000000000000e03f | 01000000 |"
    assert encode(row, Names()).hex() == (data + parts).replace(" ", "").replace("|", "")


class Colour(IntEnum):
    RED = 7


class Text(str):
    pass


def test_stand_ins_become_what_they_stand_for() -> None:
    noon = datetime(2020, 1, 1, 12, tzinfo=UTC)
    given_row = {
        "i": np.int32(-5), "u": np.uint64(2**64 - 1), "f": np.float32(0.5), "b": np.bool_(True), "s": np.str_("x"), "y": np.bytes_(b"z"),
        "m": np.datetime64("2020-01-01T12:00:00"), "n": np.datetime64("NaT"), "d": np.datetime64("2020-01-01"),
        "ns": np.datetime64("2020-01-01T12:00:00", "ns"),
        "v": np.array([1.0, 2.0]), "w": np.array([1, 2]), "e": Colour.RED, "t": Text("t"), "l": [np.int8(1), Colour.RED],
        "a": bytearray(b"q"),
        "o": datetime(2020, 1, 1, 21, tzinfo=TOKYO),
    }  # fmt: skip
    expected = {
        "i": -5, "u": 2**64 - 1, "f": 0.5, "b": True, "s": "x", "y": b"z", "m": noon, "n": None, "d": date(2020, 1, 1), "ns": noon,
        "v": [1.0, 2.0], "w": [1, 2], "e": 7, "t": "t", "l": [1, 7], "a": b"q", "o": noon,
    }  # fmt: skip
    names = Names()
    data = encode(MappingProxyType(given_row), names)
    assert data == encode(given_row, names)
    back = decode(data, names)
    assert {k: exact(v) for k, v in back.items()} == {k: exact(v) for k, v in expected.items()}


@pytest.mark.parametrize(
    ("value", "kind", "what"),
    [
        (Decimal("1.5"), RecordTypeError, "type Decimal; allowed: None, bool"),
        ([[1]], RecordTypeError, "type list; allowed: .*flat list"),
        ({"a": 1}, RecordTypeError, "type dict"),
        (np.complex64(1), RecordTypeError, "complex64"),
        (np.zeros((2, 2)), RecordTypeError, "type numpy.ndarray"),
        (datetime(2020, 1, 1), RecordValueError, "without a zone"),
        (np.timedelta64(1, "s"), RecordTypeError, "timedelta64"),
        (datetime(1, 1, 1, tzinfo=TOKYO), RecordValueError, "years 1 to 9999"),
        ("a\ud800", RecordValueError, "surrogate at 1"),
        (["ok", "a\ud800"], RecordValueError, "surrogate at 1"),
        (1 << 600_000, RecordValueError, "int of 75001 bytes; allowed: 65535"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_refusals_name_the_column_and_leave_the_names_alone(value: Any, kind: type[Exception], what: str) -> None:
    names = Names(["ok"])
    for call in (encode, record_twin.encode, lambda row, names: encode_many([{"ok": 1}, row], names)):
        with pytest.raises(kind, match=f"(?s)column 'bad'.*{what}") as e:
            call({"ok": 1, "new": 2, "bad": value}, names)
        assert len(str(e.value)) < 400
        assert list(names) == ["ok"]


@pytest.mark.parametrize("row", [None, 5, "text", [("a", 1)], {1: 2}, {None: 1}, {b"a": 1}], ids=repr)
def test_what_is_no_row_is_refused(row: Any) -> None:
    with pytest.raises(RecordTypeError):
        encode(row, Names())
    with pytest.raises(RecordTypeError):
        encode_many([row], Names())


def test_what_is_no_row_in_bytes_is_refused() -> None:
    for call in (
        lambda d: field(d, 0),
        lambda d: fields(d, (0,)),
        lambda d: decode(d, FEW),
        lambda d: column([d], 0),
        lambda d: decode_many([d], FEW),
    ):
        with pytest.raises(RecordTypeError, match="bytes-like, not str"):
            call("text")
        with pytest.raises(RecordDecodeError, match="begins with nothing"):
            call(b"")
        with pytest.raises(RecordDecodeError, match="allowed: version 1"):
            call(b"\2\x11\0\0")
    with pytest.raises(RecordDecodeError, match="column 2; known: 2"):
        decode(encode({"other": 1}, Names(["id", "name", "other"])), FEW)
    with pytest.raises(TypeError):
        encode({})  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="not iterable"):
        column(5, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not iterable"):
        decode_many(5, FEW)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="longer"):
        decode_many([None, None], FEW, "id", [1])


SAMPLE_NAMES = Names()
SAMPLE = encode(
    {
        "i": 2**70,
        "n": None,
        "t": True,
        "f": 2.5,
        "s": "né",
        "m": datetime(2020, 1, 1, tzinfo=UTC),
        "u": UUID(int=9),
        "l": ["a", 1, None],
        "p": (1.0,),
    }
    | {"d": date(2000, 2, 29), "y": b"\0\xff"},
    SAMPLE_NAMES,
)


def check_alike(data: bytes) -> None:
    assert outcome(decode, data, SAMPLE_NAMES) == outcome(record_twin.decode, data, SAMPLE_NAMES), data.hex()
    assert outcome(decode, data, SAMPLE_NAMES) == outcome(lambda d: decode_many(iter([d]), SAMPLE_NAMES)[0], data), data.hex()
    for id in range(len(SAMPLE_NAMES)):
        mine = outcome(field, data, id)
        assert mine == outcome(lambda *a: column([a[0]], a[1])[0], data, id), data.hex()
        if not isinstance(outcome(decode, data, SAMPLE_NAMES), tuple):  # a row that is sound
            assert mine == outcome(record_twin.field, data, id), data.hex()


def test_every_cut_and_every_flipped_bit_is_read_or_refused_alike() -> None:
    for n in range(len(SAMPLE)):
        check_alike(SAMPLE[:n])
        for bit in range(8):
            check_alike(SAMPLE[:n] + bytes([SAMPLE[n] ^ 1 << bit]) + SAMPLE[n + 1 :])
    check_alike(SAMPLE + b"\0")


@given(st.binary(max_size=40), st.sampled_from([0x11, 0x12, 0x21, 0x22, 0x41, 0x42]), st.integers(0, 4))
def test_any_bytes_are_read_or_refused_alike(tail: bytes, widths: int, count: int) -> None:
    check_alike(bytes([1, widths, count, 0]) + tail)
    check_alike(tail)


@given(st.binary(max_size=16), st.integers(0, 16))
def test_any_bytes_of_a_value_are_read_or_refused_alike(value: bytes, tag: int) -> None:
    check_alike(bytes([1, 0x11, 1, 0, 3, len(value), tag]) + value)


def test_absurd_sizes_are_refused() -> None:
    for data in (
        b"\1\x41\xff\xff" + b"\0" * 50,
        b"\1\x11\1\0\0\x09\x0a" + b"\4\xff\xff\xff\xff" + b"\0" * 4,
        b"\1\x41\1\0\0\xff\xff\xff\xff\5abc",
    ):
        with pytest.raises(RecordDecodeError):
            decode(data, FEW)


def test_a_row_that_changes_under_the_codec_is_harmless() -> None:
    row: dict[str, Any] = {}

    class Odd(int):
        def __new__(cls) -> Odd:
            return super().__new__(cls, 5)

        def __int__(self) -> int:
            row.clear()
            row.update({f"x{i}": "text" * 50 for i in range(200)})
            return 5

    row.update({"a": Odd(), "b": ["text" * 20] * 9, "c": 3})
    names = Names()
    try:
        decode(encode(row, names), names)
    except RuntimeError as e:
        assert "changed" in str(e)  # what dicts say


def test_names_grow_once_for_all_threads() -> None:
    names = Names()

    def work() -> None:
        for i in range(300):
            assert decode(encode({f"c{i}": i}, names), names) == {f"c{i}": i}

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(names) == sorted(f"c{i}" for i in range(300))
    assert [names[name] for name in names] == list(range(300))


def test_names_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(RecordValueError, match="'a' comes twice"):
        Names(["a", "a"])
    with pytest.raises(RecordTypeError, match="not int: 5"):
        Names([5])  # type: ignore[list-item]
    with pytest.raises(RecordValueError, match="surrogate"):
        Names(["\udc00"])
    full = Names(str(i) for i in range(65535))
    with pytest.raises(RecordValueError, match="one too many; allowed: 65535"):
        encode({"new": 1}, full)
    assert decode(encode({"65534": 1, "0": 2}, full), full) == {"0": 2, "65534": 1}


def test_plain_is_what_comes_back() -> None:
    assert record.plain(np.int64(3)) == 3
    assert type(record.plain(Colour.RED)) is int
    with pytest.raises(TypeError, match="object"):
        record.plain(object())
