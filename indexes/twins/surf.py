"""SuRF, readable: what it answers, and its bytes.

Zhang et al., "SuRF: Practical Range Query Filtering with Fast Succinct Tries", SIGMOD 2018. The filter knows of each key its first
bytes, up to the one that no neighbour shares, and maybe some bits of what follows: an interval in which the key lies. A range may hold a
key when it meets an interval. (Here all intervals are tried; the trie in the bytes is what makes that fast.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import xxhash

_HEADER = struct.Struct("<BBBBB3x8I")
_KIND, _VERSION = 0x82, 1
_END = 256  # stands for "a key ends here", before all labels
RANK, SELECT = 512, 64


@dataclass(frozen=True)
class Leaf:
    """What is known of a key: how it begins, whether that is all of it, bits of its hash, bits of what follows."""

    path: bytes
    whole: bool
    hashed: int
    real: int


@dataclass
class Level:
    """The labels of a level from left to right, as (label, has a child, begins a node), and its leaves."""

    labels: list[tuple[int, bool, bool]] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)


def shared(a: bytes, b: bytes) -> int:
    """Return how many bytes two keys have in common at their beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def top_bits(data: bytes, bits: int) -> int:
    """Return the first bits of the data, with zeros behind its end."""
    return int.from_bytes(data[:4].ljust(4, b"\0"), "big") >> (32 - bits) if bits else 0


def pack_bits(values: Sequence[int], width: int) -> bytes:
    """Return values of a width in bits, one after the other, lowest bit first."""
    whole = sum(value << width * i for i, value in enumerate(values))
    return whole.to_bytes((len(values) * width + 7) // 8, "little")


def padded(data: bytes) -> bytes:
    """Return the data with zeros up to a multiple of 8."""
    return data.ljust(-(-len(data) // 8) * 8, b"\0")


class SurfTwin:
    """A SuRF of sorted keys; `data` are its bytes."""

    def __init__(self, keys: Sequence[bytes], hash_bits: int = 0, real_bits: int = 8, dense_ratio: int = 16) -> None:
        self.hash_bits, self.real_bits, self.dense_ratio = hash_bits, real_bits, dense_ratio
        distinct = list(dict.fromkeys(keys))
        self.has_empty = b"" in distinct  # beside the trie, whose root no key ends at
        distinct = [key for key in distinct if key]
        near = [0, *(shared(a, b) for a, b in pairwise(distinct)), 0]
        self.leaves = [self._leaf(key, max(near[i], near[i + 1]) + 1) for i, key in enumerate(distinct)]
        self.data = self._bytes()

    def _leaf(self, key: bytes, depth: int) -> Leaf:
        hashed = xxhash.xxh3_64_intdigest(key) & ((1 << self.hash_bits) - 1)
        return Leaf(key[:depth], depth > len(key), hashed, top_bits(key[depth:], self.real_bits))

    def may_contain(self, key: bytes) -> bool:
        """Tell whether some leaf agrees with the key."""
        if not key:
            return self.has_empty
        hashed = xxhash.xxh3_64_intdigest(key) & ((1 << self.hash_bits) - 1)
        for leaf in self.leaves:
            if leaf.whole and leaf.path == key:
                return True
            if not leaf.whole and key.startswith(leaf.path):
                return leaf.hashed == hashed and leaf.real == top_bits(key[len(leaf.path) :], self.real_bits)
        return False

    def may_contain_range(self, lo: bytes, hi: bytes | None) -> bool:
        """Tell whether [lo, hi) meets the interval of some leaf."""
        if hi == lo + b"\0":
            return self.may_contain(lo)
        if hi is not None and lo >= hi:
            return False
        if self.has_empty and not lo:
            return True
        return any(self._reaches(leaf, lo) and (hi is None or self._least(leaf) < hi) for leaf in self.leaves)

    def _least(self, leaf: Leaf) -> bytes:
        """Return the least key that the leaf can stand for."""
        known = (leaf.real << 32 - self.real_bits).to_bytes(4, "big") if self.real_bits else b""
        return leaf.path if leaf.whole else leaf.path + known.rstrip(b"\0")

    def _reaches(self, leaf: Leaf, lo: bytes) -> bool:
        """Tell whether the greatest key that the leaf can stand for is at or behind lo."""
        if leaf.whole or not lo.startswith(leaf.path):
            return leaf.path >= lo
        return leaf.real >= top_bits(lo[len(leaf.path) :], self.real_bits)

    def _levels(self) -> list[Level]:
        levels: list[Level] = []
        before: list[int] = []
        for leaf in self.leaves:
            labels = [*leaf.path, _END] if leaf.whole else [*leaf.path]
            old = next((i for i, (x, y) in enumerate(zip(before, labels, strict=False)) if x != y), 0)
            levels += [Level() for _ in range(len(labels) - len(levels))]
            for i in range(old, len(labels)):
                levels[i].labels.append((labels[i], i + 1 < len(labels), i > old or not levels[i].labels))
            levels[len(labels) - 1].leaves.append(leaf)
            before = labels
        return levels

    def _bytes(self) -> bytes:
        levels, prefix = self._levels(), b""
        while levels and len(levels[0].labels) == 1 and levels[0].labels[0][1]:
            prefix += bytes([levels.pop(0).labels[0][0]])
        dense = self._dense(levels)
        upper, lower = levels[:dense], levels[dense:]
        labels = [label for level in lower for label in level.labels]
        starts = [i for i, (_, _, start) in enumerate(labels) if start]
        children = [i for i, (_, child, _) in enumerate(labels) if child]
        nodes = list(_nodes(upper))
        above = [label for node in nodes for label in node]
        counts = (
            len(prefix),
            len(nodes),
            sum(child for _, child, _ in above),
            sum(not child for _, child, _ in above),
            len(labels),
            len(starts),
            len(children),
            0,
        )
        head = _HEADER.pack(_KIND, _VERSION, self.has_empty, self.hash_bits, self.real_bits, *counts)
        ranks = [sum(i < at for i in children) for at in range(0, len(labels), RANK)]
        sections = [
            padded(prefix) + _dense_nodes(nodes),
            padded(bytes(min(label, 255) for label, _, _ in labels)) + bytes(16) if labels else b"",
            _bitmap(children, len(labels)) + _bitmap(starts, len(labels)),
            padded(struct.pack(f"<{len(ranks)}I", *ranks)),
            padded(struct.pack(f"<{len(starts[::SELECT])}I", *starts[::SELECT])),
            self._suffixes(levels),
        ]
        return head + b"".join(sections)

    def _dense(self, levels: Sequence[Level]) -> int:
        """Return how many levels are bitmaps: the most that cost, over labels, at most 1 / ratio of what the others take."""
        labels = [10 * len(level.labels) for level in levels]
        bitmaps = [576 * sum(start for _, _, start in level.labels) for level in levels]
        worth = (n for n in range(1, len(levels) + 1) if (sum(bitmaps[:n]) - sum(labels[:n])) * self.dense_ratio <= sum(labels[n:]))
        return max(worth, default=0)

    def _suffixes(self, levels: Sequence[Level]) -> bytes:
        width = self.hash_bits + self.real_bits
        values = [leaf.real << self.hash_bits | leaf.hashed for level in levels for leaf in level.leaves]
        return padded(pack_bits(values, width)) + bytes(8) if width else b""


def _nodes(levels: Sequence[Level]) -> Iterator[list[tuple[int, bool, bool]]]:
    """Yield the labels of each node, level by level."""
    for level in levels:
        starts = [i for i, (_, _, start) in enumerate(level.labels) if start]
        for a, b in pairwise([*starts, len(level.labels)]):
            yield level.labels[a:b]


def _bitmap(places: Sequence[int], size: int) -> bytes:
    return sum(1 << i for i in places).to_bytes(-(-size // 64) * 8, "little")


def _dense_nodes(nodes: Sequence[Sequence[tuple[int, bool, bool]]]) -> bytes:
    out, children, leaves = b"", 0, 0
    for node in nodes:
        ends = node[0][0] == _END
        out += _bitmap([label for label, _, _ in node if label != _END], 256)
        out += _bitmap([label for label, child, _ in node if child], 256)
        out += struct.pack("<II", children, leaves << 1 | ends)
        children += sum(child for _, child, _ in node)
        leaves += sum(not child for _, child, _ in node)
    return out
