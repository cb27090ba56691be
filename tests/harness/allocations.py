"""Every allocation of one extension fails in turn while its stories are told: what tests/faults/test_component_allocations.py runs.

    python -m harness.allocations indexes    in tests/, in a process with the shim of recovery/alloc_fault.py; prints a line of JSON a story

A story drives a component and returns what it found out. When an allocation fails it must raise what its table allows, or find out the
same as ever; whatever it gave to `audit` must hold afterwards, nothing may stay allocated, and the story goes well again.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import recovery

Audit = Callable[[Callable[[], object]], None]
Story = Callable[[Audit], Any]
REFUSED = (MemoryError,)


class Sweep:
    """The stories of one package."""

    def __init__(self, package: str) -> None:
        module = importlib.import_module(f".{package}_stories", __package__)
        self.stories: dict[str, Story] = module.STORIES
        self.refused: tuple[type[Exception], ...] = getattr(module, "REFUSED", REFUSED)
        self.faults = recovery.AllocationFaults([f"/{package}/_native.abi3.so"])

    def _tell(self, story: Story) -> tuple[Any, list[Callable[[], object]]]:
        audits: list[Callable[[], object]] = []
        try:
            return story(audits.append), audits
        except self.refused as e:
            return e, audits

    def run(self, name: str) -> dict[str, Any]:
        """Tell a story once for each of its allocations, which fails alone, and once more with all behind it. What was wrong, and how often
        the story was told."""
        story, wrong, refused = self.stories[name], list[str](), 0
        for _ in range(2):  # the first time makes what stays for ever
            self.faults.disarm()
            expected, audits = self._tell(story)
            total = self.faults.asked
            del audits
            gc.collect()
        if isinstance(expected, Exception):
            return {"name": name, "wrong": [f"without a fault: {expected!r}"], "asked": total, "refused": 0}
        gc.freeze()  # what is there now need not be looked through after each telling
        base = self.faults.live
        for nth, sticky in ((n, s) for n in range(1, total + 1) for s in (False, True)):
            self.faults.arm(nth, sticky=sticky)
            got, audits = self._tell(story)
            failed = self.faults.failed
            self.faults.disarm()
            where = f"allocation {nth} of {total}{' and all behind it' if sticky else ''}"
            refused += isinstance(got, Exception)
            if not isinstance(got, Exception) and got != expected:
                wrong.append(f"{where}: {str(got)[:200]} instead of {str(expected)[:200]}")
            if not failed:
                wrong.append(f"{where} was not asked for")
            wrong += [f"{where}: {said}" for audit in audits if (said := audit()) is not None]
            del got, audits
            if self.faults.live > base:
                gc.collect()
            if self.faults.live > base:
                wrong.append(f"{where}: {self.faults.live - base} blocks are not freed")
                base = self.faults.live
        if self._tell(story)[0] != expected:
            wrong.append("does not go well any more")
        return {"name": name, "wrong": wrong, "asked": total, "refused": refused}


def main(package: str, names: list[str]) -> None:
    """Sweep the named stories of a package, all when none is named."""
    faulthandler.enable()
    sweep = Sweep(package)
    for name in names or sweep.stories:
        print(json.dumps({"name": name, "begins": True}), flush=True)
        print(json.dumps(sweep.run(name)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
