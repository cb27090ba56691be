"""The commands `lsmlab bench secondary` and `lsmlab bench strategies`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from . import bench_secondary, bench_strategies
from .console import PROBLEMS, emit, err, guarded, out, print_table, progress

COLUMNS = ("insert", "update", "components", "bytes", "hit before", "hit after", "query before", "query after")
UNITS = ("µs", "µs", "", "B/row", "ns", "ns", "µs", "µs")


def bench(
    *,
    n: Annotated[int, typer.Option("--n", min=20_000, help="Rows.")] = 200_000,
    updates: Annotated[int, typer.Option("--updates", min=0, help="Updates of random rows.")] = 300_000,
    only: Annotated[str, typer.Option("--only", help="Ways whose name holds one of these, with commas between; all unless given.")] = "",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the databases are made; a temporary folder unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What ordered, hash, bitmap and R-tree indexes add to writes, their size, and what a hit costs; SQLite beside; goals.

    Example: lsmlab bench secondary --n 200000
    """
    with guarded():
        wanted = [w for w in only.split(",") if w]
        chosen = [w for w in bench_secondary.WAYS if not wanted or w.column is None or any(x in w.name for x in wanted)]
        done = 0
        with tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(len(chosen) + 1, "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            r = bench_secondary.bench(chosen, bench_secondary.Result(n, updates, seed), Path(home), heard)
        emit(r.to_dict(), as_json, lambda: _show(r))
        if not all(goal["pass"] for goal in r.goals()):
            raise typer.Exit(PROBLEMS)


def _show(r: bench_secondary.Result) -> None:
    rows = [[name, *(f"{got[c]:,.2f}" if c in got else "–" for c in COLUMNS)] for name, got in r.ways.items()]
    title = (
        f"{r.n:,} rows of 100 bytes, then {r.updates:,} updates; processor time of all threads, the less of {bench_secondary.ROUNDS} "
        "rounds; hits as row sets, before and after merging"
    )
    print_table(title, ["way", *(f"{c} {u}".strip() for c, u in zip(COLUMNS, UNITS, strict=True))], rows)
    goals = [[g["what"], f"≤ {g['goal']:g} {g['unit']}", f"{g['got']:.2f} {g['unit']}", "PASS" if g["pass"] else "FAIL"] for g in r.goals()]
    print_table("goals", ["what", "goal", "reached", ""], goals)
    told = {"one key, rows": "one ordered key with all its rows", "batched key, list": "one of a list of keys"}
    out.print("; ".join(f"{text} {r.more[name]:.0f} ns" for name, text in told.items()), markup=False)


def bench_strategies_(
    *,
    n: Annotated[int, typer.Option("--n", min=1000, help="Rows.")] = 50_000,
    updates: Annotated[int, typer.Option("--updates", min=100, help="Updates of random rows.")] = 15_000,
    ways: Annotated[str, typer.Option("--ways", help="With commas between; all unless given.")] = "",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw strategies.png in this folder.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the databases are made; a temporary folder unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The published ways of keeping a secondary index on an LSM tree, and ours: cost of writes and queries, bytes, sizes.

    Example: lsmlab bench strategies --plot .
    """
    with guarded():
        chosen = bench_strategies.chosen_ways([w for w in ways.split(",") if w])
        done = 0
        total = len(chosen) * len(bench_strategies.CARDINALITIES)
        with tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(total, "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            r = bench_strategies.bench(chosen, bench_strategies.Result(n, updates, seed), Path(home), heard)
        emit(r.to_dict(), as_json, lambda: _show_strategies(r))
        if plot is not None:
            from . import plots

            for path in plots.save([bench_strategies.plot(r)], plot):
                err.print(str(path), markup=False)


def _show_strategies(r: bench_strategies.Result) -> None:
    for values in bench_strategies.CARDINALITIES:
        rows = [[way, *(f"{got[m]:,.2f}" for m in bench_strategies.MEASURES)] for (way, v), got in r.rows.items() if v == values]
        title = f"{r.n:,} rows of 100 bytes, {r.updates:,} updates of random rows, {values:,} values; processor time of all threads"
        print_table(title, ["way", *(f"{m} {unit}" for m, unit in bench_strategies.MEASURES.items())], rows)
