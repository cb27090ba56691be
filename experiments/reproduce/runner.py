"""Measuring figures: a fresh process a cell, several side by side; a cell that has a record is not measured again.

A record is a small JSON file named by the hash of the figure's id, the cell, and the build: the engine's and that of the modules that
measure. Another build measures anew; records of others stay where they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..processes import Processes, command, engine_id, environment
from .figure import Cell, Figure, Row, Rows, label_of

FOLDER = "records"
MEASURING = ("kept", "monkey", "peers", "streams", "trees", "universal", "virtual", "worker")
"""Modules that figures share: those that a figure's module uses belong to its build."""
Told = Callable[[str, int, int], None]


@dataclass
class Outcome:
    """The cells of one figure: finished ones in the order in which the figure names them, and what went wrong with others."""

    figure: Figure
    cells: Sequence[Cell]
    rows: dict[str, Row] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    missing: str = ""

    def finished(self) -> Rows:
        """The finished cells."""
        names = [_name(self.figure, cell) for cell in self.cells]
        return Rows([self.rows[n] for n in names if n in self.rows])

    @property
    def seconds(self) -> float:
        """Of processes, added up, also of those found finished."""
        return sum(r.seconds for r in self.rows.values())


@cache
def build_of(module: str) -> str:
    """The build that a figure is measured with: the engine's, that of the shared modules that it uses, and the figure's own."""
    here, own = Path(__file__).parent, sys.modules[module]
    digest = hashlib.blake2b(engine_id().encode(), digest_size=8)
    used = {getattr(v, "__module__", None) or getattr(v, "__name__", "") for v in vars(own).values()}
    shared = [f"{name}.py" for name in MEASURING if f"{__package__}.{name}" in used or name == "worker"]
    for path in [*(here / name for name in shared), *sorted((here.parent / "costs").glob("*.py")), Path(own.__file__ or "")]:
        if path.exists():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _name(figure: Figure, cell: Cell) -> str:
    key = json.dumps([figure.id, cell, build_of(figure.measure.__module__)], sort_keys=True)
    return f"{figure.id}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.json"


def _read(path: Path) -> Row | None:
    """A record; None when it is not there or was cut."""
    try:
        found = json.loads(path.read_text())
        return Row(found["cell"], found["got"], found["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, figure: Figure, row: Row) -> None:
    record: dict[str, Any] = {
        "figure": figure.id, "cell": row.cell, "got": row.got, "seconds": row.seconds, "build": build_of(figure.measure.__module__),
        "python": platform.python_version(), "system": platform.platform(), "load": os.getloadavg()[0],
    }  # fmt: skip
    draft = path.with_suffix(f".{os.getpid()}.draft")
    draft.write_text(json.dumps(record, indent=1))
    draft.replace(path)


def run_figures(
    figures: Sequence[Figure], out: Path, *, jobs: int = 1, tiny: bool = False, again: bool = False,
    told: Told = lambda label, done, total: None,
) -> list[Outcome]:  # fmt: skip
    """Measure the cells that have no record yet, `jobs` at a time; `told` hears a label, how many are done and how many there are.

    again: measure also what has a record. Raises KeyboardInterrupt after every process was ended; finished cells keep their records.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    due: list[tuple[Outcome, Cell]] = []
    for figure in figures:
        missing = figure.missing()
        outcome = Outcome(figure, [] if missing else figure.cells(tiny), missing=missing)
        outcomes.append(outcome)
        for cell in outcome.cells:
            row = None if again else _read(folder / _name(figure, cell))
            if row is None:
                due.append((outcome, cell))
            else:
                outcome.rows[_name(figure, cell)] = row
    total = sum(len(o.cells) for o in outcomes)
    done = total - len(due)
    told("looking for finished cells", done, total)
    for outcome, cell, row, problem in _each(due, jobs):
        name = _name(outcome.figure, cell)
        if row is not None:
            _write(folder / name, outcome.figure, row)
            outcome.rows[name] = row
        else:
            outcome.failed[label_of(cell)] = problem
        done += 1
        told(f"{outcome.figure.id} {label_of(cell)}", done, total)
    return outcomes


def _measure(figure: Figure, cell: Cell, started: Callable[[subprocess.Popen[str]], None]) -> tuple[Row | None, str]:
    begun = time.monotonic()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command("reproduce.worker"), env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    started(process)
    try:
        said, errors = process.communicate(json.dumps({"figure": figure.id, "cell": cell}), timeout=figure.seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, f"not done after {figure.seconds:.0f} s"
    if process.returncode:
        lines = errors.strip().splitlines()
        return None, f"ended with {process.returncode}: {lines[-1] if lines else 'no word'}"
    return Row(cell, json.loads(said.strip().splitlines()[-1]), time.monotonic() - begun), ""


def _each(due: Sequence[tuple[Outcome, Cell]], jobs: int) -> Iterator[tuple[Outcome, Cell, Row | None, str]]:
    processes = Processes()
    with ThreadPoolExecutor(jobs) as pool:
        futures: dict[Future[tuple[Row | None, str]], tuple[Outcome, Cell]] = {
            pool.submit(_measure, outcome.figure, cell, processes.add): (outcome, cell) for outcome, cell in due
        }
        try:
            while futures:
                ready, _ = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in ready:
                    outcome, cell = futures.pop(future)
                    yield outcome, cell, *future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop()
            raise
