"""The frequency sketch: counts, saturation, the reset and its sweep, in lock step with its twin."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eviction import Sketch
from eviction.twins.sketch import Sketch as Twin

SAMPLE = 5120  # 10 additions for each of 512 residents, the least that a sketch is for


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(0, 2**64 - 1))
@settings(max_examples=50, deadline=None)
def test_a_count_is_never_too_low_and_stops_at_15(keys: list[int], seed: int) -> None:
    sketch = Sketch(10, seed=seed)
    for key in keys:
        sketch.add(key)
    assert all(min(15, n) <= sketch.count(key) <= 15 for key, n in Counter(keys).items())


def test_few_keys_are_counted_exactly() -> None:
    sketch = Sketch(4096)
    for key in range(100):
        for _ in range(key % 17):
            sketch.add(key)
    assert [sketch.count(key) for key in range(100)] == [min(15, key % 17) for key in range(100)]


@pytest.mark.parametrize("hot", [False, True])
def test_the_reset_halves_every_counter_and_not_its_neighbours(hot: bool) -> None:
    """The sample ends after W additions, also where all of them find their counters full."""
    sketch = Sketch(512, seed=3)
    for key in range(300):
        for _ in range(key % 13):
            sketch.add(key)
    before = [sketch.count(key) for key in range(300)]
    added = sum(key % 13 for key in range(300))
    for i in range(SAMPLE - added):
        sketch.add(300 if hot else 300 + i % 7)
    others = [sketch.count(key) for key in range(300)]
    assert sketch.count(300) == 7
    assert sum(a != b // 2 for a, b in zip(others, before, strict=True)) < 9, "but for keys that share counters with those added since"


def test_no_addition_does_more_than_one_step_of_the_sweep() -> None:
    sketch = Sketch(1200, per_key=1)
    state = sketch._sketch
    for i in range(10_000):
        before = state.hand
        sketch.add(i % 900)
        assert state.hand in (before, before + 1, 0)
        assert sketch.check() is None
    assert state.now > 8, "there were resets"


@pytest.mark.parametrize("per_key", [0.5, 1, 10])
@pytest.mark.parametrize("slots", [0, 700])
def test_lock_step(slots: int, per_key: float) -> None:
    chance = random.Random(slots)
    native, twin = Sketch(slots, per_key, 9), Twin(slots, per_key, 9)
    for step in range(12_000):
        if step % 2_500 == 2_499:
            residents = chance.choice([0, 500, 513, 700, 3])
            native.fit(residents)
            twin.fit(residents)
        key = int(chance.paretovariate(0.6))
        native.add(key)
        twin.add(key)
        assert native.count(key) == twin.count(key), f"slots {slots} step {step}"
        assert native.count(step) == twin.count(step), f"slots {slots} step {step}"


def test_the_sample_fits_the_residents() -> None:
    """Of 4096 slots 600 are used: the reset comes after 6000 additions."""
    sketch = Sketch(4096)
    sketch.fit(600)
    for _ in range(5_999):
        sketch.add(1)
    assert sketch.count(1) == 15
    sketch.add(1)
    assert sketch.count(1) == 7


def test_memory_and_what_is_refused() -> None:
    assert Sketch(1 << 20).bytes < 5.5 * (1 << 20)
    for bad in ((-1, 10, 0), (1, 0, 0), (1, 10, -1), (1, 10, 1 << 64)):
        with pytest.raises(ValueError, match="no sketch"):
            Sketch(*bad)
