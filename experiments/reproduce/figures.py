"""All figures by id, in the order of the study."""

from __future__ import annotations

from . import f01, f02, f03, f04, f05, f06, f07, f08, f09, f10, f11, f12, f13, f14, f15_lethe, f15_silk, f15_triad
from .figure import Figure

_MODULES = (f01, f02, f03, f04, f05, f06, f07, f08, f09, f10, f11, f12, f13, f14, f15_lethe, f15_triad, f15_silk)
FIGURES: dict[str, Figure] = {m.FIGURE.id: m.FIGURE for m in _MODULES}


def chosen(names: list[str]) -> list[Figure]:
    """The figures of these ids; F15 stands for all that begin with it. ValueError for an unknown one, with those that there are."""
    out: dict[str, Figure] = {}
    for name in names:
        wanted = name.strip().upper()
        found = [f for i, f in FIGURES.items() if i.upper() == wanted or i.upper().startswith(wanted + "-")]
        if not found:
            raise ValueError(f"no figure {name!r}; allowed: {', '.join(FIGURES)}")
        out |= {f.id: f for f in found}
    return list(out.values())
