"""F8: write amplification of engines and layouts: leveling, guards, tiering in parts of the key range; and live RocksDB and LevelDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..costs import Mark
from . import peers
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows, mark
from .judge import Check, below, between, told, within
from .trees import Tree, numbers, probe_entry

VALUE, BUFFER, BASE, FILE = 112, 1 << 20, 10 << 20, 1 << 20  # bytes; an entry has 120
LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "leveling": {"layout": "1-leveling", "l0_trigger": 4, "picker": "least_overlap"},
    "guards": {"layout": "guards"},
    "ucs": {"layout": "ucs", "layout_params": "w=8"},
}
NAMES = {
    "leveling": "leveling", "guards": "guards (PebblesDB's)", "ucs": "tiering in shards (UCS, w = 8)", "rocksdb": "RocksDB, live",
    "leveldb": "LevelDB, live",
}  # fmt: skip
PEBBLES = {"rocksdb": 42.0, "leveldb": 27.0, "guards": 17.0}
REMIX = {"rocksdb": 25.6, "leveldb": 16.1, "guards": 9.26, "ucs": 4.88}
PUBLISHED = (
    Published(
        "PebblesDB (SOSP 2017) Figure 1", Mark.PDF, tuple((NAMES[k], v) for k, v in PEBBLES.items()), "500 M keys, 45 GB; HyperLevelDB 40"
    ),
    Published(
        "REMIX (FAST 2021) Figure 16",
        Mark.PDF,
        tuple((NAMES[k], v) for k, v in REMIX.items()),
        "256 GB, values of 120 bytes; RemixDB 4.88 shown at UCS",
    ),
)


def cells(tiny: bool) -> Sequence[Cell]:
    return [{"engine": name, "n": 120_000 if tiny else 2_000_000} for name in NAMES]


def measure(cell: Cell) -> Got:
    name, keys = cell["engine"], numbers(cell["n"], 42)
    if name not in LAYOUTS:
        return peers.load(name, keys, VALUE, BUFFER, BASE, FILE)
    chosen = {"size_ratio": 10, "output_bytes": FILE, "level_base": BASE, **LAYOUTS[name]}
    buffer = int(BUFFER / probe_entry(VALUE, {}))
    with Tree(buffer=buffer, value=VALUE, options={"compaction": chosen, "wal": {"enabled": True, "segment_bytes": 4 * BUFFER}}) as tree:
        tree.put(keys)
        user = cell["n"] * (8 + VALUE)
        counts = tree.counts()
        return {"wa": counts.bytes(op="write") / user, "own": counts.bytes(op="write") / user, "user": user, "levels": tree.shape()}


def judge(rows: Rows) -> Sequence[Check]:
    wa = {r.cell["engine"]: r.got["wa"] for r in rows}
    own = {r.cell["engine"]: r.got["own"] for r in rows}
    return [
        between("guards by leveling", wa["guards"] / wa["leveling"], 0.3, 0.7),
        below("guards by leveling: less", wa["guards"], wa["leveling"]),
        below("guards by RocksDB: less", wa["guards"], wa["rocksdb"]),
        below("tiering in shards by guards: less", wa["ucs"], wa["guards"]),
        within("RocksDB: what the kernel counts = its own statistics", wa["rocksdb"], own["rocksdb"], 0.15),
        told(
            "RocksDB, LevelDB, guards",
            f"{wa['rocksdb']:.1f}, {wa['leveldb']:.1f}, {wa['guards']:.1f}",
            "42, 27, 17; 25.6, 16.1, 9.26 [PDF], of far more data",
        ),
    ]


def panels(rows: Rows) -> Sequence[Panel]:
    made = [Line("measured, 240 MB", [(NAMES[r.cell["engine"]], r.got["wa"]) for r in rows], "measured", 0)]
    for i, p in enumerate(PUBLISHED):
        made.append(Line("", p.points, "published", i + 1, source=f"{p.series} [{mark(p.mark)}]"))
    return [
        Panel(
            "Random inserts",
            "",
            "WA-user: bytes written / user bytes",
            made,
            categories=[NAMES[r.cell["engine"]] for r in rows],
        )
    ]


def missing() -> str:
    import importlib.util

    lacking = [name for name in ("rocksdict", "plyvel") if importlib.util.find_spec(name) is None]
    return f"{', '.join(lacking)}: not installed; pip install 'lsmlab[peers]'" if lacking else ""


FIGURE = Figure(
    id="F8",
    title="What engines and layouts write",
    source="PebblesDB (SOSP 2017) Figure 1; REMIX (FAST 2021) Figure 16",
    question="How many bytes do engines and layouts write for a byte of user data?",
    definition="WA-user: all bytes written, log, flushes and merges, by bytes of keys and values. The engine's from its ledger, its "
    "peers' as the kernel counts what they write.",
    scale="2 M entries of 120 bytes, 240 MB; write buffer 1 MiB, level 1 of 10 MiB, T = 10, files of 1 MiB, no compression. The papers "
    "have 45 and 256 GB.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    missing=missing,
    why=lambda rows: "The papers' heights belong to trees with two levels more. What can be compared is the order and the ratios. The "
    "engine's leveling merges inline, as soon as level 0 has four runs; its peers lag behind the writer, so that more runs go into a "
    "merge. Knobs: "
    + "; ".join(f"{ours}: {rocks} in RocksDB, {level} in LevelDB" for ours, (rocks, level) in peers.KNOBS.items())
    + ".",
)  # fmt: skip
