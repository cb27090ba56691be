"""Accesses to the block cache, recorded for a replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Accesses:
    """Block accesses that were recorded: behaves as a sequence of uint64 keys."""

    def __init__(self) -> None:
        self.keys: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self.keys.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint64]:
        return self.keys if dtype is None else self.keys.astype(dtype)
