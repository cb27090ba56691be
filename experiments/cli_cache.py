"""The commands of `lsmlab` about eviction policies: cache run, cache verify, bench cache."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from . import bench_cache, bench_objects, cachesim
from .console import PROBLEMS, emit, guarded, out, print_table, progress

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Cache eviction policies on traces.\n\nExample: lsmlab cache run arc-OLTP.u32.xz --policies lru,arc",
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Replays at the same time; as many as there are cores unless given.")]


@app.command()
def run(
    traces: Annotated[list[str], typer.Argument(help="Trace files, or names of files in the folders where traces are looked for.")],
    *,
    policies: Annotated[str, typer.Option("--policies", help="Kinds with commas between, or all.")] = "all",
    sizes: Annotated[
        str, typer.Option("--sizes", help="Percent of the unique keys, or objects, or with --bytes bytes: 1%,64k,128MiB")
    ] = cachesim.DEFAULT_SIZES,
    in_bytes: Annotated[bool, typer.Option("--bytes", help="Objects weigh what the trace says, not 1.")] = False,
    csv_path: Annotated[Path | None, typer.Option("--csv", help="Write all counts there; - for standard output.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw hit-ratio.png, and for several traces fraction-of-min.png, in this folder.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="For the policies that draw lots.")] = 0,
    params: Annotated[str, typer.Option("--params", help='Parameters of the policies: "key=value key=value".')] = "",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Replay traces through policies at several cache sizes: hit ratios, and fractions of what Belady's MIN hits.

    Example: lsmlab cache run lirs-cpp.u32.xz --policies lru,arc,sieve --sizes 1%,10%,500 --plot .
    """
    with guarded():
        asked = [s.strip() for s in sizes.split(",") if s.strip()]
        kinds = cachesim.policies(policies)
        for one in asked:
            cachesim.size_of(one, 1)
        with progress(1000 * len(traces), "replaying") as told:
            rows = cachesim.grid(traces, kinds, asked, in_bytes=in_bytes, seed=seed, params=params, threads=threads, told=told)
        if csv_path and str(csv_path) != "-":
            with csv_path.open("w", newline="") as stream:
                cachesim.write_csv(rows, stream)
        drawn = _draw(rows, plot, in_bytes) if plot else []
        if csv_path and str(csv_path) == "-":
            cachesim.write_csv(rows, sys.stdout)
        else:
            emit([asdict(r) for r in rows], as_json, lambda: _show(rows, asked, in_bytes))
        if not as_json and str(csv_path) != "-":
            for path in drawn:
                out.print(str(path), markup=False)


def _draw(rows: list[cachesim.Row], folder: Path, in_bytes: bool) -> list[Path]:
    from . import plots, plots_cache

    some = [plots_cache.curves(rows, in_bytes=in_bytes)]
    if len({r.trace for r in rows}) > 1 and cachesim.fractions(rows):
        some.append(plots_cache.heat_map(rows))
    return plots.save(some, folder)


def _show(rows: list[cachesim.Row], asked: list[str], in_bytes: bool) -> None:
    table = cachesim.fractions(rows)
    bounds = (cachesim.MIN, cachesim.FREE)
    for trace in dict.fromkeys(r.trace for r in rows):
        cells = {(r.policy, r.asked): r for r in rows if r.trace == trace}
        one = next(iter(cells.values()))
        kinds = dict.fromkeys(kind for kind, _ in cells)
        order = [
            *(k for k in table if k in kinds),
            *(k for k in kinds if k not in table and k not in bounds),
            *(k for k in bounds if k in kinds),
        ]

        def line(kind: str, cells: dict[tuple[str, str], cachesim.Row] = cells, trace: str = trace) -> list[str]:
            ratios = [cells[kind, s].byte_hit_ratio if in_bytes else cells[kind, s].hit_ratio for s in asked]
            of_min = table.get(kind, {}).get(trace)
            return [kind, *(f"{100 * ratio:.2f}" for ratio in ratios), "" if of_min is None else f"{of_min:.3f}"]

        sized = [f"{s} = {cells[one.policy, s].size:,}" if not s.isdigit() else f"{int(s):,}" for s in asked]
        what = "byte hit ratio" if in_bytes else "hit ratio"
        title = f"{trace}: {what} in percent, {one.requests:,} requests to {one.unique:,} keys"
        print_table(title, ["policy", *sized, "of MIN"], [line(kind) for kind in order])
    names = list(dict.fromkeys(r.trace for r in rows))
    if len(names) > 1 and table:
        body = [[kind, *(f"{by[t]:.3f}" if t in by else "–" for t in names), f"{mean(by.values()):.3f}"] for kind, by in table.items()]
        print_table("fraction of MIN, mean over the sizes", ["policy", *names, "mean"], body)


@app.command()
def verify(
    *,
    gold: Annotated[
        Path | None, typer.Option("--gold", help="The table of reference counts; found beside the traces unless given.")
    ] = None,
    traces: Annotated[Path | None, typer.Option("--traces", help="Folder of its traces; where traces are looked for unless given.")] = None,
    policies: Annotated[str | None, typer.Option("--policies", help="Only these kinds, with commas between.")] = None,
    as_json: Json = False,
) -> None:
    """Replay the table of reference hit counts; exit code 1 unless every row is there and equal to the hit.

    Example: lsmlab cache verify --policies lru,arc
    """
    with guarded():
        table = gold or cachesim.gold_table()
        kinds = cachesim.policies(policies) if policies else None
        with progress(None, "replaying") as told:
            got = cachesim.verify(table, traces, kinds, told)

        def show() -> None:
            for w in got.wrong:
                out.print(
                    f"{w['trace']} {w['policy']} at {w['size']:,}: {w['hits']:,} hits, reference {w['reference']:,}",
                    style="red",
                    markup=False,
                )
            for why, count in got.unchecked.items():
                out.print(f"{why}: {count} rows not checked", style="red", markup=False)
            share = 100 * got.equal / got.rows if got.rows else 0.0
            shown = f"{share:.2f}".rstrip("0").rstrip(".")
            out.print(f"{got.checked:,} of {got.rows:,} rows checked, {got.equal:,} equal: {shown} %", markup=False)

        emit({**asdict(got), "complete": got.complete}, as_json, show)
        if not got.complete:
            raise typer.Exit(PROBLEMS)


def bench(
    *,
    n: Annotated[int, typer.Option("--n", min=1000, help="Requests.")] = 10_000_000,
    objects: Annotated[int, typer.Option("--objects", min=100, help="Objects that they go to, Zipf 0.99.")] = 1_000_000,
    share: Annotated[float, typer.Option("--share", min=0.001, max=1, help="Cache size as a share of the objects.")] = 0.1,
    policies: Annotated[str, typer.Option("--policies", help="Kinds with commas between; all that have a counterpart unless given.")] = "",
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the trace is made; a temporary folder unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Our policies beside libcachesim's C core on the same trace, our cache of objects beside others; medians, ratios, targets.

    Example: lsmlab bench cache --policies lru,sieve,arc
    """
    with guarded():
        pairs = bench_cache.chosen([p for p in policies.split(",") if p])
        done = 0
        total = repeats * (len(pairs) * len(bench_cache.LIBRARIES) + len(bench_objects.present()[0]) + 1) + 1
        with tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(total, "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            r = bench_cache.bench(pairs, bench_cache.Result(n, objects, max(1, int(share * objects)), seed, repeats), Path(home), heard)
        emit(r.to_dict(), as_json, lambda: _show_bench(r, pairs))
        if not all(v["pass"] for v in r.verdicts()):
            raise typer.Exit(PROBLEMS)


def _show_bench(r: bench_cache.Result, pairs: list[bench_cache.Pair]) -> None:
    rows: list[list[str]] = []
    for p in pairs:
        rates = [f"{(r.rate(p.kind, lib) or 0) / 1e6:.1f}" for lib in bench_cache.LIBRARIES]
        faster = [f"{1 / (r.ratio(p.kind, 'seconds', lib) or 1):.1f}×" for lib in bench_cache.LIBRARIES[1:]]
        hits = [f"{100 * (r.median(p.kind, lib, 'hits') or 0) / r.requests:.3f}" for lib in bench_cache.LIBRARIES[:2]]
        sizes = [f"{r.median(p.kind, lib, 'bytes') or 0:.0f}" for lib in (bench_cache.US, bench_cache.FITTED)]
        rows.append([p.kind, *rates, *faster, *hits, *sizes])
    header = ["policy", "M/s", "theirs", "fitted", "/ theirs", "/ fitted", "hit %", "theirs", "B/obj", "fitted"]
    title = (
        f"million requests per second of the processor; Zipf 0.99, {r.requests:,} requests to {r.objects:,} objects, cache {r.size:,};\n"
        f"medians of {r.repeats}; theirs: {bench_cache.PEER} as it comes; fitted: with a hash table fitted to the cache"
    )
    print_table(title, header, rows)
    _show_objects(r)
    verdicts = []
    for v in r.verdicts():
        if v["sign"] == "=":
            target, reached = "equal", "equal" if v["pass"] else "not equal"
        else:
            target, reached = f"{v['sign']} {v['target']:.1f}×", f"{v['got']:.2f}×"
        verdicts.append([v["what"], v["against"], target, reached, "PASS" if v["pass"] else "FAIL"])
    print_table("targets", ["what", "against", "target", "reached", ""], verdicts, 2)
    out.print(", ".join(f"{name} {v}" for name, v in r.versions.items()), markup=False)


def _show_objects(r: bench_cache.Result) -> None:
    rows = []
    for kind, name in r.outcomes:
        if kind == bench_cache.OBJECTS:
            seconds, requests, hits, size = (r.median(kind, name, what) or 0 for what in ("seconds", "requests", "hits", "bytes"))
            rows.append([name, f"{1e9 * seconds / requests:.0f}", f"{100 * hits / requests:.3f}", f"{size:.0f}"])
    title = (
        f"caches of Python objects, {r.size:,} of them: nanoseconds of a request, get and set after a miss; B/obj: besides key and value"
    )
    print_table(title, ["cache", "ns", "hit %", "B/obj"], rows)
    if r.missing:
        out.print(f"not installed, so not compared: {', '.join(r.missing)} (pip install 'lsmlab[peers]')", style="red", markup=False)
