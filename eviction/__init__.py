"""Cache eviction policies: built in, in C and in Python behind one ops table, with trace replay and Belady's bound.

A leaf: imports no other package of the project. Policies by name are in :data:`POLICIES`.
"""

from .cache import Cache, Stats
from .cached import CacheInfo, cached
from .native import BrokenPolicy, Policy
from .native_cache import TooLarge
from .registry import BOUNDS, POLICIES, PolicySettings, ops_address, register
from .simulate import Result, replay
from .traces import Trace, load

__all__ = [
    "BOUNDS",
    "POLICIES",
    "BrokenPolicy",
    "Cache",
    "CacheInfo",
    "Policy",
    "PolicySettings",
    "Result",
    "Stats",
    "TooLarge",
    "Trace",
    "cached",
    "load",
    "ops_address",
    "register",
    "replay",
]
