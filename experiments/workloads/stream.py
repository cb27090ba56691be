"""An operation stream: what is asked of a store, drawn once as arrays so that every store replays exactly the same.

A record has a number: its id, 0, 1, ... in the order of insertion. Its key is made of a key number, which is even, so that every odd number
is a key inside the range that does not exist. "dense" numbering keeps neighbours adjacent (2 * id); "hashed" spreads records by a
bijection of 52 bits, as YCSB's hashed insert order does; a stream may bring its own key numbers, which are then spread likewise, or its
very keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Numbering = Literal["dense", "hashed"]

READ, UPDATE, INSERT, SCAN, RMW, DELETE, MISSING, RANGE_DELETE, MERGE, EMPTY_SCAN, EMPTY_DELETE = range(11)
OPERATIONS = (
    "read", "update", "insert", "scan", "read-modify-write", "delete", "read of nothing", "range delete", "merge", "scan of nothing",
    "delete of nothing",
)  # fmt: skip
WRITING = (UPDATE, INSERT, RMW, MERGE)  # what writes a value
ABSENT = (MISSING, EMPTY_SCAN, EMPTY_DELETE)  # what asks beside the records
KEY_BYTES = 16
_DOMAIN = 52  # bits of a hashed number
_MASK = np.uint64((1 << _DOMAIN) - 1)


@dataclass(frozen=True)
class Stream:
    """One operation a row: code, record, length. `loaded` records 0..loaded-1 exist before it starts.

    `lengths`: entries a scan asks for, records a range delete covers (on average, with hashed numbers). `sizes`: bytes of the value that
    the operation writes, None: as the run says. `arrivals_ns`: when each operation is asked for in an open loop, from the start. `marks`:
    where a phase begins, and its name.
    """

    codes: NDArray[np.uint8]
    ids: Ids
    lengths: NDArray[np.uint32]
    loaded: int
    numbering: Numbering = "hashed"
    key_bytes: int = KEY_BYTES
    numbers: Ids | None = None  # key number of each record, in place of the numbering
    names: Sequence[bytes] | None = None  # key of each record, in place of all that
    sizes: NDArray[np.uint32] | None = None
    load_sizes: NDArray[np.uint32] | None = None  # of the values of the loaded records
    arrivals_ns: Ids | None = None
    ends: Mapping[int, bytes] | None = None  # where the operation in that row ends, for streams with names
    marks: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.codes)

    def digest(self) -> str:
        """SHA-256 of the whole stream: two runs with the same digest asked the same."""
        h = hashlib.sha256(f"{self.loaded} {self.numbering} {self.key_bytes}".encode())
        for column in (self.codes, self.ids, self.lengths, self.numbers, self.sizes, self.load_sizes, self.arrivals_ns):
            h.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
        for name in self.names or ():
            h.update(len(name).to_bytes(4, "little") + name)
        for row, end in (self.ends or {}).items():
            h.update(row.to_bytes(8, "little") + len(end).to_bytes(4, "little") + end)
        return h.hexdigest()

    def writes(self) -> int:
        """How many operations write a value or a tombstone for one record."""
        return int(np.isin(self.codes, (*WRITING, DELETE, EMPTY_DELETE)).sum())

    def keys(self) -> list[bytes]:
        """The key of every operation. O(n)."""
        return self.keys_of(self.ids, np.isin(self.codes, ABSENT))

    def keys_of(self, ids: Ids, beside: NDArray[np.bool_] | bool = False) -> list[bytes]:
        """Keys of records, or keys next to them that do not exist where `beside` says so."""
        if self.names is not None:
            aside = np.broadcast_to(np.asarray(beside), len(ids)).tolist()
            return [self.names[i] + b"\0" if b else self.names[i] for i, b in zip(ids.tolist(), aside, strict=True)]
        numbers = self.numbers_of(ids)
        return format_keys(numbers + np.asarray(beside, np.int64), self.key_bytes)

    def numbers_of(self, ids: Ids) -> Ids:
        """Key numbers of records that have no names."""
        return key_numbers(ids, self.numbering) if self.numbers is None else self.numbers[ids]

    def stops(self) -> list[bytes | None]:
        """The key before which a scan or a range delete ends; None where there is none. O(n)."""
        out: list[bytes | None] = [None] * len(self)
        for row, end in (self.ends or {}).items():
            out[row] = end
        rows = np.flatnonzero(np.isin(self.codes, (RANGE_DELETE, EMPTY_SCAN)))
        if not len(rows) or self.names is not None:
            return out
        records = max(self.loaded, int(self.ids.max()) + 1)
        spacing = 2 if self.numbering == "dense" else (2 << _DOMAIN) // records
        empty = self.codes[rows] == EMPTY_SCAN  # from the odd number to the next even one
        width = np.where(empty, 2, self.lengths[rows].astype(np.int64) * spacing)
        ends = format_keys(np.minimum(self.numbers_of(self.ids[rows]) + width, 10**KEY_BYTES - 1), self.key_bytes)
        for row, end in zip(rows.tolist(), ends, strict=True):
            out[row] = end
        return out


def key_numbers(ids: Ids, numbering: Numbering) -> Ids:
    """The even number of each record. The hashed form is a bijection of 52 bits (xor-shift, odd multiply, twice)."""
    if numbering == "dense":
        return ids * 2
    x = ids.astype(np.uint64) & _MASK
    for odd in (0x9E3779B97F4A7, 0xC2B2AE3D27D4F):
        x ^= x >> np.uint64(26)
        x = (x * np.uint64(odd)) & _MASK
    x ^= x >> np.uint64(26)
    return (x * np.uint64(2)).astype(np.int64)


_FOUR = np.frombuffer(b"".join(b"%04d" % i for i in range(10_000)), "S4").view("<u4")  # all groups of four digits


def format_keys(numbers: Ids, key_bytes: int = KEY_BYTES) -> list[bytes]:
    """Each number as a key: 16 decimal digits and zeros behind them, or from 8 to 15 bytes its 8 bytes, big end first, and zeros. O(n)."""
    if key_bytes < 8:
        raise ValueError(f"key_bytes = {key_bytes}; it must be 8 or more, so that every record has a key of its own")
    cells = np.full((len(numbers), key_bytes), ord("0"), np.uint8)
    if key_bytes < KEY_BYTES:
        cells[:, :8] = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
    else:
        fours, rest = np.empty((len(numbers), 4), "<u4"), numbers
        for column in (3, 2, 1, 0):
            rest, group = np.divmod(rest, 10_000)
            fours[:, column] = _FOUR[group]
        cells[:, :KEY_BYTES] = fours.view(np.uint8).reshape(-1, KEY_BYTES)
    keys: list[bytes] = cells.view(f"V{key_bytes}").ravel().tolist()
    return keys


def keys_of(ids: Ids, numbering: Numbering = "hashed", *, missing: bool = False) -> list[bytes]:
    """Keys of the records, or keys beside them that do not exist."""
    return format_keys(key_numbers(ids, numbering) + int(missing))


class Values:
    """Values that compress to about half: random bytes, then as many of one letter. Drawn from a pool, so a million cost no memory.

    `of(ids, generation)` always gives the same value for the same record and generation, which is what samples are checked against.
    """

    POOL = 4093

    def __init__(self, size: int, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, size])
        body = rng.integers(0, 256, (self.POOL, size - size // 2), dtype=np.uint8)
        self.size, self.seed = size, seed
        self.pool = [row.tobytes() + bytes([97 + i % 26]) * (size // 2) for i, row in enumerate(body)]

    def of(self, ids: Ids, generation: int = 0) -> list[bytes]:
        """The values of the records in that generation."""
        pool = self.pool
        return [pool[j] for j in ((ids * 31 + generation * 977) % self.POOL).tolist()]

    def sized(self, ids: Ids, sizes: NDArray[np.uint32] | None, generation: int = 0) -> list[bytes]:
        """The same, each of its own size: cut out of one value of all letters where it begins for that record."""
        if sizes is None:
            return self.of(ids, generation)
        longest = int(sizes.max(initial=0))
        rng = np.random.default_rng([self.seed, 1])
        body = rng.integers(0, 256, self.POOL + longest, dtype=np.uint8)
        body[::2] = ord("a")  # every other byte carries nothing
        text = body.tobytes()
        begins = ((ids * 31 + generation * 977) % self.POOL).tolist()
        return [text[begin : begin + n] for begin, n in zip(begins, sizes.tolist(), strict=True)]
