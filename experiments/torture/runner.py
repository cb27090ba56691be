"""Running rows: every slice in a fresh process with a time limit, several side by side; what is done is not done again.

A slice that crashes or hangs is a violation like any other. Each finished slice is a line of OUT/<quick|full>.jsonl; a line is bound to
its slice's arguments and to the engine's build, so that another build starts anew.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..processes import Processes, command, engine_id, environment
from .row import Found, Row, Slice

MOST_SHOWN = 5


@dataclass
class Outcome:
    """What came of one row: figures added up over its slices."""

    row: Row
    full: bool
    slices: int
    done: int = 0
    found: Found = field(default_factory=Found)
    seconds: float = 0.0  # of processes, added up

    @property
    def goal(self) -> int:
        """What `cases` is to reach."""
        return self.row.full_goal if self.full else self.row.quick_goal

    @property
    def short(self) -> list[str]:
        """Goals that are not reached, in words."""
        have = {self.row.unit: (self.found.cases, self.goal)}
        have |= {n: (self.found.more.get(n, 0), g[self.full]) for n, g in self.row.more_goals.items()}
        return [f"{got:,} {name} of {goal:,}" for name, (got, goal) in have.items() if got < goal]

    def add(self, record: dict[str, Any]) -> None:
        """Add one finished slice."""
        self.done += 1
        self.seconds += record["seconds"]
        self.found.cases += record["cases"]
        self.found.violations += [f"{self.row.letter}/{record['slice']}: {v}" for v in record["violations"]]
        self.found.missing = self.found.missing or record["missing"]
        for name, n in record["more"].items():
            self.found.count(name, n)


def _key(row: Row, piece: Slice) -> str:
    return json.dumps([engine_id(), row.letter, piece.name, piece.given], sort_keys=True)


def _finished(path: Path) -> dict[str, dict[str, Any]]:
    """The records of slices that are done, by key. A last line that was cut is as if not there."""
    records: dict[str, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            records[record["key"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return records


def run_slice(row: Row, piece: Slice, started: Callable[[subprocess.Popen[str]], None] = lambda p: None) -> dict[str, Any]:
    """Do one slice in a process of its own and return its record."""
    begun = time.monotonic()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command("torture.worker"), env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    started(process)
    try:
        said, errors = process.communicate(json.dumps({"row": row.letter, "given": piece.given}), timeout=row.seconds)
        problem = "" if process.returncode == 0 else _ended(process.returncode, errors)
    except subprocess.TimeoutExpired:
        process.kill()
        said, errors = process.communicate()
        problem = f"HANG: not done after {row.seconds:.0f} s"
    found = Found(violations=[problem]).to_dict() if problem else json.loads(said.strip().splitlines()[-1])
    return {"key": _key(row, piece), "slice": piece.name, "seconds": time.monotonic() - begun, **found}


def _ended(code: int, errors: str) -> str:
    lines = errors.strip().splitlines()
    how = f"CRASH: signal {signal.Signals(-code).name}" if code < 0 else f"the slice failed ({code})"
    return f"{how}: {lines[-1] if lines else 'no word'}"


def run_rows(
    rows: Iterable[Row],
    out: Path,
    *,
    full: bool = False,
    jobs: int = 1,
    only: str = "",
    again: bool = False,
    told: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> list[Outcome]:
    """Do the slices that are not done yet, of the rows given; only: the slices of that name. `told` hears a label, done and total.

    again: forget what is done. Raises KeyboardInterrupt after everything was ended; what is done by then is kept. ValueError when no
    slice has the name.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / ("full.jsonl" if full else "quick.jsonl")
    records = {} if again else _finished(path)
    work = [(row, [s for s in row.slices(full) if only in ("", s.name)]) for row in rows]
    if not any(pieces for _, pieces in work):
        raise ValueError(f"no slice is named {only!r}; there are {', '.join(s.name for row, _ in work for s in row.slices(full))}")
    outcomes = {row.letter: Outcome(row, full, len(pieces)) for row, pieces in work}
    due = [(row, piece) for row, pieces in work for piece in pieces if _key(row, piece) not in records]
    for row, pieces in work:
        for piece in pieces:
            if record := records.get(_key(row, piece)):
                outcomes[row.letter].add(record)
    total = sum(o.slices for o in outcomes.values())
    with path.open("a") as log:
        for row, piece, record in _each(due, jobs):
            log.write(json.dumps(record) + "\n")
            log.flush()
            outcomes[row.letter].add(record)
            told(f"{row.letter}/{piece.name}", sum(o.done for o in outcomes.values()), total)
    return list(outcomes.values())


def _each(due: Sequence[tuple[Row, Slice]], jobs: int) -> Iterator[tuple[Row, Slice, dict[str, Any]]]:
    processes = Processes()
    with ThreadPoolExecutor(jobs) as pool:
        futures: dict[Future[dict[str, Any]], tuple[Row, Slice]] = {
            pool.submit(run_slice, row, piece, processes.add): (row, piece) for row, piece in due
        }
        try:
            while futures:
                ready, _ = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in ready:
                    row, piece = futures.pop(future)
                    yield row, piece, future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop()
            raise
