"""The command `lsmlab reproduce`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from .console import PROBLEMS, emit, err, guarded, out, print_table, progress

if TYPE_CHECKING:
    from . import reproduce

Out = Annotated[Path, typer.Option("--out", help="Folder of the records, the figures and the page.")]


def reproduce_(
    ids: Annotated[list[str] | None, typer.Argument(help="Figures: F1 to F15. None: list them.", show_default=False)] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All figures: under 40 minutes on two cores.")] = False,
    out_folder: Out = Path("results/reproduce"),
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Cells at the same time.")] = max(1, min(4, os.cpu_count() or 1)),
    again: Annotated[bool, typer.Option("--again", help="Measure also what has a record.")] = False,
    tiny: Annotated[bool, typer.Option("--tiny", help="Very small, to see that it runs: the verdict means nothing then.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Reproduce published figures: measure, draw published points, model and measurement on one figure, and say PASS or DIFFERS.

    Stops at Ctrl-C and goes on when called again: what is measured keeps its record as long as the build is the same. Exit code 1 when
    a figure differs or a measurement failed.

    Example: lsmlab reproduce F1 F2 -j 2
    """
    from . import reproduce
    from .reproduce import gallery

    with guarded():
        if ids and everything:
            raise ValueError(f"{' '.join(ids)} and --all together; allowed: one of them")
        if not ids and not everything:
            value = [{"id": f.id, "title": f.title, "source": f.source, "missing": f.missing()} for f in reproduce.FIGURES.values()]
            emit(value, as_json, lambda: print_table("figures", ["", "what", "from", "not yet"], [list(v.values()) for v in value], 4))
            return
        figures = list(reproduce.FIGURES.values()) if everything else reproduce.chosen(ids or [])
        with progress(None, "reproduce") as told:
            outcomes = reproduce.run_figures(
                figures,
                out_folder,
                jobs=jobs,
                tiny=tiny,
                again=again,
                told=lambda label, done, total: told(f"{label} ({done}/{total})", done),
            )
        verdicts = [gallery.finish(o, out_folder) for o in outcomes]
        command = "lsmlab reproduce " + ("--all" if everything else " ".join(f.id for f in figures))
        page = gallery.write(out_folder, outcomes, verdicts, command)
        emit({"page": str(page), "figures": [asdict(v) for v in verdicts]}, as_json, lambda: _show(verdicts, page))
        if any(v.word in ("DIFFERS", "FAILED") for v in verdicts):
            raise typer.Exit(PROBLEMS)


def _show(verdicts: list[reproduce.Verdict], page: Path) -> None:
    rows = []
    for v in verdicts:
        for i, c in enumerate(v.checks):
            said = "" if c.ok is None else "yes" if c.ok else "NO"
            rows.append([v.id if not i else "", v.word if not i else "", c.what, c.measured, c.allowed, said])
    cells = [[escape(cell) for cell in row] for row in rows]  # marks stand in brackets
    print_table("verdicts", ["figure", "", "assertion", "measured", "allowed", "holds"], cells, 6)
    for v in verdicts:
        if v.problem:
            err.print(f"{v.id} {v.word}: {v.problem}", style="red" if v.word == "FAILED" else None, markup=False)
    words = [v.word for v in verdicts]
    out.print(", ".join(f"{words.count(w)} {w}" for w in dict.fromkeys(words)), markup=False)
    out.print(f"figures and why they differ: {page.resolve()}", markup=False)
