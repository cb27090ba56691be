"""A look-up reads a block in place, by what a key shares with the one before it: the same answers as a scan of the same snapshot."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lsm
import recovery

SHAPES = {
    "runs": lambda rng: bytes(rng.choice(b"ab") for _ in range(rng.randrange(12))),
    "nested": lambda rng: b"a" * rng.randrange(40) + bytes([rng.randrange(3)]) * rng.randrange(3),
    "long": lambda rng: b"prefix" * 30 + b"%03d" % rng.randrange(200) + b"suffix" * rng.randrange(3),
    "bytes": lambda rng: rng.randbytes(rng.randrange(1, 4)),
    "fixed": lambda rng: b"%016d" % rng.randrange(400),
}


@pytest.mark.parametrize("table", [{"hash_index": False}, {"hash_util": 4.0}, {"hash_util": 0.25}], ids=["none", "crowded", "roomy"])
@pytest.mark.parametrize("interval", [1, 2, 4, 16, 300])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_look_up_finds_what_a_scan_shows(shape: str, interval: int, table: dict[str, Any]) -> None:
    """Several versions of a key, held by snapshots, lie in one block, in several, or over the borders of blocks and restart intervals."""
    seed = f"{shape} {interval} {table}"
    rng = random.Random(seed)
    draw = SHAPES[shape]
    options = {"threads": 0, "table": {"restart_interval": interval, "block_size": rng.choice([64, 512, 4096]), "filter": "none", **table}}
    with lsm.open("/d", options, fs=recovery.memory()) as db:
        keys = sorted({draw(rng) for _ in range(250)})
        present, snapshots = rng.sample(keys, max(1, len(keys) * 2 // 3)), []
        for _ in range(4):
            for k in rng.sample(present, max(1, len(present) // 2)):
                db.put(k, rng.randbytes(rng.choice([0, 1, 30, 200])))
            for k in rng.sample(present, len(present) // 8):
                db.delete(k)
            snapshots.append(db.snapshot())
        db.flush()
        for then in snapshots:
            shown = dict(db.scan(snapshot=then))
            assert {k: v for k in keys if (v := db.get(k, snapshot=then)) is not None} == shown, seed
            assert db.get_many(keys, snapshot=then) == [shown.get(k) for k in keys], seed
        assert db.get_many(keys) == [shown.get(k) for k in keys] == [db.get(k) for k in keys], seed
        for then in snapshots:
            then.close()
