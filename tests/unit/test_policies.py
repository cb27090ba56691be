"""Layouts and pickers as pure functions of trees in text: what they plan, and that all of it is legal until the tree is quiet.

All other kinds: tests/conformance/test_compaction_conformance.py.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from lsm import PICKERS, Options, Plan, TreeView
from lsm.dump import dump, parse
from lsm.plan import validate
from lsm.policies import allocation, make_policy
from lsm.version import Edit, TableInfo, Version


def view(
    text: str | Version, cursors: dict[int, bytes] | None = None, busy: frozenset[int] = frozenset(), step: int = 0, **compaction: Any
) -> TreeView:
    version = parse(text) if isinstance(text, str) else text
    settings = {"size_ratio": 3, "level_base": 1024, "l0_trigger": 2, "max_levels": 5} | compaction
    return TreeView(version.levels, Options.from_dict({"compaction": settings}), busy, 0, step, cursors or {})


def planned(given: TreeView) -> Plan | None:
    return make_policy(given.options).plan(given)


FULL = """L0
 run 5: 9[a..z] 10 entries 500 B
 run 4: 8[c..d] 10 entries 500 B
L1
 run 3: 5[a..f] 9 entries 400 B; 6[m..p] 9 entries 400 B
"""
DEEP = """L0
L1
 run 3: 5[a..c] 9 entries 600 B; 6[g..k] 9 entries 600 B; 7[p..t] 9 entries 600 B
L2
 run 2: 1[a..i] 9 entries 900 B; 2[j..o] 9 entries 900 B; 3[q..r] 1 entries 100 B
"""


def test_the_text_form_reads_back() -> None:
    for text in (FULL, DEEP):
        assert dump(parse(dump(parse(text)))) == dump(parse(text))


def test_leveling_merges_level_0_with_all_it_meets() -> None:
    plan = planned(view(FULL, layout="leveling"))
    assert plan and set(plan.inputs) == {9, 8, 5, 6} and plan.output_level == 1 and not plan.new_run


def test_one_leveling_waits_for_its_trigger() -> None:
    assert planned(view(FULL, layout="1-leveling", l0_trigger=3)) is None
    assert planned(view(FULL, layout="1-leveling", l0_trigger=2)) is not None


def test_tiering_makes_a_run_of_its_own() -> None:
    assert planned(view(FULL, layout="tiering")) is None
    plan = planned(view(FULL, layout="tiering", size_ratio=2))
    assert plan and set(plan.inputs) == {9, 8} and plan.output_level == 1 and plan.new_run


def test_nothing_is_planned_with_tables_of_a_running_job() -> None:
    assert planned(view(FULL, layout="leveling", busy=frozenset({5}))) is None


@pytest.mark.parametrize(("picker", "first"), [("least_overlap", 7), ("oldest", 5), ("round_robin", 5)])
def test_pickers(picker: str, first: int) -> None:
    plan = planned(view(DEEP, layout="leveling", picker=picker))
    assert plan and plan.inputs[0] == first and plan.output_level == 2


def test_round_robin_goes_around() -> None:
    picked = []
    cursors: dict[int, bytes] = {}
    tables = {t.number: t for t in parse(DEEP).levels[1].tables}
    for _ in range(4):
        plan = planned(view(DEEP, cursors, layout="leveling", picker="round_robin"))
        assert plan
        picked.append(plan.inputs[0])
        cursors[1] = tables[plan.inputs[0]].largest
    assert picked == [5, 6, 7, 5]


def test_random_follows_the_seed_and_the_step() -> None:
    picks = [[planned(view(DEEP, step=s, layout="leveling", picker="random")) for s in range(20)] for _ in range(2)]
    assert picks[0] == picks[1]
    assert len({p.inputs[0] for p in picks[0] if p}) == 3


@pytest.mark.parametrize("picker", sorted(PICKERS))
@pytest.mark.parametrize("layout", ["1-leveling", "lazy-leveling", "leveling", "tiering"])
def test_all_plans_are_legal_until_the_tree_is_quiet(layout: str, picker: str) -> None:
    rng = random.Random(f"{layout} {picker}")
    version, number, cursors = Version(), 0, dict[int, bytes]()
    for flush in range(40):
        low, high = sorted(rng.sample(range(1000), 2))
        number += 1
        table = TableInfo(number, rng.randrange(200, 600), 10, 0, b"%03d" % low, b"%03d" % high, False, number, number)
        version = version.apply(Edit(0, added=((0, number, table),)))
        for step in range(100):
            given = view(version, cursors, step=step, layout=layout, picker=picker)
            plan = planned(given)
            if plan is None:
                break
            inputs = validate(plan, version, frozenset())
            number += 1
            size, seqs = sum(t.size for t in inputs) * 9 // 10, [s for t in inputs for s in (t.min_seq, t.max_seq)]
            low_key, high_key = min(t.smallest for t in inputs), max(t.largest for t in inputs)
            out = TableInfo(number, size, 10, 0, low_key, high_key, False, min(seqs), max(seqs))
            target = given.level(plan.output_level).runs
            kept = [r.id for r in target if any(t.number not in plan.inputs for t in r.tables)]
            run = kept[0] if kept and not plan.new_run else number
            version = version.apply(Edit(0, plan.inputs, ((plan.output_level, run, out),)))
            cursors[max(plan.output_level - 1, 0)] = inputs[0].largest
        else:
            pytest.fail(f"{layout}, {picker}: plans without end after flush {flush}:\n{dump(version)}")
        limit = 3 if layout in ("tiering", "lazy-leveling") else 2
        assert len(version.levels[0].runs) < limit
    deepest = max(lv.number for lv in version.levels if lv.runs)
    if layout in ("leveling", "1-leveling"):
        assert all(len(lv.runs) <= 1 for lv in version.levels[1:])
    if layout == "lazy-leveling":
        assert len(version.levels[deepest].runs) == 1


def test_monkey_spends_the_same_memory_and_less_on_the_last_level() -> None:
    entries = [10, 100, 1_000, 10_000]
    filled = allocation.Filled(entries, 8.0, 10)
    bits = [allocation.Monkey().bits(level, filled) for level in range(4)]
    assert bits == sorted(bits, reverse=True)
    assert sum(b * n for b, n in zip(bits, entries, strict=True)) == pytest.approx(8.0 * sum(entries), rel=1e-3)
    assert allocation.Uniform().bits(2, filled) == 8.0
