"""Backpressure: asks the rule that the options name how fast a keyspace may be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from .options import Options
from .policies.admission import Load, limits
from .registry import ADMISSIONS

if TYPE_CHECKING:
    from .keyspace import Keyspace


def admission(options: Options, level0_runs: int, sealed: int, debt: int = 0) -> tuple[bool, int]:
    """Return (open, nanoseconds of delay per KiB written) by the rule `stalls.admission`."""
    answer: tuple[bool, int] = ADMISSIONS[options.stalls.admission]().rule(Load(options, level0_runs, sealed, debt))
    return answer


def admission_of(space: Keyspace) -> tuple[bool, int]:
    """Return (open, nanoseconds of delay per KiB written) for a keyspace as it is. Runs that its layout lets rest do not count."""
    runs, sealed, debt = len(space.version.levels[0].runs), space.core.sealed_count(), debt_of(space)
    is_open, delay = admission(space.options, runs, sealed, debt)
    resting = getattr(space.policy, "resting_runs", None)
    if (delay or not is_open) and resting is not None:
        is_open, delay = admission(space.options, max(0, runs - int(min(resting(space.view()), runs))), sealed, debt)
    return is_open, delay


def reasons(space: Keyspace) -> Iterator[str]:
    """Yield in words what slows writes to a keyspace down or stops them."""
    load = Load(space.options, len(space.version.levels[0].runs), space.core.sealed_count(), debt_of(space))
    for why in ADMISSIONS[space.options.stalls.admission]().reasons(load):
        yield f"keyspace {space.name}: {why}"


def debt_of(space: Keyspace) -> int:
    """Return the bytes that the compactions that run or are due would read, 0 unless the rule of the keyspace wants to know."""
    if not ADMISSIONS[space.options.stalls.admission].wants_debt:
        return 0
    busy = space.db.executor.busy.get(space.name, set())
    return pending(space, busy)


def pending(space: Keyspace, busy: set[int]) -> int:
    """Return the bytes of tables that jobs hold and of those that the policy would have merged, plan by plan, while others run."""
    tables, held = space.version.tables(), set(busy)
    with suppress(Exception):  # a policy that fails is told by the job that asks it
        while (plan := space.policy.plan(space.view(frozenset(held)))) is not None and not held.issuperset(plan.inputs):
            held.update(plan.inputs)
    return sum(tables[n].size for n in held if n in tables)


__all__ = ["admission", "admission_of", "limits", "pending", "reasons"]
