"""Power loss in the states of a small life with value files and collections: they are there with their tables, or neither is."""

from __future__ import annotations

import lsm
import recovery
from experiments.torture.row_d_states import LOCK, Sweep, record, recover
from experiments.torture.story import PATH, stories


def test_states_of_power_loss() -> None:
    """A sample, with hot and cold files; row D has all states of all collectors."""
    story = stories("group", 3)["values"]
    tape = record(story)
    assert tape.broken == []
    assert sum(e.op == "unlink" and e.path.endswith(".vlog") for e in tape.events) >= 3  # collected ones
    sweep = Sweep(story)
    sweep.first_order(tape, {"names": "posix", "limit": 2, "samples": 0}, 0)
    assert sweep.found.violations == [], "repeat with: record(stories('group', 3)['values'])"
    assert sweep.found.cases > 100


def test_value_files_that_are_never_synced_are_found() -> None:
    story = stories("group")["values"]
    tape = record(story)
    events = [e for e in tape.events if not (e.op == "sync" and e.path.endswith(".vlog"))]
    commits = [i for i, e in enumerate(events) if e.op == "sync" and "MANIFEST" in e.path]
    lost = 0
    for state in recovery.crash_states(events, tape.base, ignore=LOCK, names="journal", limit=2, samples=0):
        if state.event - 1 in commits:
            lost += ".vlog" in str(recover(story, state.files))
    assert lost > 0


def test_a_crash_at_every_unlink_leaves_no_file_behind() -> None:
    story = stories("group")["values"]
    tape = record(story)
    seen = 0
    for state in recovery.crash_states(tape.events, tape.base, ignore=LOCK, names="journal", limit=2, samples=0):
        event = tape.events[state.event - 1]
        if not (state.is_new and event.op == "unlink"):
            continue
        fs = recovery.materialise(state.files)
        with lsm.open(PATH, story.options, fs=fs) as db:
            values = {f"{v.number:06d}.vlog" for v in db.version().values}
            assert {n for n in fs.listdir(PATH) if n.endswith(".vlog")} == values
            assert db.verify() == []
        seen += 1
    assert seen > 3
