"""TinyLFU as typed Python: its frequency sketch (sketch.h), and its admission in front of any policy (tinylfu.c)."""

from __future__ import annotations

from typing import Any

from .native import _ops, checked, ffi, lib


class Sketch:
    """How often keys were counted of late, up to 15: an estimate that is never too low since the last halving.

    A count-min sketch of 4-bit counters with reset (Einziger, Friedman and Manes, TOS 2017, 3.2 to 3.4). O(1), also in the worst case;
    about 5.4 bytes a slot. One thread at a time.
    """

    def __init__(self, slots: int, per_key: float = 10, seed: int = 0) -> None:
        """Make room for the requests of ``slots`` residents. All counts are halved after ``per_key`` additions a resident.

        ``fit`` tells how many there are, ``slots`` until then, at least 512. Raises ValueError: a number out of range; MemoryError.
        """
        if not 0 <= slots <= 1 << 29 or not 0 < per_key <= 1e6 or not 0 <= seed < 1 << 64:
            raise ValueError(f"no sketch of {slots} slots, {per_key} additions a key and seed {seed}")
        self._sketch = ffi.gc(ffi.new("evi_sketch *"), lib.sketch_free)
        if not lib.sketch_init(self._sketch, slots, per_key, seed):
            raise MemoryError(f"no memory for a sketch of {slots} slots")

    def add(self, key: int) -> None:
        """Count a request of a key from 0 to 2**64 - 1."""
        lib.sketch_add(self._sketch, key)

    def count(self, key: int) -> int:
        """Return the estimate, 0 to 15."""
        return int(lib.sketch_count(self._sketch, key))

    def admits(self, candidate: int, victim: int) -> bool:
        """Return whether the candidate deserves the victim's place: asked for more often of late, or warm (6) and one in 128."""
        return bool(lib.sketch_admits(self._sketch, candidate, victim))

    def fit(self, residents: int) -> None:
        """Let a sample be of ``per_key`` requests for each of so many residents."""
        lib.sketch_fit(self._sketch, residents)

    @property
    def bytes(self) -> int:
        """Memory of the counters."""
        return int(lib.sketch_bytes(self._sketch))

    def check(self) -> str | None:
        """Return None when every invariant holds, else which one does not."""
        why = ffi.new("char[]", 200)
        return None if lib.sketch_check(self._sketch, why, 200) else str(ffi.string(why).decode())


class Filtered:
    """The ops table of TinyLFU admission in front of that at an address. Lives as long as anything may use :attr:`address`."""

    def __init__(self, address: int) -> None:
        """Make it. ValueError: no ops table of this build."""
        inner = _ops(checked(address))
        create = dict(ffi.typeof("evi_ops").fields)["create"].type

        def made(config: Any) -> Any:
            return lib.evi_tinylfu_over(inner, config)

        self._create = ffi.callback(create, made, error=ffi.NULL)
        self._table = ffi.new("evi_ops *", lib.evi_find(b"tinylfu")[0])
        self._table.create = self._create
        if inner.layout == ffi.NULL:  # what the policy does not tell, the filter cannot
            self._table.layout = ffi.NULL
        self.address = int(ffi.cast("uintptr_t", self._table))
