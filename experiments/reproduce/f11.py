"""F11: false-positive rates of filters against their memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import indexes
from indexes import filters
from indexes.ranges import SuRF

from ..costs import Mark
from ..costs.filters import bloom_rate, filter_rate
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows, published_lines
from .judge import Check, told, within, worst_within

KEYS, MOST_PROBES, CHUNK, ERRORS = 1_000_000, 640_000_000, 2_000_000, 20_000
WIDTH = 2**37
BLOOM, BLOCKED, PEBBLE, RIBBON = "Bloom", "blocked Bloom", "blocked Bloom with Pebble's probes", "Ribbon"
FUSE8, FUSE16, SURF = "binary fuse, 8 bits", "binary fuse, 16 bits", "SuRF-base"
LINE, PEBBLE_PROBES, PEBBLE_KEYS = 512, {5: 3, 8: 5}, 10_000  # probes above 8 bits a key: 6, as its simulation.md lists them
TABLE = {5: 0.0915, 8: 0.0245, 10: 0.0114, 12: 0.00605, 16: 0.00245, 20: 0.00140}
PUBLISHED = (
    Published(PEBBLE, Mark.CODE, tuple((float(b), p) for b, p in TABLE.items()), "Pebble simulation.md; filters of 9,000 to 11,000 keys"),
    Published(FUSE8, Mark.CODE, ((9.0, 0.00391),), "Pebble simulation.md, 1 M keys"),
    Published(FUSE16, Mark.CODE, ((18.0, 0.000015),), "Pebble simulation.md; x is twice that of 8 bits"),
    Published(RIBBON, Mark.CODE, ((7.0, bloom_rate(10)),), "RocksDB blog 2021-12-29: 7 bits where Bloom needs 10 for the same rate"),
    Published(SURF, Mark.PDF, ((10.0, 0.04),), "SuRF (SIGMOD 2018) Figure 8: points; ranges of 2^37: 1.75 %; random 64-bit integers"),
)
KINDS = {
    "bloom": (BLOOM, tuple(TABLE)), "blocked_bloom": (BLOCKED, tuple(TABLE)), "pebble": (PEBBLE, tuple(TABLE)),
    "ribbon": (RIBBON, (5, 7, 10)),
    "binary_fuse8": (FUSE8, (9,)), "binary_fuse16": (FUSE16, (18,)), "surf": (SURF, (10,)),
}  # fmt: skip


def cells(tiny: bool) -> Sequence[Cell]:
    n, most = (20_000, 1_000_000) if tiny else (KEYS, MOST_PROBES)
    return [{"kind": kind, "bits": bits, "keys": n, "most": most} for kind, (_, many) in KINDS.items() for bits in many]


def probes_for(rate: float, most: int) -> int:
    """So many that 20,000 of them err, in whole chunks, within the limits."""
    return max(1, min(most, round(ERRORS / rate)) // CHUNK) * CHUNK


def measure(cell: Cell) -> Got:
    rng = np.random.default_rng(5)
    keys = np.unique(rng.integers(0, 2**63, cell["keys"], dtype=np.int64)) * 2
    if cell["kind"] == "surf":
        return _surf(np.sort(keys.astype(np.uint64)), rng)
    if cell["kind"] == "pebble":
        return _pebble(cell["bits"], min(100, cell["most"] // 100_000), rng)
    made = filters.filter_class(cell["kind"]).build(keys, float(cell["bits"]))
    expected = filter_rate(cell["kind"], float(cell["bits"]))
    asked = probes_for(expected, cell["most"])
    wrong = sum(
        int(np.count_nonzero(made.may_contain_many(rng.integers(0, 2**62, CHUNK, dtype=np.int64) * 2 + 1))) for _ in range(asked // CHUNK)
    )
    return {
        "bits": 8 * made.size_bytes / len(keys),
        "rate": wrong / asked,
        "probes": asked,
        "model": expected,
        "c2": bloom_rate(cell["bits"]),
    }


def _pebble(bits: int, times: int, rng: np.random.Generator) -> Got:
    """Filters of 10,000 hashes with the probes of Pebble (and of RocksDB's first format).

    The line is the 32-bit hash modulo an odd number of lines, its bits are the low 9 bits of hash + i delta, delta the
    hash rotated by 17."""
    lines = np.uint32((PEBBLE_KEYS * bits + LINE - 1) // LINE | 1)
    probes, wrong, asked = PEBBLE_PROBES.get(bits, 6), 0, 0

    def places(hashes: np.ndarray) -> np.ndarray:
        delta = hashes >> np.uint32(17) | hashes << np.uint32(15)
        steps = hashes[:, None] + delta[:, None] * np.arange(probes, dtype=np.uint32)
        return (hashes % lines).astype(np.int64)[:, None] * LINE + (steps & np.uint32(LINE - 1)).astype(np.int64)

    for _ in range(times):
        is_set = np.zeros(int(lines) * LINE, np.bool_)
        is_set[places(rng.integers(0, 2**32, PEBBLE_KEYS, dtype=np.uint32))] = True
        wrong += int(np.count_nonzero(is_set[places(rng.integers(0, 2**32, 400_000, dtype=np.uint32))].all(axis=1)))
        asked += 400_000
    rate = wrong / asked - PEBBLE_KEYS / 2**32  # those that were built in
    return {"bits": int(lines) * LINE / PEBBLE_KEYS, "rate": rate, "probes": asked, "model": TABLE[bits]}


def _surf(keys: np.ndarray, rng: np.random.Generator) -> Got:
    """Points, and ranges of 2^37 in which there is no key."""
    made = SuRF.build(keys, suffix="none", suffix_bits=0)
    asked = rng.integers(0, 2**63, CHUNK, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    rate = float(made.may_contain_many(asked).mean())
    low = asked[asked < np.uint64(2**64 - WIDTH - 1)]
    high = low + np.uint64(WIDTH)
    empty = np.searchsorted(keys, low) == np.searchsorted(keys, high)
    ranges = float(made.may_contain_ranges(low[empty], high[empty]).mean())
    return {"bits": made.bits_per_key, "rate": rate, "ranges": ranges, "probes": len(asked), "model": rate}


def judge(rows: Rows) -> Sequence[Check]:
    blocked = {r.cell["bits"]: r.got for r in rows.where(kind="blocked_bloom")}
    pebble = {r.cell["bits"]: r.got for r in rows.where(kind="pebble")}
    fuse8, fuse16, surf = (rows.where(kind=k)[0].got for k in ("binary_fuse8", "binary_fuse16", "surf"))
    at = {kind: {r.cell["bits"]: r.got["rate"] for r in rows.where(kind=kind)} for kind in ("bloom", "ribbon")}
    return [
        worst_within("Bloom = C2", [(f"{r.cell['bits']} bits", r.got["rate"], r.got["c2"]) for r in rows.where(kind="bloom")], 0.05),
        worst_within(f"{PEBBLE} = its table [code]", [(f"{b} bits", g["rate"], TABLE[b]) for b, g in pebble.items()], 0.05),
        worst_within("the engine's blocked Bloom = C26", [(f"{b} bits", g["rate"], g["model"]) for b, g in blocked.items()], 0.05),
        told(
            "the engine's blocked Bloom at 10 and 16 bits",
            f"{blocked[10]['rate']:.3%}, {blocked[16]['rate']:.3%}",
            "1.14 %, 0.245 % [code], Pebble's",
        ),
        within("binary fuse of 8 bits = 2^-8", fuse8["rate"], 2**-8, 0.03),
        within("binary fuse of 16 bits = 2^-16", fuse16["rate"], 2**-16, 0.03),
        told("binary fuse of 8 bits takes", f"{fuse8['bits']:.2f} bits a key", "9.0 [code]"),
        told("Ribbon at 7 bits, Bloom at 10", f"{at['ribbon'][7]:.3%}, {at['bloom'][10]:.3%}", "about equal [code]"),
        told("SuRF-base: points", f"{surf['rate']:.2%} at {surf['bits']:.1f} bits", "4 % at 10 bits [PDF]"),
        told("SuRF-base: ranges of 2^37", f"{surf['ranges']:.2%}", "1.75 % [PDF]"),
    ]


def panels(rows: Rows) -> Sequence[Panel]:
    made: list[Line] = []
    for i, (kind, (name, _)) in enumerate(KINDS.items()):
        points = sorted((r.got["bits"], r.got["rate"]) for r in rows.where(kind=kind))
        made.append(Line(f"{name}, measured", points, "measured", i))
    bits = np.arange(5, 20.5, 0.5)
    made.append(Line("Bloom, model C2", [(float(b), bloom_rate(float(b))) for b in bits], "model", 0))
    made.append(
        Line("blocked Bloom, model C26", [(float(b), indexes.filter_ops("blocked_bloom").expected_fpr(float(b))) for b in bits], "model", 1)
    )
    made += published_lines(PUBLISHED, {name: i for i, (name, _) in enumerate(KINDS.values())})
    return [Panel("1 M random 64-bit integers", "bits a key, as they are", "false-positive rate", made, yscale="log", from_zero=False)]


FIGURE = Figure(
    id="F11",
    title="What a bit of filter memory buys",
    source="Pebble simulation.md; RocksDB blog on Ribbon; SuRF (SIGMOD 2018) Figure 8",
    question="How many false positives do filters let pass for their memory?",
    definition="Share of keys that were not built in and pass; the memory is that of the filter's bytes.",
    scale="as published: 1 M keys; so many probes that about 20,000 err (at most 640 M).",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "Pebble's table is that of its own filter: it takes the bits of a line at equal steps, which collide more than "
    "independent ones, and never more than six. Built and probed that way, the table comes out. The engine's blocked Bloom has lines of "
    "512 bits too, but independent bits and the best number of them: it meets the closed form for that, and lets a third of Pebble's "
    "errors pass at 16 bits. SuRF is not asserted: its rate hangs on how deep the trie of the keys is, so on their number, which the "
    "study does not give: with 1 M keys the gap between two is 2^44 on average, against which a range of 2^37 is a point.",
)  # fmt: skip
