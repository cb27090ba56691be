"""What to say of a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def listed(name: object, known: Iterable[str]) -> str:
    """The names that are known, with commas between, and the nearest ones to the one that is not."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, 2)
    return ", ".join(names) + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")
