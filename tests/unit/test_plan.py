"""The validator: legal plans pass, each rule refuses what breaks it, and the bottom is where nothing older is."""

from __future__ import annotations

import pytest

from lsm.errors import PlanRefused
from lsm.plan import Plan, is_bottom, validate
from lsm.version import Edit, TableInfo, Version


def table(number: int, smallest: bytes, largest: bytes, *, exclusive: bool = False) -> TableInfo:
    return TableInfo(number, 1000, 10, 0, smallest, largest, exclusive, 0, number)


TREE = Version().apply(
    Edit(
        0,
        added=(
            (2, 1, table(1, b"a", b"f")),
            (2, 1, table(2, b"g", b"p")),
            (1, 2, table(3, b"a", b"h")),
            (1, 2, table(4, b"k", b"z")),
            (0, 3, table(5, b"b", b"d")),
            (0, 4, table(6, b"c", b"m")),
        ),
    )
)
FREE: frozenset[int] = frozenset()


@pytest.mark.parametrize(
    "plan",
    [
        Plan((6, 5, 3, 4), 1),
        Plan((5, 3), 1),
        Plan((3, 1, 2), 2),
        Plan((4, 2), 2),
        Plan((6, 5), 0, new_run=True),
        Plan((2,), 3),
        Plan((1, 2, 3, 4, 5, 6), 2),
    ],
)
def test_legal(plan: Plan) -> None:
    assert {t.number for t in validate(plan, TREE, FREE)} == set(plan.inputs)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan((), 1), "one or more"),
        (Plan((5, 5), 1), "one or more"),
        (Plan((9,), 1), r"\[9\] are not in the tree"),
        (Plan((3,), 0), "output level is 0"),
        (Plan((2,), 32), "output level is 32"),
        (Plan((6, 3, 4), 1), "table 5 in level 0"),
        (Plan((6, 5, 3), 1), "table 4 in level 1"),
        (Plan((3,), 2), "table 1 in level 2"),
        (Plan((6,), 1, new_run=True), "table 5 in level 0"),
        (Plan((5,), 0, new_run=True), "table 6 in level 0 overlaps input 5 and would be older"),
        (Plan((6, 5), 3), "must be an input too"),
        (Plan((2,), 3, cuts=(b"b", b"a")), "ascending"),
    ],
)
def test_refused(plan: Plan, why: str) -> None:
    with pytest.raises(PlanRefused, match=why):
        validate(plan, TREE, FREE)


def test_tables_of_a_running_job_are_not_taken() -> None:
    with pytest.raises(PlanRefused, match=r"\[3\] are held"):
        validate(Plan((5, 3), 1), TREE, frozenset({3}))


def test_an_older_run_of_a_level_cannot_become_its_newest() -> None:
    with pytest.raises(PlanRefused):
        validate(
            Plan((5, 3), 1, new_run=True),
            Version().apply(Edit(0, added=((1, 1, table(3, b"a", b"z")), (1, 2, table(4, b"a", b"z")), (0, 3, table(5, b"a", b"z"))))),
            FREE,
        )


def test_an_exclusive_end_is_no_overlap() -> None:
    tree = Version().apply(
        Edit(0, added=((2, 1, table(1, b"a", b"m", exclusive=True)), (2, 1, table(2, b"m", b"z")), (1, 2, table(3, b"b", b"c"))))
    )
    validate(Plan((3, 1), 2), tree, FREE)


def test_the_bottom() -> None:
    def bottom(plan: Plan) -> bool:
        return is_bottom(TREE, validate(plan, TREE, FREE), plan.output_level)

    assert bottom(Plan((3, 1, 2), 2))
    assert bottom(Plan((1, 2, 3, 4, 5, 6), 2))
    assert bottom(Plan((2,), 3))
    assert not bottom(Plan((5, 3), 1))  # tables 1 of level 2 is older
    assert not bottom(Plan((6, 5), 0, new_run=True))
