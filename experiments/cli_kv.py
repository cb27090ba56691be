"""The command `lsmlab bench kv`: this engine beside every other store, with targets."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from . import bench_kv
from .bench_kv import Result
from .bench_kv_rows import Verdict
from .bench_worker import VALUE_BYTES
from .console import PROBLEMS, emit, err, guarded, out, print_table, progress
from .stores import BUDGET, peers_folder

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
LEAST_BUDGET = 5 << 20


def parse_size(text: str) -> int:
    """Bytes of "256MB" or "1GiB". ValueError for other text and for too few to share out."""
    match = re.fullmatch(r"(\d+)\s*([kmg]?i?b?)", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"a size is {text!r}; allowed: a whole number and B, KB, MB, GB, KiB, MiB or GiB")
    size = int(match[1]) * _UNITS[match[2]]
    if not LEAST_BUDGET <= size <= 1 << 40:
        raise ValueError(f"the budget is {size} bytes; allowed: {LEAST_BUDGET} to {1 << 40}")
    return size


def bench(
    *,
    n: Annotated[int, typer.Option("--n", min=1000, help="Records.")] = 1_000_000,
    value: Annotated[int, typer.Option("--value", min=1, max=1 << 20, help="Bytes of a value.")] = VALUE_BYTES,
    budget: Annotated[str, typer.Option("--budget", help="Memory of each store, a fifth for the write buffer.")] = f"{BUDGET >> 20}MiB",
    stores: Annotated[str, typer.Option("--stores", help="Names with commas between.")] = ",".join(bench_kv.DEFAULT_STORES),
    all_peers: Annotated[bool, typer.Option("--all-peers", help="Every store that is installed.")] = False,
    only: Annotated[str, typer.Option("--only", help="Workloads or groups of them, with commas between; all unless given.")] = "",
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the databases are made; a temporary folder unless given.")] = None,
    kept: Annotated[Path | None, typer.Option("--out", help="Folder of the outcomes; results/kv-... unless given.")] = None,
    page: Annotated[bool, typer.Option("--report", help="Draw the outcomes as a page, index.html in that folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """This engine beside RocksDB, Speedb, LevelDB, lsm-db and LMDB on the same operations: medians, ratios, targets, noise.

    Every outcome is kept; a run that was interrupted goes on where it was. lsm-db and speedict are looked for in build/peers too
    (`make peers`).

    Example: lsmlab bench kv --n 1000000 --all-peers --only fill,get-hot --report
    """
    with guarded():
        result = Result(n, seed, repeats, value, parse_size(budget))
        there, missing = bench_kv.installed()
        chosen = there if all_peers else stores.split(",")
        work = bench_kv.chosen_workloads(only)
        bench_kv.check_names(chosen, work)
        where = kept or Path("results") / f"kv-{n}-{value}-{result.budget >> 20}"
        if lacking := [s for s in chosen if s in missing]:
            raise ValueError(f"not installed: {', '.join(lacking)}; `make peers` puts lsm-db and speedict into {peers_folder()}")
        with tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(None, "bench") as told:

            def heard(text: str, done: int, total: int) -> None:
                told(f"{text} ({done} of {total})", done)

            try:
                bench_kv.bench(chosen, work, result, where, Path(home), heard)
            except KeyboardInterrupt:
                err.print(f"what is done is kept in {where}; the same command goes on from there", markup=False)
                raise
        left_out = missing if all_peers else []
        value_out = result.to_dict() | {"not installed": left_out}
        emit(value_out, as_json, lambda: show(result, left_out))
        if page:
            from .kv_page import write

            err.print(f"page: {write(result, where, left_out).resolve()}", markup=False)
        if any(v.passed is False for v in result.verdicts()):
            raise typer.Exit(PROBLEMS)


def number(value: float) -> str:
    """Three digits at least, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def against(v: Verdict, peer: tuple[str, float] | None, target: float | None) -> str:
    """A ratio and its target in one cell."""
    ratio = v.ratio(peer)
    if ratio is None:
        return "–"
    return f"{ratio:.2f}" + (f" ({'≤' if v.row.less else '≥'} {target:.3g})" if target is not None else "")


def cells(v: Verdict) -> list[str]:
    """A line of the table of targets."""
    row = v.row
    shown = [number(v.ours * row.scale) + (f" ({'≤' if row.less else '≥'} {row.limit * row.scale:g})" if row.limit is not None else "")]
    for peer in (v.best_lsm, v.best):
        shown.append(f"{peer[0]} {number(peer[1] * row.scale)}" if peer else "–")
    verdict = {True: "PASS", False: "FAIL", None: "–"}[v.passed]
    ratios = [against(v, peer, target) for peer, target in zip((v.best_lsm, v.best), v.targets, strict=True)]
    return [row.name, row.unit, *shown, *ratios, f"{v.noise:.2f}" if v.noise else "–", verdict]


HEADER = ["row", "unit", "ours", "best LSM peer", "best of all", "to LSM", "to all", "noise", ""]


def show(result: Result, left_out: Sequence[str] = ()) -> None:
    """The tables: targets, rates of every store, and every store against itself."""
    verdicts, stores = result.verdicts(), result.stores()
    title = f"{result.n:,} records of 16 + {result.value} bytes, {result.budget >> 20} MiB of memory, medians of {result.repeats} repeats"
    if verdicts:
        print_table(f"{title}; to: ours over theirs (target)", HEADER, [cells(v) for v in verdicts], 2)
    rated = [w for w in bench_kv.ALL if any(result.figure(s, w) for s in stores)]
    rows = [[w, *(number(r / 1000) if (r := result.figure(s, w)) else "–" for s in stores)] for w in rated]
    print_table("thousand operations a second", ["workload", *stores], rows)
    noise: list[list[Any]] = [[s, number(x[len(x) // 2]), number(x[-1]), str(len(x))] for s, x in result.noises().items() if x]
    if noise:
        print_table("each store against itself: the fastest repeat over the slowest", ["store", "median", "largest", "workloads"], noise)
    versions = ", ".join(f"{s} {v}" for s, v in result.versions.items())
    lack = f"; not installed: {', '.join(left_out)}" if left_out else ""
    failed = sum(v.passed is False for v in verdicts)
    out.print(f"{versions}{lack}", markup=False)
    out.print(f"{len(verdicts)} rows, {failed} failed, {sum(v.passed is None for v in verdicts)} without a peer to judge by", markup=False)
