"""Admission: how fast a keyspace may be written.

| kind | writes | source |
|---|---|---|
| slow_stop | slow down from `slowdown_runs` runs in level 0 on, stop at `stop_runs` | LevelDB, RocksDB |
| debt_proportional | wait in proportion to the bytes to be merged; stop at `stop_bytes` | RocksDB, soft and hard pending bytes; bLSM |

Both stop when more than `max_sealed` memtables wait for their flush. Before, many short waits in place of a long one: they delay by all of
`slowdown_us_per_kib` when `max_sealed` wait and by two fifths of it when one less does, if that is two at least.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..options import Options
from ..params import Param, parse
from ..registry import ADMISSIONS

_SECOND_LAST = 0.4


@dataclass(frozen=True)
class Load:
    """What a rule decides from: runs in level 0, memtables that wait, bytes that are due (0 unless the rule wants them)."""

    options: Options
    level0_runs: int
    sealed: int
    debt: int = 0


class Admission(ABC):
    """Base: a subclass gives `kind`, `source`, `params` and `rule`. `wants_debt`: the policy is asked for all that is due."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    wants_debt: ClassVar[bool] = False

    @abstractmethod
    def rule(self, load: Load) -> tuple[bool, int]:
        """Return (open, nanoseconds of delay per KiB written)."""

    def reasons(self, load: Load) -> Iterator[str]:
        """Yield in words what slows writes down or stops them."""
        if load.sealed > load.options.max_sealed:
            yield f"{load.sealed} memtables wait for their flush; writes stop above {load.options.max_sealed}"
        elif self.queue(load):
            yield f"{load.sealed} memtables wait for their flush; writes slow down, and stop above {load.options.max_sealed}"

    def queue(self, load: Load) -> float:
        """Return the share of the delay that is due to memtables that wait."""
        left = load.options.max_sealed - load.sealed  # more may wait
        return (1.0, _SECOND_LAST)[left] if left in (0, 1) and load.sealed > 1 else 0.0


class SlowStop(Admission):
    """From the runs on that slow it down the delay grows linearly up to slowdown_us_per_kib."""

    kind, source = "slow_stop", "LevelDB; RocksDB"

    def rule(self, load: Load) -> tuple[bool, int]:
        slow, stop = limits(load.options)
        if load.sealed > load.options.max_sealed or load.level0_runs >= stop:
            return False, 0
        share = max(0, load.level0_runs - slow + 1) / max(1, stop - slow)
        return True, int(max(share, self.queue(load)) * load.options.stalls.slowdown_us_per_kib * 1000)

    def reasons(self, load: Load) -> Iterator[str]:
        yield from super().reasons(load)
        slow, stop = limits(load.options)
        if load.level0_runs >= slow:
            yield f"{load.level0_runs} runs in level 0; writes slow down from {slow} on and stop at {stop}"


class DebtProportional(Admission):
    """The delay grows linearly from slow_bytes of debt on, up to slowdown_us_per_kib at stop_bytes."""

    kind, source = "debt_proportional", "RocksDB, soft and hard pending compaction bytes; Sears and Ramakrishnan, bLSM, SIGMOD 2012"
    params = (
        Param("slow_bytes", 64 << 30, 0, 1 << 50, "debt without delay"),
        Param("stop_bytes", 256 << 30, 1, 1 << 50, "debt at which writes stop"),
    )
    wants_debt = True

    def rule(self, load: Load) -> tuple[bool, int]:
        s, (slow, stop) = load.options.stalls, self._limits(load.options)
        if load.sealed > load.options.max_sealed or load.debt >= stop:
            return False, 0
        share = (load.debt - slow) / max(1, stop - slow)
        return True, int(max(0.0, share, self.queue(load)) * s.slowdown_us_per_kib * 1000)

    def reasons(self, load: Load) -> Iterator[str]:
        yield from super().reasons(load)
        slow, stop = self._limits(load.options)
        if load.debt > slow:
            yield f"{load.debt} bytes are due to be merged; writes slow down from {slow} on and stop at {stop}"

    def _limits(self, options: Options) -> tuple[int, int]:
        given = parse("stalls.admission_params", options.stalls.admission_params, self.params)
        return given["slow_bytes"], given["stop_bytes"]


def limits(options: Options) -> tuple[int, int]:
    """Return the runs in level 0 from which writes slow down, and from which they stop.

    A layout that wants more runs in level 0 than slowdown_runs (tiering with a large T) moves both up.
    """
    s = options.stalls
    shift = max(0, options.compaction.size_ratio - s.slowdown_runs // 2)
    return s.slowdown_runs + shift, s.stop_runs + shift


for _admission in (SlowStop, DebtProportional):
    ADMISSIONS[_admission.kind] = _admission
