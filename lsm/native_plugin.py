"""Loading a compiled component: its ops table's address, after its abi and size have been checked."""

from __future__ import annotations

from .native import ffi

_TABLES = {"memtable": ("lsm_memtable_ops", 1), "eviction": ("evi_ops", 1), "filter": ("idx_filter_ops", 1)}


class LoadedComponent:
    """A shared library that stays loaded, and the address of the ops table that its `lsmlab_component` returned."""

    def __init__(self, path: str, slot: str) -> None:
        """Load. OSError when it cannot be loaded, ValueError when it does not hold what the slot needs."""
        kind, abi = _TABLES[slot]
        self._library = ffi.dlopen(path)
        try:
            entry = self._library.lsmlab_component
        except AttributeError:
            raise ValueError("it does not define const void *lsmlab_component(void)") from None
        table = ffi.cast(f"const {kind} *", entry())
        if table == ffi.NULL:
            raise ValueError("lsmlab_component returned NULL")
        if table.abi != abi or table.size < ffi.sizeof(kind):
            raise ValueError(f"its {kind} has abi {table.abi}, size {table.size}; allowed: abi {abi}, size {ffi.sizeof(kind)} or more")
        self.address = int(ffi.cast("uintptr_t", table))
