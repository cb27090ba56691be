"""How many examples a random test tries: a few, the same each time, or very many, never the same (`make explore`)."""

from __future__ import annotations

import os

PROFILE = os.environ.get("LSMLAB_HYPOTHESIS", "quick")


def examples(quick: int) -> int:
    """Return how many where a quick run tries this many."""
    return quick if PROFILE == "quick" else 50 * quick
