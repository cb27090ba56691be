"""The index advisor against trying all sets of indexes: the gain of its choice under the same budgets, on generated workloads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import lsm
import recovery
from lsm.secondary import advisor, candidates, choice
from lsm.secondary.constants import Constants
from lsm.secondary.sample import take_sample

from .advisor_workload import make_table, make_workload

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # of the space of all candidates
GOAL = 0.9


@dataclass(frozen=True)
class Row:
    """One workload under one budget. Gains are shares of the workload's cost without indexes."""

    seed: int
    budget: float  # share of the space of all candidates
    candidates: int
    chosen: tuple[str, ...]
    best: tuple[str, ...]
    gain: float
    best_gain: float

    @property
    def share(self) -> float:
        """Of the gain that can be had."""
        return self.gain / self.best_gain if self.best_gain > 0 else 1.0


@dataclass
class Result:
    """``greedy_s`` and ``exhaustive_s``: seconds for all of the choices."""

    rows_of_table: int
    candidates: int
    rows: list[Row] = field(default_factory=list)
    greedy_s: float = 0.0
    exhaustive_s: float = 0.0

    def goals(self) -> list[dict[str, Any]]:
        """Return what must hold, and whether it does."""
        worst = min((r.share for r in self.rows), default=1.0)
        return [{"what": "gain of exhaustive search, least", "goal": GOAL, "got": worst, "pass": worst >= GOAL}]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        rows = [{**vars(r), "share": r.share} for r in self.rows]
        return {"rows_of_table": self.rows_of_table, "goals": self.goals(), "rows": rows} | {
            "greedy_s": self.greedy_s, "exhaustive_s": self.exhaustive_s
        }  # fmt: skip


def bench(seeds: range, rows: int, most: int, told: Callable[[str], None], writes: float = 2000.0) -> Result:
    """Compare on one table and workload a seed. O(2^most) a seed."""
    result = Result(rows, most)
    for seed in seeds:
        told(f"workload {seed}")
        with lsm.open("/advisor", {"threads": 0}, fs=recovery.memory()) as db:
            table, load = make_table(db, seed, rows), make_workload(seed, writes=writes)
            study = advisor.Study(table, load, take_sample(table, 2000, seed), Constants())
            study.gather(candidates.definitions(load, study.sample), most)
        greedy, trying = study.problem(0.001 * study.before), study.problem(0.001 * study.before)
        for share in SHARES:
            space = share * sum(greedy.space)
            begun = perf_counter()
            ours = choice.choose(greedy, space)
            between = perf_counter()
            best = choice.exhaustive(trying, space)
            result.greedy_s += between - begun
            result.exhaustive_s += perf_counter() - between
            names, of_best = (tuple(study.new[i].name for i in sorted(s)) for s in (ours, best))
            gain, best_gain = greedy.gain(ours) / study.before, trying.gain(best) / study.before
            result.rows.append(Row(seed, share, len(study.new), names, of_best, gain, best_gain))
    return result
