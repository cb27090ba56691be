"""What a row of the suite is: a question, goal figures, and slices of work that run one by one, in processes of their own.

A slice is named, takes plain values and is deterministic in them, so that one command repeats it and a run of many hours can stop and
go on. What a slice finds is counted in the unit of its row (cases, states, flips, kills ...); every violation is one line of text that
says what was done, what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Found:
    """What a slice found. `cases` in the unit of the row; `more` are further figures, added up over the slices by name."""

    cases: int = 0
    violations: list[str] = field(default_factory=list)
    more: dict[str, int] = field(default_factory=dict)
    missing: str = ""  # why nothing could be tried here (no compiler, say); counts as neither passed nor failed, and is shown

    def count(self, name: str, n: int = 1) -> None:
        """Add to a further figure."""
        self.more[name] = self.more.get(name, 0) + n

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Slice:
    """One piece of a row's work: a name, unique in the row, and the arguments for the row's `run`."""

    name: str
    given: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A row: its letter, what it does, the unit it counts in, goals, and how its work is cut and done.

    `slices(full)` cuts the work for --quick (False) or --full (True); each is to take 5 to 60 seconds of one core. `run` does one.
    """

    letter: str
    title: str
    unit: str
    quick_goal: int
    full_goal: int
    slices: Callable[[bool], Sequence[Slice]]
    run: Callable[[dict[str, Any]], Found]
    seconds: float = 300.0  # a slice that takes longer hangs
    more_goals: dict[str, tuple[int, int]] = field(default_factory=dict)  # further figures: quick and full goal
