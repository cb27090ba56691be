"""Versions: edits, order of runs, and what may not be."""

from __future__ import annotations

import pytest

from lsm.version import Edit, TableInfo, Version


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
