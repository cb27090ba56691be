"""Closed forms against published tables and against each other."""

from __future__ import annotations

import pytest

from experiments import models


def test_bloom_at_ten_bits_is_eight_per_mille() -> None:
    assert models.bloom_fpr(10) == pytest.approx(0.00819, rel=0.01)
    assert models.bloom_fpr(0) == 1


@pytest.mark.parametrize(("bits", "percent"), [(5, 9.15), (8, 2.45), (10, 1.14), (12, 0.605), (16, 0.245)])
def test_blocked_bloom_is_near_the_measured_table(bits: float, percent: float) -> None:
    """The table simulates 512-bit blocks whose probes come from one hash; exact probes lie between it and the plain filter."""
    got = 100 * models.filter_fpr("blocked_bloom", bits)
    assert 100 * models.bloom_fpr(bits) < got < 1.05 * percent


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(ValueError, match="no model of the filter 'mine'"):
        models.filter_fpr("mine", 10)


def test_no_filter_asks_every_run() -> None:
    assert models.filter_fpr("none", 10) == 1
    assert models.zero_result_reads([1.0] * 4).value == 4


def test_a_hit_in_the_newest_run_costs_one_block() -> None:
    assert models.hit_reads([0.5, 0.5], [100, 0], 100).value == 1
    assert models.hit_reads([0.5, 0.5], [0, 100], 100).value == 1.5
    assert models.hit_reads([0.0] * 3, [10, 20, 70], 100).value == pytest.approx(1)


def test_layouts_meet_at_a_size_ratio_of_two() -> None:
    writes = [models.write_amplification(layout, 2, 5).value for layout in ("leveling", "tiering", "lazy-leveling")]
    reads = [models.uniform_reads(layout, 2, 5, 0.01).value for layout in ("leveling", "tiering", "lazy-leveling")]
    assert len(set(writes)) == 1 and len(set(reads)) == 1


@pytest.mark.parametrize("ratio", [3, 4, 8, 10])
def test_layouts_are_ordered(ratio: int) -> None:
    leveling, lazy, tiering = (models.write_amplification(layout, ratio, 4).value for layout in ("leveling", "lazy-leveling", "tiering"))
    assert leveling > lazy > tiering > 1
    leveling, lazy, tiering = (models.uniform_reads(layout, ratio, 4, 0.01).value for layout in ("leveling", "lazy-leveling", "tiering"))
    assert leveling < lazy < tiering


@pytest.mark.parametrize(("ratio", "leveling", "tiering"), [(4, 8.5, 4.75), (6, 11.0, 4.333), (10, 14.5, 3.7)])
def test_half_a_million_entries_over_a_buffer_of_a_thousand(ratio: int, leveling: float, tiering: float) -> None:
    """The reference values: leveling and tiering for N = 500,000, buffer 1,000, flush included."""
    n = models.levels(500_000, 1000, ratio)
    assert models.write_amplification("leveling", ratio, n).value == pytest.approx(leveling, rel=0.01)
    assert models.write_amplification("tiering", ratio, n).value == pytest.approx(tiering, rel=0.01)


def test_an_unknown_layout_is_named() -> None:
    with pytest.raises(ValueError, match="no model of the layout 'mine'"):
        models.write_amplification("mine", 4, 3)
