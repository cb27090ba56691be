"""Parts of a level: what is kept from version to version is what would be worked out anew; and chance that falls evenly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
from lsm.policies.dice import dice
from lsm.policies.sharded import Part, grouped, parts
from lsm.registry import TIE_BREAKS
from lsm.version import Edit, TableInfo, Version


def facts(found: list[Part]) -> list[tuple[Any, ...]]:
    return [([t.number for t in p.tables], p.depth, p.size, p.first) for p in found]


@given(st.data())
def test_parts_that_are_kept_are_those_of_now(data: st.DataObject) -> None:
    v, number, asked = Version(), 0, list[Version]()
    for _ in range(data.draw(st.integers(1, 12))):
        held = sorted(v.tables())
        removed = data.draw(st.lists(st.sampled_from(held), unique=True, max_size=4)) if held else []
        added = []
        for _ in range(data.draw(st.integers(0, 4))):
            number += 1
            low = data.draw(st.integers(0, 40))
            high, exclusive = low + data.draw(st.integers(0, 6)), data.draw(st.booleans())
            info = TableInfo(number, number % 5 + 1, 10, 0, b"%02d" % low, b"%02d" % high, exclusive and high > low, 0, number)
            added.append((1, number, info))
        v = v.apply(Edit(0, tuple(removed), tuple(added)))
        if len(v.levels) > 1 and data.draw(st.booleans()):
            asked.append(v)
            parts(v.levels[1])
    for version in asked:
        found, anew = parts(version.levels[1]), grouped(version.levels[1].tables)
        assert facts(found.all) == facts(anew)
        assert facts(found.deep) == facts([p for p in anew if p.depth > 1])
        assert found.deepest == max([1, *(p.depth for p in anew)])
        urgent = sorted(anew, key=lambda p: (-p.depth, -p.size, p.tables[0].smallest))
        assert facts(found.first) == facts(urgent[:1])
        for depth in (1, 2, 3):
            assert facts(found.deeper(depth)) == facts([p for p in urgent if p.depth > depth])


def test_what_did_not_change_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, made = 0, Part.__init__

    def counted(self: Part, tables: Any) -> None:
        nonlocal looked
        looked += 1
        made(self, tables)

    monkeypatch.setattr(Part, "__init__", counted)
    tables = [TableInfo(n, 1, 1, 0, b"%05d" % (10 * n), b"%05d" % (10 * n + 5), False, 0, n) for n in range(1, 1001)]
    v = Version().apply(Edit(0, added=tuple((1, 1, t) for t in tables)))
    assert len(parts(v.levels[1]).all) == looked == 1000
    for n in range(1, 50):
        v = v.apply(Edit(0, removed=(20 * n,), added=((1, 2, TableInfo(2000 + n, 1, 1, 0, b"%05d" % (200 * n), b"%05d" % (200 * n + 3))),)))
        assert len(parts(v.levels[1]).all) == 1000
    assert looked < 1000 + 50 * 4


def test_ties_fall_evenly_and_the_same_for_the_same_step() -> None:
    table = [TableInfo(n, 1, 1, 0, b"a", b"b") for n in range(1, 5)]
    firsts = Counter[int]()
    for step in range(4000):
        view = lsm.TreeView(Version().levels, lsm.Options(), seed=7, step=step)
        order = sorted(table, key=lambda t: TIE_BREAKS["random"](view, t))
        assert order == sorted(table, key=lambda t: dice(7, step, t.number))
        firsts[order[0].number] += 1
    assert all(abs(firsts[t.number] - 1000) < 150 for t in table), firsts  # 5 standard deviations
