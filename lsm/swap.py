"""Changing the compaction policy of a live keyspace, for as long as it is open or, by name and options, for good.

What is running goes on; the next plan comes from the new policy, which finds the tree as the old one left it and brings it into its own
shape. Readers notice nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import InvalidOptions, one_of
from .policies import make_policy
from .registry import COMPACTIONS, LAYOUTS

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace

LIVE = ("compaction", "stalls", "filter_allocation", "filter_params")


def set_policy(db: DB, space: Keyspace, policy: Any) -> None:
    """Use another policy. See `DB.set_policy`."""
    if isinstance(policy, str):
        one_of("policy", policy, [*LAYOUTS, *COMPACTIONS])
        policy = {"compaction": {"policy": policy} if policy in COMPACTIONS else {"layout": policy, "policy": ""}}
    if isinstance(policy, Mapping):
        set_options(db, space, policy)
        return
    if not callable(getattr(policy, "plan", None)):
        raise TypeError(f"a compaction policy has plan(view); {type(policy).__name__} has not: {policy!r:.60}")
    with db.executor.lock:
        space.policy = policy
        _begin(db, space)
    db.executor.on_sealed()


def set_options(db: DB, space: Keyspace, changes: Mapping[str, Any]) -> None:
    """Change options of an open keyspace, durably: from now on what opening gives for their groups is ignored."""
    for key in changes:
        if key not in LIVE:
            raise InvalidOptions(key, changes[key], f"of a live database: {', '.join(LIVE)}")
    options = space.options.override(changes)
    stored = {key: value for key, value in options.to_dict().items() if key in changes}
    db.check_writable()
    with db.executor.lock:
        db.state.options[space.number] = db.state.options[space.number] | stored
        db.commit(set={"id": space.number, "options": db.state.options[space.number]})
        space.options, space.policy = options, make_policy(options)
        space.bucket.set(options.compaction.rate_limit)
        _begin(db, space)
    db.executor.on_sealed()


def _begin(db: DB, space: Keyspace) -> None:
    """Forget what the old policy was content with, and count what the new one wants counted."""
    db.executor.forgive(space)
    for table in space.tables.values():
        table.count_reads(space.counts_reads)
