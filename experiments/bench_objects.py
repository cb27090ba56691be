"""The part of `lsmlab bench cache` about caches of Python objects: `eviction.Cache` and `eviction.cached` beside what people use.

One process a (library, repeat), in turns, on the first requests of the same trace as the replays: get, and set after a miss; for the
decorators a call. The time is that of the process on processors, the loop included, which is the same for all. Memory is by how much the
process grew while the cache filled; keys and values were there before. A library that is not installed is told, and not compared.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import eviction

from .processes import anonymous_bytes

REQUESTS = 2_000_000  # of the trace, at most
CACHE_TARGET, CALL_TARGET = 3.0, 1.5


@dataclass(frozen=True)
class Side:
    """One way to cache objects: how it is called in the table, the module it needs, and what replays keys through it."""

    name: str
    module: str
    run: Callable[[list[int], int], tuple[int, object]]


@dataclass(frozen=True)
class Match:
    """Ours against theirs; `target`: the ratio of speeds to reach, or for decorators the ratio of times to stay within."""

    ours: str
    theirs: str
    target: float
    within: bool = False


def _mapping(cache: Any, keys: Iterable[int]) -> tuple[int, object]:
    misses, get = 0, cache.get
    for key in keys:
        if get(key) is None:
            cache[key] = key
            misses += 1
    return misses, cache


def _ours(kind: str) -> Callable[[list[int], int], tuple[int, object]]:
    return lambda keys, size: _mapping(eviction.Cache(kind, size), keys)


def _cachetools(keys: list[int], size: int) -> tuple[int, object]:
    import cachetools

    return _mapping(cachetools.LRUCache(size), keys)


def _theine(keys: list[int], size: int) -> tuple[int, object]:
    import theine

    cache: Any = theine.Cache(size, nolock=True)  # its quickest
    misses, get, put = 0, cache.get, cache.set
    for key in keys:
        _, held = get(key)
        if not held:
            put(key, key)
            misses += 1
    return misses, cache


def _same(key: int) -> int:
    return key


def _calls(decorator: Callable[[int], Any]) -> Callable[[list[int], int], tuple[int, object]]:
    def run(keys: list[int], size: int) -> tuple[int, object]:
        call = decorator(size)(_same)
        for key in keys:
            call(key)
        return call.cache_info().misses, call

    return run


SIDES = {
    side.name: side
    for side in (
        Side("Cache lru", "eviction", _ours("lru")),
        Side("Cache wtinylfu", "eviction", _ours("wtinylfu")),
        Side("Cache s3fifo", "eviction", _ours("s3fifo")),
        Side("cachetools LRUCache", "cachetools", _cachetools),
        Side("theine Cache", "theine", _theine),
        Side("cached lru", "eviction", _calls(lambda size: eviction.cached("lru", size))),
        Side("functools.lru_cache", "functools", _calls(functools.lru_cache)),
    )
}
MATCHES = (
    Match("Cache lru", "cachetools LRUCache", CACHE_TARGET),
    Match("Cache wtinylfu", "theine Cache", CACHE_TARGET),
    Match("Cache s3fifo", "theine Cache", CACHE_TARGET),
    Match("cached lru", "functools.lru_cache", CALL_TARGET, within=True),
)


def present() -> tuple[list[str], list[str]]:
    """The sides that can run here, and the modules that are missing for the others."""
    missing = [module for module in dict.fromkeys(side.module for side in SIDES.values()) if importlib.util.find_spec(module) is None]
    return [name for name, side in SIDES.items() if side.module not in missing], missing


def run(name: str, folder: Path, size: int) -> dict[str, float]:
    """Replay in this process: seconds of processors, requests, hits, and bytes a cached object."""
    side = SIDES[name]
    keys: list[int] = np.load(folder / "keys.npy", mmap_mode="r")[:REQUESTS].tolist()
    side.run(keys[:1000], size)  # imports, and what is made once
    gc.collect()
    before, start = anonymous_bytes(), time.process_time()
    misses, cache = side.run(keys, size)
    seconds = time.process_time() - start
    gc.collect()
    grown = anonymous_bytes() - before
    held = min(size, misses)
    del cache
    return {"seconds": seconds, "requests": len(keys), "hits": len(keys) - misses, "bytes": grown / held}


if __name__ == "__main__":
    job = json.loads(sys.stdin.read())
    print(json.dumps(run(job["name"], Path(job["folder"]), job["size"])))
