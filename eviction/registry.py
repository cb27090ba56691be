"""The registry of eviction policies: kind -> settings, and the address of the ops table behind each."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from . import native
from .native_sketch import Filtered


@dataclass(frozen=True)
class PolicySettings:
    """What is known of a policy.

    ``source``: where it comes from; ``built_in``: it is one of ours; ``looks_ahead``: it
    knows the future (it is one of ``BOUNDS``), so that it runs in a replay and nowhere else.
    """

    kind: str
    source: str
    built_in: bool = False
    looks_ahead: bool = False


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
    "tinylfu": "Einziger, Friedman and Manes, TOS 2017, sections 2 and 3; in front of LRU, or of any other: policy=KIND",
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
_BOUNDS = {
    "belady": "MIN, which admits every miss: Belady, IBM Systems Journal 5(2), 1966",
    "min-bypass": "MIN that does not admit what is used later than all that it holds",
    "unbounded": "a cache without bound: only first requests miss",
}
_addresses: dict[str, int] = {kind: native.find(kind) or 0 for kind in _SOURCES}
_bridges: dict[str, native.Bridge] = {}
_kept: list[object] = []  # what a cache may still use: bridges that were replaced, filters

POLICIES: dict[str, PolicySettings] = {kind: PolicySettings(kind, source, built_in=True) for kind, source in _SOURCES.items()} | {
    kind: PolicySettings(kind, source, built_in=True, looks_ahead=True) for kind, source in _BOUNDS.items()
}

BOUNDS: dict[str, PolicySettings] = {kind: POLICIES[kind] for kind in _BOUNDS}
"""Those of the policies that no other can pass: for replay alone, since they know the future."""


ADMISSIONS = ("tinylfu",)  # filters in front of a policy


@dataclass(frozen=True)
class Player:
    """A policy as a replay runs it. ``settings``: a seed and params of its own; ``single``: one object, one run; ``behind``: a filter."""

    name: str
    address: int = 0
    bridge: native.Bridge | None = None
    settings: tuple[int, str] | None = None
    single: bool = False
    bound: bool = False
    behind: Filtered | None = None


def unknown(kind: str) -> ValueError:
    """Return the error for a name that is no policy, with the near names."""
    names = sorted(POLICIES)
    near = difflib.get_close_matches(kind, names, 3, 0.4)
    return ValueError(f"no eviction policy {kind!r}: " + (f"did you mean {', '.join(near)}?" if near else f"one of {', '.join(names)}"))


def ahead(kind: str) -> ValueError:
    """Return the error for a bound where a policy is wanted that decides as it goes."""
    return ValueError(f"{kind!r} looks ahead: it is for replay alone; allowed: {', '.join(k for k in POLICIES if k not in BOUNDS)}")


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


def admitting(player: Player, admission: str | None) -> Player:
    """Return the policy behind an admission filter, or as it is for None. ValueError: no such filter, or a bound."""
    if admission is None:
        return player
    _known(admission)
    if player.bound:
        raise ValueError(f"{player.name!r} looks ahead: no filter helps it")
    behind = Filtered(player.address)
    return replace(player, name=f"{player.name}+{admission}", address=behind.address, behind=behind)


def _known(admission: str) -> None:
    if admission not in ADMISSIONS:
        raise ValueError(f"no admission filter {admission!r}: one of {', '.join(ADMISSIONS)}")


def _lacks(policy: Any) -> list[str]:
    return [name for name in ("hit", "miss", "insert", "evict", "remove") if not callable(getattr(policy, name, None))]


def register(kind: str, component: int | Callable[[int, int, int], Any], admission: str | None = None) -> None:
    """Add a policy under a name, in the place of one of that name: the address of an ``evi_ops``, or a Python class.

    The class is called with (capacity, slots, seed) and has hit(slot), miss(key, weight) -> bool, insert(slot, key, weight),
    evict() -> slot or None, remove(slot). An ops table can be put behind an admission filter, "tinylfu". ValueError for a built-in's or a
    bound's name, for a table of another abi and an unknown filter.
    """
    if kind in _SOURCES or kind in _BOUNDS or not kind:
        raise ValueError(f"the policy name {kind!r} is taken")
    if not isinstance(component, int) and (missing := _lacks(component)):
        raise ValueError(f"policy {kind!r} lacks {', '.join(missing)}")
    address = native.checked(component) if isinstance(component, int) else 0
    if admission is not None:
        _known(admission)
        if not isinstance(component, int):
            raise ValueError(f"policy {kind!r} is a class: a filter in front of it is for replay alone")
        behind = Filtered(address)
        _kept.append(behind)
        address = behind.address
    old = _bridges.pop(kind, None)
    if old is not None:
        _kept.append(old)
    if not isinstance(component, int):
        _bridges[kind] = native.Bridge(kind, component)
        address = _bridges[kind].address
    _addresses[kind] = address
    source = "ops table" if isinstance(component, int) else "Python class"
    POLICIES[kind] = PolicySettings(kind, source)


def problem(kind: str, *, forget: bool = False) -> BaseException | None:
    """Return what a registered Python class first did wrong where nobody could be told, as in an engine; None: nothing, or no class.

    ``forget``: and begin anew.
    """
    bridge = _bridges.get(kind)
    found = bridge.problem if bridge else None
    if bridge and forget:
        bridge.problem = None
    return found


def ops_address(kind: str) -> int:
    """Return the address of a policy's ops table, for another extension; valid for the life of the process.

    ValueError: an unknown kind (the near names are told), or one of ``BOUNDS``.
    """
    if kind in BOUNDS:
        raise ahead(kind)
    if kind not in _addresses:
        raise unknown(kind)
    return _addresses[kind]
