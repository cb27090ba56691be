"""Many small cases in child processes that may crash, hang or ask for too much memory: each such end is put down to its case.

The child has a limit on its memory and, for each case, on its time. It shares a counter with its parent; when it dies, the parent knows
the case and goes on with the next one in a new child.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import signal
import struct
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import native_counts
from .row import Found

T = TypeVar("T")
Judge = Callable[[T, Counter[str]], list[str]]
_Told = tuple[int, str, dict[str, int]]  # place of the case, what is wrong, counts
MEMORY = 64 << 20
MOST_TOLD = 200  # violations that are kept as text
_STRIDE = 1000  # cases a child
_SWEEP = 16  # cases between collections: objects in cycles hold memory that the collector does not count


def run(cases: Sequence[T], judge: Judge[T], label: Callable[[T], str], *, seconds: float = 10.0) -> Found:
    """Judge each case: the judge returns what is wrong, a line each, and may count what came of it by name."""
    found = Found()
    at = 0
    with mmap.mmap(-1, 8) as shared:
        while at < len(cases):
            stop = min(at + _STRIDE, len(cases))
            done, told, ended = _child(cases[at:stop], judge, shared, seconds)
            for i, text, counts in told:
                for name, n in counts.items():
                    found.count(name, n)
                if text and len(found.violations) < MOST_TOLD:
                    found.violations.append(f"{label(cases[at + i])}: {text}")
            if ended:
                found.violations.append(f"{label(cases[at + done])}: {_ending(ended, seconds)}")
                done += 1
            found.cases += done
            at += done
    return found


def _child(cases: Sequence[T], judge: Judge[T], shared: mmap.mmap, seconds: float) -> tuple[int, list[_Told], int]:
    """Judge cases in a child: how many it did, what it told, and its exit code."""
    out, into = os.pipe()
    shared[:8] = struct.pack("<Q", 0)
    pid = os.fork()
    if not pid:
        os.close(out)
        _work(cases, judge, shared, seconds, into)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    _, status = os.waitpid(pid, 0)
    done: int = struct.unpack("<Q", shared[:8])[0]
    return done, [tuple(json.loads(line)) for line in lines], os.waitstatus_to_exitcode(status)


def _ending(code: int, seconds: float) -> str:
    if code == -signal.SIGALRM:
        return f"HANG: not done after {seconds:g} s"
    return f"CRASH: {signal.Signals(-code).name}" if code < 0 else f"CRASH: the process ended with {code}"


def _work(cases: Sequence[T], judge: Judge[T], shared: mmap.mmap, seconds: float, into: int) -> None:
    """The child: never returns."""
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        gc.collect()
        gc.freeze()  # what the parent made is looked at no more
        limit_memory()
        counts = Counter[str]()
        with os.fdopen(into, "w", buffering=1) as pipe:
            for i, case in enumerate(cases):
                shared[:8] = struct.pack("<Q", i)
                if i % _SWEEP == 0:
                    gc.collect()
                signal.setitimer(signal.ITIMER_REAL, seconds)
                for text in _judged(judge, case, counts):
                    pipe.write(json.dumps([i, text, {}]) + "\n")
            signal.setitimer(signal.ITIMER_REAL, 0)
            shared[:8] = struct.pack("<Q", len(cases))
            pipe.write(json.dumps([0, "", counts]) + "\n")
        code = 0
    finally:
        native_counts.keep()
        os._exit(code)  # nothing of the parent's is to be done twice


def _judged(judge: Judge[Any], case: Any, counts: Counter[str]) -> list[str]:
    try:
        return judge(case, counts)
    except MemoryError:
        return [f"asked for more than {MEMORY >> 20} MiB"]
    except Exception as e:
        frame = traceback.extract_tb(e.__traceback__)[-1]
        return [f"RAISED {type(e).__name__}: {e} ({Path(frame.filename).name}:{frame.lineno}); allowed: the right answer or an lsm.Error"]


def limit_memory(more: int = MEMORY) -> None:
    """From now on this process may take so many bytes more than it has; not in a build with sanitizers, which reserve terabytes."""
    if "LSMLAB_INSTRUMENTED" in os.environ:
        return
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
