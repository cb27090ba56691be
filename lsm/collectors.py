"""Collectors: which value files to collect, and when. A collector decides; `collect` acts.

Garbage is what no table points to any more. It costs space until its file is collected: what is alive in it is written anew, the tables
that point to it are written again with the new pointers, and the file goes.

    garbage / live > reserve   ->   victims, until a `batch` of the reserve is free again
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from .options import ValueLogOptions
from .registry import COLLECTORS
from .version import ValueInfo, Version


@dataclass(frozen=True)
class ValueState:
    """A value file as a collector sees it: what it is, and the records and bytes in it that tables point to."""

    info: ValueInfo
    live_records: int
    live_bytes: int

    @property
    def garbage(self) -> int:
        """Bytes that nothing points to."""
        return self.info.bytes - self.live_bytes

    @property
    def utilisation(self) -> float:
        """The share that is alive."""
        return self.live_bytes / self.info.bytes if self.info.bytes else 0.0


@dataclass(frozen=True)
class ValueView:
    """The immutable picture that a collector decides from: value files by number, which is the order of their making.

    `last_seq`: the clock, as writes. `busy`: files that tables of running jobs point to.
    """

    files: tuple[ValueState, ...]
    options: ValueLogOptions
    last_seq: int
    busy: frozenset[int] = frozenset()

    @property
    def live_bytes(self) -> int:
        """Bytes of all records that tables point to."""
        return sum(f.live_bytes for f in self.files)

    @property
    def garbage(self) -> int:
        """Bytes of all records that nothing points to."""
        return sum(f.garbage for f in self.files)

    @property
    def due(self) -> int:
        """Bytes of garbage to free now: 0 while it is within the reserve, then down to the reserve less a batch."""
        room = self.live_bytes * self.options.reserve
        return 0 if self.garbage <= room else max(1, int(self.garbage - room * (1 - self.options.batch)))


class Collector(Protocol):
    """A pure function of the view: no I/O, no clock, no global randomness.

    `by_heat`: values of hot and of cold keys go to different files.
    """

    by_heat: bool

    def choose(self, view: ValueView) -> tuple[int, ...]:
        """Return the numbers of the files to collect together; nothing when nothing is due."""


def view_of(
    version: Version, options: ValueLogOptions, last_seq: int, busy_tables: Iterable[int] = (), resting: frozenset[int] = frozenset()
) -> ValueView:
    """Return what a collector sees of a version. resting: value files that nothing is to be read out of."""
    live, known = version.live_values(), version.tables()
    busy = frozenset(file for n in busy_tables if n in known for file, _, _ in known[n].values)
    files = tuple(ValueState(v, *live[v.number]) for v in version.values if v.number not in resting)
    return ValueView(files, options, last_seq, busy)


def _until(view: ValueView, order: Iterable[ValueState]) -> tuple[int, ...]:
    """The first files in an order whose garbage is what is due, whole ones not among them: they would free nothing."""
    chosen, freed = list[int](), 0
    for f in order:
        if freed >= view.due:
            break
        if f.garbage:
            chosen.append(f.info.number)
            freed += f.garbage
    return tuple(chosen)


class NoCollector:
    """Never: a file goes when nothing in it is alive any more."""

    kind: ClassVar[str] = "none"
    by_heat = False

    def choose(self, view: ValueView) -> tuple[int, ...]:
        """Return nothing."""
        return ()


class LogCollector:
    """The oldest files first, whatever is alive in them, as if all were one circular log (WiscKey: Lu et al., FAST 2016, section 3.3.2)."""

    kind: ClassVar[str] = "log"
    by_heat = False

    def choose(self, view: ValueView) -> tuple[int, ...]:
        """Return a run of oldest files; nothing while one of them is busy."""
        chosen, freed = list[int](), 0
        for f in view.files:
            if freed >= view.due:
                break
            if f.info.number in view.busy:
                return ()
            chosen.append(f.info.number)
            freed += f.garbage
        return tuple(chosen)


class GreedyCollector:
    """The files with the least that is alive first (Rosenblum and Ousterhout 1992, section 3.5)."""

    kind: ClassVar[str] = "greedy"
    by_heat = False

    def choose(self, view: ValueView) -> tuple[int, ...]:
        """Return files by utilisation; ties: the older one."""
        free = (f for f in view.files if f.info.number not in view.busy)
        return _until(view, sorted(free, key=lambda f: (f.utilisation, f.info.number)))


class CostBenefitCollector:
    """The files with the most benefit for the cost: free space * age / cost, (1 - u) * age / (1 + u) (Rosenblum and Ousterhout 1992, 3.6).

    The age is that of the youngest value in the file, in writes.
    """

    kind: ClassVar[str] = "cost_benefit"
    by_heat = False

    def choose(self, view: ValueView) -> tuple[int, ...]:
        """Return files by the ratio; ties: the older one."""
        free = (f for f in view.files if f.info.number not in view.busy)
        return _until(view, sorted(free, key=lambda f: (-self._ratio(view, f), f.info.number)))

    @staticmethod
    def _ratio(view: ValueView, f: ValueState) -> float:
        return (1 - f.utilisation) * (view.last_seq - f.info.max_seq + 1) / (1 + f.utilisation)


class HotColdCollector(GreedyCollector):
    """Greedy, with hot and cold values in different files, at flush and at collection (after HashKV: Chan et al., ATC 2018, section 3.4).

    Hot is what was written several times within as many writes as there are live values; so files of hot keys die nearly whole.
    """

    kind: ClassVar[str] = "hot_cold"
    by_heat = True


for _collector in (NoCollector, LogCollector, GreedyCollector, CostBenefitCollector, HotColdCollector):
    COLLECTORS[_collector.kind] = _collector

__all__ = ["Collector", "ValueState", "ValueView", "view_of"]
