"""What indexes gather from many rows at once is what they gather row by row; and keys in C are those of Python."""

from __future__ import annotations

import datetime
import math
from array import array
from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lsm import keys
from lsm.secondary.changes import Changes, Gathered, joined, settled
from lsm.secondary.kinds import SHORT, IndexType, make_type
from lsm.secondary.ordered import OrderedIndex, elements, encoded
from lsm.secondary.record import Names, decode_many, encode

ZONES = st.sampled_from([datetime.UTC, datetime.timezone(datetime.timedelta(hours=5))])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([2.0**63, -(2.0**63), math.nextafter(2.0**63, 0), -0.0, 2.0**53, 1.5, math.nan, math.inf]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.binary(max_size=4),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=ZONES, min_value=datetime.datetime(2, 1, 1)),
    st.integers(-5, 5).map(np.int16),
)
VALUES = st.one_of(SCALARS, st.lists(st.integers(0, 9), max_size=3), st.tuples(st.integers(0, 9)))
POINTS = st.none() | st.tuples(*[st.integers(-9, 9)] * 2) | st.tuples(*[st.integers(-9, 0)] * 2, *[st.integers(0, 9)] * 2).map(list)
ROWS = st.lists(st.fixed_dictionaries({}, optional={"a": VALUES, "b": SCALARS, "at": POINTS}), max_size=8)
SIMPLE = st.lists(st.fixed_dictionaries({}, optional={"a": SCALARS, "b": SCALARS, "at": POINTS}), max_size=8)
TYPES = [
    make_type("ordered", ("a",), {}, {}),
    make_type("ordered", ("a", "b"), {}, {"include": ["b", "c"]}),
    make_type("hash", ("a",), {}, {}),
    make_type("hash", ("b", "a"), {}, {}),
    make_type("bitmap", ("a",), {}, {}),
    make_type("rtree", ("at",), {}, {}),
]


def plain(gathered: Gathered) -> list[tuple[int, object]]:
    return [(place, tuple(p.tolist()) if isinstance(p, np.ndarray) else p) for place, p in gathered.items()]


@given(ROWS | SIMPLE)
def test_gathering_is_row_by_row(rows: list[dict[str, object]]) -> None:
    for kind in TYPES:
        assert plain(kind.gather(rows)) == plain(IndexType.gather(kind, rows)), kind.kind


EDGES = st.one_of(
    SCALARS.filter(lambda v: not isinstance(v, np.generic)),
    st.sampled_from([1 << 30_000, -(1 << 30_000), "\0" * 3900, b"\0" * 3900, "\U0010ffff" * 900, b"\xff" * 3900]),
    st.datetimes(timezones=ZONES, min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30)),
    st.lists(st.none() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])), max_size=400),
)


@given(st.lists(st.fixed_dictionaries({}, optional={"a": EDGES, "b": SCALARS}), max_size=3))
@example([{"a": 1 << 30_000}, {"a": "\0" * 4000}, {"a": [b"\0" * 3000, "\0" * 900]}])
def test_kinds_that_take_all_refuse_no_short_row(rows: list[dict[str, object]]) -> None:
    names = Names()
    stored = [row for row in rows if len(encode(row, names)) <= SHORT]
    back = decode_many([encode(row, names) for row in stored], names)
    lenient = [kind for kind in TYPES if kind.takes_all()]
    assert {kind.kind for kind in lenient} == {"ordered", "hash", "bitmap"}
    for kind in lenient:
        kind.gather(back)


def test_a_kind_derived_from_one_that_takes_all_need_not() -> None:
    class Picky(OrderedIndex):
        def payloads(self, row: object) -> Sequence[bytes]:
            raise ValueError("no")

    assert not Picky(("a",)).takes_all() and OrderedIndex(("a",)).takes_all()


@given(st.lists(st.tuples(st.sampled_from(["now", "later", "gone"]), st.lists(st.integers(0, 9), min_size=1, max_size=3)), max_size=9))
def test_what_is_gathered_later_is_what_is_gathered_at_once(batches: list[tuple[str, list[int]]]) -> None:
    """An index of lists of the row id's digits, none for a multiple of three."""

    def gather(ids: Sequence[int], stored: Sequence[bytes]) -> dict[int, Gathered]:
        assert [b"%d" % i for i in ids] == list(stored)
        pairs = [(place, d) for place, i in enumerate(ids) if i % 3 for d in (i, -i)]
        return {7: Gathered([p for p, _ in pairs], [d for _, d in pairs])}

    changes, at_once = [], []
    for how, ids in batches:
        stored = [b"%d" % i for i in ids]
        whole = Changes(array("Q", ids), {} if how == "gone" else gather(ids, stored))
        at_once.append(whole)
        changes.append(Changes(array("Q", ids), {}, stored) if how == "later" else whole)
    if not batches:
        return
    made = settled(changes, gather)
    assert all(a.gathered or b.gathered for a, b in pairwise(made)) and all(c.stored is None for c in made)
    rows, entries = joined(made, (7,))
    wanted_rows, wanted = joined(at_once, (7,))
    assert rows.tolist() == wanted_rows.tolist()
    assert list(zip(*map(list, entries[7]), strict=True)) == list(zip(*map(list, wanted[7]), strict=True))


@given(st.lists(SCALARS, max_size=8))
def test_keys_in_c_are_those_of_python(values: list[object]) -> None:
    def twin(value: object) -> bytes:
        if isinstance(value, float) and value.is_integer():
            return keys.python_encode(int(value))
        return encoded(value) if isinstance(value, datetime.date | np.generic) else keys.python_encode(value)  # type: ignore[arg-type]

    assert keys.indexed(values, encoded) == list(map(twin, values)) == list(map(encoded, values))


def test_what_has_no_key_is_left_to_the_other() -> None:
    rare = [(1,), [2], {3}, "\ud800", keys.desc(1), 1 << 80]
    assert keys.indexed(["a", *rare], lambda v: ("other", v)) == [keys.encode("a"), *(("other", v) for v in rare)]
    assert keys.indexed([UUID(int=1), 5.0, 2.0**70], elements) == [keys.encode(UUID(int=1)), keys.encode(5), [keys.encode(2**70)]]


BATCH = st.lists(st.tuples(st.integers(0, 6), st.none() | st.lists(st.integers(0, 3), max_size=2)), min_size=1, max_size=5)


@given(st.lists(BATCH, min_size=1, max_size=4))
def test_joined_batches_are_what_rows_are_in_the_end(batches: list[list[tuple[int, list[int] | None]]]) -> None:
    """Two indexes: of lists of payloads, and of the row id itself, which each row that is put has, as an array."""
    changes, last = [], dict[int, list[int] | None]()
    for batch in batches:
        puts = [(row, p) for row, p in batch if p is not None]
        gone = [row for row, p in batch if p is None]
        last |= dict(puts) | dict.fromkeys(gone)
        pairs = [(i, x) for i, (_, p) in enumerate(puts) for x in p]
        own = Gathered(None if not gone else range(len(puts)), np.array([[row] for row, _ in puts]).reshape(-1, 1))
        lists = Gathered([i for i, _ in pairs], [x for _, x in pairs])
        changes.append(Changes(array("Q", [row for row, _ in puts] + gone), {1: lists, 2: own}))
    rows, entries = joined(changes, (1, 2, 3))
    assert rows.tolist() == sorted(last)
    assert sorted(zip(entries[1][0].tolist(), entries[1][1], strict=True)) == sorted((r, x) for r, p in last.items() for x in p or ())
    assert sorted(zip(entries[2][0].tolist(), np.ravel(entries[2][1]).tolist(), strict=True)) == [
        (r, r) for r in sorted(last) if last[r] is not None
    ]
    assert len(entries[3][0]) == 0
