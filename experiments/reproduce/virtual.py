"""Background work beside the foreground on one simulated device, by a virtual clock: the engine's own jobs, scheduler and admission.

    puts, one after the other; gets ---------+
    worker 1: a flush or a merge ------------+--> the device, shared evenly among those who want it,
    worker 2: ...                           -+    or with a share set aside for the foreground (SILK)

A job's files are made at once, by the engine; what its calls cost the device (recovery.device) is what the device still owes it, and its
outputs are installed when that was served. So reads, merges, admission and the scheduler see at every moment the tree that a machine with
such a device would have. One thread runs at a time: the same seed gives the same times.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import recovery
from lsm import DB
from lsm.executor import Executor
from lsm.keyspace import Keyspace
from lsm.plan import Running
from lsm.registry import SCHEDULERS
from lsm.stalls import admission_of

WINDOW = 0.01  # seconds: how often SILK looks at what the foreground takes
LEAST = 0.05  # of the device, that background work always has beside it


class Work:
    """One step of the executor, as a coroutine: a thread that runs only while its owner waits for it.

    `owed`: seconds of the device's time that are left; `running`: levels of a merge, None of a flush.
    """

    def __init__(self, step: Callable[[Work], bool]) -> None:
        self.owed, self.paused, self.done, self.worked = 0.0, False, False, False
        self.running: Running | None = None
        self.error: BaseException | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._main, args=(step,), daemon=True).start()

    def _main(self, step: Callable[[Work], bool]) -> None:
        self._go.acquire()
        try:
            self.worked = step(self)
        except BaseException as e:
            self.error = e
        self.done = True
        self._back.release()

    def resume(self) -> None:
        """Run until it is done or waits for the device. Raises what it raised."""
        self._go.release()
        self._back.acquire()
        if self.error is not None:
            raise self.error

    def wait(self) -> None:
        """Called by the step: wait until the owner resumes it."""
        self._back.release()
        self._go.acquire()


class VirtualExecutor(Executor):
    """Steps as coroutines, at most `workers` at a time. `free`: the device serves background work at no cost, the bound."""

    def __init__(self, db: DB, device: recovery.DeviceFileSystem, workers: int, free: bool = False) -> None:
        super().__init__(db)
        self.device, self.workers, self.free = device, workers, free
        self.works: list[Work] = []
        self.now_running: Work | None = None
        space = db.default
        space.options = space.options.override({"threads": workers})  # so many, a scheduler sees
        db.executor = self

    def on_sealed(self) -> None:
        """A memtable was sealed: `begin` comes next."""
        self.due = True

    def begin(self) -> None:
        """Start what is due, as far as there are workers."""
        space, self.due = self.db.default, False
        while len(self.works) < self.workers:
            work = Work(lambda work: self.step(space))
            self.works.append(work)
            self._resume(work)
            if work.done:
                self.works.remove(work)
                if not work.worked:
                    return

    def end(self, work: Work) -> None:
        """The device has served it: install what it made."""
        self.works.remove(work)
        self._resume(work)

    def _resume(self, work: Work) -> None:
        before, self.now_running = self.now_running, work
        work.resume()
        self.now_running = before

    def _run(self, space: Keyspace, *args: Any, **how: Any) -> Any:
        begun = self.device.now_ns()
        result = super()._run(space, *args, **how)
        work, plan = self.now_running, how.get("plan")
        assert work is not None
        if plan is not None:
            claim = self.claims[space.name][plan.inputs]
            work.running = Running(claim.top, claim.bottom, 0)
        work.owed = 0.0 if self.free else (self.device.now_ns() - begun) / 1e9
        self._pace(space)
        work.wait()
        return result

    def _pace(self, space: Keyspace) -> None:
        """As the engine's: the scheduler stops running merges, or lets them go on."""
        scheduler, view, flushing = SCHEDULERS[space.options.compaction.scheduler](), space.view(), space.name in self.flushing
        for work in self.works:
            work.paused = work.running is not None and scheduler.pauses(view, work.running, flushing)


@dataclass
class Served:
    """What came of a run: for each request its latency in seconds; stalls as (begin, length, why)."""

    latencies: list[float] = field(default_factory=list)
    stalls: list[tuple[float, float, str]] = field(default_factory=list)
    ended: float = 0.0


Request = Callable[[], Any]


class Clock:
    """The device's time, the same for all who want it. `share`: background work has no more than what the foreground lately left."""

    def __init__(self, db: DB, device: recovery.DeviceFileSystem, executor: VirtualExecutor, share: bool, cpu: float = 2e-6) -> None:
        self.db, self.device, self.executor, self.share, self.cpu = db, device, executor, share, cpu
        self.now = self.window = 0.0
        self.taken, self.background = 0.0, 1.0  # by the foreground in this window; the share of all background work
        self.owed: dict[bool, float] = {}  # of the put and of the get at work
        self.stopped: tuple[float, str] | None = None

    def run(self, arrivals: Sequence[float], writes: Sequence[bool], requests: Callable[[int], Request]) -> Served:
        """Serve requests that come at these times: puts one after the other, gets one after the other, as two clients; puts wait until the
        engine's rule admits them."""
        out, coming, done = Served([0.0] * len(arrivals)), 0, 0
        waiting = {True: deque[int](), False: deque[int]()}
        while done < len(arrivals):
            while coming < len(arrivals) and arrivals[coming] <= self.now:
                waiting[writes[coming]].append(coming)
                coming += 1
            for write, queue in waiting.items():
                if write not in self.owed and queue and self._admitted(write, out):
                    before = self.device.now_ns()
                    requests(queue[0])()
                    self.owed[write] = self.cpu + (self.device.now_ns() - before) / 1e9
                    if self.executor.due:
                        self.executor.begin()
            self._pass(arrivals[coming] if coming < len(arrivals) else None)
            for write in [w for w, owed in self.owed.items() if owed <= 1e-12]:
                i = waiting[write].popleft()
                out.latencies[i] = self.now - arrivals[i]
                del self.owed[write]
                done += 1
        out.ended = self.now
        return out

    def _admitted(self, write: bool, out: Served) -> bool:
        space = self.db.default
        is_open = not write or admission_of(space)[0]
        if not is_open and self.stopped is None:
            full = space.core.sealed_count() > space.options.max_sealed
            self.stopped = (self.now, "memtables wait for their flush" if full else "level 0 is full")
        elif is_open and self.stopped is not None:
            begun, why = self.stopped
            out.stalls.append((begun, self.now - begun, why))
            self.stopped = None
        return is_open

    def _pass(self, coming: float | None) -> None:
        """Let the time pass until something ends, comes, or a window does; then end what was served."""
        active = [w for w in self.executor.works if not w.paused]
        front = len(self.owed)
        back = 1 / max(1, len(active) + front)
        if self.share and active:
            back = min(back, self.background / len(active))
        ahead = (1 - back * len(active)) / max(1, front)
        steps = [w.owed / back for w in active] + [owed / ahead for owed in self.owed.values()]
        if coming is not None:
            steps.append(coming - self.now)
        if self.share:
            steps.append(self.window + WINDOW - self.now)
        assert steps, "nothing is at work and nothing comes: a stop that nothing ends"
        step = max(0.0, min(steps))
        self.now += step
        for write in self.owed:
            self.owed[write] -= step * ahead
            self.taken += step * ahead
        for work in active:
            work.owed -= step * back
        if self.share and self.now >= self.window + WINDOW - 1e-12:
            self.background = min(1.0, max(LEAST, 1 - 1.25 * self.taken / (self.now - self.window)))
            self.window, self.taken = self.now, 0.0
        served = [w for w in active if w.owed <= 1e-12]
        for work in served:
            self.executor.end(work)
        if served:
            self.executor.begin()
