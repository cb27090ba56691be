"""Choosing a set of indexes under budgets of space and of writing: greedily, or by trying all sets.

The greedy way is Extend (Schlosser, Kossmann, Boissier, Efficient scalable multi-attribute index selection using recursive strategies,
ICDE 2019; best for its time in Kossmann et al., Magic mirror in my hand, which is the best in the land?, VLDB 2020): the step that
gains most for its space is taken, where a step adds an index or puts a wider one in the place of one that it extends; at the end single
ones are exchanged. Only steps that fit count, so one run may block itself: it is run for a ladder of budgets that does not depend on the
budget asked for, and of all sets ever looked at the best that fits is taken. So more budget never gives less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

Set = frozenset[int]
LADDER = [2.0 ** (-i / 2) for i in range(17)]  # of what all candidates take together


@dataclass
class Problem:
    """Candidates 0..n-1: ``space`` and ``write`` of each, what each ``extends``, and the gain of a set of them: 0 for none."""

    space: Sequence[float]
    write: Sequence[float]
    gain_of: Callable[[Set], float]
    extends: Mapping[int, Set] = field(default_factory=dict)
    pool: dict[Set, None] = field(default_factory=dict, repr=False)  # what the greedy way has looked at
    _gains: dict[Set, float] = field(default_factory=dict, repr=False)

    def gain(self, chosen: Set) -> float:
        """Return the gain of a set."""
        known = self._gains.get(chosen)
        if known is None:
            known = self._gains[chosen] = self.gain_of(chosen)
        return known

    def space_of(self, chosen: Set) -> float:
        """Return the space of a set."""
        return math.fsum(self.space[i] for i in chosen)

    def write_of(self, chosen: Set) -> float:
        """Return the cost of a row written with a set."""
        return math.fsum(self.write[i] for i in chosen)

    def fits(self, chosen: Set, space: float, write: float) -> bool:
        """Tell whether a set keeps to budgets."""
        return self.space_of(chosen) <= space and self.write_of(chosen) <= write


def extend(problem: Problem, space: float = math.inf, write: float = math.inf, *, by_gain: bool = False) -> Set:
    """Return what one run of Extend chooses. Of two budgets, the parts that a step takes of each are added up; ``by_gain``: the step that
    gains most, whatever it takes.
    """
    per_space, per_write = (1 / space if 0 < space < math.inf else 0.0), (1 / write if 0 < write < math.inf else 0.0)
    per_space = per_space if per_space or per_write else 1.0
    chosen: Set = frozenset()
    while True:
        now = problem.gain(chosen)
        problem.pool[chosen] = None
        best: tuple[float, float, Set] | None = None
        for step in _steps(problem, chosen):
            if not problem.fits(step, space, write):
                continue
            more = problem.gain(step) - now
            problem.pool[step] = None
            if more <= 0:
                continue
            grown = (problem.space_of(step) - problem.space_of(chosen)) * per_space
            grown += (problem.write_of(step) - problem.write_of(chosen)) * per_write
            ratio = 1.0 if by_gain else more / grown if grown > 0 else math.inf
            if best is None or (ratio, more) > best[:2]:
                best = ratio, more, step
        if best is None:
            return _pruned(problem, _swapped(problem, chosen, space, write))
        chosen = best[2]


def _steps(problem: Problem, chosen: Set) -> Iterator[Set]:
    for i in range(len(problem.space)):
        if i in chosen:
            continue
        yield chosen | {i}
        for shorter in sorted(problem.extends.get(i, frozenset()) & chosen):
            yield (chosen - {shorter}) | {i}


def _swapped(problem: Problem, chosen: Set, space: float, write: float) -> Set:
    """Exchange one for another as long as that gains."""
    while True:
        swaps = ((chosen - {i}) | {j} for i in sorted(chosen) for j in range(len(problem.space)) if j not in chosen)
        fitting = [s for s in swaps if problem.fits(s, space, write)]
        problem.pool.update(dict.fromkeys(fitting))
        best = max(fitting, key=problem.gain, default=chosen)
        if problem.gain(best) <= problem.gain(chosen):
            return chosen
        chosen = best


def _pruned(problem: Problem, chosen: Set) -> Set:
    """Without what later choices have made useless."""
    for i in sorted(chosen, key=lambda i: -problem.space[i]):
        if problem.gain(chosen - {i}) >= problem.gain(chosen):
            chosen -= {i}
            problem.pool[chosen] = None
    return chosen


def explore(problem: Problem) -> None:
    """Run Extend for each rung of the ladder in space, in writes, and in both."""
    everything = frozenset(range(len(problem.space)))
    space, write = problem.space_of(everything), problem.write_of(everything)
    for in_space in (math.inf, *LADDER):
        for in_write in (math.inf, *LADDER):
            limits = (space * in_space if space else math.inf, write * in_write if write else math.inf)
            extend(problem, *limits)
            extend(problem, *limits, by_gain=True)


def choose(problem: Problem, space: float = math.inf, write: float = math.inf) -> Set:
    """Return a set that keeps to the budgets: greedily."""
    if not problem.pool:
        explore(problem)
    return _best(problem, list(problem.pool), space, write)


def exhaustive(problem: Problem, space: float = math.inf, write: float = math.inf) -> Set:
    """Return the best set that keeps to the budgets, by trying all: O(2^n). ValueError for more than 16 candidates."""
    n = len(problem.space)
    if n > 16:
        raise ValueError(f"{n} candidates; allowed: 16 for trying all sets")
    return _best(problem, [frozenset(c) for k in range(n + 1) for c in combinations(range(n), k)], space, write)


def _best(problem: Problem, sets: Sequence[Set], space: float, write: float) -> Set:
    """The greatest gain; of equal ones the least space, then the first."""
    fitting = (s for s in sets if problem.fits(s, space, write))
    return min(fitting, key=lambda s: (-problem.gain(s), problem.space_of(s), sorted(s)), default=frozenset())


def frontier(problem: Problem, write: float = math.inf) -> list[tuple[float, float]]:
    """Return (space, gain) of what was looked at and nothing else beats, least space first."""
    points = sorted((problem.space_of(s), -problem.gain(s)) for s in problem.pool if problem.write_of(s) <= write)
    best, kept = -math.inf, []
    for space, negative in points:
        if -negative > best:
            best = -negative
            kept.append((space, best))
    return kept
