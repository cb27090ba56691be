"""Batches of changes on their way into the indexes: row ids, and for each index the payloads of the rows, gathered column by column."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint64]
Payloads = Sequence[Any] | npt.NDArray[Any]  # a list, or an array with a payload a row of it


class Gathered(NamedTuple):
    """Payloads of a batch for one index. ``places[i]``: which row of the batch has payloads[i], ascending; None: each row has one."""

    places: Sequence[int] | None
    payloads: Payloads

    def items(self) -> Iterator[tuple[int, Any]]:
        """Yield (place, payload)."""
        return iter(zip(range(len(self.payloads)) if self.places is None else self.places, self.payloads, strict=True))

    def placed(self, places: Sequence[int]) -> Gathered:
        """Return it for a batch in which row i is at places[i]."""
        return Gathered(places if self.places is None else [places[i] for i in self.places], self.payloads)


@dataclass
class Changes:
    """What a batch does to the rows ``ids``. Of a row that comes twice the last counts; one without payloads leaves an index, if it was in
    it. ``stored``: the rows themselves, when their payloads are gathered later, those of many batches at once.
    """

    ids: array[int]
    gathered: Mapping[int, Gathered] = field(default_factory=dict)  # by index id
    stored: Sequence[bytes] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def last(self) -> dict[int, int]:
        """Return the place at which each row comes last."""
        return {row: place for place, row in enumerate(self.ids)}


Gather = Callable[[Sequence[int], Sequence[bytes]], Mapping[int, Gathered]]  # (row ids, stored rows) -> by index id


def settled(batches: Iterable[Changes], gather: Gather) -> list[Changes]:
    """Return batches with the payloads gathered that were left for later; neighbours of which nothing was gathered become one."""
    made: list[Changes] = []
    for later, neighbours in groupby(batches, lambda b: not b.gathered):
        group = list(neighbours)
        made += [_gathered_now(group, gather)] if later else group
    return made


def _gathered_now(batches: Sequence[Changes], gather: Gather) -> Changes:
    ids, places, stored = array("Q"), list[int](), list[bytes]()
    for b in batches:
        if b.stored is not None:
            places += range(len(ids), len(ids) + len(b))
            stored += b.stored
        ids += b.ids
    if not stored:
        return Changes(ids)
    if len(stored) == len(ids):
        return Changes(ids, gather(ids, stored))
    return Changes(ids, {i: g.placed(places) for i, g in gather([ids[p] for p in places], stored).items()})


def joined(batches: Sequence[Changes], indexes: Collection[int]) -> tuple[Ids, dict[int, tuple[Ids, Payloads]]]:
    """Return the rows of batches, ascending, and for each index (row ids, payloads) of what they are in the end, in any order."""
    ids = np.frombuffer(b"".join(b.ids for b in batches), np.uint64)
    rows, current = ids, None
    if len(ids) > 1 and not bool((ids[1:] > ids[:-1]).all()):
        rows, back = np.unique(ids[::-1], return_index=True)
        if len(rows) < len(ids):
            current = np.zeros(len(ids), np.bool_)
            current[len(ids) - 1 - back] = True
    starts = np.cumsum([0, *map(len, batches)])
    return rows, {i: _of_index(batches, starts, i, ids, current) for i in indexes}


def _of_index(batches: Sequence[Changes], starts: Any, index: int, ids: Ids, current: Any) -> tuple[Ids, Payloads]:
    parts = [(g, start, len(b)) for b, start in zip(batches, starts, strict=False) if (g := b.gathered.get(index)) is not None]
    if not parts:
        return ids[:0], []
    if len(parts) == len(batches) and all(g.places is None for g, _, _ in parts):
        places, of = None, ids
    else:
        places = np.concatenate([start + (np.arange(n) if g.places is None else np.array(g.places, np.intp)) for g, start, n in parts])
        of = ids[places]
    payloads = _chained([g.payloads for g, _, _ in parts])
    if current is None:
        return of, payloads
    keep = current if places is None else current[places]
    return of[keep], payloads[keep] if isinstance(payloads, np.ndarray) else list(compress(payloads, keep.tolist()))


def _chained(parts: list[Payloads]) -> Payloads:
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(p, np.ndarray) for p in parts):
        return np.concatenate(parts)
    return list(chain.from_iterable(parts))
