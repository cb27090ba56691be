"""The tables of all kinds, made from the registries: what docs/compaction.md holds and `lsmlab list` can print."""

from __future__ import annotations

import inspect
from typing import Any

from ..params import Param, params_of
from ..registry import ADMISSIONS, ALLOCATIONS, ARBITERS, CUTS, GRANULARITIES, LAYOUTS, PICKERS, SCHEDULERS, TRIGGERS

SLOTS: dict[str, tuple[dict[str, Any], str]] = {
    "Layouts": (LAYOUTS, "compaction.layout"),
    "Triggers": (TRIGGERS, "compaction.triggers"),
    "Granularities": (GRANULARITIES, "compaction.granularity"),
    "Pickers": (PICKERS, "compaction.picker"),
    "Cuts": (CUTS, "compaction.cut"),
    "Schedulers": (SCHEDULERS, "compaction.scheduler"),
    "Admission rules": (ADMISSIONS, "stalls.admission"),
    "Filter allocations": (ALLOCATIONS, "filter_allocation"),
    "Arbiters of memory": (ARBITERS, "arbiter"),
}


def show(x: float) -> str:
    """Return a number as short as it may be."""
    return str(x) if isinstance(x, int) else f"{x:.3g}"


def parameter(p: Param) -> str:
    """Return a parameter in words."""
    default = ",".join(map(show, p.default if isinstance(p.default, tuple) else (p.default,)))
    return f"`{p.name}={default}`: {p.about}; {p.allowed}"


def rows(registry: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return kind, what it does, its parameters, its source, of every registered kind in order."""
    found = []
    for kind, cls in registry.items():
        text = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
        parts = [parameter(p) for p in params_of(cls)]
        parts += [f"ties: {cls.tie_break}"] if hasattr(cls, "tie_break") else []
        found.append((kind, text.replace("|", "\\|"), "<br>".join(parts), getattr(cls, "source", "")))
    return found


def tables() -> str:
    """Return a Markdown section for each slot."""
    out = []
    for title, (registry, option) in SLOTS.items():
        out += [f"### {title}: `{option}`", "", "| kind | what it does | parameters | source |", "|---|---|---|---|"]
        out += [f"| `{kind}` | {text} | {params} | {source} |" for kind, text, params, source in rows(registry)] + [""]
    return "\n".join(out)
