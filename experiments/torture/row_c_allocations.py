"""Row C: every allocation of our extensions in every story fails, once and with all behind it.

The process that does it has a shim before its allocator (recovery/alloc_fault.py). An exception is right; a wrong answer, a crash, a hang,
a lock or a block that is not let go of, or a database that does not reopen with an allowed content is not.
"""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recovery

from ..processes import command, environment
from .drawn import drawn
from .row import Found, Row, Slice
from .story import stories

_PARTS = 4
_HANG = 60.0  # seconds that one case may take


def slices(full: bool) -> list[Slice]:
    """A slice for a story, once or sticky; in the full run in several parts and with the options of several seeds.

    The full run fails every allocation, the quick one the first of each way that leads to one.
    """
    made = []
    seeds, parts = ((0, 1), _PARTS) if full else ((0,), 1)
    for seed, name, sticky, part in itertools.product(seeds, (*stories(), *drawn()), (False, True), range(parts)):
        given = {"story": name, "sync": "group", "seed": seed, "sticky": sticky, "first": part + 1, "step": parts if full else 0}
        if sticky and not full and name in drawn():
            continue
        made.append(Slice(f"{name.replace(' ', '-')}-{seed}-{'sticky' if sticky else 'once'}-{part}", given))
    return made


@dataclass
class _Ended:
    case: int
    how: str


def run(given: dict[str, Any]) -> Found:
    """Sweep; a process that dies is one violation, and another goes on behind it."""
    found, first = Found(), given["first"]
    with tempfile.TemporaryDirectory(prefix="lsmlab-alloc-") as home:
        try:
            library = recovery.build_alloc_fault(home)
        except RuntimeError as e:
            return Found(missing=str(e))
        while ended := _sweep({**given, "first": first}, library, found):
            found.cases += 1
            found.violations.append(f"{ended.how} (allocation {ended.case}{' and all behind it' if given['sticky'] else ''})")
            if ended.case < first:  # it did not come so far as to try one
                break
            first = ended.case + max(given["step"], 1)
    return found


def _sweep(order: dict[str, Any], library: Path, found: Found) -> _Ended | None:
    """Let one process sweep as far as it gets. None when it came to the end, else where and how it ended."""
    env = {**environment(), **recovery.alloc_fault_environment(library)}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command("torture.alloc_worker"), env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        case, alarm = 0, _alarm(process)
        for line in process.stdout:
            said = json.loads(line)
            if "wrong" in said:
                found.cases += 1
                found.count("allocations refused", said["hit"])
                found.violations += said["wrong"]
            case = said.get("case", case)
            alarm.cancel()
            alarm = _alarm(process)
            if "done" in said:
                case = -1
        code = process.wait()
        alarm.cancel()
        if case < 0 and code == 0:
            return None
        errors.seek(0)
        lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
        how = f"HANG: no word for {_HANG:.0f} s" if code == -signal.SIGKILL else f"CRASH: ended with {code}"
        return _Ended(max(case, 0), f"{how}: {' | '.join(lines[:6])}")


def _alarm(process: subprocess.Popen[str]) -> threading.Timer:
    alarm = threading.Timer(_HANG, process.kill)
    alarm.daemon = True
    alarm.start()
    return alarm


ROW = Row(
    "C", "an allocation fails", "cases", 3_000, 40_000, slices, run, seconds=1800, more_goals={"allocations refused": (3_000, 40_000)}
)
