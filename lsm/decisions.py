"""What was done to a tree and why: a line for every flush, merge and move, the same from the engine and from the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .dump import show_table
from .plan import Plan
from .version import TableInfo


@dataclass(frozen=True)
class Decision:
    """One change of a tree. `what`: "flush", "merge", "move" (tables that kept their files), "drop". `inputs`: as the plan names them."""

    what: str
    inputs: tuple[int, ...]
    level: int
    new_run: bool
    reason: str
    outputs: tuple[TableInfo, ...]

    @classmethod
    def flushed(cls, outputs: Sequence[TableInfo]) -> Decision:
        """Return that of a flush."""
        return cls("flush", (), 0, True, "", tuple(outputs))

    @classmethod
    def of(cls, what: str, plan: Plan, outputs: Sequence[TableInfo]) -> Decision:
        """Return that of a plan that was carried out."""
        return cls(what, plan.inputs, plan.output_level, plan.new_run, plan.reason, tuple(outputs))

    def __str__(self) -> str:
        """Return it as a line: what, inputs, level, outputs, reason."""
        words = [self.what, ",".join(map(str, self.inputs)), f"-> L{self.level}{' new run' if self.new_run else ''}:"]
        words += ["; ".join(map(show_table, self.outputs)) or "nothing", f"({self.reason})" if self.reason else ""]
        return " ".join(w for w in words if w)
