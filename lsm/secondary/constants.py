"""What single steps cost on this machine, in microseconds: the prices of the advisor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from time import perf_counter
from typing import Any

from .kinds import KINDS, IndexType
from .leaves import evaluator
from .predicate import Leaf


@dataclass(frozen=True)
class Constants:
    """Microseconds of one core. ``read``: a row by its id, checked; ``scan``: a row in a scan, checked; ``covered``: a row from an index;
    ``walk``: a row in the order of an index; ``sort``: a row; ``begin``: a query of nothing. ``search``: how many times what the kind
    itself says (`IndexType.cost`), by kind; ``insert``: to extract and build an entry, ``merge``: to merge it once.
    """

    read: float = 2.0
    scan: float = 1.9
    covered: float = 3.0
    walk: float = 0.5
    sort: float = 1.5
    begin: float = 30.0
    search: Mapping[str, float] = field(default_factory=lambda: {"ordered": 2.0, "hash": 2.0, "bitmap": 2.0, "rtree": 2.0})
    insert: Mapping[str, float] = field(default_factory=lambda: {"ordered": 2.0, "hash": 1.5, "bitmap": 1.5, "rtree": 5.0})
    merge: Mapping[str, float] = field(default_factory=lambda: {"ordered": 0.15, "hash": 0.15, "bitmap": 0.1, "rtree": 0.5})

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            for v in value.values() if isinstance(value, dict) else (value,):
                if not v > 0:
                    raise ValueError(f"{name} is {v!r}; allowed: microseconds above 0")

    def of(self, what: Mapping[str, float], kind: str) -> float:
        """Return the price of a kind; that of the dearest for a kind that was not measured."""
        return what.get(kind, max(what.values(), default=1.0))


def _least(call: Callable[[], Any], repeats: int = 3) -> float:
    """Return the microseconds of a call, the least of several."""
    best = float("inf")
    for _ in range(repeats):
        begun = perf_counter()
        call()
        best = min(best, perf_counter() - begun)
    return max(best * 1e6, 1e-3)


@cache
def measured() -> Constants:
    """Return the constants of this machine; measured once a process, in about a second, on a table in memory."""
    import recovery

    from ..db import open as open_db

    n = 4000
    with open_db("/constants", {"threads": 0}, fs=recovery.memory()) as db:
        table = db.table("t", key="id")
        rows = [
            {"id": i, "a": i * 7919 % n, "b": i % 16, "s": f"name {i * 31 % 997}", "x": i * 0.5, "p": (i % 63, i % 61)} for i in range(n)
        ]
        table.put_many(rows)
        table.flush()
        ids = list(range(0, n, 2))
        check = evaluator([Leaf("a", "range", (0, True, n // 2, False)), Leaf("s", "in", ("name 5",))], {})
        read = _least(lambda: [check(row) for row in table.rows_at(ids) if row is not None]) / len(ids)
        scan = _least(lambda: [check(row) for _, row in table.scan()]) / n
        begin = _least(lambda: table.find(None, limit=1), 5)
        sort = _least(lambda: table.find(None, order_by="a")) / n - _least(lambda: table.find(None)) / n
        table.create_index("a", "a")
        covered = _least(lambda: table.find(Leaf("a", "range", (0, True, n // 8, False)), columns=["a"])) / (n // 8)
        walk = _least(lambda: table.find(None, columns=["a"], order_by="a", limit=64)) / 64 - read
        prices = {kind: _prices(KINDS[kind], rows) for kind in ("ordered", "hash", "bitmap", "rtree")}
        by = [{kind: p[i] for kind, p in prices.items()} for i in range(3)]
        return Constants(read, scan, covered, max(walk, 0.05), max(sort, 0.05), begin, *by)


_LEAVES = {
    "ordered": ("a", Leaf("a", "range", (10, True, 30, True))),
    "hash": ("s", Leaf("s", "in", ("name 5",))),
    "bitmap": ("b", Leaf("b", "in", (3,))),
    "rtree": ("p", Leaf("p", "intersects", ((10.0, 10.0, 12.0, 12.0),))),
}


def _prices(kind: type[IndexType], rows: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Return (searches against what the kind says, microseconds to insert an entry, and to merge one)."""
    column, leaf = _LEAVES[kind.kind]
    made = kind((column,))
    few = [rows[i : i + 250] for i in range(0, 1000, 250)]  # as memory components are: small

    def build(part: list[dict[str, Any]]) -> bytes:
        return made.build([(row["id"], p) for row in part for p in made.payloads(row)])

    insert = _least(lambda: [build(part) for part in few]) / 1000
    segments = [build(rows[i : i + 1000]) for i in range(0, 4000, 1000)]
    views = [made.open(s) for s in segments]
    merge = _least(lambda: made.merge(views, [None] * len(views))) / len(rows)
    whole = made.open(made.merge(views, [None] * len(views)))
    ((query, _),) = made.matches([leaf])
    found = len(made.search(whole, query))
    searched = _least(lambda: [made.search(whole, query) for _ in range(20)]) / 20
    estimated = _least(lambda: [made.estimate(whole, query) for _ in range(20)]) / 20
    return (searched + estimated) / made.cost(query, found), insert, merge
