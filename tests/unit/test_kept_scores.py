"""Scores that pickers keep from plan to plan are those that would be worked out anew, on the newest tree and on older ones.

Repeat a case: the seed is the name of the case.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

import lsm
from lsm.policies.pickers import Overlapped, Scored, choose
from lsm.registry import PICKERS
from lsm.version import Edit
from tests.harness.trees import Tree, writes

KEPT = [kind for kind, picker in PICKERS.items() if issubclass(picker, Scored) and vars(picker).get("lasting") is not None]
SMALL = {"size_ratio": 3, "level_base": 4096, "output_bytes": 400, "l0_trigger": 2, "max_levels": 5}


def anew(picker: Any, view: lsm.TreeView, level: int, candidates: Sequence[lsm.TableInfo], below: Sequence[lsm.TableInfo]) -> list[Any]:
    overlapped = Overlapped(list(below))
    return [picker.score(view, level, t, overlapped) for t in candidates]


def test_most_pickers_keep_their_scores() -> None:
    assert set(KEPT) == {k for k, p in PICKERS.items() if issubclass(p, Scored)} - {"coldest"}


@pytest.mark.parametrize("kind", KEPT)
def test_kept_scores_are_those_of_now(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picker, kept, original = PICKERS[kind], Scored._scores, PICKERS[kind].score
    asked = compared = 0
    views: list[lsm.TreeView] = []

    def counted(self: Any, *given: Any) -> Any:
        nonlocal asked
        asked += 1
        return original(self, *given)

    def checked(self: Any, view: lsm.TreeView, level: int, candidates: Any, below: Any) -> list[Any]:
        nonlocal asked, compared
        scores = kept(self, view, level, candidates, below)
        before = asked
        assert scores == anew(self, view, level, candidates, below)
        asked, compared = before, compared + len(scores)
        views.append(view)
        return scores

    monkeypatch.setattr(picker, "score", counted)
    monkeypatch.setattr(Scored, "_scores", checked)
    rng = random.Random(kind)
    for granularity in ("file", "files"):
        tree = Tree({"compaction": {**SMALL, "layout": "leveling", "picker": kind, "granularity": granularity}})
        for _ in range(60):
            tree.flush(writes(rng, 10, 400, 0.2))
            tree.drain()
    assert compared > 2_000
    assert asked < compared / 2, f"{asked} of {compared} scores were worked out"
    for view in rng.sample(views, 100):  # runs are shared between versions
        for level in view.levels[1:-1]:
            if level.tables:
                choose(picker(), view, level.number, level.tables, view.level(level.number + 1).tables)


def test_a_picker_that_inherits_is_asked_each_time() -> None:
    """What a class says of its score does not hold for the score of a subclass."""

    class Turning(PICKERS["largest"]):  # type: ignore[misc, name-defined]
        kind = "turning"

        def score(self, view: lsm.TreeView, level: int, table: lsm.TableInfo, overlapped: Overlapped) -> Any:
            return (table.number + view.step) % 7

    rng = random.Random("turning")
    tree = Tree({"compaction": {**SMALL, "layout": "leveling"}})
    for _ in range(30):
        tree.flush(writes(rng, 10, 400, 0.2))
        tree.drain()
    level = next(lv for lv in tree.version.levels[1:] if len(lv.tables) > 10)
    for _ in range(5):
        view, tree.steps = tree.view(), tree.steps + 1
        got = choose(Turning(), view, level.number, level.tables, ())
        assert Turning().score(view, level.number, got, Overlapped(())) == min(anew(Turning(), view, level.number, level.tables, ()))


def test_a_run_tells_what_changed_in_it() -> None:
    def table(number: int, low: int, high: int) -> lsm.TableInfo:
        return lsm.TableInfo(number, 10, 1, 0, b"%03d" % low, b"%03d" % high)

    version = lsm.Version().apply(Edit(0, added=tuple((1, 7, table(n, 10 * n, 10 * n + 5)) for n in range(1, 30))))
    (first,) = version.levels[1].runs
    other = lsm.Version().apply(Edit(0, added=((1, 7, table(1, 10, 15)),))).levels[1].runs[0]
    began = first.changes[-1]
    assert first.changed_since(began) == () and other.changed_since(began) is None and first.changed_since(None) is None
    last = first
    for n in range(1, 12):
        version = version.apply(Edit(0, removed=(n,), added=((1, 7, table(100 + n, 10 * n, 10 * n + 6)),)))
        (last,) = version.levels[1].runs
        assert [(c.smallest, c.largest) for c in last.changed_since(began) or ()] == [
            (b"%03d" % (10 * i), b"%03d" % (10 * i + 6)) for i in range(1, n + 1)
        ]
    for n in range(12, 30):
        version = version.apply(Edit(0, removed=(n,)))
    assert version.levels[1].runs[0].changed_since(began) is None, "too long ago"
    assert last.changed_since(began) is not None, "a run never changes"
