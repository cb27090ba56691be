"""The command `lsmlab bench filters`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import bench_filters
from .console import PROBLEMS, emit, guarded, out, print_table, progress


def bench(
    *,
    n: Annotated[int, typer.Option("--n", min=1000, help="Keys.")] = 1_000_000,
    kinds: Annotated[str, typer.Option("--kinds", help="Ours, with commas between; all unless given.")] = "",
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Our filters beside rbloom, fastbloom-rs, pyfusefilter and pybloom_live on the same keys; least times, sizes, rates, goals.

    Example: lsmlab bench filters --kinds bloom,ribbon
    """
    with guarded():
        chosen = bench_filters.contestants([kind for kind in kinds.split(",") if kind])
        done = 0
        with progress(repeats * len(chosen) + 1, "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            r = bench_filters.bench(chosen, bench_filters.Result(n, seed, repeats), heard)
        emit(r.to_dict(), as_json, lambda: _show(r))
        if not all(goal["pass"] for goal in r.goals()):
            raise typer.Exit(PROBLEMS)


def _show(r: bench_filters.Result) -> None:
    def cells(row: bench_filters.Row) -> list[str]:
        times = [f"{row.nanoseconds[m]:,.1f}" if m in row.nanoseconds else "–" for m in bench_filters.MEASURES]
        return [row.name, *times, f"{row.bits:.2f}", f"{100 * row.rate:.4f}", f"{row.keys:,}"]

    title = f"nanoseconds a key on a processor, least of {r.repeats}; {r.n:,} random integers; ours first"
    print_table(title, ["filter", *bench_filters.MEASURES, "bits/key", "false %", "keys"], [cells(row) for row in r.rows])
    goals = [[g["what"], f"≤ {g['goal']:g} {g['unit']}", f"{g['got']:.2f} {g['unit']}", "PASS" if g["pass"] else "FAIL"] for g in r.goals()]
    print_table("goals", ["what", "goal", "reached", ""], goals)
    out.print(", ".join(f"{name} {v}" for name, v in r.versions.items()), markup=False)
    for package in r.missing:
        out.print(f"{package} is not installed: pip install 'lsmlab[peers]'", markup=False)
