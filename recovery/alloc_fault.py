"""The n-th allocation fails: a shim before the C library's allocator, which refuses requests of the shared objects that it watches.

A process has to be started with the shim, and then says what to watch and when to fail:

    library = build(folder)                                     # needs a C compiler
    subprocess.run([...], env={**os.environ, **environment(library)})
    faults = AllocationFaults(["/recovery/_native.abi3.so"])    # in that process
    faults.arm(17)

Only the malloc family counts (malloc, calloc, realloc, memalign, aligned_alloc, posix_memalign, strdup, strndup), asked for by code of
the watched objects themselves: the interpreter's own allocations never fail. Anonymous mappings are not covered.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

_SOURCE = Path(__file__).with_name("alloc_fault.c")


def build(folder: str | os.PathLike[str]) -> Path:
    """Compile the shim into a folder, with $CC or cc. RuntimeError when that does not work."""
    library = Path(folder) / "alloc_fault.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    order = [*compiler, "-O1", "-shared", "-fPIC", "-fno-builtin", "-o", str(library), str(_SOURCE), "-lpthread"]
    try:
        done = subprocess.run(order, capture_output=True, text=True, check=False)
    except OSError as e:
        raise RuntimeError(f"no C compiler: {e}") from None
    if done.returncode:
        raise RuntimeError(f"{shlex.join(order)}: {done.stderr.strip()}")
    return library


def environment(library: str | os.PathLike[str]) -> dict[str, str]:
    """Return what to add to the environment of a process that is to have the shim."""
    return {"LD_PRELOAD": os.pathsep.join(filter(None, (os.fspath(library), os.environ.get("LD_PRELOAD"))))}


class AllocationFaults:
    """The shim in this process. RuntimeError when the process was not started with it; ValueError when nothing is to be watched."""

    def __init__(self, watch: Iterable[str]) -> None:
        """Watch the loaded shared objects whose paths end so."""
        self._c = ctypes.CDLL(None)
        if not hasattr(self._c, "alloc_fault_watch"):
            raise RuntimeError("this process was started without the shim: see environment()")
        self._c.alloc_fault_arm.argtypes = [ctypes.c_uint64, ctypes.c_int]
        self._c.alloc_fault_way.argtypes = [ctypes.c_uint64]
        for name in ("asked", "failed", "live", "way"):
            getattr(self._c, f"alloc_fault_{name}").restype = ctypes.c_uint64
        for end in watch:
            if not self._c.alloc_fault_watch(end.encode()):
                raise ValueError(f"no loaded object's path ends in {end!r}")

    def arm(self, nth: int, *, sticky: bool = False) -> None:
        """From now on the nth request (from 1) fails, and when sticky all behind it; `asked` and `failed` begin at 0 again."""
        if nth < 1:
            raise ValueError(f"nth {nth}; allowed: from 1")
        self._c.alloc_fault_arm(nth, sticky)

    def trace(self) -> None:
        """Disarm, and keep the way that each request comes (the calls within watched objects that lead to it), for `first_of_each_way`."""
        self._c.alloc_fault_trace()

    def first_of_each_way(self) -> list[int]:
        """Return the requests since `trace` that were the first to come their way; the first 131,072 requests are traced."""
        firsts: dict[int, int] = {}
        for nth in range(1, self.asked + 1):
            if way := int(self._c.alloc_fault_way(nth)):
                firsts.setdefault(way, nth)
        return sorted(firsts.values())

    def disarm(self) -> None:
        """Nothing fails any more; `asked` and `failed` begin at 0 again."""
        self._c.alloc_fault_arm(0, 0)

    @property
    def asked(self) -> int:
        """Requests since `arm` or `disarm`."""
        return int(self._c.alloc_fault_asked())

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return int(self._c.alloc_fault_failed())

    @property
    def live(self) -> int:
        """Blocks of watched objects that are not freed."""
        return int(self._c.alloc_fault_live())
