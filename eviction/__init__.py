"""Cache eviction policies: built in, in C and in Python behind one ops table, with trace replay and Belady's bound.

A leaf: imports no other package of the project. Policies by name are in :data:`POLICIES`.
"""

from .cache import Cache, CacheStats
from .cached import CacheInfo, cached
from .mrc import METHODS, Curve, TraceStats, mrc, trace_stats
from .native import BrokenPolicy, Policy
from .native_cache import TooLarge
from .native_sketch import Sketch
from .registry import BOUNDS, POLICIES, PolicySettings, ops_address, problem, register
from .simulate import Result, replay
from .traces import FORMATS, Trace, load, save

__all__ = [
    "BOUNDS",
    "FORMATS",
    "METHODS",
    "POLICIES",
    "BrokenPolicy",
    "Cache",
    "CacheInfo",
    "CacheStats",
    "Curve",
    "Policy",
    "PolicySettings",
    "Result",
    "Sketch",
    "TooLarge",
    "Trace",
    "TraceStats",
    "cached",
    "load",
    "mrc",
    "ops_address",
    "problem",
    "register",
    "replay",
    "save",
    "trace_stats",
]
