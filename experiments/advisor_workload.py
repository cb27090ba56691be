"""Tables and workloads made at random, for the index advisor."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import lsm
from lsm.secondary import Predicate, Table, call, col, near
from lsm.secondary.predicate import And
from lsm.secondary.workload import Query, Workload

CITIES, KINDS, FIRMS = 300, 12, 3000


def length(text: str | None) -> int | None:
    """The function that the table is given for its expressions."""
    return None if text is None else len(text)


def make_table(db: lsm.DB, seed: int, rows: int) -> Table:
    """Return a table "orders" of so many rows: skewed, correlated, missing, spatial columns."""
    rng = random.Random(seed)
    table = db.table("orders", key="id", functions={"length": length})
    table.put_many([_row(rng, i) for i in range(rows)])
    table.flush()
    return table


def _row(rng: random.Random, i: int) -> dict[str, Any]:
    city = min(int(rng.paretovariate(0.8)), CITIES)
    return {
        "id": i,
        "state": rng.choices(("done", "open", "late"), (90, 8, 2))[0],
        "city": city,
        "kind": rng.randrange(KINDS),
        "firm": f"firm {rng.randrange(FIRMS)}",
        "zip": city * 10 + rng.randrange(10),
        "day": rng.randrange(3650),
        "price": round(rng.lognormvariate(3, 1), 2),
        "note": None if rng.random() < 0.8 else "x" * rng.randrange(1, 40),
        "place": (rng.random(), rng.random()),
    }


def make_workload(seed: int, shapes: int = 14, samples: int = 2, writes: float = 0.0) -> Workload:
    """Return queries of so many shapes, each with several draws of its constants, some heavy, most light."""
    rng = random.Random(f"workload {seed}")
    queries = []
    for shape in range(shapes):
        names = rng.sample(list(_CONDITIONS), rng.choices((1, 2, 3), (3, 4, 2))[0])
        how = rng.random()
        columns = tuple(sorted(rng.sample(("id", "day", "price", "city", "kind"), 2))) if how < 0.3 else None
        by, limit = (("-price" if rng.random() < 0.5 else "day",), 10) if 0.3 <= how < 0.4 else ((), None)
        weight = rng.lognormvariate(3, 1.2) / samples
        queries += [Query(_all(names, rng), columns, by, limit, weight, 0.4 <= how < 0.55, shape) for _ in range(samples)]
    return Workload(tuple(queries), writes)


def _all(names: list[str], rng: random.Random) -> Predicate:
    return And(tuple(_CONDITIONS[n](rng) for n in names))


def _range(name: str, low: int, high: int, width: int, rng: random.Random) -> Predicate:
    start = rng.randrange(low, high)
    return col(name).between(start, start + rng.randrange(1, width))


_CONDITIONS: dict[str, Callable[[random.Random], Predicate]] = {
    "state": lambda rng: col("state") == rng.choice(("open", "late")),
    "city": lambda rng: col("city") == min(int(rng.paretovariate(0.8)), CITIES),
    "kind": lambda rng: col("kind").isin(rng.sample(range(KINDS), rng.randrange(1, 4))),
    "firm": lambda rng: col("firm") == f"firm {rng.randrange(FIRMS)}",
    "zip": lambda rng: col("zip") == rng.randrange(10, 60),
    "day": lambda rng: _range("day", 0, 3500, 150, rng),
    "price": lambda rng: col("price") > rng.choice((60, 100, 200)),
    "note": lambda rng: call("length", "note") == rng.randrange(1, 40),
    "place": lambda rng: near("place", (rng.random(), rng.random()), rng.choice((0.02, 0.1))),
}
