"""Arguments that the C codecs of keys and rows do not take themselves: they answer, or raise, exactly what their twins do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from lsm import keys, native_typed
from lsm.secondary import record, record_twin

NAMES = record.Names(["a", "b", "c"])
ROW = record.encode({"a": 1, "b": "x", "c": [1, "y", None]}, NAMES)


class Odd:
    """Has what a `Names` has, of other types."""

    ids: Any = ("a",)
    names: Any = "abc"


class OddIds(Odd):
    """Attributes that raise."""

    @property
    def ids(self) -> Any:  # type: ignore[override]
        raise ValueError("no ids")

    @property
    def names(self) -> Any:  # type: ignore[override]
        raise ValueError("no names")


class Refuses:
    """No value of a row."""


class RefusesLate(float):
    """A float as which numpy's scalars come: made plain by the twin."""


ROWS = [{"a": 1}, {"a": RefusesLate(2.5)}, {"a": Refuses()}, {"z": 1}, {"a": "\ud800"}, {"a": [Refuses()]}, {1: 2}, 5, None]
DATAS = [ROW, bytearray(ROW), memoryview(ROW), b"", b"\1", ROW[:-1], ROW + b"x", 5, None, "text"]
IDS = [0, 1, 2, 3, 70_000, -1, 2**70, True, 1.0, "a", None]
GIVEN: dict[str, list[tuple[Any, ...]]] = {
    "encode": [*((row, names) for row in ROWS for names in (NAMES, Odd(), OddIds(), None)), (ROWS[0],), ()],
    "encode_many": [
        *((rows, names) for rows in (ROWS[:1], ROWS[:2], ROWS[:3], ROWS[4:6], (), None, 5) for names in (NAMES, Odd(), OddIds(), None)),
        ([],), (),
    ],
    "field": [*itertools.product(DATAS, IDS), *((ROW, i, "default") for i in IDS), (ROW,), (ROW, 1, 2, 3)],
    "fields": [*itertools.product(DATAS, ([0, 1], (2, 7), [], ["a"], [2**70], None, 5, [True])), (ROW,), (ROW, [1], 2)],
    "decode": [*itertools.product(DATAS, (NAMES, record.Names(["a"]), Odd(), OddIds(), None)), (ROW,), (ROW, NAMES, 3)],
    "decode_many": [
        *itertools.product(([ROW, None], [ROW, b""], [5], [bytearray(ROW)], [], None, 5), (NAMES, Odd(), OddIds(), None)),
        *(([ROW, ROW], NAMES, key, ids) for key in ("id", 5, [], None) for ids in ([1, 2], [1], None, (1, 2))),
        ([ROW],), ([ROW], NAMES, "id"),
    ],
    "column": [*itertools.product(([ROW, ROW], [ROW, b""], [5], [], None, 5), IDS), ([ROW],), ([ROW], 1, 2)],
}  # fmt: skip


def outcome(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    try:
        return call(*given, **named)
    except Exception as e:
        return type(e)


@pytest.mark.parametrize("name", GIVEN)
def test_rows_as_the_twin_has_them(name: str) -> None:
    fast, twin = getattr(record, name), getattr(record_twin, name)
    for given in GIVEN[name]:
        got, wanted = outcome(fast, *given), outcome(twin, *given)
        if len(given) > 1 and (given[1] is None or isinstance(given[1], Odd)):  # no Names: an error may come sooner, or another
            assert isinstance(got, type) or got == wanted, f"{name}{given!r:.300}: {got} instead of {wanted}"
        else:
            assert got == wanted, f"{name}{given!r:.300}"
    assert outcome(fast, nonsense=5) is TypeError


def test_rows_by_name() -> None:
    assert record.encode(row={"a": 1}, names=NAMES) == record.encode({"a": 1}, NAMES)
    assert record.encode_many(rows=[{"a": 1}], names=NAMES) == record.encode_many([{"a": 1}], NAMES)
    assert record.field(ROW, id=1) == record.field(ROW, 1, default=5) == "x"
    assert record.fields(ROW, ids=[1]) == ("x",)
    assert record.decode(ROW, names=NAMES) == record.decode(ROW, NAMES)
    assert record.decode_many([ROW], names=NAMES) == record.decode_many([ROW], NAMES)
    assert record.column([ROW], id=1) == ["x"]


def test_many_columns() -> None:
    wide = record.Names([f"c{i}" for i in range(65_535)])
    row = {f"c{i}": i for i in range(65_535)}
    data = record.encode(row, wide)
    assert record.decode(data, wide) == row
    assert record.field(data, 65_534) == 65_534
    with pytest.raises(record.RecordValueError):
        record.encode({**row, "c65535": 1}, wide)


def test_keys_as_the_twin_has_them() -> None:
    for given in ((), (5,), (b"\x09",), (bytearray(b"\x01"),), (b"", b""), ("text",), (b"\x02",) * 2):
        assert outcome(keys.decode, *given) == outcome(keys.python_decode, *given), given
    assert outcome(keys.encode, parts=5) is TypeError
    for given in ((), ([1],), ([1], None, 2), (5, None), (None, None)):
        assert outcome(keys.indexed, *given) is TypeError
    assert outcome(keys.indexed, [1], other=None) is TypeError
    assert outcome(keys.indexed, [Refuses()], lambda value: 1 / 0) is ZeroDivisionError


def test_binding_takes_its_own_objects() -> None:
    for objects in ((), (1,) * 3, [1] * 16, (1,) * 30, None):
        for bind in (native_typed.builtins.bind_keys, native_typed.builtins.bind_records):
            with pytest.raises(TypeError, match="bind takes a tuple of"):
                bind(objects)
    for wrong in ((), (1, 2), ("x", (print,) * 5, print, None), (1, (print,) * 4, print, None)):
        with pytest.raises(TypeError):
            native_typed.builtins.bind(*wrong)
