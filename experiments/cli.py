"""The command `lsmlab`: experiments and benchmarks. The commands on one database are in cli_db.py, how it talks in console.py."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from . import crashtest, plots, report, results, runner
from . import suite as suites
from .bench_bitmap import bench as bench_bitmap_
from .bench_encryption import command as bench_encryption_
from .bench_native import command as bench_native_
from .bench_spatial import command as bench_spatial_
from .bench_stalls import command as bench_stalls_
from .bench_worker import WORKLOADS
from .cli_advise import advise as advise_
from .cli_advise import bench as bench_advisor_
from .cli_backup import app as backup_app
from .cli_cache import bench as bench_cache_
from .cli_cache_look import app as cache_app  # with the commands of both
from .cli_care import check_, repair_
from .cli_db import app as db_app
from .cli_encryption import app as encryption_app
from .cli_filters import bench as bench_filters_
from .cli_kv import bench as bench_kv_
from .cli_library import library_
from .cli_model import app as model_app
from .cli_policy import app as policy_app
from .cli_ranges import bench as bench_ranges_
from .cli_reproduce import reproduce_
from .cli_results import app as results_app
from .cli_secondary import bench as bench_secondary_
from .cli_secondary import bench_strategies_
from .cli_simulate import simulate_
from .cli_sweep import sweep as sweep_
from .cli_text import bench as bench_text_
from .cli_torture import torture_
from .cli_trace import app as trace_app
from .cli_views import explain_, view_
from .console import INTERRUPTED, PROBLEMS, emit, err, fail, guarded, out, print_table, progress
from .policies.files import load as load_policies
from .stores import STORES
from .workloads import WORKLOADS as STREAMS

app = typer.Typer(
    name="lsmlab", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False,
    help="An LSM engine whose every part can be swapped from Python, and a harness that compares the parts.\n\n"
    "Exit codes: 0 all is well, 1 problems found, 2 wrong usage, 130 interrupted (Ctrl-C, SIGTERM).",
)  # fmt: skip
bench_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Benchmarks.\n\nExample: lsmlab bench kv --n 1000000")
app.add_typer(bench_app, name="bench")
app.add_typer(cache_app, name="cache")
app.add_typer(model_app, name="model")
app.add_typer(backup_app, name="backup")
app.add_typer(policy_app, name="policy")
app.command("simulate")(simulate_)
app.add_typer(trace_app, name="trace")
app.add_typer(results_app, name="results")
bench_app.command("kv")(bench_kv_)
bench_app.command("cache")(bench_cache_)
bench_app.command("filters")(bench_filters_)
bench_app.command("secondary")(bench_secondary_)
bench_app.command("strategies")(bench_strategies_)
bench_app.command("spatial")(bench_spatial_)
bench_app.command("stalls")(bench_stalls_)
bench_app.command("encryption")(bench_encryption_)
bench_app.command("native")(bench_native_)
bench_app.command("ranges")(bench_ranges_)
bench_app.command("bitmap")(bench_bitmap_)
bench_app.command("text")(bench_text_)
app.command("library")(library_)
bench_app.command("advisor")(bench_advisor_)
app.command("advise")(advise_)
app.command("torture")(torture_)
app.command("sweep")(sweep_)
app.command("reproduce")(reproduce_)
app.command("check")(check_)
app.command("repair")(repair_)
app.command("view")(view_)
app.command("explain")(explain_)
app.registered_commands += db_app.registered_commands + encryption_app.registered_commands

RESULTS = Path("results")
Folder = Annotated[Path | None, typer.Option("--out", help="Folder of the records; results/SUITE unless given.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at the same time.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SuiteName = Annotated[str, typer.Argument(help="Name of a suite that comes with lsmlab, or the path of a .toml.")]
CORES = max(1, min(4, (os.cpu_count() or 1)))


def _run(
    name: str,
    folder: Path | None,
    jobs: int,
    keep: bool,
    seed: int | None,
    on: str = "local",
    any_code: bool = False,
    policies: list[Path] | None = None,
) -> tuple[suites.Suite, runner.Outcome]:
    from dataclasses import replace

    suite = suites.load(name)
    for path in policies or ():
        suite = suites.with_policies(suite, path, load_policies(path))
    if seed is not None:
        suite = replace(suite, seed=seed)
    where = folder or RESULTS / suite.name
    with progress(len(suite.runs()), suite.name) as told:
        outcome = runner.run_suite(
            suite, where, jobs, keep=keep, any_code=any_code, place=runner.place(on, where, keep=keep),
            told=lambda label, done, total: told(label, done),
        )  # fmt: skip
    for label, problem in outcome.failed.items():
        err.print(f"failed: {label}: {problem}", style="red", markup=False)
    return suite, outcome


def _report(suite: suites.Suite, folder: Path, command: str) -> Path:
    with progress(None, "drawing the report") as told:
        told("drawing the report", 0)
        return report.make(suite, results.read_all(folder), folder, command)


@app.command()
def demo(out_folder: Folder = None, jobs: Jobs = CORES) -> None:
    """Run the first experiment and write its report: a minute or two. Runs that are done already are not repeated.

    Example: lsmlab demo
    """
    with guarded():
        suite, outcome = _run("first", out_folder, jobs, False, None)
        path = _report(suite, outcome.folder, "lsmlab demo")
        out.print(f"{len(outcome.done)} runs done, {len(outcome.skipped)} found finished, {len(outcome.failed)} failed", markup=False)
        out.print(f"report: {path.resolve()}", markup=False)
        if outcome.failed:
            raise typer.Exit(PROBLEMS)


@app.command()
def run(
    suite_name: Annotated[str, typer.Argument(help="Name of a suite that comes with lsmlab, or the path of a .toml.")] = "policies",
    *,
    policy: Annotated[list[Path] | None, typer.Option("--policy", help="A file of your own compaction policies; may be repeated.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print what each run did to its tree: every flush, merge and move.")] = False,
    out_folder: Folder = None,
    jobs: Jobs = CORES,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the databases under OUT/work.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Another seed than the suite's.")] = None,
    on: Annotated[str, typer.Option("--on", help="local, or ray: a Ray cluster (RAY_ADDRESS, else one on this machine).")] = "local",
    any_code: Annotated[bool, typer.Option("--any-code", help="Records by other code count as done.")] = False,
    as_json: Json = False,
) -> None:
    """Run a suite: one fresh process a run, resumable, safe to interrupt. With --policy it ends with the report.

    Example: lsmlab run first --out results/again --jobs 2
    """
    with guarded():
        suite, o = _run(suite_name, out_folder, jobs, keep, seed, on, any_code, policy)
        value: dict[str, Any] = {"folder": str(o.folder), "done": o.done, "skipped": o.skipped, "failed": o.failed}
        if policy and (o.done or o.skipped):
            again = " ".join(["lsmlab run", suite_name, *(f"--policy {p}" for p in policy)])
            value["report"] = str(_report(suite, o.folder, again).resolve())
        if trace:
            value["decisions"] = {r.label(): runner.decisions(r, o.folder) for r in suite.runs() if r.label() not in o.failed}

        def show() -> None:
            for label, lines in value.get("decisions", {}).items():
                out.print(f"{label}:", *(f"{i}: {line}" for i, line in enumerate(lines, 1)), sep="\n  ", markup=False)
            counts = f"{len(o.done)} runs done, {len(o.skipped)} found finished, {len(o.failed)} failed; records in {o.folder}"
            out.print(counts, *([f"report: {value['report']}"] if "report" in value else []), sep="\n", markup=False)

        emit(value, as_json, show)
        if o.failed:
            raise typer.Exit(PROBLEMS)


@app.command("plot")
def plot_(
    suite_name: SuiteName,
    name: Annotated[list[str] | None, typer.Option("--only", help="Name of a plot; may be repeated.")] = None,
    out_folder: Folder = None,
) -> None:
    """Draw the plots of a suite's records as PNG files.

    Example: lsmlab plot first --only hit-ratio
    """
    with guarded():
        folder = out_folder or RESULTS / suites.load(suite_name).name
        for path in plots.save(plots.draw_all(results.read_all(folder), name or ()), folder / "plots"):
            out.print(str(path), markup=False)


@app.command("report")
def report_(suite_name: SuiteName, out_folder: Folder = None) -> None:
    """Write the report of a suite's records: one HTML page that holds everything.

    Example: lsmlab report first
    """
    with guarded():
        suite = suites.load(suite_name)
        path = _report(suite, out_folder or RESULTS / suite.name, f"lsmlab run {suite_name}")
        out.print(f"report: {path.resolve()}", markup=False)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List suites, workloads, plots, stores of the benchmark and the kinds that fill the engine's slots.

    Example: lsmlab list --json
    """
    import indexes
    import lsm

    with guarded():
        kinds: dict[str, Any] = {
            "filters": indexes.FILTERS,
            "searches": indexes.SEARCHES,
            "layouts": lsm.LAYOUTS,
            "triggers": lsm.TRIGGERS,
            "granularities": lsm.GRANULARITIES,
            "pickers": lsm.PICKERS,
            "cuts": lsm.CUTS,
            "schedulers": lsm.SCHEDULERS,
            "admissions": lsm.ADMISSIONS,
            "allocations": lsm.ALLOCATIONS,
            "arbiters": lsm.ARBITERS,
            "collectors": lsm.COLLECTORS,
            "memtables": lsm.MEMTABLES,
            "compactions": lsm.COMPACTIONS,
        }
        value: dict[str, list[str]] = {"suites": list(suites.shipped()), "workloads": [*STREAMS, suites.TRACE], "plots": list(plots.PLOTS)}
        value |= {"stores": list(STORES), "benchmarks": list(WORKLOADS)}
        value |= {name: sorted(map(str, registry)) for name, registry in kinds.items()}
        emit(value, as_json, lambda: print_table("lsmlab knows", ["what", "names"], [[k, ", ".join(v)] for k, v in value.items()], 2))


@app.command()
def verify(
    a: Annotated[Path, typer.Argument(help="Folder of records.")],
    b: Annotated[Path, typer.Argument(help="Folder of the same suite, run again.")],
    as_json: Json = False,
) -> None:
    """Compare two runs of one suite: with threads = 0 the database files and the ledgers must be equal to the byte, on a simulated device
    the latencies too.

    Example: lsmlab verify results/first results/again
    """
    with guarded():
        left, right = ({r.id: r for r in results.read_all(p)} for p in (a, b))
        if empty := [str(p) for p, found in ((a, left), (b, right)) if not found]:
            raise fail(f"no records in {' and '.join(dict.fromkeys(empty))}; lsmlab run SUITE --out FOLDER makes some")
        common = sorted(left.keys() & right.keys())
        lone = sorted(left.keys() ^ right.keys())
        found = {i: d for i in common if (d := results.differences(left[i], right[i]))}
        value = {"compared": len(common), "identical": len(common) - len(found), "differences": found, "only_in_one": lone}

        def show() -> None:
            for i, differences in found.items():
                out.print(f"{left[i].workload} {' '.join(map(str, left[i].point.values()))}:", *differences[:8], sep="\n  ", markup=False)
            for i in lone:
                out.print(f"only in {a if i in left else b}: {i}", markup=False)
            if {left[i].config_id() for i in lone if i in left} & {right[i].config_id() for i in lone if i in right}:
                out.print("the same configuration was run by another code in each: run both again to compare them", markup=False)
            if common and not found and not lone:
                files = sum(len(left[i].files) for i in common)
                clocks = ", every latency on a simulated device" if any(left[i].simulated for i in common) else ""
                out.print(f"byte-identical: {len(common)} runs, {files} database files, every ledger{clocks}", markup=False)
            else:
                out.print(f"{len(common) - len(found)} of {len(common)} runs identical, {len(lone)} without a partner", markup=False)

        emit(value, as_json, show)
        if found or lone or not common:
            raise typer.Exit(PROBLEMS)


@app.command("crashtest")
def crashtest_(
    cycles: Annotated[int, typer.Option("--cycles", min=1)] = 200,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeat a run; drawn and printed unless given.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the database is made; a temporary folder unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Kill a writer with SIGKILL again and again; nothing that it acknowledged may be lost, no batch may be torn.

    Example: lsmlab crashtest --cycles 200
    """
    with guarded():
        chosen = seed if seed is not None else int.from_bytes(os.urandom(4), "little")
        err.print(f"repeat with: lsmlab crashtest --cycles {cycles} --seed {chosen}", markup=False)
        home = Path(tempfile.mkdtemp(prefix="lsmlab-crash-", dir=folder))
        with progress(cycles, "kill and reopen") as told:
            r = crashtest.crashtest(home / "db", cycles, chosen, lambda cycle: told("kill and reopen", cycle))
        bad = [*(f"LOST {x}" for x in r.lost), *(f"TORN {x}" for x in r.torn)]
        value = {
            "seed": r.seed,
            "cycles": r.cycles,
            "batches": r.batches,
            "seconds": r.seconds,
            "unacknowledged": r.unacknowledged,
            "lost": r.lost,
            "torn": r.torn,
        }

        def show() -> None:
            for line in bad:
                out.print(line, style="red", markup=False)
            verdict = f"the database is kept at {home / 'db'}" if bad else "no acknowledged write lost, no torn batch"
            out.print(f"{r.cycles} kills, {r.batches} batches, {r.seconds:.1f} s: {verdict}", markup=False)

        emit(value, as_json, show)
        if bad:
            raise typer.Exit(PROBLEMS)
        home.rmdir()


def _terminated(number: int, frame: Any) -> None:
    """End as Ctrl-C does, also where that is ignored, as in what a shell without job control runs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def main() -> Any:
    """Entry point of the command. A closed pipe ends it silently, as for any filter; SIGTERM as Ctrl-C does, so that no process is left."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as e:
        peers = dict.fromkeys(("rocksdict", "plyvel", "lmdb", "libcachesim"), "peers")
        extra = (peers | dict.fromkeys(("pyarrow", "matplotlib", "jinja2"), "plot")).get(e.name or "")
        if extra is None:
            raise
        raise SystemExit(fail(f"{e.name} is not installed; pip install 'lsmlab[{extra}]'").exit_code) from None


if __name__ == "__main__":
    main()
