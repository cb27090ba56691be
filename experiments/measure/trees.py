"""The tree that a run starts from: built once, then cloned by hard links for everybody who is to start from the very same state."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..processes import code_id
from ..workloads import Stream, Values
from .contestants import CONTESTANTS, Contestant

BATCH = 1_000
LINKED = (".sst", ".idx", ".ldb")  # files that never change once they have their name
STATE = "tree.json"
_DECISIVE = ("drawn", "trace", "tree", "records", "value_bytes", "drain", "seed", "plugins")


def tree_id(config: Mapping[str, Any]) -> str:
    """Names the tree that a configuration starts from: what is loaded, by which options and code, into which store."""
    decisive = {k: config[k] for k in _DECISIVE} | {
        "store": config["run"]["store"],
        "operations": config["operations"] if config["trace"] else 0,
    }
    return hashlib.sha256(json.dumps([decisive, code_id()], sort_keys=True).encode()).hexdigest()[:16]


def load(store: Contestant | Any, stream: Stream, values: Values, seed: int) -> int:
    """Put the records that exist before the run, in a seeded order, in batches. Gives the bytes of their keys and values."""
    ids = np.random.default_rng([seed, 1]).permutation(stream.loaded)
    written = 0
    for i in range(0, len(ids), BATCH):
        some = ids[i : i + BATCH]
        keys = stream.keys_of(some)
        chosen = values.sized(some, None if stream.load_sizes is None else stream.load_sizes[some])
        store.put_many(keys, chosen)
        written += sum(map(len, keys)) + sum(map(len, chosen))
    return written


def build(config: Mapping[str, Any], folder: Path, stream: Stream, values: Values) -> None:
    """Build the tree of a configuration at folder, closed; it appears whole or not at all. With drain its debt is paid."""
    draft = folder.with_suffix(f".{os.getpid()}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "db").mkdir(parents=True)
    store = CONTESTANTS[config["run"]["store"]](draft / "db", config["tree"])
    written = load(store, stream, values, config["seed"])
    if config["drain"]:
        store.settle()
    state = {"loaded_bytes": written, "levels": store.levels(), "debt": store.debt(), "stream_loaded": stream.loaded}
    store.close()
    (draft / STATE).write_text(json.dumps(state))
    try:
        draft.rename(folder)
    except OSError:
        if not (folder / STATE).exists():
            raise
        shutil.rmtree(draft)  # somebody else was first; theirs is the same


def clone(source: Path, target: Path) -> None:
    """Copy a closed database: files that never change by hard link, the others byte by byte. O(files)."""
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.name == "LOCK" or not path.is_file():
            continue
        if path.suffix in LINKED:
            os.link(path, target / path.name)
        else:
            shutil.copyfile(path, target / path.name)


def state_of(folder: Path) -> dict[str, Any]:
    """What was noted when the tree was built."""
    state: dict[str, Any] = json.loads((folder / STATE).read_text())
    return state
