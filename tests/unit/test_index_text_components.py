"""Components together: memory over segments, hidden rows, merges, live statistics, in step with a model and a fresh index."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from indexes import text

WORDS = ["a", "b", "c", "dd", "de", "e"]
DOCUMENT = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
ROW = st.integers(0, 12) | st.sampled_from([2**40, 2**64 - 1])
QUERIES = ["a", "a b", '"a b"', "+a -b", "d*", "de~1", "a NEAR/2 c", "-a", "(a OR e) AND b", "?", "d? +a"]


class TextIndex(RuleBasedStateMachine):
    """A little LSM of text components beside a dict of documents."""

    @initialize(stem=st.booleans())
    def start(self, stem: bool) -> None:
        self.analyzer = text.Analyzer(stop=frozenset({"c"})) if stem else text.Analyzer()
        self.memory = text.TextMemory(self.analyzer)
        self.runs: list[tuple[text.TextView, np.ndarray]] = []  # newest first, with the rows that each hides in the older ones
        self.model: dict[int, str] = {}
        self.searcher = self.open()

    def hide(self) -> list[np.ndarray]:
        hidden = np.empty(0, np.uint64)
        out = []
        for _, touched in self.runs:
            out.append(hidden)
            hidden = np.union1d(hidden, touched)
        return out

    def open(self) -> text.TextSearcher:
        return text.TextSearcher([view for view, _ in self.runs], self.hide(), self.memory)

    @rule(documents=st.lists(st.tuples(ROW, DOCUMENT), min_size=1, max_size=6))
    def add(self, documents: list[tuple[int, str]]) -> None:
        self.memory.add([row for row, _ in documents], [value for _, value in documents])
        self.model.update(documents)

    @rule(row=ROW)
    def delete(self, row: int) -> None:
        there = row in self.memory
        assert self.memory.delete([row]).tolist() == [there]
        self.model.pop(row, None)

    @rule()
    def flush(self) -> None:
        frozen = text.open(self.memory.freeze())
        frozen.check()
        self.runs.insert(0, (frozen, self.memory.touched()))
        self.memory = text.TextMemory(self.analyzer)
        self.searcher = self.open()

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        if not self.runs:
            return
        first = data.draw(st.integers(0, len(self.runs) - 1))
        last = data.draw(st.integers(first, len(self.runs) - 1))
        some = self.runs[first : last + 1]
        merged = text.merge(
            [view for view, _ in some], [h if first == 0 else self.inner(some, i) for i, h in enumerate(self.hide()[first : last + 1])]
        )
        view = text.open(merged)
        view.check()
        touched = np.unique(np.concatenate([t for _, t in some]))
        self.runs[first : last + 1] = [(view, touched)]
        self.searcher = self.open()

    @staticmethod
    def inner(some: list[tuple[text.TextView, np.ndarray]], i: int) -> np.ndarray:
        """What the newer ones of the runs being merged hide; those outside hide for themselves."""
        return np.unique(np.concatenate([np.empty(0, np.uint64), *(t for _, t in some[:i])]))

    @invariant()
    def answers_are_those_of_a_fresh_index(self) -> None:
        fresh = text.open(text.build(list(self.model), list(self.model.values()), self.analyzer))
        one = text.TextSearcher([fresh], analyzer=self.analyzer)
        assert (self.searcher.documents, self.searcher.average_length) == (one.documents, one.average_length)
        for query in QUERIES:
            assert self.searcher.match(query).tolist() == one.match(query).tolist(), query
            assert self.searcher.df(query) == one.df(query), query
            ours, theirs = self.searcher.search(query, 5), one.search(query, 5)
            assert ours.rows.tolist() == theirs.rows.tolist(), query
            assert ours.scores.tolist() == theirs.scores.tolist(), query


TestTextIndex = TextIndex.TestCase


@given(documents=st.dictionaries(ROW, DOCUMENT, max_size=30), split=st.integers(0, 30))
def test_a_merge_gives_the_bytes_that_one_build_gives(documents: dict[int, str], split: int) -> None:
    rows, values = list(documents), list(documents.values())
    whole = text.build(rows, values)
    parts = [text.open(text.build(rows[:split], values[:split])), text.open(text.build(rows[split:], values[split:]))]
    assert text.merge(parts) == whole
    stale = text.open(text.build(rows, ["z " + value for value in values]))
    assert text.merge([*parts, stale], [None, None, sorted(rows)]) == whole
    assert text.build_terms(text.open(whole).entries()) == whole


def test_large_segments_merge_too() -> None:
    rng = random.Random(3)
    values = [" ".join(rng.choices([f"t{i}" for i in range(50)], k=rng.choice((5, 20, 700)))) for _ in range(900)]
    rows = list(range(0, 1800, 2))
    view = text.open(text.build(rows, values))
    odd = text.open(text.build([row + 1 for row in rows[:300]], values[:300]))
    hidden = np.arange(0, 1800, 6, dtype=np.uint64)
    merged = text.open(text.merge([odd, view], [None, hidden]))
    merged.check()
    left = {row: value for row, value in zip(rows, values, strict=True) if row % 6} | {
        row + 1: values[i] for i, row in enumerate(rows[:300])
    }
    assert merged.rows().tolist() == sorted(left)
    assert text.build(list(left), list(left.values())) == text.merge([odd, view], [None, hidden])


def test_a_row_live_in_two_views_is_refused() -> None:
    views = [text.open(text.build([1, 2], ["a", "b"])), text.open(text.build([2, 3], ["a", "b"]))]
    with pytest.raises(ValueError, match="row 2 is in two of the views"):
        text.merge(views)
    with pytest.raises(ValueError, match="1 sets for 2 views"):
        text.merge(views, [None])
    with pytest.raises(ValueError, match="do not ascend"):
        text.merge(views, [None, np.array([3, 2], np.uint64)])


def test_components_of_another_analyzer_are_refused() -> None:
    plain, folded = text.Analyzer("whitespace"), text.Analyzer()
    view = text.open(text.build([1], ["x"], plain))
    with pytest.raises(ValueError, match="made by the analyzer '1 whitespace"):
        text.TextSearcher([view], analyzer=folded)
    with pytest.raises(ValueError, match="different analyzers"):
        text.merge([view, text.open(text.build([2], ["x"]))])
    with pytest.raises(ValueError, match="not searchable"):
        text.TextSearcher(memory=text.TextMemory(searchable=False))


def test_memory_changes_are_seen_by_the_next_query() -> None:
    view = text.open(text.build(range(1000), [f"old word{i % 7}" for i in range(1000)]))
    memory = text.TextMemory()
    searcher = text.TextSearcher([view], memory=memory)
    assert searcher.count("old") == 1000
    for row in range(0, 300, 3):
        memory.insert(row, "new")
        assert searcher.df("old new") == [1000 - row // 3 - 1, row // 3 + 1]
        assert searcher.match("new")[-1] == row
    memory.delete([5, 3])
    assert searcher.df("old new") == [899, 99]
    assert searcher.documents == 998
    assert memory.nbytes > 0
    assert 5 not in memory
    assert 6 in memory


@pytest.mark.threads
def test_threads_may_query_together() -> None:
    rng = random.Random(1)
    words = [f"w{i}" for i in range(60)]
    values = [" ".join(rng.choices(words, k=20)) for _ in range(3000)]
    view = text.open(text.build(range(3000), values))
    memory = text.TextMemory()
    memory.add(range(0, 3000, 2), values[::2])
    searcher = text.TextSearcher([view], memory=memory)
    one = text.TextSearcher([view])
    wrong: list[str] = []

    def work(seed: int) -> None:
        mine = random.Random(seed)
        for _ in range(60):
            query = " ".join(mine.choices(words, k=3))
            a, b = searcher.search(query), one.search(query)
            if a.rows.tolist() != b.rows.tolist() or a.scores.tolist() != b.scores.tolist():
                wrong.append(query)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
