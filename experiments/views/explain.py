"""Why a tree costs what it costs, in words, from the bytes of every step that it took.

The figures are exact: they are sizes of the files that flushes and merges made. WA-tree is bytes of all flushes and merges per flushed
byte; the log, which writes each byte once more, is not in it (WA-user = WA-tree x flushed / user + 1, near WA-tree + 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lsm

from ..costs import symbols, updates
from ..full_levels import full_levels
from .flows import shown


@dataclass
class Level:
    """What merges into one level did."""

    merges: int = 0
    written: int = 0
    arrived: int = 0  # bytes read from other levels
    there: int = 0  # bytes read from the level itself

    @property
    def overlap(self) -> float:
        """Bytes of the level that were rewritten for each one that arrived."""
        return self.there / self.arrived if self.arrived else 0.0


def levels(steps: Sequence[lsm.Step]) -> dict[int, Level]:
    """Return what merges into each level did, by level."""
    found: dict[int, Level] = {}
    for step in steps:
        if step.kind == "merge":
            row = found.setdefault(step.level, Level())
            row.merges += 1
            row.written += step.bytes_out
            for level, table in step.removed:
                if level == step.level:
                    row.there += table.size
                else:
                    row.arrived += table.size
    return dict(sorted(found.items()))


def write_amplification(steps: Sequence[lsm.Step]) -> float:
    """WA-tree: bytes that flushes and merges wrote per flushed byte; 0 when nothing was flushed."""
    flushed = sum(s.bytes_out for s in steps if s.kind == "flush")
    return sum(s.bytes_out for s in steps) / flushed if flushed else 0.0


def explain(steps: Sequence[lsm.Step], compaction: lsm.CompactionOptions | None = None) -> list[str]:
    """Return sentences: what was written, by which level's merges and why, what moved for nothing, what was dropped; with the options of
    compaction, which a database's files do not tell, also what the closed forms say of this layout and the others."""
    flushes = [s for s in steps if s.kind == "flush"]
    flushed = sum(s.bytes_out for s in flushes)
    if not flushed:
        return ["Nothing was flushed since the manifest was begun: there is nothing to explain."]
    rows, total = levels(steps), write_amplification(steps)
    words = [
        f"Write amplification of the tree is {total:.1f}: {shown(flushed)} were flushed in {len(flushes)} flushes, and merges wrote "
        f"{shown(sum(r.written for r in rows.values()))} more. The log writes every byte once besides."
    ]
    words += [_of_level(n, row, flushed, total) for n, row in sorted(rows.items(), key=lambda item: -item[1].written)]
    moved = [t.size for s in steps if s.kind == "move" for _, t in s.added]
    if moved:
        words.append(f"{len(moved)} tables ({shown(sum(moved))}) went down a level without being rewritten: nothing overlapped them there.")
    merged_in, merged_out = sum(s.bytes_in for s in steps), sum(s.bytes_out for s in steps if s.kind == "merge")
    if merged_in:
        gone = (merged_in - merged_out) / merged_in
        words.append(
            f"Merges dropped {100 * gone:.1f} % of what they read: obsolete versions and deletions."
            + (" Almost all of their work carried entries that stay." if gone < 0.05 else "")
        )
    return words + (_model(steps, compaction, total) if compaction is not None else [])


def _of_level(number: int, row: Level, flushed: int, total: float) -> str:
    part = row.written / flushed
    said = f"Merges into L{number} wrote {part:.1f} of the {total:.1f} ({100 * part / total:.0f} %): {row.merges} merges"
    if not row.arrived:
        return said + f" of runs that were in L{number} already."
    if not row.there:
        return said + f", each a new run of what arrived; nothing in L{number} was rewritten."
    reason = "" if row.overlap < 1.5 else ": most of the work is rewriting what was there"
    return said + f", which rewrote {row.overlap:.1f} bytes of L{number} for each byte that arrived{reason}."


def _model(steps: Sequence[lsm.Step], c: lsm.CompactionOptions, total: float) -> list[str]:
    """What the closed forms say of this shape."""
    last = max((n for n, level in enumerate(steps[-1].version.levels) if level.runs), default=0)
    return closed_forms(asdict(c), last, total) if last else []


def closed_forms(compaction: Mapping[str, Any], last: int, total: float) -> list[str]:
    """Return what the closed forms say of full levels down to `last` of this layout, and of the others with its size ratio; `total` is the
    WA-tree that there was."""
    tree, t = full_levels(compaction, last), compaction["size_ratio"]
    if tree is None or tree.merges is None:
        what = "a policy of your own" if compaction.get("policy") else f"the writes of {compaction['layout']}"
        return [f"No closed form is known of {what}."]
    own = 1 + tree.merges
    said = [
        f"The closed form of full levels ({tree.writes} and the flush; {compaction['layout']}, T = {t}, {last} levels below L0) says "
        f"{own:.1f} in the steady state, without the log."
    ]
    costs = {layout: updates.write_amplification(layout, t, last) for layout in symbols.LAYOUTS}
    cheaper = {layout: cost for layout, cost in costs.items() if cost < 0.9 * own}
    if cheaper:
        offer = ", ".join(f"{layout} {cost:.1f}" for layout, cost in sorted(cheaper.items(), key=lambda item: item[1]))
        said.append(
            f"The closed form of other layouts of this depth: {offer}; they keep more sorted runs, which lookups and scans pay for."
        )
    elif total > 1.5:
        said.append("No other layout of this depth writes less; a larger write buffer or fewer, larger levels would.")
    return said
