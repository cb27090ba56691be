"""How a policy stands against the built-ins: bytes written, runs to read, space. One is dominated when another is as good in all three."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lsm
from lsm.policies import make_policy

from ..simulate import Operations, prepare, simulate
from .files import make

MEASURES = {"WA-noWAL": "bytes written", "RA-runs": "runs", "SA+1": "space"}
AS_GOOD, BETTER = 1.005, 0.98
"""As good: at most this many times as much. Better: at most this many times as much in one measure."""
OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "compaction": {"size_ratio": 4, "level_base": 1 << 18, "output_bytes": 1 << 16},
}


@dataclass(frozen=True)
class Figures:
    """What a policy costs on one stream."""

    policy: str
    values: dict[str, float]


@dataclass(frozen=True)
class Standing:
    """Figures of a policy and of the built-ins, and which of these dominate it, in words."""

    workload: str
    own: Figures
    others: tuple[Figures, ...]
    dominated_by: tuple[str, ...]


def streams(entries: int) -> list[tuple[str, Operations]]:
    """What is written: new keys only, and half of the writes over what is there."""
    return [
        ("inserts", Operations.drawn("fillrandom", entries, seed=11)),
        ("updates", Operations.drawn("overwrite", entries, seed=12)),
    ]


def standings(name: str, entries: int, told: Callable[[str], None] = lambda what: None) -> list[Standing]:
    """Run a policy and every built-in layout on the same streams in the simulator. Refused when it breaks a rule."""
    options = lsm.Options.from_dict(OPTIONS)
    found = []
    for workload, operations in streams(entries):
        filled = prepare(operations, options)

        def figures(policy: str, made: Any, o: lsm.Options, operations: Any = operations, filled: Any = filled) -> Figures:
            told(policy)
            amplifications = simulate(made, o, operations, filled=filled).counters.amplifications()
            values = {m: amplifications[m] or 0.0 for m in ("WA-noWAL", "RA-runs")} | {"SA+1": 1 + (amplifications["SA"] or 0.0)}
            return Figures(policy, values)

        own = figures(name, make(name), options)
        others = []
        for layout in sorted(lsm.LAYOUTS):
            o = options.override({"compaction": {"layout": layout}})
            others.append(figures(layout, make_policy(o), o))
        found.append(Standing(workload, own, tuple(others), tuple(_words(own, other) for other in others if dominates(other, own))))
    return found


def dominates(a: Figures, b: Figures) -> bool:
    """Whether a is as good as b in every measure and better in one."""
    ratios = [a.values[m] / b.values[m] if b.values[m] else 1.0 for m in MEASURES]
    return max(ratios) <= AS_GOOD and min(ratios) <= BETTER


def _words(own: Figures, other: Figures) -> str:
    more = {what: round(100 * (own.values[m] / other.values[m] - 1)) for m, what in MEASURES.items() if other.values[m]}
    parts = [f"{what} {n:+d} %" if n else f"{what} the same" for what, n in more.items()]
    return f"{other.policy} (beside it {own.policy} has {', '.join(parts)})"
