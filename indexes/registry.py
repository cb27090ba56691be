"""The filters and block searches by kind: plain settings that build the live part.

Settings are values (frozen, hashable, printable); a component that is registered here is in the conformance tests, the command line
and the sweeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from .native import SearchOps, native_search_address
from .native_filter import FilterOps, PythonFilter, native_filter

MIN_BITS, MAX_BITS = 1.0, 64.0


@dataclass(frozen=True)
class NoFilter:
    """No filter: every probe reads the table."""

    kind: ClassVar[str] = "none"

    def build(self) -> None:
        """Return None: there is nothing to probe."""


@dataclass(frozen=True)
class FilterSettings:
    """What every filter of hashes takes. bits_per_key: memory, 1 to 64 bits a key; about 10 give one false positive in a hundred."""

    kind: ClassVar[str]
    bits_per_key: float = 10.0

    def __post_init__(self) -> None:
        bits = self.bits_per_key
        if isinstance(bits, bool) or not isinstance(bits, (int, float)) or not (math.isfinite(bits) and MIN_BITS <= bits <= MAX_BITS):
            raise ValueError(f"bits_per_key is {bits!r}; allowed: a number from {MIN_BITS:g} to {MAX_BITS:g}")

    def build(self) -> FilterOps:
        """Return the ops table that builds and probes this kind."""
        return filter_ops(self.kind)


@dataclass(frozen=True)
class BloomSettings(FilterSettings):
    """The standard Bloom filter (Bloom, CACM 1970): least memory, a cache miss a probe."""

    kind: ClassVar[str] = "bloom"


@dataclass(frozen=True)
class BlockedBloomSettings(FilterSettings):
    """The blocked Bloom filter (Putze, Sanders, Singler, WEA 2007): one cache miss a key, for a tenth more false positives."""

    kind: ClassVar[str] = "blocked_bloom"


@dataclass(frozen=True)
class CountingBloomSettings(FilterSettings):
    """The counting Bloom filter (Fan, Cao, Almeida, Broder, 2000): 4 bits a cell, so the rate of a Bloom filter of a quarter of the
    bits."""

    kind: ClassVar[str] = "counting_bloom"


@dataclass(frozen=True)
class CuckooSettings(FilterSettings):
    """The cuckoo filter (Fan, Andersen, Kaminsky, Mitzenmacher, CoNEXT 2014): fingerprints of 4 to 16 bits, two cache misses a key."""

    kind: ClassVar[str] = "cuckoo"


@dataclass(frozen=True)
class RibbonSettings(FilterSettings):
    """The standard Ribbon filter (Dillinger and Walzer, 2021): a rate of 1 % for 7 bits a key, where Bloom takes 9.6; slower to build and
    to probe."""

    kind: ClassVar[str] = "ribbon"


@dataclass(frozen=True)
class HomogeneousRibbonSettings(FilterSettings):
    """The homogeneous Ribbon filter (same paper): a build never begins again, for about the same memory."""

    kind: ClassVar[str] = "homogeneous_ribbon"


@dataclass(frozen=True)
class BinaryFuse8Settings(FilterSettings):
    """The binary fuse filter (Graf and Lemire, JEA 2022) of 8-bit fingerprints: 9 bits a key and 0.4 %, whatever bits_per_key says."""

    kind: ClassVar[str] = "binary_fuse8"


@dataclass(frozen=True)
class BinaryFuse16Settings(FilterSettings):
    """The binary fuse filter of 16-bit fingerprints: 18 bits a key and 0.0015 %, whatever bits_per_key says."""

    kind: ClassVar[str] = "binary_fuse16"


@dataclass(frozen=True)
class Xor8Settings(FilterSettings):
    """The xor filter (Graf and Lemire, JEA 2020) of 8-bit fingerprints: 9.84 bits a key and 0.4 %, whatever bits_per_key says."""

    kind: ClassVar[str] = "xor8"


@dataclass(frozen=True)
class Xor16Settings(FilterSettings):
    """The xor filter of 16-bit fingerprints: 19.7 bits a key and 0.0015 %, whatever bits_per_key says."""

    kind: ClassVar[str] = "xor16"


@dataclass(frozen=True)
class SearchSettings:
    """A block search has no knobs yet."""

    kind: ClassVar[str]

    def build(self) -> SearchOps:
        """Return the ops table that opens and searches this kind."""
        return search_ops(self.kind)


@dataclass(frozen=True)
class FenceSettings(SearchSettings):
    """8-byte prefixes (after what all keys share) in one array, searched without branches; ties resolved on the full keys."""

    kind: ClassVar[str] = "fence"


@dataclass(frozen=True)
class BinarySettings(SearchSettings):
    """Plain binary search on the full keys: no memory."""

    kind: ClassVar[str] = "binary"


@dataclass(frozen=True)
class LearnedSettings(SearchSettings):
    """A PGM-index (Ferragina and Vinciguerra, VLDB 2020): a few lines for all blocks, then a few full keys; least memory."""

    kind: ClassVar[str] = "learned"


_OURS: tuple[type[FilterSettings], ...] = (
    BloomSettings, BlockedBloomSettings, CountingBloomSettings, CuckooSettings, RibbonSettings, HomogeneousRibbonSettings,
    BinaryFuse8Settings, BinaryFuse16Settings, Xor8Settings, Xor16Settings,
)  # fmt: skip
FILTERS: dict[str, type[NoFilter] | type[FilterSettings]] = {NoFilter.kind: NoFilter, **{c.kind: c for c in _OURS}}
BUILT_IN = frozenset(FILTERS)
"""The kinds of filter that are ours; others may run code of the interpreter."""
SEARCHES: dict[str, type[SearchSettings]] = {c.kind: c for c in (FenceSettings, BinarySettings, LearnedSettings)}
_filter_ops: dict[str, FilterOps] = {c.kind: native_filter(c.kind) for c in _OURS}
_search_ops: dict[str, SearchOps] = {kind: SearchOps(native_search_address(kind)) for kind in ("fence", "binary", "learned")}


def filter_ops(kind: str) -> FilterOps:
    """Return the ops table of a registered filter. ValueError names the kinds there are ("none" has no table)."""
    if kind not in _filter_ops:
        raise ValueError(f"filter kind is {kind!r}; allowed: {', '.join(_filter_ops)}")
    return _filter_ops[kind]


def filter_kinds() -> tuple[str, ...]:
    """Return the kinds that have an ops table: all but "none"."""
    return tuple(_filter_ops)


def search_ops(kind: str) -> SearchOps:
    """Return the ops table of a registered block search. ValueError names the kinds there are."""
    if kind not in _search_ops:
        raise ValueError(f"search kind is {kind!r}; allowed: {', '.join(_search_ops)}")
    return _search_ops[kind]


def filter_ops_address(kind: str) -> int:
    """Return the address of the idx_filter_ops of a kind, 0 for "none": what the engine's extension takes."""
    return 0 if kind == NoFilter.kind else filter_ops(kind).address


def search_ops_address(kind: str) -> int:
    """Return the address of the idx_search_ops of a kind: what the engine's extension takes."""
    return search_ops(kind).address


def register_filter(kind: str, ops: int | PythonFilter) -> type[FilterSettings]:
    """Add a filter: the address of an idx_filter_ops that stays valid, or a Python object behind its adapter. Returns its settings class.

    ValueError when the kind is taken, the table has another ABI, or its name is not the kind (the name goes into the files).
    """
    if kind in FILTERS:
        raise ValueError(f"filter kind {kind!r} is taken; registered: {', '.join(FILTERS)}")
    table = FilterOps(ops) if isinstance(ops, int) else ops
    if table.name != kind:
        raise ValueError(f"the ops table is named {table.name!r}; allowed: the kind {kind!r}")
    settings = type(
        f"{kind.title().replace('_', '')}Settings", (FilterSettings,), {"kind": kind, "__doc__": f"The registered filter {kind}."}
    )
    FILTERS[kind], _filter_ops[kind] = settings, table
    return settings


def register_search(kind: str, ops: int) -> type[SearchSettings]:
    """Add a block search: the address of an idx_search_ops that stays valid. ValueError as in `register_filter`."""
    if kind in SEARCHES:
        raise ValueError(f"search kind {kind!r} is taken; registered: {', '.join(SEARCHES)}")
    table = SearchOps(ops)
    if table.name != kind:
        raise ValueError(f"the ops table is named {table.name!r}; allowed: the kind {kind!r}")
    settings = type(
        f"{kind.title().replace('_', '')}Settings", (SearchSettings,), {"kind": kind, "__doc__": f"The registered search {kind}."}
    )
    SEARCHES[kind], _search_ops[kind] = settings, table
    return settings
