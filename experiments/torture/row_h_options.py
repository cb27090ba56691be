"""Row H: a random list of operations gives the model's answers under every set of options, whatever the database does in its pauses.

Every list runs under 32 sets. All options are drawn, parts in Python among them; so that no corner is left to chance, each set has one
fixed besides: a cache of a block, the least memtable, two threads, each part in Python, no log.
"""

from __future__ import annotations

import random
from typing import Any

from . import draws
from .row import Found, Row, Slice
from .script import PAUSES, Expected, Op, Played, draw_ops
from .shrink import shrink

SETS = 32
_OPS, _LISTS = 60, 10
_CORNERS: list[dict[str, Any]] = [
    {},
    {"cache__capacity": 4096, "table__block_size": 4096},  # holds a block at most
    {"write_buffer": 1024},
    {"threads": 2},
    {"memtable": "sorted", "threads": 0},
    {"cache__policy": "oldest_slot", "cache__capacity": 1 << 14},
    {"table__filter": "python_bloom"},
    {"compaction__policy": draws.AnyMerge.kind},
    {"wal__enabled": False},
    {"table__codec": "zstd"},
    {"table__codec": "lz4", "table__read_mode": "mapped"},
]


def slices(full: bool) -> list[Slice]:
    """Ten lists a slice."""
    return [Slice(f"lists-{i * _LISTS}", {"first": i * _LISTS, "lists": _LISTS}) for i in range((5_000 if full else 50) // _LISTS)]


def wrong(ops: list[Op], options: draws.Options, pauses: list[str]) -> str:
    """Play a list and return how it differs from the model, "" when not."""
    expected, played, at = Expected(), None, "opening"
    try:
        played = Played(options, pauses)
        for i, op in enumerate(ops):
            at = f"operation {i} {op!r}"
            want, got = expected.play(op), played.play(op)
            if got != want:
                return f"{at}: expected {want!r}, got {got!r}"
        at = "the end"
        want, got = expected.content(), played.content()
        return "" if got == want else f"{at}: expected {want!r}, got {got!r}"
    except Exception as e:  # whatever it raises is wrong
        return f"{at}: {type(e).__name__}: {e}"
    finally:
        if played is not None:
            played.close()


def _told(ops: list[Op], options: draws.Options, pauses: list[str], problem: str) -> str:
    """The violation with everything to repeat it: the shortest part of the list that goes wrong, the options and the pauses."""
    short = shrink(ops, lambda part: bool(wrong(part, options, pauses)))
    problem = wrong(short, options, pauses) or problem
    return f"{problem}; options {options}; pauses {pauses}; operations {short}"


def run(given: dict[str, Any]) -> Found:
    """Play some lists under all their sets."""
    keep = draws.register_python()
    found = Found()
    for seed in range(given["first"], given["first"] + given["lists"]):
        rng = random.Random(seed)
        ops = draw_ops(rng, _OPS)
        for number in range(SETS):
            options = draws.draw_options(rng, **_CORNERS[number % len(_CORNERS)])
            pauses = [rng.choice(PAUSES) for _ in range(4)]
            if problem := wrong(ops, options, pauses):
                found.violations.append(f"list {seed}, set {number}: {_told(ops, options, pauses, problem)}")
            found.count("runs")
        found.cases += 1
    del keep
    return found


ROW = Row("H", "one list of operations, 32 sets of options", "lists", 50, 5_000, slices, run, more_goals={"runs": (1_600, 160_000)})
