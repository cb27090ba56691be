"""Point filters as objects: build from keys, probe, add, take out, unite, save, load.

>>> from indexes.filters import Bloom
>>> f = Bloom.build([b"ant", b"bee"], bits_per_key=12)
>>> f.may_contain_many([b"ant", b"bee"]).all()
np.True_
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import numpy.typing as npt

from .native_filter import HASHES, FilterOps, HashArray, Hashes, Keys, aligned, key_bytes, xxh3
from .registry import filter_kinds, filter_ops

_MAGIC = b"IDXF"
_ENVELOPE = 1
_HEAD = struct.Struct("<4sBBHIdQQ")  # magic, envelope version, length of name, hash, filter version, bits a key, keys, bytes of filter
_SUM = struct.Struct("<Q")
_FOREIGN = ""  # the hashes came from the caller
_NAMES = (*HASHES, _FOREIGN)  # by number


class Filter:
    """A filter: "is this key surely absent?" Kinds that can take or drop keys do so in place; everything else leaves the object as it is.

    Keys are bytes, or integers of 64 bits, which stand for their 8 bytes (little-endian, two's complement); many of them at a time as a
    list, or as an array: integers, 'S', 'U' (UTF-8), 'V', or rows of uint8. Threads: any number may probe while none adds, removes or
    unites.
    """

    kind: ClassVar[str]
    default_bits: ClassVar[float] = 10.0

    def __init__(self, data: npt.NDArray[np.uint8], count: int, bits_per_key: float, hash: str = "xxh3") -> None:
        self._data, self.count, self.bits_per_key, self.hash = data, count, bits_per_key, hash
        self.may_contain: Callable[[bytes | int], bool] = _no_keys if hash == _FOREIGN else self._ops().bind_probe(data, hash)
        """Return False only when the key is not in the filter: `may_contain(key)`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.count:,} keys in {self.size_bytes:,} bytes>"

    @classmethod
    def _ops(cls) -> FilterOps:
        if not hasattr(cls, "kind"):
            raise TypeError(f"Filter has no kind; there are: {', '.join(filter_kinds())}")
        return filter_ops(cls.kind)

    @classmethod
    def build(cls, keys: Keys, bits_per_key: float | None = None, *, hash: str = "xxh3") -> Self:
        """Return the filter of these keys; they may repeat.

        bits_per_key: memory, 1 to 64; the class's default_bits unless given; kinds of a fixed width take what they take. hash: "xxh3" or
        "murmur3". ValueError when one of them is out of range. O(n) time and bits_per_key / 8 * n bytes; kinds that need all keys at once
        take up to 40 bytes a key while they build.
        """
        return cls._built(cls._ops().hash_keys(keys, _known(hash)), bits_per_key, hash)

    @classmethod
    def from_hashes(cls, hashes: Hashes, bits_per_key: float | None = None, *, hash: str | None = None) -> Self:
        """Return the filter of keys that are hashed already. hash: the function they come from, "xxh3" or "murmur3"; None: another one.

        With None, only `may_contain_hashes` can probe. Errors as of `build`.
        """
        return cls._built(hashes, bits_per_key, _FOREIGN if hash is None else _known(hash))

    @classmethod
    def _built(cls, hashes: Hashes, bits_per_key: float | None, hash: str) -> Self:
        bits = cls.default_bits if bits_per_key is None else bits_per_key
        return cls(cls._ops().build(hashes, bits), len(hashes), bits, hash)

    @classmethod
    def with_capacity(cls, capacity: int, bits_per_key: float | None = None, *, hash: str = "xxh3") -> Self:
        """Return an empty filter for about `capacity` keys that `add` brings. TypeError for kinds that need all keys at once."""
        bits = cls.default_bits if bits_per_key is None else bits_per_key
        if not 1 <= capacity <= 1 << 40:
            raise ValueError(f"capacity is {capacity}; allowed: 1 to 2**40")
        return cls(cls._able("empty", "grow").empty(capacity, bits), 0, bits, _known(hash))

    @classmethod
    def _able(cls, slot: str, verb: str) -> FilterOps:
        ops = cls._ops()
        if not ops.can(slot):
            able = ", ".join(kind for kind in filter_kinds() if filter_ops(kind).can(slot))
            raise TypeError(f"a filter of kind {cls.kind} cannot {verb}; these can: {able}")
        return ops

    def _hash_name(self) -> str:
        return self.hash if self.hash != _FOREIGN else _no_keys()

    def __contains__(self, key: bytes | int) -> bool:
        return self.may_contain(key)

    def may_contain_many(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return for each key what `may_contain` says; one crossing, without the interpreter's lock."""
        return self._ops().probe_keys(self._data, keys, self._hash_name())

    def may_contain_hashes(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Return for each hash (of the function that the filter was built with) what `may_contain` says of its key."""
        return self._ops().may_contain_many(self._data, hashes)

    def add(self, key: bytes | int) -> None:
        """Add a key; see `add_many`."""
        self.add_many([key_bytes(key)])

    def add_many(self, keys: Keys) -> None:
        """Add keys in place. Above the capacity the rate rises; a cuckoo filter is full at some point: OverflowError, with what went in.

        TypeError for kinds that need all keys at once.
        """
        ops = self._able("insert", "take keys later")
        hashes = ops.hash_keys(keys, self._hash_name())
        added = ops.insert(self._data, hashes)
        self.count += added
        if added < len(hashes):
            raise OverflowError(f"{self.kind} is full: {added} of {len(hashes)} keys were added, {self.count} are in it")

    def remove(self, key: bytes | int) -> bool:
        """Take a key out; see `remove_many`."""
        return bool(self.remove_many([key_bytes(key)])[0])

    def remove_many(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Take keys out in place; False for each that was surely absent. Only keys that went in may be taken out: another one may take a
        key's place.

        TypeError for kinds that cannot.
        """
        ops = self._able("erase", "take keys out")
        erased = ops.erase(self._data, ops.hash_keys(keys, self._hash_name()))
        self.count -= int(erased.sum())
        return erased

    def union(self, other: Self) -> Self:
        """Return the filter of the keys of both. TypeError for kinds that cannot; ValueError unless both have one size, bits per key,
        seed and hash."""
        ops = self._able("unite", "be united")
        if not isinstance(other, Filter) or other.kind != self.kind:
            raise TypeError(
                f"a filter of kind {self.kind} is united with one of its kind, not with {getattr(other, 'kind', type(other).__name__)}"
            )
        if other.hash != self.hash:
            raise ValueError(f"hash is {other.hash!r}; allowed: that of the other filter, {self.hash!r}")
        data = aligned(len(self._data))
        data[:] = self._data
        ops.unite(data, other._data)
        return type(self)(data, self.count + other.count, self.bits_per_key, self.hash)

    __or__ = union

    def expected_fpr(self) -> float:
        """Return the share of absent keys that the theory expects to be let through, for what is in the filter now; 0 without keys."""
        ops = self._ops()
        if not self.count:
            return 0.0
        return ops.fpr(self._data) if ops.can("fpr") else ops.expected_fpr(self.bits_per_key)

    @property
    def size_bytes(self) -> int:
        """Bytes of the filter itself."""
        return len(self._data)

    @property
    def raw(self) -> bytes:
        """The filter's own bytes, as they stand in a table's filter block."""
        return self._data.tobytes()

    def to_bytes(self) -> bytes:
        """Return the filter with its name, version, hash, sizes and a checksum, for `open` on any machine."""
        name = self.kind.encode()
        fields = (_NAMES.index(self.hash), self._ops().version, self.bits_per_key, self.count, self.size_bytes)
        body = _HEAD.pack(_MAGIC, _ENVELOPE, len(name), *fields) + name + self.raw
        return body + _SUM.pack(xxh3(body))

    @classmethod
    def open(cls, data: Any) -> Self:
        """Return the filter that `to_bytes` wrote, from anything bytes-like; `Filter.open` takes every kind, a kind's class its own.

        ValueError names what is wrong: size, magic, version, checksum, hash, name, content. O(size).
        """
        data = bytes(data)
        if len(data) < _HEAD.size + _SUM.size:
            raise ValueError(f"size is {len(data)}; a filter takes at least {_HEAD.size + _SUM.size} bytes")
        magic, envelope, name_size, hash, version, bits_per_key, count, size = _HEAD.unpack_from(data)
        start = _HEAD.size + name_size
        if magic != _MAGIC:
            raise ValueError(f"magic is {magic!r}; allowed: {_MAGIC!r}")
        if envelope != _ENVELOPE:
            raise ValueError(f"envelope version is {envelope}; this build reads {_ENVELOPE}")
        if len(data) != start + size + _SUM.size:
            raise ValueError(f"size is {len(data)}; the header says {start + size + _SUM.size}")
        if _SUM.unpack_from(data, len(data) - _SUM.size)[0] != xxh3(data[: -_SUM.size]):
            raise ValueError("checksum does not match: the bytes were damaged")
        if hash >= len(_NAMES):
            raise ValueError(f"hash is {hash}; this build knows 0 to {len(_NAMES) - 1}")
        kind = cls._named(data[_HEAD.size : start])
        ops = kind._ops()
        if version != ops.version:
            raise ValueError(f"version of {kind.kind} is {version}; this build reads {ops.version}")
        body = aligned(size)
        body[:] = np.frombuffer(data, np.uint8, size, start)
        if not ops.check(body):
            raise ValueError(f"content is no well-formed {kind.kind}")
        return kind(body, count, bits_per_key, _NAMES[hash])

    @classmethod
    def _named(cls, name: bytes) -> type[Self]:
        if hasattr(cls, "kind"):
            if name != cls.kind.encode():
                raise ValueError(f"name is {name!r}; allowed: {cls.kind!r}")
            return cls
        known = [kind for kind in filter_kinds() if kind.encode() == name]
        if not known:
            raise ValueError(f"name is {name!r}; allowed: {', '.join(filter_kinds())}")
        return filter_class(known[0])  # type: ignore[return-value]


def _no_keys(*_: object) -> NoReturn:
    raise TypeError("the filter was built from hashes of an unknown function; allowed: may_contain_hashes")


def _known(hash: str) -> str:
    if hash not in HASHES:
        raise ValueError(f"hash is {hash!r}; allowed: {', '.join(HASHES)}")
    return hash


class Bloom(Filter):
    """The standard Bloom filter (Bloom, CACM 1970): keys can be added; filters of one size can be united."""

    kind: ClassVar[str] = "bloom"


class BlockedBloom(Filter):
    """The blocked Bloom filter (Putze, Sanders, Singler, WEA 2007): one cache miss a key. Keys can be added; filters of one size can be
    united."""

    kind: ClassVar[str] = "blocked_bloom"


class CountingBloom(Filter):
    """The counting Bloom filter (Fan, Cao, Almeida, Broder, 2000): keys can be taken out; a key that went in twice must be taken out
    twice."""

    kind: ClassVar[str] = "counting_bloom"
    default_bits: ClassVar[float] = 40.0


class Cuckoo(Filter):
    """The cuckoo filter (Fan, Andersen, Kaminsky, Mitzenmacher, CoNEXT 2014): keys can be taken out. `build` takes a repeated key once,
    `add` every time."""

    kind: ClassVar[str] = "cuckoo"
    default_bits: ClassVar[float] = 12.8


class Ribbon(Filter):
    """The standard Ribbon filter (Dillinger and Walzer, 2021): within a few percent of the least memory that there can be; fixed once
    built."""

    kind: ClassVar[str] = "ribbon"


class HomogeneousRibbon(Filter):
    """The homogeneous Ribbon filter (same paper, section 3): its equations always have a solution, so that no build needs to begin
    again."""

    kind: ClassVar[str] = "homogeneous_ribbon"


class BinaryFuse8(Filter):
    """The binary fuse filter (Graf and Lemire, JEA 2022) of 8-bit fingerprints: 9 bits a key, 0.4 %; fixed once built."""

    kind: ClassVar[str] = "binary_fuse8"


class BinaryFuse16(Filter):
    """The binary fuse filter of 16-bit fingerprints: 18 bits a key, 0.0015 %; fixed once built."""

    kind: ClassVar[str] = "binary_fuse16"


class Xor8(Filter):
    """The xor filter (Graf and Lemire, JEA 2020) of 8-bit fingerprints: 9.84 bits a key, 0.4 %; fixed once built."""

    kind: ClassVar[str] = "xor8"


class Xor16(Filter):
    """The xor filter of 16-bit fingerprints: 19.7 bits a key, 0.0015 %; fixed once built."""

    kind: ClassVar[str] = "xor16"


CLASSES: tuple[type[Filter], ...] = (
    Bloom, BlockedBloom, CountingBloom, Cuckoo, Ribbon, HomogeneousRibbon, BinaryFuse8, BinaryFuse16, Xor8, Xor16,
)  # fmt: skip
FILTERS: dict[str, type[Filter]] = {c.kind: c for c in CLASSES}
"""The classes of the built-in filters by kind."""


def hash_keys(keys: Keys, hash: str = "xxh3") -> HashArray:
    """Return the 64-bit hashes of keys (as `Filter` takes them) by "xxh3" or "murmur3". O(total bytes); one crossing."""
    return Bloom._ops().hash_keys(keys, _known(hash))


def filter_class(kind: str) -> type[Filter]:
    """Return the class of a registered kind. ValueError names the kinds there are."""
    return FILTERS.get(kind) or type(kind, (Filter,), {"kind": filter_ops(kind).name})
