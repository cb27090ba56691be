"""F15, TRIAD: less to write by hot keys that stay in memory, by merges of level 0 that wait for overlap, and by the log as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lsm
import recovery
from lsm import Plan, TreeView
from lsm.policies import make_policy

from ..costs import Mark
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows
from .judge import Check, at_most, below, told, within
from .trees import Ints, Tree, numbers, packed, probe_entry

KEYS, VALUE, BUFFER, T = 250_000, 255, 4_000, 10
RUNS, MOST_RUNS, OVERLAP = 4, 6, 0.4
SKEWS: Mapping[str, tuple[float, float]] = {"1 %/99 %": (0.01, 0.99), "20 %/80 %": (0.2, 0.8), "uniform": (1.0, 1.0)}  # keys, their writes
PARTS: Mapping[str, frozenset[str]] = {
    "baseline": frozenset(), "MEM": frozenset({"MEM"}), "DISK": frozenset({"DISK"}), "LOG": frozenset({"LOG"}),
    "TRIAD": frozenset({"MEM", "DISK", "LOG"}),
}  # fmt: skip
POINTER = 12  # bytes of a place in the log: file, offset, length
PUBLISHED = (
    Published("writes by the baseline's", Mark.PDF, (("20 %/80 %", 0.25), ("uniform", 0.25), ("1 %/99 %", 1.0)), "up to 4 times less for "
              "medium skew and uniform keys, the same at 1 %/99 %; ratio of shrunken numbers"),
    Published("by part, uniform", Mark.PDF, (("MEM", 1.0), ("DISK", 0.4), ("LOG", 0.6)), "no effect; up to -60 %; up to -40 %"),
    Published("reads", Mark.PDF, (), "at most 5 % more"),
)  # fmt: skip


class Deferred:
    """TRIAD-DISK: level 0 merges when its runs overlap enough, by sketches of their keys, or when there are too many."""

    def __init__(self, inner: lsm.CompactionPolicy) -> None:
        self.inner = inner
        self.sketches: dict[int, Any] = {}  # table -> sketch of its keys
        self.coming: Any = None

    def flushed(self, keys: Ints) -> None:
        """Sketch what the next flush writes."""
        import datasketches

        self.coming = datasketches.hll_sketch(12, datasketches.tgt_hll_type.HLL_8)
        for key in keys.tolist():
            self.coming.update(key)

    def told(self, keyspace: str, decision: lsm.Decision) -> None:
        """Remember which table that was."""
        if decision.what == "flush":
            self.sketches = {t.number: self.coming for t in decision.outputs} | self.sketches

    def overlap(self, view: TreeView) -> float:
        """1 - distinct keys of level 0 by all keys in its runs, by estimate."""
        import datasketches

        union = datasketches.hll_union(12)
        tables = list(view.level(0).tables)
        for t in tables:
            union.update(self.sketches[t.number])
        return float(1 - union.get_estimate() / sum(t.entries for t in tables))

    def plan(self, view: TreeView) -> Plan | None:
        """As the inner policy; level 0 may hold `MOST_RUNS` runs while they overlap little."""
        if RUNS <= len(view.level(0).runs) < MOST_RUNS and self.overlap(view) < OVERLAP:
            view = replace(view, options=view.options.override({"compaction": {"l0_trigger": MOST_RUNS}}))
        return self.inner.plan(view)


def drawn(count: int, keys: int, skew: str, rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of keys to update: a share of them takes a share of the updates."""
    share, writes = SKEWS[skew]
    hot = int(keys * share)
    cold = rng.integers(hot, keys, count) if hot < keys else np.zeros(count, np.int64)
    return np.where(rng.random(count) < writes, rng.integers(0, hot, count), cold)


def cells(tiny: bool) -> Sequence[Cell]:
    n = 8_000 if tiny else KEYS
    return [{"skew": s, "parts": p, "n": n} for s in SKEWS for p in PARTS]


class Memory:
    """The memory component: what a flush writes and what stays, for `room` records of log. `held`: keys that stayed, with their counts."""

    def __init__(self, room: int, most: int) -> None:
        self.room, self.most = room, most
        self.held: NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def free(self) -> int:
        """Writes until the log is full: what stayed was written to the new one."""
        return self.room - len(self.held)

    def flush(self, written: NDArray[np.int64]) -> NDArray[np.int64]:
        """The keys that go to level 0; the ones written most often stay, if they were written more often than keys are on average."""
        keys, counts = np.unique(np.concatenate([self.held, written]), return_counts=True)
        order = np.argsort(-counts, kind="stable")[: self.most]
        stay = order[counts[order] > max(1.0, float(counts.mean()))]
        self.held = keys[stay]
        return np.delete(keys, stay)


def measure(cell: Cell) -> Got:
    """Load all keys in random order, then as many updates; what the updates wrote, and what lookups between them read."""
    n, parts, rng = cell["n"], PARTS[cell["parts"]], np.random.default_rng(5)
    buffer = BUFFER * n // KEYS
    table = {"filter": "bloom", "bits_per_key": 10.0}
    entry = probe_entry(VALUE, {"table": table})
    options = lsm.Options.from_dict({"compaction": {"layout": "1-leveling", "l0_trigger": RUNS, "size_ratio": T}})
    policy = Deferred(make_policy(options))
    keys = numbers(n, 42)
    memory = Memory(buffer, buffer // 2 if "MEM" in parts else 0)
    chosen = {"layout": "1-leveling", "l0_trigger": RUNS, "size_ratio": T, "output_bytes": int(buffer * entry / 2)}
    with Tree(buffer=buffer, value=VALUE, options={"table": table, "compaction": chosen}, first=RUNS) as tree:
        if "DISK" in parts:
            tree.db.trace(policy.told)
            tree.db.set_policy(policy)

        def flush(ids: NDArray[np.int64]) -> None:
            some = keys[ids]
            policy.flushed(some)
            data = some.astype(">u8").tobytes()
            tree.db.put_packed(data, tree.lens[: len(some)], bytes(len(some) * VALUE), tree.value_lens[: len(some)])
            tree.db.flush()

        order = rng.permutation(n)
        for at in range(0, n, buffer):
            flush(order[at : at + buffer])
        updates, before = drawn(n, n, cell["skew"], rng), tree.counts()
        at = records = asked = flushed = rounds = 0
        blocks = 0.0
        while at < n:
            some = updates[at : at + memory.free]
            at, records = at + len(some), records + len(some) + len(memory.held)
            out = memory.flush(some)
            flushed += len(out)
            flush(out)
            rounds += 1
            if rounds % 4 == 0:
                wanted = drawn(500, n, cell["skew"], rng)
                on_disk = wanted[~np.isin(wanted, memory.held)]
                blocks += tree.lookups(packed(keys[on_disk])) * len(on_disk)
                asked += len(wanted)
        done, user = tree.counts().since(before), n * (8 + VALUE)
        level0 = done.bytes(op="write", cause="flush")
        if "LOG" in parts:
            level0 = round(flushed * probe_entry(POINTER, {"table": table}))
        merged = done.bytes(op="write", cause="compaction")
        log = records * log_record()
        return {
            "writes": (log + level0 + merged) / user, "log": log / user, "level0": level0 / user, "merged": merged / user,
            "reads": blocks / asked, "flushes": rounds, "flushed": flushed / n,
        }  # fmt: skip


def log_record() -> float:
    """Bytes that a write takes in the engine's log."""
    with lsm.open("/log", {"threads": 0}, fs=recovery.memory()) as db:
        before = db.stats().bytes(op="write", component="wal")
        for i in range(1_000):
            db.put(i.to_bytes(8, "big"), bytes(VALUE))
        return float(db.stats().bytes(op="write", component="wal") - before) / 1_000


def judge(rows: Rows) -> Sequence[Check]:
    base = {s: rows.one(skew=s, parts="baseline") for s in SKEWS}

    def by(skew: str, part: str, what: str = "writes") -> float:
        """What a part has, by the baseline's."""
        return float(rows.one(skew=skew, parts=part)[what] / base[skew][what])

    mild = ("20 %/80 %", "uniform")
    return [
        *(below(f"writes of TRIAD by the baseline's, {s}", by(s, "TRIAD"), 1) for s in mild),
        *(below(f"writes with {part} alone by the baseline's, uniform", by("uniform", part), 1) for part in ("DISK", "LOG")),
        within("writes with MEM alone by the baseline's, uniform", by("uniform", "MEM"), 1.0, 0.02),
        at_most("reads of TRIAD by the baseline's, every skew: most", max(by(s, "TRIAD", "reads") for s in SKEWS), 1.05),
        told("writes of TRIAD by the baseline's, 1 %/99 %", f"{by('1 %/99 %', 'TRIAD'):.2f}", "about 1 [PDF]"),
        told("writes by part, uniform: MEM, DISK, LOG", ", ".join(f"{by('uniform', p):.2f}" for p in ("MEM", "DISK", "LOG")),
             "1, down to 0.4, down to 0.6 [PDF]"),
    ]  # fmt: skip


def panels(rows: Rows) -> Sequence[Panel]:
    absolute = [
        Line(f"{p}, measured", [(s, rows.one(skew=s, parts=p)["writes"]) for s in SKEWS], "measured", i) for i, p in enumerate(PARTS)
    ]
    ratios, reads = [], []
    for i, p in enumerate(PARTS):
        if p == "baseline":
            continue
        points = {
            w: [(s, rows.one(skew=s, parts=p)[w] / rows.one(skew=s, parts="baseline")[w]) for s in SKEWS] for w in ("writes", "reads")
        }
        ratios.append(Line(f"{p}, measured", points["writes"], "measured", i))
        reads.append(Line(f"{p}, measured", points["reads"], "measured", i))
    names = list(PARTS)
    ratios.append(Line("", PUBLISHED[0].points, "published", names.index("TRIAD"), source="published, the most that was saved [PDF]"))
    ratios += [
        Line("", [("uniform", y)], "published", names.index(p), source="published, the most that was saved [PDF]")
        for p, y in PUBLISHED[1].points
    ]
    x = "share of the keys / of the updates"
    return [
        Panel("Writes", x, "WA-user: written / by the user", absolute, categories=list(SKEWS)),
        Panel("Writes, by part", x, "by the baseline's", ratios, categories=list(SKEWS)),
        Panel("Reads", x, "blocks a lookup, by the baseline's", reads, categories=list(SKEWS)),
    ]


def missing() -> str:
    """Why it cannot be measured."""
    return "" if find_spec("datasketches") else "the sketches need the package datasketches: pip install 'lsmlab[advisor]'"


FIGURE = Figure(
    id="F15-triad",
    title="TRIAD: less to write by memory, disk and log",
    source="TRIAD (ATC 2017) Figures 9C, 11",
    question="What do its three parts save, by skew?",
    definition="WA-user: bytes of the log, of flushes and of merges by those that the user wrote; a lookup's blocks of data, between "
    "updates.",
    scale="250,000 keys of 8 bytes with values of 255, and as many updates, with a memtable of 4,000 of them (1 MB): a quarter of the "
    f"paper. Level 0 merges with {RUNS} runs; TRIAD-DISK waits for an overlap of {OVERLAP} by HyperLogLog, or {MOST_RUNS} runs. The "
    "memory component and the log as a table are played by the reproduction: it decides what a flush writes, and counts a flush of the "
    "log as a table of places in the log; tables, merges and lookups are the engine's.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "The parts do what the paper says of them, by less. Waiting for overlap saves merges into level 1 only, and level 1 "
    "is no larger than level 0 here; a log that is a table saves the flush, one write of nine. Hot keys that stay save flushes only "
    "where they are few: with 1 %/99 % half of the memtable is hot, a flush writes a third less for each update, and writing the hot "
    "keys to each new log takes that back. Where keys are even nothing is hot, and nothing stays.",
    missing=missing,
)  # fmt: skip
