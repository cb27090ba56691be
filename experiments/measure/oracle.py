"""The check that a run's answers were right: sampled keys hold what the stream wrote last. A run that fails it leaves no record."""

from __future__ import annotations

import numpy as np

from ..workloads import DELETE, RANGE_DELETE, WRITING, Stream, Values
from .contestants import Contestant

SAMPLED = 1_000


class WrongAnswer(ValueError):
    """The store gave another value than was written last."""


def check(store: Contestant, stream: Stream, values: Values, written: list[bytes], seed: int) -> int:
    """Compare the answers for sampled records with what was written last; gives how many were compared. Raises WrongAnswer.

    After a range delete, only records that were written or deleted by themselves behind the last one are looked at.
    """
    last: dict[int, int] = {}  # row that wrote or deleted each record last
    ranges = np.flatnonzero(stream.codes == RANGE_DELETE)
    begin = int(ranges[-1]) + 1 if len(ranges) else 0
    touching = begin + np.flatnonzero(np.isin(stream.codes[begin:], (*WRITING, DELETE)))
    for row, record in zip(touching.tolist(), stream.ids[touching].tolist(), strict=True):
        last[record] = row
    rng = np.random.default_rng([seed, 4])
    known = np.array(sorted(last), np.int64)
    if not len(ranges) and stream.loaded:
        known = np.union1d(known, rng.integers(0, stream.loaded, SAMPLED))
    if not len(known):
        return 0
    some = rng.choice(known, min(SAMPLED, len(known)), replace=False)
    sizes = None if stream.load_sizes is None or not stream.loaded else stream.load_sizes[np.minimum(some, stream.loaded - 1)]
    for record, key, loaded in zip(some.tolist(), stream.keys_of(some), values.sized(some, sizes), strict=True):
        at = last.get(record)
        want = loaded if at is None else None if stream.codes[at] == DELETE else written[at]
        got = store.get(key)
        if got != want:
            raise WrongAnswer(f"{store.name} gave {got!r:.60} for {key!r:.60}; written last was {want!r:.60}")
    return len(some)
