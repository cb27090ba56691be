"""Row B: a fault during the recovery from a crash: the nth call fails while a crash state is opened.

The states are those of row D, evenly taken; what a recovery without a fault finds is what every later one must find: at once, unless
opening raised; when the fault is gone; and after power loss in that moment.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import lsm
import recovery

from .row import Found, Row, Slice
from .row_a_faults import spread
from .row_d_states import LOCK, record, recover
from .story import PATH, Contents, Story, contents_of, stories, told

_STORIES = ("overwrite", "batch", "index", "compact tiering")
_KINDS = ("EIO", "ENOSPC", "EINTR", "EMFILE", "short", "short_read", "flip")
_QUICK, _FULL = (3, 9), (24, 220)  # crash states of a slice, faults of each


def faults(calls: int) -> Iterator[tuple[int, str, bool]]:
    """Return which call fails, how, and whether all behind it do, for each."""
    return itertools.product(range(1, calls + 1), _KINDS, (False, True))


def attempt(story: Story, files: Mapping[str, bytes], good: Contents, nth: int, kind: str, *, sticky: bool) -> list[str]:
    """Recover with a fault, then without. Returns what is wrong."""
    disk = recovery.materialise(files)
    fs = recovery.fault(disk)
    fs.arm(nth=nth, error=getattr(errno, kind, kind), sticky=sticky)
    wrong: list[str] = []
    error = ""
    try:
        with lsm.open(PATH, story.options, fs=fs) as db:
            if (found := contents_of(db)) != good:
                wrong.append(f"it opened with {told(found)}")
    except lsm.Error as e:
        error = str(e)
    except Exception as e:  # whatever is not the engine's own error
        wrong.append(f"{type(e).__name__} came out: {e}")
    lost = disk.crash_clone("power")
    fs.disarm()
    for what, there in (("without the fault", fs), ("after power loss", lost)):
        try:
            with lsm.open(PATH, story.options, fs=there) as db:
                if (found := contents_of(db)) != good:
                    wrong.append(f"{what} it holds {told(found)}, not {told(good)}")
        except Exception as e:
            wrong.append(f"{what} it does not open: {type(e).__name__}: {e}")
    return [f"{w} (call {nth}: {kind}{' from then on' if sticky else ''}; error: {error})" for w in wrong]


def slices(full: bool) -> list[Slice]:
    """A slice for a story and sync mode; in the full run of several seeds."""
    made = []
    for seed, sync, name in itertools.product(range(1, 3 if full else 2), ("group", "os"), _STORIES):
        made.append(Slice(f"{name.replace(' ', '-')}-{sync}-{seed}", {"story": name, "sync": sync, "seed": seed, "full": full}))
    return made


def run(given: dict[str, Any]) -> Found:
    """Break the recoveries of some states of one story."""
    story = stories(given["sync"], given["seed"])[given["story"]]
    tape, found = record(story), Found()
    states = [s for s in recovery.crash_states(tape.events, tape.base, limit=64, samples=8, ignore=LOCK) if s.is_new]
    n_states, n_faults = _FULL if given["full"] else _QUICK
    for place in spread(len(states), n_states):
        state = states[place]
        good = recover(story, state.files)
        if isinstance(good, str):
            found.violations.append(f"state {place}: {good}")
            continue
        probe = recovery.fault(recovery.materialise(state.files))
        with lsm.open(PATH, story.options, fs=probe):
            pass
        every = list(faults(probe.calls()))
        for i in spread(len(every), n_faults):
            nth, kind, sticky = every[i]
            found.cases += 1
            found.violations += [f"state {place}: {w}" for w in attempt(story, state.files, good, nth, kind, sticky=sticky)]
    return found


ROW = Row("B", "a fault in the recovery from a crash", "pairs", 200, 80_000, slices, run, seconds=900)
