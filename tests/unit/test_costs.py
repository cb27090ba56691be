"""The cost models: identities that the papers promise, tables of the reference study, limits, monotonicity."""

from __future__ import annotations

import itertools
import math
import random
import re

import numpy as np
import pytest

import eviction
import lsm
from experiments.costs import (
    COSTS,
    allocation,
    asymptotics,
    bush,
    caching,
    filters,
    hybrid,
    lookups,
    ranges,
    shape,
    space,
    ucs,
    updates,
    vector,
)
from experiments.costs.symbols import LAYOUTS

RATIOS = [2, 3, 4, 6, 10, 30]
TWO = ["leveling", "tiering"]


def test_there_are_28_and_all_carry_what_a_plot_needs() -> None:
    assert list(COSTS) == [f"C{i}" for i in range(1, 29)]
    assert all(c.unit and c.source and c.evidence and c.title and c.function.__doc__ for c in COSTS.values())
    assert [n for n, c in COSTS.items() if "abs" in c.marks] == ["C27"]  # only the abstract was read: it must not look like the others


# Where layouts meet


@pytest.mark.parametrize("levels", [1, 2, 5, 9])
def test_all_layouts_are_one_at_a_size_ratio_of_two(levels: int) -> None:
    """Monkey section 4.2; at T = 2 tiering has one run a level, as leveling."""
    assert len({updates.update(layout, 2, levels, 32) for layout in LAYOUTS}) == 1
    assert len({lookups.uniform_zero_result(layout, 2, levels, 5) for layout in LAYOUTS}) == 1
    assert len({ranges.range_lookup(layout, 2, levels, 1e6, 32, 0.1) for layout in LAYOUTS}) == 1
    assert len({lookups.monkey_zero_result(layout, 2, levels, 5) for layout in TWO}) == 1
    assert allocation.monkey_rates("leveling", 2, levels, 5) == allocation.monkey_rates("tiering", 2, levels, 5)
    assert hybrid.lazy_leveling(2, levels, 5).zero_result == pytest.approx(hybrid.fluid_zero_result(2, 1, 1, 5))
    assert space.space(2, shape.most_runs("tiering", 2)[1]) == space.space(2, 1) == 0.5


@pytest.mark.parametrize("t", RATIOS)
@pytest.mark.parametrize("bits", [2.5, 5, 10])
def test_fluid_becomes_leveling_lazy_leveling_and_tiering(t: float, bits: float) -> None:
    leveling, tiering = (lookups.monkey_zero_result(layout, t, 8, bits) for layout in TWO)
    assert hybrid.fluid_zero_result(t, 1, 1, bits) == pytest.approx(leveling)
    assert hybrid.fluid_zero_result(t, t - 1, t - 1, bits) == pytest.approx(tiering)
    lazy = hybrid.lazy_leveling(t, 8, bits)
    assert hybrid.fluid_zero_result(t, t - 1, 1, bits) == pytest.approx(lazy.zero_result)
    assert hybrid.fluid_rates(leveling, t, 8, 1, 1) == pytest.approx(allocation.monkey_rates("leveling", t, 8, bits))
    assert hybrid.fluid_rates(tiering, t, 8, t - 1, t - 1) == pytest.approx(allocation.monkey_rates("tiering", t, 8, bits))
    assert hybrid.fluid_rates(lazy.zero_result, t, 8, t - 1, 1) == pytest.approx(lazy.rates)


@pytest.mark.parametrize("t", RATIOS)
@pytest.mark.parametrize(("layout", "k", "z"), [("leveling", 0, 0), ("lazy-leveling", 1, 0), ("tiering", 1, 1)])
def test_fluid_updates_ranges_and_space_become_the_layouts(t: float, layout: str, k: int, z: int) -> None:
    most, last = (t - 1 if k else 1), (t - 1 if z else 1)
    assert shape.most_runs(layout, t) == (most, last)
    # C18 counts writes (phi), C10 reads and writes (1 + phi)
    assert hybrid.fluid_update(t, 5, most, last, 32) == pytest.approx(updates.update(layout, t, 5, 32, 1) / 2)
    assert hybrid.fluid_range(t, 5, most, last, 0, 32) == pytest.approx(ranges.range_lookup(layout, t, 5, 1e6, 32, 0))
    assert space.space(t, last) == pytest.approx(last - 1 + 1 / t)


@pytest.mark.parametrize("t", RATIOS[1:])
def test_layouts_are_ordered(t: int) -> None:
    leveling, lazy, tiering = (updates.write_amplification(layout, t, 4) for layout in ("leveling", "lazy-leveling", "tiering"))
    assert leveling > lazy > tiering > 1
    leveling, lazy, tiering = (lookups.uniform_zero_result(layout, t, 4, 10) for layout in ("leveling", "lazy-leveling", "tiering"))
    assert leveling < lazy < tiering


def test_ucs_without_scaling_is_a_ratio_of_two() -> None:
    assert ucs.ucs(0, 1, 1, 1, 1) == ucs.Ucs(2, 2, 0, 1)
    assert [(u.fanout, u.threshold) for u in (ucs.ucs(w, 1, 1, 1, 1) for w in (-8, -1, 1, 2, 8))] == [
        (10, 2),
        (3, 2),
        (3, 3),
        (4, 4),
        (10, 10),
    ]
    assert [ucs.ucs(-8, d, 100, 1e9, 4).level for d in (1, 99, 100, 999, 1000, 1e5)] == [0, 0, 0, 0, 1, 3]
    assert [ucs.ucs(2, d, 1, 100, 4, 0).shards for d in (1, 399, 400, 800, 1600)] == [4, 4, 4, 8, 16]
    assert {ucs.ucs(2, d, 1, 100, 4, 1).shards for d in (1, 400, 1e6)} == {4}


# Tables of the study


@pytest.mark.parametrize(
    ("t", "leveling", "tiering"), [(4, 8.5, 4.75), (6, 11.0, 4.33), (8, 11.5, 3.62), (10, 14.5, 3.70)]
)  # fmt: skip
def test_half_a_million_entries_over_a_buffer_of_a_thousand(t: int, leveling: float, tiering: float) -> None:
    """C10 + 1 for the flush, as printed: N = 500,000, buffer 1,000."""
    n = shape.levels(500_000, t, 1000)
    assert updates.write_amplification("leveling", t, n) == pytest.approx(leveling, abs=0.006)
    assert updates.write_amplification("tiering", t, n) == pytest.approx(tiering, abs=0.006)


def test_the_row_of_ratio_two_counts_levels_of_one_buffer() -> None:
    """5.50 is 9 levels: those of C23. Equation 1 gives 8, whose first level holds two buffers."""
    assert (shape.levels(500_000, 2, 1000), vector.vector_levels(500_000, 2, 1000)) == (8, 9)
    assert {updates.write_amplification(layout, 2, 9) for layout in LAYOUTS} == {5.5}


@pytest.mark.parametrize(
    ("bits", "uniform", "monkey", "tolerance"),
    [(1, 5.70, 2.58, 0.05), (2, 3.55, 1.59, 0.05), (5, 0.823, 0.365, 0.03), (8, 0.193, 0.086, 0.03), (10, 0.074, 0.032, 0.03)],
)
def test_simulated_lookups_of_nothing(bits: float, uniform: float, monkey: float, tolerance: float) -> None:
    """Real filters over a real tree, T = 2, nine levels (F2): within 5 % at 1 and 2 bits, 3 % above."""
    assert lookups.uniform_zero_result("leveling", 2, 9, bits) == pytest.approx(uniform, rel=tolerance)
    assert lookups.monkey_zero_result("leveling", 2, 9, bits) == pytest.approx(monkey, rel=tolerance)


def test_growth_of_lookups_of_nothing() -> None:
    """F1: T = 2, 5 bits, 2^13 to 2^20 entries over 512: equation 26 goes from 0.362 to 0.996, equation 7 stays at 0.362."""
    assert [lookups.uniform_zero_result("leveling", 2, n, 5) for n in (4, 11)] == pytest.approx([0.362, 0.996], abs=0.0005)
    assert [lookups.monkey_zero_result("leveling", 2, n, 5) for n in (4, 11)] == pytest.approx([0.362, 0.362], abs=0.0005)


def test_the_transcription_check_at_ten_bits() -> None:
    assert lookups.monkey_zero_result("leveling", 10, 8, 10) == pytest.approx(0.01176, abs=5e-6)
    assert hybrid.lazy_leveling(10, 8, 10).zero_result == pytest.approx(0.01465, abs=5e-6)
    assert lookups.monkey_zero_result("tiering", 10, 8, 10) == pytest.approx(0.10581, abs=5e-6)


def test_single_numbers_of_the_study() -> None:
    assert max((allocation.least_memory(t), t) for t in range(2, 100)) == pytest.approx((1.62, 3), abs=0.005)
    assert filters.bits_step(10) == pytest.approx(4.8, abs=0.05) and filters.bits_step(10, "fuse") == pytest.approx(3.3, abs=0.05)
    assert space.stored(10) == pytest.approx(1.111, abs=0.0005)
    ratio = hybrid.lazy_leveling(10, 8, 10).zero_result / lookups.monkey_zero_result("leveling", 10, 8, 10)
    assert ratio == pytest.approx(1.25, abs=0.005)
    assert filters.bloom_rate(10) == pytest.approx(0.00819, abs=5e-6)
    assert ranges.grafite_rate(12, 100) == 100 / 1024


@pytest.mark.parametrize(("bits", "percent"), [(5, 9.15), (8, 2.45), (10, 1.14), (12, 0.605), (16, 0.245)])
def test_blocked_bloom_is_near_the_measured_table(bits: float, percent: float) -> None:
    """The table simulates 512-bit blocks whose probes come from one hash; exact probes lie between it and the plain filter."""
    got = 100 * filters.filter_rate("blocked_bloom", bits)
    assert 100 * filters.bloom_rate(bits) < got < 1.05 * percent


def test_fingerprints_and_ribbons() -> None:
    assert filters.filter_rate("binary_fuse8", 9) == pytest.approx(0.00391, rel=0.03)
    assert filters.filter_rate("binary_fuse16", 18) == pytest.approx(0.000015, rel=0.03)
    # "7 bits where Bloom needs 10": RocksDB's Bloom filters are blocked
    assert filters.filter_rate("ribbon", 7) == pytest.approx(filters.filter_rate("blocked_bloom", 10), rel=0.06)


@pytest.mark.parametrize("t", [4, 10])
def test_memory_constraints_hold_to_one_part_in_ten_thousand(t: float) -> None:
    """What C6, C13, C16 and C21 claim for 10 bits takes 10 bits (C4), for the rates of C5, C13, C15 and C21."""
    n, levels = 1e12, 14

    def taken(rates: tuple[float, ...]) -> float:
        return filters.filter_memory(rates, n, t) / n

    for layout in TWO:
        assert taken(allocation.monkey_rates(layout, t, levels, 10)) == pytest.approx(10, rel=1e-4)
    assert taken(hybrid.lazy_leveling(t, levels, 10).rates) == pytest.approx(10, rel=1e-4)
    for k, z in ((1, 1), (2, 1), (3, 2), (t - 1, t - 1)):
        r = hybrid.fluid_zero_result(t, k, z, 10)
        assert taken(hybrid.fluid_rates(r, t, levels, k, z)) == pytest.approx(10, rel=1e-4)
    made = bush.cll(n, t, 3, 0.01, 100)
    assert sum(m * filters.bloom_bits(p) for m, p in zip(made.entries, made.rates, strict=True)) / n == pytest.approx(made.memory, rel=1e-4)
    assert sum(a * p for a, p in zip(made.runs, made.rates, strict=True)) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize(("t", "c", "x"), [(2, 3, 2), (4, 1, 1.5), (3, 2, 3)])
def test_capacities_of_cll_and_bush_sum_to_all_entries(t: float, c: float, x: float) -> None:
    for made in (bush.cll(1e12, t, c, 0.01, 100), bush.bush(1e12, t, c, x, 100)):
        assert sum(made.entries) == pytest.approx(1e12, rel=1e-4)
        assert len(made.entries) == len(made.runs) == len(made.size_ratios) == made.levels
        assert made.entries[-1] / sum(made.entries[:-1]) == pytest.approx(c, rel=1e-3)
    assert bush.bush(1e12, t, c, x, 100).levels < bush.cll(1e12, t, c, 0.01, 100).levels  # fewer levels are its purpose


def test_bush_with_a_growth_towards_one_is_cll() -> None:
    flat, cll = bush.bush(1e9, 4, 3, 1 + 1e-9, 1e4), bush.cll(1e9, 4, 3, 0.01, 1e4)
    common = min(flat.levels, cll.levels) - 1
    assert abs(flat.levels - cll.levels) <= 2
    assert flat.entries[-common:] == pytest.approx(cll.entries[-common:], rel=1e-4)
    assert flat.runs[-common:] == pytest.approx(cll.runs[-common:], rel=1e-4)


def test_the_vector_model_differs_from_c10_by_half_a_level() -> None:
    """Of the three W for leveling: T / 2 here, (T - 1) / 2 in C10 and C18."""
    assert vector.vector_merges(10, [1, 1, 1]) - updates.merges("leveling", 10, 3) == pytest.approx(1.5)
    got = vector.vector(999e6, 10, [9, 9, 1], 10, 32)
    assert got.levels == 3 and got.zero_result == pytest.approx(sum(k * p for k, p in zip((9, 9, 1), got.rates, strict=True)))
    assert got.existing < 1 + got.zero_result
    empty = vector.vector(100e6, 10, [9, 9, 1], 10, 32)
    assert empty.update < got.update  # the last level holds a thousandth of what it may
    assert vector.vector(999e6, 10, [9, 9, 1], 0, 32).rates[-1] == 1


# Allocations


@pytest.mark.parametrize("bits", [0, 0.01, 0.3, 1, 2, 5, 10])
@pytest.mark.parametrize("t", [2, 4, 10])
def test_monkey_is_never_worse_than_equal_filters(t: float, bits: float) -> None:
    for layout, levels in itertools.product(TWO, (1, 2, 4, 8)):
        monkey, uniform = (f(layout, t, levels, bits) for f in (lookups.monkey_zero_result, lookups.uniform_zero_result))
        # the closed form counts infinitely many small levels and N (1 - T^-L) entries: with one or two levels that costs some per cent
        assert monkey <= uniform * (1 + 2 * t**-levels * (1 + 10 * bits)) + 1e-9, (layout, levels)


def random_runs(seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.choice([1, 10, 100, 1000, 10_000]) * rng.uniform(100, 900) for _ in range(rng.randint(1, 9))]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("bits", [0.05, 1, 4, 10])
def test_least_rates_spend_the_budget_and_nothing_is_better(seed: int, bits: float) -> None:
    """Repeat with random_runs(seed). Beside uniform, random shifts of memory between two runs are tried."""
    runs = random_runs(seed)
    rates = allocation.least_rates(runs, bits)
    spent = [n * filters.bloom_bits(p) for n, p in zip(runs, rates, strict=True)]
    assert sum(spent) == pytest.approx(bits * sum(runs), rel=1e-9) and all(0 < p <= 1 for p in rates)
    assert sum(rates) <= sum(allocation.uniform_rates(runs, bits)) * (1 + 1e-12)
    rng = random.Random(seed)
    for _ in range(100):
        i, j = rng.randrange(len(runs)), rng.randrange(len(runs))
        some = rng.random() * spent[i]
        if i != j:
            moved = {i: spent[i] - some, j: spent[j] + some}
            other = sum(filters.bloom_rate(moved.get(k, s) / n) for k, (n, s) in enumerate(zip(runs, spent, strict=True)))
            assert other >= sum(rates) - 1e-12


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bits", [0.5, 5])
def test_iterative_and_exact_allocation_agree(seed: int, bits: float) -> None:
    runs = random_runs(seed)
    iterative = allocation.monkey_iterative(runs, bits)
    assert sum(n * filters.bloom_bits(p) for n, p in zip(runs, iterative, strict=True)) == pytest.approx(bits * sum(runs), rel=1e-6)
    assert sum(iterative) == pytest.approx(sum(allocation.least_rates(runs, bits)), rel=2e-3)


@pytest.mark.parametrize("t", [2, 4, 10])
@pytest.mark.parametrize("bits", [0.2, 1, 5, 10])
def test_closed_form_is_the_exact_allocation_of_full_levels(t: int, bits: float) -> None:
    held = shape.level_entries(1e12, t, 10)
    exact = allocation.least_rates(held, bits)
    closed = allocation.monkey_rates("leveling", t, 10, bits)
    assert sum(closed) == pytest.approx(sum(exact), rel=0.02)
    assert sum(p == 1 for p in exact) == allocation.unfiltered_levels(t, bits, 10)


def test_the_engines_monkey_is_the_exact_allocation() -> None:
    held = [1000, 10_000, 100_000]
    bits = [lsm.ALLOCATIONS["monkey"]().bits(i, lsm.policies.allocation.Filled(held, 6.0, 10)) for i in range(3)]
    assert [filters.bloom_rate(b) for b in bits] == pytest.approx(allocation.least_rates(held, 6.0), rel=1e-6)


# Limits


@pytest.mark.parametrize("levels", [1, 4, 9])
@pytest.mark.parametrize("t", [2, 5, 10])
def test_without_memory_there_are_no_filters(t: float, levels: int) -> None:
    assert filters.bloom_rate(0) == filters.filter_rate("none", 10) == filters.filter_rate("bloom", 0) == 1
    for layout in TWO:
        runs = sum(shape.runs_by_level(layout, t, levels))
        assert lookups.uniform_zero_result(layout, t, levels, 0) == lookups.monkey_zero_result(layout, t, levels, 0) == runs
        assert lookups.zero_result([1.0] * levels, layout, t) == runs
        assert set(allocation.monkey_rates(layout, t, levels, 0)) == {1.0}
    assert allocation.unfiltered_levels(t, 0, levels) == levels
    assert set(allocation.least_rates([1, 10, 100], 0)) == {1.0}
    assert filters.filter_memory([1.0] * levels, 1e6, t) == 0


def test_one_level() -> None:
    assert shape.levels(10, 10, 1e6) == shape.levels(1, 2, 1) == 1
    assert updates.merges("leveling", 10, 1) == 4.5 and updates.merges("lazy-leveling", 10, 1) == 4.5
    assert lookups.uniform_zero_result("leveling", 10, 1, 10) == filters.bloom_rate(10)
    assert lookups.existing(0.01, 0.01) == 1


def test_an_infinite_ratio_is_a_log_or_a_sorted_array() -> None:
    """Monkey section 2: with T = N / (P B) there is one level; tiering is a log, leveling a sorted array."""
    t = 1e6
    assert shape.levels(1e12, t, 1e6) == 1
    assert updates.merges("tiering", t, 1) == pytest.approx(1, rel=1e-5) and updates.merges("leveling", t, 1) == pytest.approx(
        t / 2, rel=1e-5
    )
    assert allocation.least_memory(t) < 1e-4 and space.space(t, 1) < 1e-5
    for layout, runs in (("leveling", 1), ("tiering", t - 1)):
        assert lookups.monkey_zero_result(layout, t, 1, 10) == pytest.approx(runs * filters.bloom_rate(10), rel=1e-4)


def test_levels_at_powers_of_the_ratio() -> None:
    """Floating point must not add a level: log10(1000) is exact to the last digit only."""
    assert [shape.levels(10**i / 0.9, 10, 1) for i in range(1, 12)] == list(range(1, 12))


@pytest.mark.parametrize("t", [2, 3, 10])
@pytest.mark.parametrize("layout", TWO)
def test_more_memory_never_costs_and_the_pieces_join(layout: str, t: float) -> None:
    costs = [lookups.monkey_zero_result(layout, t, 6, b / 500) for b in range(6000)]
    steps = [a - b for a, b in itertools.pairwise(costs)]
    assert min(steps) >= -1e-12
    assert max(steps[5:]) < 0.35 * max(costs)  # no jump where a level more gets its filter
    rates = [filters.bloom_rate(b / 10) for b in range(200)]
    assert all(a > b for a, b in itertools.pairwise(rates))


def test_monotonicity() -> None:
    for layout in LAYOUTS:
        assert [shape.levels(n, 10) for n in (1e6, 1e7, 1e9, 1e12)] == sorted(shape.levels(n, 10) for n in (1e6, 1e7, 1e9, 1e12))
        for f in (updates.merges, lambda *a: lookups.uniform_zero_result(*a, 5)):
            got = [f(layout, 4, n) for n in range(1, 10)]
            assert all(a < b for a, b in itertools.pairwise(got))
    assert updates.merges("leveling", 10, 4) > updates.merges("leveling", 4, 4)
    fluid = [hybrid.fluid_update(10, 5, k, 1, 32) for k in range(1, 10)]
    assert all(a > b for a, b in itertools.pairwise(fluid))
    reads = [hybrid.fluid_zero_result(10, k, 1, 10) for k in range(1, 10)]
    assert all(a < b for a, b in itertools.pairwise(reads))


@pytest.mark.parametrize("t", RATIOS)
def test_the_floor_is_where_the_last_rate_becomes_one(t: float) -> None:
    floor = allocation.least_memory(t)
    assert hybrid.floor(t, t - 1, 1) == pytest.approx(floor)
    assert max(hybrid.lazy_leveling(t, 4, floor).rates) == pytest.approx(1)
    threshold = hybrid.floor(t, 1, 1)
    assert threshold == pytest.approx(math.log(t) / (t - 1) / math.log(2) ** 2)
    assert allocation.unfiltered_levels(t, threshold, 4) == 0 and allocation.unfiltered_levels(t, 0.999 * threshold, 4) == 1


def test_throughput_is_the_inverse_of_the_mean_cost() -> None:
    got = updates.throughput(0.25, 0.0, 0.25, 1.0, 0.25, 6.0, 0.25, 1.0, 0.001)
    assert (got.io_per_operation, got.operations_per_second) == (2.0, 500.0)


def test_belady_bounds_lru() -> None:
    rng = random.Random(1)
    trace = [rng.randrange(30) for _ in range(500)]
    lru = float(eviction.replay("lru", np.asarray(trace, np.uint64), sizes=[8])[0].hit_ratio)
    assert lru < caching.best_hit_ratio(trace, 8) < 1 and caching.best_hit_ratio(trace, 30) == pytest.approx(470 / 500)


# The table of orders


def order(text: str, **letters: float) -> float:
    """The value of an order, its letters replaced."""
    return float(eval(re.sub(r"\^", "**", text), {}, letters))


@pytest.mark.parametrize("layout", [*LAYOUTS, "fluid"])
def test_orders_are_the_models_without_constants(layout: str) -> None:
    """Over a wide range of T, L and B every model stays within a factor of 4 of its order."""
    orders = asymptotics.orders()[layout]
    for t, n, b, entries in itertools.product((4, 10, 30), (2, 5, 9), (8, 64), (0, 1e6)):
        k, z = (3, 2) if layout == "fluid" else shape.most_runs(layout, t)
        p = filters.bloom_rate(10)
        letters = {"T": t, "L": n, "B": b, "s": entries, "K": k, "Z": z, "p": p}
        r = hybrid.fluid_zero_result(t, k, z, 10)
        pairs = [
            (hybrid.fluid_update(t, n, k, z, b), order(orders.update, **letters)),
            (r, order(orders.zero_result, **letters)),
            (lookups.existing(r, r * (t - 1) / t / z), order(orders.existing, **letters)),
            (hybrid.fluid_range(t, n, k, z, 0, b), order(orders.short_range, **letters)),
            (space.space(t, z), order(orders.space, **letters)),
        ]
        if entries:
            long = hybrid.fluid_range(t, n, k, z, entries, b) - hybrid.fluid_range(t, n, k, z, 0, b)
            pairs.append((long, order(orders.long_range, **letters)))
        for model, expected in pairs:
            assert expected / 4 <= model <= expected * 4, (layout, t, n, b, model, expected)
