"""A batch of look-ups that meets a damaged block says so, answers what it can when asked again, and lets go of every block it held."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery
from experiments.processes import anonymous_bytes

KEYS = [b"key %06d" % i for i in range(4000)]
VALUE = bytes(range(100))


def damaged(**options: Any) -> lsm.DB:
    """A database of one table in small blocks, one byte of a block in its middle turned."""
    fs = recovery.memory()
    with lsm.open("/db", fs=fs, threads=0, **options) as db:
        db.put_many([(key, VALUE) for key in KEYS])
        db.compact()
        (name,) = db.default.file_names()
    whole = bytearray(fs.read_all(f"/db/{name}"))
    whole[len(whole) // 2] ^= 1
    fs.unlink(f"/db/{name}")
    fs.write_all(f"/db/{name}", bytes(whole))
    return lsm.open("/db", fs=fs, threads=0, **options)


@pytest.mark.parametrize("read_mode", ["buffered", "mapped"])
@pytest.mark.parametrize("cache", [0, 64 << 10, 16 << 20])
def test_a_batch_over_a_damaged_block(cache: int, read_mode: str) -> None:
    with damaged(cache={"capacity": cache}, table={"read_mode": read_mode}) as db:
        good = 0
        for i in range(0, len(KEYS), 20):
            try:
                assert db.get_many(KEYS[i : i + 20]) == [VALUE] * 20
                good += 1
            except lsm.CorruptionError as e:
                assert "checksum" in str(e)
        assert len(KEYS) // 20 - 4 <= good < len(KEYS) // 20
        with pytest.raises(lsm.CorruptionError, match="checksum"):
            db.get_many(KEYS[::7])
        assert db.get_many([*KEYS[:40], b"no such key"]) == [*[VALUE] * 40, None]


def readable(db: lsm.DB, key: bytes) -> bool:
    try:
        return db.get(key) == VALUE
    except lsm.CorruptionError:
        return False


def test_a_batch_that_fails_holds_nothing() -> None:
    with damaged(cache={"capacity": 64 << 10}) as db:
        batch = [
            *KEYS[:: len(KEYS) // 31][:31],
            next(key for key in KEYS if not readable(db, key)),
        ]  # looked up side by side, the bad one last

        def fail(times: int) -> int:
            for _ in range(times):
                with pytest.raises(lsm.CorruptionError):
                    db.get_many(batch)
            return anonymous_bytes()

        before = fail(50)
        assert fail(1500) - before < 32 << 20, "each would leave up to 31 blocks of 4 KiB"
