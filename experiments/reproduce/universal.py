"""RocksDB's universal compaction as a policy: what Sarkar et al. ran as tiering.

Their artifact (BU-DiSC/LSM-Compaction-Analysis; README: "the variant of tiering compaction with a trigger of space amplification") chooses
kCompactionStyleUniversal for it and leaves all else as RocksDB has it: 4 sorted runs in the whole tree, ratio 1 %, amplification 200 %.

    4 runs or more:  all but the oldest run twice as large as that one  -->  everything becomes one run
                     a run at most 1 % larger than those before it      -->  they become one
                     still more than 4                                  -->  the newest ones become one
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import lsm
from lsm import Plan, TreeView

KIND, TRIGGER, RATIO, SPACE = "rocksdb-universal", 4, 0.01, 2.0


class Universal:
    """PickCompaction of RocksDB 6.11's universal_compaction_picker.cc, without its incremental and delete-triggered merges."""

    def plan(self, view: TreeView) -> Plan | None:
        """Return the merge that is due: of runs next to each other by age."""
        runs = [(level.number, run) for level in view.levels for run in level.runs]
        chosen = picked([sum(t.size for t in run.tables) for _, run in runs])
        if chosen is None:
            return None
        start, end = chosen
        output = runs[end][0] - 1 if end < len(runs) else view.options.compaction.max_levels - 1
        inputs = tuple(t.number for _, run in runs[start:end] for t in run.tables)
        return Plan(inputs, output, f"{len(runs)} runs", new_run=True) if view.is_free(*(t for _, r in runs for t in r.tables)) else None


def picked(sizes: Sequence[int]) -> tuple[int, int] | None:
    """Return which of the runs, newest first, are merged: from, up to; None when all may rest."""
    if len(sizes) < TRIGGER:
        return None
    if sum(sizes[:-1]) >= SPACE * sizes[-1]:
        return 0, len(sizes)
    for start in range(len(sizes) - 1):
        end = start + 1
        for gathered in accumulate(sizes[start:-1]):
            if gathered * (1 + RATIO) < sizes[end]:
                break
            end += 1
        if end - start > 1:
            return start, end
    return (0, len(sizes) - TRIGGER + 1) if len(sizes) > TRIGGER else None


@contextmanager
def registered() -> Iterator[None]:
    """Let options name the policy meanwhile."""
    lsm.COMPACTIONS[KIND] = Universal
    try:
        yield
    finally:
        del lsm.COMPACTIONS[KIND]
