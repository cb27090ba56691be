"""Learned search: a PGM-index over a sorted array, which says where a key is, within a bound, from a few straight lines.

>>> import numpy as np
>>> from indexes.learned import PGM
>>> p = PGM.build(np.arange(0, 1000, 10, dtype=np.uint64), epsilon=4)
>>> p.search(500), p.search_many(np.array([0, 11, 9999], np.uint64)).tolist(), p.lines
(50, [0, 2, 100], [1])

Ferragina and Vinciguerra, "The PGM-index: a fully-dynamic compressed learned index with provable worst-case bounds", VLDB 2020.
"""

from __future__ import annotations

import struct
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .native_learned import NativePGM, Words
from .native_ranges import checksum

_MAGIC = b"IDXL"
_ENVELOPE = 1
_HEAD = struct.Struct("<4sB3xQQQ")  # magic, envelope version, first and last key, bytes of the index
_SUM = struct.Struct("<Q")
MAX_EPSILON = 1 << 20


def _refused(key: object) -> ValueError:
    return ValueError(f"key is {key!r:.60}; allowed: an integer from 0 to {(1 << 64) - 1}")


def _words(keys: npt.NDArray[Any], what: str) -> Words:
    array = np.asarray(keys)
    if array.ndim != 1 or (array.dtype != np.uint64 and array.size):
        raise ValueError(f"{what} are an array of {array.dtype} with {array.ndim} dimensions; allowed: uint64 with 1")
    return np.ascontiguousarray(array, np.uint64)


class PGM:
    """A PGM-index with the array that it indexes, which must not change. Immutable; any thread.

    The rank of a key is the number of elements less than it: what `numpy.searchsorted` and `bisect_left` give.
    """

    def __init__(self, native: NativePGM, keys: Words) -> None:
        self._native, self._find, self.keys = native, native.finder(), keys
        self.count, self.epsilon, self.error, self.lines = native.counts()

    @classmethod
    def build(cls, keys: npt.NDArray[np.uint64], epsilon: int = 64) -> Self:
        """Return the index of an ascending array; repeats are fine. The array is kept, not copied, when it is contiguous.

        epsilon: places that a line may be off by, 1 to 2**20; few lines or short searches. `error` is what was reached: epsilon, or
        one or two more. ValueError when the array does not ascend. O(n) time, 24 bytes a line.
        """
        array = _words(keys, "keys")
        if isinstance(epsilon, bool) or not isinstance(epsilon, int) or not 1 <= epsilon <= MAX_EPSILON:
            raise ValueError(f"epsilon is {epsilon!r}; allowed: an integer from 1 to {MAX_EPSILON}")
        down = np.flatnonzero(array[1:] < array[:-1])
        if len(down):
            raise ValueError(f"key {down[0] + 1} is less than the key before it; allowed: a sorted array")
        return cls(NativePGM.build(array, epsilon), array)

    def window(self, key: int) -> tuple[int, int]:
        """Return the least and the greatest rank that the key may have: at most 2 error + 1 apart. O(levels * log error)."""
        try:
            return self._native.window(key)
        except (OverflowError, TypeError):
            raise _refused(key) from None

    def window_many(self, keys: npt.NDArray[np.uint64]) -> tuple[Words, Words]:
        """Return least and greatest ranks of many keys; one crossing."""
        return self._native.window_many(_words(keys, "keys"))

    def search(self, key: int) -> int:
        """Return the rank of the key. O(levels + log error)."""
        try:
            return self._find(key)
        except (OverflowError, TypeError):
            raise _refused(key) from None

    def search_many(self, keys: npt.NDArray[np.uint64]) -> Words:
        """Return the ranks of many keys; one crossing, whose cache misses overlap."""
        return self._native.search_many(_words(keys, "keys"))

    @property
    def size(self) -> int:
        """Bytes of the lines and their header, without the array."""
        return len(self._native.raw())

    @property
    def raw(self) -> bytes:
        """The index's own bytes."""
        return self._native.raw()

    def to_bytes(self) -> bytes:
        """Return the index, without its array, with version, sizes and a checksum, for `from_bytes` on any machine."""
        raw = self.raw
        ends = (int(self.keys[0]), int(self.keys[-1])) if self.count else (0, 0)
        body = _HEAD.pack(_MAGIC, _ENVELOPE, *ends, len(raw)) + raw
        return body + _SUM.pack(checksum(body))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, keys: npt.NDArray[np.uint64]) -> Self:
        """Return the index that `to_bytes` wrote, over the given buffer, which is not copied, and the array that it was built from.

        ValueError names what is wrong: magic, version, size, checksum, content, or an array of another length or other ends.
        """
        array, view = _words(keys, "keys"), memoryview(data).cast("B")
        if len(view) < _HEAD.size + _SUM.size:
            raise ValueError(f"size is {len(view)}; a PGM-index takes at least {_HEAD.size + _SUM.size} bytes")
        magic, envelope, first, last, size = _HEAD.unpack_from(view)
        if magic != _MAGIC:
            raise ValueError(f"magic is {magic!r}; allowed: {_MAGIC!r}")
        if envelope != _ENVELOPE or any(view[5:8]):
            raise ValueError(f"envelope version is {envelope}; this build reads {_ENVELOPE}")
        if len(view) != _HEAD.size + size + _SUM.size:
            raise ValueError(f"size is {len(view)}; the header says {_HEAD.size + size + _SUM.size}")
        if _SUM.unpack_from(view, len(view) - _SUM.size)[0] != checksum(view[: -_SUM.size]):
            raise ValueError("checksum does not match: the bytes were damaged")
        if len(array) and (first, last) != (int(array[0]), int(array[-1])):
            raise ValueError(f"the array goes from {array[0]} to {array[-1]}; allowed: the one that was built from, {first} to {last}")
        native = NativePGM.open(view[_HEAD.size : _HEAD.size + size], array)
        if native is None:
            raise ValueError(f"content is no well-formed PGM-index of {len(array)} keys")
        return cls(native, array)
