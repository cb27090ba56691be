"""The registry of eviction policies: kind -> settings, and the address of the ops table behind each."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import native


@dataclass(frozen=True)
class PolicySettings:
    """What is known of a policy: its name, where it comes from, whether its hits need no lock, whether it is one of ours."""

    kind: str
    source: str
    hit_is_lock_free: bool = False
    built_in: bool = False


_SOURCES = {
    "lru": "Mattson et al., IBM Systems Journal 9(2), 1970",
    "fifo": "first in, first out",
    "clock": "Corbató, A paging experiment with the Multics system, 1968",
    "sieve": "Zhang et al., NSDI 2024, algorithm 1",
    "arc": "Megiddo and Modha, FAST 2003, figure 4",
    "2q": "Johnson and Shasha, VLDB 1994, section 3",
    "slru": "Karedla, Love and Wherry, IEEE Computer 27(3), 1994; 2 segments",
    "slru4": "Karedla, Love and Wherry, IEEE Computer 27(3), 1994; 4 segments",
    "s3fifo": "Yang et al., SOSP 2023, algorithm 1",
    "lfu": "least frequently used; Shah, Mitra and Matani, 2010, for O(1)",
    "lirs": "Jiang and Zhang, SIGMETRICS 2002, section 3",
    "clockpro": "Jiang, Chen and Zhang, USENIX ATC 2005, 3.2 to 3.4",
    "clockpro+": "Li, SYSTOR 2019",
    "lirs2": "Zhong, Zhao and Jiang, SYSTOR 2021",
}
_addresses: dict[str, int] = {kind: native.find(kind) or 0 for kind in _SOURCES}
_bridges: dict[str, native.Bridge] = {}
_kept: list[native.Bridge] = []  # replaced ones: a cache may still use them

POLICIES: dict[str, PolicySettings] = {
    kind: PolicySettings(kind, source, native.hit_is_lock_free(_addresses[kind]), True) for kind, source in _SOURCES.items()
}


def unknown(kind: str, also: tuple[str, ...] = ()) -> ValueError:
    """Return the error for a name that is no policy, with the near names."""
    names = sorted({*POLICIES, *also})
    near = difflib.get_close_matches(kind, names, 3, 0.4)
    return ValueError(f"no eviction policy {kind!r}: " + (f"did you mean {', '.join(near)}?" if near else f"one of {', '.join(names)}"))


def register(kind: str, component: int | Callable[[int, int, int], Any]) -> None:
    """Add a policy under a name, in the place of one of that name: the address of an ``evi_ops``, or a Python class.

    The class is called with (capacity, slots, seed) and has hit(slot), miss(key, weight) -> bool, insert(slot, key, weight),
    evict() -> slot or None, remove(slot). ValueError for a built-in's or a reserved name, and for a table of another abi.
    """
    if kind in _SOURCES or kind in ("belady", "unbounded", ""):
        raise ValueError(f"the policy name {kind!r} is taken")
    old = _bridges.pop(kind, None)
    if old is not None:
        _kept.append(old)
    if isinstance(component, int):
        _addresses[kind] = native.checked(component)
        source = "ops table"
    else:
        missing = [name for name in ("hit", "miss", "insert", "evict", "remove") if not callable(getattr(component, name, None))]
        if missing:
            raise ValueError(f"policy {kind!r} lacks {', '.join(missing)}")
        _bridges[kind] = native.Bridge(kind, component)
        _addresses[kind] = _bridges[kind].address
        source = "Python class"
    POLICIES[kind] = PolicySettings(kind, source, native.hit_is_lock_free(_addresses[kind]))


def ops_address(kind: str) -> int:
    """Return the address of a policy's ops table, for another extension; valid for the life of the process. ValueError: unknown kind."""
    if kind not in _addresses:
        raise unknown(kind)
    return _addresses[kind]


def problem(kind: str) -> BaseException | None:
    """Return, once, what a Python policy raised or broke since the last call."""
    bridge = _bridges.get(kind)
    if bridge is None:
        return None
    raised, bridge.problem = bridge.problem, None
    return raised
