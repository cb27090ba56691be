"""Trials of one compaction policy: each gives a verdict with the reason. A policy that passes them all can be given to a live database."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import lsm
import recovery
from lsm.plan import validate
from lsm.policies import make_policy

from ..processes import environment
from ..simulate import DeleteRange, Operations, Put, Refused, simulate
from .files import load, make

SMALL: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 16384,
    "table": {"block_size": 512},
    "cache": {"capacity": 0},
    "stalls": {"slowdown_us_per_kib": 0},
    "compaction": {"size_ratio": 3, "l0_trigger": 2, "level_base": 8192, "output_bytes": 2048, "max_levels": 5},
}
GROWN: dict[str, Any] = {"compaction": {"size_ratio": 6, "l0_trigger": 4, "level_base": 32768, "output_bytes": 8192, "max_levels": 4}}
TOUCHING = ("open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "urllib.")
CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")


@dataclass(frozen=True)
class Verdict:
    """What a trial found."""

    trial: str
    passed: bool
    detail: str


class Failed(Exception):
    """A trial that a policy does not pass; the reason."""


def streams() -> list[tuple[str, Operations]]:
    """The operations of the trials: what makes trees grow, shrink, overlap and fall into parts."""
    rng = random.Random(5)
    mixed: list[Any] = []
    for _ in range(1500):
        start = rng.randrange(1000)
        span = DeleteRange(b"%06d" % start, b"%06d" % (start + rng.randrange(1, 60)))
        mixed.append(span if rng.random() < 0.01 else Put(b"%06d" % rng.randrange(1000), rng.randrange(60)))
    return [
        ("random inserts", Operations.drawn("fillrandom", 1500, value_bytes=40, seed=1)),
        ("inserts in order", Operations.drawn("fillseq", 1500, value_bytes=40, seed=2)),
        ("updates and deletes", Operations.drawn("fillrandom", 2000, value_bytes=30, updates=0.4, deletes=0.2, seed=3)),
        ("range deletes", Operations.of(mixed)),
    ]


def settings() -> list[lsm.Options]:
    """The options of the trials."""
    small = lsm.Options.from_dict(SMALL)
    return [small, small.override(GROWN)]


def trace(policy: Any, options: lsm.Options, operations: Operations) -> list[str]:
    """The decisions of a policy in the simulator. Failed with its reason when it breaks a rule."""
    lines: list[str] = []
    try:
        simulate(policy, options, operations, told=lambda decision: lines.append(str(decision)))
    except Refused as e:
        raise Failed(f"plan {e.step + 1} was refused: {e}") from e
    return lines


def legal(name: str) -> str:
    """Every plan on every stream keeps the order of versions, and the plans come to an end."""
    plans = 0
    for options in settings():
        for what, operations in streams():
            try:
                plans += sum(not line.startswith("flush") for line in trace(make(name), options, operations))
            except Failed as e:
                raise Failed(f"{what}: {e}") from e
    if not plans:
        raise Failed("it never planned anything: level 0 grows for ever")
    return f"{plans} plans"


class Watched:
    """A policy whose calls are watched: asked twice for the same view it must answer the same, and touch nothing outside."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def plan(self, view: lsm.TreeView) -> Any:
        """Ask twice. Failed when the answers differ."""
        cursors = dict(view.cursors)
        with _seen() as touched:
            first, second = self.policy.plan(view), self.policy.plan(view)
        if first != second:
            raise Failed(f"asked twice for the same view it answered {first} and {second}")
        if dict(view.cursors) != cursors:
            raise Failed("it changed the view")
        if touched:
            raise Failed(f"plan() reached outside: {touched[0]}; allowed: nothing but the view")
        return first


class Doubled:
    """A policy that is asked again while its plan runs: what it names then must be free."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def plan(self, view: lsm.TreeView) -> Any:
        """Ask; ask again as another worker would. PlanRefused for what that one must not do."""
        first = self.policy.plan(view)
        if first is not None:
            busy = frozenset(validate(first, lsm.Version(view.levels), frozenset()) and first.inputs)
            second = self.policy.plan(replace(view, busy=busy))
            if second is not None:
                validate(second, lsm.Version(view.levels), busy)
        return first


def free(name: str) -> str:
    """While a job runs its tables are left alone."""
    for what, operations in streams():
        try:
            trace(Doubled(make(name)), settings()[0], operations)
        except Failed as e:
            raise Failed(f"{what}, asked while its plan runs: {e}") from e
    return f"{len(streams())} streams"


_touched: list[str] | None = None
_listening = False


def _heard(event: str, _arguments: tuple[Any, ...]) -> None:
    if _touched is not None and event.startswith(TOUCHING):
        _touched.append(event)


@contextmanager
def _seen() -> Iterator[list[str]]:
    """Yield the audit events (files, processes, network) of the block. A hook cannot be taken back, so there is one for good."""
    global _touched, _listening  # noqa: PLW0603 (what an audit hook sees is the process's)
    if not _listening:
        sys.addaudithook(_heard)
        _listening = True
    found: list[str] = []
    _touched = found
    try:
        yield found
    finally:
        _touched = None


def pure(name: str) -> str:
    """The same decisions whatever the clock, the global random numbers, the seed of Python's hashes; no files, no network."""
    options, (_, operations) = settings()[0], streams()[2]
    try:
        trace(Watched(make(name)), options, operations)
    except Failed as e:
        raise Failed(str(e).partition("Failed: ")[2] or str(e)) from e
    traces = []
    for moved in (0, 10**9):
        random.seed(moved)
        with _clock(moved):
            traces.append(trace(make(name), options, operations))
    if traces[0] != traces[1]:
        at = next((i for i, (a, b) in enumerate(zip(*traces, strict=False)) if a != b), min(map(len, traces)))
        raise Failed(f"decision {at + 1} depends on the clock or on global random numbers")
    return f"{len(traces[0])} decisions"


@contextmanager
def _clock(moved: int) -> Iterator[None]:
    """Another time on every clock of the time module."""
    with ExitStack() as stack:
        for clock in CLOCKS:
            stack.enter_context(mock.patch.object(time, clock, _later(getattr(time, clock), moved)))
        yield


def _later(clock: Callable[[], Any], moved: int) -> Callable[[], Any]:
    return lambda: clock() + moved


def repeatable(path: Path, name: str) -> str:
    """The same decisions in other processes, with other seeds of Python's hashes: the order of a set is no rule."""
    digests = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "experiments.policies.probe", str(path), name]
        done = subprocess.run(command, capture_output=True, text=True, env=environment() | {"PYTHONHASHSEED": seed}, check=False)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}")
        digests.add(done.stdout)
    if len(digests) > 1:
        raise Failed("two processes decided differently: does it go by the order of a set, or keep state between plans?")
    return "two processes"


def tie_break(name: str) -> str:
    """What decides between equals is said."""
    declared = getattr(make(name), "tie_break", None)
    if not isinstance(declared, str) or not declared:
        raise Failed('it declares none: give it tie_break = "smallest_key" (or what it goes by), or "none" when there are no equals')
    return declared


def twin(name: str) -> str:
    """The engine takes the same decisions as the simulator."""
    decisions = 0
    for what, operations in streams():
        options = settings()[0]
        simulated = trace(make(name), options, operations)
        lines: list[str] = []
        with lsm.open("/trial", options, fs=recovery.memory()) as db:
            db.set_policy(make(name))
            db.trace(lambda keyspace, decision, to=lines: to.append(str(decision)))  # type: ignore[misc]
            operations.play(db)
            db.flush()
        if lines != simulated:
            at = next((i for i, (a, b) in enumerate(zip(lines, simulated, strict=False)) if a != b), min(len(lines), len(simulated)))
            raise Failed(f"{what}: decision {at + 1} is another one in the engine than in the simulator: it keeps state between plans")
        decisions += len(lines)
    return f"{decisions} decisions"


def model(name: str) -> str:
    """A database under the policy holds what a dict would, inline and with threads, and after it was opened again."""
    compared = 0
    for threads in (0, 2):
        for what, operations in streams():
            fs, expected = recovery.memory(), operations.model()
            options = settings()[0].override({"threads": threads})
            with lsm.open("/trial", options, fs=fs) as db:
                db.set_policy(make(name))
                operations.play(db, distinct=True)
                db.flush()
                db.wait()
                _holds(db, expected, f"{what}, threads={threads}")
            with lsm.open("/trial", options, fs=fs) as db:
                _holds(db, expected, f"{what}, threads={threads}, opened again")
            compared += len(expected)
    return f"{compared} pairs"


def _holds(db: lsm.DB, expected: dict[bytes, bytes], when: str) -> None:
    if broken := db.health.policies:
        raise Failed(f"{when}: {broken[0]}")
    if dict(db.scan()) != expected or (problems := db.verify()):
        raise Failed(f"{when}: the database does not hold what was written {problems if dict(db.scan()) == expected else ''}".rstrip())


def hot_swap(name: str) -> str:
    """It takes over a live tree from every built-in layout, and gives it back."""
    operations = streams()[2][1]
    expected = operations.model()
    for layout in sorted(lsm.LAYOUTS):
        options = settings()[0].override({"compaction": {"layout": layout}})
        with lsm.open("/trial", options, fs=recovery.memory()) as db:
            for policy in (None, make(name), make_policy(options), make(name)):
                if policy is not None:
                    db.set_policy(policy)
                operations.play(db, distinct=True)
                db.flush()
                if broken := db.health.policies:
                    raise Failed(f"after {layout}: {broken[0]}")
            _holds(db, expected, f"swapped with {layout}")
    return f"{len(lsm.LAYOUTS)} layouts"


def trials(path: Path, name: str) -> list[tuple[str, Callable[[], str]]]:
    """Name and trial, in the order in which they are worth knowing."""
    return [
        ("legal plans, an end", lambda: legal(name)),
        ("busy tables left alone", lambda: free(name)),
        ("tie-break declared", lambda: tie_break(name)),
        ("pure", lambda: pure(name)),
        ("repeatable", lambda: repeatable(path, name)),
        ("engine as simulator", lambda: twin(name)),
        ("equal to a dict", lambda: model(name)),
        ("hot swap", lambda: hot_swap(name)),
    ]


def check(path: Path, told: Callable[[str], None] = lambda trial: None) -> dict[str, list[Verdict]]:
    """Try every policy of a file. PolicyFileError when it has none. A policy that is not legal is not tried further."""
    found: dict[str, list[Verdict]] = {}
    for name in load(path):
        found[name] = []
        for trial, run in trials(path, name):
            told(f"{name}: {trial}")
            try:
                found[name].append(Verdict(trial, True, run()))
            except Failed as e:
                found[name].append(Verdict(trial, False, str(e)))
            if not found[name][0].passed:
                break
    return found
