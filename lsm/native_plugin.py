"""Loading a compiled component: its ops table's address, after its abi and size have been checked."""

from __future__ import annotations

import os

from .native import ffi, lib

_TABLES = {
    "memtable": ("lsm_memtable_ops", 1),
    "eviction": ("evi_ops", 1),
    "filter": ("idx_filter_ops", 1),
    "range_filter": ("idx_range_ops", 1),
    "search": ("idx_search_ops", 1),
}


class LoadedComponent:
    """A shared library that stays loaded, and the address of the ops table that its `lsmlab_component` returned."""

    def __init__(self, path: str, slot: str) -> None:
        """Load. ValueError when it cannot be loaded or does not hold what the slot needs."""
        kind, abi = _TABLES[slot]
        handle, why = ffi.new("void **"), ffi.new("char[]", 512)
        found = lib.lsm_plugin_open(os.fsencode(path), handle, why, 512)
        if found == ffi.NULL:
            raise ValueError(ffi.string(why).decode(errors="replace"))
        self._library = handle[0]
        table = ffi.cast(f"const {kind} *", found)
        if table.abi != abi or table.size < ffi.sizeof(kind):
            raise ValueError(f"its {kind} has abi {table.abi}, size {table.size}; allowed: abi {abi}, size {ffi.sizeof(kind)} or more")
        self.address = int(ffi.cast("uintptr_t", table))
