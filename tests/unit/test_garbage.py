"""Objects that end as garbage: the collector frees a cycle in any order, and what C borrows must still be there."""

from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eviction
import indexes
import lsm
from lsm import native
from lsm.memtable_python import SortedMemtable
from lsm.native_memtables import Memtable, PythonMemtable
from lsm.secondary import col, text
from tests.unit.test_eviction_cache_objects import Newest

KEYS = [b"k%03d" % i for i in range(200)]


class Everything:
    """A range filter that lets all through."""

    name, version = "everything", 1

    def accepts(self, params: str) -> bool:
        return True

    def build(self, keys: Any, params: str) -> bytes:
        return b"all"

    def check(self, data: memoryview) -> bool:
        return bytes(data) == b"all"

    def may_contain(self, data: memoryview, key: bytes) -> bool:
        return True

    def may_contain_range(self, data: memoryview, lo: bytes, hi: bytes | None) -> bool:
        return True


def cache_of_python(_: Path) -> Any:
    cache: eviction.Cache[int, Any] = eviction.Cache(Newest, 10)
    for i in range(30):
        cache[i] = i
    cache[99] = held = [cache]
    return cache, cache._bridge, held


def decorated_by_python(_: Path) -> Any:
    @eviction.cached(Newest, 10)
    def square(n: int) -> Any:
        return n * n, square

    return [square(i) for i in range(30)]


def range_filter_of_python(_: Path) -> Any:
    ops = indexes.PythonRangeFilter(Everything())
    data, _count = ops.build(KEYS)
    opened = ops.open(data)
    assert opened.may_contain(b"x")
    return ops, opened


def memtable_of_python(_: Path) -> Any:
    ops = PythonMemtable(SortedMemtable, "sorted")
    memtable = Memtable(ops)
    return ops, memtable, ops._alive


def open_scans(folder: Path) -> Any:
    db = lsm.open(folder, {"threads": 1, "write_buffer": 1 << 16, "cache": {"capacity": 1 << 16}})
    db.put_many((key, key * 20) for key in KEYS)
    db.flush()
    scan, snapshot = db.scan(), db.snapshot()
    older = snapshot.scan(b"k1")
    next(scan), next(older)
    db.put(b"k", b"v")
    return db, scan, snapshot, older


def open_table(folder: Path) -> Any:
    db = lsm.open(folder, {"threads": 1, "row_cache": {"capacity": 1 << 16}})
    table = db.table("notes", key="n")
    table.create_index("by_body", "body", kind="text")
    table.create_index("by_n", "n")
    for i in range(100):
        table.put({"n": i, "body": f"word{i % 7} more"})
    db.flush()
    found = table.find(text("body", "word3"))
    return db, table, found, next(iter(found)), table.find(col("n") > 3)


MAKERS = [cache_of_python, decorated_by_python, range_filter_of_python, memtable_of_python, open_scans, open_table]


def test_a_cache_of_a_python_policy_may_be_there_at_the_end_of_the_process() -> None:
    code = f"""
from __future__ import annotations
import eviction
{inspect.getsource(Newest)}
cycle = [eviction.Cache(Newest, 10)]
cycle.append(cycle)
cycle[0][1] = 1
"""
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("first", [True, False], ids=["cycle-first", "cycle-last"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_cycle_of_what_was_not_closed_is_freed(make: Callable[[Path], Any], first: bool, tmp_path: Path) -> None:
    for i in range(10):
        cycle: list[Any] = []
        if first:
            cycle.append(cycle)
        cycle.append(make(tmp_path / str(i)))
        if not first:
            cycle.append(cycle)
        del cycle
        gc.collect()


def test_references_to_one_object_may_end_in_several_threads_at_once() -> None:
    """Each is let go of exactly once, and nothing is raised (a collector's callback would swallow it and leak the object)."""
    rounds, freed, raised = 20_000, list[int](), list[object]()
    objects = [native.ffi.new("int *") for _ in range(rounds)]

    def held(of: Any) -> Any:
        return native.holding(native.ffi.cast("int *", of), lambda it: freed.append(1), of)

    def end(handles: list[Any]) -> None:
        for handle in handles:
            native.ffi.release(handle)

    hook, interval = sys.unraisablehook, sys.getswitchinterval()
    sys.unraisablehook = raised.append
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=end, args=([held(o) for o in objects],)) for _ in range(2)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    except KeyError as e:
        raised.append(e)
    finally:
        sys.unraisablehook = hook
        sys.setswitchinterval(interval)
    assert not raised and len(freed) == 2 * rounds
