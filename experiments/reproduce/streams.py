"""Operation streams of the figures: insertions mixed with updates, and with deletes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Writes:
    """One write a row: the number of its key, whether it deletes; and how many keys exist after it."""

    ids: NDArray[np.int64]
    deleted: NDArray[np.bool_]
    exist: NDArray[np.int64]


def mixed(count: int, ratio: float, deletes: float, seed: int) -> Writes:
    """So many writes: ratio updates for each insertion, of keys evenly drawn from those written before, and a share of deletes of keys that
    exist, each of another key."""
    rng = np.random.default_rng(seed)
    drawn = rng.random(count)
    is_delete = drawn < deletes
    is_update = ~is_delete & (rng.random(count) < ratio / (1 + ratio))
    is_delete[0] = is_update[0] = False
    ids = np.zeros(count, np.int64)
    live: list[int] = []
    exist = np.zeros(count, np.int64)
    picks = rng.random(count)
    made = 0
    for i in range(count):
        if is_delete[i] and live:
            place = int(picks[i] * len(live))
            ids[i], live[place] = live[place], live[-1]
            live.pop()
        elif is_update[i] and live:
            ids[i] = live[int(picks[i] * len(live))]
        else:
            is_delete[i] = False
            ids[i] = made
            live.append(made)
            made += 1
        exist[i] = len(live)
    return Writes(ids, is_delete, exist)
