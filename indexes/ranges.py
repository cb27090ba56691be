"""Range filters as objects: build from sorted keys, ask for keys and ranges, save, load.

>>> from indexes.ranges import SuRF
>>> f = SuRF.build([b"ant", b"bee", b"cat"], suffix="real", suffix_bits=8)
>>> f.may_contain_range(b"b", b"c"), f.may_contain_range(b"d", None)
(True, False)

Keys are bytes, or unsigned 64-bit integers (all of one filter of one sort), which stand for their 8 big-endian bytes. The bounds of a
range are lo <= key < hi; hi None: no end.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from .native_ranges import OpenRange, RangeKeys, as_key, checksum, pack
from .range_registry import PrefixBloomSettings, SnarfSettings, SurfSettings, range_ops

_MAGIC = b"IDXR"
_ENVELOPE = 1
_HEAD = struct.Struct("<4sBBHIIQQ")  # magic, envelope version, lengths of name and params, filter version, 0, keys, bytes of filter
_SUM = struct.Struct("<Q")


class RangeFilter:
    """A built range filter: "is there surely no key in [lo, hi)?" Immutable; any thread."""

    kind: ClassVar[str]

    def __init__(self, opened: OpenRange, count: int, params: str) -> None:
        self._opened, self.count, self.params = opened, count, params

    @classmethod
    def from_keys(cls, keys: RangeKeys, params: str = "") -> Self:
        """Return the filter of sorted keys: a sequence, an iterator (streamed), or an array. Repeats are fine.

        ValueError when a key is less than the one before, or for parameters that the kind does not take. O(total bytes).
        """
        ops = range_ops(cls.kind)
        data, count = ops.build(keys, params)
        return cls(ops.open(data), count, params)

    def may_contain(self, key: bytes | int) -> bool:
        """Return False only when the key was not built in."""
        return self._opened.may_contain(as_key(key))

    __contains__ = may_contain

    def may_contain_range(self, lo: bytes | int, hi: bytes | int | None) -> bool:
        """Return False only when no key with lo <= key < hi was built in."""
        return self._opened.may_contain_range(as_key(lo), None if hi is None else as_key(hi))

    def may_contain_many(self, keys: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return for each key what `may_contain` says; one crossing."""
        return self._opened.may_contain_many(pack(keys))

    def may_contain_ranges(self, lo: Sequence[Any] | npt.NDArray[Any], hi: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return for each pair of bounds what `may_contain_range` says; one crossing. None in a list of upper bounds: no end.

        ValueError unless there are as many of each.
        """
        if len(lo) != len(hi):
            raise ValueError(f"{len(lo)} lower and {len(hi)} upper bounds; allowed: as many of each")
        ends = np.zeros(len(hi), np.bool_)
        if not isinstance(hi, np.ndarray):
            ends[:] = [high is None for high in hi]
            hi = [b"" if high is None else high for high in hi]
        return self._opened.may_contain_ranges(pack(lo), pack(hi), ends)

    @property
    def size(self) -> int:
        """Bytes of the filter itself."""
        return memoryview(self._opened.buffer).nbytes

    @property
    def bits_per_key(self) -> float:
        """Size in bits over the number of keys; 0 without keys."""
        return 8 * self.size / self.count if self.count else 0.0

    @property
    def raw(self) -> bytes:
        """The filter's own bytes, as they stand in a table's range filter block."""
        return bytes(self._opened.buffer)

    def to_bytes(self) -> bytes:
        """Return the filter with its name, version, parameters, sizes and a checksum, for `from_bytes` on any machine."""
        name, params = self.kind.encode(), self.params.encode()
        head = _HEAD.pack(_MAGIC, _ENVELOPE, len(name), len(params), range_ops(self.kind).version, 0, self.count, self.size)
        body = head + name + params + self.raw
        return body + _SUM.pack(checksum(body))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Return the filter that `to_bytes` wrote, over the given buffer, which is not copied and must not change.

        ValueError names what is wrong: magic, version, name, size, checksum, content. O(size).
        """
        view = memoryview(data).cast("B")
        if len(view) < _HEAD.size + _SUM.size:
            raise ValueError(f"size is {len(view)}; a range filter takes at least {_HEAD.size + _SUM.size} bytes")
        magic, envelope, name_size, params_size, version, zero, count, size = _HEAD.unpack_from(view)
        if magic != _MAGIC:
            raise ValueError(f"magic is {magic!r}; allowed: {_MAGIC!r}")
        if envelope != _ENVELOPE or zero:
            raise ValueError(f"envelope version is {envelope} ({zero}); this build reads {_ENVELOPE} (0)")
        at = _HEAD.size + name_size
        start = at + params_size
        if len(view) != start + size + _SUM.size:
            raise ValueError(f"size is {len(view)}; the header says {start + size + _SUM.size}")
        if _SUM.unpack_from(view, len(view) - _SUM.size)[0] != checksum(view[: -_SUM.size]):
            raise ValueError("checksum does not match: the bytes were damaged")
        if view[_HEAD.size : at] != cls.kind.encode():
            raise ValueError(f"name is {bytes(view[_HEAD.size : at])!r}; allowed: {cls.kind!r}")
        ops = range_ops(cls.kind)
        if version != ops.version:
            raise ValueError(f"version of {cls.kind} is {version}; this build reads {ops.version}")
        body = view[start : start + size]
        if not ops.check(body):
            raise ValueError(f"content is no well-formed {cls.kind}")
        return cls(ops.open(body), count, bytes(view[at:start]).decode())


class SuRF(RangeFilter):
    """A succinct trie of the keys, cut where they are told apart (Zhang et al., SIGMOD 2018).

    About 10 bits a key plus the suffix, for random keys. Ranges of any width, keys of any length.
    """

    kind: ClassVar[str] = "surf"

    @classmethod
    def build(cls, keys: RangeKeys, suffix: str = "real", suffix_bits: int = 8, dense_ratio: int = 16) -> Self:
        """Return the filter of sorted keys.

        suffix: none, hash (fewer false positives for keys), real (also for ranges) or mixed (half of each); suffix_bits a key, 0 to 32.
        dense_ratio: upper levels are bitmaps if that costs at most one dense_ratio-th of what lower levels take; 0: all are.
        ValueError for keys out of order and for settings out of range. O(total bytes); about 0.1 µs a key.
        """
        return cls.from_keys(keys, SurfSettings(suffix, suffix_bits, dense_ratio).params)


class SNARF(RangeFilter):
    """A learned filter: a model of the keys' distribution spreads them over a sparse bitmap (Vaidya et al., VLDB 2022).

    log2(slots) + 3 bits a key, for one false answer in `slots` to ranges whose bounds are like the keys, whatever their width; more where
    the keys jump about between knots. Keys that tie in the 8 bytes behind what all keys share are one key to it.
    """

    kind: ClassVar[str] = "snarf"

    @classmethod
    def build(cls, keys: RangeKeys, slots: int = 256, every: int = 128) -> Self:
        """Return the filter of sorted keys.

        slots: places a key, 1 to 2**20. every: keys a knot of the model (8 bytes each), 1 to 65536.
        ValueError for keys out of order and for settings out of range. O(total bytes) time, 8 bytes a key beside the filter.
        """
        return cls.from_keys(keys, SnarfSettings(slots, every).params)


class PrefixBloom(RangeFilter):
    """A Bloom filter of prefixes: answers ranges that lie inside a few prefixes, as scans of a prefix do."""

    kind: ClassVar[str] = "prefix_bloom"

    @classmethod
    def build(
        cls,
        keys: RangeKeys,
        lengths: Sequence[int] = (4,),
        delimiter: bytes | None = None,
        occurrence: int = 1,
        bits_per_prefix: float = 10,
    ) -> Self:
        """Return the filter of sorted keys.

        lengths: prefixes of so many bytes enter, each length up to 256, at most 8, ascending. delimiter: one byte; the key up to and
        with its given occurrence enters too. ValueError for keys out of order and for settings out of range. O(total bytes).
        """
        return cls.from_keys(keys, PrefixBloomSettings(tuple(lengths), delimiter, occurrence, bits_per_prefix).params)


def range_filter_class(kind: str) -> type[RangeFilter]:
    """Return the class of a registered kind. ValueError names the kinds there are."""
    for known in (SuRF, SNARF, PrefixBloom):
        if known.kind == kind:
            return known
    return type(kind, (RangeFilter,), {"kind": range_ops(kind).name})
