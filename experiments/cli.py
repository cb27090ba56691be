"""The command `lsmlab`: experiments and benchmarks. The commands on one database are in cli_db.py, how it talks in console.py."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from . import bench_kv, crashtest, plots, report, results, runner
from . import suite as suites
from .bench_bitmap import bench as bench_bitmap_
from .bench_spatial import command as bench_spatial_
from .bench_worker import WORKLOADS
from .cli_advise import advise as advise_
from .cli_advise import bench as bench_advisor_
from .cli_cache import bench as bench_cache_
from .cli_cache_look import app as cache_app  # with the commands of both
from .cli_db import app as db_app
from .cli_filters import bench as bench_filters_
from .cli_library import library_
from .cli_ranges import bench as bench_ranges_
from .cli_secondary import bench as bench_secondary_
from .cli_secondary import bench_strategies_
from .cli_text import bench as bench_text_
from .console import INTERRUPTED, PROBLEMS, emit, err, fail, guarded, out, print_table, progress
from .stores import STORES
from .workloads import MIXES

app = typer.Typer(
    name="lsmlab", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False,
    help="An LSM engine whose every part can be swapped from Python, and a harness that compares the parts.\n\n"
    "Exit codes: 0 all is well, 1 problems found, 2 wrong usage, 130 interrupted.",
)  # fmt: skip
bench_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Benchmarks.\n\nExample: lsmlab bench kv --n 1000000")
app.add_typer(bench_app, name="bench")
app.add_typer(cache_app, name="cache")
bench_app.command("cache")(bench_cache_)
bench_app.command("filters")(bench_filters_)
bench_app.command("secondary")(bench_secondary_)
bench_app.command("strategies")(bench_strategies_)
bench_app.command("spatial")(bench_spatial_)
bench_app.command("ranges")(bench_ranges_)
bench_app.command("bitmap")(bench_bitmap_)
bench_app.command("text")(bench_text_)
app.command("library")(library_)
bench_app.command("advisor")(bench_advisor_)
app.command("advise")(advise_)
app.registered_commands += db_app.registered_commands

RESULTS = Path("results")
Folder = Annotated[Path | None, typer.Option("--out", help="Folder of the records; results/SUITE unless given.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at the same time.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SuiteName = Annotated[str, typer.Argument(help="Name of a suite that comes with lsmlab, or the path of a .toml.")]
CORES = max(1, min(4, (os.cpu_count() or 1)))


def _run(name: str, folder: Path | None, jobs: int, keep: bool, seed: int | None) -> tuple[suites.Suite, runner.Outcome]:
    from dataclasses import replace

    suite = suites.load(name)
    if seed is not None:
        suite = replace(suite, seed=seed)
    where = folder or RESULTS / suite.name
    with progress(len(suite.runs()), suite.name) as told:
        outcome = runner.run_suite(suite, where, jobs, keep=keep, told=lambda label, done, total: told(label, done))
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
    suite_name: SuiteName,
    *,
    out_folder: Folder = None,
    jobs: Jobs = CORES,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the databases under OUT/work.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Another seed than the suite's.")] = None,
    as_json: Json = False,
) -> None:
    """Run a suite: one fresh process a run, resumable, safe to interrupt.

    Example: lsmlab run first --out results/again --jobs 2
    """
    with guarded():
        _, o = _run(suite_name, out_folder, jobs, keep, seed)
        value = {"folder": str(o.folder), "done": o.done, "skipped": o.skipped, "failed": o.failed}
        emit(
            value,
            as_json,
            lambda: out.print(
                f"{len(o.done)} runs done, {len(o.skipped)} found finished, {len(o.failed)} failed; records in {o.folder}", markup=False
            ),
        )
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
            "pickers": lsm.PICKERS,
            "memtables": lsm.MEMTABLES,
            "compactions": lsm.COMPACTIONS,
        }
        value: dict[str, list[str]] = {"suites": list(suites.shipped()), "workloads": [*MIXES, suites.TRACE], "plots": list(plots.PLOTS)}
        value |= {"stores": list(STORES), "benchmarks": list(WORKLOADS)}
        value |= {name: sorted(map(str, registry)) for name, registry in kinds.items()}
        emit(value, as_json, lambda: print_table("lsmlab knows", ["what", "names"], [[k, ", ".join(v)] for k, v in value.items()], 2))


@app.command()
def verify(
    a: Annotated[Path, typer.Argument(help="Folder of records.")],
    b: Annotated[Path, typer.Argument(help="Folder of the same suite, run again.")],
    as_json: Json = False,
) -> None:
    """Compare two runs of one suite: with threads = 0 the database files and the ledgers must be equal to the byte.

    Example: lsmlab verify results/first results/again
    """
    with guarded():
        left, right = ({r.id: r for r in results.read_all(p)} for p in (a, b))
        common = sorted(left.keys() & right.keys())
        lone = sorted(left.keys() ^ right.keys())
        found = {i: d for i in common if (d := results.differences(left[i], right[i]))}
        value = {"compared": len(common), "identical": len(common) - len(found), "differences": found, "only_in_one": lone}

        def show() -> None:
            for i, differences in found.items():
                out.print(f"{left[i].workload} {' '.join(map(str, left[i].point.values()))}:", *differences[:8], sep="\n  ", markup=False)
            for i in lone:
                out.print(f"only in {a if i in left else b}: {i}", markup=False)
            if common and not found and not lone:
                files = sum(len(left[i].files) for i in common)
                out.print(f"byte-identical: {len(common)} runs, {files} database files, every ledger", markup=False)
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


@bench_app.command("kv")
def bench_kv_(
    *,
    n: Annotated[int, typer.Option("--n", min=1000, help="Records.")] = 1_000_000,
    stores: Annotated[str, typer.Option("--stores", help="Names with commas between.")] = ",".join(bench_kv.DEFAULT_STORES),
    all_peers: Annotated[bool, typer.Option("--all-peers", help="Every store there is, SQLite included.")] = False,
    workloads: Annotated[str, typer.Option("--workloads", help="Names with commas between, or all.")] = ",".join(
        bench_kv.DEFAULT_WORKLOADS
    ),
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the databases are made; a temporary folder unless given.")] = None,
    as_json: Json = False,
) -> None:
    """This engine beside RocksDB, LevelDB and LMDB on the same operations; medians, ratios, targets.

    Example: lsmlab bench kv --n 1000000 --workloads fillrandom,get-hot
    """
    with guarded():
        chosen = list(STORES) if all_peers else stores.split(",")
        work = list(WORKLOADS) if workloads == "all" else workloads.split(",")
        bench_kv.check_names(chosen, work)
        total, done = len(chosen) * (1 + len(work) * repeats), 0
        with tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(total, "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            r = bench_kv.bench(chosen, work, bench_kv.Result(n, seed, repeats), Path(home), heard)
        emit(r.to_dict(), as_json, lambda: _show_bench(r, chosen, work))
        if not all(v["pass"] for v in r.verdicts()):
            raise typer.Exit(PROBLEMS)


def _show_bench(r: bench_kv.Result, stores: list[str], workloads: list[str]) -> None:
    peers = [s for s in stores if s != bench_kv.US]

    def ratio(workload: str, peer: str) -> str:
        ours, theirs = r.rate(bench_kv.US, workload), r.rate(peer, workload)
        return f"{ours / theirs:.2f}" if ours and theirs else "–"

    rows = [[w, *(f"{(r.rate(s, w) or 0) / 1000:,.0f}" for s in stores), *(ratio(w, p) for p in peers)] for w in workloads]
    rows.append(["peak MiB", *(f"{(r.peak(s) or 0) / 2**20:,.0f}" for s in stores), *("" for _ in peers)])
    print_table(
        f"thousand operations a second, {r.n:,} records, medians of {r.repeats}; / PEER: ours over theirs",
        ["workload", *stores, *(f"/ {p}" for p in peers)],
        rows,
    )
    if verdicts := r.verdicts():
        rows = [
            [
                v["what"],
                v["against"],
                f"{'≤' if v['what'] == 'peak memory' else '≥'} {v['target']:.1f}×",
                f"{v['got']:.2f}×",
                "PASS" if v["pass"] else "FAIL",
            ]
            for v in verdicts
        ]
        print_table("targets", ["workload", "against", "target", "reached", ""], rows, 2)
    out.print(", ".join(f"{s} {v}" for s, v in r.versions.items()), markup=False)


def main() -> Any:
    """Entry point of the command. A closed pipe ends it silently, as for any filter."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
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
