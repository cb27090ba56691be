"""The twin engine: the same policy object on tables without data.

`simulate` is exact: the decisions of the engine with threads=0 on the same operations, to the byte. `sketch` keeps key ranges and counts
only, for trees of terabytes. Both give the counters of counters.py.
"""

from .counters import DEFINITIONS, Counters
from .exact import Simulated, prepare, simulate
from .operations import WORKLOADS, Delete, DeleteRange, Operation, Operations, Put
from .sketches import sketch
from .tree import Refused

__all__ = [
    "DEFINITIONS",
    "WORKLOADS",
    "Counters",
    "Delete",
    "DeleteRange",
    "Operation",
    "Operations",
    "Put",
    "Refused",
    "Simulated",
    "prepare",
    "simulate",
    "sketch",
]
