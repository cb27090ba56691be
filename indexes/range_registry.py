"""The range filters by kind: plain settings, and the text of parameters that an ops table takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from .native_ranges import PythonRangeFilter, RangeOps, native_range

SUFFIXES = ("none", "hash", "real", "mixed")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; allowed: an integer from {low} to {high}")


@dataclass(frozen=True)
class NoRangeFilter:
    """No range filter: every scan looks into the table."""

    kind: ClassVar[str] = "none"
    params: ClassVar[str] = ""

    def build(self) -> None:
        """Return None: there is nothing to ask."""


@dataclass(frozen=True)
class RangeFilterSettings:
    """A registered range filter, its parameters as the text that it takes."""

    kind: ClassVar[str]
    params: str = ""

    def build(self) -> RangeOps:
        """Return the ops table that builds and asks this kind."""
        return range_ops(self.kind)


@dataclass(frozen=True)
class SurfSettings:
    """SuRF: what a leaf keeps besides its path, and how much of the trie is bitmaps. See `indexes.ranges.SuRF`."""

    kind: ClassVar[str] = "surf"
    suffix: str = "real"
    suffix_bits: int = 8
    dense_ratio: int = 16

    def __post_init__(self) -> None:
        if self.suffix not in SUFFIXES:
            raise ValueError(f"suffix is {self.suffix!r}; allowed: {', '.join(SUFFIXES)}")
        _whole("suffix_bits", self.suffix_bits, 0, 32)
        _whole("dense_ratio", self.dense_ratio, 0, (1 << 32) - 1)

    @property
    def params(self) -> str:
        """The settings as the ops table takes them."""
        bits = 0 if self.suffix == "none" else self.suffix_bits
        hash_bits = {"none": 0, "hash": bits, "real": 0, "mixed": bits // 2}[self.suffix]
        return f"suffix={hash_bits},{bits - hash_bits} dense_ratio={self.dense_ratio}"

    def build(self) -> RangeOps:
        """Return the ops table that builds and asks this kind."""
        return range_ops(self.kind)


@dataclass(frozen=True)
class PrefixBloomSettings:
    """Prefix Bloom: which prefixes enter, and bits for each of them. See `indexes.ranges.PrefixBloom`."""

    kind: ClassVar[str] = "prefix_bloom"
    lengths: tuple[int, ...] = (4,)
    delimiter: bytes | None = None
    occurrence: int = 1
    bits_per_prefix: float = 10.0

    def __post_init__(self) -> None:
        for length in self.lengths:
            _whole("length", length, 1, 256)
        if list(self.lengths) != sorted(set(self.lengths)) or len(self.lengths) > 8:
            raise ValueError(f"lengths is {self.lengths!r}; allowed: at most 8, ascending")
        if self.delimiter is not None and (not isinstance(self.delimiter, bytes) or len(self.delimiter) != 1):
            raise ValueError(f"delimiter is {self.delimiter!r}; allowed: None or one byte")
        if not self.lengths and self.delimiter is None:
            raise ValueError("lengths is () and delimiter None; allowed: at least one of them")
        _whole("occurrence", self.occurrence, 1, 255)
        bits = self.bits_per_prefix
        if isinstance(bits, bool) or not isinstance(bits, int | float) or not (math.isfinite(bits) and 1 <= bits <= 64):
            raise ValueError(f"bits_per_prefix is {bits!r}; allowed: a number from 1 to 64")

    @property
    def params(self) -> str:
        """The settings as the ops table takes them."""
        parts = [f"lengths={','.join(map(str, self.lengths))}", f"bits={round(1000 * self.bits_per_prefix)}"]
        if self.delimiter is not None:
            parts += [f"delimiter={self.delimiter[0]}", f"occurrence={self.occurrence}"]
        return " ".join(parts)

    def build(self) -> RangeOps:
        """Return the ops table that builds and asks this kind."""
        return range_ops(self.kind)


@dataclass(frozen=True)
class SnarfSettings:
    """SNARF: how finely the keys are spread, and how closely their distribution is learned. See `indexes.ranges.SNARF`."""

    kind: ClassVar[str] = "snarf"
    slots: int = 256
    every: int = 128

    def __post_init__(self) -> None:
        _whole("slots", self.slots, 1, 1 << 20)
        _whole("every", self.every, 1, 1 << 16)

    @property
    def params(self) -> str:
        """The settings as the ops table takes them."""
        return f"slots={self.slots} every={self.every}"

    def build(self) -> RangeOps:
        """Return the ops table that builds and asks this kind."""
        return range_ops(self.kind)


AnySettings = type[NoRangeFilter] | type[RangeFilterSettings] | type[SurfSettings] | type[PrefixBloomSettings] | type[SnarfSettings]
RANGE_FILTERS: dict[str, AnySettings] = {c.kind: c for c in (NoRangeFilter, PrefixBloomSettings, SnarfSettings, SurfSettings)}
_ops: dict[str, RangeOps] = {kind: native_range(kind) for kind in ("prefix_bloom", "snarf", "surf")}


def range_ops(kind: str) -> RangeOps:
    """Return the ops table of a registered range filter. ValueError names the kinds there are ("none" has no table)."""
    if kind not in _ops:
        raise ValueError(f"range filter kind is {kind!r}; allowed: {', '.join(_ops)}")
    return _ops[kind]


def accepts_params(kind: str, params: str) -> bool:
    """Tell whether a registered kind takes this text of parameters; "none" takes none."""
    return not params if kind == NoRangeFilter.kind else range_ops(kind).accepts(params)


def range_ops_address(kind: str) -> int:
    """Return the address of the idx_range_ops of a kind, 0 for "none": what the engine's extension takes."""
    return 0 if kind == NoRangeFilter.kind else range_ops(kind).address


def register_range_filter(kind: str, ops: int | PythonRangeFilter) -> type[RangeFilterSettings]:
    """Add a range filter: the address of an idx_range_ops that stays valid, or a Python object behind its adapter.

    Returns its settings class. ValueError when the kind is taken, the table has another ABI, or its name is not the kind (the name goes
    into the files).
    """
    if kind in RANGE_FILTERS:
        raise ValueError(f"range filter kind {kind!r} is taken; registered: {', '.join(RANGE_FILTERS)}")
    table = RangeOps(ops) if isinstance(ops, int) else ops
    if table.name != kind:
        raise ValueError(f"the ops table is named {table.name!r}; allowed: the kind {kind!r}")
    made = {"kind": kind, "__doc__": f"The registered range filter {kind}."}
    settings = type(f"{kind.title().replace('_', '')}Settings", (RangeFilterSettings,), made)
    RANGE_FILTERS[kind], _ops[kind] = settings, table
    return settings
