"""Old files that stay where they are read: after LSbM (Teng et al., ICDCS 2017), as a layout of this engine.

LSbM keeps the inputs of merges beside the outputs, in a compaction buffer, as long as their blocks are read: lookups of what is hot go on
finding it in blocks that the cache holds. Here a table that is read stays for what it is: what arrives above it in its level becomes a run
of its own there, and only where `runs` tables overlap are they merged. What is not read is merged at once, as in leveling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lsm
from lsm import Plan, TreeView
from lsm.params import Param
from lsm.policies.base import Shape
from lsm.policies.layouts import capacity
from lsm.policies.sharded import Guards, parts
from lsm.version import TableInfo

KIND = "kept-where-read"


class Kept(Guards):
    """Guards whose tables are merged at once where nobody reads them, and where they are read only when too many overlap."""

    kind, source, counts_reads = KIND, "after Teng et al., LSbM, ICDCS 2017", True
    params = (Param("runs", 10, 1, 1000, "tables that may overlap where they are read"),)

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        """Yield merges of parts: level 0 into level 1, where nobody reads as leveling has it, where somebody reads as tiering has it."""
        c, most = view.options.compaction, self.settings(view.options)["runs"]
        zero, last, bottom = view.level(0), max(1, view.last), view.bottom
        if len(zero.runs) >= c.l0_trigger and (plan := self.merged(view, zero.tables, 1, f"level 0 has {len(zero.runs)} runs")):
            yield plan
        for level in view.levels[1:]:
            full = level.size > capacity(view, level.number) and level.number < bottom
            for part in sorted(parts(level), key=lambda p: (-p.depth, -p.size, p.tables[0].smallest)):
                read = self.is_read(view, part.tables)
                output = level.number + (level.number < last if read else full)
                if part.depth > (most if read else 1) or (full and not read):
                    plan = self.merged(view, part.tables, output, f"{part.depth} tables of level {level.number} overlap, read: {read}")
                    full = full and read
                    if plan:
                        yield plan

    def is_read(self, view: TreeView, tables: Sequence[TableInfo]) -> bool:
        """Whether they take more than twice their share of all reads so far."""
        every = sum(view.reads.values())
        size = sum(t.size for t in tables)
        return sum(view.reads.get(t.number, 0) for t in tables) * view.size > 2 * every * size > 0


@contextmanager
def registered() -> Iterator[None]:
    """Let options name the layout meanwhile."""
    lsm.LAYOUTS[KIND] = Kept
    try:
        yield
    finally:
        del lsm.LAYOUTS[KIND]
