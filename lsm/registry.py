"""The registries: one plain dict a slot, kind -> what builds it. Registering a component is putting it in.

Slots that live in the leaves keep their registries there: `indexes.FILTERS`, `indexes.SEARCHES`, `eviction.POLICIES`,
`recovery.FILESYSTEMS`, `recovery.SYNC_MODES`, `recovery.RECOVERY_MODES`; codecs in `lsm.codecs.CODECS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MEMTABLES: dict[str, int | None] = {"skiplist": None, "vector": None, "hash": None}
"""Kind -> address of its lsm_memtable_ops; None: built in, found by name."""
COMPILED: set[int] = set()
"""Addresses of the ops tables that `compile_component` loaded: C that never calls the interpreter."""
LAYOUTS: dict[str, Callable[..., Any]] = {}
"""Kind -> class of the layout; see lsm.policies.layouts."""
PICKERS: dict[str, Callable[..., Any]] = {}
"""Kind -> class of the picker; see lsm.policies.pickers."""
COMPACTIONS: dict[str, Callable[[], Any]] = {}
"""Kind -> factory of a whole compaction policy that a user registered."""
ALLOCATIONS: dict[str, Callable[..., Any]] = {}
"""Kind -> function that gives bits per key to a level; see lsm.policies.allocation."""


def register_compaction(name: str, factory: Callable[[], Any]) -> None:
    """Register a compaction policy: `factory()` returns an object with `plan(view) -> Plan | None`. A second time replaces it."""
    if not name or not isinstance(name, str):
        raise ValueError(f"the name of a policy is {name!r}; allowed: a non-empty text")
    COMPACTIONS[name] = factory
