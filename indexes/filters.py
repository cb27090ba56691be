"""Point filters as objects: build from keys, probe, save, load.

>>> from indexes.filters import Bloom
>>> f = Bloom.build([b"ant", b"bee"], bits_per_key=12)
>>> f.may_contain_many([b"ant", b"bee"]).all()
np.True_
"""

from __future__ import annotations

import struct
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from .native import FilterOps, Keys, aligned, xxh3
from .registry import filter_ops

_MAGIC = b"IDXF"
_ENVELOPE = 1
_HEAD = struct.Struct("<4sBBHIdQQ")  # magic, envelope version, length of name, 0, filter version, bits a key, keys, bytes of filter
_SUM = struct.Struct("<Q")


class PointFilter:
    """A built filter: "is this key surely absent?" Immutable; any thread."""

    kind: ClassVar[str]

    def __init__(self, data: npt.NDArray[np.uint8], count: int, bits_per_key: float) -> None:
        self._data, self.count, self.bits_per_key = data, count, bits_per_key

    @classmethod
    def _ops(cls) -> FilterOps:
        return filter_ops(cls.kind)

    @classmethod
    def build(cls, keys: Keys, bits_per_key: float = 10) -> Self:
        """Return the filter of these keys (a sequence of bytes, or fixed-width numpy rows; repeats are fine).

        ValueError when bits_per_key is outside 1 to 64. O(n) time and bits_per_key / 8 * n bytes.
        """
        ops = cls._ops()
        return cls(ops.build(ops.hash_keys(keys), bits_per_key), len(keys), bits_per_key)

    def may_contain(self, key: bytes) -> bool:
        """Return False only when the key was not built in."""
        return bool(self.may_contain_many([key])[0])

    __contains__ = may_contain

    def may_contain_many(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return for each key what `may_contain` says; one crossing."""
        ops = self._ops()
        return ops.may_contain_many(self._data, ops.hash_keys(keys))

    @property
    def expected_fpr(self) -> float:
        """The theory's false-positive rate at these bits per key; 0 without keys."""
        return self._ops().expected_fpr(self.bits_per_key) if self.count else 0.0

    @property
    def size(self) -> int:
        """Bytes of the filter itself."""
        return len(self._data)

    @property
    def raw(self) -> bytes:
        """The filter's own bytes, as they stand in a table's filter block."""
        return self._data.tobytes()

    def to_bytes(self) -> bytes:
        """Return the filter with its name, version, sizes and a checksum, for `from_bytes` on any machine."""
        name = self.kind.encode()
        head = _HEAD.pack(_MAGIC, _ENVELOPE, len(name), 0, self._ops().version, self.bits_per_key, self.count, self.size)
        body = head + name + self.raw
        return body + _SUM.pack(xxh3(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the filter that `to_bytes` wrote. ValueError names what is wrong: magic, version, name, size, checksum, content."""
        data = bytes(data)
        if len(data) < _HEAD.size + _SUM.size:
            raise ValueError(f"size is {len(data)}; a filter takes at least {_HEAD.size + _SUM.size} bytes")
        magic, envelope, name_size, zero, version, bits_per_key, count, size = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError(f"magic is {magic!r}; allowed: {_MAGIC!r}")
        if envelope != _ENVELOPE or zero:
            raise ValueError(f"envelope version is {envelope} ({zero}); this build reads {_ENVELOPE} (0)")
        if len(data) != _HEAD.size + name_size + size + _SUM.size:
            raise ValueError(f"size is {len(data)}; the header says {_HEAD.size + name_size + size + _SUM.size}")
        if _SUM.unpack_from(data, len(data) - _SUM.size)[0] != xxh3(data[: -_SUM.size]):
            raise ValueError("checksum does not match: the bytes were damaged")
        start = _HEAD.size + name_size
        if data[_HEAD.size : start] != cls.kind.encode():
            raise ValueError(f"name is {data[_HEAD.size : start]!r}; allowed: {cls.kind!r}")
        if version != cls._ops().version:
            raise ValueError(f"version of {cls.kind} is {version}; this build reads {cls._ops().version}")
        body = aligned(size)
        body[:] = np.frombuffer(data, np.uint8, size, start)
        if not cls._ops().check(body):
            raise ValueError(f"content is no well-formed {cls.kind}")
        return cls(body, count, bits_per_key)


class Bloom(PointFilter):
    """The standard Bloom filter (Bloom, CACM 1970)."""

    kind: ClassVar[str] = "bloom"


class BlockedBloom(PointFilter):
    """The blocked Bloom filter (Putze, Sanders, Singler, WEA 2007)."""

    kind: ClassVar[str] = "blocked_bloom"


def filter_class(kind: str) -> type[PointFilter]:
    """Return the class of a registered kind. ValueError names the kinds there are."""
    for known in (Bloom, BlockedBloom):
        if known.kind == kind:
            return known
    return type(kind, (PointFilter,), {"kind": filter_ops(kind).name})
