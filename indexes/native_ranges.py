"""Ops tables of range filters, batches over packed keys, and the adapter that lets a Python object stand behind a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .native import ffi, hold, let_go, lib

RangeKeys: TypeAlias = "Iterable[bytes] | npt.NDArray[Any]"
Packed: TypeAlias = "tuple[Any, npt.NDArray[np.uint64]]"
ABI: int = lib.IDX_RANGE_ABI
_SLICE = 4096  # keys of an iterator that are packed at once


class RangeFilterObject(Protocol):
    """A range filter written in Python, to be put behind an ops table by `PythonRangeFilter`. The bounds of a range are [lo, hi)."""

    name: str
    version: int

    def accepts(self, params: str) -> bool:
        """Tell whether the parameters ("name=value name=value"; "" always) are understood."""

    def build(self, keys: Sequence[bytes], params: str) -> bytes:
        """Return the filter of these sorted keys (they may repeat) as bytes of any machine."""

    def check(self, data: memoryview) -> bool:
        """Tell whether the bytes are well formed."""

    def may_contain(self, data: memoryview, key: bytes) -> bool:
        """Return False only when the key was not built in."""

    def may_contain_range(self, data: memoryview, lo: bytes, hi: bytes | None) -> bool:
        """Return False only when no key of [lo, hi) was built in; hi None: no end."""


def int_key(value: int) -> bytes:
    """Return an unsigned integer as the 8 bytes that sort as it does. ValueError outside of 0 to 2**64 - 1."""
    if not 0 <= value < 1 << 64:
        raise ValueError(f"integer key is {value}; allowed: 0 to {(1 << 64) - 1}")
    return int(value).to_bytes(8, "big")


def pack(keys: Sequence[Any] | npt.NDArray[Any]) -> Packed:
    """Return keys as one buffer and n + 1 offsets: bytes, integers, or an array of integers, 'S', 'V', or rows of uint8.

    Integers become 8 big-endian bytes. TypeError for others; ValueError for integers outside of 0 to 2**64 - 1.
    """
    if isinstance(keys, np.ndarray) and keys.dtype.kind in "iu" and keys.ndim == 1:
        if keys.dtype.kind == "i" and len(keys) and int(keys.min()) < 0:
            raise ValueError(f"integer key is {keys.min()}; allowed: 0 to {(1 << 64) - 1}")
        return np.ascontiguousarray(keys, ">u8").view(np.uint8), np.arange(0, 8 * len(keys) + 1, 8, dtype=np.uint64)
    if isinstance(keys, np.ndarray) and keys.dtype.kind != "S":
        if keys.dtype.kind == "V" and keys.ndim == 1:
            rows = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), keys.dtype.itemsize)
        elif keys.dtype == np.uint8 and keys.ndim == 2:
            rows = np.ascontiguousarray(keys)
        else:
            raise TypeError(f"keys are an array of {keys.dtype} with {keys.ndim} dimensions; allowed: integers, 'S', 'V', rows of uint8")
        return rows, np.arange(len(rows) + 1, dtype=np.uint64) * np.uint64(rows.shape[1])
    given = keys.tolist() if isinstance(keys, np.ndarray) else keys
    encoded = [key if isinstance(key, bytes) else as_key(key) for key in given]
    offsets = np.zeros(len(encoded) + 1, np.uint64)
    np.cumsum(np.fromiter(map(len, encoded), np.uint64, len(encoded)), out=offsets[1:])
    return b"".join(encoded), offsets


def as_key(key: Any) -> bytes:
    """Return a key as bytes: bytes-like as they are, integers as `int_key` gives them. TypeError for others."""
    if isinstance(key, bool) or not isinstance(key, bytes | bytearray | memoryview | int | np.integer):
        raise TypeError(f"key is {key!r:.60}; allowed: bytes or an integer")
    return int_key(int(key)) if isinstance(key, int | np.integer) else bytes(key)


def checksum(data: Any) -> int:
    """Return the XXH3 64-bit hash (seed 0) of a buffer, without a copy of it."""
    raw = ffi.from_buffer("uint8_t[]", data)
    return int(lib.idx_xxh3(raw, len(raw)))


def _slices(keys: RangeKeys) -> Iterator[Sequence[Any] | npt.NDArray[Any]]:
    if isinstance(keys, np.ndarray | list | tuple):
        yield keys
        return
    rest = iter(keys)
    while some := list(islice(rest, _SLICE)):
        yield some


class RangeOps:
    """A range filter's ops table. `address` is what other extensions take; the object behind must outlive its users."""

    def __init__(self, address: int) -> None:
        if address == 0:
            raise ValueError("ops_address is 0; allowed: the address of an idx_range_ops")
        ops = ffi.cast("const idx_range_ops *", address)
        size = ffi.sizeof("idx_range_ops")
        if ops.abi != ABI or ops.size < size:
            raise ValueError(f"range filter ops have abi {ops.abi}, size {ops.size}; this build takes abi {ABI}, size {size}")
        self.address = address
        self.name: str = ffi.string(ops.name).decode()
        self.version: int = ops.version
        self._ops = ops

    def accepts(self, params: str) -> bool:
        """Tell whether the filter understands these parameters."""
        builder = ffi.new("void **")
        if self._ops.begin(params.encode(), builder):
            return False
        self._ops.drop(builder[0])
        return True

    def build(self, keys: RangeKeys, params: str = "") -> tuple[npt.NDArray[np.uint8], int]:
        """Return the filter's bytes and how many keys it took. O(total bytes).

        ValueError when a key comes before its predecessor (its place is told) or the parameters are not understood. MemoryError.
        """
        out = ffi.new("void **")
        self._raise(self._ops.begin(params.encode(), out), params)
        builder = ffi.gc(out[0], self._ops.drop)
        done, count = ffi.new("size_t *"), 0
        for some in _slices(keys):
            data, offsets = pack(some)
            raw, at = ffi.from_buffer("uint8_t[]", data), ffi.from_buffer("uint64_t[]", offsets)
            status = lib.idx_range_add_many(self._ops, builder, raw, at, len(offsets) - 1, done)
            count += done[0]
            self._raise(status, params, count)
        self._raise(self._ops.finish(builder, done), params)
        filled = np.empty(done[0], np.uint8)
        self._raise(self._ops.write(builder, ffi.from_buffer("uint8_t[]", filled)), params)
        ffi.release(builder)
        return filled, count

    def _raise(self, status: int, params: str, at: int = 0) -> None:
        if status == lib.IDX_RANGE_NOMEM:
            raise MemoryError(f"{self.name} filter")
        if status == lib.IDX_RANGE_ORDER:
            raise ValueError(f"key {at} is less than the key before it; allowed: sorted keys")
        if status:
            raise ValueError(f"{self.name} does not take the parameters {params!r}, or not so many keys")

    def check(self, data: Any) -> bool:
        """Tell whether the bytes are well formed: only then may they be opened. O(size)."""
        raw = ffi.from_buffer("uint8_t[]", data)
        return int(self._ops.check(raw, len(raw))) == 0

    def open(self, data: Any) -> OpenRange:
        """Return checked bytes ready to be asked; no copy is made. MemoryError."""
        return OpenRange(self._ops, data)


class OpenRange:
    """A range filter over a buffer, which it keeps alive. Any thread."""

    def __init__(self, ops: Any, data: Any) -> None:
        self._ops, self.buffer = ops, data
        self._raw = ffi.from_buffer("uint8_t[]", data)
        handle = ops.open(self._raw, len(self._raw))
        if handle == ffi.NULL:
            raise MemoryError("range filter")
        self._handle = ffi.gc(handle, ops.close)

    def may_contain(self, key: bytes) -> bool:
        """Return False only when the key was not built in."""
        return bool(self._ops.may_contain(self._handle, ffi.from_buffer("uint8_t[]", key), len(key)))

    def may_contain_range(self, lo: bytes, hi: bytes | None) -> bool:
        """Return False only when no key of [lo, hi) was built in."""
        high = ffi.NULL if hi is None else ffi.from_buffer("uint8_t[]", hi)
        return bool(self._ops.may_contain_range(self._handle, ffi.from_buffer("uint8_t[]", lo), len(lo), high, len(hi or b"")))

    def may_contain_many(self, keys: Packed) -> npt.NDArray[np.bool_]:
        """Ask for packed keys, one crossing."""
        data, at = keys
        out = np.zeros(len(at) - 1, np.bool_)
        raw, places = ffi.from_buffer("uint8_t[]", data), ffi.from_buffer("uint64_t[]", at)
        lib.idx_range_probe_keys(self._ops, self._handle, raw, places, len(out), ffi.from_buffer("uint8_t[]", out))
        return out

    def may_contain_ranges(self, low: Packed, high: Packed, open_ends: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Ask for as many ranges as there are packed bounds, one crossing; where open_ends, the upper bound does not count."""
        out = np.zeros(len(low[1]) - 1, np.bool_)
        lib.idx_range_probe_ranges(
            self._ops,
            self._handle,
            ffi.from_buffer("uint8_t[]", low[0]),
            ffi.from_buffer("uint64_t[]", low[1]),
            ffi.from_buffer("uint8_t[]", high[0]),
            ffi.from_buffer("uint64_t[]", high[1]),
            ffi.from_buffer("uint8_t[]", open_ends),
            len(out),
            ffi.from_buffer("uint8_t[]", out),
        )
        return out


class _Building:
    """The keys of a filter that a Python object builds."""

    def __init__(self, params: str) -> None:
        self.params, self.keys, self.data = params, list[bytes](), b""


class PythonRangeFilter(RangeOps):
    """An ops table whose functions call a Python object: right for a first try, some microseconds a question.

    Keep the adapter alive as long as anything holds its address. An exception in the object is kept in `last_error`, and the
    caller gets the answer that loses nothing: "may contain" from a question, failure from building and checking.
    """

    def __init__(self, inner: RangeFilterObject) -> None:
        self.inner = inner
        self.last_error: BaseException | None = None
        self._live: dict[int, Any] = {}  # builders and opened filters, by what C calls them
        slots = dict(ffi.typeof("idx_range_ops").fields)
        functions = {
            "begin": (self._begin, lib.IDX_RANGE_BAD),
            "add": (self._add, lib.IDX_RANGE_BAD),
            "finish": (self._finish, lib.IDX_RANGE_BAD),
            "write": (self._write, lib.IDX_RANGE_BAD),
            "drop": (self._drop, None),
            "check": (self._check, -1),
            "open": (self._open, ffi.NULL),
            "close": (self._drop, None),
            "may_contain": (self._probe, 1),
            "may_contain_range": (self._probe_range, 1),
        }
        name = ffi.new("char[]", inner.name.encode())
        callbacks = {
            slot: ffi.callback(slots[slot].type, call, error=value, onerror=self._keep) for slot, (call, value) in functions.items()
        }
        size = ffi.sizeof("idx_range_ops")
        table = ffi.new("idx_range_ops *", {"abi": ABI, "size": size, "name": name, "version": inner.version, **callbacks})
        self._alive = (name, callbacks, table)
        super().__init__(int(ffi.cast("uintptr_t", table)))

    def _keep(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self.last_error = error

    def _give(self, held: Any) -> Any:
        handle = ffi.new_handle(held)
        self._live[int(ffi.cast("uintptr_t", handle))] = handle
        hold(self)
        return handle

    def _drop(self, handle: Any) -> None:
        del self._live[int(ffi.cast("uintptr_t", handle))]
        let_go(self)

    def _begin(self, params: Any, out: Any) -> int:
        text = ffi.string(params).decode()
        if not self.inner.accepts(text):
            return int(lib.IDX_RANGE_BAD)
        out[0] = self._give(_Building(text))
        return 0

    def _add(self, builder: Any, key: Any, n: int) -> int:
        keys, new = ffi.from_handle(builder).keys, bytes(ffi.buffer(key, n)) if n else b""
        if keys and new < keys[-1]:
            return int(lib.IDX_RANGE_ORDER)
        keys.append(new)
        return 0

    def _finish(self, builder: Any, size: Any) -> int:
        work = ffi.from_handle(builder)
        work.data = bytes(self.inner.build(work.keys, work.params))
        size[0] = len(work.data)
        return 0

    def _write(self, builder: Any, out: Any) -> int:
        data = ffi.from_handle(builder).data
        ffi.memmove(out, data, len(data))
        return 0

    def _check(self, data: Any, size: int) -> int:
        return 0 if self.inner.check(memoryview(ffi.buffer(data, size))) else -1

    def _open(self, data: Any, size: int) -> Any:
        return self._give(memoryview(ffi.buffer(data, size)))

    def _probe(self, opened: Any, key: Any, n: int) -> int:
        return int(self.inner.may_contain(ffi.from_handle(opened), ffi.buffer(key, n)[:]))

    def _probe_range(self, opened: Any, lo: Any, lo_n: int, hi: Any, hi_n: int) -> int:
        high = None if hi == ffi.NULL else ffi.buffer(hi, hi_n)[:]
        return int(self.inner.may_contain_range(ffi.from_handle(opened), ffi.buffer(lo, lo_n)[:], high))


def native_range(name: str) -> RangeOps:
    """Return the built-in range filter of this name. KeyError when there is none."""
    ops = lib.idx_range_find(name.encode())
    if ops == ffi.NULL:
        raise KeyError(name)
    return RangeOps(int(ffi.cast("uintptr_t", ops)))
