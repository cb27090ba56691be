"""Workloads: operation streams by name, drawn in numpy before the clock starts."""

from __future__ import annotations

from .draws import pick, zipf_ranks
from .mix import MIXES, Mix, mixed, replayed
from .named import KINDS, WORKLOADS, Workload, from_settings, settings
from .operations import TraceFileError
from .stream import (
    ABSENT,
    DELETE,
    EMPTY_DELETE,
    EMPTY_SCAN,
    INSERT,
    MERGE,
    MISSING,
    OPERATIONS,
    RANGE_DELETE,
    READ,
    RMW,
    SCAN,
    UPDATE,
    WRITING,
    Ids,
    Stream,
    Values,
    format_keys,
    key_numbers,
    keys_of,
)

__all__ = [
    "ABSENT", "DELETE", "EMPTY_DELETE", "EMPTY_SCAN", "INSERT", "KINDS", "MERGE", "MISSING", "MIXES", "OPERATIONS", "RANGE_DELETE", "READ",
    "RMW", "SCAN", "UPDATE", "WORKLOADS", "WRITING", "Ids", "Mix", "Stream", "TraceFileError", "Values", "Workload", "format_keys",
    "from_settings", "key_numbers", "keys_of", "mixed", "pick", "replayed", "settings", "zipf_ranks",
]  # fmt: skip
