"""Running a suite: one fresh process a run, several side by side, resumable, and clean to interrupt.

A run's record is named by the hash of its configuration, so what is finished is found and left alone. On Ctrl-C the processes that are at
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

from .processes import command, environment
from .results import SUFFIX
from .suite import Run, Suite, run_id

GRACE = 5.0


@dataclass
class Outcome:
    """What came of a suite: labels of the runs done now, found done, and failed with the last line of what they said."""

    folder: Path
    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class _Pool:
    """The processes at work, so that they can be ended together."""

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


def finished(run: Run, folder: Path) -> bool:
    """Whether the record of this run is in the folder."""
    return (folder / (run_id(run.config()) + SUFFIX)).exists()


def run_suite(
    suite: Suite, folder: Path, jobs: int, *, keep: bool = False, told: Callable[[str, int, int], None] = lambda label, done, total: None
) -> Outcome:
    """Do the runs that are not done yet, `jobs` at a time. `told` hears a label, how many are done and how many there are.

    Raises KeyboardInterrupt after everything was ended in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = suite.runs()
    outcome = Outcome(folder, skipped=[r.label() for r in runs if finished(r, folder)])
    due = [r for r in runs if not finished(r, folder)]
    pool = _Pool(folder, keep)

    def heard(label: str) -> None:
        told(label, len(outcome.skipped) + len(outcome.done) + len(outcome.failed), len(runs))

    heard("looking for finished runs")
    with _noticing_interrupts() as interrupted:
        _ahead(due, outcome, pool, ThreadPoolExecutor(jobs), heard, interrupted)
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
    pool: _Pool,
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
                    if problem := future.result():
                        outcome.failed[run.label()] = problem
                    else:
                        outcome.done.append(run.label())
                    told(run.label())
        except BaseException:
            pool.stop()
            for future in futures:
                future.cancel()
            raise
