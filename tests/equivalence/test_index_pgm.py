"""The PGM-index against bisect, numpy.searchsorted, pygm and its readable twin."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.learned import PGM
from indexes.twins import PGMTwin

TOP = 2**64 - 1
NUMBER = st.integers(0, 40) | st.integers(0, TOP) | st.integers(TOP - 40, TOP) | st.floats(0, 63.9).map(lambda x: int(2**x))
NUMBERS = st.lists(NUMBER, max_size=40).map(sorted)


def probes_of(keys: list[int]) -> list[int]:
    near = [n for key in keys for n in (key - 1, key, key + 1) if 0 <= n <= TOP]
    return [*near, *((a + b) // 2 for a, b in pairwise(keys)), 0, TOP]


@given(keys=NUMBERS, epsilon=st.integers(1, 4), more=st.lists(NUMBER, max_size=5))
@example(keys=[7] * 30, epsilon=1, more=[8])
@example(keys=[0] * 20 + [1] * 20 + [TOP] * 20, epsilon=1, more=[])
@example(keys=[TOP - 1] * 9 + [TOP], epsilon=1, more=[])
def test_ranks_windows_and_bytes(keys: list[int], epsilon: int, more: list[int]) -> None:
    index, twin = PGM.build(np.array(keys, np.uint64), epsilon), PGMTwin(keys, epsilon)
    probes = np.array(probes_of(keys) + more, np.uint64)
    ranks = [bisect_left(keys, int(key)) for key in probes]
    assert index.search_many(probes).tolist() == ranks
    assert [index.search(int(key)) for key in probes] == ranks
    low, high = index.window_many(probes)
    assert all(a <= rank <= b for a, rank, b in zip(low, ranks, high, strict=True))
    assert (high - low <= 2 * index.error + 1).all()
    assert index.raw == twin.data
    assert [index.window(int(key)) for key in probes] == list(zip(low, high, strict=True)) == [twin.window(int(key)) for key in probes]
    again = PGM.from_bytes(index.to_bytes(), np.array(keys, np.uint64))
    assert again.search_many(probes).tolist() == ranks and again.raw == index.raw


def shapes(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {
        "uniform": rng.integers(0, 2**64, n, dtype=np.uint64),
        "lognormal": (rng.lognormal(0, 2, n) * 1e12).astype(np.uint64),
        "few": rng.integers(0, 50, n, dtype=np.uint64),
        "dense": np.arange(n, dtype=np.uint64) * np.uint64(3) + np.uint64(2**63),
        "steps": np.repeat(rng.integers(0, 2**40, n // 100, dtype=np.uint64), 100),
    }


@pytest.mark.parametrize("shape", shapes(100))
@pytest.mark.parametrize("epsilon", [1, 16, 64])
def test_index_is_searchsorted(shape: str, epsilon: int) -> None:
    keys = np.sort(shapes(50_000)[shape])
    index = PGM.build(keys, epsilon)
    strangers = np.random.default_rng(5).integers(0, 2**64, 9999, dtype=np.uint64)
    probes = np.concatenate([keys, keys + np.uint64(1), keys - np.uint64(1), strangers])
    assert (index.search_many(probes) == np.searchsorted(keys, probes)).all()
    assert index.error <= epsilon + 2
    assert index.lines[-1] == 1 and len(index.lines) <= 5


def test_index_has_no_more_lines_than_the_peers() -> None:
    pygm = pytest.importorskip("pygm")
    keys = np.unique(shapes(50_000)["uniform"])
    theirs = pygm.SortedSet(keys)
    index = PGM.build(keys, theirs.stats()["epsilon"])
    assert index.lines[0] <= theirs.stats()["leaf segments"]
    some = [int(key) + d for key in keys[::501] for d in (0, 1)]
    assert [index.search(key) for key in some] == [theirs.bisect_left(key) for key in some]


def test_index_of_a_straight_line_is_one_line() -> None:
    index = PGM.build(np.arange(10_000, dtype=np.uint64) * np.uint64(1 << 40), 1)
    assert index.lines == [1] and index.error == 0 and index.size < 100


def test_bad_input_is_named() -> None:
    keys = np.array([3, 5, 9], np.uint64)
    with pytest.raises(ValueError, match="key 2 is less than the key before it"):
        PGM.build(np.array([3, 5, 4], np.uint64))
    for bad in (0, -1, 1.5, True, 2**21):
        with pytest.raises(ValueError, match="epsilon is"):
            PGM.build(keys, bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keys are an array of int64 with 1 dimensions"):
        PGM.build(np.array([1, 2]))
    index = PGM.build(keys)
    for wrong in (-1, 2**64, "x", 1.5):
        with pytest.raises(ValueError, match="key is"):
            index.search(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="key is"):
            index.window(wrong)  # type: ignore[arg-type]
    for other in (keys[:2], keys + np.uint64(1), np.array([3, 4, 5, 9], np.uint64), np.zeros(0, np.uint64)):
        with pytest.raises(ValueError, match=r"the array goes from|content"):
            PGM.from_bytes(index.to_bytes(), other)


def test_damaged_bytes_are_refused_or_harmless() -> None:
    """Behind the checksum too: an index whose numbers were changed stays inside of its array. Each bit of a small one is tried."""
    from indexes.native_learned import NativePGM

    keys = np.sort(shapes(400)["lognormal"])
    index = PGM.build(keys, 1)
    saved, raw = index.to_bytes(), index.raw
    assert len(index.lines) > 2
    for size in range(len(saved)):
        with pytest.raises(ValueError, match=r"size|magic"):
            PGM.from_bytes(saved[:size], keys)
    for bit in range(0, len(saved) * 8, 3):
        damaged = bytearray(saved)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"magic|version|size|checksum"):
            PGM.from_bytes(damaged, keys)
    probes = np.concatenate([keys, keys + np.uint64(1), np.array([0, TOP], np.uint64)])
    refused = 0
    for bit in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        opened = NativePGM.open(damaged, keys)
        refused += opened is None
        if opened is not None:
            low, high = opened.window_many(probes)
            assert (low <= high).all() and (high <= len(keys)).all()
            assert (opened.search_many(probes) <= len(keys)).all()
    assert refused > 32 * 8
