"""The registries: one plain dict a slot, kind -> what builds it. Registering a component is putting it in.

Slots that live in the leaves keep their registries there: `indexes.FILTERS`, `indexes.SEARCHES`, `eviction.POLICIES`,
`recovery.FILESYSTEMS`, `recovery.SYNC_MODES`, `recovery.RECOVERY_MODES`; codecs in `lsm.codecs.CODECS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MEMTABLES: dict[str, int | None] = {"btree": None, "skiplist": None, "vector": None, "hash": None}
"""Kind -> address of its lsm_memtable_ops; None: built in, found by name."""
COMPILED: set[int] = set()
"""Addresses of the ops tables that `compile_component` loaded: C that never calls the interpreter."""
LAYOUTS: dict[str, Callable[..., Any]] = {}
"""Kind -> class of the layout; see lsm.policies.layouts."""
TRIGGERS: dict[str, Any] = {}
"""Kind -> class of the trigger; see lsm.policies.triggers."""
GRANULARITIES: dict[str, Any] = {}
"""Kind -> class that says how much of a full level moves; see lsm.policies.granularity."""
CUTS: dict[str, Callable[..., Any]] = {}
"""Kind -> class that says where outputs end; see lsm.policies.cuts."""
PICKERS: dict[str, Callable[..., Any]] = {}
"""Kind -> class of the picker; see lsm.policies.pickers."""
TIE_BREAKS: dict[str, Callable[..., Any]] = {}
"""Kind -> key of a table by which a picker's equal scores are told apart; see lsm.policies.pickers."""
SCHEDULERS: dict[str, Callable[..., Any]] = {}
"""Kind -> class that says which of the plans that are due runs next; see lsm.policies.schedulers."""
ADMISSIONS: dict[str, Any] = {}
"""Kind -> class that says how fast may be written; see lsm.policies.admission."""
COMPACTIONS: dict[str, Callable[[], Any]] = {}
"""Kind -> factory of a whole compaction policy that a user registered."""
ALLOCATIONS: dict[str, Callable[..., Any]] = {}
"""Kind -> class that shares filter memory between levels; see lsm.policies.allocation."""
ARBITERS: dict[str, Callable[..., Any]] = {}
"""Kind -> class that shares memory between write buffers, filters and the cache; see lsm.policies.arbiters."""

COLLECTORS: dict[str, Callable[[], Any]] = {}
"""Kind -> class of the collector of value files; see lsm.collectors."""


def register_compaction(name: str, factory: Callable[[], Any]) -> None:
    """Register a compaction policy: `factory()` returns an object with `plan(view) -> Plan | None`. A second time replaces it."""
    if not name or not isinstance(name, str):
        raise ValueError(f"the name of a policy is {name!r}; allowed: a non-empty text")
    COMPACTIONS[name] = factory
