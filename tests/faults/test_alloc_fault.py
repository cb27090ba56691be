"""The shim before the allocator fails what it is told to, of the objects that it watches alone; the engine survives each failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import recovery
from experiments.torture import row_c_allocations

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizers bring an allocator of their own")

PROGRAM = """
import gc, recovery
fs = recovery.memory()
faults = recovery.AllocationFaults(["/recovery/_native.abi3.so"])
base = faults.live
faults.disarm()
fs.mkdir("/a")
needed = faults.asked
assert needed > 1 and faults.live > base, (needed, faults.live)
for n in range(1, needed + 1):
    faults.arm(n)
    try:
        fs.mkdir(f"/{n}")
    except OSError as e:
        assert e.errno == 12, e
        assert (faults.failed, fs.exists(f"/{n}")) == (1, False)
    else:  # room that was made before is still there
        assert n > 1 and (faults.failed, fs.exists(f"/{n}")) == (0, True)
    bytearray(1 << 20)  # not asked for by recovery
faults.arm(1, sticky=True)
for n in range(3):
    try:
        fs.mkdir("/b")
    except OSError:
        pass
assert faults.failed == 3
faults.disarm()
fs.mkdir("/b")
faults.trace()
fs.rmdir("/b")
fs.mkdir("/b")
firsts, once = faults.first_of_each_way(), faults.asked
assert 1 == firsts[0] < firsts[-1] <= once, (firsts, once)
for _ in range(2):
    fs.rmdir("/b")
    fs.mkdir("/b")
assert faults.asked >= 3 * once
assert len(faults.first_of_each_way()) <= len(firsts) + 1, "the same calls come the same way (a list may have had to grow)"
faults.disarm()
assert faults.first_of_each_way() == []
fs = recovery.posix()
for call in (recovery.posix, lambda: fs.open(recovery.__file__)):
    faults.arm(1)
    try:
        call()
        raise AssertionError("it did without")
    except (OSError, MemoryError) as e:
        assert isinstance(e, MemoryError) or e.errno == 12, e
faults.disarm()
fs.open(recovery.__file__).close()
del fs
gc.collect()
assert faults.live <= base, "a block is not freed"
try:
    recovery.AllocationFaults(["/nothing.so"])
except ValueError as e:
    print(e)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return recovery.build_alloc_fault(tmp_path_factory.mktemp("shim"))
    except RuntimeError as e:
        pytest.skip(str(e))


def test_the_nth_allocation_fails(library: Path) -> None:
    env = {**os.environ, **recovery.alloc_fault_environment(library)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no loaded object's path ends in '/nothing.so'\n"), done.stderr


def test_without_the_shim_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="without the shim"):
        recovery.AllocationFaults(["/recovery/_native.abi3.so"])


def test_a_missing_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nothing/cc")
    with pytest.raises(RuntimeError, match="no C compiler"):
        recovery.build_alloc_fault(tmp_path)


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
def test_a_sample_of_allocations_of_the_engine(sticky: bool, library: Path) -> None:
    given = {"story": "overwrite", "sync": "group", "seed": 0, "sticky": sticky, "first": 1, "step": 97}
    found = row_c_allocations.run(given)
    assert found.violations == [], f"repeat with: row_c_allocations.run({given})"
    assert found.cases > 10


def test_a_process_that_dies_is_found(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        row_c_allocations, "command", lambda module: [sys.executable, "-c", "print('{\"case\": 4}'); import os; os.abort()"]
    )
    found = row_c_allocations.run({"story": "load", "sync": "group", "seed": 0, "sticky": False, "first": 1, "step": 10**9})
    assert len(found.violations) == 2, "the next one dies as well, and comes no further"
    assert "CRASH: ended with -6" in found.violations[0] and "allocation 4" in found.violations[0]
