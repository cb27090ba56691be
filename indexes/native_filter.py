"""The door to the filters of the extension: hashes of keys, ops tables, and the adapter that lets a Python object stand behind one."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _native
from .native import _found, _pack, _pointer, _rows, ffi, lib

if lib.idx_install_builtins():
    raise ImportError("indexes._native does not take the probe of one key")

Keys: TypeAlias = "Sequence[bytes] | Sequence[int] | npt.NDArray[Any]"
HashArray: TypeAlias = "npt.NDArray[np.uint64]"
Hashes: TypeAlias = "HashArray | Sequence[int]"

FILTER_ABI: int = lib.IDX_FILTER_ABI
_LINE = 64  # bytes of a cache line
_WORD = (1 << 64) - 1
_HASHES = {name: lib.idx_hash_find(name.encode()) for name in ("xxh3", "murmur3")}
HASHES = tuple(_HASHES)
"""The names of the hash functions of keys."""


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
    """Return the XXH3 64-bit hash (seed 0) of the bytes: xxhash.xxh3_64_intdigest."""
    return int(lib.idx_xxh3(data, len(data)))


def murmur3(data: bytes) -> tuple[int, int]:
    """Return the two halves of the MurmurHash3 (x64, 128 bits, seed 0) of the bytes: mmh3.hash64(data, signed=False).

    Filters take the first half.
    """
    out = ffi.new("uint64_t[2]")
    lib.idx_murmur3_128(data, len(data), out)
    return int(out[0]), int(out[1])


class _Packed:
    """Keys as C takes them: rows of one width, or bytes with offsets."""

    def __init__(self, keys: Keys) -> None:
        self.n = len(keys)
        self.rows: npt.NDArray[np.uint8] | None = None
        if not isinstance(keys, np.ndarray):
            if self.n and isinstance(keys[0], int):
                self.rows = _int_rows(_ints(keys))
                return
        elif keys.dtype.kind in "iu" and keys.ndim == 1:
            self.rows = _int_rows(keys)
            return
        elif keys.dtype.kind not in "SU":
            self.rows = _rows(keys)
            return
        else:
            keys = keys.tolist() if keys.dtype.kind == "S" else [text.encode() for text in keys.tolist()]
        self.bytes, self.offsets = _pack(keys, np.uint64)  # type: ignore[arg-type]

    def call(self, of_rows: Any, of_keys: Any, before: tuple[Any, ...], out: Any) -> None:
        if self.rows is not None:
            of_rows(*before, _pointer("uint8_t *", self.rows), self.rows.shape[1], self.n, out)
        else:
            of_keys(*before, ffi.from_buffer("uint8_t[]", self.bytes), _pointer("uint64_t *", self.offsets), self.n, out)


def _ints(keys: Sequence[Any]) -> npt.NDArray[Any]:
    try:
        return np.frombuffer(array("q", keys), np.int64)
    except OverflowError:
        out_of_range = [key for key in keys if not -(1 << 63) <= key <= _WORD]
        if out_of_range:
            raise ValueError(f"key is {out_of_range[0]}; allowed: -2**63 to 2**64 - 1") from None
        return np.array([key & _WORD for key in keys], np.uint64)


def _int_rows(keys: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """View integers as the 8 bytes, little-endian, two's complement, that stand for them, whatever type they came in."""
    wide = np.ascontiguousarray(keys, "<i8" if keys.dtype.kind == "i" else "<u8")
    return wide.view(np.uint8).reshape(len(keys), 8)


def key_bytes(key: Any) -> bytes:
    """Return the bytes that are hashed for a key: its own, or the 8 of an integer.

    TypeError for what is neither bytes-like nor an integer, ValueError when 64 bits do not hold the integer.
    """
    if isinstance(key, (bytes, bytearray, memoryview)):
        return bytes(key)
    try:
        number = index(key)
    except TypeError:
        raise TypeError(f"key is {key!r:.60}; allowed: bytes, bytearray, memoryview or an integer") from None
    if not -(1 << 63) <= number <= _WORD:
        raise ValueError(f"key is {number}; allowed: -2**63 to 2**64 - 1")
    return (number & _WORD).to_bytes(8, "little")


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Return a zeroed buffer that starts at a cache line's boundary."""
    raw = np.zeros(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size]


def _hash_array(hashes: Any) -> HashArray:
    if not isinstance(hashes, np.ndarray):
        return np.frombuffer(array("Q", hashes), np.uint64)
    if hashes.ndim != 1 or hashes.dtype.kind not in "iu":
        raise TypeError(f"hashes are {hashes.dtype} with {hashes.ndim} dimensions; allowed: one dimension of uint64")
    return np.ascontiguousarray(hashes, np.uint64)


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

    def _hash(self, name: str) -> Any:
        return self._ops.hash if name == "xxh3" else _HASHES[name]

    def bind_probe(self, data: npt.NDArray[np.uint8], hash: str) -> Callable[[bytes | int], bool]:
        """Return the probe of checked bytes with one key, as a function of the interpreter. It holds the bytes and this object."""

        def slow(key: Any) -> bool:
            return bool(self.probe_keys(data, [key_bytes(key)], hash)[0])

        where = (int(ffi.cast("uintptr_t", pointer)) for pointer in (self._ops, self._hash(hash), _pointer("uint8_t *", data)))
        bound: Callable[[bytes | int], bool] = _native.bind_probe(*where, len(data), slow, (self, data))
        return bound

    def can(self, what: str) -> bool:
        """Tell whether the kind has the optional slot: "fpr", "empty", "insert", "erase" or "unite"."""
        return bool(getattr(self._ops, what) != ffi.NULL)

    def hash_keys(self, keys: Keys, hash: str = "xxh3") -> HashArray:
        """Return the hashes of the keys. O(total bytes); one crossing.

        keys: a sequence of bytes or of ints, an 'S' or 'U' array (UTF-8), an integer array, a 'V' array, or rows of uint8. An integer
        stands for its 8 bytes, little-endian, in two's complement. TypeError for other arrays, ValueError for integers that 64 bits do
        not hold.
        """
        out: HashArray = np.empty(len(keys), np.uint64)
        packed = _Packed(keys)
        packed.call(lib.idx_hash_rows, lib.idx_hash_keys, (self._hash(hash),), _pointer("uint64_t *", out))
        return out

    def probe_keys(self, data: npt.NDArray[np.uint8], keys: Keys, hash: str = "xxh3") -> npt.NDArray[np.bool_]:
        """Probe checked bytes with keys as `hash_keys` takes them, one crossing."""
        out = np.empty(len(keys), np.bool_)
        before = (self._ops, self._hash(hash), _pointer("uint8_t *", data), len(data))
        _Packed(keys).call(lib.idx_filter_probe_rows, lib.idx_filter_probe_keys, before, _pointer("uint8_t *", out))
        return out

    def build(self, hashes: Hashes, bits_per_key: float) -> npt.NDArray[np.uint8]:
        """Return the filter's bytes, at a cache line's boundary.

        ValueError when bits_per_key is out of the filter's range, or when no seed worked (for the kinds that need one: does not happen by
        chance); MemoryError when the scratch space of the build cannot be had.
        """
        given = _hash_array(hashes)
        return self._made(lambda *out: self._ops.build(_pointer("uint64_t *", given), len(given), *out), len(given), bits_per_key)

    def empty(self, capacity: int, bits_per_key: float) -> npt.NDArray[np.uint8]:
        """Return a filter without keys, of the size of one with `capacity` keys. Errors as of `build`."""
        return self._made(lambda *out: self._ops.empty(capacity, *out), capacity, bits_per_key)

    def _made(self, make: Any, n: int, bits_per_key: float) -> npt.NDArray[np.uint8]:
        cap = int(self._ops.bound(n, bits_per_key))
        if cap == 0:
            raise ValueError(f"bits_per_key is {bits_per_key} for {n} keys, which {self.name} does not take")
        out, size = aligned(cap), ffi.new("size_t *")
        status = make(bits_per_key, _pointer("uint8_t *", out), cap, size)
        if status == lib.IDX_FILTER_NO_MEMORY:
            raise MemoryError(f"{self.name} of {n} keys")
        if status == lib.IDX_FILTER_FAILED:
            raise ValueError(f"no seed makes a {self.name} of these {n} keys")
        if status:
            raise ValueError(f"bits_per_key is {bits_per_key} for {n} keys, which {self.name} does not take")
        if size[0] > cap - cap // 16:
            return out[: size[0]]
        fitting = aligned(size[0])
        fitting[:] = out[: size[0]]
        return fitting

    def check(self, data: npt.NDArray[np.uint8]) -> bool:
        """Tell whether the bytes are well formed: only then may they be used with any of the methods below."""
        return int(self._ops.check(_pointer("uint8_t *", data), len(data))) == 0

    def may_contain(self, data: npt.NDArray[np.uint8], digest: int) -> bool:
        """Probe with one hash."""
        return bool(self._ops.may_contain(_pointer("uint8_t *", data), len(data), digest))

    def may_contain_many(self, data: npt.NDArray[np.uint8], hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Probe with many hashes, one crossing."""
        given = _hash_array(hashes)
        out = np.zeros(len(given), np.bool_)
        self._ops.may_contain_many(
            _pointer("uint8_t *", data), len(data), _pointer("uint64_t *", given), len(given), _pointer("uint8_t *", out)
        )
        return out

    def insert(self, data: npt.NDArray[np.uint8], hashes: Hashes) -> int:
        """Add keys in place; return how many went in before one found no room (which leaves nothing behind)."""
        given = _hash_array(hashes)
        return int(self._ops.insert(_pointer("uint8_t *", data), len(data), _pointer("uint64_t *", given), len(given)))

    def erase(self, data: npt.NDArray[np.uint8], hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Take keys out in place; False for those that were surely absent."""
        given = _hash_array(hashes)
        out = np.zeros(len(given), np.bool_)
        self._ops.erase(_pointer("uint8_t *", data), len(data), _pointer("uint64_t *", given), len(given), _pointer("uint8_t *", out))
        return out

    def unite(self, into: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> None:
        """Add all keys of another filter in place. ValueError when the two are not alike or there is no room; `into` is lost then."""
        status = self._ops.unite(_pointer("uint8_t *", into), len(into), _pointer("uint8_t *", other), len(other))
        if status == lib.IDX_FILTER_FAILED:
            raise ValueError(f"the {self.name} has no room for the keys of the other one")
        if status:
            raise ValueError(
                f"two filters of kind {self.name} are united when they have the same size, bits per key and seed; these differ"
            )

    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the theory's false-positive rate."""
        return float(self._ops.expected_fpr(bits_per_key))

    def fpr(self, data: npt.NDArray[np.uint8]) -> float:
        """Return the rate that follows from the bits of this very filter."""
        return float(self._ops.fpr(_pointer("uint8_t *", data), len(data)))


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
