"""The process of row C that has the allocation shim: reads its order as JSON, prints a line of JSON a case, so that a crash tells which.

{"story", "sync", "seed", "first", "step", "sticky"}: the first-th allocation of the story fails, then the one `step` further, ...
With step 0: from the first-th on, each that is the first to come its way (the calls that lead to it).
"""

from __future__ import annotations

import faulthandler
import gc
import json
import sys
from typing import Any

import lsm
import recovery

from .drawn import drawn
from .row_a_faults import Scene, prepare
from .story import Play, judged, stories

WATCHED = tuple(f"/{package}/_native.abi3.so" for package in ("recovery", "eviction", "indexes", "lsm"))


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def play(scene: Scene, faults: recovery.AllocationFaults, nth: int, *, sticky: bool) -> tuple[Play, recovery.MemoryFileSystem, list[str]]:
    """Play a story while an allocation fails; everything is closed when this returns. nth 0: none fails."""
    disk = scene.disk.crash_clone("process")
    fs = recovery.fault(disk)
    now = Play(scene.story, fs, may=[scene.contents])
    wrong: list[str] = []
    if nth:
        faults.arm(nth, sticky=sticky)
    else:
        faults.trace()
    try:
        now.run(scene.story.before)
        wrong.extend(now.wrong_reads())
    except Exception as e:  # whatever is not the engine's own error
        wrong.append(f"{type(e).__name__} came out: {e}")
    try:
        now.close()
    except (lsm.Error, MemoryError) as e:
        now.errors.append(f"close: {type(e).__name__}: {e}")
    return now, disk, wrong


def main() -> None:
    """Sweep."""
    faulthandler.enable()
    order = json.load(sys.stdin)
    made = stories(order["sync"], order["seed"]) | drawn(order["sync"], order["seed"])
    scene = prepare(made[order["story"]])
    faults = recovery.AllocationFaults(WATCHED)
    for _ in range(2):  # the first time makes what stays for ever
        play(scene, faults, 0, sticky=False)
        total, firsts = faults.asked, faults.first_of_each_way()
        gc.collect()
    base = faults.live
    gc.freeze()  # what is there now need not be looked through after each case
    _say(total=total)
    sticky = order["sticky"]
    first, step = order["first"], order["step"]
    for nth in range(first, total + 1, step) if step else [n for n in firsts if n >= first]:
        _say(case=nth)
        now, disk, wrong = play(scene, faults, nth, sticky=sticky)
        hit = faults.failed
        faults.disarm()
        wrong += judged(now, disk)
        del disk
        now.fs = scene.disk  # lets go of this play's
        gc.collect()
        if (left := faults.live - base) > 0:
            wrong.append(f"{left} blocks are not freed")
            base = faults.live
        which = f"allocation {nth}{' and all behind it' if sticky else ''}; errors: {now.errors[:2]}"
        _say(case=nth, hit=hit, wrong=[f"{w} ({which})" for w in wrong])
    _say(done=True)


if __name__ == "__main__":
    main()
