"""Each allocation of each component of `indexes`, `eviction` and `lsm` fails in turn: see tests/harness/allocations.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import recovery
from tests.harness import eviction_stories, indexes_stories, lsm_stories

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizers bring an allocator of their own")

STORIES = {"eviction": list(eviction_stories.STORIES), "indexes": list(indexes_stories.STORIES), "lsm": list(lsm_stories.STORIES)}
PARTS = [("eviction", 0, 1), *(("indexes", part, 3) for part in range(3)), *(("lsm", part, 3) for part in range(3))]


@pytest.mark.parametrize(("package", "part", "parts"), PARTS)
def test_no_failing_allocation_does_harm(package: str, part: int, parts: int, tmp_path: Path, root: Path) -> None:
    try:
        library = recovery.build_alloc_fault(tmp_path)
    except RuntimeError as e:
        pytest.skip(str(e))
    names = STORIES[package][part::parts]
    env = {**os.environ, **recovery.alloc_fault_environment(library), "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "harness.allocations", package, *names]
    done = subprocess.run(command, cwd=root / "tests", env=env, capture_output=True, text=True, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{said[-1:]} ended with {done.returncode}: {done.stderr[-2000:]}"
    told = {line["name"]: line for line in said if "asked" in line}
    assert list(told) == names
    assert not [(name, line["wrong"][:3]) for name, line in told.items() if line["wrong"]]
    assert all(line["asked"] and line["refused"] for line in told.values())
