"""The command that runs compaction policies without data."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer

import lsm
import recovery
from lsm.policies import make_policy

from . import suite as suites
from .console import emit, fail, guarded, out, print_table, progress
from .policies.files import load, make
from .simulate import DEFINITIONS, WORKLOADS, Operations, Refused, Simulated, prepare, simulate, sketch
from .simulate.suites import operations_of

EXACT_MOST = 4_000_000
"""Writes from which on a sketch is taken unless told otherwise."""
LEAST_BUFFER, MOST_FLUSHES = 1 << 20, 1 << 13
"""Bytes of the write buffer, or such a part of all data, unless told otherwise. An output of a merge has as many, level 1 T times."""
Run = Callable[[Callable[[lsm.Decision], None], Callable[[int], None]], Simulated]


@dataclass(frozen=True)
class Contestant:
    """A policy and the options that it runs with; how it is run, and on which operations when they are known one by one."""

    name: str
    policy: Any
    options: lsm.Options
    run: Run
    operations: Operations | None


@dataclass(frozen=True)
class Load:
    """What is written, as Operations.drawn takes it."""

    workload: str
    entries: int
    sizes: dict[str, Any]
    batch: int
    seed: int

    @property
    def bytes(self) -> int:
        """Keys and values of all writes, if none is a delete."""
        return int(self.entries * (self.sizes["key_bytes"] + self.sizes["value_bytes"]))


def policies_of(options: lsm.Options, layouts: list[str], pickers: list[str], files: list[Path]) -> list[tuple[str, Any, lsm.Options]]:
    """Every layout with every picker, then the policies of the files."""
    found: list[tuple[str, Any, lsm.Options]] = []
    for layout in layouts:
        for picker in pickers:
            o = options.override({"compaction": {"layout": layout, "picker": picker}})
            found.append((f"{layout} {picker}" if len(pickers) > 1 else layout, make_policy(o), o))
    return found + [(name, make(name), options) for path in files for name in load(path)]


def sketched(chosen: list[tuple[str, Any, lsm.Options]], load: Load) -> Iterator[Contestant]:
    """Contestants on key ranges and counts."""
    for name, policy, o in chosen:

        def run(told: Any, step: Any, policy: Any = policy, o: lsm.Options = o) -> Simulated:
            return sketch(policy, o, load.workload, load.entries, told=told, progress=step, **load.sizes)

        yield Contestant(name, policy, o, run, None)


def exact(chosen: list[tuple[str, Any, lsm.Options]], operations: Operations) -> Iterator[Contestant]:
    """Contestants on the same operations, whose memtables are worked out once."""
    filled = prepare(operations, chosen[0][2]) if chosen else None
    for name, policy, o in chosen:

        def run(told: Any, step: Any, policy: Any = policy, o: lsm.Options = o) -> Simulated:
            return simulate(policy, o, operations, told=told, progress=step, filled=filled)

        yield Contestant(name, policy, o, run, operations)


def of_suite(name: str, files: list[Path]) -> Iterator[Contestant]:
    """The runs of a suite, on what its worker writes."""
    suite = suites.load(name)
    for path in files:
        suite = suites.with_policies(suite, path, load(path))
    for r in suite.runs():
        config = r.config()
        o, operations = lsm.Options.from_dict(config["options"]), operations_of(config)
        (contestant,) = exact([(r.label(), make_policy(o), o)], operations)
        yield contestant


def given(text: list[str]) -> dict[str, Any]:
    """Options written NAME=VALUE, with dots in the names, as nested tables. ValueError."""
    tree: dict[str, Any] = {}
    for item in text:
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"--set {item!r}; allowed: NAME=VALUE, as compaction.size_ratio=4")
        *parents, last = name.split(".")
        where = tree
        for parent in parents:
            where = where.setdefault(parent, {})
        try:
            where[last] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            where[last] = value
    return tree


def in_engine(c: Contestant, operations: Operations) -> list[str]:
    """The decisions of the engine with threads=0, on files in memory."""
    lines: list[str] = []
    with lsm.open("/simulated", c.options, fs=recovery.memory()) as db:
        db.set_policy(c.policy)
        db.trace(lambda keyspace, decision: lines.append(str(decision)))
        operations.play(db)
        db.flush()
    return lines


def measured(c: Contestant, step: Callable[[int], None], *, trace: bool, engine: bool) -> dict[str, Any]:
    """Run one; a row of figures, with the decisions when asked. Refused with its name."""
    began, lines = time.perf_counter(), list[str]()

    def note(decision: lsm.Decision) -> None:
        lines.append(str(decision))

    try:
        done = c.run(note if trace or engine else lambda decision: None, step)
    except Refused as e:
        raise ValueError(f"{c.name}: plan {e.step + 1} was refused: {e}") from None
    row = {"policy": c.name, "seconds": time.perf_counter() - began, **done.counters.to_dict()}
    if trace:
        row["decisions"] = lines
    if engine and c.operations is not None:
        row["engine"] = "identical" if in_engine(c, c.operations) == lines else "different"
    return row


_runs: list[Contestant] = []
"""What the processes of `side_by_side` find when they are forked: operations are drawn and memtables worked out once, for all."""


def _one(place: int, trace: bool, engine: bool) -> dict[str, Any]:
    return measured(_runs[place], lambda n: None, trace=trace, engine=engine)


def side_by_side(runs: list[Contestant], jobs: int, *, trace: bool, engine: bool) -> list[dict[str, Any]]:
    """Run several at the same time, each in a process of its own."""
    _runs[:] = runs
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        due = [pool.submit(_one, place, trace, engine) for place in range(len(runs))]
        try:
            with progress(len(runs), "simulating") as told:
                for done, _ in enumerate(as_completed(due), 1):
                    told("simulating", done)
            return [d.result() for d in due]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def one_by_one(runs: Iterable[Contestant], total: int, *, trace: bool, engine: bool) -> list[dict[str, Any]]:
    """Run one after the other, with the progress of each."""
    rows = []
    for c in runs:
        with progress(len(c.operations) if c.operations else total, c.name) as told:
            rows.append(measured(c, lambda n, name=c.name, told=told: told(name, n), trace=trace, engine=engine))  # type: ignore[misc]
    return rows


def simulate_(
    suite: Annotated[str, typer.Argument(help="The runs of this suite, name or .toml; else what the options say.")] = "",
    *,
    layout: Annotated[str, typer.Option("--layout", help="Layouts with commas between.")] = "leveling,1-leveling,lazy-leveling,tiering",
    picker: Annotated[str, typer.Option("--picker", help="Pickers with commas between; every layout runs with each.")] = "least_overlap",
    policy: Annotated[list[Path] | None, typer.Option("--policy", help="A file of your own policies; may be repeated.")] = None,
    workload: Annotated[str, typer.Option("--workload", help=f"One of {', '.join(WORKLOADS)}.")] = "fillrandom",
    entries: Annotated[int, typer.Option("--entries", min=1, help="Writes.")] = 100_000,
    key_bytes: Annotated[int, typer.Option("--key-bytes")] = 16,
    value_bytes: Annotated[int, typer.Option("--value-bytes")] = 100,
    updates: Annotated[float, typer.Option("--updates", help="Share of the writes that go to a key that is there.")] = 0.0,
    deletes: Annotated[float, typer.Option("--deletes", help="Share of the writes that delete a key that is there.")] = 0.0,
    batch: Annotated[int, typer.Option("--batch", help="Writes a record of the log.")] = 1,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    size_ratio: Annotated[int, typer.Option("--size-ratio", "-T")] = 10,
    options: Annotated[list[str] | None, typer.Option("--set", help="An option, as write_buffer=65536; may be repeated.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Policies at the same time.")] = 1,
    trace: Annotated[bool, typer.Option("--trace", help="Print every flush, merge and move.")] = False,
    engine: Annotated[bool, typer.Option("--engine", help="Do the same on the engine with threads=0 and compare every decision.")] = False,
    as_sketch: Annotated[bool | None, typer.Option("--sketch/--exact", help="Key ranges and counts only, for large trees.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run compaction policies on tables without data: the decisions of the engine, and what they cost.

    Example: lsmlab simulate --layout leveling,tiering --entries 200000 --trace
    """
    with guarded():
        sizes = {"key_bytes": key_bytes, "value_bytes": value_bytes, "updates": updates, "deletes": deletes}
        what = Load(workload, entries, sizes, batch, seed)
        runs, title = _chosen(suite, what, layout, picker, policy or [], given(options or []), size_ratio, as_sketch, engine)
        if jobs > 1:
            rows = side_by_side(list(runs), jobs, trace=trace, engine=engine)
        else:
            rows = one_by_one(runs, entries, trace=trace, engine=engine)
        emit(rows, as_json, lambda: _show(rows, title))
        if different := [row["policy"] for row in rows if row.get("engine") == "different"]:
            raise fail(f"the engine decided otherwise under {', '.join(different)}")


def _chosen(
    suite: str, what: Load, layout: str, picker: str, files: list[Path], settings: dict[str, Any], size_ratio: int, as_sketch: bool | None,
    engine: bool,
) -> tuple[Iterator[Contestant], str]:  # fmt: skip
    """The contestants, and what they do in words. ValueError for what does not go together."""
    if suite and (as_sketch or settings):
        raise ValueError("a suite is simulated exactly and has its own options; allowed beside it: --policy, --trace, --engine, --json")
    if suite:
        return of_suite(suite, files), f"suite {suite}, exact"
    buffer = settings.get("write_buffer", max(LEAST_BUFFER, what.bytes // MOST_FLUSHES))
    base = lsm.Options.from_dict({"threads": 0, "write_buffer": buffer, "seed": what.seed})
    base = base.override({"compaction": {"size_ratio": size_ratio, "level_base": size_ratio * buffer, "output_bytes": buffer}})
    base = base.override(settings)
    chosen = policies_of(base, [name for name in layout.split(",") if name], picker.split(","), files)
    brief = as_sketch if as_sketch is not None else what.entries > EXACT_MOST
    if brief and engine:
        raise ValueError("--engine compares decisions, which a sketch does not foretell; allowed: with --exact")
    title = f"{what.workload}, {what.entries:,} writes, {what.bytes / 1e9:,.3g} GB, {'sketch' if brief else 'exact'}"
    title += f", write buffer {base.write_buffer / (1 << 20):g} MiB"
    if brief:
        return sketched(chosen, what), title
    return exact(chosen, Operations.drawn(what.workload, what.entries, **what.sizes, batch=what.batch, seed=what.seed)), title


def _show(rows: list[dict[str, Any]], title: str) -> None:
    for row in rows:
        if "decisions" in row:
            out.print(f"{row['policy']}:", *(f"{i}: {line}" for i, line in enumerate(row["decisions"], 1)), sep="\n  ", markup=False)
    last = "engine" if rows and "engine" in rows[0] else "seconds"

    def shown(row: dict[str, Any]) -> list[str]:
        figures = ["–" if v is None else f"{v:.2f}" for v in row["amplifications"].values()]
        total = sum(lv["flush_bytes"] + lv["compaction_bytes"] for lv in row["levels"])
        end = row[last] if last == "engine" else f"{row[last]:.1f}"
        return [row["policy"], *figures, f"{row['merges']:,}", f"{row['moved_tables']:,}", f"{total / 1e9:,.3f}", end]

    header = ["policy", *DEFINITIONS, "merges", "moves", "GB written", last]
    print_table(f"{title}; docs/simulate.md defines the columns", header, [shown(r) for r in rows])
