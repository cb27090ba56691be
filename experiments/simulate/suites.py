"""The writes of a run of a suite as operations: the load in batches, a flush when it is drained, then the stream, one record each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..measure.trees import BATCH
from ..suite import TRACE
from ..worker import draw
from ..workloads import DELETE, EMPTY_DELETE, INSERT, MERGE, RANGE_DELETE, RMW, UPDATE, Values
from .operations import Delete, DeleteRange, Operation, Operations, Put


def operations_of(config: Mapping[str, Any]) -> Operations:
    """What the worker writes for a configuration, in order. ValueError for runs of another store, or from a tree that others built."""
    if config["run"]["store"] != "lsmlab" or config["tree"] is not None:
        raise ValueError(f"store = {config['run']['store']!r}, a tree built before: only runs of lsmlab that begin empty are simulated")
    stream, _, _ = draw(config)
    values = Values(config["trace"]["value_bytes"] if config["workload"] == TRACE else config["value_bytes"], config["seed"])
    ids = np.random.default_rng([config["seed"], 1]).permutation(stream.loaded)
    loaded = values.sized(ids, None if stream.load_sizes is None else stream.load_sizes[ids])
    rows: list[Operation] = [Put(key, len(value)) for key, value in zip(stream.keys_of(ids), loaded, strict=True)]
    sizes = map(len, values.sized(stream.ids, stream.sizes, 1))
    for code, key, length, stop in zip(stream.codes.tolist(), stream.keys(), sizes, stream.stops(), strict=True):
        if code in (UPDATE, INSERT, RMW, MERGE):
            rows.append(Put(key, length))
        elif code in (DELETE, EMPTY_DELETE):
            rows.append(Delete(key))
        elif code == RANGE_DELETE:
            rows.append(DeleteRange(key, stop or b""))
    lasts = np.ones(len(rows), np.uint8)
    batches = np.arange(1, len(ids) + 1)
    lasts[: len(ids)] = (batches % BATCH == 0) | (batches == len(ids))
    return replace(Operations.of(rows), lasts=lasts, flushes=(len(ids),) if config["drain"] and len(ids) else ())
