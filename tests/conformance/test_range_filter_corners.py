"""Range filters over few letters, every range of them: no key is ever denied, whatever the sizes, and an empty range holds nothing."""

from __future__ import annotations

import itertools
import random

import pytest

from indexes.ranges import range_filter_class
from tests.harness.ranges import CASES, holds

STRINGS = sorted(bytes(some) for n in range(4) for some in itertools.product(b"\x00a\xff", repeat=n))
LONG = [head + tail for head in (b"", b"\xff" * 9, b"a" * 200, bytes(300)) for tail in STRINGS[:14]]


@pytest.mark.parametrize(("kind", "params"), CASES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_every_range_of_three_letters(kind: str, params: str, share: float) -> None:
    rng = random.Random(f"{kind} {params} {share}")
    keys = [key for key in STRINGS if rng.random() < share]
    built = range_filter_class(kind).from_keys(keys, params)
    assert all(built.may_contain(key) for key in keys)
    for at, lo in enumerate(STRINGS):
        assert built.may_contain_range(lo, None) or not holds(keys, lo, None)
        assert not built.may_contain_range(lo, lo)
        for hi in STRINGS[at + 1 :]:
            assert built.may_contain_range(lo, hi) or not holds(keys, lo, hi), (lo, hi)


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_long_heads(kind: str, params: str) -> None:
    keys = sorted(set(LONG[::2]))
    built = range_filter_class(kind).from_keys(keys, params)
    assert all(built.may_contain(key) for key in keys)
    bounds = sorted({*LONG, b"\xff" * 12, b"\xfe", bytes(301)})
    for lo, hi in itertools.combinations(bounds, 2):
        assert built.may_contain_range(lo, hi) or not holds(keys, lo, hi), (lo[:5], hi[:5])
