"""The edges of engine.h: a closed database, a dropped keyspace, configurations of another version, lengths beyond the limits, NULLs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lsm._native import ffi, lib

import eviction
import lsm
import recovery
from lsm.errors import ClosedError

NULL = ffi.NULL
CLOSED, TOO_BIG, INVALID, MISSING = lib.LSM_CLOSED, lib.LSM_TOO_BIG, lib.LSM_INVALID, lib.LSM_MISSING
BATCH = struct.pack("<IBIIQ", 1, 1, 1, 1, 1) + b"kv"  # one put into keyspace 1


@pytest.fixture
def db() -> Iterator[lsm.DB]:
    with lsm.open("/d", {"threads": 0}, fs=recovery.memory()) as db:
        yield db


def calls(db: lsm.DB) -> dict[str, Callable[[], int]]:
    """Every call of engine.h that a closed database refuses, without room for an error and with."""
    core, space, e = db.core.handle, db.keyspace("default").core.handle, ffi.new("lsm_error *")
    key, lens, out, needed = ffi.new("uint8_t[]", b"key"), ffi.new("uint32_t[]", [3]), ffi.new("uint8_t[100]"), ffi.new("size_t *")
    found, cursor = ffi.new("int64_t[1]"), ffi.new("lsm_cursor **")
    batch = ffi.new("uint8_t[]", BATCH)
    return {
        "put": lambda: lib.lsm_put(space, key, 3, key, 3),
        "delete": lambda: lib.lsm_delete(space, key, 3),
        "get": lambda: lib.lsm_get(space, key, 3, 2**64 - 1, out, 100, needed),
        "get_many": lambda: lib.lsm_get_many(space, 1, key, lens, 2**64 - 1, out, 100, found, needed, e),
        "put_many": lambda: lib.lsm_put_many(space, 1, key, lens, key, lens, 0, e),
        "write": lambda: lib.lsm_write(core, batch, len(BATCH), 0, e),
        "replay": lambda: lib.lsm_replay(core, 5, batch, len(BATCH), e),
        "seal": lambda: lib.lsm_seal(space, e),
        "publish": lambda: lib.lsm_publish(space, NULL, 0, NULL, 0, 0),
        "cursor": lambda: lib.lsm_cursor_new(space, 2**64 - 1, NULL, 0, NULL, 0, 0, 1, 0, cursor, e),
        "note": lambda: lib.lsm_db_log_note(core, key, 3, e),
        "note without room for an error": lambda: lib.lsm_db_log_note(core, key, 3, NULL),
        "sync": lambda: lib.lsm_db_sync(core, e),
        "sync without room for an error": lambda: lib.lsm_db_sync(core, NULL),
        "rotate_log": lambda: lib.lsm_db_rotate_log(core, e),
        "new_log": lambda: lib.lsm_db_new_log(core, 10**6, e),
    }


def test_a_closed_database_refuses_every_call() -> None:
    db = lsm.open("/d", {"threads": 0}, fs=recovery.memory())
    db.put(b"a", b"1")
    space, cursor, e = db.keyspace("default").core.handle, ffi.new("lsm_cursor **"), ffi.new("lsm_error *")
    assert lib.lsm_cursor_new(space, 2**64 - 1, NULL, 0, NULL, 0, 0, 1, 0, cursor, e) == 0
    refused = calls(db)
    get, get_many, put, scan = db.get, db.get_many, db.put, db.range
    db.close()
    assert {name: call() for name, call in refused.items()} == dict.fromkeys(refused, CLOSED)
    for call in (lambda: get(b"a"), lambda: get_many([b"a"]), lambda: put(b"a", b"2"), scan):
        with pytest.raises(ClosedError):
            call()
    out, size = ffi.new("uint8_t[100]"), ffi.new("size_t *")
    assert lib.lsm_cursor_fill(cursor[0], 1, out, 100, ffi.new("uint32_t[2]"), NULL, 0, 0, size, size, e) == CLOSED
    assert lib.lsm_cursor_seek(cursor[0], b"a", 1, e) == CLOSED
    lib.lsm_cursor_close(cursor[0])


def test_a_dropped_keyspace_refuses_its_calls(db: lsm.DB) -> None:
    db.keyspace("default").core.drop()
    assert lib.lsm_keyspace_log_floor(db.keyspace("default").core.handle, 0) == 2**64 - 1
    assert (db.keyspace("default").core.memory(), db.keyspace("default").core.sealed_count()) == (0, 0)
    refused = calls(db)
    for name in ("put", "delete", "get", "get_many", "put_many", "cursor", "seal", "publish"):
        assert refused[name]() == CLOSED, name
    assert refused["write"]() == INVALID, "no such keyspace"
    assert refused["replay"]() == 0, "a record of a keyspace that is gone is skipped"
    db.keyspace("default").core.drop()


def test_a_read_only_database_says_so_without_room_for_an_error(db: lsm.DB) -> None:
    db.core.poison("the disk is gone")
    refused = calls(db)
    for name in ("put", "delete", "put_many", "write", "note", "note without room for an error", "sync", "sync without room for an error"):
        assert refused[name]() == lib.LSM_READONLY, name
    assert lib.lsm_db_status(db.core.handle, NULL) != 0
    assert db.core.why_read_only() == "the disk is gone"


def test_lengths_beyond_the_limits(db: lsm.DB) -> None:
    core, space, e = db.core.handle, db.keyspace("default").core.handle, ffi.new("lsm_error *")
    byte = ffi.new("uint8_t[8]")
    key, value = lib.LSM_MAX_KEY + 1, lib.LSM_MAX_VALUE + 1
    assert lib.lsm_put(space, byte, key, byte, 1) == TOO_BIG
    assert lib.lsm_put(space, byte, 1, byte, value) == TOO_BIG
    assert lib.lsm_delete(space, byte, key) == TOO_BIG
    for key_len, value_len in ((key, 1), (1, value)):
        assert lib.lsm_put_many(space, 1, byte, [key_len], byte, [value_len], 0, e) == TOO_BIG
    assert lib.lsm_put_many(space, 1, byte, [key], byte, NULL, 0, e) == TOO_BIG
    many = [lib.LSM_MAX_VALUE] * 5
    assert lib.lsm_put_many(space, 5, byte, [1] * 5, byte, many, 0, e) == TOO_BIG
    assert lib.lsm_put_many(space, 0, byte, NULL, byte, NULL, 0, e) == 0
    assert lib.lsm_write(core, byte, 3, 0, e) == INVALID
    assert lib.lsm_write(core, byte, 2**40, 0, e) == TOO_BIG
    assert lib.lsm_replay(core, 2**60, ffi.new("uint8_t[]", BATCH), len(BATCH), e) < 0
    assert lib.lsm_replay(core, 5, byte, 4, e) == 0, "a batch of nothing"
    assert db.range() == []


def test_configurations_of_another_version(db: lsm.DB) -> None:
    core, e = db.core.handle, ffi.new("lsm_error *")
    memtable = lib.lsm_memtable_find(b"skiplist")
    out = ffi.new("lsm_keyspace **")
    right: dict[str, Any] = {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_keyspace_config"), "id": 9, "memtable": memtable}
    other = [ffi.new("lsm_memtable_ops *", {"abi": abi, "size": size}) for abi, size in ((0, 1000), (lib.LSM_ABI, 8))]
    for wrong in ({"abi": 0}, {"size": 8}, {"memtable": NULL}, *({"memtable": ops} for ops in other)):
        assert lib.lsm_keyspace_new(core, ffi.new("lsm_keyspace_config *", {**right, **wrong}), out, e) == INVALID
    made, path = ffi.new("lsm_db **"), ffi.new("char[]", b"/x")
    for wrong in ({"abi": 0}, {"size": 8}):
        config = ffi.new("lsm_db_config *", {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_db_config"), "dir": path, **wrong})
        assert lib.lsm_db_open(config, made, e) == INVALID


def test_a_cache_of_a_wrong_kind() -> None:
    lru = ffi.cast("const evi_ops *", eviction.ops_address("lru"))
    other = [ffi.new("evi_ops *", {"abi": abi, "size": size}) for abi, size in ((0, 1000), (lru.abi, 8))]
    for mean, shards, policy in ((0, 1, lru), (64, 3, lru), (64, 1, NULL), *((64, 1, ops) for ops in other)):
        assert lib.lsm_cache_new(4096, shards, mean, policy, b"", 0) == NULL
    cache = lib.lsm_cache_new(4096, 0, 64, lru, NULL, 0)
    assert lib.lsm_cache_dump(cache, NULL, 0) > 0
    lib.lsm_cache_free(cache)


def test_held_numbers_come_in_any_order(db: lsm.DB) -> None:
    numbers = []
    for i in range(70):
        db.put(b"%d" % i, b"")
        numbers.append(db.core.snapshot())
    assert db.core.snapshots() == numbers
    for seq in (*numbers[::2], *reversed(numbers[1::2])):
        db.core.release(seq)
    assert db.core.snapshots() == []


def test_numbers_are_raised_and_never_lowered(db: lsm.DB) -> None:
    first = db.core.take_numbers()
    db.core.raise_number(first + 100)
    db.core.raise_number(3)
    assert db.core.take_numbers(2) == first + 100
    assert db.core.take_numbers() == first + 102


def test_a_ledger_takes_any_level_and_no_ledger() -> None:
    lib.lsm_ledger_free(NULL)
    lib.lsm_block_release(NULL)
    lib.lsm_job_free(NULL)
    bucket = lib.lsm_bucket_new(0, 0)
    assert lib.lsm_bucket_take(bucket, 100, NULL) == lib.lsm_bucket_take(NULL, 100, NULL) == 0
    lib.lsm_bucket_set(bucket, 1 << 40)
    assert lib.lsm_bucket_take(bucket, 0, NULL) == 0
    lib.lsm_bucket_free(bucket)


def test_a_job_without_what_it_needs() -> None:
    path = ffi.new("char[]", b"/x")
    right = {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_job_config"), "dir": path, "max_outputs": 1}
    job = lib.lsm_job_new(ffi.new("lsm_job_config *", {**right, "max_outputs": 0}), NULL, 0)
    assert lib.lsm_job_progress(job) == 1.0
    assert lib.lsm_job_output(job, 0) == NULL
    lib.lsm_job_free(job)
