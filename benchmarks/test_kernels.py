"""The kernels of the data plane, each beside a reference loop of the interpreter: what `make bench-compare` runs (see compare.py).

Before every round of a kernel the reference loop runs and is timed too. What counts is the fastest round of the kernel over the fastest of
the reference: a busy or a slower machine slows both.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import indexes
import lsm
import recovery
from indexes.filters import BlockedBloom, Bloom, Filter
from lsm.codecs import load_codec
from lsm.memtable_twin import PUT, Entry
from lsm.native import Env, Job, JobInput, Ledger, Table, TableSettings
from lsm.native_tables import build_table
from lsm.settings import settings_of

ROUNDS = 40
N = 20_000
RNG = random.Random(7)
KEYS = [b"%016d" % (2 * i) for i in range(N)]
SHUFFLED = RNG.sample(KEYS, N)
SOME = SHUFFLED[:4000]
VALUE = bytes(range(100))
TEXT = RNG.randbytes(1 << 18)


def reference() -> None:
    """Sort keys, look them up in a dict, and sum up bytes: compares, misses of the cache and a stream, in code that is not ours."""
    at = dict.fromkeys(sorted(SOME), 1)
    sum(at[key] for key in SOME)
    zlib.crc32(TEXT)


def measure(benchmark: Any, kernel: Callable[..., Any], fresh: Callable[[], Any] | None = None) -> None:
    """Time the kernel and the reference by turns; `fresh` makes the argument of a round. The ratio goes into the record."""
    took = []

    def before() -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = (fresh(),) if fresh else ()
        began = time.perf_counter()
        reference()
        took.append(time.perf_counter() - began)
        return given, {}

    kernel(*before()[0])  # warm
    benchmark.pedantic(kernel, setup=before, rounds=ROUNDS)
    benchmark.extra_info["ratio"] = benchmark.stats.stats.min / min(took)


def packed(keys: list[bytes]) -> tuple[bytes, Any, bytes, Any]:
    """Keys with VALUE, as put_packed takes them."""
    lens = np.full(len(keys), len(keys[0]), np.uint32)
    return b"".join(keys), lens, VALUE * len(keys), np.full(len(keys), len(VALUE), np.uint32)


def database(**options: Any) -> lsm.DB:
    """An empty database in memory without a log."""
    return lsm.open("/db", fs=recovery.memory(), threads=0, wal={"enabled": False}, **options)


def test_crc(benchmark: Any) -> None:
    """Checksums of a page, a block and a long record."""
    parts = [TEXT[:4096]] * 64 + [TEXT]
    measure(benchmark, lambda: [recovery.crc32c(p) for p in parts for _ in range(4)])


@pytest.mark.parametrize("kind", [Bloom, BlockedBloom], ids=["bloom", "blocked"])
def test_filter_probe(benchmark: Any, kind: type[Filter]) -> None:
    """Probes of hashes, half of them of keys that are there."""
    hashes = np.random.default_rng(7).integers(0, 1 << 63, 8 * N, dtype=np.uint64)
    made = kind.from_hashes(hashes[::2].copy(), 10.0)
    assert made.may_contain_hashes(hashes)[::2].all()
    measure(benchmark, lambda: made.may_contain_hashes(hashes))


def test_block_search(benchmark: Any) -> None:
    """Look-ups in one cached table without a filter: the index, then the block."""
    with database(table={"filter": "none"}, cache={"capacity": 16 << 20}) as db:
        db.put_packed(*packed(KEYS))
        db.compact()
        assert db.get_many(SOME) == [VALUE] * len(SOME)
        measure(benchmark, lambda: db.get_many(SOME))


def test_scan(benchmark: Any) -> None:
    """Decode every block of a cached table in order."""
    with database(cache={"capacity": 16 << 20}) as db:
        db.put_packed(*packed(KEYS))
        db.compact()
        assert sum(map(len, db.scan_chunks())) == N
        measure(benchmark, lambda: list(db.scan_chunks()))


def test_memtable_insert(benchmark: Any) -> None:
    """Random inserts into an empty memtable."""
    batch, open_ones = packed(SOME), list[lsm.DB]()

    def fresh() -> lsm.DB:
        while open_ones:
            open_ones.pop().close()
        open_ones.append(database(write_buffer=1 << 20))  # small: else the system clearing pages is what is timed
        return open_ones[0]

    measure(benchmark, lambda db: db.put_packed(*batch), fresh)
    assert open_ones[0].get_many(SOME) == [VALUE] * len(SOME)
    open_ones[0].close()


def test_memtable_get(benchmark: Any) -> None:
    """Look-ups in a memtable."""
    with database() as db:
        db.put_packed(*packed(SHUFFLED))
        assert db.get_many(SOME) == [VALUE] * len(SOME)
        measure(benchmark, lambda: db.get_many(SOME))


def test_merge(benchmark: Any) -> None:
    """Four runs whose keys interleave become one table."""
    fs, options = recovery.memory(), lsm.Options()
    filters = [indexes.filter_ops_address(kind) for kind in indexes.FILTERS if kind != "none"]
    env = Env(fs, recovery.crc32c_address(), None, None, Ledger(), 1, [load_codec("lz4")], filters)
    settings = settings_of(options, "default", 0)
    fs.makedirs("/m")
    runs = [JobInput((table(env, settings, number, KEYS[number::4]),), 0) for number in range(4)]
    last = [100]

    def fresh() -> Job:
        if fs.exists(f"/m/{last[0]:06d}.sst"):
            fs.unlink(f"/m/{last[0]:06d}.sst")
        last[0] += 1
        return Job(
            env, settings, runs, directory="/m", first_number=last[0], max_outputs=1, output_bytes=1 << 30, cuts=(), snapshots=(),
            bottom=True, level=1, cause="compaction",
        )  # fmt: skip

    assert fresh().run().entries_out == N
    measure(benchmark, lambda job: job.run(), fresh)


def table(env: Env, settings: TableSettings, number: int, keys: list[bytes]) -> Table:
    """A table of these keys."""
    path = f"/m/{number:06d}.sst"
    build_table(env, settings, path, number, [Entry(key, 1 + i, PUT, VALUE) for i, key in enumerate(keys)])
    return Table(env, settings, path, number)
