"""Commands on folders of records: what is there, is it whole, as CSV, compared pair by pair."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import compare as compares
from . import report, results
from .console import PROBLEMS, emit, guarded, out, print_table
from .definitions import METRICS, metric
from .result_ledger import Ledger, export

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Records of runs and their ledger.\n\nExample: lsmlab results list results/first",
)  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[Path, typer.Argument(help="Folder of records.", exists=True, file_okay=False)]


@app.command("list")
def list_(folder: Folder, as_json: Json = False) -> None:
    """List the finished runs and the attempts that failed.

    Example: lsmlab results list results/first
    """
    with guarded():
        ledger = Ledger(folder)
        ledger.refresh()
        rows, failed = ledger.rows(), ledger.attempts()

        def show() -> None:
            cells = [
                [r["id"], r["workload"], " ".join(map(str, r["point"].values())), str(r["seed"]), r["code"], r["finished"][:19]]
                for r in rows
            ]
            print_table(f"{len(rows)} finished runs in {folder}", ["id", "workload", "point", "seed", "code", "finished"], cells, 6)
            for when, name, what, problem in failed:
                out.print(f"failed {when[:19]} {name} {what}: {problem}", markup=False)

        emit({"runs": rows, "failed": failed}, as_json, show)


@app.command()
def check(folder: Folder, as_json: Json = False) -> None:
    """Check that every record is the one that was written when its run ended.

    Example: lsmlab results check results/first
    """
    with guarded():
        problems = Ledger(folder).problems()
        emit({"problems": problems}, as_json, lambda: out.print("\n".join(problems) or "every record is as it was written", markup=False))
        if problems:
            raise typer.Exit(PROBLEMS)


@app.command("export")
def export_(
    folder: Folder,
    to: Annotated[Path | None, typer.Option("--to", help="A file; standard output unless given.")] = None,
    metrics: Annotated[str, typer.Option("--metrics", help="Ids with commas between, or all.")] = "all",
) -> None:
    """Write a CSV with a row a run: what was varied, the summary, metrics by id.

    Example: lsmlab results export results/first --to first.csv
    """
    with guarded():
        names = list(METRICS) if metrics == "all" else [metric(m).id for m in metrics.split(",")]
        records = results.read_all(folder)
        if to is None:
            export(records, names, sys.stdout)
        else:
            with to.open("w", newline="", encoding="utf-8") as file:
                out.print(f"{export(records, names, file)} rows in {to}", markup=False)


@app.command("metrics")
def metrics_(as_json: Json = False) -> None:
    """List the definitions of all metrics: the ids that stand on every axis.

    Example: lsmlab results metrics
    """
    with guarded():
        rows = [[m.id, m.formula, m.source] for m in METRICS.values()]
        value = [dict(zip(("id", "formula", "source"), row, strict=True)) for row in rows]
        emit(value, as_json, lambda: print_table("metrics, of the run after the warm-up", ["id", "formula", "as in"], rows, 3))


@app.command()
def knobs(folder: Folder, as_json: Json = False) -> None:
    """Print how our options were told to the other engines of a sweep, and what they have no knob for.

    Example: lsmlab results knobs results/peers
    """
    with guarded():
        rows = report.knobs(results.read_all(folder))
        value = [dict(zip(("engine", "ours", "theirs", "value"), row, strict=True)) for row in rows]
        title = f"knobs of other engines in {folder}" if rows else f"no other engine ran in {folder}"
        emit(value, as_json, lambda: print_table(title, ["engine", "our option", "theirs", "value"], rows, 4))


@app.command()
def compare(
    folder: Folder,
    *,
    figures: Annotated[str, typer.Option("--figures", help="Figures or ids of metrics, with commas between.")] = ",".join(compares.DEFAULT),
    base: Annotated[str | None, typer.Option("--base", help="The point to compare with; the first unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the points of a sweep pair by pair: ratio with its 95 % interval, effect, p after Holm.

    Example: lsmlab results compare results/fork --figures p99,WA-user
    """
    with guarded():
        rows = compares.pairs(results.read_all(folder), figures.split(","), base)

        def show() -> None:
            cells = [
                [
                    r.workload, r.metric, r.point, f"{r.base:,.4g}", f"{r.value:,.4g}", f"{r.paired.ratio:.3f}",
                    f"{r.paired.low:.3f}-{r.paired.high:.3f}", f"{r.paired.effect:+.2f}", f"{r.paired.adjusted:.4f}",
                    "differs" if r.paired.clear else "not clear",
                ]
                for r in rows
            ]  # fmt: skip
            head = ["workload", "figure", "point", "base", "median", "ratio", "95 %", "effect", "p (Holm)", ""]
            n = rows[0].paired.pairs if rows else 0
            print_table(f"{n} pairs; ratio to {base or 'the first point'}, geometric mean", head, cells, 3)
            if 0 < n < 6:
                out.print(f"{n} pairs cannot differ at 5 % by the signed-rank test, whatever they are: 6 are needed", markup=False)

        emit(compares.plain(rows), as_json, show)
