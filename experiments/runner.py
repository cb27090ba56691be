"""Running a suite: one fresh process a run, several side by side, resumable, and clean to interrupt.

A run's record is named by the hash of its configuration and of the code that ran it, so what is finished is found and left alone; what came
of each run is in the folder's ledger. On Ctrl-C the processes that are at
work are ended, what they had made is removed, and the records of the finished runs stay.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from .processes import command, environment
from .result_ledger import Ledger
from .results import SUFFIX, read
from .suite import DECISIONS, Run, Suite, config_id, run_id

GRACE = 5.0


@dataclass
class Outcome:
    """What came of a suite: labels of the runs done now, found done, and failed with the last line of what they said."""

    folder: Path
    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class Place(Protocol):
    """Where runs run."""

    def run(self, run: Run) -> str:
        """Do one run and store its record; "" or what went wrong."""

    def stop(self) -> None:
        """End every run that is at work."""

    def close(self) -> None:
        """The sweep is over."""


PLACES = ("local", "ray")


def place(name: str, folder: Path, *, keep: bool) -> Place:
    """Where runs run, by name. ValueError for another name, or when what it needs is not installed."""
    if name not in PLACES:
        raise ValueError(f"--on {name!r}; allowed: {', '.join(PLACES)}")
    if name == "ray":
        from .cluster import Ray

        return Ray(folder)
    return Processes(folder, keep)


class Processes:
    """Processes of this machine, so that they can be ended together."""

    def __init__(self, folder: Path, keep: bool) -> None:
        self.folder, self.keep = folder, keep
        self._lock = threading.Lock()
        self._stopped = False
        self._processes: set[subprocess.Popen[str]] = set()

    def run(self, run: Run) -> str:
        """Do one run in a process of its own; "" or what went wrong."""
        config = run.config()
        order = json.dumps({"config": config, "folder": str(self.folder), "keep": self.keep})
        pipe = subprocess.PIPE
        with self._lock:
            if self._stopped:
                return "interrupted"
            process = subprocess.Popen(
                command("worker"), env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
            )
            self._processes.add(process)
        _, errors = process.communicate(order)
        with self._lock:
            self._processes.discard(process)
        if process.returncode == 0:
            return ""
        shutil.rmtree(self.folder / "work" / run_id(config), ignore_errors=True)
        return errors.strip().splitlines()[-1] if errors.strip() else f"ended with {process.returncode}"

    def stop(self) -> None:
        """End every process: politely, then for good."""
        with self._lock:
            self._stopped = True
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()

    def close(self) -> None:
        """Every process has ended by itself, or in `stop`."""


def decisions(run: Run, folder: Path) -> list[str]:
    """What a finished run did to its tree: a line for every flush, merge and move. ValueError when it was not by this code, or not ours."""
    path = folder / DECISIONS / f"{run_id(run.config())}.txt"
    if not path.exists():
        raise ValueError(f"{run.label()}: no decisions are kept; they are of runs of this engine by the code as it is")
    return path.read_text(encoding="utf-8").splitlines()


def run_suite(
    suite: Suite,
    folder: Path,
    jobs: int,
    *,
    keep: bool = False,
    any_code: bool = False,
    place: Place | None = None,
    told: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> Outcome:
    """Do the runs that are not done yet, `jobs` at a time. `told` hears a label, how many are done and how many there are.

    any_code: records by other code count as done. place: where runs run, default processes of this machine. Raises KeyboardInterrupt
    after everything was ended in order, and RecordError for a folder whose records cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs, ledger = suite.runs(), Ledger(folder)
    ledger.refresh()
    ids, configs = ledger.done()
    done = [config_id(r.config()) in configs if any_code else run_id(r.config()) in ids for r in runs]
    outcome = Outcome(folder, skipped=[r.label() for r, d in zip(runs, done, strict=True) if d])
    due = [r for r, d in zip(runs, done, strict=True) if not d]
    pool = place or Processes(folder, keep)

    def heard(label: str) -> None:
        told(label, len(outcome.skipped) + len(outcome.done) + len(outcome.failed), len(runs))

    heard("looking for finished runs")
    try:
        with _noticing_interrupts() as interrupted:
            _ahead(due, outcome, pool, ledger, ThreadPoolExecutor(jobs), heard, interrupted)
    finally:
        pool.close()
    if not keep:
        shutil.rmtree(folder / "work", ignore_errors=True)
    return outcome


@contextmanager
def _noticing_interrupts() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets beside raising KeyboardInterrupt, which is lost when that happens in a finalizer or a callback."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield event
        return

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _ahead(
    due: Sequence[Run],
    outcome: Outcome,
    pool: Place,
    ledger: Ledger,
    threads: ThreadPoolExecutor,
    told: Callable[[str], None],
    interrupted: threading.Event,
) -> None:
    with threads:
        futures = {threads.submit(pool.run, run): run for run in due}
        try:
            while futures:
                if interrupted.is_set():
                    raise KeyboardInterrupt
                ready, _ = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in ready:
                    run = futures.pop(future)
                    name = run_id(run.config())
                    path = ledger.folder / (name + SUFFIX)
                    if problem := future.result() or ("" if path.exists() else "it stored no record"):
                        outcome.failed[run.label()] = problem
                        ledger.failed(name, run.label(), problem)
                    else:
                        ledger.add(read(path), path)
                        outcome.done.append(run.label())
                    told(run.label())
        except BaseException:
            pool.stop()
            for future in futures:
                future.cancel()
            raise
