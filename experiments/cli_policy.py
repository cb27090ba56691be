"""Commands on compaction policies of users: new, check, list."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import lsm

from .console import PROBLEMS, emit, guarded, out, print_table, progress
from .policies.dominance import MEASURES, Standing, standings
from .policies.files import load, starting_point
from .policies.trials import Verdict, check, trials

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Compaction policies of your own.\n\nExample: lsmlab policy new mine"
)  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PolicyFile = Annotated[Path, typer.Argument(help="A Python file that registers compaction policies.")]


@app.command("new")
def new_(
    name: Annotated[str, typer.Argument(help="Name of the policy; the file is NAME.py.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where the file goes.")] = Path(),
) -> None:
    """Write a starting point: NAME.py, a policy of four short functions, commented.

    Example: lsmlab policy new mine
    """
    with guarded():
        text, path = starting_point(name), folder / f"{name}.py"
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        steps = [f"  lsmlab policy check {path}", f"  lsmlab run --policy {path}"]
        out.print(f"{path}: change its functions, then", *steps, sep="\n", markup=False)


@app.command("check")
def check_(
    file: PolicyFile,
    *,
    entries: Annotated[int, typer.Option("--entries", min=1000, help="Writes of the comparison with the built-ins.")] = 60_000,
    strict: Annotated[bool, typer.Option("--strict", help="A policy that a built-in dominates is a problem (exit code 1).")] = False,
    as_json: Json = False,
) -> None:
    """Try a policy: legal plans that come to an end, purity, tie-break, engine against simulator and against a dict, hot swap, dominance.

    Example: lsmlab policy check mine.py
    """
    with guarded():
        names = load(file)
        with progress(len(names) * len(trials(file, "")), "trials") as told:
            done = iter(range(10**6))
            found = check(file, lambda what: told(what, next(done)))
        good = [name for name, verdicts in found.items() if verdicts[0].passed]
        with progress(None, "against the built-ins") as told:
            compared = {name: standings(name, entries, lambda what: told(f"against the built-ins: {what}", 0)) for name in good}
        value = {
            name: {"trials": [asdict(v) for v in verdicts], "standings": [asdict(s) for s in compared.get(name, ())]}
            for name, verdicts in found.items()
        }
        emit(value, as_json, lambda: _show(found, compared))
        failed = any(not v.passed for verdicts in found.values() for v in verdicts)
        dominated = any(s.dominated_by for rows in compared.values() for s in rows)
        if failed or (strict and dominated):
            raise typer.Exit(PROBLEMS)


def _show(found: dict[str, list[Verdict]], compared: dict[str, list[Standing]]) -> None:
    for name, verdicts in found.items():
        for v in verdicts:
            out.print(f"{'PASS' if v.passed else 'FAIL'}  {name}: {v.trial}: {v.detail}", style=None if v.passed else "red", markup=False)
        for s in compared.get(name, ()):
            header = ["policy", *(f"{what} ({m})" for m, what in MEASURES.items())]
            rows = [[f.policy, *(f"{f.values[m]:.2f}" for m in MEASURES)] for f in (s.own, *s.others)]
            print_table(f"{s.workload}: {s.own.policy} beside the built-ins, in the simulator; lower is better", header, rows)
        if name in compared:
            by = [f"on {s.workload} by {'; '.join(s.dominated_by)}" for s in compared[name] if s.dominated_by]
            line = f"DOMINATED  {name} {' and '.join(by)}" if by else f"NOT DOMINATED  {name}: no built-in is as good in all three"
            out.print(line, style="yellow" if by else None, markup=False)
        failed = sum(not v.passed for v in verdicts)
        out.print(f"{name}: {f'{failed} trials failed' if failed else 'sound'}", markup=False)


@app.command("list")
def list_(
    file: Annotated[Path | None, typer.Argument(help="Also the policies of this file.")] = None,
    as_json: Json = False,
) -> None:
    """List layouts, pickers with their tie-breaks, and registered policies.

    Example: lsmlab policy list
    """
    with guarded():
        if file is not None:
            load(file)
        value: list[dict[str, Any]] = []
        for what, registry in (("layout", lsm.LAYOUTS), ("picker", lsm.PICKERS), ("policy", lsm.COMPACTIONS)):
            for name, made in sorted(registry.items()):
                part = made() if what == "policy" else made
                about = (inspect.getdoc(part) or "").split("\n")[0] if what != "policy" or type(part).__doc__ else ""
                value.append({"what": what, "name": name, "tie_break": getattr(part, "tie_break", ""), "about": about})

        def show() -> None:
            print_table(
                "compaction",
                ["what", "name", "tie-break", "about"],
                [[r[k] for k in ("what", "name", "tie_break", "about")] for r in value],
                4,
            )

        emit(value, as_json, show)
