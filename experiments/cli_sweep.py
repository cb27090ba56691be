"""The command `lsmlab sweep`: a suite given on the command line instead of in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer

from . import runner
from . import suite as suites
from .console import PROBLEMS, emit, err, guarded, out, progress

CORES = max(1, min(4, (os.cpu_count() or 1)))


def sweep(
    workloads: Annotated[str, typer.Argument(help="Names of workloads, with commas between; lsmlab list has them.")],
    *,
    grid: Annotated[
        list[str] | None, typer.Option("--grid", "-g", help="NAME=VALUE,VALUE: every combination is run. May be repeated.")
    ] = None,
    fixed: Annotated[list[str] | None, typer.Option("--set", "-s", help="NAME=VALUE: an option of the engine, or run.NAME.")] = None,
    records: Annotated[int, typer.Option("--records", min=1)] = 100_000,
    operations: Annotated[int, typer.Option("--operations", min=1)] = 100_000,
    warmup: Annotated[float, typer.Option("--warmup", help="Share of the operations that is left out.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Seeds: each another tree and another stream.")] = 1,
    fork: Annotated[bool, typer.Option("--fork", help="Every point starts from the same tree, built with the --set options.")] = False,
    folder: Annotated[Path, typer.Option("--out", help="Folder of the records.")] = Path("results/sweep"),
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at the same time.")] = CORES,
    on: Annotated[str, typer.Option("--on", help="local, or ray: a Ray cluster (RAY_ADDRESS, else one on this machine).")] = "local",
    any_code: Annotated[bool, typer.Option("--any-code", help="Records by other code count as done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a grid of options on workloads, resumable; OUT/sweep.toml is the suite that it was.

    Example: lsmlab sweep ycsb-a,ycsb-e -g compaction.layout=leveling,tiering -s threads=0 --fork --repeats 6 --out results/layouts
    """
    with guarded():
        table = document(workloads.split(","), grid or (), fixed or ())
        table |= {"records": records, "operations": operations, "warmup": warmup, "seed": seed, "repeats": repeats, "fork": fork}
        text = tomli_w.dumps(table)
        suite = suites.parse(text, folder / "sweep.toml")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sweep.toml").write_text(text)
        with progress(len(suite.runs()), "sweep") as told:
            o = runner.run_suite(
                suite,
                folder,
                jobs,
                any_code=any_code,
                place=runner.place(on, folder, keep=False),
                told=lambda label, done, total: told(label, done),
            )
        for label, problem in o.failed.items():
            err.print(f"failed: {label}: {problem}", style="red", markup=False)
        value = {"folder": str(folder), "done": o.done, "skipped": o.skipped, "failed": o.failed}
        said = f"{len(o.done)} runs done, {len(o.skipped)} found finished, {len(o.failed)} failed; records in {folder}"
        emit(value, as_json, lambda: out.print(f"{said}\nlsmlab report {folder / 'sweep.toml'} --out {folder} draws them", markup=False))
        if o.failed:
            raise typer.Exit(PROBLEMS)


def document(workloads: list[str], grid: Any, fixed: Any) -> dict[str, Any]:
    """The suite of such words, as a TOML document. ValueError for what is no NAME=VALUE."""
    points = {name: [value_of(v) for v in values.split(",")] for name, values in map(_pair, grid)}
    options: dict[str, Any] = {}
    driven = {}
    for name, value in map(_pair, fixed):
        if name.startswith(suites.RUN):
            driven[name.removeprefix(suites.RUN)] = value_of(value)
        else:
            options = suites.merged(options, {name: value_of(value)})
    varied = ", ".join(points) or "nothing"
    return {
        "name": "sweep", "question": f"What do {varied} change on {', '.join(workloads)}?", "expectation": "None was stated.",
        "refuted_if": "Nothing: this is a look, not a test.", "workloads": workloads, "run": driven, "options": options, "grid": points,
    }  # fmt: skip


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ValueError(f"{text!r} is no NAME=VALUE")
    return name.strip(), value.strip()


def value_of(text: str) -> Any:
    """A number, true or false where it reads as one, else the text."""
    try:
        value = json.loads(text.replace("_", "") if text.replace("_", "").isdigit() else text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
