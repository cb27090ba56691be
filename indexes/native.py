"""The door to the extension: what all of it shares, and the ops tables of block searches. The filters' is native_filter.

Only the modules whose names begin with native touch ``ffi`` and ``lib``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._stamp import require_fresh

try:
    from ._native import ffi as ffi
    from ._native import lib as lib
except ImportError as missing:
    raise ImportError("indexes._native is missing: run make build") from missing

require_fresh(ffi.string(lib.indexes_build_stamp()).decode())

SEARCH_ABI: int = lib.IDX_SEARCH_ABI

hold = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", ctypes.pythonapi))
"""Keep an object that C will call: the collector frees a cycle in any order, and so does the end of the process."""
let_go = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_DecRef", ctypes.pythonapi))
"""Undo one `hold`."""


def _pointer(ctype: str, array: npt.NDArray[Any]) -> Any:
    return ffi.cast(ctype, array.ctypes.data)


def _pack(keys: Sequence[bytes], dtype: type[np.unsignedinteger[Any]]) -> tuple[bytes, npt.NDArray[Any]]:
    offsets = np.zeros(len(keys) + 1, dtype)
    np.cumsum(np.fromiter(map(len, keys), np.uint64, len(keys)), out=offsets[1:], dtype=dtype)
    return b"".join(keys), offsets


def _rows(keys: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """View fixed-width keys (void dtype, or rows of uint8) as a matrix of bytes."""
    if keys.dtype.kind == "V" and keys.ndim == 1:
        return np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), keys.dtype.itemsize)
    if keys.dtype == np.uint8 and keys.ndim == 2:
        return np.ascontiguousarray(keys)
    raise TypeError(f"keys are an array of {keys.dtype} with {keys.ndim} dimensions; allowed: bytes ('S', 'V') or rows of uint8")


def native_search_address(name: str) -> int:
    """Return the address of the built-in search of this name. KeyError when there is none."""
    return _found(lib.idx_search_find(name.encode()), name)


def _found(ops: Any, name: str) -> int:
    if ops == ffi.NULL:
        raise KeyError(name)
    return int(ffi.cast("uintptr_t", ops))


class SearchOps:
    """A block search's ops table; `address` is what other extensions take."""

    def __init__(self, address: int) -> None:
        if address == 0:
            raise ValueError("ops_address is 0; allowed: the address of an idx_search_ops")
        ops = ffi.cast("const idx_search_ops *", address)
        if ops.abi != SEARCH_ABI or ops.size < ffi.sizeof("idx_search_ops"):
            raise ValueError(
                f"search ops have abi {ops.abi}, size {ops.size}; this build takes abi {SEARCH_ABI}, size {ffi.sizeof('idx_search_ops')}"
            )
        self.address = address
        self.name: str = ffi.string(ops.name).decode()
        self._ops = ops

    def open(self, keys: Sequence[bytes]) -> OpenSearch:
        """Return a search over sorted keys (their total below 4 GiB). MemoryError when the helper structure does not fit."""
        return OpenSearch(self._ops, keys)


class OpenSearch:
    """A search over one sorted list of keys."""

    def __init__(self, ops: Any, keys: Sequence[bytes]) -> None:
        if sum(map(len, keys)) >= 1 << 32:
            raise ValueError(f"keys take {sum(map(len, keys))} bytes; allowed: below 4294967296")
        self._ops = ops
        packed, self._offsets = _pack(keys, np.uint32)
        self._bytes = ffi.from_buffer("uint8_t[]", packed)
        handle = ops.open(self._bytes, _pointer("uint32_t *", self._offsets), len(keys))
        if handle == ffi.NULL:
            raise MemoryError(f"{ffi.string(ops.name).decode()} over {len(keys)} keys")
        self._handle = ffi.gc(handle, ops.close)

    @property
    def memory(self) -> int:
        """Bytes of the helper structure."""
        return int(self._ops.memory(self._handle))

    def find(self, key: bytes) -> int:
        """Return the index of the first key >= the given one; the number of keys when there is none."""
        return int(self._ops.find(self._handle, key, len(key)))

    def find_many(self, keys: Sequence[bytes]) -> npt.NDArray[np.uint32]:
        """Return what find gives for each key, one crossing."""
        packed, offsets = _pack(keys, np.uint64)
        out = np.empty(len(keys), np.uint32)
        lib.idx_search_find_many(
            self._ops,
            self._handle,
            ffi.from_buffer("uint8_t[]", packed),
            _pointer("uint64_t *", offsets),
            len(keys),
            _pointer("uint32_t *", out),
        )
        return out
