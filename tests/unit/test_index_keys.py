"""Keys in C against their plain-Python twin, in lock step: same bytes, same values, same refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsm import keys
from lsm.keys import KeyDecodeError, decode, desc, encode, python_decode, python_encode

PARIS = timezone(timedelta(hours=2))
ints = st.integers() | st.sampled_from([s * (2**n + d) for n in (7, 8, 32, 53, 63, 64, 65) for d in (-1, 0, 1) for s in (1, -1)])
floats = st.floats() | ints.map(float) | st.floats(0.5, 1e19)
strings = st.text(max_size=6) | st.binary(max_size=6) | st.sampled_from(["\0", b"\0\xff\0", "a\0b", "é\0", b"x" * 2000, "\0" * 700])
moments = st.datetimes(timezones=st.sampled_from([UTC, PARIS]))
scalars = st.none() | st.booleans() | ints | floats | strings | st.uuids() | moments
nested = st.recursive(scalars, lambda inner: st.lists(inner | inner.map(desc), max_size=3).map(tuple), max_leaves=6)
parts = nested | nested.map(desc)
tuples = st.lists(parts, max_size=5).map(tuple)


def outcome(call: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """What a call gives, NaN and signs of zero told apart, or how it refuses."""
    try:
        value = call(*args)
    except Exception as e:
        return type(e), str(e)
    return type(value), repr(value)


@given(tuples)
@example((2**64 - 1, -(2**63), -(2**63) - 1, -(2**64) + 1, 2**64))
@example((datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)))
def test_keys_are_the_same_both_ways(a: tuple[Any, ...]) -> None:
    assert outcome(encode, *a) == outcome(python_encode, *a)
    try:
        key = python_encode(*a)
    except keys.KeyValueError:  # a moment that has no place in UTC's years
        return
    assert outcome(decode, key) == outcome(python_decode, key)


class Colour(IntEnum):
    RED = 7


DEEP: Any = ()
for _ in range(40):
    DEEP = (DEEP,)


@pytest.mark.parametrize(
    "part",
    [Colour.RED, "a\ud800", datetime(2020, 1, 1), [1], DEEP, 1 << 600_000, object, bytearray(b"a"), keys.Desc(keys.Desc(1)), keys.Desc([])],
    ids=lambda p: type(p).__name__,
)
def test_what_is_rare_or_wrong_goes_the_same_way(part: Any) -> None:
    for given_part in (part, (1, part), desc(part) if not isinstance(part, keys.Desc) else part):
        assert outcome(encode, "x", given_part)[0] == outcome(python_encode, "x", given_part)[0]
        assert outcome(encode, "x", given_part) == outcome(python_encode, "x", given_part) or part is object


def test_arguments_are_those_of_the_twin() -> None:
    assert encode() == b""
    assert decode(data=encode(1)) == (1,)
    with pytest.raises(TypeError):
        encode(part=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        decode()  # type: ignore[call-arg]
    assert decode(bytearray(encode("a", UUID(int=3)))) == ("a", UUID(int=3))  # type: ignore[arg-type]


@given(st.binary(max_size=24) | tuples.map(lambda a: b"" if outcome(python_encode, *a)[0] is not bytes else python_encode(*a)), st.data())
def test_damaged_keys_are_refused_the_same_way(key: bytes, data: st.DataObject) -> None:
    damaged = bytearray(key)
    for _ in range(data.draw(st.integers(0, 2))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for given_bytes in (bytes(damaged), cut):
        assert outcome(decode, given_bytes) == outcome(python_decode, given_bytes), given_bytes.hex()


def test_every_short_key_is_read_the_same_way() -> None:
    """Every string of two bytes, and numbers around every length, are decoded or refused alike."""
    heads = [bytes([t, x]) for t in range(256) for x in range(256)]
    numbers = [bytes([t]) + bytes(range(1, n)) + bytes([k]) for t in range(0x10, 0x2A) for n in range(1, 18) for k in range(4)]
    flipped = [bytes(255 - b for b in number) for number in numbers]
    for data in [*heads, *numbers, *flipped]:
        assert outcome(decode, data) == outcome(python_decode, data), data.hex()


def test_refusals_name_the_offset() -> None:
    with pytest.raises(KeyDecodeError, match="at byte 1"):
        decode(b"\x02\x03")
