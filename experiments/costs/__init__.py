"""The cost models C1 to C28 as plain functions, by concern; `COSTS` has each with its unit, source and how well it was checked.

>>> from experiments.costs import COSTS
>>> COSTS["C2"].function(10)  # bloom_rate
0.008194...

The closed forms assume unique keys, full levels, and that whole levels are merged, once (preemptively). What a tree as it is costs is in
`fitted`.
"""

from . import allocation, asymptotics, bush, caching, filters, hybrid, lookups, ranges, shape, space, ucs, updates, vector
from .cost import COSTS, Cost, Mark
from .symbols import SYMBOLS, Symbol

COSTS = dict(sorted(COSTS.items(), key=lambda item: int(item[0][1:])))

__all__ = [
    "COSTS", "SYMBOLS", "Cost", "Mark", "Symbol", "allocation", "asymptotics", "bush", "caching", "filters", "hybrid", "lookups", "ranges",
    "shape", "space", "ucs", "updates", "vector",
]  # fmt: skip
