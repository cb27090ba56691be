"""The executor: runs flushes and compactions, inline (threads=0) or on worker threads, and installs what they made.

Order of an install: outputs synced (by the job) | directory synced | manifest record synced | published to readers | logs and dead tables
unlinked. A failure before the manifest record changes nothing; a failure of the record itself leaves the database read-only.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import collect, flusher, worker
from .decisions import Decision
from .errors import Cancelled, ClosedError, CorruptionError, Error, PlanRefused, ReadOnlyError, of_os
from .manifest import Pending
from .native import Job, JobInput, JobResult, Table
from .native_db import NEWEST, Mem
from .native_values import ValueFile, ValueWriter
from .options import triggers_of
from .plan import Claim, Plan, Running, check_drop, cursor_of, edit_of, is_bottom, keeps_files, outputs_of, validate
from .progress import Progress
from .registry import SCHEDULERS
from .shield import shielded
from .stalls import admission, admission_of, limits
from .version import Edit, TableInfo

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace


class Executor:
    """Owns the lock under which the tree changes. `step` does one piece of work; workers call it, or the writer itself."""

    def __init__(self, db: DB) -> None:
        self.db = db
        self.lock = threading.RLock()
        self.idle = threading.Condition(self.lock)
        self.busy: dict[str, set[int]] = {}
        self.claims: dict[str, dict[tuple[int, ...], Claim]] = {}  # of running plans, by their inputs
        self.merging: dict[tuple[str, tuple[int, ...]], Job] = {}  # jobs of running plans
        self.flushing: set[str] = set()
        self.content: set[str] = set()  # keyspaces whose policy wanted nothing when it was asked last
        self.refused: dict[str, str] = {}  # keyspaces whose policy broke a rule, and which: it is not asked again
        self.progress: dict[str, Progress] = {}
        self.told: Callable[[str, Decision], None] | None = None  # hears a keyspace's name and what was done to its tree
        self.jobs: set[Job] = set()
        self.unneeded: list[str] = []  # files to be removed when the lock is free
        self.error: BaseException | None = None
        self.closing = self.due = False
        self.looking = 0  # workers that are in a round over the keyspaces: what they do may not be installed yet
        self.asked = 0  # how often work was announced: what came while a worker looked is not what it looked at
        self.threads = self._workers()

    def _workers(self) -> list[threading.Thread]:
        number = 0 if self.db.read_only else self.db.options.threads
        threads = [threading.Thread(target=worker.work, args=(self,), name=f"lsm-worker-{i}", daemon=True) for i in range(number)]
        return [*threads, threading.Thread(target=flusher.work, args=(self,), name="lsm-flusher", daemon=True)] if threads else []

    def restart(self) -> None:
        """Go on with new workers after `stop`, or after a failure ended them."""
        self.closing, self.threads = False, self._workers()
        self.start()

    def orphan(self) -> None:
        """In a child that fork made: the workers are not there, nor is whoever held the lock."""
        self.lock, self.threads = threading.RLock(), []
        self.idle = threading.Condition(self.lock)

    def start(self) -> None:
        """Start the workers."""
        for thread in self.threads:
            thread.start()

    def on_sealed(self) -> None:
        """A memtable was sealed: do the work that is due, or wake those who will.

        A writer does not wait for an install, which holds the lock while the manifest is synced: it does the rest when it is done.
        """
        if not self.threads:
            self.drain()
        elif self.lock.acquire(timeout=0.001):
            try:
                self._set_admission()
                self.share()
                self._announce()
            finally:
                self.lock.release()
        else:
            self.asked += 1  # before due: see _work
            self.due = True

    def after_write(self) -> None:
        """A write that is in the log sealed a memtable. When the log cannot go on, the next write is told: this one was done."""
        with suppress(ReadOnlyError):
            self.on_sealed()

    def begin(self) -> None:
        """Do what is due when the database opens; what fails is a failure of background work, also inline: reads go on."""
        try:
            self.on_sealed()
        except Error as e:
            self.fail(e)

    def _announce(self) -> None:
        self.due = True
        self.asked += 1
        self.idle.notify_all()

    def drain(self, idle: bool = False) -> None:
        """Do all work that is due, in this thread; idle: and what can be done while nobody waits."""
        self.raise_error()
        with self.lock:
            while any(self.step(space, idle) for space in list(self.db.spaces.values())):
                pass

    def wait_for_room(self) -> None:
        """Wait until writes are admitted again. Raises what stopped the background work, ClosedError also in a child that fork made."""
        if self.db.closed:  # its copy of the lock may be held for ever
            raise ClosedError("the database is closed")
        with self.lock:
            told = False
            while self._set_admission() and not self.closing:
                self.raise_error()
                if not told:
                    self._announce()
                told = self.idle.wait(0.05)

    def wait(self) -> None:
        """Wait until nothing is running and nothing is due. ClosedError also in a child that fork made."""
        if self.db.closed:
            raise ClosedError("the database is closed")
        if not self.threads:
            self.drain()
            if self.idles():
                self.drain(idle=True)
            return
        with self.lock:
            self._announce()
            while (self.due or self.jobs or self.flushing or self.looking) and not self.closing:
                self.raise_error()
                self.idle.wait(0.05)
        self.raise_error()

    def wait_for(self, spaces: list[Keyspace]) -> None:
        """Wait until what runs in keyspaces where nothing new begins has ended. The lock is held."""
        while any(s.name in self.flushing or self.claims.get(s.name) or (s.rider is not None and s.rider.merging) for s in spaces):
            self.idle.wait(0.05)

    def raise_error(self) -> None:
        """Raise the failure that ended the background work, if there was one."""
        if self.error is not None:
            raise ReadOnlyError(f"a background job failed: {self.error}") from self.error

    def stop(self) -> None:
        """Cancel running jobs and end the workers; wait for the jobs of other threads too: they write files."""
        with self.lock:
            self.closing = True
            for job in self.jobs:
                job.cancel()
            self.idle.notify_all()
        for thread in self.threads:
            if thread.is_alive():  # opening may have failed before it began
                thread.join()
        with self.lock:
            while self.jobs:
                self.idle.wait(0.05)

    def idles(self) -> bool:
        """Whether a keyspace has work for times when nobody waits."""
        return any(kind == "idle" for s in self.db.spaces.values() for kind, _ in triggers_of(s.options.compaction.triggers))

    def fail(self, e: BaseException) -> None:
        """Remember a failure of background work and make the database read-only."""
        self.db.events.failed(e)
        with self.lock:
            self.error = self.error or e
            self.db.core.poison(f"a background job failed: {e}")
            self.idle.notify_all()

    def manifest_failed(self, e: OSError) -> None:
        """No write and no work goes on after that, also inline: nothing may go behind a record that may be there or not."""
        self.db.events.failed(e)
        self.error = self.error or _as_error(e)
        self.db.core.poison(f"the manifest could not be written: {e}")

    def _set_admission(self) -> bool:
        """Tell every keyspace how fast it may be written. True when one is stopped."""
        stopped = False
        for space in self.db.spaces.values():
            is_open, delay = admission_of(space)
            if not is_open and (space.name in self.content or space.waits):  # for ever: a policy may let level 0 grow as it likes
                is_open, delay = admission(space.options, limits(space.options)[1] - 1, space.core.sealed_count())
            space.core.admit(is_open or not self.threads, delay if self.threads else 0)
            stopped |= bool(self.threads) and not is_open
        return stopped

    def share(self, ask: bool = False) -> None:
        """Give the parts their shares of one budget, if there is one; ask: the arbiter may move something."""
        budget = self.db.budget
        if budget is None:
            return
        (budget.balance if ask else budget.settle)()
        if ask and any(space.is_overdue() for space in self.db.spaces.values()):
            self._announce()

    # One piece of work

    def step(self, space: Keyspace, idle: bool = False, *, merges: bool = True) -> bool:
        """Flush if a memtable is sealed, else (merges) run one compaction if the policy wants one. True when something was done.

        idle: nobody waits. Never in a database that was opened read-only: what recovery put into memtables stays there.
        """
        with self.lock:
            if space.dropped or self.closing or self.db.read_only:
                return False
            if space.is_overdue():
                space.core.seal()
            wanted = merges and not space.waits
            plan = self._next_plan(space, idle) if wanted and self.threads else None  # before a flush, which has a thread of its own
            mems = space.core.sealed()[:1] if plan is None and space.name not in self.flushing else []  # one by one: writers go on sooner
            if mems:
                self.flushing.add(space.name)
            elif wanted and not self.threads:
                plan = self._next_plan(space, idle)
        try:
            if mems:
                if self.threads:
                    self.db.core.prepare_log()
                self.flush(space, mems)
                return True
        finally:
            if mems:
                with self.lock:
                    self.flushing.discard(space.name)
                    self._pace(space)
                    self.idle.notify_all()
        if plan is not None:
            return self._merged(space, plan)
        if merges and collect.step(self, space):
            return True
        return merges and space.rider is not None and space.rider.step()

    def _next_plan(self, space: Keyspace, idle: bool) -> Plan | None:
        """Ask the policy. What it does against the rules ends its work, not that of the database: see `refuse`."""
        if space.by_hand:
            return None
        busy = self.busy.setdefault(space.name, set())
        held, plan = self.db.scrubber.tables | busy, None
        if space.name not in self.refused:
            try:
                plan = space.policy.plan(space.view(held, idle))
                if plan is not None:
                    validate(plan, space.version, held)
                    if plan.drop:
                        check_drop(plan, space.view())
            except Exception as e:  # it is the code of a user
                self.refuse(space, str(e) if isinstance(e, PlanRefused) else f"plan() raised {type(e).__name__}: {e}")
                plan = None
        if plan is None:
            if not busy:
                self.content.add(space.name)
                self._set_admission()
            return None
        self.content.discard(space.name)
        if not self.claim(space, plan):
            return None  # it is due again when the other one is done
        try:
            self.progress.setdefault(space.name, Progress()).check(space.version)
        except PlanRefused as e:
            self._give_back(space, plan)
            self.refuse(space, str(e))
            return None
        space.step += 1
        return plan

    def refuse(self, space: Keyspace, why: str) -> None:
        """A policy broke a rule. Nothing of the keyspace is compacted until it has another policy; writes, reads and flushes go on."""
        with self.lock:
            self.refused[space.name] = f"{type(space.policy).__name__}: {why}"
        warnings.warn(f"compaction policy of keyspace {space.name!r}: {self.refused[space.name]}", RuntimeWarning, stacklevel=2)

    def forgive(self, space: Keyspace) -> None:
        """It has another policy: what the old one did does not count any more."""
        with self.lock:
            for told in (self.refused, self.progress):
                told.pop(space.name, None)
            self.content.discard(space.name)

    def claim(self, space: Keyspace, plan: Plan) -> bool:
        """Mark the inputs of a legal plan busy and claim its span; False when a running plan is in the way. compact gives both back."""
        with self.lock:
            claims, mine = self.claims.setdefault(space.name, {}), Claim.of(plan, space.version)
            if any(mine.meets(other) for other in claims.values()):
                return False
            claims[plan.inputs] = mine
            self.busy.setdefault(space.name, set()).update(plan.inputs)
            return True

    def running(self, space: Keyspace) -> tuple[Running, ...]:
        """Return the compactions of a keyspace under way."""
        tables, claims = space.version.tables(), self.claims.get(space.name, {})
        return tuple(Running(c.top, c.bottom, sum(tables[n].size for n in inputs if n in tables)) for inputs, c in claims.items())

    def _pace(self, space: Keyspace) -> None:
        """Let the scheduler stop running compactions, or let them go on: asked whenever something begins or ends."""
        c = space.options.compaction
        if not self.threads or not self.merging:
            return
        with self.lock:
            scheduler, view, flushing = SCHEDULERS[c.scheduler](), space.view(), space.name in self.flushing
            for (name, inputs), job in self.merging.items():
                if name == space.name:
                    claim = self.claims[name][inputs]
                    job.pause(scheduler.pauses(view, Running(claim.top, claim.bottom, 0), flushing))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock over installs. The files that they leave without use go when it is free: a disk may take its time over each."""
        with self.lock:
            yield
            unneeded, self.unneeded = self.unneeded, []
        for name in unneeded:
            self.db.remove(name)

    def flush(self, space: Keyspace, mems: list[Mem]) -> None:
        """Write sealed memtables, oldest first given, as one run of level 0."""
        db = self.db
        inputs = [JobInput(memtable=m) for m in reversed(mems)]
        if (len(db.spaces) > 1 or db.archiver is not None) and not isinstance(db.manifest, Pending):
            db.core.sync()  # a power loss must not keep this keyspace's newer writes and lose another's older ones, or the archive's
        bottom = not space.version.tables() and not space.waits
        with collect.separating(self, space, mems) as values:
            result = self._run(space, inputs, level=0, cause="flush", bottom=bottom, output_bytes=0, numbers=1, values=values)
            result = collect.finished(self, result, values)
        newest = max(m.max_seq for m in mems)
        tables = [TableInfo.of(p, newest) for p in result.outputs]
        space.flush_span = max(space.flush_span, newest - db.state.flushed[space.number])
        made = self._ride(space, newest, result)
        with self.changing():  # from the run's number on: another run may be installed until then
            edit = Edit(space.number, added=tuple((0, db.state.next_run, t) for t in tables), flushed_seq=newest, values=result.values)
            self._install(space, edit, result, flushed=len(mems), made=made)
            self.progress.pop(space.name, None)  # there is new data
            self._tell(space, Decision.flushed(tables))
        for m in mems:
            m.close()

    def _ride(self, space: Keyspace, newest: int, result: JobResult) -> Any:
        """What the rider makes of a flush up to a sequence number; when it fails, the tables are gone too."""
        if space.rider is None:
            return None
        try:
            return space.rider.flush(newest)
        except BaseException as e:
            self._discard(result)
            raise _as_error(e) from e

    def _discard(self, result: JobResult) -> None:
        """Remove the files of a job that are not to be installed."""
        for p in result.outputs:
            self.db.remove(f"{p.number:06d}.sst")
        for v in result.values:
            self.db.remove(f"{v.number:06d}.vlog")

    def _merged(self, space: Keyspace, plan: Plan) -> bool:
        """Run a plan of the policy. One that meets damage changes nothing: the table rests until it is healed, and all else goes on."""
        try:
            return self.compact(space, plan)
        except CorruptionError as e:
            if not self.db.scrubber.blames(e):
                raise
            return bool(self.db.scrubber.tables.intersection(plan.inputs))

    def compact(self, space: Keyspace, plan: Plan) -> bool:
        """Run a plan that was claimed. False when it had to be given up, with nothing changed."""
        try:
            version = space.version
            tables = [version.tables()[n] for n in plan.inputs]
            if plan.drop:
                self._drop(space, plan)
            elif not self._moved(space, plan, tables):
                runs = [
                    JobInput(tuple(space.tables[t.number] for t in run.tables if t.number in plan.inputs), level)
                    for level, run in version.runs()
                    if any(t.number in plan.inputs for t in run.tables)
                ]
                with self.lock:
                    bottom = is_bottom(space.version, tables, plan.output_level)
                output_bytes, numbers = outputs_of(plan, version, space.options)
                result = self._run(
                    space,
                    runs,
                    level=plan.output_level,
                    cause="compaction",
                    bottom=bottom,
                    output_bytes=output_bytes,
                    numbers=numbers,
                    cuts=plan.cuts,
                    plan=plan,
                )
                with self.changing():  # one hold for all: the run that the outputs join must not change in between
                    try:
                        validate(plan, space.version, frozenset())
                    except PlanRefused:  # a flush came between: a new run at level 0 would be newer than it
                        self._discard(result)
                        return False
                    now = self.db.core.sequence()
                    outputs = [TableInfo.of(p, now) for p in result.outputs]
                    self._install(space, self._edit(space, plan, outputs), result)
                    space.served[plan.output_level] = space.served.get(plan.output_level, 0) + result.bytes_written
                    self._tell(space, Decision.of("merge", plan, outputs))
            if cursor := cursor_of(plan, version):
                space.cursors[cursor[0]] = cursor[1]
        finally:
            with self.lock:
                self._give_back(space, plan)
                self._pace(space)
        return True

    def _give_back(self, space: Keyspace, plan: Plan) -> None:
        """End a plan's claim."""
        with self.lock:
            self.busy[space.name].difference_update(plan.inputs)
            del self.claims[space.name][plan.inputs]
            self.idle.notify_all()

    def _tell(self, space: Keyspace, decision: Decision) -> None:
        if self.told is not None:
            self.told(space.name, decision)

    def _drop(self, space: Keyspace, plan: Plan) -> None:
        """Let go of tables with what they hold: their files are unlinked, nothing is read or written."""
        with self.changing():
            try:
                check_drop(plan, space.view())
            except PlanRefused:  # a snapshot was taken, or a table came to the keyspace, since it was planned
                return
            self._install(space, self._edit(space, plan, []), None)
            self._tell(space, Decision.of("drop", plan, ()))

    def _edit(self, space: Keyspace, plan: Plan, outputs: list[TableInfo]) -> Edit:
        return edit_of(plan, space.version, outputs, space.number, self.db.state.next_run)

    def _moved(self, space: Keyspace, plan: Plan, tables: list[TableInfo]) -> bool:
        """Tables of one run that meet nothing on their way keep their files, unless merging could drop what they hold.

        True when it was so.
        """
        with self.changing():
            if not keeps_files(plan, space.version, space.options):
                return False
            self._install(space, self._edit(space, plan, tables), None)
            self._tell(space, Decision.of("move", plan, tables))
            return True

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
        plan: Plan | None = None,
        values: ValueWriter | None = None,
        moved: Sequence[ValueFile] = (),
    ) -> JobResult:
        """Run one job and return what it made: files on the disk that are to be installed or discarded."""
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
            bucket=space.bucket if cause != "flush" else None,
            values=values,
            moved=moved,
        )
        with self.lock:
            if self.closing:
                raise Cancelled("the database is closing")
            self.jobs.add(job)
            if plan is not None:
                self.merging[space.name, plan.inputs] = job
        try:
            with self.lock:
                self._pace(space)  # the code of a user: when it raises, the job was none
            with shielded(job):
                return job.run()
        finally:
            with self.lock:
                self.jobs.discard(job)
                if plan is not None:
                    del self.merging[space.name, plan.inputs]
                self.idle.notify_all()

    def _install(self, space: Keyspace, edit: Edit, result: JobResult | None, flushed: int = 0, made: Any = None) -> None:
        """Make an edit durable and show it to readers; when it fails before its record, the files of the result are gone."""
        db, rider = self.db, space.rider if made is not None else None
        opened: list[Table] = []
        values: list[ValueFile] = []
        with self.lock, shielded():
            try:
                if db.closed:
                    raise ClosedError("the database is closed")
                if db.manifest.failed is not None:
                    raise db.manifest.failed
                if rider is not None or (result is not None and result.outputs):
                    with db.disk.calls.manifest():
                        db.fs.sync_dir(db.path)
                for p in result.outputs if result is not None else ():
                    opened.append(space.open_table(TableInfo.of(p), edit.added[0][0]))
                for v in edit.values:
                    values.append(space.open_value(v))
                version = space.version.apply(edit)
                if rider is not None:
                    edit = replace(edit, attached=rider.attachment(made))
            except (OSError, Error, ValueError) as e:
                for t in opened:
                    t.close()
                for f in values:
                    f.close()
                if result is not None:
                    self._discard(result)
                if rider is not None:
                    rider.abandoned(made)
                raise _as_error(e) from e
            self._record(space, edit, flushed)
            if rider is not None:
                rider.flushed(made)
            space.tables.update({t.number: t for t in opened})
            space.value_files.update({v.number: v for v in values})
            space.version = version
            space.publish(version, flushed)
            moved = {t.number for _, _, t in edit.added}
            for number in edit.removed:
                if number not in moved:
                    space.tables.pop(number).close()
            for number in space.value_files.keys() - {v.number for v in version.values}:
                space.value_files.pop(number).close()
            if flushed and db.archiver is not None:
                db.archiver.poke()
            self.unneeded += db.unneeded(logs=bool(flushed))
            self._set_admission()
            self.share(bool(flushed))
            self.idle.notify_all()

    def _record(self, space: Keyspace, edit: Edit, flushed: int) -> None:
        """Make an edit durable. A failure here leaves the database read-only: what is on disk is unknown."""
        db, floor = self.db, self.db.state.log_floor
        db.state.apply(edit)
        db.note_counters(space=space, flushed=flushed)
        try:
            with db.disk.calls.manifest():
                db.manifest.commit(edit)
        except OSError as e:
            db.state.log_floor = floor  # what was to be flushed is in the log alone
            self.manifest_failed(e)
            raise _as_error(e) from e


def _as_error(e: BaseException) -> BaseException:
    if isinstance(e, OSError):
        return of_os(e)
    return e


__all__ = ["NEWEST", "Executor"]
