"""Making a failing list shorter: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (TSE 2002), the ddmin loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[list[T]], bool], seconds: float = 20.0) -> list[T]:
    """Return a part of the items, in order, that still fails and is locally smallest, or as small as the time allowed.

    >>> shrink(range(100), lambda part: 3 in part and 70 in part)
    [3, 70]
    """
    left, size, until = list(items), max(1, len(items) // 2), time.monotonic() + seconds
    while time.monotonic() < until:
        at, before = 0, len(left)
        while at < len(left) and time.monotonic() < until:
            fewer = left[:at] + left[at + size :]
            if fewer and fails(fewer):
                left = fewer
            else:
                at += size
        if size == 1 and len(left) == before:
            break
        size = max(1, size // 2)
    return left
