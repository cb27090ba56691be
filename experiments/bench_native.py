"""`lsmlab bench native`: look-ups from C, without an interpreter, this engine beside RocksDB, where Debian's librocksdb-dev is installed.

Both hold the same pairs of 16 and 100 bytes, settled, in a cache that has room for all, with 10 filter bits a key and checksums on; both
are asked by the same loop (native_loops.c), which is compiled when this runs and checks every answer. The stores take turns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

import lsm

from .bench_kv import BenchFailed
from .console import PROBLEMS, emit, guarded, out, print_table, progress
from .native_loops import BATCH, Loops

US, THEM = "lsmlab", "rocksdb"
CHUNK = 10_000
CACHE_PER_PAIR, WRITE_BUFFER = 512, 64 << 20
GOAL_BATCHES, GOAL_ONE = 14.4, 2.0  # million look-ups a second of all cores; times RocksDB's of one thread


@dataclass(frozen=True)
class Row:
    """One way of asking, of each store the best turn: million look-ups a second by the clock, nanoseconds of a processor for one."""

    what: str
    threads: int
    batch: int
    rates: dict[str, float]
    nanoseconds: dict[str, float]


@dataclass
class Result:
    """What one run found."""

    n: int
    cores: int
    rows: list[Row] = field(default_factory=list)
    peer: str = ""  # why RocksDB is not there, or nothing

    def goals(self) -> list[dict[str, Any]]:
        """What the engine is to reach: the first as a rate, the second beside RocksDB's of this run."""
        rows = {r.what: r for r in self.rows}
        rate = rows["get_many, all cores"].rates[US]
        goals: list[dict[str, Any]] = [
            {"what": "get_many, all cores", "goal": GOAL_BATCHES, "unit": "M/s", "got": rate, "pass": rate >= GOAL_BATCHES}
        ]
        if THEM in rows["get, one thread"].nanoseconds:
            one = rows["get, one thread"].nanoseconds
            ratio = one[THEM] / one[US]
            goals.append({"what": "get, one thread / RocksDB's", "goal": GOAL_ONE, "unit": "x", "got": ratio, "pass": ratio >= GOAL_ONE})
        return goals


@contextmanager
def _ours(path: Path, loops: Loops, n: int) -> Iterator[Any]:
    cache = {"capacity": CACHE_PER_PAIR * n}
    with lsm.open(path, cache=cache, write_buffer=WRITE_BUFFER, table={"bits_per_key": 10.0}) as db:
        for start in range(0, n, CHUNK):
            db.put_many(*loops.pairs(start, min(CHUNK, n - start)))
        db.compact()
        yield loops.of(db.default)


@contextmanager
def _theirs(path: Path, loops: Loops, n: int) -> Iterator[Any]:
    error = loops.ffi.new("char **")
    store = loops.lib.rocks_fill(os.fsencode(path), n, CACHE_PER_PAIR * n, WRITE_BUFFER, 10.0, 1, error)
    if store == loops.ffi.NULL:
        raise BenchFailed(f"RocksDB: {loops.ffi.string(error[0]).decode(errors='replace')}")
    try:
        yield store
    finally:
        loops.lib.rocks_close(store)


def ways(cores: int) -> list[tuple[str, int, int]]:
    """What is asked: name, threads, keys a call (0: one, by the function for one)."""
    return [
        ("get, one thread", 1, 0),
        ("get, all cores", cores, 0),
        ("get_many, one thread", 1, BATCH),
        ("get_many, all cores", cores, BATCH),
    ]


def run(n: int, operations: int, repeats: int, cores: int, folder: Path, told: Callable[[str, int], None]) -> Result:
    """Fill both and ask. operations: of each thread in each turn. BenchFailed, lsm.Error."""
    loops, result = Loops(folder), Result(n, cores)
    result.peer, step = loops.peer, 0
    told("filling", step)
    with _ours(folder / US, loops, n) as ours:
        stores = {US: ours}
        if loops.peer:
            _ask(loops, result, stores, operations, repeats, told)
            return result
        with _theirs(folder / THEM, loops, n) as theirs:
            _ask(loops, result, stores | {THEM: theirs}, operations, repeats, told)
    return result


def _ask(loops: Loops, result: Result, stores: dict[str, Any], operations: int, repeats: int, told: Callable[[str, int], None]) -> None:
    for at, (what, threads, batch) in enumerate(ways(result.cores), 1):
        told(what, at)
        rates, cpu = dict[str, float](), dict[str, float]()
        for turn in range(repeats + 1):  # the first one brings the tables into the cache
            for name, store in stores.items():
                each = max(operations, 0 if turn else 4 * result.n // threads) // BATCH * BATCH
                wall_s, cpu_s = loops.run(store, name == US, result.n, threads, batch, each, turn)
                if turn:
                    rates[name] = max(rates.get(name, 0.0), threads * each / wall_s / 1e6)
                    cpu[name] = min(cpu.get(name, float("inf")), cpu_s / (threads * each) * 1e9)
        result.rows.append(Row(what, threads, batch, rates, cpu))


def command(
    n: Annotated[int, typer.Option("--n", min=1000, help="Pairs of 16 and 100 bytes.")] = 1_000_000,
    operations: Annotated[int, typer.Option("--operations", min=1000, help="Look-ups of each thread in each turn.")] = 1_000_000,
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    threads: Annotated[int, typer.Option("--threads", min=0, max=256, help="Of `all cores`; 0: as many as there are cores.")] = 0,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the databases go while it runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look-ups from C, without Python, beside RocksDB's own library: one at a time and by hundreds, from one thread and from all cores.

    Example: lsmlab bench native --n 1000000
    """
    cores = threads or len(os.sched_getaffinity(0))
    with guarded(), tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(5, "bench") as told:
        r = run(n, operations, repeats, cores, Path(home), told)
    emit(asdict(r) | {"goals": r.goals()}, as_json, lambda: _show(r))
    if not all(goal["pass"] for goal in r.goals()):
        raise typer.Exit(PROBLEMS)


def _show(r: Result) -> None:
    def cells(row: Row) -> list[str]:
        both = THEM in row.rates
        figures = [f"{row.rates[name]:,.2f}" if name in row.rates else "–" for name in (US, THEM)]
        figures += [f"{row.nanoseconds[name]:,.0f}" if name in row.nanoseconds else "–" for name in (US, THEM)]
        return [row.what, str(row.threads), *figures, f"{row.nanoseconds[THEM] / row.nanoseconds[US]:.2f}" if both else "–"]

    titles = ["look-ups", "threads", f"{US} M/s", f"{THEM} M/s", f"{US} ns", f"{THEM} ns", "times faster"]
    print_table(f"{r.n:,} pairs in the cache; best of the turns; ns of a processor a look-up", titles, [cells(row) for row in r.rows])
    goals = [[g["what"], f"≥ {g['goal']:g} {g['unit']}", f"{g['got']:.2f} {g['unit']}", "PASS" if g["pass"] else "FAIL"] for g in r.goals()]
    print_table("goals", ["what", "goal", "reached", ""], goals)
    if r.peer:
        out.print(r.peer, markup=False)
