"""Range tombstones of a table against the plain definition: the newest one at or below the snapshot whose range holds the key."""

from __future__ import annotations

import random

import pytest

from lsm.merge_twin import Range
from lsm.native_tables import covering, ranges
from tests.harness.tables import Lab

COUNTS = [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 150]  # around the sizes at which parts are merged
SNAPSHOTS = (0, 1, 10, 25, 50, 2**56 - 1)


def tombstones(rng: random.Random, keys: list[bytes], n: int) -> list[Range]:
    found: list[Range] = []
    while len(found) < n:
        start, end = sorted(rng.sample(keys, 2))
        found.append(Range(start, end, rng.randint(1, 50)))
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", COUNTS)
def test_the_newest_that_covers(n: int, seed: int) -> None:
    rng = random.Random(f"{n} {seed}")
    keys = sorted({b"", *(bytes(rng.choice(b"ab\0\xff") for _ in range(rng.randint(0, 5))) for _ in range(60))})
    expected = tombstones(rng, keys, n)
    lab = Lab()
    lab.build(lab.settings(), [], expected)
    table = lab.open(lab.settings())
    table.verify()
    assert ranges(table) == expected
    for key in [*keys, b"\xff" * 9]:
        for snapshot in SNAPSHOTS:
            newest = max((r.seq for r in expected if r.start <= key < r.end and r.seq <= snapshot), default=0)
            assert covering(table, key, snapshot) == newest, f"n {n}, seed {seed}, key {key!r}, snapshot {snapshot}"
    table.close()
