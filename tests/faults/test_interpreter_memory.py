"""The interpreter runs out of memory in the functions that C adds to it: MemoryError or the right answer, and nothing is broken afterwards.

CPython's own test module makes the n-th allocation of the interpreter fail, each in turn.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

import lsm
import recovery
from lsm import keys, native_typed
from lsm.secondary import record

_testcapi = pytest.importorskip("_testcapi", reason="this interpreter comes without its test module")

MOST = 150  # allocations that one call makes at most


def sweep(call: Callable[[], Any]) -> int:
    """Let each allocation of a call fail, alone and with three behind it; return how often MemoryError came out.

    Not with all behind it: CPython 3.11 itself may then hang where it makes an exception of Python code.
    """
    want, raised = call(), 0
    gc.freeze()  # so that a collection takes no time
    for first in range(MOST):
        for stop in (first + 1, first + 4):
            gc.collect()  # empties the interpreter's stocks of small objects
            try:
                _testcapi.set_nomemory(first, stop)
                got = call()
            except MemoryError:
                raised += 1
            else:
                _testcapi.remove_mem_hooks()
                assert got == want, f"allocation {first} fails: {got!r} instead of {want!r}"
            finally:
                _testcapi.remove_mem_hooks()
    gc.unfreeze()
    assert call() == want
    return raised


@pytest.fixture(scope="module")
def db() -> Iterator[lsm.DB]:
    with lsm.open("/d", {"threads": 0}, fs=recovery.memory()) as db:
        for i in range(300):
            db.put(b"%03d" % i, b"v" * (i * 2))
        db.flush()
        yield db


KEYS = [b"%03d" % i for i in range(0, 300, 7)] + [b"none"]
VIEW = memoryview(b"100")  # made before: what is made in a call leaves small objects in stock, which then do not fail
CALLS: dict[str, Callable[[lsm.DB], Any]] = {
    "get": lambda db: db.get(b"100"),
    "get in slow ways": lambda db: db.get(memoryview(b"100"), default=None),
    "put": lambda db: db.put(b"100", b"v" * 200),
    "put in slow ways": lambda db: db.put(key=b"100", value=bytearray(b"v" * 200)),
    "delete": lambda db: db.delete(b"none"),
    "get_many": lambda db: db.get_many(KEYS),
    "get_many in slow ways": lambda db: db.get_many([*KEYS, memoryview(b"100")]),
    "put_many": lambda db: db.put_many([(b"007", b"v" * 200), (b"014", b"")]),
    "put_many of keys and values": lambda db: db.put_many([b"007", b"014"], [b"v" * 200, b""]),
    "range": lambda db: db.range(b"010", b"100"),
    "range of long values": lambda db: db.range(b"250", None, limit=40),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_a_database(db: lsm.DB, name: str) -> None:
    assert sweep(lambda: CALLS[name](db)) > 0 or name in ("put", "delete"), "no allocation failed"
    assert len(db.range()) == 300


WHEN, UUID_1 = datetime(2026, 5, 1, 12, 30, 1, 5, tzinfo=UTC), UUID(int=2**127 + 5)
PARTS = (None, True, 7, -(2**40), 2**63, 1.5, float("inf"), b"a\0b", "ü" * 20, UUID_1, WHEN, (1, ("x", 2.5)), keys.desc("ab"))
ROW = {
    "none": None, "yes": True, "int": -(2**40), "float": 2.5, "str": "ü" * 9, "bytes": b"b" * 700, "when": WHEN, "day": date(2026, 5, 1),
    "id": UUID_1, "list": [1, "x", None], "tuple": (1, b"y"), "floats": [0.5, 1.5], "pair": (0.5, 1.5),
}  # fmt: skip
MANY = dict.fromkeys([f"c{i}" for i in range(60)], 5)
NAMES = record.Names([*ROW, *MANY])
HUGE, IDS = [*range(25), 2**70], list(range(30))  # stocks have tuples of up to 20
OTHER = {"int": bytearray(b"x"), "when": memoryview(b"y")}
BYTES = record.encode(ROW, NAMES)
KEY = keys.encode(*PARTS)
INDEXED = keys.indexed(list(PARTS[:11]), lambda value: None)


TYPED: dict[str, Callable[[], Any]] = {
    "keys.encode": lambda: keys.encode(*PARTS),
    "keys.encode in slow ways": lambda: keys.encode(2**70, bytearray(b"x")),
    "keys.encode of many in slow ways": lambda: keys.encode(*HUGE),
    "keys.decode": lambda: keys.decode(KEY),
    "keys.decode in slow ways": lambda: keys.decode(memoryview(KEY)),
    "keys.indexed": lambda: keys.indexed(list(PARTS[:11]), lambda value: None),
    "record.encode": lambda: record.encode(ROW, NAMES),
    "record.encode of many columns": lambda: record.encode(MANY, NAMES),
    "record.encode_many": lambda: record.encode_many([ROW, MANY], NAMES),
    "record.field": lambda: [record.field(BYTES, i) for i in range(len(ROW) + 2)],
    "record.field in slow ways": lambda: record.field(BYTES, id=4),
    "record.encode of other columns": lambda: record.encode({f"c{i}": 0.5 for i in range(9)}, NAMES),
    "record.field of a buffer": lambda: record.field(memoryview(BYTES), 4),
    "record.fields": lambda: record.fields(BYTES, [3, 4, 70]),
    "record.fields of many": lambda: record.fields(BYTES, IDS),
    "record.encode of other types": lambda: record.encode(OTHER, NAMES),
    "record.decode": lambda: record.decode(BYTES, NAMES),
    "record.decode_many": lambda: record.decode_many([BYTES, None], NAMES, "key", [2**70, 2**71]),
    "record.column": lambda: record.column([BYTES, BYTES], 4),
}


@pytest.mark.parametrize("name", TYPED)
def test_keys_and_rows(name: str) -> None:
    assert sweep(TYPED[name]) > 0, "no allocation failed"


def test_binding_functions(db: lsm.DB) -> None:
    core = db.keyspace("default").core

    def bind() -> list[str]:
        bound = core.bind((print,) * 6, print), native_typed.bind_keys(keys.Desc, print, print)
        return [f.__name__ for fs in (*bound, native_typed.bind_records(print, *(print,) * 7)) for f in fs]

    assert sweep(bind) > 0


def test_calls_that_are_left_to_python(db: lsm.DB) -> None:
    """To functions that do nothing, so that the interpreter's lock stays here: no other thread meets a failing allocation."""

    def slow(*args: Any, **named: Any) -> int:
        return len(args) + len(named)

    put, get, get_many, range_, delete, put_many = db.keyspace("default").core.bind((slow,) * 6, print)
    bound = native_typed.bind_keys(keys.Desc, slow, slow), native_typed.bind_records(slow, *(slow,) * 7)
    for call in (
        lambda: get(VIEW, 1),
        lambda: get(VIEW, default=None),
        lambda: put(*HUGE),
        lambda: delete(key=b"1"),
        lambda: put_many([(b"1", VIEW)] * 5),
        lambda: put_many(keys=[b"1"]),
        lambda: get_many([VIEW] * 30),
        lambda: range_(*HUGE, limit=5),
        lambda: bound[0][0](*HUGE),
        lambda: bound[0][0](1, part=5),
        lambda: bound[1][2](*HUGE, id=5),
    ):
        assert sweep(call) > 0
