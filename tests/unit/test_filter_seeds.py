"""Hashes chosen so that the first seed cannot work: builds begin again under another one, stay bounded, and lose no key."""

from __future__ import annotations

import numpy as np
import pytest

from indexes import filters
from indexes.twins import TWINS
from indexes.twins.distinct import WORD, mix

REST = [int(i) * 0x9E3779B97F4A7C15 & WORD for i in range(1, 400)]


def unmix(h: int) -> int:
    """The hash that mixes to h under the first seed."""
    h ^= h >> 33
    h = h * pow(0xC4CEB9FE1A85EC53, -1, 1 << 64) & WORD
    h ^= h >> 33
    h = h * pow(0xFF51AFD7ED558CCD, -1, 1 << 64) & WORD
    return h ^ h >> 33


CLASHES = {
    "ribbon": [0x1234 << 48 | i << 8 for i in range(200)],  # more equations in 128 slots than there are unknowns
    "homogeneous_ribbon": [0x1234 << 48 | i << 8 for i in range(200)],
    "binary_fuse8": [0x1234 << 48 | i << 40 for i in range(3)],  # keys of the same three cells
    "binary_fuse16": [0x1234 << 48 | i << 40 for i in range(3)],
    "xor8": [0x1234 << 50 | i << 44 for i in range(3)],
    "xor16": [0x1234 << 50 | i << 44 for i in range(3)],
    "cuckoo": [0x1234 << 48 | i for i in range(9)],  # nine of one fingerprint and one pair of buckets
}


@pytest.mark.parametrize("kind", CLASHES)
def test_clashing_hashes_get_another_seed(kind: str) -> None:
    hashes = [unmix(h) for h in CLASHES[kind]] + REST
    assert [mix(h) for h in hashes[:3]] == CLASHES[kind][:3]
    built = filters.FILTERS[kind].from_hashes(np.array(hashes, np.uint64), 12)
    assert built.raw[3] > 0, "the first seed was meant to fail"
    assert built.may_contain_hashes(hashes).all()
    assert built.raw == TWINS[kind]().build(hashes, 12)
    assert filters.Filter.open(built.to_bytes()).may_contain_hashes(hashes).all()


@pytest.mark.parametrize("kind", CLASHES)
def test_hashes_that_defeat_the_radix_passes_are_sorted_all_the_same(kind: str) -> None:
    """All alike in the bits that the passes see, in descending order: insertion gives up and another sort takes over."""
    hashes = np.array([unmix(h) for h in range(20_000, 0, -1)], np.uint64)
    built = filters.FILTERS[kind].from_hashes(hashes, 12)
    assert built.may_contain_hashes(hashes).all()
    assert built.raw == filters.FILTERS[kind].from_hashes(hashes[::-1], 12).raw


@pytest.mark.parametrize("kind", TWINS)
def test_bytes_do_not_depend_on_the_order_or_repeats_of_keys(kind: str) -> None:
    if kind == "counting_bloom":  # which counts repeats
        keys = np.arange(500)
        assert filters.CountingBloom.build(keys).raw == filters.CountingBloom.build(keys[::-1]).raw
        return
    keys = np.arange(1000) % 500
    mixed = np.random.default_rng(2).permutation(keys)
    assert filters.FILTERS[kind].build(keys).raw == filters.FILTERS[kind].build(mixed).raw
