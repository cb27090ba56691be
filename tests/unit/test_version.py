"""Versions: edits, order of runs, and what may not be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.grown import GrownTree
from lsm.version import KEPT_CHANGES, Edit, Level, LevelNote, Run, TableInfo, Version


def table(number: int, smallest: bytes, largest: bytes, *, exclusive: bool = False, seq: int = 0) -> TableInfo:
    return TableInfo(number, 1000, 10, 0, smallest, largest, exclusive, 0, seq or number)


def made(*added: tuple[int, int, TableInfo]) -> Version:
    return Version().apply(Edit(0, added=added))


def test_an_edit_removes_and_adds() -> None:
    v = made((0, 1, table(1, b"a", b"m")), (0, 2, table(2, b"c", b"z")))
    after = v.apply(Edit(0, removed=(1, 2), added=((1, 3, table(3, b"a", b"f")), (1, 3, table(4, b"g", b"z")))))
    assert after.levels[0].runs == ()
    assert [t.number for t in after.levels[1].tables] == [3, 4]
    assert sorted(v.tables()) == [1, 2]  # the old one is as it was
    assert after.where() == {3: (1, 0), 4: (1, 0)}


def test_runs_of_level_0_are_newest_first_whatever_the_order_of_the_edits() -> None:
    v = made((0, 1, table(1, b"a", b"b", seq=30)), (0, 2, table(2, b"a", b"b", seq=10)), (0, 3, table(3, b"a", b"b", seq=20)))
    assert [r.id for r in v.levels[0].runs] == [1, 3, 2]


def test_a_new_run_of_a_deeper_level_is_its_newest() -> None:
    v = made((2, 5, table(1, b"a", b"b")))
    v = v.apply(Edit(0, added=((2, 6, table(2, b"a", b"b")),)))
    assert [r.id for r in v.levels[2].runs] == [6, 5]
    assert [(level, run.id) for level, run in v.runs()] == [(2, 6), (2, 5)]


def test_a_table_may_move_in_one_edit() -> None:
    t = table(1, b"a", b"b")
    v = made((0, 1, t)).apply(Edit(0, removed=(1,), added=((3, 2, t),)))
    assert v.where() == {1: (3, 0)}


def test_empty_levels_at_the_end_are_gone_and_level_0_stays() -> None:
    v = made((4, 1, table(1, b"a", b"b")))
    assert len(v.levels) == 5
    assert v.apply(Edit(0, removed=(1,))) == Version()


@given(st.data())
def test_sharing_runs_changes_nothing(data: st.DataObject) -> None:
    """Edits one after the other give what a version made at once of the same tables is, and what is looked up is what a search finds.

    A tree that only grows, as when a manifest is read, comes out the same.
    """
    v, grown, number = Version(), GrownTree(), 0
    held: dict[int, tuple[int, int, TableInfo]] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        removed = data.draw(st.lists(st.sampled_from(sorted(held)), unique=True)) if held else []
        added = []
        for _ in range(data.draw(st.integers(0, 3))):
            number += 1
            low = data.draw(st.integers(0, 20))
            info = table(number, b"%02d" % low, b"%02d" % (low + data.draw(st.integers(0, 4))), exclusive=data.draw(st.booleans()))
            added.append((data.draw(st.integers(0, 3)), data.draw(st.integers(1, 4)), info))
        try:
            after = v.apply(Edit(0, tuple(removed), tuple(added)))
        except ValueError:
            with pytest.raises(ValueError, match="overlap"):
                naive(v, Edit(0, tuple(removed), tuple(added)))
            continue
        assert after == naive(v, Edit(0, tuple(removed), tuple(added)))
        grown.add(Edit(0, tuple(removed), tuple(added)))
        assert grown.version() == after
        v, held = after, {t.number: (lv.number, r.id, t) for lv in after.levels for r in lv.runs for t in r.tables}
        assert dict(v.tables()) == {n: t for n, (_, _, t) in held.items()}
        assert dict(v.where()) == {t.number: (lv.number, i) for lv in v.levels for i, r in enumerate(lv.runs) for t in r.tables}
        for lv in v.levels:
            assert (lv.size, lv.entries) == (sum(r.size for r in lv.runs), sum(r.entries for r in lv.runs))
            assert lv.ids == [r.id for r in lv.runs] and lv.by_number == {t.number: t for r in lv.runs for t in r.tables}
            assert lv.homes == {t.number: r.id for r in lv.runs for t in r.tables}
        low, high = sorted(data.draw(st.tuples(st.integers(0, 24), st.integers(0, 24))))
        for _, _, run in v.placed():
            span = (b"%02d" % low, b"%02d" % high, data.draw(st.booleans()))
            assert run.overlapping(*span) == [t for t in run.tables if t.overlaps(*span)]


def naive(v: Version, edit: Edit) -> Version:
    """Every level anew."""
    rows = {lv.number: [(r.id, [t for t in r.tables if t.number not in edit.removed]) for r in lv.runs] for lv in v.levels}
    for number, run_id, t in edit.added:
        level = rows.setdefault(number, [])
        if run_id not in [i for i, _ in level]:
            level.insert(0, (run_id, []))
        next(ts for i, ts in level if i == run_id).append(t)
    levels = []
    for number in range(max(rows, default=0) + 1):
        runs = [Run(i, tuple(sorted(ts, key=lambda t: (t.smallest, t.largest)))) for i, ts in rows.get(number, []) if ts]
        for run in runs:
            for a, b in pairwise(run.tables):
                if a.overlaps(b.smallest, b.largest, b.largest_exclusive):
                    raise ValueError("overlap")
        levels.append(Level(number, tuple(sorted(runs, key=lambda r: -max(t.max_seq for t in r.tables)) if number == 0 else runs)))
    while len(levels) > 1 and not levels[-1].runs:
        levels.pop()
    return Version(tuple(levels))


def test_places_of_few_and_of_many_runs() -> None:
    """Where a run stands is looked for, or worked out for all, while runs come in front and go from the middle."""
    v, number = Version(), 0
    for _ in range(3):
        for _ in range(20):
            number += 1
            v = v.apply(Edit(0, added=((1, number, table(number, b"a", b"b")),)))
            assert v.where()[number] == (1, 0)
        v = v.apply(Edit(0, removed=tuple(range(number - 15, number - 3))))
        runs = v.levels[1].runs
        assert [v.where()[r.tables[0].number] for r in reversed(runs)] == [(1, i) for i in reversed(range(len(runs)))]
        assert v.levels[1].ids == [r.id for r in runs]
    with pytest.raises(KeyError):
        v.where()[number + 1]


def test_runs_between_two_places() -> None:
    v = made(*((level, 10 * level + i, table(10 * level + i, b"a", b"b")) for level in (0, 1, 3) for i in range(1, 4)))
    every = [(level, i) for level, i, _ in v.placed()]
    assert every == [(level, i) for level in (0, 1, 3) for i in range(3)]
    for low in [(0, 0), (0, 2), (1, -1), (1, 1), (2, 0), (3, 5), (7, 0)]:
        assert [(level, i) for level, i, _ in v.placed(low)] == [at for at in every if low <= at]
        for high in [(0, 0), (1, -1), (1, 1), (2, 0), (3, 1), (9, 0)]:
            assert [(level, i) for level, i, _ in v.placed(low, high)] == [at for at in every if low <= at <= high]


def test_a_level_has_more_bytes_than_it_had_by_what_came() -> None:
    """Sums are kept from version to version; many notes of changes that nobody asks for are let go."""
    v = made(*((1, n, table(n, b"%02d" % n, b"%02d" % n)) for n in range(1, 10)))
    v.levels[1].notes["who"] = LevelNote("then")
    for n in range(KEPT_CHANGES):
        assert len(v.levels[1].notes["who"].changes) == n
        v = v.apply(Edit(0, removed=(n + 1,), added=((1, n + 10, table(n + 10, b"%02d" % n, b"%02d" % n)),)))
    gone, added = v.levels[1].notes["who"].changes[0]
    assert ([t.number for t in gone], [t.number for t in added]) == ([1], [10])
    v = v.apply(Edit(0, removed=(KEPT_CHANGES + 1,)))
    assert not v.levels[1].notes and v.levels[1].size == 8000


def test_what_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(ValueError, match=r"not there: \[7\]"):
        made((0, 1, table(1, b"a", b"b"))).apply(Edit(0, removed=(7,)))


def test_tables_of_a_run_do_not_overlap() -> None:
    with pytest.raises(ValueError, match="overlap"):
        made((1, 1, table(1, b"a", b"m")), (1, 1, table(2, b"m", b"z")))
    made((1, 1, table(1, b"a", b"m", exclusive=True)), (1, 1, table(2, b"m", b"z")))


@pytest.mark.parametrize(
    ("smallest", "largest", "exclusive", "expected"),
    [
        (b"a", b"b", False, False),
        (b"a", b"c", False, True),
        (b"a", b"c", True, False),
        (b"m", b"z", False, True),
        (b"n", b"z", False, False),
        (b"d", b"d", False, True),
    ],
)
def test_overlap_counts_inclusive_ends(smallest: bytes, largest: bytes, exclusive: bool, expected: bool) -> None:
    assert table(1, b"c", b"m").overlaps(smallest, largest, exclusive) is expected


def test_rows_of_the_manifest_give_the_table_back() -> None:
    t = TableInfo(7, 100, 3, 1, b"\x00\xff", b"", True, 4, 9, 2, 0xDEADBEEF)
    assert TableInfo.from_row(t.to_row()) == t
    with pytest.raises((TypeError, KeyError)):
        TableInfo.from_row(t.to_row() | {"colour": 1})
    grown = GrownTree()
    with pytest.raises(ValueError, match=r"not there: \[7\]"):
        grown.add(Edit(0, removed=(7,)))


def test_a_table_is_there_once() -> None:
    grown = GrownTree()
    grown.add(Edit(0, added=((0, 1, table(1, b"a", b"b")),)))
    with pytest.raises(ValueError, match="there: 1"):
        grown.add(Edit(0, added=((2, 2, table(1, b"a", b"b")),)))
    grown.add(Edit(0, removed=(1,), added=((2, 2, table(1, b"a", b"b")),)))
    assert grown.version().where() == {1: (2, 0)}


def test_a_tree_that_cannot_be_is_not_made() -> None:
    grown = GrownTree()
    grown.add(Edit(0, added=((1, 1, table(1, b"a", b"m")),)))
    grown.add(Edit(0, added=((1, 1, table(2, b"c", b"z")),)))
    with pytest.raises(ValueError, match="overlap"):
        grown.version()
