"""What the twins of the filters have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import xxhash


class FilterTwin(ABC):
    """Satisfies `indexes.FilterObject`: put it behind `PythonFilter` and the engine can run on it."""

    name: str
    version = 1

    @staticmethod
    def hash(key: bytes) -> int:
        """Return the hash that build and may_contain take."""
        return xxhash.xxh3_64_intdigest(key)

    @abstractmethod
    def bound(self, n: int, bits_per_key: float) -> int:
        """Return the most bytes that n keys take; 0 when bits_per_key is out of range."""

    @abstractmethod
    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        """Return the filter of these hashes. ValueError when bits_per_key is out of range."""

    @abstractmethod
    def check(self, data: memoryview) -> bool:
        """Tell whether the bytes are well formed."""

    @abstractmethod
    def may_contain(self, data: memoryview, digest: int) -> bool:
        """Return False only when no key of this hash is in the filter."""

    @abstractmethod
    def expected_fpr(self, bits_per_key: float) -> float:
        """Return the theory's rate."""

    def _in_range(self, bits_per_key: float) -> None:
        if not 1 <= bits_per_key <= 64:
            raise ValueError(f"bits_per_key is {bits_per_key}; allowed: 1 to 64")


class ChangingTwin(FilterTwin):
    """A filter that takes keys later."""

    @abstractmethod
    def empty(self, capacity: int, bits_per_key: float) -> bytearray:
        """Return a filter without keys, of the size of one with `capacity` keys."""

    @abstractmethod
    def insert(self, data: bytearray, hashes: Sequence[int]) -> int:
        """Add hashes in place; return how many went in before one found no room."""
