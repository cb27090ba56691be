"""Cache eviction policies: built in, in C and in Python behind one ops table, with trace replay and Belady's bound.

A leaf: imports no other package of the project. Policies by name are in :data:`POLICIES`.
"""

from .cache import Cache, Stats
from .native import BrokenPolicy, Policy
from .registry import BOUNDS, POLICIES, PolicySettings, ops_address, register
from .simulate import Result, replay
from .traces import Trace, load

__all__ = [
    "BOUNDS",
    "POLICIES",
    "BrokenPolicy",
    "Cache",
    "Policy",
    "PolicySettings",
    "Result",
    "Stats",
    "Trace",
    "load",
    "ops_address",
    "register",
    "replay",
]
