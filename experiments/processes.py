"""Fresh processes of our own modules: how they are started, and what this installation is made of."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from functools import cache
from importlib import metadata
from pathlib import Path


def command(module: str) -> list[str]:
    """The command line that runs `experiments.<module>` with this very interpreter."""
    return [sys.executable, "-m", f"experiments.{module}"]


def environment() -> dict[str, str]:
    """The environment for it: ours, with the packages found where this process found them, whatever folder it is in."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    # Nothing here multiplies matrices: no idle pool of numpy's beside a measured thread.
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


_ENGINE = ("lsm", "recovery", "indexes", "eviction")


@cache
def _digest(*places: str) -> str:
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.blake2b(digest_size=8)
    for place in places:
        parts = [root / place] if place.endswith(".py") else sorted((root / place).rglob("*"))
        for path in (p for p in parts if p.suffix in (".py", ".so", ".csv")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def engine_id() -> str:
    """Tells this build from others: a digest of the engine's modules and extensions and of the suite that tortures them."""
    return _digest(*_ENGINE, "experiments/torture")


def code_id() -> str:
    """Tells what a measurement depends on from other builds: the engine, the workloads, and what runs and measures them."""
    return _digest(*_ENGINE, "experiments/workloads", "experiments/measure", "experiments/worker.py")


class Processes:
    """Those at work, so that Ctrl-C ends them all."""

    def __init__(self) -> None:
        self.lock, self.alive, self.stopped = threading.Lock(), set[subprocess.Popen[str]](), False

    def add(self, process: subprocess.Popen[str]) -> None:
        """One that was started; it is killed at once when `stop` was called before."""
        with self.lock:
            self.alive.add(process)
            if self.stopped:
                process.kill()

    def stop(self) -> None:
        """Kill them."""
        with self.lock:
            self.stopped = True
            for process in self.alive:
                process.kill()


def version(distribution: str) -> str:
    """Version of an installed distribution; "source tree" for lsmlab when it is run without being installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        if distribution != "lsmlab":
            raise
        return "source tree"


def anonymous_bytes() -> int:
    """Bytes of this process's resident memory that are no file's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon in /proc/self/status")
