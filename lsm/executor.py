"""The executor: runs flushes and compactions, inline (threads=0) or on worker threads, and installs what they made.

Order of an install: outputs synced (by the job) | directory synced | manifest record synced | published to readers | logs and dead tables
unlinked. A failure before the manifest record changes nothing; a failure of the record itself leaves the database read-only.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import Cancelled, Error, IOFailure, PlanRefused, ReadOnlyError
from .native import Job, JobInput, JobResult, Table
from .native_db import NEWEST, Mem
from .plan import Claim, Plan, is_bottom, validate
from .stalls import admission, limits
from .version import Edit, TableInfo

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace

SPARE_OUTPUTS = 8  # file numbers set aside for a job beyond what its input bytes suggest


@contextmanager
def shielded(job: Job | None = None) -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, and cancel the job meanwhile. Only the main thread gets signals."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pending = False

    def later(_number: int, _frame: Any) -> None:
        nonlocal pending
        pending = True
        if job is not None:
            job.cancel()

    signal.signal(signal.SIGINT, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pending:
            raise KeyboardInterrupt


class Executor:
    """Owns the lock under which the tree changes. `step` does one piece of work; workers call it, or the writer itself."""

    def __init__(self, db: DB) -> None:
        self.db = db
        self.lock = threading.RLock()
        self.idle = threading.Condition(self.lock)
        self.busy: dict[str, set[int]] = {}
        self.claims: dict[str, dict[tuple[int, ...], Claim]] = {}  # of running plans, by their inputs
        self.flushing: set[str] = set()
        self.content: set[str] = set()  # keyspaces whose policy wanted nothing when it was asked last
        self.jobs: set[Job] = set()
        self.error: BaseException | None = None
        self.closing = False
        self.due = False
        self.asked = 0  # how often work was announced: what came while a worker looked is not what it looked at
        self.threads = [threading.Thread(target=self._work, name=f"lsm-worker-{i}", daemon=True) for i in range(db.options.threads)]

    def start(self) -> None:
        """Start the workers."""
        for thread in self.threads:
            thread.start()

    def on_sealed(self) -> None:
        """A memtable was sealed: do the work that is due, or wake those who will."""
        if self.threads:
            with self.lock:
                self._set_admission()
                self._announce()
        else:
            self.drain()

    def _announce(self) -> None:
        self.due = True
        self.asked += 1
        self.idle.notify_all()

    def drain(self) -> None:
        """Do all work that is due, in this thread."""
        self.raise_error()
        with self.lock:
            while any(self.step(space) for space in list(self.db.spaces.values())):
                pass

    def wait_for_room(self) -> None:
        """Wait until writes are admitted again. Raises what stopped the background work."""
        with self.lock:
            while self._set_admission() and not self.closing:
                self.raise_error()
                self._announce()
                self.idle.wait(0.05)

    def wait(self) -> None:
        """Wait until nothing is running and nothing is due."""
        if not self.threads:
            self.drain()
            return
        with self.lock:
            self._announce()
            while (self.due or self.jobs or self.flushing) and not self.closing:
                self.raise_error()
                self.idle.wait(0.05)
        self.raise_error()

    def raise_error(self) -> None:
        """Raise the failure that ended the background work, if there was one."""
        if self.error is not None:
            raise ReadOnlyError(f"a background job failed: {self.error}") from self.error

    def stop(self) -> None:
        """Cancel running jobs and end the workers."""
        with self.lock:
            self.closing = True
            for job in self.jobs:
                job.cancel()
            self.idle.notify_all()
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self.lock:
                while not self.due and not self.closing:
                    self.idle.wait(1.0)
                if self.closing:
                    return
                spaces, asked = list(self.db.spaces.values()), self.asked
            try:
                worked = sum(self.step(space) for space in spaces) > 0
            except Cancelled:
                worked = False
            except BaseException as e:
                self.fail(e)
                return
            with self.lock:
                if not worked and not self.jobs and not self.flushing:
                    self.due = self.asked != asked
                elif not worked:
                    self.idle.wait(0.02)
                self.idle.notify_all()

    def fail(self, e: BaseException) -> None:
        """Remember a failure of background work and make the database read-only."""
        with self.lock:
            self.error = self.error or e
            self.db.core.poison(f"a background job failed: {e}")
            self.idle.notify_all()

    def _set_admission(self) -> bool:
        """Tell every keyspace how fast it may be written. True when one is stopped."""
        stopped = False
        for space in self.db.spaces.values():
            runs, sealed = len(space.version.levels[0].runs), space.core.sealed_count()
            is_open, delay = admission(space.options, runs, sealed)
            if not is_open and space.name in self.content:  # waiting would last for ever: a policy may let level 0 grow as it likes
                is_open, delay = admission(space.options, limits(space.options)[1] - 1, sealed)
            space.core.admit(is_open or not self.threads, delay if self.threads else 0)
            stopped |= bool(self.threads) and not is_open
        return stopped

    # One piece of work

    def step(self, space: Keyspace) -> bool:
        """Flush if a memtable is sealed, else run one compaction if the policy wants one. True when something was done."""
        with self.lock:
            if space.dropped or self.closing:
                return False
            mems = space.core.sealed() if space.name not in self.flushing else []
            if mems:
                self.flushing.add(space.name)
            else:
                plan = None if space.waits else self._next_plan(space)
        try:
            if mems:
                self.flush(space, mems)
                return True
        finally:
            if mems:
                with self.lock:
                    self.flushing.discard(space.name)
                    self.idle.notify_all()
        if plan is not None:
            return self.compact(space, plan)
        return space.rider is not None and space.rider.step()

    def _next_plan(self, space: Keyspace) -> Plan | None:
        busy = self.busy.setdefault(space.name, set())
        plan = space.policy.plan(space.view(frozenset(busy)))
        if plan is None:
            if not busy:
                self.content.add(space.name)
                self._set_admission()
            return None
        self.content.discard(space.name)
        validate(plan, space.version, frozenset(busy))
        if not self.claim(space, plan):
            return None  # it is due again when the other one is done
        space.step += 1
        return plan

    def claim(self, space: Keyspace, plan: Plan) -> bool:
        """Mark the inputs of a legal plan busy and claim its span; False when a running plan is in the way. compact gives both back."""
        with self.lock:
            claims, mine = self.claims.setdefault(space.name, {}), Claim.of(plan, space.version)
            if any(mine.meets(other) for other in claims.values()):
                return False
            claims[plan.inputs] = mine
            self.busy.setdefault(space.name, set()).update(plan.inputs)
            return True

    def flush(self, space: Keyspace, mems: list[Mem]) -> None:
        """Write sealed memtables, oldest first given, as one run of level 0."""
        db = self.db
        inputs = [JobInput(memtable=m) for m in reversed(mems)]
        if len(db.spaces) > 1:
            db.core.sync()  # a power loss must not keep this keyspace's newer writes and lose another's older ones
        bottom = not space.version.tables() and not space.waits
        result = self._run(space, inputs, level=0, cause="flush", bottom=bottom, output_bytes=0, numbers=1)
        edit_tables = tuple((0, db.state.next_run, TableInfo.of(p)) for p in result.outputs)
        edit = Edit(space.number, added=edit_tables, flushed_seq=max(m.max_seq for m in mems))
        self._install(space, edit, result, flushed=len(mems), made=self._ride(space, edit, result))
        for m in mems:
            m.close()

    def _ride(self, space: Keyspace, edit: Edit, result: JobResult) -> Any:
        """What the rider makes of a flush; when it fails, the tables are gone too."""
        if space.rider is None or edit.flushed_seq is None:
            return None
        try:
            return space.rider.flush(edit.flushed_seq)
        except BaseException as e:
            self._discard(result)
            raise _as_error(e) from e

    def _discard(self, result: JobResult) -> None:
        for p in result.outputs:
            self.db.remove(f"{p.number:06d}.sst")

    def compact(self, space: Keyspace, plan: Plan) -> bool:
        """Run a plan that was claimed. False when it had to be given up, with nothing changed."""
        try:
            version = space.version
            tables = [version.tables()[n] for n in plan.inputs]
            if not self._moved(space, plan, tables):
                runs = [
                    JobInput(tuple(space.tables[t.number] for t in run.tables if t.number in plan.inputs), level)
                    for level, run in version.runs()
                    if any(t.number in plan.inputs for t in run.tables)
                ]
                with self.lock:
                    bottom = is_bottom(space.version, tables, plan.output_level)
                output = plan.output_bytes or space.options.compaction.output_bytes
                result = self._run(
                    space,
                    runs,
                    level=plan.output_level,
                    cause="compaction",
                    bottom=bottom,
                    output_bytes=output,
                    numbers=sum(t.size for t in tables) * 2 // output + len(plan.cuts) + SPARE_OUTPUTS,
                    cuts=plan.cuts,
                )
                with self.lock:  # one hold for all: the run that the outputs join must not change in between
                    try:
                        validate(plan, space.version, frozenset())
                    except PlanRefused:  # a flush came between: a new run at level 0 would be newer than it
                        self._discard(result)
                        return False
                    self._install(space, self._edit(space, plan, [TableInfo.of(p) for p in result.outputs]), result)
            self._move_cursors(space, plan, tables)
        finally:
            with self.lock:
                self.busy[space.name].difference_update(plan.inputs)
                del self.claims[space.name][plan.inputs]
                self.idle.notify_all()
        return True

    def _edit(self, space: Keyspace, plan: Plan, outputs: list[TableInfo]) -> Edit:
        with self.lock:
            levels = space.version.levels
            target = levels[plan.output_level].runs if plan.output_level < len(levels) else ()
            kept = [r.id for r in target if any(t.number not in plan.inputs for t in r.tables)]
            run = kept[0] if kept and not plan.new_run else self.db.state.next_run
            return Edit(space.number, plan.inputs, tuple((plan.output_level, run, t) for t in outputs))

    def _moved(self, space: Keyspace, plan: Plan, tables: list[TableInfo]) -> bool:
        """Tables of one run that meet nothing on their way keep their files, unless merging could drop what they hold.

        True when it was so.
        """
        with self.lock:
            where = space.version.where()
            places = {where[n] for n in plan.inputs}
            if len(places) != 1 or plan.cuts or next(iter(places))[0] == plan.output_level:
                return False
            if any(t.deletions or t.range_deletes for t in tables) and is_bottom(space.version, tables, plan.output_level):
                return False
            self._install(space, self._edit(space, plan, tables), None)
            return True

    def _move_cursors(self, space: Keyspace, plan: Plan, tables: list[TableInfo]) -> None:
        first = [t for t in tables if t.number == plan.inputs[0]]
        if first and plan.output_level > 0:
            space.cursors[plan.output_level - 1] = first[0].largest

    def _run(
        self,
        space: Keyspace,
        inputs: list[JobInput],
        *,
        level: int,
        cause: str,
        bottom: bool,
        output_bytes: int,
        numbers: int,
        cuts: tuple[bytes, ...] = (),
    ) -> JobResult:
        db = self.db
        first = db.core.take_numbers(numbers)
        job = Job(
            db.env,
            space.table_settings(level),
            inputs,
            directory=db.path,
            first_number=first,
            max_outputs=numbers,
            output_bytes=output_bytes,
            cuts=cuts,
            snapshots=db.core.snapshots(),
            bottom=bottom,
            level=level,
            cause=cause,
            bucket=space.bucket if cause == "compaction" else None,
        )
        with self.lock:
            if self.closing:
                raise Cancelled("the database is closing")
            self.jobs.add(job)
        try:
            with shielded(job):
                return job.run()
        finally:
            with self.lock:
                self.jobs.discard(job)
                self.idle.notify_all()

    def _install(self, space: Keyspace, edit: Edit, result: JobResult | None, flushed: int = 0, made: Any = None) -> None:
        db, rider = self.db, space.rider if made is not None else None
        opened: list[Table] = []
        with self.lock, shielded():
            try:
                if rider is not None or (result is not None and result.outputs):
                    db.fs.sync_dir(db.path)
                for p in result.outputs if result is not None else ():
                    opened.append(space.open_table(TableInfo.of(p), edit.added[0][0]))
                version = space.version.apply(edit)
                if rider is not None:
                    edit = replace(edit, attached=rider.attachment(made))
            except (OSError, Error, ValueError) as e:
                for t in opened:
                    t.close()
                if result is not None:
                    self._discard(result)
                if rider is not None:
                    rider.abandoned(made)
                raise _as_error(e) from e
            self._record(space, edit, flushed)
            if rider is not None:
                rider.flushed(made)
            space.tables.update({t.number: t for t in opened})
            space.version = version
            space.core.publish([(level, [space.tables[t.number] for t in run.tables]) for level, run in version.runs()], flushed)
            moved = {t.number for _, _, t in edit.added}
            for number in edit.removed:
                if number not in moved:
                    space.tables.pop(number).close()
            db.sweep(logs=bool(flushed))
            self._set_admission()
            self.idle.notify_all()

    def _record(self, space: Keyspace, edit: Edit, flushed: int) -> None:
        """Make an edit durable. A failure here leaves the database read-only: what is on disk is unknown."""
        db = self.db
        db.state.apply(edit)
        db.note_counters()
        try:
            db.manifest.commit(edit)
        except OSError as e:
            db.core.poison(f"the manifest could not be written: {e}")
            raise _as_error(e) from e


def _as_error(e: BaseException) -> BaseException:
    if isinstance(e, OSError):
        return IOFailure(e.strerror or str(e), str(e.filename or ""), e.errno or 0)
    return e


__all__ = ["NEWEST", "Executor", "shielded"]
