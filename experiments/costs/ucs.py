"""Cassandra's unified compaction strategy: levels by density, shards by density."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .cost import Mark, cost


@dataclass(frozen=True)
class Ucs:
    """fanout f and threshold t: a level spans densities of ratio f, and t runs of it that overlap are merged."""

    fanout: int
    threshold: int
    level: int
    shards: int


@cost("C24", "unified compaction strategy", "level, shards", "Cassandra UnifiedCompactionStrategy.md", (Mark.CODE,),
      "--w -8 --density 1e10 --flush-bytes 1e8 --target-bytes 1e9 --base-shards 4")  # fmt: skip
def ucs(
    w: int, density: float, flush_bytes: float, target_bytes: float, base_shards: int, shard_growth: float = 1 / 3
) -> Ucs:  # fmt: skip
    """w < 0: f = 2 - w, t = 2 (leveled); w > 0: f = t = 2 + w (tiered); w = 0: f = t = 2. Level floor(log_f(d / m)), 0 below m; shards
    b 2^round((1 - lambda) log2(d / (t b))), b when d < t b (this t: target_bytes)."""
    fanout, threshold = 2 + abs(w), max(2, 2 + w)
    level = 0 if density < flush_bytes else math.floor(math.log(density / flush_bytes, fanout) + 1e-9)  # forgiving at exact powers
    if density < target_bytes * base_shards:
        shards = base_shards
    else:
        doublings = (1 - shard_growth) * math.log2(density / (target_bytes * base_shards))
        shards = base_shards * 2 ** math.floor(doublings + 0.5)
    return Ucs(int(fanout), int(threshold), level, int(shards))
