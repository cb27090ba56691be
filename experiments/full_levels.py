"""A tree whose levels are all full, for every layout that a paper or its code has a closed form for: what "worst case" is drawn from.

| layout | runs at rest | writes by merges | space |
|---|---|---|---|
| leveling, 1-leveling, lazy-leveling, tiering | K, Z of the layout | C10 | C19 |
| fluid | K, Z | C18 | C19 |
| runs-vector | K_i | C23 | C19 of the last level |
| ucs | t_i - 1, ratios f_i | C24: as C18, (f_i - 1) / t_i a level | C19 of the last level |
| capacity-lazy-leveling, lsm-bush | C21, C22 | none: O(C + L) alone was published | 1 / C: what is above the last level |

Level 0 holds nothing at rest where it is a buffer; with ucs, capacity-lazy-leveling and lsm-bush it is the first level of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lsm

from .costs import hybrid, shape, space, symbols, ucs, updates, vector

MOST_RUNS = 1_000_000


@dataclass(frozen=True)
class Full:
    """runs: the most at rest in level 0 and each below. merges: how often they write an entry. space: obsolete entries a live one. shares:
    entries of each level by all. reads, writes, scans, sizes: ids of the models."""

    runs: tuple[float, ...]
    merges: float | None
    space: float
    shares: tuple[float, ...]
    reads: str
    writes: str
    scans: str
    sizes: str


def full_levels(compaction: Mapping[str, Any], last: int) -> Full | None:
    """The full tree of these options whose deepest level is `last`, at least 1; None for a layout without a closed form, and for a policy
    of the user's."""
    made = None if compaction.get("policy") else FULL.get(compaction["layout"])
    return made(compaction, last) if made else None


def settings(compaction: Mapping[str, Any]) -> tuple[Any, lsm.Options]:
    """The layout, and options from which it reads its parameters."""
    names = ("layout", "layout_params", "size_ratio")
    return lsm.LAYOUTS[compaction["layout"]](), lsm.Options.from_dict({"compaction": {n: compaction[n] for n in names if n in compaction}})


def bounded_runs(compaction: Mapping[str, Any], last: int) -> list[float]:
    """K_1, K_2, ... down to the last level, of fluid and runs-vector."""
    layout, options = settings(compaction)
    if compaction["layout"] == "fluid":
        most, at_last = layout.most_runs(options)
        return [*[float(most)] * (last - 1), float(at_last)]
    given = layout.vector(options)
    return [float(given[min(i, len(given) - 1)]) for i in range(last)]


def bush_ratios(compaction: Mapping[str, Any], last: int) -> list[float]:
    """Runs of level 0, 1, ... that merge into one of the next, without the last level: capacity-lazy-leveling and lsm-bush."""
    layout, options = settings(compaction)
    t, growth = compaction["size_ratio"], layout.settings(options).get("X", 1.0)
    powers = [growth ** (last - i - 1) for i in range(last)]
    return [float(MOST_RUNS if p * math.log(t) > math.log(MOST_RUNS) else math.floor(t**p + 1e-9)) for p in powers]


def _named(c: Mapping[str, Any], last: int) -> Full:
    layout, t = c["layout"], c["size_ratio"]
    most, at_last = shape.most_runs(layout, t)
    zero = c["l0_trigger"] - 1.0 if layout == "1-leveling" else 0.0 if layout == "leveling" else most
    runs = (zero, *[most] * (last - 1), at_last)
    return Full(runs, updates.merges(layout, t, last), space.space(t, at_last), _even(t, last), "C8", "C10", "C17", "C19")


def _fluid(c: Mapping[str, Any], last: int) -> Full:
    t, runs = c["size_ratio"], bounded_runs(c, last)
    merges = hybrid.fluid_update(t, last, runs[0] if last > 1 else 1, runs[-1], page_entries=1)
    return Full((0.0, *runs), merges, space.space(t, runs[-1]), _even(t, last), "C3", "C18", "C17", "C19")


def _vector(c: Mapping[str, Any], last: int) -> Full:
    t, runs = c["size_ratio"], bounded_runs(c, last)
    return Full((0.0, *runs), vector.vector_merges(t, runs), space.space(t, runs[-1]), _even(t, last), "C3", "C23", "C23", "C19")


def _ucs(c: Mapping[str, Any], last: int) -> Full:
    layout, options = settings(c)
    ws = layout.settings(options)["w"]
    each = [ucs.ucs(ws[min(i, len(ws) - 1)], density=1, flush_bytes=1, target_bytes=1, base_shards=1) for i in range(last + 1)]
    merges = sum((u.fanout - 1) / u.threshold for u in each)
    held = [math.prod(u.fanout for u in each[:i]) for i in range(last + 1)]
    runs = tuple(u.threshold - 1.0 for u in each)
    return Full(runs, merges, space.space(each[-1].fanout, runs[-1]), _shares(held), "C3", "C24", "C24", "C19")


def _bush(c: Mapping[str, Any], last: int) -> Full:
    layout, options = settings(c)
    given, t, ratios = layout.settings(options), c["size_ratio"], bush_ratios(c, last)
    x = given.get("X", 1.0)
    if x > 1:  # C22, in parts of N / (C + 1)
        held = [(t / r) ** (1 / (x - 1)) * (r - 1) / r for r in ratios]
    else:  # C21
        held = [(t - 1) / t * t ** -(last - i - 1.0) for i in range(last)]
    shares = _shares([*held, given["C"]])
    model = "C22" if x > 1 else "C21"
    return Full((*(r - 1 for r in ratios), 1.0), None, 1 / given["C"], shares, "C3", model, model, model)


def _even(ratio: float, last: int) -> tuple[float, ...]:
    return shape.level_entries(1.0, ratio, last + 1)


def _shares(held: Sequence[float]) -> tuple[float, ...]:
    return tuple(n / sum(held) for n in held)


FULL: Mapping[str, Callable[[Mapping[str, Any], int], Full]] = {
    **dict.fromkeys(symbols.LAYOUTS, _named), "fluid": _fluid, "runs-vector": _vector, "ucs": _ucs, "capacity-lazy-leveling": _bush,
    "lsm-bush": _bush,
}  # fmt: skip
