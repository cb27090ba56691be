"""Random trees and random plans: what the validator accepts keeps every key's versions in search order; layouts may change."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

import lsm
import recovery
from lsm.errors import PlanRefused
from lsm.plan import Plan, is_bottom, validate
from lsm.version import Edit, TableInfo, Version

KEYS = 8
Versions = dict[int, set[tuple[int, int]]]  # table -> (key, sequence number)


def random_tree(rng: random.Random) -> tuple[Version, Versions]:
    """Return a tree whose runs are newer the earlier they are searched, and what each table holds."""
    added: list[tuple[int, int, TableInfo]] = []
    content: Versions = {}
    seq = 0
    for level in range(rng.randint(1, 3), -1, -1):
        for _ in range(rng.randint(0, 3)):
            seq += 1
            cuts = sorted(rng.sample(range(KEYS + 1), rng.choice([2, 2, 4])))
            for low, high in zip(cuts[::2], cuts[1::2], strict=True):
                number = len(content) + 1
                info = TableInfo(number, 100, 1, 0, b"%d" % low, b"%d" % (high - 1), False, seq, seq)
                added.append((level, 100 + seq, info))
                content[number] = {(key, seq) for key in range(low, high)}
    return Version().apply(Edit(0, added=tuple(added))), content


def in_order(version: Version, content: Versions) -> bool:
    """Whether a search from the newest run on meets the versions of every key from the newest on."""
    last: dict[int, int] = {}
    for _, run in version.runs():
        for table in run.tables:
            for key in {k for k, _ in content[table.number]}:
                found = [s for k, s in content[table.number] if k == key]
                if max(found) > last.get(key, max(found)):
                    return False
                last[key] = min([*found, last.get(key, min(found))])
    return True


def test_accepted_plans_keep_the_order_and_bottom_means_nothing_older() -> None:
    accepted = 0
    for seed in range(1500):
        rng = random.Random(seed)
        version, content = random_tree(rng)
        for _ in range(12 if content else 0):
            inputs = tuple(rng.sample(sorted(content), min(len(content), rng.choice([1, 1, 2, 3, 4]))))
            plan = Plan(inputs, rng.randint(0, 4), "", rng.random() < 0.4)
            with suppress(PlanRefused):
                tables = validate(plan, version, frozenset())
                accepted += 1
                check_applied(plan, tables, version, content, f"seed {seed}, {plan}")
    assert accepted > 3000


def check_applied(plan: Plan, tables: list[TableInfo], version: Version, content: Versions, repeat: str) -> None:
    merged = set().union(*(content[n] for n in plan.inputs))
    low, high = min(t.smallest for t in tables), max(t.largest for t in tables)
    fresh = max(content) + 1
    out = TableInfo(fresh, 100, 1, 0, low, high, False, min(t.min_seq for t in tables), max(t.max_seq for t in tables))
    target = version.levels[plan.output_level].runs if plan.output_level < len(version.levels) else ()
    kept = [run.id for run in target if any(t.number not in plan.inputs for t in run.tables)]
    after = version.apply(Edit(0, plan.inputs, ((plan.output_level, kept[0] if kept and not plan.new_run else 999, out),)))
    assert in_order(after, {**content, fresh: merged}), repeat
    if is_bottom(version, tables, plan.output_level):
        others = set().union(*(content[n] for n in content if n not in plan.inputs))
        assert not [(k, s) for k, s in merged if any(k == other and older < s for other, older in others)], repeat


LAYOUTS = ["leveling", "1-leveling", "tiering", "lazy-leveling"]


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("second", LAYOUTS)
def test_the_layout_may_change_between_opens(first: str, second: str, threads: int) -> None:
    fs, model = recovery.memory(), {}
    rng = random.Random(7)
    for layout in (first, second, first):
        compaction = {"layout": layout, "size_ratio": 3, "l0_trigger": 2, "level_base": 4096, "output_bytes": 2048}
        with lsm.open("/d", fs=fs, threads=threads, write_buffer=4096, compaction=compaction) as db:
            for _ in range(150):
                key, value = b"%04d" % rng.randrange(600), b"%06d" % rng.randrange(10**6) * 8
                db.put(key, value)
                model[key] = value
            db.wait()
            assert dict(db.scan()) == model
            assert not db.verify()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_compacting_a_range_beside_flushes_into_its_gaps(layout: str) -> None:
    """What lands in a gap of the span of a running compaction must wait, or go where it overlaps nothing."""
    compaction = {"layout": layout, "size_ratio": 2, "l0_trigger": 1, "level_base": 2048, "output_bytes": 1024}
    with lsm.open("/d", fs=recovery.memory(), threads=2, write_buffer=2048, compaction=compaction) as db:
        model = {}
        for round_ in range(12):
            for letter in (b"a", b"z", b"m"):
                for i in range(30):
                    key = letter + b"%03d" % i
                    model[key] = b"%d" % round_ * 20
                    db.put(key, model[key])
                if letter == b"z":
                    db.compact(b"a", b"zz")
        db.compact()
        db.wait()
        assert dict(db.scan()) == model
        assert db.health.state == "ok" and not db.verify()
