"""Row sets, segments and memory components at the ends of what they take, and long random runs of the components against plain dicts."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from indexes._native import ffi, lib

from indexes import bitmap, bitsliced, hashed, ordered
from indexes.rowset import RowSet, RowSetBuilder

SPAN = 1 << 16


def test_places_that_are_not_there() -> None:
    bits = bitmap.open(bitmap.build([b"a", b"b"], [1, 2]))
    assert bits._count(1) == 1 and bits._count(2) == bits._count(99) == 0
    for wrong in (lambda: bits._set(3), lambda: bits._union([], 0, 3), lambda: bits._union([3], 0, 0)):
        with pytest.raises(ValueError, match="malformed"):
            wrong()
    assert bits._union([], 1, 1).rows().tolist() == bits._union([], 2, 1).rows().tolist() == []
    view = ordered.open(ordered.build([b"a", b"b"], [1, 2]))
    assert view.range_rows(b"b", b"a").tolist() == [] and view.range_rows(None, None).tolist() == [1, 2]
    assert [b.rows.tolist() for b in view.cursor(1, 99).batches()] == [[2]] and list(view.cursor(5, 1).batches()) == []


def test_nothing_is_freed_twice_or_where_there_is_nothing() -> None:
    for free in (lib.idx_bitmap_free, lib.idx_memory_free, lib.idx_edit_free, lib.idx_text_memory_free, lib.idx_scan_free):
        free(ffi.NULL)
    for free in (lib.idx_searcher_free, lib.idx_pgm_free, lib.idx_rowset_free, lib.idx_buffer_free, lib.idx_rtree_close):
        free(ffi.NULL)


def test_rows_at_the_end_of_their_range() -> None:
    top = 2**64 - 1
    for which in (ordered, hashed):
        view = which.open(which.build([b"one", b"two", b"two", b"high"], [top, 5, top, 1 << 63]))
        assert view.first(b"one") == top and view.first(b"two") == 5 and view.first(b"high") == 1 << 63 and view.first(b"no") is None
        assert view.lookup(b"two").tolist() == [5, top]
    for falling in ([top, 0], [5, 2**63 + 5, 3, 7], [top, 0, 1, 2, 3, 4], [0, 1, 2, 3, top, 5, 6, 7, 8]):
        assert RowSet(falling).rows().tolist() == sorted(falling)
    assert RowSet([0, top]).rows().tolist() == [0, top] and top in RowSet([top]) and RowSet([top]).rank(top) in (0, 1)
    view = bitsliced.open(bitsliced.build([-(2**63), 2**63 - 1, 0], [0, top, 5]))
    assert view.min() == -(2**63) and view.max() == 2**63 - 1 and view.sum() == -1


@pytest.mark.parametrize("count", [7, 8, 9, 255, 256, 257, 3000])
@pytest.mark.parametrize("most", [2, 128, 300, 1 << 20])
def test_a_key_of_many_rows(count: int, most: int) -> None:
    """Steps of one byte eight at a time, of two, of more, and all mixed; ranges of more rows than a first call has room for."""
    rng = random.Random(count * most)
    rows = sorted({rng.choice([1, rng.randrange(1, most)]) + i * most for i in range(count)})
    for which in (ordered, hashed):
        keys = [b"k"] * len(rows) + [b"l"]
        view = which.open(which.build(keys, [*rows, 5]))
        assert view.lookup(b"k").tolist() == rows and view.lookup(b"l").tolist() == [5]
        ends, found = view.lookup_many([b"k", b"j", b"l"])
        assert ends.tolist() == [0, len(rows), len(rows), len(rows) + 1] and found.tolist() == [*rows, 5]
        if which is ordered:
            assert view.range_rows(b"k", b"l").tolist() == rows and view.range_rows(None, None).tolist() == [*rows, 5]
    assert RowSet(rows).rows().tolist() == rows and len(RowSet([*rows, *rows[::-1]])) == len(rows)


@pytest.mark.parametrize("size", range(1, 18))
def test_keys_of_every_length_share_and_differ(size: int) -> None:
    """A block's shared part and what is behind it, from nothing to more than a word each."""
    for shared in range(size + 1):
        keys = [b"s" * shared + bytes([i]) * (size - shared) for i in range(1, 200, 2)]
        view = ordered.open(ordered.build(keys, range(len(keys))))
        unique = sorted({*keys})
        for key in (
            *unique,
            b"s" * shared,
            b"s" * (size + 1),
            b"",
            b"\xff",
            b"s" * shared + b"\x04" * (size - shared),
            unique[0] + b"\0",
            unique[0][:-1],
        ):
            want = [i for i, k in enumerate(keys) if k == key]
            assert view.lookup(key).tolist() == want, key
            assert view.range_rows(None, key).tolist() == [i for i, k in enumerate(keys) if k < key], key
            assert view.range_rows(key, None, after_low=True).tolist() == [i for i, k in enumerate(keys) if k > key], key


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [ordered.OrderedMemory, hashed.HashedMemory])
def test_a_memory_component_is_a_dict_of_sets(make: Any, seed: int) -> None:
    """Inserts in random and in ascending order, so that nodes split in the middle and at the end; removals by entry and by row."""
    rng, memory, model = random.Random(seed), make(), set[tuple[bytes, int]]()
    for step in range(9000):
        key = b"%05d" % (step if seed == 3 else rng.randrange(3000))
        row = rng.choice([rng.randrange(1500), rng.randrange(40) << 20, 2**64 - 1 - rng.randrange(20)])
        what = rng.random()
        if what < 0.78:
            assert memory.insert(key, row) == ((key, row) not in model)
            model.add((key, row))
        elif what < 0.9:
            mine = [rng.choice([*model]) if step % 50 == 0 else (key, row)]
            assert memory.delete(*mine[0]) == (mine[0] in model)
            model.discard(mine[0])
        else:
            gone = {e for e in model if e[1] == row}
            assert memory.delete_row(row) == len(gone)
            model -= gone
        if step % 1500 == 0 or step == 8999:
            assert len(memory) == len(model)
            found = [e for b in memory.entries(batch=1000) for e in zip(b.keys.tolist(), b.rows.tolist(), strict=True)]
            assert sorted(found) == sorted(model), f"random.Random({seed}), step {step}"
            assert all(memory.lookup(k).tolist() == sorted(r for q, r in model if q == k) for k in (key, b"", b"no"))
    if make is ordered.OrderedMemory:
        order = sorted(model)
        for _ in range(60):
            low, high = (rng.choice([None, b"%05d" % rng.randrange(9000), b"", b"x"]) for _ in range(2))
            after, closed = rng.random() < 0.5, rng.random() < 0.5
            want = [
                e
                for e in order
                if (low is None or e[0] > low or (e[0] == low and not after)) and (high is None or e[0] < high or (e[0] == high and closed))
            ]
            got = memory.range_rows(low, high, after_low=after, with_high=closed).tolist()
            assert got == [row for _, row in want], (low, high, after, closed)
            back = [r for b in memory.scan(low, high, after_low=after, with_high=closed, backward=True) for r in b.rows.tolist()]
            assert back == got[::-1]
    assert sum(memory.delete_row(row) for row in {row for _, row in model}) == len(model)
    assert len(memory) == 0 and memory.lookup(b"00001").tolist() == [] and list(memory.entries()) == []


def test_one_row_with_many_keys_and_back() -> None:
    for make in (ordered.OrderedMemory, hashed.HashedMemory):
        memory = make()
        keys = [b"k%d" % i for i in range(20)]
        for key in keys:
            memory.insert(key, 7)
        memory.insert(b"k3", 8)
        for key in [keys[5], keys[19], keys[0], keys[10]]:
            assert memory.delete(key, 7) and not memory.delete(key, 7)
        assert memory.delete_row(7) == 16 and memory.delete_row(7) == 0
        assert [b.keys.tolist() for b in memory.entries()] == [[b"k3"]]
        assert memory.delete(b"k3", 8) and len(memory) == 0


SHAPES = {
    "few": lambda rng: rng.choice(SPAN, 30, replace=False),
    "sparse": lambda rng: rng.choice(SPAN, 3000, replace=False),
    "dense": lambda rng: rng.choice(SPAN, 30_000, replace=False),
    "half": lambda rng: np.arange(0, SPAN, 2),
    "runs": lambda rng: np.concatenate([np.arange(a, a + 40) for a in range(0, SPAN - 50, 200)]),
    "many runs": lambda rng: np.concatenate([np.arange(a, a + 5) for a in range(0, SPAN - 8, 9)]),
    "run": lambda rng: np.arange(100, 60_000),
    "full": lambda rng: np.arange(SPAN),
    "last": lambda rng: np.array([SPAN - 1]),
    "all but one": lambda rng: np.setdiff1d(np.arange(SPAN), [777]),
}


def _shaped(names: list[str | None], seed: int) -> tuple[RowSet, np.ndarray]:
    """A container of each named form, one after the other; None: nothing there."""
    rng = np.random.default_rng(seed)
    parts = [SHAPES[name](rng) + i * SPAN for i, name in enumerate(names) if name]
    rows = distinct(np.concatenate(parts).astype(np.uint64)) if parts else np.empty(0, np.uint64)
    return RowSet(rows), rows


def distinct(rows: np.ndarray) -> np.ndarray:
    """What np.unique gives; by sorting, which no pattern of numbers makes slow."""
    ordered_rows = np.sort(rows)
    return ordered_rows[np.r_[True, ordered_rows[1:] != ordered_rows[:-1]]] if len(rows) else rows


def both(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.intersect1d(x, y, assume_unique=True)


def either(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return distinct(np.concatenate([x, y]))


def only(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.setdiff1d(x, y, assume_unique=True)


@pytest.mark.parametrize("first", SHAPES)
def test_every_two_forms_of_container(first: str) -> None:
    a, x = _shaped([first, None, first, first], 1)
    for second in SHAPES:
        for names in ([None, second], [second, second, None, second]):
            b, y = _shaped(names, 2)
            common, mine, theirs, all_of = both(x, y), only(x, y), only(y, x), either(x, y)
            for got, want in ((a & b, common), (a | b, all_of), (a ^ b, either(mine, theirs)), (a - b, mine), (b - a, theirs)):
                assert got == RowSet(want) and len(got) == len(want), (first, second)
                assert RowSet.from_bytes(got.to_bytes()) == got
            assert RowSet.and_count(a, b) == len(common) and RowSet.or_count(a, b) == len(all_of)
            assert (a <= b) == (not len(mine)) and a.isdisjoint(b) == (not len(common))
            assert (a == b) == (len(x) == len(y) and bool((x == y).all()))
            edit = RowSetBuilder()
            edit.update(a)
            edit.update(b)
            edit.difference_update(RowSet(x[::3]))
            assert edit.freeze() == RowSet(only(all_of, x[::3]))


@pytest.mark.parametrize("seed", range(12))
def test_many_sets_of_every_form(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.choice([1, 2, 3, 5, 9, 40])
    shapes: list[Any] = [*SHAPES, None] if seed % 3 else ["dense", "half", "sparse"]
    made = [_shaped([rng.choice(shapes) for _ in range(3)], seed * 100 + i) for i in range(n)]
    sets, arrays = [s for s, _ in made], [a for _, a in made]
    union, common = distinct(np.concatenate(arrays)), arrays[0]
    for array in arrays[1:]:
        common = both(common, array)
    assert RowSet.union(*sets) == RowSet(union) and RowSet.or_count(*sets) == len(union)
    assert RowSet.intersection(*sets) == RowSet(common) and RowSet.and_count(*sets) == len(common)


@pytest.mark.parametrize("shape", SHAPES)
def test_containers_that_grow_and_shrink_by_one(shape: str) -> None:
    """A builder, row by row, over the sizes at which a container changes its form."""
    _, rows = _shaped([shape], 3)
    rng, edit, held = random.Random(4), RowSetBuilder(), set(rows.tolist())
    edit.add_many(rows)
    for step in range(400):
        row = rng.choice([rng.randrange(SPAN), rng.randrange(300), SPAN + step])
        if rng.random() < 0.5:
            assert edit.add(row) == (row not in held)
            held.add(row)
        else:
            assert edit.remove(row) == (row in held)
            held.discard(row)
    assert len(edit) == len(held) and all((row in edit) == (row in held) for row in range(0, 2 * SPAN, 331))
    frozen = edit.freeze()
    assert frozen == RowSet(sorted(held))
    edit.remove_many(sorted(held))
    assert len(edit) == 0 and len(edit.freeze()) == 0 and frozen == RowSet(sorted(held))


@pytest.mark.parametrize("kind", ["full chunk", "narrow", "wide", "two", "one value", "none"])
def test_columns_of_every_form(kind: str) -> None:
    rng = np.random.default_rng(5)
    rows = {"full chunk": np.arange(SPAN), "none": np.empty(0, np.int64)}.get(kind, distinct(rng.integers(0, 4 * SPAN, 9000)))
    n = len(rows)
    values = {
        "full chunk": np.arange(n) // 3 % 500,
        "narrow": rng.integers(-3, 4, n),
        "wide": rng.integers(-(2**62), 2**62, n),
        "two": np.where(rows % 2, -(2**63), 2**63 - 1),
        "one value": np.full(n, 42),
        "none": np.empty(0, np.int64),
    }[kind].astype(np.int64)
    view = bitsliced.open(bitsliced.build(values, rows))
    view.verify()
    filters = [None, RowSet(), RowSet(rows[::2]), RowSet.range(0, SPAN - 1), RowSet(rows[:5] + SPAN * 7), RowSet(rows[: n // 2 * 2])]
    for among in filters:
        mask = np.ones(n, bool) if among is None else np.isin(rows, among.rows())
        mine = values[mask]
        assert view.sum(among) == sum(mine.tolist()) and view.min(among) == (min(mine.tolist()) if len(mine) else None)
        for low, high in ((None, None), (-3, 3), (0, 2**40), (5, 3), (42, 43), (-(2**63), 2**63 - 1), (400, None), (None, -1)):
            inside = (values >= (-(2**63) if low is None else low)) & ((values < high) if high is not None else True) & mask
            assert view.count(low, high, among=among) == inside.sum()
            if among is None:
                assert view.range(low, high) == RowSet(rows[inside])
        for k in (0, 1, 7, 20_000):
            for largest in (True, False):
                top = view.top(k, largest=largest, among=among)
                want = sorted(zip(mine.tolist(), rows[mask].tolist(), strict=True), key=lambda e: (-e[0] if largest else e[0], e[1]))[:k]
                assert sorted(top.rows.tolist()) == sorted(row for _, row in want) or sorted(top.values.tolist()) == sorted(
                    v for v, _ in want
                )
        entries = [pair for batch in view.entries(among) for pair in zip(batch.rows.tolist(), batch.values.tolist(), strict=True)]
        assert entries == list(zip(rows[mask].tolist(), mine.tolist(), strict=True))
    merged = bitsliced.open(bitsliced.merge([view, view], [RowSet(rows[::3]), None]))
    assert merged.sum() == view.sum() and merged.not_null() == view.not_null()


def test_decoding_stops_where_there_is_no_room() -> None:
    view = bitsliced.open(bitsliced.build(np.arange(200), np.concatenate([np.arange(100), np.arange(100) + SPAN])))
    chunk, rows, values = ffi.new("uint64_t *"), ffi.new("uint64_t[]", 150), ffi.new("uint64_t[]", 150)
    got = [lib.idx_slices_decode(view._view, ffi.NULL, chunk, rows, values, 150) for _ in range(3)]
    assert got == [100, 100, 0] and rows[0] == SPAN
