"""Order-preserving keys: the order of the bytes is the documented order of the values, exactly; bytes are fixed; damage is named."""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from functools import cmp_to_key
from itertools import pairwise, product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lsm
import recovery
from lsm import keys
from lsm.keys import Desc, KeyDecodeError, KeyTypeError, KeyValueError, decode, desc, encode, prefix_range

PARIS = timezone(timedelta(hours=2))

# The model: what the documentation says about the order, without looking at bytes.


def rank(part: Any) -> int:
    for i, kind in enumerate((type(None), bool, int | float, bytes, str, UUID, datetime, tuple)):
        if isinstance(part, kind):
            return i
    raise AssertionError(part)


def number(x: float) -> tuple[Any, ...]:
    if isinstance(x, float) and math.isnan(x):
        return (2,)
    if x in (math.inf, -math.inf):
        return (1 if x > 0 else -1, 0, 0)
    return (0, Fraction(x), math.copysign(1, x) if isinstance(x, float) else 0)


def compare(a: Any, b: Any) -> int:
    if isinstance(a, Desc) or isinstance(b, Desc):
        if isinstance(a, Desc) and isinstance(b, Desc):
            return compare(b.part, a.part)
        return 1 if isinstance(a, Desc) else -1
    if rank(a) != rank(b):
        return rank(a) - rank(b)
    if isinstance(a, tuple):
        return compare_tuples(a, b)
    if a is None:
        return 0
    x, y = (number(a), number(b)) if rank(a) == 2 else (a, b)
    return (x > y) - (x < y)


def compare_tuples(a: tuple[Any, ...], b: tuple[Any, ...]) -> int:
    for x, y in zip(a, b, strict=False):
        if c := compare(x, y):
            return c
    return len(a) - len(b)


def plain(part: Any) -> Any:
    """What decode gives back."""
    if isinstance(part, Desc):
        return plain(part.part)
    if isinstance(part, tuple):
        return tuple(map(plain, part))
    return part


def same(a: Any, b: Any) -> bool:
    """Equal in type, sign and value."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or struct.pack(">d", a) == struct.pack(">d", b)
    return type(a) is type(b) and bool(a == b)


edges = st.sampled_from(
    [s * (2**n + d) for n in (0, 1, 7, 8, 16, 31, 32, 52, 53, 54, 63, 64, 65, 520) for d in (-1, 0, 1) for s in (1, -1)]
)
small = st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 0.5, 1 - 2**-53, 1.0, 1 + 2**-52, 1.5, -1.5, 2.0**53, 2.0**64, 1e300, -1e300])
numbers = st.one_of(st.integers(), edges, st.floats(), small, st.integers(-3, 3), edges.filter(lambda i: abs(i) < 2**1000).map(float))
zeros = st.binary(max_size=4).map(lambda b: b"".join(bytes([x & 1 and x]) for x in b))
times = st.datetimes(datetime(2, 1, 1), timezones=st.sampled_from([UTC, PARIS]))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.binary(max_size=9),
    zeros,
    st.text(max_size=6),
    st.sampled_from(["", "\0", "a\0", "a"]),
    st.uuids(),
    times,
)


def ordered(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner | inner.filter(lambda p: not isinstance(p, Desc)).map(desc), max_size=3).map(tuple)


parts = st.recursive(scalars, ordered, max_leaves=5)
any_parts = parts | parts.map(desc)
tuples = st.lists(any_parts, max_size=4).map(tuple)


@given(tuples, tuples)
@example((1,), (1.0,))
@example((-1,), (-1.0,))
@example((2**53 + 1,), (2.0**53,))
@example((b"a", 1), (b"a\0", 1))
@example((desc(b"a"),), (desc(b"a\0"),))
@example(((1,), 2), ((1, None), 1))
@example((desc(()),), (desc((None,)),))
def test_the_order_of_bytes_is_the_order_of_values(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    x, y = encode(*a), encode(*b)
    assert (x > y) - (x < y) == (compare_tuples(a, b) > 0) - (compare_tuples(a, b) < 0), (a, b, x.hex(), y.hex())


@given(numbers, numbers)
def test_numbers_are_in_exact_order(a: float, b: float) -> None:
    assert (encode(a) < encode(b)) == (number(a) < number(b))
    assert (encode(desc(a)) < encode(desc(b))) == (number(b) < number(a))


@given(tuples)
def test_round_trip(a: tuple[Any, ...]) -> None:
    back = decode(encode(*a))
    assert same(back, plain(a)), (a, back)


@given(st.data(), st.integers(1, 3))
def test_no_key_of_an_arity_is_a_prefix_of_another(data: st.DataObject, arity: int) -> None:
    a, b = (encode(*data.draw(st.tuples(*[any_parts] * arity))) for _ in range(2))
    assert a == b or not (a.startswith(b) or b.startswith(a))


@given(tuples, tuples)
def test_a_prefix_range_holds_just_what_begins_so(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    start, stop = prefix_range(*a)
    assert start <= encode(*a, *b) < stop
    begins = len(b) >= len(a) and compare_tuples(a, b[: len(a)]) == 0
    assert (start <= encode(*b) < stop) == begins


@settings(max_examples=10)
@given(st.lists(tuples, max_size=20))
def test_a_database_keeps_the_order(items: list[tuple[Any, ...]]) -> None:
    with lsm.open("/k", fs=recovery.memory(), threads=0) as db:
        for item in items:
            db[encode(*item)] = b""
        found = list(db.keys())
    assert found == list(OrderedDict.fromkeys(encode(*i) for i in sorted(items, key=cmp_to_key(compare_tuples))))


# Damage


@given(st.binary(max_size=24))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    _decodes_to_itself_or_names_an_offset(data)


@given(tuples, st.data())
def test_damaged_keys_decode_to_something_else_or_are_refused(a: tuple[Any, ...], data: st.DataObject) -> None:
    key = bytearray(encode(*a) or b"\2")
    at = data.draw(st.integers(0, len(key) - 1))
    how = data.draw(st.sampled_from(["cut", "flip", "drop", "double"]))
    if how == "cut":
        del key[at:]
    elif how == "flip":
        key[at] ^= data.draw(st.integers(1, 255))
    elif how == "drop":
        del key[at]
    else:
        key.insert(at, key[at])
    _decodes_to_itself_or_names_an_offset(bytes(key))


def _decodes_to_itself_or_names_an_offset(data: bytes) -> None:
    try:
        back = decode(data)
    except KeyDecodeError as e:
        assert 0 <= e.offset <= len(data)
        assert f"at byte {e.offset}" in str(e)
        return
    assert len(encode(*back)) == len(data)  # one form each: only the direction of parts is not told


def test_a_key_has_one_form() -> None:
    """Every string of up to 2 bytes, and every one of 3 after a tag of a number, decodes to what encodes to it, or not at all."""
    heads = [b"", *(bytes([t]) for t in range(256)), *(bytes([t, x]) for t in range(256) for x in range(256))]
    for data in [*heads, *(bytes([t, x, y]) for t in range(0x10, 0x2A) for x in range(256) for y in range(4))]:
        try:
            back = decode(data)
        except KeyDecodeError:
            continue
        assert data in {encode(*shape) for shape in product(*((part, desc(part)) for part in back))}


@pytest.mark.parametrize(
    ("data", "offset", "what"),
    [
        ("00", 0, "no type has the tag 0x00"),
        ("ff", 0, "no type has the tag 0x00"),
        ("0203", 1, "no type has the tag 0x03"),
        ("1f", 1, "1 more bytes are due"),
        ("1f05", 2, "1 more bytes are due"),
        ("1f0503", 2, "0x03 after the whole part"),
        ("1f0000", 0, "shortest"),
        ("02200005" + "00", 1, "shortest"),
        ("1f010200000000000000", 0, "shortest"),
        ("1e3ff0000000000000", 0, "shortest"),
        ("1e7ff0000000000000", 0, "shortest"),
        ("1e7ff8000000000001", 0, "shortest"),
        ("1e8000000000000000", 0, "shortest"),
        ("27ffff" + "ff" * 65535 + "01", 65538, "0x01 after the whole part"),
        ("270008010000000000000000", 0, "shortest"),
        ("260020000000000001" + "01", 0, "shortest"),
        ("3061", 2, "within a string"),
        ("306100", 3, "1 more bytes are due"),
        ("30610002", 3, "0x02 after a zero"),
        ("31ff0001", 0, "not UTF-8"),
        ("02" + "31eda0800001", 1, "not UTF-8"),
        ("32" + "00" * 15, 16, "1 more bytes are due"),
        ("33" + "00" * 8, 0, "years 1 to 9999"),
        ("34", 1, "1 more bytes are due"),
        ("3402", 2, "1 more bytes are due"),
        ("34" * 33, 32, "depth 33"),
        ("cb" * 100_000, 32, "depth 33"),
    ],
)
def test_damage_names_its_offset(data: str, offset: int, what: str) -> None:
    with pytest.raises(KeyDecodeError, match=what) as e:
        decode(bytes.fromhex(data))
    assert e.value.offset == offset
    assert isinstance(e.value, lsm.Error)


# What cannot be encoded


class Colour(IntEnum):
    RED = 7


@pytest.mark.parametrize(
    "part",
    [[1], [1 << 99999], {}, Decimal(1), 1j, object(), timedelta(1), datetime(2020, 1, 1).date(), range(3)],
    ids=lambda p: type(p).__name__,
)
def test_other_types_are_refused(part: Any) -> None:
    with pytest.raises(KeyTypeError, match=r"part 1\.1 is of type .*allowed: None, bool, int") as e:
        encode("a", (2, part))
    assert isinstance(e.value, TypeError)
    assert isinstance(e.value, lsm.Error)
    assert type(part).__name__ in str(e.value)


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (datetime(2020, 1, 1), "naive datetime"),
        (datetime(1, 1, 1, tzinfo=PARIS), "years 1 to 9999"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))), "years 1 to 9999"),
        ("a\ud800", "lone surrogate at 1"),
        (1 << 65535 * 8, "int of 65536 bytes"),
        (-(1 << 65535 * 8), "int of 65536 bytes"),
    ],
    ids=["naive", "too early", "too late", "surrogate", "long", "long negative"],
)
def test_values_that_cannot_be_encoded_are_refused(part: Any, what: str) -> None:
    for given_part in (part, desc(part)):
        with pytest.raises(KeyValueError, match=f"part 1 .*{what}"):
            encode(0, given_part)


def test_depth_is_limited() -> None:
    nested: Any = 5
    for _ in range(keys.MAX_DEPTH):
        nested = (nested,)
    assert decode(encode(nested, desc(nested))) == (nested, nested)
    with pytest.raises(KeyValueError, match="depth 33"):
        encode((nested,))


def test_a_part_is_marked_once() -> None:
    with pytest.raises(KeyTypeError, match="already"):
        desc(desc(1))
    with pytest.raises(TypeError, match="bytes-like, not str"):
        decode("text")  # type: ignore[arg-type]


def test_stand_ins_become_their_plain_types() -> None:
    assert same(decode(encode(bytearray(b"a"), memoryview(b"b"), Colour.RED, True)), (b"a", b"b", 7, True))
    assert decode(encode(datetime(2020, 1, 1, 2, tzinfo=PARIS)))[0].tzinfo is UTC
    assert encode(datetime(2020, 1, 1, 2, tzinfo=PARIS)) == encode(datetime(2020, 1, 1, tzinfo=UTC))
    assert encode(math.nan) == encode(-math.nan) == encode(struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0])


# The format


GOLDEN: list[tuple[Any, str]] = [
    (None, "02"),
    (False, "04"),
    (True, "05"),
    (-math.inf, "10"),
    (-(2**64), "11fff6feffffffffffffffffff"),
    (-256, "18feffff"),
    (-1.5, "19fefd7fffffffffffff"),
    (-1.0, "19fefe"),
    (-1, "19feff"),
    (-0.25, "1ac02fffffffffffff"),
    (-0.0, "1b"),
    (0, "1c"),
    (0.0, "1d"),
    (5e-324, "1e0000000000000001"),
    (0.25, "1e3fd0000000000000"),
    (1, "1f0100"),
    (1.0, "1f0101"),
    (1.5, "1f010280000000000000"),
    (255, "1fff00"),
    (256, "20010000"),
    (2**64 - 1, "26ffffffffffffffff00"),
    (2**64, "27000901000000000000000000"),
    (2.0**64, "27000901000000000000000001"),
    (math.inf, "28"),
    (math.nan, "29"),
    (b"", "300001"),
    (b"\0a\xff", "3000ff61ff0001"),
    ("", "310001"),
    ("a\0é", "316100ffc3a90001"),
    (UUID(int=1), "3200000000000000000000000000000001"),
    (datetime(1970, 1, 1, tzinfo=UTC), "338000000000000000"),
    (datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), "337fffffffffffffff"),
    ((), "3400"),
    ((1, (None, "a")), "341f0100340231610001" + "0000"),
    (desc((1, desc("a"))), "cbe0feff31610001ff"),
    (desc("a"), "ce9efffe"),
    (desc(1), "e0feff"),
    (desc(None), "fd"),
]


@pytest.mark.parametrize(("part", "expected"), GOLDEN, ids=lambda x: str(x)[:30])
def test_the_bytes_never_change(part: Any, expected: str) -> None:
    assert encode(part).hex() == expected
    assert same(decode(bytes.fromhex(expected)), (plain(part),))


def test_the_golden_table_is_in_order() -> None:
    """But for the two datetimes and what is behind them it is written in order; sorted by the model it is in order of its bytes."""
    by_value = sorted((part for part, _ in GOLDEN), key=cmp_to_key(compare))
    assert all(encode(a) < encode(b) for a, b in pairwise(by_value))


def test_every_tag_is_below_what_ends_a_prefix() -> None:
    for _, text in GOLDEN:
        assert 0 < bytes.fromhex(text)[0] < 0xFF


def test_a_key_that_is_not_bytes_is_told_where_to_go() -> None:
    with lsm.open("/k", fs=recovery.memory(), threads=0) as db:
        for key in (("user", 1), 5, 2.5, None):
            with pytest.raises(TypeError, match=r"lsm\.keys\.encode"):
                db.put(key, b"")  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"lsm\.keys\.encode"):
                db.get(key)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"\.encode\(\)"):
            db.put("text", b"")  # type: ignore[arg-type]
        db.put(lsm.keys.encode("user", 1), b"x")  # what the hint says works
        assert list(db.scan(*lsm.keys.prefix_range("user"))) == [(lsm.keys.encode("user", 1), b"x")]
