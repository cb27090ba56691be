"""What the policies and the cache keep, by the names of their C structs: for tests that change it behind their backs.

The declarations are cut from the sources, so that a field is where the compiler put it and a field that is gone is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from cffi import FFI

import eviction
from native_build import cdef_of

CSRC = Path(eviction.__file__).parent / "csrc"
NONE = 0xFFFFFFFF
_SHARED = ("residents.h", "table.h", "ghosts.h", "lists.h", "heap.h", "pool.h", "plain.h", "sketch.h")
_CACHE = ("cache_map.h", "cache_timer.h", "cache_core.h")
_PYTHON = "typedef struct { intptr_t ob_refcnt; void *ob_type; } PyObject; typedef intptr_t Py_hash_t; typedef void *PyThread_type_lock;"
_STRUCT = re.compile(r"^typedef struct(?: \w+)? \{.*?^\} \w+;", re.S | re.M)
_ENUM = re.compile(r"^enum \{.*?\};", re.M)
_NUMBER = re.compile(r"^#define (\w+) (\d+)\b", re.M)
FILES = {  # by kind: the file, and the name of the struct, where it is another one
    "lru": ("plain.h", "evi_plain"),
    "sieve": ("plain.h", "evi_plain"),
    "lfuda": ("aging.c", "aging"),
    "gdsf": ("aging.c", "aging"),
    "clock2q+": ("clock2qplus.c", "clock2q"),
    "clockpro+": ("clockpro.c", "clockpro"),
    "cacheus": ("experts.c", "experts"),
    "lecar": ("experts.c", "experts"),
    "lru-k": ("lruk.c", "lruk"),
    "2q": ("two_queue.c", "two_queue"),
    "slru4": ("slru.c", "slru"),
    "random": ("random.c", "random_policy"),
}


def _declared(names: Iterable[str]) -> FFI:
    """The constants and structs of these files, in this order."""
    ffi = FFI()
    ffi.cdef(cdef_of(CSRC / "policy.h"))
    ffi.cdef(_PYTHON)
    for name in names:
        text = (CSRC / name).read_text().replace("EVI_LOOSE", "EVI_QUEUES")
        numbers = [f"#define {found} {value}" for found, value in _NUMBER.findall(text)]
        ffi.cdef("\n".join([*numbers, *_ENUM.findall(text), *_STRUCT.findall(text)]))
    return ffi


@cache
def _of_kind(kind: str) -> tuple[FFI, str]:
    name, struct = FILES.get(kind, (f"{kind}.c", kind))
    return _declared([*_SHARED, *([] if name in _SHARED else [name])]), struct


@cache
def _of_cache() -> FFI:
    return _declared(_CACHE)


def kept_by(policy: eviction.Policy) -> Any:
    """The struct of a policy of a kind of :data:`FILES`, or of one whose file and struct are called like it."""
    ffi, struct = _of_kind(policy.kind)
    return ffi.cast(f"{struct} *", int(eviction.native.ffi.cast("uintptr_t", policy._policy)))[0]


def kept_by_cache(cache: eviction.Cache[Any, Any]) -> Any:
    """The struct ``evi_cache`` of a cache, whose object it is."""
    return _of_cache().cast("evi_cache *", id(cache))[0]


class Damage:
    """Changes of fields and elements that are taken back at the end, the last one first."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str | int, Any]] = []

    def put(self, owner: Any, where: str | int, value: Any) -> None:
        """Give a field, or an element of an array, another value."""
        if isinstance(where, int):
            self._before.append((owner, where, owner[where]))
            owner[where] = value
        else:
            self._before.append((owner, where, getattr(owner, where)))
            setattr(owner, where, value)

    def add(self, owner: Any, where: str | int, by: int) -> None:
        """Add to one."""
        self.put(owner, where, (owner[where] if isinstance(where, int) else getattr(owner, where)) + by)

    def undo(self) -> None:
        """Take all of it back."""
        while self._before:
            owner, where, value = self._before.pop()
            if isinstance(where, int):
                owner[where] = value
            else:
                setattr(owner, where, value)
