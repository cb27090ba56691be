"""The growing R-tree driven by Hypothesis beside a plain list of entries, with its audit after every step."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from indexes.rtree import RTree, merge, open_segment
from indexes.twins import RTreeTwin

Box = tuple[float, float, float, float]
ROW = st.integers(0, 25) | st.integers(0, 2**64 - 1)
NUMBER = st.integers(-6, 6).map(float) | st.floats(allow_nan=False)


@st.composite
def box(draw: st.DrawFn) -> Box:
    x, y = sorted(draw(st.tuples(NUMBER, NUMBER))), sorted(draw(st.tuples(NUMBER, NUMBER)))
    return (x[0], y[0], x[0], y[0]) if draw(st.booleans()) else (x[0], y[0], x[1], y[1])


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.tree, self.model = RTree(), list[tuple[int, Box]]()

    @rule(row=ROW, b=box())
    def insert(self, row: int, b: Box) -> None:
        self.tree.insert(row, b)
        self.model.append((row, b))

    @rule(entries=st.lists(st.tuples(ROW, box()), max_size=60))
    def insert_many(self, entries: list[tuple[int, Box]]) -> None:
        self.tree.insert_many(np.array([r for r, _ in entries], np.uint64), np.array([b for _, b in entries]).reshape(-1, 4))
        self.model += entries

    @rule(row=ROW, b=box())
    def update(self, row: int, b: Box) -> None:
        self.tree.update(row, b)
        self.model = [e for e in self.model if e[0] != row] + [(row, b)]

    @rule(data=st.data())
    def delete_one_box(self, data: st.DataObject) -> None:
        row, b = data.draw(st.sampled_from(self.model)) if self.model else (1, (0.0, 0.0, 0.0, 0.0))
        assert self.tree.delete(row, b) == self.model.count((row, b))
        self.model = [e for e in self.model if e != (row, b)]

    @rule(data=st.data(), share=st.floats(0, 1))
    def delete_rows(self, data: st.DataObject, share: float) -> None:
        rows = sorted({row for row, _ in self.model})
        rows = data.draw(st.permutations(rows))[: int(share * len(rows))]
        for row in rows:
            assert self.tree.delete(row) == sum(row == r for r, _ in self.model)
            assert row not in self.tree
        self.model = [e for e in self.model if e[0] not in rows]

    @rule()
    def freeze_and_load(self) -> None:
        self.tree = RTree.bulk(*open_segment(self.tree.freeze()).entries())

    @rule(rows=st.frozensets(ROW))
    def merge_without(self, rows: frozenset[int]) -> None:
        hide = np.array(sorted(rows), np.uint64)
        assert Counter(open_segment(merge([self.tree], [hide]))) == Counter(e for e in self.model if e[0] not in rows)

    @rule(b=box(), k=st.integers(0, 12))
    def ask(self, b: Box, k: int) -> None:
        twin = RTreeTwin(self.model, 2)
        assert self.tree.window(b).tolist() == twin.window(b)
        assert self.tree.within(b).tolist() == twin.within(b)
        assert self.tree.containing(b).tolist() == twin.containing(b)
        if np.isfinite(b).all():
            assert self.tree.nearest(b, k)[0].tolist() == [row for row, _ in twin.nearest(b, k)]

    @invariant()
    def sound(self) -> None:
        self.tree.audit()
        assert len(self.tree) == len(self.model)


TestIndexRTree = Machine.TestCase
TestIndexRTree.settings = settings(max_examples=30, stateful_step_count=25)
