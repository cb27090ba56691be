"""The compaction policy of a live database is changed: content stays, the tree takes the new shape, names and options outlive closing."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

import lsm
import recovery
from lsm.errors import InvalidOptions
from tests.conformance.test_compaction_conformance import SMALL, at_rest, writes
from tests.harness.trees import Tree

PAIRS = list(itertools.permutations(lsm.LAYOUTS, 2))
LAYOUTS_THAT_TAKE_TRIGGERS = {kind: cls.takes_triggers for kind, cls in lsm.LAYOUTS.items()}
ALIKE = {"size_ratio": 3, "level_base": 8192, "output_bytes": 2048, "l0_trigger": 2, "max_levels": 6}


@pytest.mark.parametrize("first", lsm.LAYOUTS)
def test_a_tree_of_any_layout_is_brought_into_shape(first: str) -> None:
    """Every ordered pair, without files: plans are legal, end, and lead to what the second layout promises."""
    for second in lsm.LAYOUTS:
        rng = random.Random(f"{first} {second}")
        tree = Tree({"compaction": {**SMALL, "layout": first}})
        for layout in (first, second):
            tree.options = tree.options.override({"compaction": {"layout": layout}})
            for _ in range(12):
                tree.drain()
                tree.check()
                tree.flush(writes(rng, 10, 300))
            tree.drain()
        tree.check()
        if second not in ("fifo", "time-windows", "horizontal-tiering"):  # these leave old data where it is
            at_rest(tree)


@pytest.mark.parametrize("second", lsm.LAYOUTS)
def test_a_tree_that_is_deeper_than_allowed_still_comes_to_rest(second: str) -> None:
    """max_levels may shrink on a live database, and from one opening to the next: what is deeper stays, and takes in what comes down."""
    triggers = "tombstone_deadline=60 space_amp=0.3 tombstone_density=0.2 staleness=100" if LAYOUTS_THAT_TAKE_TRIGGERS[second] else ""
    for first, max_levels in itertools.product(("leveling", "tiering", "guards"), (2, 3)):
        rng = random.Random(f"{first} {second} {max_levels}")
        tree = Tree({"compaction": {**SMALL, "layout": first, "level_base": 1024, "size_ratio": 2}})
        for _ in range(30):
            tree.flush(writes(rng, 10, 300))
            tree.drain()
        deep = tree.view().last
        tree.options = tree.options.override({"compaction": {"layout": second, "max_levels": max_levels, "triggers": triggers}})
        for _ in range(8):
            tree.drain()
            tree.check()
            tree.flush(writes(rng, 10, 300))
        assert deep > max_levels - 1 and tree.view().last <= deep


def path_over_all_pairs() -> list[str]:
    """Return layouts in an order in which each follows each other one once: an Euler path."""
    left = {kind: [other for other in lsm.LAYOUTS if other != kind] for kind in lsm.LAYOUTS}
    stack, path = [next(iter(lsm.LAYOUTS))], list[str]()
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            path.append(stack.pop())
    return path[::-1]


@pytest.mark.parametrize("threads", [0, 2])
def test_every_layout_follows_every_other_on_one_live_database(threads: int) -> None:
    path, fs, model, rng = path_over_all_pairs(), recovery.memory(), dict[bytes, bytes](), random.Random(5)
    assert set(itertools.pairwise(path)) == set(PAIRS)
    with lsm.open("/d", fs=fs, threads=threads, write_buffer=1 << 16, buffer_entries=12, compaction={**ALIKE, "layout": path[0]}) as db:
        for i, layout in enumerate(path):
            db.set_policy(layout)
            with db.snapshot() as snapshot:
                held = dict(model)
                for _ in range(25):
                    key = b"%04d" % rng.randrange(300)
                    if rng.random() < 0.2:
                        db.delete(key)
                        model.pop(key, None)
                    else:
                        model[key] = b"%06d" % rng.randrange(10**6) * 6
                        db.put(key, model[key])
                if rng.random() < 0.1:
                    db.delete_range(b"0100", b"0110")
                    model = {k: v for k, v in model.items() if not b"0100" <= k < b"0110"}
                db.wait()
                if i % 10 == 0:
                    assert dict(snapshot.scan()) == held
            assert db.default.options.compaction.layout == layout
            if i % 10 == 0:
                assert dict(db.scan()) == model
        assert dict(db.scan()) == model and not db.verify() and db.health.state == "ok"


def test_a_name_and_options_outlive_closing_and_an_object_does_not(fs: Any = None) -> None:
    fs = recovery.memory()
    compaction = {**ALIKE, "layout": "tiering"}
    with lsm.open("/d", fs=fs, threads=0, compaction=compaction) as db:
        other = db.keyspace("other", {"compaction": {"layout": "lazy-leveling"}})
        db.set_policy("leveling")
        other.set_policy({"compaction": {"layout": "fluid", "layout_params": "K=2 Z=1"}, "stalls": {"stop_runs": 50}})
        other.set_policy({"compaction": {"rate_limit": 1 << 30}, "filter_allocation": "monkey"})
    with lsm.open("/d", fs=fs, threads=0, compaction=compaction) as db:
        assert db.default.options.compaction.layout == "leveling" and db.default.options.compaction.size_ratio == 3
        c = db.keyspace("other").options.compaction
        assert (c.layout, c.layout_params, c.rate_limit, c.output_bytes) == ("fluid", "K=2 Z=1", 1 << 30, 2048)
        assert db.keyspace("other").options.stalls.stop_runs == 50 and db.keyspace("other").options.filter_allocation == "monkey"
        db.set_policy(type("Never", (), {"plan": lambda self, view: None})())
    with lsm.open("/d", fs=fs, threads=0, compaction=compaction) as db:
        assert type(db.default.policy).__name__ == "Leveling"


def test_a_crash_keeps_the_policy_or_the_one_before() -> None:
    fs = recovery.memory()
    with lsm.open("/d", fs=fs, threads=0, compaction=ALIKE) as db:
        db.set_policy("tiering")
        copy = recovery.memory()
        copy.makedirs("/d")
        for path in fs.walk_files("/d"):
            copy.write_all(path, fs.read_all(path), sync=True)
    with lsm.open("/d", fs=copy, threads=0, compaction=ALIKE) as db:
        assert db.default.options.compaction.layout == "tiering"


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        ("levelling", InvalidOptions, "policy is 'levelling'; allowed: .*did you mean 'leveling'"),
        ({"write_buffer": 1 << 20}, InvalidOptions, "write_buffer is 1048576; allowed: of a live database: compaction, stalls"),
        ({"compaction": {"layout": "tiering", "nonsense": 1}}, InvalidOptions, "nonsense"),
        ({"compaction": {"size_ratio": 1}}, InvalidOptions, "size_ratio is 1; allowed"),
        (5, TypeError, r"has plan\(view\)"),
        (None, TypeError, r"has plan\(view\)"),
    ],
)
def test_what_is_refused_changes_nothing(given: Any, error: type[Exception], why: str) -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
        before = db.default.options, db.default.policy
        with pytest.raises(error, match=why):
            db.set_policy(given)
        assert (db.default.options, db.default.policy) == before
        with pytest.raises(KeyError):
            db.set_policy("tiering", "nowhere")
