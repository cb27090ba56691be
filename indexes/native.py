"""The door to the extension: ops tables of filters and searches, and the adapter that lets a Python object stand behind one.

The only module of the package that touches ``ffi`` and ``lib``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ._stamp import require_fresh

try:
    from ._native import ffi as ffi
    from ._native import lib as lib
except ImportError as missing:
    raise ImportError("indexes._native is missing: run make build") from missing

require_fresh(ffi.string(lib.indexes_build_stamp()).decode())

Keys: TypeAlias = "Sequence[bytes] | npt.NDArray[Any]"
Hashes: TypeAlias = "npt.NDArray[np.uint64]"

FILTER_ABI: int = lib.IDX_FILTER_ABI
SEARCH_ABI: int = lib.IDX_SEARCH_ABI
_LINE = 64  # bytes of a cache line


class FilterObject(Protocol):
    """A point filter written in Python, to be put behind an ops table by `PythonFilter`. Hashes are XXH3-64 of the keys."""

    name: str
    version: int

    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the most bytes that a filter of n keys takes; 0 when bits_per_key is out of range."""

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of these hashes (they may repeat) as bytes of any machine."""

    def check(self, data: memoryview) -> bool:
        """Tell whether the bytes are well formed."""

    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return False only when no key of this hash is in the filter."""

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the false-positive rate that the theory gives."""


def xxh3(data: bytes) -> int:
    """Return the XXH3 64-bit hash (seed 0) of the bytes."""
    return int(lib.idx_xxh3(data, len(data)))


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


class FilterOps:
    """A filter's ops table. `address` is what other extensions take; the object behind must outlive its users."""

    def __init__(self, address: int) -> None:
        if address == 0:
            raise ValueError("ops_address is 0; allowed: the address of an idx_filter_ops")
        ops = ffi.cast("const idx_filter_ops *", address)
        if ops.abi != FILTER_ABI or ops.size < ffi.sizeof("idx_filter_ops"):
            raise ValueError(
                f"filter ops have abi {ops.abi}, size {ops.size}; this build takes abi {FILTER_ABI}, size {ffi.sizeof('idx_filter_ops')}"
            )
        self.address = address
        self.name: str = ffi.string(ops.name).decode()
        self.version: int = ops.version
        self._ops = ops

    def hash_keys(self, keys: Keys) -> Hashes:
        """Return the hashes of the keys: a sequence of bytes, an 'S' or 'V' array, or rows of uint8. O(total bytes)."""
        out: Hashes = np.empty(len(keys), np.uint64)
        if isinstance(keys, np.ndarray) and keys.dtype.kind != "S":
            rows = _rows(keys)
            lib.idx_hash_rows(self._ops, _pointer("uint8_t *", rows), rows.shape[1], len(rows), _pointer("uint64_t *", out))
        else:
            packed, offsets = _pack(keys.tolist() if isinstance(keys, np.ndarray) else keys, np.uint64)
            lib.idx_hash_keys(
                self._ops, ffi.from_buffer("uint8_t[]", packed), _pointer("uint64_t *", offsets), len(keys), _pointer("uint64_t *", out)
            )
        return out

    def build(self, hashes: Hashes, bits_per_key: float) -> npt.NDArray[np.uint8]:
        """Return the filter's bytes, at a cache line's boundary. ValueError when bits_per_key is out of the filter's range."""
        cap = int(self._ops.bound(len(hashes), bits_per_key))
        out, size = aligned(cap), ffi.new("size_t *")
        hashes = np.ascontiguousarray(hashes, np.uint64)
        if cap == 0 or self._ops.build(_pointer("uint64_t *", hashes), len(hashes), bits_per_key, _pointer("uint8_t *", out), cap, size):
            raise ValueError(f"bits_per_key is {bits_per_key}, which {self.name} does not take")
        return out[: size[0]]

    def check(self, data: npt.NDArray[np.uint8]) -> bool:
        """Tell whether the bytes are well formed: only then may they be probed."""
        return int(self._ops.check(_pointer("uint8_t *", data), len(data))) == 0

    def may_contain(self, data: npt.NDArray[np.uint8], digest: int) -> bool:
        """Probe checked bytes with one hash."""
        return bool(self._ops.may_contain(_pointer("uint8_t *", data), len(data), digest))

    def may_contain_many(self, data: npt.NDArray[np.uint8], hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Probe checked bytes with many hashes, one crossing."""
        out = np.zeros(len(hashes), np.bool_)
        hashes = np.ascontiguousarray(hashes, np.uint64)
        self._ops.may_contain_many(
            _pointer("uint8_t *", data), len(data), _pointer("uint64_t *", hashes), len(hashes), _pointer("uint8_t *", out)
        )
        return out

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the theory's false-positive rate."""
        return float(self._ops.expected_fpr(bits_per_key))


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Return a zeroed buffer that starts at a cache line's boundary."""
    raw = np.zeros(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size]


class PythonFilter(FilterOps):
    """An ops table whose functions call a Python object: right for a first try, some microseconds a probe.

    Keep the adapter alive as long as anything holds its address. An exception in the object is kept in `last_error`, and the
    caller gets the answer that loses nothing: "may contain" from a probe, failure from build and check.
    """

    def __init__(self, inner: FilterObject) -> None:
        self.inner = inner
        self.last_error: BaseException | None = None
        slots = dict(ffi.typeof("idx_filter_ops").fields)
        functions = {
            "bound": (inner.bound, 0),
            "build": (self._build, -1),
            "check": (self._check, -1),
            "may_contain": (self._probe, 1),
            "may_contain_many": (self._probe_many, None),
            "expected_fpr": (inner.expected_fpr, 1.0),
        }
        name = ffi.new("char[]", inner.name.encode())
        callbacks = {
            slot: ffi.callback(slots[slot].type, call, error=value, onerror=self._keep) for slot, (call, value) in functions.items()
        }
        size, xxh3_address = ffi.sizeof("idx_filter_ops"), ffi.addressof(lib, "idx_xxh3")
        table = ffi.new(
            "idx_filter_ops *", {"abi": FILTER_ABI, "size": size, "name": name, "version": inner.version, "hash": xxh3_address, **callbacks}
        )
        self._alive = (name, callbacks, table)
        super().__init__(int(ffi.cast("uintptr_t", table)))

    def _keep(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self.last_error = error

    def _build(self, hashes: Any, n: int, bits_per_key: float, out: Any, cap: int, size: Any) -> int:
        data = self.inner.build(ffi.unpack(hashes, n) if n else [], bits_per_key)
        if len(data) > cap:
            return -1
        ffi.memmove(out, data, len(data))
        size[0] = len(data)
        return 0

    def _check(self, data: Any, size: int) -> int:
        return 0 if self.inner.check(memoryview(ffi.buffer(data, size))) else -1

    def _probe(self, data: Any, size: int, digest: int) -> int:
        return int(self.inner.may_contain(memoryview(ffi.buffer(data, size)), digest))

    def _probe_many(self, data: Any, size: int, hashes: Any, n: int, out: Any) -> None:
        ffi.memmove(out, b"\1" * n, n)  # what stays if the object fails halfway
        view = memoryview(ffi.buffer(data, size))
        for i in range(n):
            out[i] = int(self.inner.may_contain(view, hashes[i]))


def native_filter(name: str) -> FilterOps:
    """Return the built-in filter of this name. KeyError when there is none."""
    return FilterOps(_found(lib.idx_filter_find(name.encode()), name))


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
