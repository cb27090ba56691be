"""Ordered and hashed components against their readable twins, and a sorted list of pairs as the oracle of answers."""

from __future__ import annotations

import itertools
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sortedcontainers import SortedSet

from indexes import hashed, ordered
from indexes.rowset import RowSet
from indexes.twins import hashed as hashed_twin
from indexes.twins import ordered as ordered_twin

KINDS = [(ordered, ordered_twin), (hashed, hashed_twin)]
KEYS = st.one_of(
    st.sampled_from([b"", b"a", b"a\0", b"ab", b"long prefix 00", b"long prefix 01", b"x" * 300]),
    st.binary(max_size=12),
    st.integers(0, 400).map(lambda v: v.to_bytes(8, "big")),
)
ROW = st.one_of(st.integers(0, 60), st.integers(0, 2**64 - 1))
ENTRIES = st.one_of(
    st.lists(st.tuples(KEYS, ROW), max_size=40),
    st.tuples(st.integers(100, 700), st.integers(1, 300)).map(
        lambda p: [((i % p[1]).to_bytes(8, "big"), i * 7 % 1009) for i in range(p[0])]
    ),
)


def _memory(module: ModuleType) -> ordered.OrderedMemory | hashed.HashedMemory:
    return ordered.OrderedMemory() if module is ordered else hashed.HashedMemory()


def _columns(entries: list[tuple[bytes, int]]) -> tuple[list[bytes], list[int]]:
    return [key for key, _ in entries], [row for _, row in entries]


def _listed(view: object) -> list[tuple[bytes, int]]:
    return [e for b in view.entries(batch=7) for e in zip(b.keys.tolist(), b.rows.tolist(), strict=True)]


@pytest.mark.parametrize(("module", "twin"), KINDS)
@settings(max_examples=50, deadline=None)
@given(entries=ENTRIES)
def test_bytes_and_answers(module: ModuleType, twin: ModuleType, entries: list[tuple[bytes, int]]) -> None:
    segment = module.build(*_columns(entries))
    assert segment == twin.build(entries)
    memory = _memory(module)
    for key, row in entries:
        memory.insert(key, row)
    assert memory.to_segment() == segment
    view = module.open(segment)
    view.verify()
    assert len(view) == len(memory) == len(set(entries))
    assert sorted(_listed(view)) == sorted(set(entries)) == sorted(_listed(memory))
    asked = sorted({key for key, _ in entries} | {b"none", b""})
    want = [sorted({row for k, row in entries if k == key}) for key in asked]
    assert [view.lookup(key).tolist() for key in asked] == want == [memory.lookup(key).tolist() for key in asked]
    assert [view.first(key) for key in asked] == [rows[0] if rows else None for rows in want]
    ends, rows = view.lookup_many(asked)
    assert [rows[int(a) : int(b)].tolist() for a, b in itertools.pairwise(ends)] == want


@settings(max_examples=50, deadline=None)
@given(ENTRIES, st.none() | KEYS, st.none() | KEYS, st.booleans(), st.booleans())
def test_ranges(entries: list[tuple[bytes, int]], low: bytes | None, high: bytes | None, after: bool, including: bool) -> None:
    want = ordered_twin.between(entries, low, high, after, including)
    memory = ordered.OrderedMemory()
    memory.insert_many(*_columns(entries))
    for part in (ordered.open(ordered.build(*_columns(entries))), memory):
        how = {"after_low": after, "with_high": including}
        assert part.range_rows(low, high, **how).tolist() == [row for _, row in want]
        assert part.range(low, high, **how) == RowSet({row for _, row in want})
        for backward in (False, True):
            got = [
                e
                for b in part.scan(low, high, **how, backward=backward, batch=5)
                for e in zip(b.keys.tolist(), b.rows.tolist(), strict=True)
            ]
            assert got == (want[::-1] if backward else want)
    assert ordered.open(ordered.build(*_columns(entries))).count(low, high, after_low=after, with_high=including) == len(want)


@pytest.mark.parametrize(("module", "twin"), KINDS)
@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.tuples(ENTRIES, st.none() | st.lists(ROW, max_size=10)), max_size=4))
def test_merge(module: ModuleType, twin: ModuleType, parts: list[tuple[list[tuple[bytes, int]], list[int] | None]]) -> None:
    components = []
    for i, (entries, _) in enumerate(parts):
        memory = _memory(module)
        memory.insert_many(*_columns(entries))
        components.append(memory if i % 2 else module.open(memory.to_segment()))
    hide = [None if h is None else np.array(sorted(set(h)), np.uint64) for _, h in parts]
    left = [e for (entries, h) in parts for e in entries if e[1] not in set(h or ())]
    assert module.merge(components, hide) == twin.build(left)


@pytest.mark.parametrize("module", [ordered, hashed])
@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["insert", "insert", "insert", "delete", "delete_row", "burst"]), KEYS, st.integers(0, 40)), max_size=60
    )
)
def test_memory_follows_a_sorted_set(module: ModuleType, steps: list[tuple[str, bytes, int]]) -> None:
    memory, model = _memory(module), SortedSet()
    for what, key, row in steps:
        if what == "insert":
            assert memory.insert(key, row) == ((key, row) not in model)
            model.add((key, row))
        elif what == "delete":
            assert memory.delete(key, row) == ((key, row) in model)
            model.discard((key, row))
        elif what == "delete_row":
            gone = [e for e in model if e[1] == row]
            assert memory.delete_row(row) == len(gone)
            model -= set(gone)
        else:
            burst = [(key + i.to_bytes(2, "big"), row + i % 3) for i in range(150)]
            memory.insert_many(*_columns(burst))
            model |= set(burst)
        assert len(memory) == len(model)
    assert sorted(_listed(memory)) == list(model)
    assert memory.to_segment() == module.build(*_columns(list(model)))


def test_keys_in_every_shape() -> None:
    values = np.random.default_rng(1).permutation(1000).astype(">u8")
    rows = np.arange(1000)
    want = ordered.build([int(v).to_bytes(8, "big") for v in values], rows)
    assert ordered.build(values.view("V8"), rows) == want
    assert ordered.build(values.view(np.uint8).reshape(-1, 8), rows) == want
    (batch,) = ordered.open(want).entries(batch=1000)
    assert ordered.build(batch.keys, batch.rows) == want


def test_large_keys() -> None:
    entries = [(bytes([i]) + b"k" * 40_000 + bytes([i]), i) for i in range(9)] + [(b"", 3)]
    for module, twin in KINDS:
        view = module.open(module.build(*_columns(entries)))
        assert module.build(*_columns(entries)) == twin.build(entries)
        assert all(view.lookup(key).tolist() == [row] for key, row in entries)
        assert sorted(_listed(view)) == sorted(entries)
        with pytest.raises(ValueError, match="65536 bytes; allowed"):
            module.build([b"x" * 65_536], [1])
        with pytest.raises(ValueError, match="2 keys and 1 row"):
            module.build([b"a", b"b"], [1])


def _use(module: ModuleType, data: bytes, asked: list[bytes]) -> None:
    view = module.open(data)
    for key in asked:
        view.lookup(key)
    view.lookup_many(asked)
    for _ in view.entries():
        pass
    module.merge([view], [np.array([1], np.uint64)])
    if module is ordered:
        list(view.scan(b"a", None, backward=True))
        view.range(b"b", b"c")


@pytest.mark.parametrize("module", [ordered, hashed])
@pytest.mark.parametrize(
    "entries",
    [
        [(b"a", 1), (b"bcd", 2), (b"bce", 900), (b"bce", 2**63)],
        [(b"%03d" % (i % 9), i) for i in range(40)],
        [(b"%04d" % i, i) for i in range(140)],
        [],
    ],
)
def test_hostile_bytes(module: ModuleType, entries: list[tuple[bytes, int]]) -> None:
    """Cut or flipped, a segment is refused or answers something; it never reads outside, and verify finds all of it."""
    good = module.build(*_columns(entries))
    asked = [*[key for key, _ in entries][:5], b"", b"zz"]
    for n in range(len(good)):
        with pytest.raises(ValueError, match="wrong magic, version or lengths"):
            module.open(good[:n])
    for i in range(len(good)):
        for bit in (0, 2, 5, 7):
            bad = bytearray(good)
            bad[i] ^= 1 << bit
            try:
                _use(module, bytes(bad), asked)
            except ValueError:
                continue
            with pytest.raises(ValueError, match="malformed"):
                module.open(bytes(bad)).verify()
