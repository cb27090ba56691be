"""Compaction policies: a layout says what shape the tree has, triggers what is due, a granularity and a picker how much of it moves, a cut
where outputs end, a scheduler what comes first; an allocation shares filter memory, an admission rule says how fast may be written."""

from __future__ import annotations

from ..options import Options
from ..plan import CompactionPolicy
from ..registry import COMPACTIONS, LAYOUTS
from . import admission, allocation, arbiters, base, cuts, expiring, granularity, growth, layouts, pickers, schedulers, sharded, triggers
from .functions import register_policy

__all__ = [
    "admission",
    "allocation",
    "arbiters",
    "base",
    "cuts",
    "expiring",
    "granularity",
    "growth",
    "layouts",
    "make_policy",
    "pickers",
    "register_policy",
    "schedulers",
    "sharded",
    "triggers",
]


def make_policy(options: Options) -> CompactionPolicy:
    """Build the policy that the options name: a registered one, or the layout, with all else as the options say."""
    c = options.compaction
    made: CompactionPolicy = COMPACTIONS[c.policy]() if c.policy else LAYOUTS[c.layout]()
    return made
