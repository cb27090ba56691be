"""The engine against its theory: the blocks that lookups of nothing read are those of the model fitted to the runs, for every filter."""

from __future__ import annotations

import random
from typing import Any

import pytest

import indexes
import lsm
import recovery
from experiments.costs import filters, fitted

N, PROBES, STEP, SIGMAS = 20_000, 30_000, 1000, 4
SEED = 5  # of the keys that are asked for; fixed, so that the test says the same each time
KINDS = sorted({"none", *indexes.BUILT_IN})


def options(kind: str, allocation: str = "uniform", layout: str = "tiering", **table: Any) -> dict[str, Any]:
    compaction = {"layout": layout, "size_ratio": 4, "output_bytes": 32 * 1024, "level_base": 64 * 1024}
    table = {"filter": kind, "bits_per_key": 6.0, "block_size": 1024} | table
    return {"threads": 0, "seed": 1, "write_buffer": 64 * 1024, "filter_allocation": allocation, "table": table, "compaction": compaction}


def fill(db: lsm.DB) -> list[bytes]:
    """Put N keys with room between them, in random order; give keys that are not there and were never asked for."""
    keys = [b"%08d" % (STEP * i) for i in random.Random(3).sample(range(N), N)]
    for i in range(0, N, 100):
        db.put_many(keys[i : i + 100], [b"x" * 20] * 100)
    db.flush()
    drawn = random.Random(SEED).sample(range(1, STEP * (N - 1)), PROBES + 1000)
    return [b"%08d" % k for k in drawn if k % STEP][:PROBES]


def blocks(db: lsm.DB) -> int:
    stats = db.stats()
    return sum(stats.counts(op=op, component="data", cause="get") for op in ("read", "hit"))


def check(db: lsm.DB, missing: list[bytes]) -> tuple[fitted.Run, ...]:
    runs = fitted.runs_of(db, missing=missing)
    assert sum(r.entries for r in runs) == N and len(runs) == sum(lv.runs for lv in db.levels())
    before = blocks(db)
    half = len(missing) // 2
    assert db.get_many(missing[:half]) == [None] * half
    assert not any(key in db for key in missing[half:])
    got, rates = (blocks(db) - before) / len(missing), [r.rate for r in runs]
    model, error = fitted.zero_result(rates), fitted.zero_result_spread(rates, len(missing))
    assert abs(got - model) <= SIGMAS * error + 1e-12, f"{got} blocks a lookup, {model} by the model, {(got - model) / error:.1f} sigma"
    return runs


@pytest.mark.parametrize("allocation", ["uniform", "monkey"])
@pytest.mark.parametrize("kind", KINDS)
def test_missing_lookups_read_what_the_model_says(kind: str, allocation: str) -> None:
    with lsm.open("/d", options(kind, allocation), fs=recovery.memory()) as db:
        missing = fill(db)
        runs = check(db, missing)
        assert len(runs) > 3
        if kind == "none":  # certain, so exact: a block of every run that has a table over the key
            assert {r.bits for r in runs} == {0.0} and fitted.zero_result([r.rate for r in runs]) > 0.95 * len(runs)


@pytest.mark.parametrize("layout", ["leveling", "1-leveling", "lazy-leveling"])
def test_other_layouts_and_formats(layout: str) -> None:
    with lsm.open("/d", options("bloom", "uniform", layout, index="two_level", codec="lz4"), fs=recovery.memory()) as db:
        check(db, fill(db))


def test_a_model_of_wrong_filters_is_noticed() -> None:
    """The check above can fail: half a bit more or less than there is shows at once."""
    with lsm.open("/d", options("bloom"), fs=recovery.memory()) as db:
        missing = fill(db)
        runs = fitted.runs_of(db, missing=missing)
        before = blocks(db)
        db.get_many(missing)
        got = (blocks(db) - before) / len(missing)
        for bits in (5.5, 6.9):
            rates = [filters.filter_rate("bloom", bits)] * len(runs)
            assert abs(got - fitted.zero_result(rates)) > SIGMAS * fitted.zero_result_spread(rates, len(missing))


def test_existing_lookups_read_what_the_model_says() -> None:
    with lsm.open("/d", options("bloom"), fs=recovery.memory()) as db:
        fill(db)
        runs = fitted.runs_of(db)
        asked = [b"%08d" % (STEP * i) for i in range(N)]
        before = blocks(db)
        assert None not in db.get_many(asked)
        model = fitted.existing([r.rate for r in runs], [r.entries for r in runs], N)
        got = (blocks(db) - before) / N
        assert abs(got - model) < SIGMAS * fitted.zero_result_spread([r.rate for r in runs], N)


def test_without_probes_the_rate_is_the_tables_mean() -> None:
    with lsm.open("/d", options("bloom"), fs=recovery.memory()) as db:
        missing = fill(db)
        plain, probed = fitted.runs_of(db), fitted.runs_of(db, missing=missing)
        for a, b in zip(plain, probed, strict=True):
            assert (a.level, a.entries, a.blocks, a.bits) == (b.level, b.entries, b.blocks, b.bits)
            assert 0.9 * a.rate < b.rate < 1.05 * a.rate  # some of the probes fall between the tables of a run
    with lsm.open("/e", options("bloom"), fs=recovery.memory()) as db:
        assert fitted.runs_of(db, missing=missing) == ()
        db.put(b"a", b"1")
        db.flush()
        db.delete_range(b"a", b"b")
        db.flush()
        assert [(r.entries, r.rate) for r in fitted.runs_of(db, missing=[b"aa", b"c"])] == [(0, 0.0), (1, 0.0)]
