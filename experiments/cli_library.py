"""The command `lsmlab library`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from . import library
from .console import PROBLEMS, emit, fail, guarded, out, print_table, progress
from .library_queries import MAKERS, Disagreement
from .library_stores import INDEXES, THEM, US

STEPS = len(MAKERS) + len(INDEXES) + 14


def library_(
    *,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Rows at most.")] = 100_000,
    queries: Annotated[int, typer.Option("--queries", min=2, help="Random queries of each type.")] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    folder: Annotated[Path, typer.Option("--out", help="Folder of the page; the databases are made in it and removed.")] = Path(
        "results/library"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Index text and coordinates of this machine in every way, beside SQLite, and write a page to look at: a minute or two.

    Example: lsmlab library --rows 20000 --out results/library
    """
    from .library_page import write

    with guarded():
        folder.mkdir(parents=True, exist_ok=True)
        done = 0
        with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as home, progress(STEPS, "library") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            try:
                r = library.bench(library.Result(rows, queries, seed), Path(home), heard)
            except Disagreement as e:
                raise fail(f"the answers differ; repeat with --rows {rows} --queries {queries} --seed {seed}\n{e}", PROBLEMS) from None
            heard("drawing the page")
            path = write(r, folder, f"lsmlab library --rows {rows} --queries {queries} --seed {seed}")
        emit(r.to_dict() | {"page": str(path)}, as_json, lambda: _show(r, path))


def _show(r: library.Result, path: Path) -> None:
    rows = [[kind, f"{a.median(US):,.1f}", f"{a.median(THEM):,.1f}", f"{a.ratio:.2f}", f"{a.found:,.0f}"] for kind, a in r.asked.items()]
    print_table(f"microseconds a query, medians of {r.queries}; {r.rows:,} rows", ["query", US, THEM, "times as fast", "found"], rows)
    built = [
        [s.title, *(f"{r.build[s.name][n]:.2f}" for n in (US, THEM)), *(f"{r.bytes[s.name][n] / 1024:,.0f}" for n in (US, THEM))]
        for s in INDEXES
    ]
    print_table("indexes made online", ["index", "seconds", THEM, "KiB", THEM], built)
    loads = "; ".join(f"{n} {r.load[n]:.2f} s, with indexes {r.load_indexed[n]:.2f} s" for n in (US, THEM))
    out.print(f"{r.sources}; loaded: {loads}; {r.compared:,} answers compared, all equal", markup=False)
    out.print(f"page: {path.resolve()}", markup=False)
