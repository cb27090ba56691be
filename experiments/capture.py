"""What a run ran on and with, as far as the system tells: machine, limits, file system, versions, state of the sources.

What cannot be read here (a container may hide it) is None, so that a record says what it does not know.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from .processes import code_id, version

_PROC, _SYS = Path("/proc"), Path("/sys")
PACKAGES = ("lsmlab", "numpy", "cffi", "pyarrow")


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return None


def machine(folder: Path = Path()) -> dict[str, Any]:
    """Processor, memory, kernel, load, and the file system that holds `folder`."""
    model = next((v for k, v in _pairs(_PROC / "cpuinfo") if k == "model name"), platform.processor())
    cpu = _SYS / "devices/system/cpu"
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "governor": _text(cpu / "cpu0/cpufreq/scaling_governor"),
        "turbo_off": _text(cpu / "intel_pstate/no_turbo"),
        "throttled": _text(cpu / "cpu0/thermal_throttle/core_throttle_count"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memory_limit_bytes": memory_limit(),
        "system": platform.platform(),
        "load": os.getloadavg()[0],
        **file_system(folder),
    }


def _pairs(path: Path) -> list[tuple[str, str]]:
    lines = (line.partition(":") for line in (_text(path) or "").splitlines())
    return [(key.strip(), value.strip()) for key, colon, value in lines if colon]


def memory_limit() -> int | None:
    """The control group's limit in bytes; None without one."""
    for name in ("fs/cgroup/memory.max", "fs/cgroup/memory/memory.limit_in_bytes"):
        text = _text(_SYS / name)
        if text and text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None


def file_system(folder: Path) -> dict[str, Any]:
    """Kind, mount options and space of the file system of a folder that exists, and whether it takes O_DIRECT."""
    place, options, kind = "", None, None
    for line in (_text(_PROC / "self/mounts") or "").splitlines():
        _, where, its_kind, its_options, *_ = line.split()
        where = where.encode().decode("unicode_escape")
        if len(where) >= len(place) and (folder.resolve() == Path(where) or Path(where) in folder.resolve().parents):
            place, kind, options = where, its_kind, its_options
    usage = shutil.disk_usage(folder)
    return {
        "file_system": kind, "mount_options": options, "free_bytes": usage.free, "free_share": round(usage.free / max(1, usage.total), 3),
        "direct_io": _takes_direct(folder),
    }  # fmt: skip


def _takes_direct(folder: Path) -> bool | None:
    path = folder / f".direct.{os.getpid()}"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o600)
    except OSError:
        return False
    else:
        os.close(descriptor)
        return True
    finally:
        path.unlink(missing_ok=True)


def versions(*more: str) -> dict[str, str]:
    """Versions of what took part, the digest of the code that ran, and the state of the sources."""
    return {"python": platform.python_version(), **{n: version(n) for n in (*PACKAGES, *more)}, "code": code_id(), **sources()}


@cache
def sources() -> dict[str, str]:
    """Commit of the tree that this runs from, and whether it has changes; nothing for an installed package."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return {}

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    if commit is None:
        return {}
    return {"commit": commit, "sources": "unknown" if changed is None else "changed" if changed else "as committed"}
