"""No address space is left: what is mapped fails as an allocation would, or does without; nothing is lost, and it goes on afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizers reserve terabytes")

PROGRAM = """
import resource

import eviction, lsm, recovery
from lsm.memtable_twin import PUT, Entry
from lsm.native import Cache
from lsm.native_memtables import BUILT_IN, Memtable, builtin_memtable
from lsm.native_tables import scan
from harness.tables import Lab

BEFORE = resource.getrlimit(resource.RLIMIT_AS)


def limit(more):
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, BEFORE[1]))


big = bytes(24 << 20)
for kind in BUILT_IN:
    memtable = Memtable(builtin_memtable(kind))
    memtable.add(Entry(b"a", 1, PUT, b"1"))
    limit(1 << 20)
    try:
        memtable.add(Entry(b"b", 2, PUT, big))
        raise AssertionError("it did without")
    except RuntimeError as e:
        assert str(e).endswith("status -3"), e
    finally:
        resource.setrlimit(resource.RLIMIT_AS, BEFORE)
    assert [e.key for e in memtable] == [b"a"]
    memtable.add(Entry(b"b", 2, PUT, big))
    assert [len(e.value) for e in memtable] == [1, len(big)]
    memtable.close()

cache = Cache(32 << 20, 1, 400, eviction.ops_address("lru"), "", 0)
lab = Lab(cache=cache)
options = lab.settings()
entries = [Entry(b"%06d" % i, 1, PUT, b"v" * 100) for i in range(2000)]
lab.build(options, entries)
table = lab.open(options)
want = list(scan(table, fill_cache=False))
assert want == entries
limit(1 << 20)
found = [e.key for e in scan(table)]
resource.setrlimit(resource.RLIMIT_AS, BEFORE)
assert found == [e.key for e in entries], "blocks come from the heap"
assert list(scan(table)) == entries and cache.stats()["hits"] > 20
table.close()
print("all right")
"""


def test_what_is_mapped_may_find_no_room(root: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root / "tests", env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
