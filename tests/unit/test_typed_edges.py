"""Keys and rows at the edges of what C does of them: numbers beyond 64 bits, objects that lack what they should have, values that raise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

import lsm
import recovery
from lsm import _native as builtins
from lsm import keys, native_typed
from lsm.secondary import record, record_twin

NAMES = record.Names(["a", "b"])


@pytest.mark.parametrize("number", [s * (2**e + d) for s in (1, -1) for e in (0, 8, 31, 32, 62, 63, 64, 70) for d in (-1, 0, 1)])
def test_whole_numbers_of_any_size_come_back(number: int) -> None:
    for parts in ((number,), (keys.desc(number),), (number, "behind"), ((number, 1.5), b"")):
        data = keys.encode(*parts)
        assert data == keys.python_encode(*parts)
        plain = tuple(p.part if isinstance(p, keys.Desc) else p for p in parts)
        assert keys.decode(data) == keys.python_decode(data) == plain
    assert keys.indexed([number], lambda v: b"other") == [keys.encode(number) if -(2**63) <= number < 2**64 else b"other"]


def test_objects_that_lack_what_they_should_have() -> None:
    for broken in (object.__new__(UUID), object.__new__(keys.Desc)):
        for encode in (keys.encode, keys.python_encode):
            with pytest.raises(AttributeError):
                encode(broken)
        with pytest.raises(AttributeError):
            keys.encode("x" * 600, broken)
    for encode_row in (record.encode, record_twin.encode):
        with pytest.raises(AttributeError):
            encode_row({"a": object.__new__(UUID)}, NAMES)
    with pytest.raises(AttributeError):
        keys.indexed([object.__new__(UUID)], lambda v: b"")


class Raising(float):
    """Made plain by the twin, which asks it for its value."""

    def __init__(self, _value: float, what: Callable[[], Any]) -> None:
        self.what = what

    def __new__(cls, value: float, _what: Callable[[], Any]) -> Raising:
        return super().__new__(cls, value)

    def __float__(self) -> float:
        return float(self.what())


def test_values_that_raise() -> None:
    def stop() -> Any:
        raise LookupError("no value")

    for encode in (record.encode, record_twin.encode):
        with pytest.raises(LookupError):
            encode({"a": Raising(1.0, stop)}, NAMES)


def test_a_row_that_grows_while_it_is_encoded() -> None:
    """Its values are asked for by code of Python, which may change it."""
    row: dict[str, Any] = {}

    def grow() -> float:
        row["b"] = 5
        return 2.5

    row["a"] = Raising(1.0, grow)
    try:
        data = record.encode(row, NAMES)
    except RuntimeError as e:
        assert "changed size" in str(e)
    else:
        assert record.decode(data, NAMES) in ({"a": 2.5}, {"a": 2.5, "b": 5})


def test_arguments_of_binding() -> None:
    for bind in (builtins.bind_keys, builtins.bind_records):
        for wrong in ((), [1], 5, (1,) * 40):
            with pytest.raises(TypeError, match="bind takes a tuple of"):
                bind(wrong)
    for given in ((), (1,), (1, (print,) * 4, print, print), ("x", (print,) * 5, print, print)):
        with pytest.raises(TypeError):
            builtins.bind(*given)


def test_ids_that_are_no_sequence() -> None:
    data = record.encode({"a": 1}, NAMES)
    for decode in (record.decode_many, record_twin.decode_many):
        with pytest.raises(TypeError):
            decode([data], NAMES, "id", 5)
        with pytest.raises(TypeError):
            decode(5, NAMES, "id", [1])


def test_keys_that_cannot_be_hashed_together_with_a_row() -> None:
    class Strange(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return hash("a")

        def __eq__(self, other: object) -> bool:
            raise LookupError("not to be compared")

    names = record.Names()
    names.ids = {Strange("z"): 0}
    names.names = ["z"]
    with pytest.raises(LookupError):
        record.encode({"a": 1}, names)


def test_functions_are_named_and_keep_their_owner() -> None:
    bound = native_typed.bind_keys(keys.Desc, print, print)
    assert [f.__name__ for f in bound] == ["encode", "decode", "indexed"]
    with lsm.open("/d", {"threads": 0}, fs=recovery.memory()) as db:
        put, get = db.put, db.get
        put(b"a", b"1")
        assert get(b"a") == b"1" and get(bytearray(b"a")) == b"1"


def test_values_that_an_index_leaves_to_python() -> None:
    values = [(1, 2), keys.desc(1), 2.0**63, -(2.0**63), -(2.0**64), 2.0**62, "\ud800", [1], 1.0, -1.5, float("inf")]
    found = keys.indexed(values, lambda v: ("other", v))
    left = [v for v in values if v in ([1], (1, 2), keys.desc(1), "\ud800") or (isinstance(v, float) and 2.0**63 <= abs(v) < 1e300)]
    assert [v for v in found if isinstance(v, tuple)] == [("other", v) for v in left]
    assert found[5] == keys.encode(2**62) and found[8] == keys.encode(1) and found[9] == keys.encode(-1.5)


@pytest.mark.parametrize("tag", range(16))
def test_rows_with_values_of_a_few_bytes(tag: int) -> None:
    """Every short value of every tag: what C says is what the twin says, an error too."""
    for n in range(4):
        for digits in itertools.product((0, 1, 2, 3, 4, 255), repeat=n):
            row = bytes([1, 0x11, 1, 0, 0, n, tag, *digits])
            assert outcome(record.field, row) == outcome(record_twin.field, row), row


def outcome(field: Callable[..., Any], row: bytes) -> Any:
    try:
        return repr(field(row, 0))
    except record.RecordDecodeError:
        return "refused"
