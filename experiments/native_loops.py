"""The loop in C that `lsmlab bench native` lets ask this engine and RocksDB: compiled when it is needed, called through cffi."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cffi

from lsm import Keyspace
from lsm.native import ffi, lib

from .bench_kv import BenchFailed

KEY, VALUE, BATCH = 16, 100, 100
_SOURCE = Path(__file__).with_suffix(".c")
_CDEF = """
typedef struct loop_job { void *store; void *get; void *get_many; uint64_t pairs, operations, seed; uint32_t threads, batch; uint64_t wrong;
    double wall_s, cpu_s; } loop_job;
int loop_run(loop_job *job);
void loop_pairs(uint64_t from, uint64_t n, uint8_t *keys, uint8_t *values);
"""
_CDEF_ROCKS = """
void *rocks_fill(const char *path, uint64_t pairs, size_t cache, size_t write_buffer, double bits, int hash_index, char **error);
void rocks_close(void *r);
"""


class Loops:
    """The compiled loop. ``peer``: why it is without RocksDB, or nothing."""

    def __init__(self, folder: Path) -> None:
        """BenchFailed without a C compiler, or where it refuses."""
        compiler = (os.environ.get("CC") or "cc").split()
        if not shutil.which(compiler[0]):
            raise BenchFailed(f"no C compiler: {compiler[0]!r} is not on the PATH; install gcc or set CC")
        target = folder / "loops.so"
        parts = [*compiler, "-std=gnu11", "-O2", "-shared", "-fPIC", "-pthread", str(_SOURCE), "-o", str(target)]
        done = subprocess.run([*parts, "-DWITH_ROCKSDB", "-lrocksdb"], capture_output=True, text=True, check=False)
        self.peer = "" if done.returncode == 0 else "librocksdb is not there: apt install librocksdb-dev"
        if self.peer:
            done = subprocess.run(parts, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BenchFailed(f"{_SOURCE.name} does not compile:\n{done.stderr}")
        self.ffi = cffi.FFI()
        self.ffi.cdef(_CDEF + ("" if self.peer else _CDEF_ROCKS))
        self.lib: Any = self.ffi.dlopen(str(target))

    def pairs(self, start: int, count: int) -> tuple[list[bytes], list[bytes]]:
        """Return keys and values of [start, start + count)."""
        keys, values = bytearray(KEY * count), bytearray(VALUE * count)
        self.lib.loop_pairs(start, count, self.ffi.from_buffer("uint8_t[]", keys), self.ffi.from_buffer("uint8_t[]", values))
        return (
            [bytes(keys[i : i + KEY]) for i in range(0, len(keys), KEY)],
            [bytes(values[i : i + VALUE]) for i in range(0, len(values), VALUE)],
        )

    def run(self, store: Any, ours: bool, pairs: int, threads: int, batch: int, operations: int, seed: int) -> tuple[float, float]:
        """Return seconds by the clock and of processors. BenchFailed when an answer was wrong."""
        job = self.ffi.new("loop_job *")
        job.store, job.pairs, job.operations, job.seed = store, pairs, operations, seed
        job.threads, job.batch = threads, batch
        if ours:
            job.get, job.get_many = (self.ffi.cast("void *", _address(name)) for name in ("lsm_get", "lsm_get_many"))
        if self.lib.loop_run(job) != 0:
            raise BenchFailed(f"{threads} threads could not be had")
        if job.wrong:
            raise BenchFailed(f"{job.wrong} of {threads * operations} answers were wrong")
        return float(job.wall_s), float(job.cpu_s)

    def of(self, space: Keyspace) -> Any:
        """Return a keyspace of ours as `run` takes it."""
        return self.ffi.cast("void *", int(ffi.cast("uintptr_t", space.core.handle)))


def _address(name: str) -> int:
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))
