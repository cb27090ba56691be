"""Compaction policies: a layout says when and what, a picker which tables of a level, an allocation how filters share memory."""

from __future__ import annotations

from ..options import Options
from ..plan import CompactionPolicy
from ..registry import COMPACTIONS, LAYOUTS, PICKERS
from . import allocation, layouts, pickers

__all__ = ["allocation", "layouts", "make_policy", "pickers"]


def make_policy(options: Options) -> CompactionPolicy:
    """Build the policy that the options name: a registered one, or layout and picker."""
    c = options.compaction
    if c.policy:
        made: CompactionPolicy = COMPACTIONS[c.policy]()
        return made
    picker = PICKERS[c.picker]()
    composed: CompactionPolicy = LAYOUTS[c.layout](picker)
    return composed
