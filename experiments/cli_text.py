"""The command `lsmlab bench text`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import bench_text
from .console import PROBLEMS, emit, guarded, out, print_table, progress


def bench(
    *,
    megabytes: Annotated[float, typer.Option("--mb", min=0.01, help="Megabytes of text at most.")] = 30.0,
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The full-text index beside SQLite FTS5, tantivy and bm25s (those installed) on text of this machine; targets.

    Example: lsmlab bench text --mb 10
    """
    with guarded():
        with progress(None, "bench") as told:
            r = bench_text.bench(bench_text.Result(megabytes, seed, repeats), lambda what: told(what, 0))
        emit(r.to_dict(), as_json, lambda: _show(r))
        if not all(v["pass"] for v in r.verdicts()):
            raise typer.Exit(PROBLEMS)


def _show(r: bench_text.Result) -> None:
    names = list(r.versions)
    title = f"{r.documents:,} documents, {r.size / 1e6:.1f} MB: {r.sources}"
    rows = [["index, MB per processor second", *(f"{r.size / 1e6 / r.seconds[n]:.1f}" for n in names)]]
    rows.append(["bytes of index a byte of text", *("–" if r.bytes[n] is None else f"{(r.bytes[n] or 0) / r.size:.3f}" for n in names)])
    for kind in bench_text.TYPES:
        rows.append([f"{kind}, us", *(f"{r.queries[n][kind]:,.1f}" if kind in r.queries[n] else "–" for n in names)])
    rows.append(["replaced document seen, us", *(f"{r.visible[n]:,.0f}" if n in r.visible else "–" for n in names)])
    print_table(title, ["", *names], rows)
    verdicts = [[v["what"], f"{v['sign']} {v['target']:g}", f"{v['got']:.2f}", "PASS" if v["pass"] else "FAIL"] for v in r.verdicts()]
    print_table("targets", ["what", "target", "reached", ""], verdicts)
    out.print(", ".join(f"{name} {v}" for name, v in r.versions.items()), markup=False)
    if r.missing:
        out.print(f"not installed: {', '.join(r.missing)}", markup=False)
