"""A native eviction policy with the driver around it that a cache would be: keys, slots, room."""

from __future__ import annotations

import csv
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


class Driven:
    """Requests by key; every step ends with the policy's own check. ``heard``: its events, as (kind, key)."""

    def __init__(self, kind: str, capacity: int, params: str = "", seed: int = 0, slots: int | None = None) -> None:
        self.capacity, self.slots = capacity, capacity if slots is None else slots
        self.policy = eviction.Policy(eviction.ops_address(kind), capacity, self.slots, seed, params)
        self.place: dict[int, int] = {}
        self.weight: dict[int, int] = {}
        self.heard: list[tuple[str, int]] = []
        self.policy.listen(lambda what, key, _slot: self.heard.append((what, key)))

    def request(self, key: int, weight: int = 1) -> list[int] | None:
        """Request a key: None for a hit, else who left for it."""
        gone: list[int] = []
        if key in self.place:
            self.policy.hit(self.place[key])
            self.checked()
            return None
        if self.policy.miss(key, weight):
            gone = self._down_to(self.capacity - weight)
            self.place[key] = min(set(range(self.slots)) - set(self.place.values()))
            self.weight[key] = weight
            self.policy.insert(self.place[key], key, weight)
        self.checked()
        return gone

    def requests(self, *keys: int) -> list[int]:
        """Request keys of weight 1 in turn; who left for them, in order."""
        return [gone for key in keys for gone in self.request(key) or []]

    def remove(self, key: int) -> None:
        """Delete a resident."""
        self.policy.remove(self.place.pop(key))
        del self.weight[key]
        self.checked()

    def resize(self, capacity: int) -> list[int]:
        """Change the capacity; who left for it."""
        self.capacity = capacity
        self.policy.resize(capacity)
        gone = self._down_to(capacity)
        self.checked()
        return gone

    def dump(self) -> str:
        """Return the policy's own picture."""
        return self.policy.dump()

    def queues(self) -> dict[str, list[str]]:
        """Return the rows ``name: words`` of the dump."""
        rows = (row.partition(":") for row in self.dump().splitlines() if ":" in row)
        return {name: text.split() for name, _, text in rows}

    def checked(self) -> None:
        """Fail where an invariant does not hold."""
        why = self.policy.check()
        assert why is None, f"{why}\n{self.dump()}"

    def _down_to(self, room: int) -> list[int]:
        gone = []
        while sum(self.weight.values()) > room:
            slot = self.policy.evict()
            (key,) = [k for k, s in self.place.items() if s == slot]
            del self.place[key], self.weight[key]
            gone.append(key)
        return gone


def counts(policy: str, source: str, traces: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """Return (trace, size, hits) of another program's rows for some shared traces; none where the shared folder is absent."""
    rows = []
    for name in ("gold", "others"):
        path = SHARED / "reference" / f"eviction-{name}.csv"
        if path.exists():
            with path.open() as file:
                rows += [
                    r for r in csv.DictReader(file) if (r["policy"], r["source"]) == (policy, source) and r["trace"] in traces and r["hits"]
                ]
    return [(r["trace"], int(r["cache_size"]), int(r["hits"])) for r in rows]


def points(kind: str, rows: list[tuple[str, int, int]], params: str = "") -> list[float]:
    """Return ours minus theirs in points of hit ratio, a number a row."""
    out = []
    for name in dict.fromkeys(trace for trace, _, _ in rows):
        trace = eviction.load(next((SHARED / "traces").glob(f"{name}.*")))
        theirs = {size: hits for t, size, hits in rows if t == name}
        out += [100 * (r.hits - theirs[r.size]) / r.requests for r in eviction.replay(kind, trace, list(theirs), weights=1, params=params)]
    return out
