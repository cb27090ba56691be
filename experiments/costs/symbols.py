"""What the letters of the models mean, their units, and the values that make sense: one table for checks, help and documentation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LAYOUTS = ("leveling", "1-leveling", "lazy-leveling", "tiering")


@dataclass(frozen=True)
class Symbol:
    """A parameter of the models. `low` itself is not allowed when `above`."""

    letter: str
    meaning: str
    unit: str
    low: float = 0.0
    high: float = math.inf
    above: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        """The range in words."""
        if self.choices:
            return ", ".join(self.choices)
        low = f"{'above' if self.above else 'from'} {self.low:g}" if self.low > -math.inf else ""
        high = f"to {self.high:g}" if self.high < math.inf else ""
        return f"{'a whole number' if self.whole else 'a number'} {' '.join(filter(None, (low, high)))}".rstrip()

    def fits(self, value: Any) -> bool:
        """Tell whether a single value is allowed."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not hasattr(value, "__float__") or not math.isfinite(value):
            return False
        return self.low <= value <= self.high and not (self.above and value == self.low) and not (self.whole and value != int(value))


SYMBOLS = {
    "accesses": Symbol("", "blocks in the order of their accesses", "block numbers", 0, 2**62, whole=True),
    "base_shards": Symbol("b", "shards of the smallest tables", "shards", 1, whole=True),
    "bits": Symbol("M/N", "filter memory over all entries", "bits an entry"),
    "blocks": Symbol("", "capacity of the cache", "blocks", 1, 2**40, whole=True),
    "buffer_entries": Symbol("P·B", "entries that the write buffer holds", "entries", 1),
    "density": Symbol("d", "size of a run by the share of the keys that it spans", "bytes", above=True),
    "entries": Symbol("N", "entries in the tree", "entries", 1),
    "existing_cost": Symbol("V", "cost of a lookup of a key that exists", "I/O"),
    "existing_share": Symbol("v", "share of lookups of keys that exist", "share", 0, 1),
    "flush_bytes": Symbol("m", "size of a flush", "bytes", above=True),
    "growth": Symbol("X", "how fast size ratios grow towards small levels (LSM-bush)", "exponent", 1, above=True),
    "kind": Symbol("", "kind of filter", "name"),
    "last_fill": Symbol("", "share of the last level's capacity that is filled", "share", 0, 1),
    "last_rate": Symbol("p_L", "false-positive rate of the last level", "share", 0, 1),
    "last_ratio": Symbol("C", "capacity of the last level by that of all others", "ratio", above=True),
    "last_runs": Symbol("Z", "most runs in the last level", "runs", 1),
    "layout": Symbol("", "merge policy", "name", choices=LAYOUTS),
    "length": Symbol("ℓ", "keys in the range of the query", "keys", 1),
    "levels": Symbol("L", "levels on disk", "levels", 1, 64, whole=True),
    "max_runs": Symbol("K", "most runs in each level but the last", "runs", 1),
    "page_entries": Symbol("B", "entries a page (block)", "entries", 1),
    "range_cost": Symbol("Q", "cost of a range lookup", "I/O"),
    "range_share": Symbol("q", "share of range lookups", "share", 0, 1),
    "rates": Symbol("p_i", "false-positive rates of the levels, smallest level first", "share", 0, 1),
    "read_seconds": Symbol("Ω", "time of one read of a page", "seconds", above=True),
    "run_entries": Symbol("n_i", "entries of each run", "entries", above=True),
    "runs": Symbol("K_i", "most runs of each level, smallest level first", "runs", 1),
    "scanned": Symbol("s", "entries of the newest versions that a range lookup covers", "entries"),
    "selectivity": Symbol("s", "share of all entries that a range lookup covers", "share", 0, 1),
    "sequential_speed": Symbol("μ", "speed of sequential by that of random access", "ratio", above=True),
    "shard_growth": Symbol("λ", "how much of the growth goes into larger tables", "share", 0, 1),
    "size_ratio": Symbol("T", "capacity of a level by that of the one above it", "ratio", 2),
    "target_bytes": Symbol("t", "wanted size of a table", "bytes", above=True),
    "total_rate": Symbol("p", "sum of the false-positive rates of all runs", "share", 0, 1, above=True),
    "update_cost": Symbol("W", "amortised cost of an update", "I/O"),
    "update_share": Symbol("w", "share of updates", "share", 0, 1),
    "w": Symbol("w", "scaling parameter: below 0 leveled, above 0 tiered", "", -math.inf, math.inf, whole=True),
    "write_cost": Symbol("φ", "cost of a write by that of a read", "ratio"),
    "zero_result": Symbol("R", "cost of a lookup of a key that does not exist", "I/O"),
    "zero_share": Symbol("r", "share of lookups of keys that do not exist", "share", 0, 1),
}  # fmt: skip


def check(name: str, value: Any) -> None:
    """Raise ValueError with the value and what is allowed when a parameter of this name cannot have it. Lists: each value, at least one."""
    symbol = SYMBOLS[name]
    many = isinstance(value, Iterable) and not isinstance(value, str)
    values = list(value) if many else [value]
    if not values:
        raise ValueError(f"{name} is empty; allowed: one or more of: {symbol.allowed()}")
    if name == "kind":
        return  # the registry of filters knows
    for one in values:
        if not symbol.fits(one):
            raise ValueError(f"{name} is {one!r}; allowed: {symbol.allowed()}")


def at_most(name: str, value: float, most: float, what: str) -> None:
    """Raise ValueError when a parameter is larger than another allows."""
    if value > most + 1e-9:
        raise ValueError(f"{name} is {value:g}; allowed: {SYMBOLS[name].low:g} to {what} = {most:g}")
