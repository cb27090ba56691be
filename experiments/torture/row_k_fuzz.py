"""Row K: fuzzing of every parser of stored bytes, with the checksums made right again, so that what stands behind them is reached.

Parsers in C: a coverage-guided driver with address and undefined-behaviour sanitizers, in one process, deterministic by its seed
(`fuzz/`). Parsers in Python: mutations in child processes with limits (`fuzz/control.py`, `fuzz/copies.py`).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import recovery

from . import isolated
from .fuzz import build, control, copies
from .fuzz.seeds import seeds
from .row import Found, Row, Slice

TARGETS = (
    "log", "block", "index", "filter", "range_filter", "table", "codec", "batch", "ordered", "hashed", "bitmap", "sliced", "rowset",
    "rtree", "text", "framed", "paged",
)  # fmt: skip
IN_PYTHON = control.TARGETS | copies.TARGETS
SLOW = {"keys": 10, "backup": 50}  # so many times fewer runs: each is a restore, or keys made of keys
QUICK, FULL = 100_000, 10_000_000
_PIECE = 1_000_000  # runs a slice of a full run


def slices(full: bool) -> list[Slice]:
    """Each target by itself; a full run in pieces with seeds of their own, one of each target in Python: those are slow."""
    piece, most = (_PIECE, FULL // _PIECE) if full else (QUICK, 1)
    return [
        Slice(f"{target}-{i}", {"target": target, "runs": piece // SLOW.get(target, 1), "seed": i})
        for target in (*TARGETS, *IN_PYTHON)
        for i in range(1, (1 if target in IN_PYTHON else most) + 1)
    ]


def run(given: dict[str, Any]) -> Found:
    """Fuzz one target."""
    target, runs, seed = given["target"], given["runs"], given["seed"]
    if target in IN_PYTHON:
        try:
            fuzzed = IN_PYTHON[target]()
        except (ImportError, recovery.CryptoMissing, recovery.WrongKey) as e:
            return Found(missing=str(e))
        found = isolated.run(
            range(runs), lambda i, counts: control.judge(fuzzed, seed, i, counts), lambda i: f"{target}: seed {seed}, run {i}"
        )
    else:
        found = _drive(target, runs, seed)
    if found.cases >= runs:
        found.count(f"targets x {runs:,}")
    return found


def _drive(target: str, runs: int, seed: int) -> Found:
    try:
        driver, given = build.driver(), seeds(target)
        if target in ("framed", "paged"):
            recovery.load_crypto()
    except (build.NoCompiler, ImportError, recovery.CryptoMissing) as e:
        return Found(missing=str(e))
    with tempfile.TemporaryDirectory(prefix="lsmlab-fuzz-") as home:
        for i, data in enumerate(given):
            (Path(home) / f"{i:03d}").write_bytes(data)
        keep = driver.parent
        command = [str(driver), target, home, "--runs", str(runs), "--seed", str(seed), "--keep", str(keep)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return Found(violations=[_told(target, driver, done.stderr)])
    said = json.loads(done.stdout.splitlines()[-1])
    return Found(said["runs"], more={"inputs kept": said["corpus"], "places reached": said["places"]})


def _told(target: str, driver: Path, errors: str) -> str:
    lines = errors.splitlines()
    kept = next((line.rpartition(" ")[2] for line in lines if line.startswith("FUZZ ")), "")
    what = next((line.strip() for line in lines if "ERROR:" in line or "runtime error" in line), lines[-1] if lines else "no word")
    where = next((line.strip() for line in lines if line.lstrip().startswith("#") and "csrc" in line), "")
    return f"{what} {where}; repeat with: {driver} {target} --repeat {kept}" if kept else f"{what} {where}"


ROW = Row(
    "K", "fuzzing of parsers", "executions", QUICK * 12, FULL * 12, slices, run, seconds=3600.0,
    more_goals={f"targets x {QUICK:,}": (12, 0), f"targets x {_PIECE:,}": (0, 120)},
)  # fmt: skip
