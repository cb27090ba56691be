"""The commands `lsmlab advise` and `lsmlab bench advisor`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

import lsm
import recovery
from lsm.secondary import advisor
from lsm.secondary.workload import Workload

from . import bench_advisor
from .advisor_workload import make_table, make_workload
from .console import PROBLEMS, emit, guarded, out, print_table, progress

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def parse_size(text: str) -> float:
    """Return the bytes of 64M, 1.5GiB, 4096. ValueError."""
    if not (m := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)):
        raise ValueError(f"space is {text!r}; allowed: bytes, with K, M or G behind")
    return float(m[1]) * _UNITS[m[2].upper()]


def advise(
    db: Annotated[Path, typer.Argument(help="Directory of the database.")],
    table: Annotated[str, typer.Argument(help="Table.")],
    *,
    workload: Annotated[Path, typer.Option("--workload", help="Queries: a JSON file, logged or written by hand.")],
    space: Annotated[str | None, typer.Option("--space", help="Bytes that the new indexes may take, such as 64M.")] = None,
    write: Annotated[float | None, typer.Option("--write", min=0, help="Microseconds that they may add to a row written.")] = None,
    writes: Annotated[float | None, typer.Option("--writes", min=0, help="Rows written while the queries are asked.")] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Rows of the sample.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Try the indexes on the sample.")] = True,
    create: Annotated[bool, typer.Option("--create", help="Build what is advised.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as a page there.")] = None,
    as_json: Json = False,
) -> None:
    """Advise which indexes a table should have for a workload, what they save, and what they cost.

    Example: lsmlab advise my.db people --workload people.json --space 64M
    """
    with guarded():
        load, limit = Workload.load(workload), None if space is None else parse_size(space)
        with lsm.open(db, create=False, read_only=not create) as opened:
            if table not in (names := sorted(s.name for s in opened.spaces.values() if s.number in opened.state.attached)):
                raise ValueError(f"no table {table!r}; there are {', '.join(names) or 'none'}")
            advice = opened.table(table).advise(
                load, space=limit, write=write, writes=writes, sample=sample, seed=seed, verify=verify
            )  # fmt: skip
            if html is not None:
                html.write_text(advice.to_html(), encoding="utf-8")
            emit(advice.to_json(), as_json, lambda: out.print(advice.report(), markup=False))
            if create and (made := advice.create()) and not as_json:
                out.print(f"made: {', '.join(made)}", markup=False)


def bench(
    *,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Workloads.")] = 8,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Rows of the table.")] = 5000,
    candidates: Annotated[int, typer.Option("--candidates", min=1, max=14, help="Of each workload.")] = 12,
    example: Annotated[bool, typer.Option("--report/--no-report", help="Print the advice for the first workload too.")] = True,
    as_json: Json = False,
) -> None:
    """The advisor's choice against the best of all sets of indexes under the same budgets, on generated workloads.

    Example: lsmlab bench advisor --seeds 3
    """
    with guarded():
        done = 0
        with progress(seeds, "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            r = bench_advisor.bench(range(1, seeds + 1), rows, candidates, heard)
        report = _example(rows, candidates) if example and not as_json else ""
        emit(r.to_dict(), as_json, lambda: _show(r, report))
        if not all(g["pass"] for g in r.goals()):
            raise typer.Exit(PROBLEMS)


def _example(rows: int, candidates: int) -> str:
    with lsm.open("/example", {"threads": 0}, fs=recovery.memory()) as db:
        table = make_table(db, 1, rows)
        load = make_workload(1, writes=2000)
        return advisor.advise(table, load, sample=2000, seed=1, most=candidates, space=rows * 40).report()


def _show(r: bench_advisor.Result, report: str) -> None:
    if report:
        out.print(report, markup=False)

    def cells(row: bench_advisor.Row) -> list[str]:
        gains = [f"{100 * g:.1f}" for g in (row.gain, row.best_gain, row.share)]
        return [f"{row.seed}", f"{row.candidates}", f"{100 * row.budget:.0f} %", str(len(row.chosen)), str(len(row.best)), *gains]

    head = ["workload", "candidates", "budget", "chosen", "best set", "gain %", "best gain %", "share %"]
    print_table(f"gain of the workload's cost, {r.rows_of_table:,} rows; budget: of the space of all candidates", head, map(cells, r.rows))
    goals = [[g["what"], f"≥ {100 * g['goal']:g} %", f"{100 * g['got']:.1f} %", "PASS" if g["pass"] else "FAIL"] for g in r.goals()]
    print_table("goal", ["what", "goal", "reached", ""], goals)
    out.print(f"choosing took {r.greedy_s:.2f} s, trying all sets {r.exhaustive_s:.2f} s, what-if plans included", markup=False)
