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
    "wtinylfu": "Einziger, Friedman and Manes, TOS 2017, section 4; climber: Middleware 2018, 4.2",
    "clockpro": "Jiang, Chen and Zhang, USENIX ATC 2005, 3.2 to 3.4",
    "fifo-reinsertion": "second chance: CLOCK as a queue",
    "mru": "Chou and DeWitt, VLDB 1985",
    "random": "uniform, seeded",
    "lfuda": "Arlitt et al., 1999",
    "gdsf": "Cherkasova, HPL-98-69, 1998",
    "lru-k": "O'Neil, O'Neil and Weikum, SIGMOD 1993, section 2.1",
    "clockpro+": "Li, SYSTOR 2019",
    "hyperbolic": "Blankstein, Sen and Freedman, USENIX ATC 2017, section 2",
    "lecar": "Vietri et al., HotStorage 2018",
    "cacheus": "Rodriguez et al., FAST 2021",
    "lirs2": "Zhong, Zhao and Jiang, SYSTOR 2021",
    "lhd": "Beckmann, Chen and Cidon, NSDI 2018, sections 3 to 5",
    "frd": "Park and Park, MSST 2017",
    "car": "Bansal and Modha, FAST 2004, figure 2",
    "cart": "Bansal and Modha, FAST 2004, figure 3",
    "mq": "Zhou, Philbin and Li, USENIX 2001",
    "qdlp": "Yang et al., HotOS 2023",
    "clock2q+": "Zhai et al., 2025, section 3.4",
}
_addresses: dict[str, int] = {kind: native.find(kind) or 0 for kind in _SOURCES}
_bridges: dict[str, native.Bridge] = {}
_kept: list[native.Bridge] = []  # replaced ones: a cache may still use them

POLICIES: dict[str, PolicySettings] = {
    kind: PolicySettings(kind, source, native.hit_is_lock_free(_addresses[kind]), True) for kind, source in _SOURCES.items()
}


BOUNDS: dict[str, PolicySettings] = {  # what no policy can pass: for replay alone, since they know the future
    kind: PolicySettings(kind, source, False, True)
    for kind, source in {
        "belady": "MIN, which admits every miss: Belady, IBM Systems Journal 5(2), 1966",
        "min-bypass": "MIN that does not admit what is used later than all that it holds",
        "unbounded": "a cache without bound: only first requests miss",
    }.items()
}


@dataclass(frozen=True)
class Player:
    """A policy as a replay runs it. ``settings``: a seed and params of its own; ``single``: one object, so one run."""

    name: str
    address: int = 0
    bridge: native.Bridge | None = None
    settings: tuple[int, str] | None = None
    single: bool = False
    bound: bool = False


def unknown(kind: str) -> ValueError:
    """Return the error for a name that is no policy, with the near names."""
    names = sorted({*POLICIES, *BOUNDS})
    near = difflib.get_close_matches(kind, names, 3, 0.4)
    return ValueError(f"no eviction policy {kind!r}: " + (f"did you mean {', '.join(near)}?" if near else f"one of {', '.join(names)}"))


def player(policy: Any) -> Player:
    """Return what stands for a policy (see ``simulate.replay``). ValueError: an unknown kind, or a class or object that lacks a method."""
    if isinstance(policy, PolicySettings):
        policy = policy.kind
    if isinstance(policy, str):
        if policy in BOUNDS:
            return Player(policy, bound=True)
        return Player(policy, ops_address(policy), _bridges.get(policy))
    if isinstance(policy, native.Policy):
        return Player(policy.kind, policy.address, None, (policy.seed, policy.params))
    name = str(getattr(policy, "__name__", type(policy).__name__))
    single = not isinstance(policy, type) and not _lacks(policy)
    if not single and not callable(policy):
        raise ValueError(f"policy {name!r} lacks {', '.join(_lacks(policy))}")
    if isinstance(policy, type) and (missing := _lacks(policy)):
        raise ValueError(f"policy {name!r} lacks {', '.join(missing)}")
    bridge = native.Bridge(name, (lambda _capacity, _slots, _seed: policy) if single else policy)
    return Player(name, bridge.address, bridge, single=single)


def _lacks(policy: Any) -> list[str]:
    return [name for name in ("hit", "miss", "insert", "evict", "remove") if not callable(getattr(policy, name, None))]


def register(kind: str, component: int | Callable[[int, int, int], Any]) -> None:
    """Add a policy under a name, in the place of one of that name: the address of an ``evi_ops``, or a Python class.

    The class is called with (capacity, slots, seed) and has hit(slot), miss(key, weight) -> bool, insert(slot, key, weight),
    evict() -> slot or None, remove(slot). ValueError for a built-in's or a bound's name, and for a table of another abi.
    """
    if kind in _SOURCES or kind in BOUNDS or not kind:
        raise ValueError(f"the policy name {kind!r} is taken")
    if not isinstance(component, int) and (missing := _lacks(component)):
        raise ValueError(f"policy {kind!r} lacks {', '.join(missing)}")
    address = native.checked(component) if isinstance(component, int) else 0
    old = _bridges.pop(kind, None)
    if old is not None:
        _kept.append(old)
    if not isinstance(component, int):
        _bridges[kind] = native.Bridge(kind, component)
        address = _bridges[kind].address
    _addresses[kind] = address
    source = "ops table" if isinstance(component, int) else "Python class"
    POLICIES[kind] = PolicySettings(kind, source, native.hit_is_lock_free(address))


def ops_address(kind: str) -> int:
    """Return the address of a policy's ops table, for another extension; valid for the life of the process. ValueError: unknown kind."""
    if kind not in _addresses:
        raise unknown(kind)
    return _addresses[kind]
