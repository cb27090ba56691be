"""The PGM-index of the extension, as typed Python over numpy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .native import ffi, lib

Words = npt.NDArray[np.uint64]


def _in(array: Words) -> Any:
    return ffi.from_buffer("uint64_t[]", array) if len(array) else ffi.NULL


class NativePGM:
    """An idx_pgm and the ascending contiguous array that it says places in; keeps alive what it borrows."""

    def __init__(self, handle: Any, keys: Words, bytes_of_it: Any = None) -> None:
        if handle == ffi.NULL:
            raise MemoryError("PGM-index")
        self._handle, self._array, self._bytes = ffi.gc(handle, lib.idx_pgm_free), _in(keys), bytes_of_it

    @classmethod
    def build(cls, keys: Words, epsilon: int) -> NativePGM:
        """Return the index of an array. MemoryError."""
        return cls(lib.idx_pgm_build(_in(keys), len(keys), epsilon), keys)

    @classmethod
    def open(cls, data: Any, keys: Words) -> NativePGM | None:
        """Return the index over its bytes; None when they are not well formed, or of another number of keys. MemoryError."""
        raw = ffi.from_buffer("uint8_t[]", data)
        if lib.idx_pgm_check(raw, len(raw)):
            return None
        made = cls(lib.idx_pgm_open(raw, len(raw)), keys, raw)
        return made if made.counts()[0] == len(keys) else None

    def raw(self) -> bytes:
        """Return the index's bytes."""
        size = ffi.new("size_t *")
        return bytes(ffi.buffer(lib.idx_pgm_bytes(self._handle, size), size[0]))

    def counts(self) -> tuple[int, int, int, list[int]]:
        """Return elements of the array, epsilon as asked, error as found, and lines of each level from the array upwards."""
        h = self._handle
        lines: list[int] = []
        while here := lib.idx_pgm_lines(h, len(lines)):
            lines.append(here)
        return lib.idx_pgm_count(h), lib.idx_pgm_epsilon(h), lib.idx_pgm_error(h), lines

    def window(self, key: int) -> tuple[int, int]:
        """Return the least and the greatest rank that key may have. OverflowError unless it fits 64 bits without a sign."""
        out = ffi.new("size_t[2]")
        lib.idx_pgm_window(self._handle, key, out, out + 1)
        return out[0], out[1]

    def window_many(self, keys: Words) -> tuple[Words, Words]:
        """Return windows of many keys, one crossing."""
        low, high = np.empty(len(keys), np.uint64), np.empty(len(keys), np.uint64)
        lib.idx_pgm_window_many(self._handle, _in(keys), len(keys), _in(low), _in(high))
        return low, high

    def finder(self) -> Callable[[int], int]:
        """Return the function from a key to its rank in the array, without a Python frame around it. OverflowError as of window."""
        return partial(lib.idx_pgm_search, self._handle, self._array)

    def search_many(self, keys: Words) -> Words:
        """Return ranks of many keys, one crossing."""
        out = np.empty(len(keys), np.uint64)
        lib.idx_pgm_search_many(self._handle, self._array, _in(keys), len(keys), _in(out))
        return out
