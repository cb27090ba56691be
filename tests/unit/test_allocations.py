"""Filter memory allocations against the cost models: the same rates by formulae written down twice, and the budget is kept."""

from __future__ import annotations

import math
import random

import pytest

import lsm
import recovery
from experiments.costs import allocation as models
from experiments.costs import filters, hybrid, shape
from lsm.errors import InvalidOptions
from lsm.policies.allocation import ALLOCATIONS, Filled


def rates(kind: str, filled: Filled, levels: range) -> list[float]:
    allocation = ALLOCATIONS[kind]()
    return [math.exp(-allocation.bits(i, filled) * math.log(2) ** 2) for i in levels]


def full_tree(t: int, levels: int, n: int = 10**7) -> list[int]:
    return [0, *(round(x) for x in shape.level_entries(n, t, levels))]


@pytest.mark.parametrize("t", [2, 4, 10])
@pytest.mark.parametrize("bits", [1.0, 1.4, 2.0, 5.0, 10.0])
@pytest.mark.parametrize(("layout", "z"), [("leveling", 1), ("tiering", 2)])
def test_monkeys_closed_form_is_equations_5_and_6(t: int, bits: float, layout: str, z: int) -> None:
    levels = 5
    found = rates("monkey_closed", Filled(full_tree(t, levels), bits, t, most_runs=(z, z)), range(1, levels + 1))
    expected = models.monkey_rates(layout, t, levels, bits)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("t", [3, 6, 10])
@pytest.mark.parametrize(("k", "z"), [(1, 1), (2, 1), (9, 1), (2, 2)])
def test_fluid_is_equation_9(t: int, k: int, z: int) -> None:
    k, z = min(k, t - 1), min(z, t - 1)
    bits, levels = 8.0, 4
    total = hybrid.fluid_zero_result(t, k, z, bits)
    expected = hybrid.fluid_rates(total, t, levels, k, z)
    assert rates("fluid", Filled(full_tree(t, levels), bits, t, most_runs=(k, z)), range(1, levels + 1)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["monkey", "monkey_iterative"])
def test_the_optimum_for_the_runs_as_they_are(kind: str) -> None:
    """Exact and iterative, over levels of several equal runs."""
    rng = random.Random(kind)
    for _ in range(20):
        entries = [rng.randrange(10, 10 ** rng.randint(2, 5)) for _ in range(4)]
        runs = [rng.randint(1, 3) for _ in range(4)]
        bits = rng.choice([1.0, 3.0, 8.0])
        each = [n / r for n, r in zip(entries, runs, strict=True) for _ in range(r)]
        expected, place = models.least_rates(each, bits), [sum(runs[:i]) for i in range(4)]
        found = rates(kind, Filled(entries, bits, 10, runs), range(4))
        assert found == pytest.approx([expected[p] for p in place], rel=2e-2 if kind == "monkey_iterative" else 1e-9, abs=1e-4)


@pytest.mark.parametrize("kind", ["uniform", "monkey", "monkey_closed", "monkey_iterative", "fluid", "none_at_last", "access_weighted"])
@pytest.mark.parametrize("bits", [2.0, 5.0, 10.0])
def test_the_budget_is_kept(kind: str, bits: float) -> None:
    entries = full_tree(10, 4)
    filled = Filled(entries, bits, 10, reads=[0, 5, 1000, 10, 10])
    spent = sum(ALLOCATIONS[kind]().bits(i, filled) * n for i, n in enumerate(entries))
    assert spent <= bits * sum(entries) * 1.001
    if kind not in ("none_at_last", "fluid", "monkey_closed"):
        assert spent == pytest.approx(bits * sum(entries), rel=1e-3)
    if kind in ("fluid", "monkey_closed"):  # for infinitely many levels
        assert spent == pytest.approx(bits * sum(entries), rel=2e-3)


def test_progressive_by_hand_and_weighted() -> None:
    entries = full_tree(10, 3)
    filled = Filled(entries, 10.0, 10)
    progressive = [ALLOCATIONS["progressive"]().bits(i, filled) for i in range(1, 4)]
    assert progressive[2] == 10.0
    assert progressive[0] - progressive[1] == progressive[1] - progressive[2] == pytest.approx(filters.bits_step(10.0))
    by_hand = ALLOCATIONS["by_hand"]()
    assert [by_hand.bits(i, Filled(entries, 10.0, 10, params="bits=12,8.5,0")) for i in range(5)] == [12, 8.5, 0, 0, 0]
    cold, hot = (ALLOCATIONS["access_weighted"]().bits(2, Filled(entries, 5.0, 10, reads=reads)) for reads in ([0, 9, 0, 0], [0, 0, 9, 0]))
    assert hot > cold
    assert ALLOCATIONS["none_at_last"]().bits(3, filled) == 0 and ALLOCATIONS["none_at_last"]().bits(2, filled) == 10.0


def test_an_empty_tree_and_empty_levels_get_something() -> None:
    for kind, allocation in ALLOCATIONS.items():
        for entries in ([], [0], [0, 0, 500], [7], [3, 0, 0, 0, 10**6]):
            for level in range(7):
                assert 0 <= allocation().bits(level, Filled(entries, 6.0, 4, [1] * len(entries))) < 400, (kind, entries, level)


@pytest.mark.parametrize("params", ["bits=x", "bits=-1", "bits=65", "bits=", "other=1", "bits"])
def test_bad_parameters(params: str) -> None:
    with pytest.raises(InvalidOptions, match=r"filter_params.*allowed"):
        lsm.Options.from_dict({"filter_allocation": "by_hand", "filter_params": params})
    with pytest.raises(InvalidOptions, match=r"filter_params.*takes no parameters"):
        lsm.Options.from_dict({"filter_allocation": "monkey", "filter_params": params})


@pytest.mark.parametrize("kind", ALLOCATIONS)
def test_the_engine_builds_filters_as_allocated(kind: str) -> None:
    options = {
        "threads": 0,
        "write_buffer": 1 << 16,
        "buffer_entries": 100,
        "compaction": {"layout": "lazy-leveling", "size_ratio": 3, "level_base": 1 << 13},
    }
    with lsm.open("/d", {**options, "filter_allocation": kind}, fs=recovery.memory()) as db:
        for i in range(1000):
            db.put(b"%05d" % (i * 7919 % 1000), b"v" * 20)
            db.get(b"%05d" % i)
        assert [k for k, _ in db.scan()] == sorted(b"%05d" % i for i in range(1000))
        assert all(db.get(b"%05d" % i) for i in range(0, 1000, 7))
        last = db.default.view().last
        asked = db.default.table_settings(last)
        assert asked.handle.bits_per_key == min(64, ALLOCATIONS[kind]().bits(last, db.default.filled()))
