"""Fresh processes of our own modules: how they are started, and what this installation is made of."""

from __future__ import annotations

import os
import sys
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
