"""F10: what the collection of a value log writes, by the space that it has in reserve, and by how its victims are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

import lsm
import recovery

from ..costs import Mark
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows, published_lines
from .judge import Check, above, at_most, rising, told, worst_within

KEYS, VALUE, ROUNDS, THETA = 50_000, 1_000, 3, 0.99
BUFFER, FILE = 250, 256 << 10
RESERVES = (0.1, 0.3, 0.5, 0.9)
COLLECTORS: Mapping[str, str] = {
    "log": "circular log", "greedy": "segments, greedy", "cost_benefit": "segments, cost-benefit",
    "hot_cold": "segments, hot and cold apart",
}  # fmt: skip
ZIPF, UNIFORM = "Zipf 0.99", "uniform"
BY_LOG = "writes by the circular log's"
PUBLISHED = (
    Published("circular log, Zipf 0.99", Mark.SIM, ((0.1, 8.1), (0.3, 3.3), (0.5, 2.3), (0.9, 1.6)), "a value log alone"),
    Published("circular log, uniform", Mark.SIM, ((0.1, 5.6), (0.3, 2.3), (0.5, 1.6), (0.9, 1.2)), "a value log alone"),
    Published("circular log, at the device", Mark.PDF, (("load", 1.6), ("update", 19.7)), "30 % in reserve; LevelDB 19.1, RocksDB 7.9 "
              "at update; read off a plot, with whole pages written for each part"),
    Published(BY_LOG, Mark.PDF, ((0.3, 1 - 0.496),), "HashKV writes 49.6 % less at 30 % in reserve"),
    Published(BY_LOG, Mark.PDF, ((RESERVES[0], 1 - 0.57), (RESERVES[-1], 1 - 0.30)), "30 to 57 % less over all reserves"),
)  # fmt: skip


def cells(tiny: bool) -> Sequence[Cell]:
    n, reserves = (6_000, (0.3, 0.9)) if tiny else (KEYS, RESERVES)
    ways = [(kind, ZIPF) for kind in COLLECTORS] + [("log", UNIFORM)]
    return [{"collector": kind, "keys_drawn": drawn, "reserve": r, "n": n} for kind, drawn in ways for r in reserves]


def chances(n: int, drawn: str) -> NDArray[np.float64]:
    """How likely each key is to be updated."""
    weights = np.arange(1, n + 1) ** -(THETA if drawn == ZIPF else 0.0)
    return np.asarray(weights / weights.sum())


def circular(chance: NDArray[np.float64], reserve: float, batch: int) -> float:
    """Bytes written to a circular log a byte that comes, when keys come independently and `batch` writes are one flush.

    A record reaches the tail when its key does not come while the log is written once, t flushes long. A key that comes with chance p in a
    flush is then appended once in (1 - e^-pt) / p flushes on average, and what is appended in t flushes is the log: n (1 + reserve)
    records.
    """
    p = 1 - (1 - chance) ** batch
    size, low, high = len(p) * (1 + reserve), 1e-3, 1e9
    for _ in range(200):
        t = (low * high) ** 0.5
        low, high = (t, high) if float(np.sum(p * t / -np.expm1(-p * t))) < size else (low, t)
    return float(size / t / np.sum(p))


def measure(cell: Cell) -> Got:
    """Load all keys, then updates of as many again, a few times over; the second half counts."""
    n, rng = cell["n"], np.random.default_rng(1)
    options = {
        "threads": 0, "buffer_entries": BUFFER, "wal": {"enabled": False}, "cache": {"capacity": 1 << 22},
        "compaction": {"level_base": 64 << 20, "l0_trigger": 2},
        "value_log": {"min_bytes": 128, "file_bytes": FILE, "collector": cell["collector"], "reserve": cell["reserve"]},
    }  # fmt: skip
    keys, value = [b"user%012d" % i for i in range(n)], b"x" * VALUE
    drawn = rng.permutation(n)[rng.choice(n, n * ROUNDS, p=chances(n, cell["keys_drawn"]))]
    with lsm.open("/values", options, fs=recovery.memory()) as db:

        def put(some: NDArray[np.int64]) -> tuple[int, int]:
            for i in range(0, len(some), BUFFER):
                db.put_many([(keys[j], value) for j in some[i : i + BUFFER].tolist()])
            stats = db.stats()
            return stats.bytes(op="write", component="value"), stats.bytes(op="write", component="value", cause="flush")

        loaded, flushed = put(rng.permutation(n))
        begun = put(drawn[: len(drawn) // 2])
        ended = put(drawn[len(drawn) // 2 :])
        held = db.stats().values["default"]
        return {
            "writes": (ended[0] - begun[0]) / (ended[1] - begun[1]), "load": loaded / flushed,
            "space": held.garbage_bytes / held.live_bytes, "model": circular(chances(n, cell["keys_drawn"]), cell["reserve"], BUFFER),
        }  # fmt: skip


def judge(rows: Rows) -> Sequence[Check]:
    reserves = sorted(rows.values("reserve"))
    zipf = {kind: dict(rows.line("reserve", "writes", collector=kind, keys_drawn=ZIPF)) for kind in COLLECTORS}
    uniform = dict(rows.line("reserve", "writes", keys_drawn=UNIFORM))
    model = [(f"{r.cell['keys_drawn']}, {r.cell['reserve']:.0%}", r.got["writes"], r.got["model"]) for r in rows.where(collector="log")]
    apart = {r: zipf["hot_cold"][r] / zipf["log"][r] for r in reserves}
    return [
        *(rising(f"{name}: writes as the reserve grows", list(zipf[kind].values()), falling=True) for kind, name in COLLECTORS.items()),
        rising("circular log, uniform: writes as the reserve grows", list(uniform.values()), falling=True),
        above("circular log: Zipf by uniform, at every reserve: least", min(zipf["log"][r] / uniform[r] for r in reserves), 1),
        at_most("hot and cold apart by the circular log, at every reserve: most", max(apart.values()), 0.7),
        told("hot and cold apart by the circular log, by reserve", ", ".join(f"{v:.2f}" for v in apart.values()),
             "0.50 at 30 %, 0.43 to 0.70 [PDF], HashKV by vLog"),
        told("circular log = its model", (w := worst_within("", model, 0.15)).measured, w.allowed),
        told("bytes of garbage, by the reserve: most", f"{max(r.got['space'] / r.cell['reserve'] for r in rows):.2f}", "1"),
        told("writes of the load", f"{max(r.got['load'] for r in rows):.2f}", "1.6 [PDF], at the device"),
    ]  # fmt: skip


def panels(rows: Rows) -> Sequence[Panel]:
    logs, apart = [], []
    for i, drawn in enumerate((ZIPF, UNIFORM)):
        logs.append(
            Line(f"circular log, {drawn}, measured", rows.line("reserve", "writes", collector="log", keys_drawn=drawn), "measured", i)
        )
        logs.append(Line(f"circular log, {drawn}, model", rows.line("reserve", "model", collector="log", keys_drawn=drawn), "model", i))
    logs += published_lines(PUBLISHED, {f"circular log, {ZIPF}": 0, f"circular log, {UNIFORM}": 1})
    base = dict(rows.line("reserve", "writes", collector="log", keys_drawn=ZIPF))
    for i, (kind, name) in enumerate(list(COLLECTORS.items())[1:], 2):
        points = [(r, w / base[r]) for r, w in rows.line("reserve", "writes", collector=kind)]
        apart.append(Line(f"{name}, measured", points, "measured", i))
    apart += published_lines(PUBLISHED, {BY_LOG: 4})
    x = "space in reserve, by what is alive"
    return [
        Panel("A circular log", x, "WA-values: (flushed + collected) / flushed", logs),
        Panel("Other collectors, Zipf 0.99", x, "WA-values by the circular log's", apart),
    ]


FIGURE = Figure(
    id="F10",
    title="Collecting a value log",
    source="HashKV (ATC 2018) Figures 2, 6",
    question="What does the collection of a value log write, by the space in reserve and the choice of its victims?",
    definition="WA-values: bytes written to value files by flushes and collections by those of flushes, over the second half of the "
    "updates. Reserve: garbage at most, by what is alive.",
    scale="50,000 keys with values of 1 KB, 150,000 updates, flushes of 250 entries, value files of 256 KB; the paper has 40 GB. Tables "
    "and the log of writes are not counted: the study's simulation has a value log alone.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "The circular log writes what its model says and a little more: the engine counts a value as garbage once a merge "
    "has met both versions, and it frees a quarter of the reserve at once, so that the reserve is full only just before. Under Zipf it "
    "writes more than under even updates, for cold values go round with it again and again. Greedy choice of segments saves part of "
    "that; with hot and cold values in files of their own, hot files die nearly whole and cold ones are left alone. The 19.7 of the "
    "paper's vLog is at the device, with whole pages for each part of a write, beside an LSM tree and its log.",
)  # fmt: skip
