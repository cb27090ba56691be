"""The block cache: the best that any policy can do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import eviction

from .cost import Mark, cost


@cost("C28", "hit ratio of the best cache (bound)", "share of accesses", "Belady (IBM Systems Journal 1966); libCacheSim", (Mark.CROSS,),
      "--accesses 1,2,3,1,2,3 --blocks 2")  # fmt: skip
def best_hit_ratio(accesses: Sequence[int], blocks: int) -> float:
    """Hit ratio of Belady's policy on these accesses: it drops the block whose next access is farthest. Blocks of one size; from the whole
    trace, so no policy that runs can pass it."""
    trace = np.asarray(accesses, np.uint64)
    return float(eviction.replay("belady", trace, sizes=[int(blocks)])[0].hit_ratio)
