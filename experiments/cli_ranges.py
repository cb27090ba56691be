"""The command `lsmlab bench ranges`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import bench_ranges
from .console import PROBLEMS, emit, guarded, out, print_table, progress


def bench(
    *,
    n: Annotated[int, typer.Option("--n", min=1000, help="Keys.")] = 1_000_000,
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Range filters, learned search beside pygm and numpy, and short scans of nothing with and without range filters.

    Example: lsmlab bench ranges --n 200000
    """
    with guarded():
        done = 0
        names = list(bench_ranges.FILTERS)
        with progress(len(names) + 1 + len(bench_ranges.SCANNED), "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            r = bench_ranges.bench(names, bench_ranges.Result(n, seed, repeats), heard)
        emit(r.to_dict(), as_json, lambda: _show(r))
        if not all(goal["pass"] for goal in r.goals()):
            raise typer.Exit(PROBLEMS)


def _show(r: bench_ranges.Result) -> None:
    widths = bench_ranges.WIDTHS
    rows = [
        [f.name, f"{f.bits:.2f}", f"{f.build:.0f}", f"{f.hit:.0f}"]
        + [f"{f.ask[w]:.0f}" for w in widths]
        + [f"{100 * f.false[w]:.3f}" for w in widths]
        for f in r.filters
    ]
    header = ["range filter", "bits/key", "build", "key in", *(f"2^{w}" for w in widths), *(f"false % 2^{w}" for w in widths)]
    print_table(f"nanoseconds a key, or a range without keys; {r.n:,} random 64-bit keys; least of {r.repeats}", header, rows)

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    found = [
        [s.name, number(s.build, ".0f"), f"{s.one:.0f}", number(s.batch, ".0f"), f"{s.size:,.0f}", number(s.lines, ",")] for s in r.searches
    ]
    print_table("search in a sorted array: nanoseconds a key", ["", "build", "one call", "of a batch", "bytes", "lines"], found)
    scans = [[s.name, f"{s.cached:.2f}", f"{s.uncached:.2f}", f"{s.blocks:.2f}", f"{100 * s.saved:.1f}"] for s in r.scans]
    title = f"scans of ranges in which there is nothing, {bench_ranges.RUNS} sorted runs"
    print_table(title, ["range filter", "µs, cached", "µs, no cache", "blocks", "tables saved %"], scans)
    goals = [[g["what"], f"≤ {g['goal']:g} {g['unit']}", f"{g['got']:.3g} {g['unit']}", "PASS" if g["pass"] else "FAIL"] for g in r.goals()]
    print_table("goals", ["what", "goal", "reached", ""], goals)
    out.print(", ".join(f"{name} {v}" for name, v in r.versions.items()), markup=False)
    if bench_ranges.PEER not in r.versions:
        out.print(f"{bench_ranges.PEER} is not installed: pip install 'lsmlab[peers]'", markup=False)
