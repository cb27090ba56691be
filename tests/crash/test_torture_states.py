"""Rows B and D of the torture suite: a sample of their cases passes, and what is wrong is found."""

from __future__ import annotations

from itertools import islice

import pytest

import lsm
import recovery
from experiments.torture import row_b_compound, row_d_states
from experiments.torture.row_d_states import LOCK, Sweep, record
from experiments.torture.story import stories


@pytest.mark.parametrize("sync", sorted(recovery.SYNC_MODES))
def test_states_of_power_loss(sync: str) -> None:
    story = stories(sync)["compact tiering"]
    tape = record(story)
    assert tape.broken == []
    sweep = Sweep(story)
    sweep.first_order(tape, {"names": "posix", "limit": 8, "samples": 2}, 60)
    assert sweep.found.violations == [], f"repeat with: record(stories({sync!r})['compact tiering'])"
    assert sweep.found.cases > 80
    assert sweep.found.more["second-order states"] > 5


def test_a_log_that_is_never_synced_is_found() -> None:
    story = stories("every")["compact tiering"]
    tape = record(story)
    events = [e for e in tape.events if not (e.op == "sync" and e.path.endswith(".log"))]
    sweep = Sweep(story)
    sweep.first_order(row_d_states.Tape(tape.base, events, []), {"names": "journal", "limit": 4, "samples": 1}, 0)
    assert sweep.found.violations


def test_a_directory_that_is_never_synced_is_found() -> None:
    story = stories("group")["compact tiering"]
    tape = record(story)
    events = [e for e in tape.events if not (e.op == "sync_dir" and e.path == "/db")]
    sweep = Sweep(story)
    sweep.first_order(row_d_states.Tape(tape.base, events, []), {"names": "posix", "limit": 4, "samples": 1}, 0)
    assert sweep.found.violations


@pytest.mark.parametrize("name", ["overwrite", "index"])
def test_a_fault_in_the_recovery_from_a_crash(name: str) -> None:
    story = stories()[name]
    tape = record(story)
    state = list(islice((s for s in recovery.crash_states(tape.events, tape.base, ignore=LOCK) if s.is_new), 400))[-1]
    good = row_d_states.recover(story, state.files)
    assert not isinstance(good, str)
    for nth in range(1, 120, 17):
        for kind in ("EIO", "short"):
            assert row_b_compound.attempt(story, state.files, good, nth, kind, sticky=False) == []


def test_an_open_whose_first_compaction_fails_lets_go_of_the_lock() -> None:
    disk = recovery.memory()
    options = {"threads": 0, "write_buffer": 1024, "compaction": {"l0_trigger": 100, "level_base": 1024}}
    with lsm.open("/db", options, fs=disk) as db:
        for i in range(60):
            db.put(b"%d" % i, b"x" * 60)
    eager = {**options, "compaction": {"l0_trigger": 2, "level_base": 1024}}
    fs = recovery.fault(disk.crash_clone("process"))
    with lsm.open("/db", eager, fs=fs):
        compacted = fs.calls("open", "*.sst")
    failed = 0
    for nth in range(1, compacted + 1):
        fs = recovery.fault(disk.crash_clone("process"))
        fs.arm("open", "*.sst", nth)
        try:
            lsm.open("/db", eager, fs=fs).close()
        except lsm.IOFailure:
            failed += 1
        with lsm.open("/db", options, fs=fs) as db:
            assert len(dict(db.scan())) == 60
    assert failed > 3
