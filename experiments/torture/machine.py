"""The machine of row G: a database against its model, over the whole public API, under options drawn at random."""

from __future__ import annotations

import inspect
from typing import Any

from hypothesis.stateful import RULE_MARKER

from .machine_base import Base
from .machine_copies import Copies
from .machine_pairs import Pairs
from .machine_tables import Tables


class Machine(Pairs, Copies, Tables):
    """Every rule does one thing to the database and to the model; every answer must agree."""


def rules() -> int:
    """Return how many rules there are."""
    return sum(hasattr(member, RULE_MARKER) for _, member in inspect.getmembers(Machine))


def last_options() -> dict[str, Any]:
    """Return the options that the last machine was started or opened again with."""
    return Base.last_options


def steps() -> int:
    """Return how many steps the machines of this process made so far."""
    return Base.steps


def failures() -> list[str]:
    """Return what went wrong in machines of this process, oldest first, whether it came again or not."""
    return Base.failures
