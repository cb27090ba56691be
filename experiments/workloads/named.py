"""Every workload by its name, and the kinds that a suite may set up by itself.

A workload is a frozen dataclass of plain settings with `draw(records, operations, seed) -> Stream`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Protocol

from ..names import listed
from .dbbench import NAMES, DbBench
from .kvbench import KVBench
from .mix import MIXES, Mix
from .mixgraph import Mixgraph
from .phases import Phases
from .stream import Stream
from .timeseries import TimeSeries
from .traced import Traced
from .twitter import Twitter, clusters


class Workload(Protocol):
    """What draws a stream."""

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """The same arguments give the same stream."""


KINDS: dict[str, type[Any]] = {
    "mix": Mix, "db_bench": DbBench, "mixgraph": Mixgraph, "kvbench": KVBench, "twitter": Twitter, "timeseries": TimeSeries,
    "phases": Phases, "operations": Traced,
}  # fmt: skip

WORKLOADS: dict[str, Workload] = {
    **MIXES,
    **{name: DbBench(name) for name in NAMES},
    "mixgraph": Mixgraph(),
    "timeseries": TimeSeries(),
    "kvbench-mixed": KVBench(
        insert=0.2, update=0.2, point_delete=0.05, range_delete=0.001, point_query=0.45, range_query=0.1, zero_result_lookups=0.5
    ),
    "day-and-night": Phases(),
    **{f"twitter-{number}": Twitter(number) for number, cluster in clusters().items() if cluster.alpha is not None},
}


def kind_of(workload: Workload) -> str:
    """The name of its kind."""
    return next(name for name, cls in KINDS.items() if type(workload) is cls)


def settings(workload: Workload) -> dict[str, Any]:
    """Its kind and all its settings, as plain values."""
    assert is_dataclass(workload) and not isinstance(workload, type)
    return {"kind": kind_of(workload), **asdict(workload)}


def from_settings(given: Mapping[str, Any]) -> Workload:
    """The workload of such settings; those not named keep their defaults. ValueError names what is wrong and what is allowed."""
    kind = given.get("kind", "mix")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown; there are {listed(kind, KINDS)}")
    cls, values = KINDS[kind], {k: v for k, v in given.items() if k != "kind"}
    allowed = [f.name for f in fields(cls)]
    for key in values:
        if key not in allowed:
            raise ValueError(f"{key!r} is unknown in a workload of kind {kind}; allowed: {', '.join(sorted(allowed))}")
    try:
        made: Workload = cls(**values)
    except TypeError as e:
        raise ValueError(f"a workload of kind {kind}: {e}") from None
    return made
