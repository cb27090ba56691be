"""The published ways of keeping a secondary index on an LSM tree, side by side on plain keyspaces, for experiments.

| way | insert | update | query |
|---|---|---|---|
| embedded | nothing | nothing | scan of the stretches whose filters say maybe |
| eager | read and write a list | two lists, and the old row | one read |
| lazy | a fragment | two fragments, and the old row | fold the fragments |
| composite | an entry | two entries, and the old row | a scan |
| validated | two entries | two entries, nothing is read | a scan, and a read a hit |
| mutable_bitmap | two entries | two entries, and the key index | a scan, and a bit a hit |
| shadow | in memory, and a flush | the same | a search a component |

They are not `db.table`, which is the last of them: one column, integer keys, one writer, no snapshots.

>>> import lsm, recovery
>>> from lsm.secondary import strategies
>>> with lsm.open("/s", fs=recovery.memory(), threads=0) as db:
...     way = strategies.make("lazy", db, "people", ("age", "name"), "age")
...     way.put({"id": 1, "age": 31, "name": "Ann"})
...     way.put({"id": 1, "age": 32, "name": "Ann"})
...     way.lookup(31).tolist(), way.lookup(32).tolist(), way.counters.reads
([], [1], 2)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import Counters, Strategy
from .composite import Composite, MutableBitmap, Validated
from .embedded import Embedded
from .lists import Eager, Lazy
from .shadow import Shadow

if TYPE_CHECKING:
    from ...db import DB

STRATEGIES: dict[str, type[Strategy]] = {c.kind: c for c in (Embedded, Eager, Lazy, Composite, Validated, MutableBitmap, Shadow)}
"""Name to class."""


def make(kind: str, db: DB, name: str, columns: Sequence[str], column: str) -> Strategy:
    """Return a strategy over the keyspaces of a name, with what is in them. columns: all but "id".

    ValueError: a kind that is not known, a column that is none.
    """
    if kind not in STRATEGIES:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(STRATEGIES)}")
    return STRATEGIES[kind](db, name, columns, column)


__all__ = ["STRATEGIES", "Counters", "Strategy", "make"]
