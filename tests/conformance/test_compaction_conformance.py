"""Every registered layout, trigger, granularity, cut, picker and scheduler: what it plans is legal, ends, and loses nothing.

Repeat a case: the seed is the name of the case.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from lsm import Options
from lsm.errors import InvalidOptions
from lsm.options import triggers_of
from lsm.params import params_of
from lsm.policies.base import Layout
from lsm.policies.growth import combinatorial
from lsm.policies.pickers import choose
from lsm.policies.sharded import parts
from lsm.registry import CUTS, GRANULARITIES, LAYOUTS, PICKERS, SCHEDULERS, TIE_BREAKS, TRIGGERS
from tests.harness.trees import ENTRY, Tree, writes

T = 3
SMALL = {"size_ratio": T, "level_base": 2048, "output_bytes": 1000, "l0_trigger": 2, "max_levels": 6}
PARAMS: dict[str, list[str]] = {  # besides the defaults
    "fluid": ["K=2 Z=1", "K=2 Z=2", "K=1 Z=2"],
    "runs-vector": ["runs=2,1", "runs=1,2,1"],
    "capacity-lazy-leveling": ["C=3"],
    "lsm-bush": ["X=1.5"],
    "horizontal": ["levels=1", "levels=2"],
    "horizontal-tiering": ["levels=1 expected=20", "levels=2 expected=20"],
    "vertiorizon": ["levels=1", "levels=2"],
    "ucs": ["w=2", "w=-3", "w=2,0,-2"],
    "guards": ["runs=1", "runs=2"],
    "time-windows": ["window=150", "window=40"],
}
VALUES = {
    "space_amp": "0.5", "staleness": "300", "tombstone_density": "0.3", "tombstone_deadline": "400", "reads": "5",
}  # fmt: skip
CASES = [(kind, params) for kind in LAYOUTS for params in ["", *PARAMS.get(kind, [])]]


def named(kind: str) -> str:
    """The trigger as `compaction.triggers` has it."""
    return f"{kind}={VALUES[kind]}" if params_of(TRIGGERS[kind]) else kind


def driven(name: str, flushes: int = 60, deletes: float = 0.2, **compaction: Any) -> Tree:
    """Drive a tree by random flushes; after each the plans must end, be legal, and leave every key as it was written last."""
    rng = random.Random(name)
    tree = Tree({"compaction": {**SMALL, **compaction}})
    for _ in range(flushes):
        tree.flush(writes(rng, 10, 300, deletes))
        tree.drain()
        tree.check()
        at_rest(tree)
        for t in tree.version.tables():
            tree.reads[t] = tree.reads.get(t, 0) + rng.randrange(3)
    return tree


def at_rest(tree: Tree) -> None:
    """What a layout promises of the tree when nothing is due."""
    c, runs = tree.options.compaction, [len(level.runs) for level in tree.version.levels]
    view, layout = tree.view(), LAYOUTS[c.layout]()
    kind, last, manual = c.layout, view.last, "manual" in c.triggers
    if manual:
        return
    shape = layout.shape(view)
    for level in tree.version.levels:
        wanted = shape.at(level.number)
        assert len(level.runs) <= wanted.runs or (level.number == 0 and not level.runs), (kind, level.number, runs)
        if 0 < level.number < c.max_levels - 1:
            assert level.size <= wanted.capacity, (kind, level.number)
    if kind in ("leveling", "1-leveling", "horizontal", "vertiorizon"):
        first = layout.first(tree.options) if kind == "vertiorizon" else 1
        assert all(n <= 1 for n in runs[first:]), runs
    if kind in ("tiering", "lazy-leveling"):
        assert all(n < c.size_ratio for n in runs), runs
    if kind in ("lazy-leveling", "capacity-lazy-leveling", "lsm-bush") and last >= max(1, shape.last):
        assert runs[last] == 1, runs
    if kind in ("fluid", "runs-vector"):
        k, z = layout.most_runs(tree.options)
        assert all(n <= max(k, z) for n in runs) and (kind != "fluid" or runs[last] <= z), runs
    if kind == "horizontal":
        assert sum(n > 0 for n in runs[1:]) <= layout.levels(tree.options)
    if kind == "horizontal-tiering":
        assert last <= layout.settings(tree.options)["levels"]
    if kind == "ucs":
        ws = layout.settings(tree.options)["w"]
        for level in tree.version.levels:
            t = max(2, 2 + ws[min(level.number, len(ws) - 1)])
            assert all(part.depth < t for part in parts(level)), (level.number, t)
    if kind == "guards":
        most = layout.settings(tree.options)["runs"]
        assert all(part.depth <= most for level in tree.version.levels[1:] for part in parts(level))
        assert runs[0] < c.l0_trigger
    if kind == "fifo":
        assert runs[0] == 0 and last <= 1
    if kind == "time-windows":
        window = layout.settings(tree.options)["window"]
        closed = [max(t.max_seq for t in run.tables) // window for run in view.level(2).runs]
        assert len(set(closed)) == len(closed), "one run a closed window"
        assert all(max(t.max_seq for t in run.tables) // window == tree.seq // window for run in view.level(1).runs)


# Layouts


@pytest.mark.parametrize(("kind", "params"), CASES, ids=[f"{k} {p}".strip() for k, p in CASES])
def test_a_layout_keeps_its_shape_and_loses_nothing(kind: str, params: str) -> None:
    for merge in ("recursive", "preemptive"):
        tree = driven(f"{kind} {params} {merge}", layout=kind, layout_params=params, merge=merge)
        assert tree.steps > 5 and not tree.dropped


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("max_levels", [2, 3])
def test_a_layout_lives_with_few_levels(kind: str, max_levels: int) -> None:
    tree = driven(f"{kind} {max_levels}", flushes=30, layout=kind, max_levels=max_levels)
    assert len(tree.version.levels) <= max_levels


@pytest.mark.parametrize("kind", LAYOUTS)
def test_without_trivial_moves_all_is_written_again(kind: str) -> None:
    moving, writing = (driven(kind, flushes=30, deletes=0, layout=kind, trivial_move=on) for on in (True, False))
    assert writing.written >= moving.written


# The other kinds


@pytest.mark.parametrize("layout", ["leveling", "tiering", "lazy-leveling", "1-leveling", "ucs", "guards"])
@pytest.mark.parametrize("kind", TRIGGERS)
def test_a_trigger_ends_and_gets_what_it_wants(kind: str, layout: str) -> None:
    tree = driven(f"{kind} {layout}", layout=layout, triggers=named(kind))
    view = tree.view()
    tables = [(level.number, t) for level in view.levels for t in level.tables]
    if kind == "tombstone_density":
        assert all(t.deletions / t.entries < 0.3 for _, t in tables)
    if kind == "staleness":
        assert all(view.now - t.created <= 300 for _, t in tables)
    if kind == "space_amp":
        runs = [run.size for level in view.levels for run in level.runs]
        assert sum(runs[:-1]) <= 0.5 * runs[-1]
    if kind == "reads":
        assert all(tree.reads.get(t.number, 0) <= 5 + 3 for level, t in tables if level < view.last)
    if kind == "idle":
        tree.idle = True
        tree.drain()
        tree.check()
        assert all(len(level.runs) <= 1 for level in tree.version.levels)
    if kind == "manual":
        assert tree.steps == 0 and len(view.level(0).runs) == 60


@pytest.mark.parametrize("kind", GRANULARITIES)
@pytest.mark.parametrize("merge", ["recursive", "preemptive"])
def test_a_granularity_moves_what_it_says(kind: str, merge: str) -> None:
    tree = driven(f"{kind} {merge}", layout="leveling", granularity=kind, merge=merge, granularity_params="k=2" if kind == "files" else "")
    assert tree.steps > 20


@pytest.mark.parametrize("kind", CUTS)
def test_a_cut_is_made_where_it_says(kind: str) -> None:
    for layout in ("leveling", "lazy-leveling", "guards"):
        driven(f"{kind} {layout}", layout=layout, cut=kind, output_bytes=3000)
    driven(f"{kind} cap", layout="leveling", cut=kind, overlap_cap=2.0, output_bytes=3000)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_scheduler_loses_no_plan(kind: str) -> None:
    for layout in ("leveling", "tiering", "lazy-leveling", "guards"):
        driven(f"{kind} {layout}", layout=layout, scheduler=kind)


@pytest.mark.parametrize("kind", PICKERS)
def test_a_picker_does_not_care_in_which_order_tables_come(kind: str) -> None:
    tree = driven(kind, layout="leveling", picker=kind)
    rng, picker = random.Random(kind), PICKERS[kind]()
    for level in tree.version.levels[1:]:
        below = tree.view().level(level.number + 1).tables
        for _ in range(10 if level.tables else 0):
            shuffled = rng.sample(level.tables, len(level.tables))
            assert choose(picker, tree.view(), level.number, shuffled, below) == choose(
                picker, tree.view(), level.number, level.tables, below
            )


@pytest.mark.parametrize("tie_break", [kind for kind in TIE_BREAKS if kind != "none"])
def test_ties_fall_as_declared(tie_break: str) -> None:
    """Equal tables over an empty level: all of them tie for the least overlap."""
    tree = Tree({"compaction": {**SMALL, "layout": "leveling", "tie_break": tie_break, "level_base": 1024, "max_levels": 3}})
    for i in (3, 1, 0, 2):
        tree.flush([(b"%d%04d" % (i, k), True) for k in range(5 + (i == 2))])
    tables = tree.version.levels[0].tables
    picked = choose(PICKERS["least_overlap"](), tree.view(), 1, tables, ())
    expected = {"smallest_key": b"0", "largest_key": b"3", "oldest": b"3", "newest": b"2", "largest": b"2"}
    assert picked.smallest[:1] == expected.get(tie_break, picked.smallest[:1])


# What is declared


@pytest.mark.parametrize(
    ("registry", "field"),
    [
        (LAYOUTS, "layout"),
        (PICKERS, "picker"),
        (GRANULARITIES, "granularity"),
        (CUTS, "cut"),
        (SCHEDULERS, "scheduler"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_every_kind_declares_itself_and_refuses_other_parameters(registry: dict[str, Any], field: str) -> None:
    for kind, cls in registry.items():
        assert cls.kind == kind and cls.__doc__ and (field == "picker" or cls.source)
        with pytest.raises(InvalidOptions, match=rf"compaction\.{field}_params.*allowed"):
            Options.from_dict({"compaction": {field: kind, f"{field}_params": "nonsense=1"}})
        for p in params_of(cls):
            for bad in (f"{p.name}=x", f"{p.name}={p.low - 1:g}", p.name, f"{p.name}="):
                with pytest.raises(InvalidOptions, match=rf"compaction\.{field}_params \({p.name}\).*allowed"):
                    Options.from_dict({"compaction": {field: kind, f"{field}_params": bad}})


def test_triggers_refuse_what_they_do_not_know() -> None:
    for bad in ("nonsense", "reads", "idle=3", "reads=0", "reads=1.5", "tombstone_density=2", "reads=3 reads=4", "=", "reads=1,2"):
        with pytest.raises(InvalidOptions, match=r"compaction\.triggers.*allowed"):
            triggers_of(bad)
    assert triggers_of("reads=3 idle") == (("reads", 3), ("idle", None))
    with pytest.raises(InvalidOptions, match="allowed: none with layout fifo"):
        Options.from_dict({"compaction": {"layout": "fifo", "triggers": "idle"}})


def test_a_picker_without_a_tie_break_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class First:
        kind = "first"

        def pick(self, view: Any, level: int, candidates: Any, below: Any) -> Any:
            return candidates[0]

    monkeypatch.setitem(PICKERS, "first", First)
    with pytest.raises(InvalidOptions, match=r"compaction.picker is 'first'; allowed: a picker with tie_break, one of smallest_key"):
        Options.from_dict({"compaction": {"picker": "first"}})
    tree = driven("first", flushes=20, layout="leveling")
    with pytest.raises(InvalidOptions, match="declares tie_break"):
        choose(First(), tree.view(), 1, tree.version.levels[1].tables, ())  # type: ignore[arg-type]
    with pytest.raises(InvalidOptions, match="nothing with picker random"):
        Options.from_dict({"compaction": {"picker": "random", "tie_break": "oldest"}})


def test_a_layout_is_a_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a user's own, registered, is driven by the same suite."""
    from lsm.policies.base import LevelShape, Shape

    class TwoRuns(Layout):
        """Two runs in every level, merged by the third."""

        kind, source = "two-runs", "here"

        def shape(self, view: Any) -> Shape:
            return Shape((LevelShape(runs=2, run_bytes=0),))

    monkeypatch.setitem(LAYOUTS, "two-runs", TwoRuns)
    tree = driven("two-runs", layout="two-runs")
    assert max(len(level.runs) for level in tree.version.levels) == 2


# FADE, FIFO and the arithmetic of growth


@pytest.mark.parametrize("layout", ["leveling", "1-leveling", "tiering", "lazy-leveling", "fluid", "ucs", "guards", "vertiorizon"])
@pytest.mark.parametrize("deadline", [40, 200, 1000])
def test_no_tombstone_grows_older_than_its_deadline(layout: str, deadline: int) -> None:
    """At every moment, between flushes too: the clock may go on by a whole memtable before the policy is asked again."""
    rng = random.Random(f"{layout} {deadline}")
    tree = Tree({"buffer_entries": 10, "compaction": {**SMALL, "layout": layout, "triggers": f"tombstone_deadline={deadline}"}})
    tree.horizon = 10
    for i in range(150):
        tree.flush(writes(rng, 10, 300, 0.3 if i < 100 else 0.0))
        tree.drain()
        tree.check()
        assert tree.oldest_tombstone() + 10 <= max(deadline, 10), "before the next flush it would be too old"
    assert tree.oldest_tombstone() == 0 or deadline == 1000


def test_a_snapshot_does_not_keep_the_deadline_planning_for_ever() -> None:
    tree = Tree({"compaction": {**SMALL, "layout": "leveling", "triggers": "tombstone_deadline=100 tombstone_density=0.1"}})
    rng = random.Random(1)
    tree.flush(writes(rng, 10, 100, 0.5))
    tree.snapshots = (1,)
    for _ in range(40):
        tree.flush(writes(rng, 10, 100, 0.5))
        tree.drain()
        tree.check()


@pytest.mark.parametrize("layout", ["fifo", "time-windows"])
@pytest.mark.parametrize("limit", [{"expire_bytes": 8000}, {"expire_after": 120}])
def test_old_tables_go(layout: str, limit: dict[str, int]) -> None:
    params = "window=50" if layout == "time-windows" else ""
    rng = random.Random(layout)
    tree = Tree({"compaction": {**SMALL, "layout": layout, "layout_params": params, **limit}})
    for i in range(60):
        tree.snapshots = (tree.seq,) if 20 <= i < 30 else ()
        dropped = tree.dropped
        tree.flush(writes(rng, 10, 300, 0.1))
        tree.drain()
        tree.check()
        if tree.snapshots:
            assert tree.dropped == dropped, "a snapshot sees them"
        elif "expire_bytes" in limit:
            assert tree.view().size <= 8000
        else:
            assert all(tree.seq - t.max_seq <= 120 for t in tree.version.tables().values())
    assert tree.dropped > 10
    assert tree.version.tables(), "what is young stays"


def test_combinatorial_numbers_add_up() -> None:
    for digits in (1, 2, 3, 5):
        for n in range(200):
            found = combinatorial(n, digits)
            assert sum(found) == n and len(found) == digits


def test_horizontal_sizes_follow_the_numbers() -> None:
    tree = Tree({"compaction": {**SMALL, "layout": "horizontal", "layout_params": "levels=2", "level_base": 10 * ENTRY * T}})
    for i in range(40):
        tree.flush([(b"%05d" % (10 * i + k), True) for k in range(10)])
        tree.drain()
        held = [tree.view().level(n).size / (10 * ENTRY) for n in (1, 2)]
        assert held == combinatorial(i + 1, 2)


def test_horizontal_tiering_follows_the_schedule() -> None:
    """Figure 5 of Mo et al.: with two levels and k = 3 merges come at flushes 3, 5 and 6."""
    options = {**SMALL, "layout": "horizontal-tiering", "layout_params": "levels=1 expected=6", "level_base": 10 * ENTRY * T}
    tree, merged_at = Tree({"compaction": options}), []
    for i in range(1, 7):
        tree.flush([(b"%05d" % (10 * i + k), True) for k in range(10)])
        merged_at += [i] if tree.drain() else []
    assert merged_at == [3, 5, 6]
