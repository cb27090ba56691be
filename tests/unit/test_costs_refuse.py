"""What the models refuse: every parameter out of its range, by name and with what is allowed; and what they must take."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, get_origin

import pytest

from experiments.costs import COSTS, SYMBOLS, allocation, bush, filters, hybrid, lookups, shape, space, updates, vector
from experiments.costs.cost import checked, cost

GOOD: dict[str, Any] = {
    "accesses": [1, 2, 1], "base_shards": 4, "bits": 10, "blocks": 2, "buffer_entries": 1e4, "density": 1e9, "entries": 1e6,
    "existing_cost": 1.0, "existing_share": 0.25, "flush_bytes": 1e6, "growth": 2.0, "kind": "bloom", "last_rate": 0.01,
    "last_ratio": 3.0, "last_runs": 1.0, "layout": "tiering", "length": 10, "levels": 3, "max_runs": 2.0, "page_entries": 32,
    "range_cost": 5.0, "range_share": 0.25, "rates": [0.01, 0.1], "read_seconds": 1e-4, "runs": [3.0, 3.0, 3.0, 1.0], "scanned":
    100, "selectivity": 0.1, "sequential_speed": 1.0, "shard_growth": 0.5, "size_ratio": 4, "target_bytes": 1e6, "total_rate": 0.01,
    "update_cost": 0.1, "update_share": 0.25, "w": 2, "write_cost": 1.0, "zero_result": 0.05, "zero_share": 0.25,
}  # fmt: skip
ALL = [(number, p.name) for number, c in COSTS.items() for p in c.parameters()]


def arguments(number: str) -> dict[str, Any]:
    return {p.name: GOOD[p.name] for p in COSTS[number].parameters()}


def numbers(answer: Any) -> list[float]:
    if isinstance(answer, int | float):
        return [answer]
    if isinstance(answer, tuple):
        return [x for part in answer for x in numbers(part)]
    return [x for part in vars(answer).values() for x in numbers(part)] if hasattr(answer, "__dict__") else []


@pytest.mark.parametrize("number", COSTS)
def test_good_values_give_finite_answers(number: str) -> None:
    got = numbers(COSTS[number].function(**arguments(number)))
    assert (got or number == "C20") and all(math.isfinite(x) and x >= 0 for x in got)


@pytest.mark.parametrize(("number", "name"), ALL)
def test_values_out_of_range_are_refused_by_name(number: str, name: str) -> None:
    symbol, c = SYMBOLS[name], COSTS[number]
    many = get_origin(next(p for p in c.parameters() if p.name == name).annotation) is Sequence
    bad: list[Any] = [math.nan, math.inf, "x", None, True]
    if symbol.low > -math.inf:
        bad.append(symbol.low if symbol.above else symbol.low - 1)
    if symbol.high < math.inf:
        bad.append(symbol.high + 1)
    if symbol.whole:
        bad.append(symbol.low + 1.5 if symbol.low > -math.inf else 0.5)
    for value in bad:
        with pytest.raises(ValueError, match=name) as refusal:
            c.function(**arguments(number) | {name: [value] if many else value})
        assert "allowed" in str(refusal.value) and (not isinstance(value, float) or repr(value) in str(refusal.value))
    if many:
        with pytest.raises(ValueError, match=f"{name} is empty"):
            c.function(**arguments(number) | {name: []})


def test_values_at_the_edges_are_taken() -> None:
    assert shape.levels(1, 2, 1) == 1 and filters.bloom_rate(0) == 1
    assert shape.levels(1e300, 2, 1) > 900
    assert updates.update("tiering", 2, 64, 1, 0) > 0
    assert math.isfinite(bush.bush(1e30, 2, 0.5, 3, 1).runs[0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: lookups.existing(0.1, 0.2), "last_rate is 0.2; allowed: 0 to zero_result = 0.1"),
        (lambda: hybrid.fluid_range(10, 4, 10, 1, 1, 1), "max_runs is 10; allowed: 1 to size_ratio - 1 = 9"),
        (lambda: hybrid.fluid_update(4, 4, 1, 3.5, 1), "last_runs is 3.5; allowed: 1 to size_ratio - 1 = 3"),
        (lambda: space.space(2, 2), "last_runs is 2; allowed: 1 to size_ratio - 1 = 1"),
        (lambda: hybrid.fluid_zero_result(10, 1, 1, 0.5), "bits is 0.5; allowed: from 0.5325"),
        (lambda: hybrid.lazy_leveling(3, 4, 1.6), "bits is 1.6; allowed: from 1.624"),
        (lambda: hybrid.fluid_rates(2, 10, 3, 1, 1), "zero_result is 2; allowed: 0 to 1.11"),
        (lambda: updates.throughput(0.5, 1, 0.5, 1, 0.5, 1, 0, 1, 1), "is 1.5; allowed: 1"),
        (lambda: updates.throughput(1, 0, 0, 1, 0, 1, 0, 1, 1), "mean cost is 0"),
        (lambda: vector.vector(1e9, 10, [1, 1], 10, 32, 0, 1e6), "runs has 2 values; allowed: 4"),
        (lambda: vector.vector(1e6, 10, [12], 10, 32), "runs is 12; allowed: 1 to size_ratio - 1 = 9"),
        (lambda: filters.filter_memory([0.5, 0.0], 10, 2), "rates has a 0"),
        (lambda: filters.filter_rate("mine", 10), "kind is 'mine'; allowed: none, binary_fuse16"),
        (lambda: filters.filter_rate("bloom", 0.5), "bits is 0.5; allowed: 0, or 1 to 64"),
        (lambda: allocation.unfiltered_levels(1e254, 0, 1), "size_ratio = 1e+254, bits = 0, levels = 1: beyond what a float can hold"),
        (lambda: filters.bits_step(10, "mine"), "kind is 'mine'; allowed: bloom, fuse"),
        (lambda: allocation.monkey_rates("lazy-leveling", 10, 3, 5), "layout is 'lazy-leveling'; allowed: leveling, tiering"),
        (lambda: lookups.uniform_zero_result("mine", 10, 3, 5), "layout is 'mine'; allowed: leveling, 1-leveling, lazy-leveling, tiering"),
        (lambda: bush.bush(1e300, 1e6, 1, 60, 1), "beyond what a float can hold"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(call: Any, said: str) -> None:
    with pytest.raises(ValueError) as refusal:
        call()
    assert said in str(refusal.value)


def test_a_model_with_an_unknown_parameter_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="no symbols: speed"):
        checked(lambda speed: speed)
    before = dict(COSTS)
    with pytest.raises(TypeError, match="no symbols: speed"):
        cost("C29", "", "", "", (), "")(lambda speed: speed)
    assert before == COSTS


@pytest.mark.parametrize("seed", range(28))
def test_any_values_give_a_finite_answer_or_are_refused(seed: int) -> None:
    """Repeat with the number in the test's name. Values are drawn at and near the edges of what is allowed, and over 600 orders."""
    rng, number = random.Random(seed), f"C{seed + 1}"
    answered = 0
    for _ in range(300):
        given = arguments(number)
        for name in rng.sample(list(given), rng.randint(0, len(given))):
            if name != "kind":
                given[name] = drawn(rng, name, isinstance(given[name], list))
        try:
            answer = COSTS[number].function(**given)
        except ValueError as e:
            assert "allowed" in str(e), (given, str(e))
        else:
            answered += 1
            assert all(math.isfinite(x) and x > -1e-6 for x in numbers(answer)), (given, answer)
    assert answered > 5


def drawn(rng: random.Random, name: str, many: bool) -> Any:
    s = SYMBOLS[name]
    if many:
        return [drawn(rng, name, False) for _ in range(rng.randint(1, 4))]
    if s.choices:
        return rng.choice(s.choices)
    low = s.low if s.low > -math.inf else -100
    near = [low + (1e-12 if s.above else 0), low + 1, low + 10 ** rng.uniform(-6, 3), low + 10 ** rng.uniform(-300, 300)]
    value = rng.choice(near + ([s.high, low + (s.high - low) * rng.random()] if s.high < math.inf else []))
    return (int(value) if value < 1e6 else float(int(value))) if s.whole else value
