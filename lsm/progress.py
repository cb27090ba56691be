"""Whether the plans of a policy get anywhere: one that plans for ever is refused, for it would keep the disk busy for nothing."""

from __future__ import annotations

from .errors import PlanRefused
from .version import Version

LEVELS = 32
PATIENCE = 64  # plans without progress that are always allowed; beside them two a table


def standing(version: Version) -> tuple[int, int]:
    """Return what must fall: how far all entries still have to go down, and the number of runs.

    The output of a legal plan lies at the level of its deepest input or below it, so the first number never grows but by a flush; it falls
    when entries go down or are dropped. When it stays, only fewer runs are progress. Both are bounded from below: so plans that make
    progress come to an end.
    """
    return sum([(LEVELS - lv.number) * lv.entries for lv in version.levels]), sum([len(lv.runs) for lv in version.levels])


class Progress:
    """Looks at the trees that the plans of one policy lead to, between two flushes."""

    def __init__(self) -> None:
        self.best: tuple[int, int] | None = None
        self.idle = 0

    def restart(self) -> None:
        """There is new data, or another policy."""
        self.best, self.idle = None, 0

    def check(self, version: Version) -> None:
        """Note that another plan is to run on this version. PlanRefused when too many have led nowhere."""
        now = standing(version)
        if self.best is None or now < self.best:
            self.best, self.idle = now, 0
            return
        self.idle += 1
        limit = PATIENCE + 2 * len(version.tables())
        if self.idle > limit:
            raise PlanRefused(
                f"{self.idle} plans in a row moved no entry down, dropped none and left as many runs; allowed: {limit} for this tree. "
                f"The policy does not come to an end"
            )
