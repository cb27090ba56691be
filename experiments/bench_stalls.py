"""`lsmlab bench stalls`: throughput and latency over time while a store is written to without a pause, and what is no store's fault.

Each store has a fresh process: single puts of random keys (16 bytes) with values of 100 bytes for so many seconds. The keys of a chunk are
drawn between chunks, off the clock. Every put is timed on its own, by the wall's clock: a put that waits for a merge, a lock or a disk
shows, and so does one whose thread the machine put aside. What the machine alone does is the series "none": the same loop around a function
that does nothing. Windows are a tenth of a second of time inside the loop.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .bench_kv import BenchFailed
from .bench_kv_rows import US
from .bench_series import NONE, STALL_US, Series, write
from .console import PROBLEMS, emit, guarded, out, print_table, progress
from .processes import command as process
from .processes import environment
from .stores import STORES

TARGETS = (("p99.9", 0.5), ("max", 0.25))


def work(order: dict[str, Any]) -> Series:
    """Do one series in this process."""
    if order["store"] == NONE:
        made = write(lambda key, value: None, order["seconds"], order["seed"])
    else:
        store = STORES[order["store"]](Path(order["path"]))
        made = write(store.put, order["seconds"], order["seed"])
        store.close()
    made.store = order["store"]
    return made


def run(stores: Sequence[str], seconds: float, seed: int, folder: Path, told: Callable[[str, int], None]) -> list[Series]:
    """Write to each store in turn, each in a fresh process, the empty loop last. BenchFailed, ValueError for an unknown name."""
    for name in stores:
        if name not in STORES:
            raise ValueError(f"unknown store {name!r}; there are: {', '.join(STORES)}")
    found = []
    for i, name in enumerate([*stores, NONE]):
        told(name, i)
        path = folder / name
        shutil.rmtree(path, ignore_errors=True)
        order = json.dumps({"store": name, "seconds": seconds, "seed": seed, "path": str(path)})
        done = subprocess.run(process("bench_stalls"), env=environment(), input=order, capture_output=True, text=True, check=False)
        shutil.rmtree(path, ignore_errors=True)
        if done.returncode:
            raise BenchFailed(f"{name}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
        found.append(Series.from_dict(json.loads(done.stdout.splitlines()[-1])))
    return found


def verdicts(found: Sequence[Series]) -> list[dict[str, Any]]:
    """Ours against the best of the others, where both ran."""
    ours = [s for s in found if s.store == US]
    others = [s for s in found if s.store not in (US, NONE)]
    if not ours or not others:
        return []
    rows: list[dict[str, Any]] = []
    for name, ratio in TARGETS:
        best = min(others, key=lambda s: s.summary()[name])
        got = ours[0].summary()[name] / best.summary()[name]
        rows.append({"what": f"{name} against {best.store}", "target": ratio, "got": got, "pass": got <= ratio})
    rows.append({"what": "windows over 10 ms", "target": 0, "got": ours[0].stalls, "pass": ours[0].stalls == 0})
    return rows


def draw(found: Sequence[Series], path: Path) -> Path:
    """One picture: throughput above, the longest put of each tenth of a second below, a column a store."""
    from matplotlib import pyplot as plt

    from .plots import COLOURS, STYLE, WIDTH

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, len(found), figsize=(WIDTH, 5.2), squeeze=False, layout="constrained", sharex=True, sharey="row")
        for i, s in enumerate(found):
            x = (np.arange(len(s.operations)) + 0.5) / 10
            whole = slice(0, max(1, len(x) - 1))  # the last window is cut short
            axes[0][i].plot(x[whole], np.asarray(s.operations)[whole] / 100, color=COLOURS[i % len(COLOURS)], lw=0.8)
            axes[1][i].plot(x[whole], np.asarray(s.longest_us)[whole] / 1000, ".", color=COLOURS[i % len(COLOURS)], ms=2.5)
            axes[1][i].axhline(STALL_US / 1000, color="#444444", lw=0.8, ls="--")
            axes[0][i].set_title("the empty loop" if s.store == NONE else s.store)
            axes[1][i].set(xlabel="seconds of puts", yscale="log")
        axes[0][0].set_ylabel("thousand puts/s")
        axes[0][0].set_ylim(0, 1.1 * max(max(s.operations[:-1], default=1) for s in found if s.store != NONE) / 100)
        axes[1][0].set_ylabel("longest put (ms)")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
        plt.close(figure)
    return path


def command(
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="Of puts, for each store.")] = 60.0,
    stores: Annotated[str, typer.Option("--stores", help="Names with commas between.")] = "lsmlab,rocksdb",
    seed: Annotated[int, typer.Option("--seed")] = 1,
    picture: Annotated[Path, typer.Option("--out", help="The picture to draw.")] = Path("stalls.png"),
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the databases are made; a temporary folder unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write without a pause and watch: throughput and the longest put of every tenth of a second, as one picture.

    Example: lsmlab bench stalls --seconds 60 --stores lsmlab,rocksdb,leveldb
    """
    import tempfile

    with guarded():
        chosen = stores.split(",")
        with tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(len(chosen) + 1, "bench") as told:
            found = run(chosen, seconds, seed, Path(home), told)
        path, judged = draw(found, picture), verdicts(found)
        value = {"seconds": seconds, "seed": seed, "series": [s.to_dict() | {"summary": s.summary()} for s in found], "targets": judged}
        emit(value, as_json, lambda: _show(found, judged, path))
        if not all(v["pass"] for v in judged):
            raise typer.Exit(PROBLEMS)


def _show(found: Sequence[Series], judged: Sequence[dict[str, Any]], path: Path) -> None:
    names = list(found[0].summary())
    rows = [[s.store, *(f"{v:,.0f}" if v >= 100 or v == int(v) else f"{v:.2f}" for v in s.summary().values())] for s in found]
    print_table("single puts, microseconds; none: the empty loop, what the machine does", ["store", *names], rows)
    if judged:
        cells = [[v["what"], f"≤ {v['target']:g}", f"{v['got']:.3g}", "PASS" if v["pass"] else "FAIL"] for v in judged]
        print_table("targets", ["what", "target", "reached", ""], cells)
    out.print(f"picture: {path.resolve()}", markup=False)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(work(json.load(sys.stdin)).to_dict()) + "\n")
