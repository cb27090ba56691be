"""MIN (Belady, A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal 5(2), 1966).

The resident whose next use is farthest leaves; one that is never used again is farthest of all. MIN is the best that demand paging can do,
which admits every miss. With bypass what is asked for competes too: it is not admitted when its own next use is the farthest. Weights: 1.
"""

from __future__ import annotations

from collections.abc import Sequence

NEVER = float("inf")


def belady(keys: Sequence[int], capacity: int, *, bypass: bool = False) -> int:
    """Return the hits of a whole trace; O(requests * capacity)."""
    after = [NEVER] * len(keys)  # the next use of each request's key
    coming: dict[int, float] = {}
    for at in range(len(keys) - 1, -1, -1):
        after[at] = coming.get(keys[at], NEVER)
        coming[keys[at]] = at
    due: dict[int, float] = {}  # resident -> its next use
    hits = 0
    for key, again in zip(keys, after, strict=True):
        if key in due:
            hits += 1
        elif len(due) >= capacity:
            farthest = max(due, key=due.__getitem__, default=None)
            if farthest is None or (bypass and again >= due[farthest]):
                continue
            del due[farthest]
        due[key] = again
    return hits
