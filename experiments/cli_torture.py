"""The command `lsmlab torture`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from . import torture
from .console import PROBLEMS, emit, err, guarded, out, print_table, progress
from .torture.runner import MOST_SHOWN


def torture_(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="What every change must pass: some minutes. The default.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The whole suite: hours; stops at Ctrl-C and goes on when called again.")] = False,
    only: Annotated[str, typer.Option("--only", help="Letters of rows with commas between; all unless given.")] = "",
    slice_name: Annotated[str, typer.Option("--slice", help="Do this slice alone, again.")] = "",
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the records.")] = Path("results/torture"),
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Slices at the same time.")] = max(1, min(4, os.cpu_count() or 1)),
    again: Annotated[bool, typer.Option("--again", help="Forget what is done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Faults at every call, power loss in every state, kills, flipped bits, random operations: nothing may be lost, wrong, crash or hang.

    Example: lsmlab torture --quick
    """
    with guarded():
        if quick and full:
            raise ValueError("--quick and --full together; allowed: one of them")
        letters = [x.strip().upper() for x in only.split(",") if x.strip()] or list(torture.ROWS)
        if unknown := [x for x in letters if x not in torture.ROWS]:
            raise ValueError(f"no row {unknown[0]!r}; allowed: {', '.join(f'{r.letter} ({r.title})' for r in torture.ROWS.values())}")
        rows = [torture.ROWS[x] for x in letters]
        total = sum(len(r.slices(full)) for r in rows) if not slice_name else 1
        with progress(total, "torture") as told:
            outcomes = torture.run_rows(
                rows, out_folder, full=full, jobs=jobs, only=slice_name, again=again or bool(slice_name),
                told=lambda label, done, _: told(label, done),
            )  # fmt: skip
        value = [
            {"row": o.row.letter, "cases": o.found.cases, "goal": o.goal, "short": o.short, "seconds": o.seconds, **o.found.to_dict()}
            for o in outcomes
        ]
        emit(value, as_json, lambda: _show(outcomes, full))
        if any(o.found.violations for o in outcomes) or (not slice_name and any(o.short and not o.found.missing for o in outcomes)):
            raise typer.Exit(PROBLEMS)


def _show(outcomes: list[torture.Outcome], full: bool) -> None:
    rows = []
    for o in outcomes:
        verdict = "FAIL" if o.found.violations else "missing" if o.found.missing else "short" if o.short else "pass"
        more = ", ".join(f"{n:,} {name}" for name, n in o.found.more.items())
        rows.append([o.row.letter, o.row.title, f"{o.found.cases:,}", o.row.unit, f"{o.goal:,}", more, f"{o.seconds:,.0f}", verdict])
    header = ["row", "what", "done", "unit", "goal", "more", "CPU s", ""]
    print_table(f"torture --{'full' if full else 'quick'}", header, rows, 2)
    for o in outcomes:
        for line in o.found.violations[:MOST_SHOWN]:
            err.print(line, style="red", markup=False)
            name = line.split(": ")[0].split("/", 1)[1]
            err.print(f"  repeat with: lsmlab torture --{'full' if full else 'quick'} --only {o.row.letter} --slice {name}", markup=False)
        if len(o.found.violations) > MOST_SHOWN:
            err.print(f"  and {len(o.found.violations) - MOST_SHOWN} more in row {o.row.letter}", markup=False)
        if o.found.missing:
            out.print(f"row {o.row.letter}: {o.found.missing}", markup=False)
    if not any(o.found.violations for o in outcomes):
        out.print("0 lost, 0 silently wrong, 0 crashes, 0 hangs", markup=False)
