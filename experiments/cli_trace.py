"""Commands on operation traces: record, replay, info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import trace_files
from .console import emit, guarded, open_database, out, print_table, progress
from .names import listed
from .workloads import WORKLOADS

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Operation traces: every call with its key, lengths and time.\n\nExample: lsmlab trace info app.ops",
)  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
File = Annotated[Path, typer.Argument(help="The trace.", exists=True, dir_okay=False)]


@app.command()
def record(
    workload: Annotated[str, typer.Argument(help="Name of a workload; lsmlab list has them.")],
    file: Annotated[Path, typer.Argument(help="Where the trace goes; must not exist.")],
    *,
    records: Annotated[int, typer.Option("--records", min=1, help="Loaded before.")] = 100_000,
    operations: Annotated[int, typer.Option("--operations", min=1)] = 100_000,
    value_bytes: Annotated[int, typer.Option("--value-bytes", min=0, help="Of values whose size the workload leaves open.")] = 100,
    seed: Annotated[int, typer.Option("--seed")] = 1,
) -> None:
    """Play a workload on a database in memory and record its calls. `experiments.recorder.Recorder` records those of your program.

    Example: lsmlab trace record ycsb-a a.ops --records 100000 --operations 50000
    """
    with guarded():
        if workload not in WORKLOADS:
            raise ValueError(f"no workload {workload!r}; there are {listed(workload, WORKLOADS)}")
        with progress(operations, "recording") as told:
            n = trace_files.record(WORKLOADS[workload], records, operations, seed, value_bytes, file, told)
        out.print(f"{n:,} operations in {file} ({file.stat().st_size:,} bytes)", markup=False)


@app.command()
def replay(
    file: File,
    db: Annotated[Path, typer.Option("--db", help="Database to replay on; made when it is not there.")],
    *,
    timed: Annotated[bool, typer.Option("--timed", help="No call earlier than it was then, instead of as fast as it goes.")] = False,
    as_json: Json = False,
) -> None:
    """Make the calls of a trace of a database, with values of the sizes that were recorded.

    Example: lsmlab trace replay a.ops --db /tmp/replayed
    """
    with guarded(), open_database(db) as opened:
        with progress(None, "replaying") as told:
            r = trace_files.replay(file, opened, timed=timed, told=told)

        def show() -> None:
            rate = r["operations"] / max(1e-9, r["seconds"])
            out.print(
                f"{r['operations']:,} operations in {r['seconds']:.2f} s, {rate:,.0f} a second; {r['loaded']:,} records loaded before",
                markup=False,
            )
            out.print(", ".join(f"p{q} {r[f'p{q}_us']:,.1f} µs" for q in ("50", "99", "99.9", "100")), markup=False)
            out.print(f"gets that found something where the trace did not, or the other way round: {r['found_otherwise']:,}", markup=False)

        emit(r, as_json, show)


@app.command()
def info(file: File, as_json: Json = False) -> None:
    """Tell what is in a trace: operations by kind, keys, bytes, time.

    Example: lsmlab trace info a.ops --json
    """
    with guarded():
        found = trace_files.info(file)
        rows = [[name.replace("_", " "), f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"] for name, value in found.items()]
        emit(found, as_json, lambda: print_table(str(file), ["what", ""], rows))
