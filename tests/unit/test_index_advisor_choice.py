"""Choosing sets of indexes under budgets, against all sets."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.secondary.choice import Problem, choose, exhaustive, extend, frontier


def covering(seed: int, n: int = 10, queries: int = 14) -> Problem:
    """Each query takes the best of the indexes that serve it, as without intersections; writes cost."""
    rng = random.Random(seed)
    saves = [{i: rng.random() ** 2 * 100 for i in rng.sample(range(n), rng.randrange(1, 5))} for _ in range(queries)]
    write = [rng.random() * 4 for _ in range(n)]

    def gain(chosen: frozenset[int]) -> float:
        return sum(max((s[i] for i in chosen if i in s), default=0.0) for s in saves) - sum(write[i] for i in sorted(chosen))

    return Problem([rng.randrange(1, 100) for _ in range(n)], write, gain, {3: frozenset((1, 2))})


def test_a_hand_worked_choice() -> None:
    gains = {0: 10.0, 1: 9.0, 2: 8.0, 3: -1.0}
    problem = Problem([10, 5, 5, 0], [1, 1, 3, 0], lambda s: sum(gains[i] for i in s))
    assert choose(problem) == {0, 1, 2}
    assert choose(problem, space=10) == {1, 2}
    assert choose(problem, space=10, write=3) == {0}
    assert choose(problem, space=9, write=2) == {1}
    assert choose(problem, space=4) == frozenset()
    assert frontier(problem) == [(0, 0), (5, 9), (10, 17), (15, 19), (20, 27)]


def test_an_index_takes_the_place_of_the_one_that_it_extends() -> None:
    def gain(s: frozenset[int]) -> float:
        return 10.0 if 1 in s else 9.0 if 0 in s else 0.0

    problem = Problem([4, 6], [0, 0], gain, {1: frozenset((0,))})
    assert extend(problem, space=6) == {1}
    assert extend(problem, space=5) == {0}


@pytest.mark.parametrize("seed", range(40))
def test_at_least_nine_tenths_of_the_best(seed: int) -> None:
    for share in (0.05, 0.15, 0.3, 0.6, 1.0):
        ours, best = covering(seed), covering(seed)
        space, write = share * sum(ours.space), share * sum(ours.write) if seed % 2 else math.inf
        assert ours.gain(choose(ours, space, write)) >= 0.9 * best.gain(exhaustive(best, space, write)), (seed, share)


@given(st.integers(0, 10**6), st.lists(st.tuples(st.floats(0, 600), st.floats(0, 25)), min_size=2, max_size=5))
def test_budgets_hold_and_more_never_gives_less(seed: int, budgets: list[tuple[float, float]]) -> None:
    problem = covering(seed, n=7)
    chosen = {b: choose(problem, *b) for b in budgets}
    for b, s in chosen.items():
        assert problem.fits(s, *b)
        assert problem.gain(s) >= 0
        for other, t in chosen.items():
            if other[0] <= b[0] and other[1] <= b[1]:
                assert problem.gain(t) <= problem.gain(s)


def test_all_sets_of_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="17 candidates"):
        exhaustive(Problem([1] * 17, [0] * 17, lambda s: 0.0))
