"""F15, SILK: what the order and the share of background work do to the tail of latencies, under a load that comes in bursts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import lsm
import recovery

from ..costs import Mark
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows
from .judge import Check, above, at_most, told
from .trees import numbers, packed
from .virtual import Clock, VirtualExecutor

MS = 1_000_000
DEVICE = recovery.DeviceProfile(0, 80_000, 20_000, 30_000, 5_000, 200 * MS, 200 * MS, 32, 128 << 10)
VALUE, BUFFER, KEYS, WORKERS, SEEDS = 1_000, 1 << 20, 60_000, 3, (1, 2, 3)
PEAK, VALLEY, PEAK_S, VALLEY_S, PUTS = 12_000, 500, 4.0, 4.0, 0.8
WAYS: Mapping[str, Mapping[str, Any]] = {
    "no background work": {"scheduler": "fifo", "free": True},
    "first in, first out": {"scheduler": "fifo"},
    "level 0 first": {"scheduler": "l0_first"},
    "SILK's order alone": {"scheduler": "silk"},
    "SILK's share alone": {"scheduler": "fifo", "share": True},
    "SILK": {"scheduler": "silk", "share": True},
}
NONE, FIFO, SILK = "no background work", "first in, first out", "SILK"
SHORT = {FIFO: "FIFO", "level 0 first": "L0 first", "SILK's order alone": "order", "SILK's share alone": "share", SILK: "SILK"}
PUBLISHED = (
    Published("p99 by that without background work", Mark.PDF, ((FIFO, 1e2), (FIFO, 1e4)), "RocksDB: 2 to 4 orders of magnitude; "
              "spikes when level 0 is full or a flush is slow"),
)  # fmt: skip


def cells(tiny: bool) -> Sequence[Cell]:
    size = {"keys": 20_000, "bursts": 1} if tiny else {"keys": KEYS, "bursts": 2}
    return [{"way": w, "seed": s, **size} for w in WAYS for s in (SEEDS[:1] if tiny else SEEDS)]


def arrivals(bursts: int, rng: np.random.Generator) -> list[float]:
    """Times at which requests come: at random (Poisson), often in a burst and seldom between two."""
    times, at = [], 0.0
    for _ in range(bursts):
        for rate, length in ((PEAK, PEAK_S), (VALLEY, VALLEY_S)):
            times.append(at + np.sort(rng.random(rng.poisson(rate * length))) * length)
            at += length
    return [float(t) for t in np.concatenate(times)]


def measure(cell: Cell) -> Got:
    """Load, then puts of known keys and gets, as they come."""
    way, rng = WAYS[cell["way"]], np.random.default_rng(cell["seed"])
    device = recovery.device(recovery.memory(), DEVICE)
    options = {
        "threads": 0, "write_buffer": BUFFER, "max_sealed": 1, "wal": {"enabled": False}, "cache": {"capacity": 4 << 20, "shards": 1},
        "compaction": {"layout": "1-leveling", "l0_trigger": 4, "level_base": 4 * BUFFER, "size_ratio": 10, "output_bytes": BUFFER // 2,
                       "scheduler": way["scheduler"]},
        "stalls": {"slowdown_runs": 12, "stop_runs": 12},
    }  # fmt: skip
    keys, value = packed(numbers(cell["keys"], 42)), b"v" * VALUE
    times = arrivals(cell["bursts"], rng)
    writes = (rng.random(len(times)) < PUTS).tolist()
    asked = rng.integers(0, len(keys), len(times)).tolist()
    with lsm.open("/silk", options, fs=device) as db:
        for i in range(0, len(keys), 1_000):
            db.put_many([(k, value) for k in keys[i : i + 1_000]])
        db.flush()
        executor = VirtualExecutor(db, device, WORKERS, way.get("free", False))
        clock = Clock(db, device, executor, way.get("share", False))
        done = clock.run(
            times, writes, lambda i: (lambda: db.put(keys[asked[i]], value)) if writes[i] else (lambda: db.get(keys[asked[i]]))
        )
    found = np.array(done.latencies)
    edges = np.arange(0, times[-1], 0.1)
    windows = [found[a:b] for a, b in zip(np.searchsorted(times, edges), np.searchsorted(times, edges + 0.1), strict=True)]
    stopped: dict[str, float] = {}
    for _, length, why in done.stalls:
        stopped[why] = stopped.get(why, 0.0) + length
    return {
        **{f"p{q:g}": float(np.percentile(found, q)) for q in (50, 99, 99.9)}, "max": float(found.max()), "stopped": sum(stopped.values()),
        "why": stopped, "jobs": executor.db.default.step, "series": [float(np.percentile(w, 99)) if len(w) else 0.0 for w in windows],
    }  # fmt: skip


def middle(rows: Rows, what: str) -> dict[str, float]:
    """The median over the seeds, by way."""
    return {w: float(np.median([r.got[what] for r in rows.where(way=w)])) for w in rows.values("way")}


def judge(rows: Rows) -> Sequence[Check]:
    p99, stopped = middle(rows, "p99"), middle(rows, "stopped")
    ratios = [r.got["p99"] / rows.one(way=FIFO, seed=r.cell["seed"])["p99"] for r in rows.where(way=SILK)]
    why = "; ".join(sorted({reason for r in rows.where(way=FIFO) for reason in r.got["why"]}))
    return [
        at_most("p99 of SILK by that of first in, first out: worst seed", max(ratios), 0.1),
        above("p99 of first in, first out by that without background work", p99[FIFO] / p99[NONE], 1),
        above("seconds that puts were stopped, first in, first out by SILK: difference", stopped[FIFO] - stopped[SILK], 0),
        told("p99, ms: " + ", ".join(p99), ", ".join(f"{1000 * v:.3g}" for v in p99.values()), ""),
        told("the same, published", f"{p99[FIFO] / p99[NONE]:.0f}x", "100x to 10,000x [PDF]"),
        told("why puts were stopped, first in, first out", why or "never", "level 0 full, flush slow [PDF]"),
        told("puts stopped, s, the same order", ", ".join(f"{v:.2f}" for v in stopped.values()), ""),
    ]


def panels(rows: Rows) -> Sequence[Panel]:
    p99 = middle(rows, "p99")
    first = min(rows.values("seed"))
    series = []
    for i, w in enumerate((NONE, FIFO, SILK)):
        points = [(0.1 * k + 0.05, 1000 * y) for k, y in enumerate(rows.one(way=w, seed=first)["series"]) if y]
        series.append(Line(f"{w}, measured", points, "measured", i))
    bars = [Line("p99, measured", [(SHORT[w], p99[w] / p99[NONE]) for w in SHORT], "measured", 3)]
    bars += [Line("", [(SHORT[w], y) for w, y in p.points], "published", 3, source="RocksDB, published [PDF]") for p in PUBLISHED]
    return [
        Panel("While bursts come and go", "seconds of the virtual clock", "p99 of each tenth of a second, ms", series, yscale="log"),
        Panel("p99 of all", "", "by that without background work", bars, yscale="log", categories=list(SHORT.values())),
    ]


FIGURE = Figure(
    id="F15-silk",
    title="SILK: latency spikes under bursts",
    source="SILK (ATC 2019) Figures 1, 2, 8",
    question="What do the order and the share of background work do to the tail?",
    definition="Latency: from when a request was to come (open loop) to its end, by the virtual clock of a simulated device that requests, "
    "flushes and merges share. Writes wait while two memtables wait for their flush, or level 0 has too many runs.",
    scale="60,000 keys with values of 1 KB in a tree of three levels, memtables of 1 MB, 3 workers; a device of 200 MB/s, 80 us a read; "
    f"two bursts of {PEAK:,} requests a second for {PEAK_S:.0f} s, with {VALLEY} a second for {VALLEY_S:.0f} s between them, half puts "
    "and half gets, at random times, three seeds. No log. Chosen here; the paper has 200 GB and a day's trace.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "First in, first out, all three workers are in deep merges when a memtable is full: its flush waits for one of them "
    "to end, the next memtable fills meanwhile, and puts stop; that is what the paper found. Level 0 first decides only what comes next, "
    "not what stands still, and gains little. SILK leaves a worker to flushes and level 0 and lets deep merges stand still meanwhile: "
    "its order alone is most of the gain here. Its share, what the foreground lately took and a quarter more set aside for it, helps "
    "gets; alone it slows the flushes too. What is put off is done between the bursts. Beyond the device's means SILK cannot help: with "
    "18,000 requests a second, nine tenths of them puts, its p99 was 0.15 s, four times that of first in, first out, for background work "
    "had no more than its share.",
)  # fmt: skip
