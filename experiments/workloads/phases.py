"""Phases: workloads that follow each other over the same records, as days follow nights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..names import listed
from .mix import MIXES, Mix
from .stream import INSERT, Stream


@dataclass(frozen=True)
class Phases:
    """Names of mixes and their shares of the operations, in order; `rounds`: how often the whole is gone through.

    Records that a phase inserted are there for the next one. Each phase draws its popular records anew.
    """

    parts: tuple[tuple[str, float], ...] = (("ycsb-b", 0.4), ("write-burst", 0.2), ("ycsb-c", 0.3), ("ycsb-e", 0.1))
    rounds: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple((str(name), float(share)) for name, share in self.parts))
        for name, share in self.parts:
            if name not in MIXES:
                raise ValueError(f"phase {name!r} is no mix; there are {listed(name, MIXES)}")
            if share <= 0:
                raise ValueError(f"phase {name!r} has a share of {share:g}; it must be above 0")
        if self.rounds < 1 or not self.parts:
            raise ValueError(f"rounds = {self.rounds} of {len(self.parts)} phases; allowed: 1 and more of each")

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """The streams of the phases one behind the other; `marks` tells where each begins."""
        wanted: list[tuple[str, Mix, float]] = [(name, MIXES[name], share) for name, share in self.parts] * self.rounds
        edges = np.rint(np.cumsum([0.0, *(share for _, _, share in wanted)]) / sum(s for _, _, s in wanted) * operations).astype(int)
        streams, marks, held = [], [], records
        for place, (name, mix, _) in enumerate(wanted):
            part = mix.draw(held, int(edges[place + 1] - edges[place]), seed * 1_000_003 + place)
            marks.append((int(edges[place]), name))
            held += int((part.codes == INSERT).sum())
            streams.append(part)
        first = streams[0]
        return replace(
            first,
            codes=np.concatenate([s.codes for s in streams]),
            ids=np.concatenate([s.ids for s in streams]),
            lengths=np.concatenate([s.lengths for s in streams]),
            loaded=records,
            marks=tuple(marks),
        )
