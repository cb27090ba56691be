"""The tree viewer: one HTML page that shows runs x key range, step by step through every flush, merge and move; nothing is loaded from
elsewhere.

Keys lie at their rank among all bounds of tables, so that a table is as wide as it has bounds in it, whatever the keys look like.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lsm

from ..report import page
from .explain import explain
from .flows import flows, sankey
from .heat import Heat

MOST_STEPS = 4_000  # of a keyspace in a page; the last ones
_KEY = 40  # bytes of a key that are shown


def _shown(key: bytes) -> str:
    text = repr(key[:_KEY])[2:-1]
    return text + "..." if len(key) > _KEY else text


def picture(steps: Sequence[lsm.Step], heat: Heat | None = None) -> dict[str, Any]:
    """Return what the page draws of one keyspace: tables by number, distinct runs, and of each step its words and its tree."""
    steps = steps[-MOST_STEPS:]
    tables = {t.number: t for step in steps for t in step.version.tables().values()}
    bounds = sorted({k for t in tables.values() for k in (t.smallest, t.largest)})
    rows = {
        number: [
            bisect_left(bounds, t.smallest), bisect_left(bounds, t.largest), t.size, t.entries, t.deletions + t.range_deletes, t.max_seq,
            _shown(t.smallest), _shown(t.largest), *([heat.of(t)] if heat is not None else []),
        ]
        for number, t in tables.items()
    }  # fmt: skip
    runs: dict[tuple[int, ...], int] = {}
    told = []
    for step in steps:
        tree = [[level, runs.setdefault(tuple(t.number for t in run.tables), len(runs))] for level, run in step.version.runs()]
        told.append([str(step), [t.number for _, t in step.removed], [t.number for _, t in step.added], tree])
    return {"tables": rows, "runs": [list(r) for r in runs], "steps": told, "bounds": len(bounds)}


def write_page(
    of: Mapping[str, Sequence[lsm.Step]],
    path: Path,
    title: str,
    compaction: lsm.CompactionOptions | None = None,
    heat: Heat | None = None,
) -> Path:
    """Write the page of a database's history. compaction: its options, for what the models say; heat: where it is read, for the colour."""
    spaces = [
        {"name": name, "cut": max(0, len(h) - MOST_STEPS), "sankey": sankey(flows(h)), "words": explain(h, compaction)}
        for name, h in of.items()
    ]
    data = json.dumps({name: picture(h, heat) for name, h in of.items()}, separators=(",", ":")).replace("<", "\\u003c")
    path.write_text(page("tree.html", (), (), title=title, spaces=spaces, data=data, heat=heat is not None), encoding="utf-8")
    return path
