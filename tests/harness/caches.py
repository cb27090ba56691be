"""Eviction policies by hand: a small cache around one, its queues as lists, and the reference counts where they are."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import eviction

SHARED = Path(__file__).resolve().parents[3] / "shared"
SMALL = (
    "lirs-cpp",
    "lirs-cs",
    "lirs-glimpse",
    "lirs-ps",
    "lirs-backf",
    "lirs-multi1",
    "lirs-multi2",
    "lirs-zigzag",
    "lirs-2_pools",
    "lirs-sprite",
)


class ByHand:
    """A cache with keys in slots that checks the policy after every step."""

    def __init__(self, kind: str, capacity: int, params: str = "", slots: int | None = None) -> None:
        """Start empty; slots: at most so many keys, as many as the capacity unless told."""
        self.capacity, self.slots = capacity, capacity if slots is None else slots
        self.policy = eviction.Policy(eviction.ops_address(kind), capacity, self.slots, params=params)
        self.place: dict[int, int] = {}
        self.weight: dict[int, int] = {}
        self.events: list[tuple[str, int]] = []
        self.policy.listen(lambda what, key, _: self.events.append((what, key)))

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        hit = key in self.place
        if hit:
            self.policy.hit(self.place[key])
        elif self.policy.miss(key, weight):
            self._room(self.capacity - weight, self.slots - 1)
            self.place[key] = min(set(range(self.slots)) - set(self.place.values()))
            self.weight[key] = weight
            self.policy.insert(self.place[key], key, weight)
        self._check()
        return hit

    def ask(self, keys: Iterable[int]) -> list[bool]:
        """Request many and tell which were hits."""
        return [self.request(key) for key in keys]

    def remove(self, key: int) -> None:
        """Delete a resident."""
        del self.weight[key]
        self.policy.remove(self.place.pop(key))
        self._check()

    def resize(self, capacity: int) -> None:
        """Change the capacity and evict down to it; upwards only as far as there are slots."""
        self.capacity = capacity
        self.policy.resize(capacity)
        self._room(capacity, self.slots)
        self._check()

    def _room(self, weight: int, count: int) -> None:
        while sum(self.weight.values()) > weight or len(self.place) > count:
            slot = self.policy.evict()
            (gone,) = [key for key, at in self.place.items() if at == slot]
            del self.place[gone], self.weight[gone]

    def _check(self) -> None:
        why = self.policy.check()
        assert why is None, f"{why}\n{self.policy.dump()}"

    def queues(self) -> dict[str, list[str]]:
        """Return the rows ``name: words`` of the dump."""
        rows = (row.partition(":") for row in self.policy.dump().splitlines() if ":" in row)
        return {name: text.split() for name, _, text in rows}


@cache
def reference(source: str, policy: str) -> list[tuple[str, int, int, int]]:
    """Return the (trace, size, requests, hits) of another program over the small traces; none where they are not here."""
    rows = []
    for name in ("gold", "others"):
        path = SHARED / "reference" / f"eviction-{name}.csv"
        if path.exists():
            with path.open() as file:
                rows += [
                    r for r in csv.DictReader(file) if (r["source"], r["policy"]) == (source, policy) and r["trace"] in SMALL and r["hits"]
                ]
    return [(r["trace"], int(r["cache_size"]), int(r["requests"]), int(r["hits"])) for r in rows]


@cache
def trace(name: str) -> eviction.Trace:
    """Return one of the small traces."""
    return eviction.load(SHARED / "traces" / f"{name}.u32.xz")


def differences(kind: str, source: str, policy: str, params: str = "") -> list[float]:
    """Return hits here minus hits there in points of the requests, a cell each; none where the reference is not here."""
    rows = reference(source, policy)
    return [
        100 * (eviction.replay(kind, trace(name), sizes=[size], params=params)[0].hits - hits) / requests
        for name, size, requests, hits in rows
    ]
