"""A suite: an experiment as data. TOML in; a list of runs out, each one point of the grid on one workload.

    name = "first"                                   question, expectation, refuted_if: what is asked and what would answer it
    workloads = ["ycsb-a", "trace"]                  names of WORKLOADS, of [workload.NAME] tables here, or "trace"
    records = 100_000                                loaded before the clock starts
    fork = true                                      every point starts from the same tree, built once a seed with [options]
    [options]                                        fixed options of the engine
    [run]                                            mode = "open", rate = 20_000, store = "rocksdb", device = "nvme", ...
    [workload.mine]                                  kind = "kvbench", and its settings
    [grid]                                           "compaction.layout" = ["leveling", "tiering"]: every combination is run; "run.rate" too

An unknown key is an error that names what is allowed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import recovery

from . import traces
from .names import listed
from .processes import code_id
from .workloads import WORKLOADS, Mix, Workload, from_settings, settings

TRACE = "trace"
DECISIONS = "decisions"  # folder beside the records: what each run did to its tree, a line a flush, merge or move
LAYOUT = "compaction.layout"
REPLACED = (LAYOUT, "compaction.picker")  # by a policy of the user's
RUN = "run."  # names of a grid that begin so are settings of the run, all others options of the engine
MODES = ("closed", "open")
ARRIVALS = ("even", "poisson", "workload")
STORES = ("lsmlab", "rocksdb", "leveldb")
DEVICES = ("", *recovery.DEVICES)


class SuiteError(ValueError):
    """A suite that cannot be run: where, the value, what is allowed."""


@dataclass(frozen=True)
class TraceSettings:
    """What is replayed: a path or a name (empty: the default trace, else a generated one that says so), how much of it, with which share
    of updates."""

    path: str = ""
    requests: int = 60_000
    update_share: float = 0.1
    value_bytes: int = 400


@dataclass(frozen=True)
class RunSettings:
    """How a run is driven. closed: the next operation is asked for when the one before is done. open: at `rate` a second, or at the share
    `load` of what a closed loop reached on a clone of the same tree; latencies count from when an operation was due.

    arrivals: evenly spaced, at random (poisson), or as the workload says. store: who is asked. device: a simulated one, by the virtual
    clock of which everything is then timed; "": the machine's.
    """

    mode: str = "closed"
    rate: float = 0.0
    load: float = 0.0
    arrivals: str = "even"
    store: str = "lsmlab"
    device: str = ""
    cpu_ns: int = 1_000  # of virtual time an operation, besides its input and output

    def __post_init__(self) -> None:
        for name, allowed in (("mode", MODES), ("arrivals", ARRIVALS), ("store", STORES), ("device", DEVICES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(map(repr, allowed))}")
        if self.rate < 0 or not 0 <= self.load < 1 or self.cpu_ns < 0:
            raise ValueError(
                f"rate = {self.rate}, load = {self.load}, cpu_ns = {self.cpu_ns}; allowed: 0 and more, 0 to below 1, 0 and more"
            )

    def check(self) -> None:
        """ValueError when the settings do not go together."""
        if self.mode == "open" and not self.rate and not self.load and self.arrivals != "workload":
            raise ValueError('an open loop needs a rate, a load, or arrivals = "workload"')
        if self.device and self.store != "lsmlab":
            raise ValueError(f"store = {self.store!r}; on a simulated device only 'lsmlab' runs")


@dataclass(frozen=True)
class Suite:
    """A whole experiment."""

    name: str
    question: str
    expectation: str
    refuted_if: str
    workloads: tuple[str, ...]
    seed: int = 1
    repeats: int = 1
    records: int = 100_000
    operations: int = 50_000
    value_bytes: int = 100
    warmup: float = 0.2
    probes: int = 5_000
    samples: int = 60
    curves: tuple[str, ...] = ("lru", "clock", "arc", "belady")
    policies: tuple[str, ...] = ()  # compaction policies that the plugins register: each is run beside the grid
    plugins: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    trace: TraceSettings = TraceSettings()
    run: RunSettings = RunSettings()
    fork: bool = False
    drain: bool = True  # the debt of the load is paid before the clock starts; else it is only told
    own: Mapping[str, Workload] = field(default_factory=dict)
    folder: Path = Path()

    def runs(self) -> list[Run]:
        """Every combination of the grid on every workload, `repeats` times."""
        return [
            Run(self, workload, point, self.seed + repeat, policy)
            for repeat in range(self.repeats)
            for workload in self.workloads
            for policy, point in self._points()
        ]

    def _points(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The grid; then each policy with the rest of it: where layouts are compared it is one more layout."""
        for values in itertools.product(*self.grid.values()):
            yield "", dict(zip(self.grid, values, strict=True))
        rest = {name: values for name, values in self.grid.items() if name not in REPLACED}
        for policy in self.policies:
            for values in itertools.product(*rest.values()):
                chosen = dict.fromkeys(self.grid, "-") | dict(zip(rest, values, strict=True))
                yield policy, chosen | {LAYOUT: policy}


@dataclass(frozen=True)
class Run:
    """One point of the grid on one workload with one seed: a fresh process."""

    suite: Suite
    workload: str
    point: Mapping[str, Any]
    seed: int
    policy: str = ""  # instead of the point's layout and picker

    def config(self) -> dict[str, Any]:
        """Everything that decides the outcome, as plain values."""
        s = self.suite
        workload = {**WORKLOADS, **s.own}.get(self.workload)
        ours = {k: v for k, v in self.settings().items() if not k.startswith(RUN)}
        driven = {k.removeprefix(RUN): v for k, v in self.point.items() if k.startswith(RUN)}
        how = _run_settings({**_plain(s.run), **driven})
        how.check()
        if how.device and merged(s.options, ours).get("threads", 2):
            raise ValueError("run.device: a simulated device needs options.threads = 0, so that its clock is the same again")
        return {
            "suite": s.name,
            "workload": self.workload,
            "drawn": workload and settings(workload),
            "trace": {**_plain(s.trace), "file": _trace_file(s.trace.path)} if self.workload == TRACE else None,
            "point": dict(self.point),
            "options": merged(s.options, ours),
            "run": _plain(how),
            "tree": merged(s.options, {}) if s.fork else merged(s.options, ours) if how.mode == "open" and how.load else None,
            **{k: getattr(s, k) for k in ("records", "operations", "value_bytes", "warmup", "probes", "samples", "drain")},
            "curves": list(s.curves),
            "plugins": {p: hashlib.sha256((s.folder / p).read_bytes()).hexdigest() for p in s.plugins},
            "plugin_folder": str(s.folder.resolve()) if s.plugins else "",
            "seed": self.seed,
        }

    def settings(self) -> dict[str, Any]:
        """What the point changes of the options."""
        if not self.policy:
            return dict(self.point)
        return {k: v for k, v in self.point.items() if k not in REPLACED} | {"compaction.policy": self.policy}

    def label(self) -> str:
        """A few words for people."""
        return " ".join([self.workload, *map(str, self.point.values()), *([f"seed {self.seed}"] if self.suite.repeats > 1 else [])])


def config_id(config: Mapping[str, Any]) -> str:
    """A hash of all that decides the outcome but for the code: configuration, workload and seed."""
    decisive = {k: v for k, v in config.items() if k != "plugin_folder"}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def run_id(config: Mapping[str, Any], code: str | None = None) -> str:
    """Name of the record of a configuration: of a run by this code, or by another."""
    return hashlib.sha256(f"{config_id(config)} {code_id() if code is None else code}".encode()).hexdigest()[:16]


def merged(options: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Nested options with the dotted names of the point set in them."""
    out: dict[str, Any] = json.loads(json.dumps(options))
    for name, value in point.items():
        *parents, last = name.split(".")
        where = out
        for parent in parents:
            where = where.setdefault(parent, {})
        where[last] = value
    return out


def with_policies(suite: Suite, path: Path, names: Sequence[str]) -> Suite:
    """The suite with the policies of a file beside its grid. SuiteError when it compares no layouts, or has plug-ins in another folder."""
    if LAYOUT not in suite.grid:
        raise SuiteError(f"the suite {suite.name} compares no layouts: its grid has {', '.join(suite.grid) or 'nothing'}, not {LAYOUT}")
    if suite.plugins and suite.folder.resolve() != path.parent.resolve():
        raise SuiteError(
            f"{path}: the suite {suite.name} has plug-ins in {suite.folder}; put the policy there, and into its list of plugins"
        )
    return replace(suite, plugins=(*suite.plugins, path.name), policies=(*suite.policies, *names), folder=path.parent)


def shipped() -> dict[str, Path]:
    """The suites that come with the package, by name."""
    folder = Path(str(resources.files("experiments"))) / "suites"
    return {p.stem: p for p in sorted(folder.glob("*.toml"))}


def load(name: str) -> Suite:
    """A suite by path, or one that comes with the package by name. Raises SuiteError."""
    path = Path(name)
    if path.suffix != ".toml":
        if name not in shipped():
            raise SuiteError(f"no suite {name!r}, and no path of a .toml; there are {listed(name, shipped())}")
        path = shipped()[name]
    try:
        return parse(path.read_text(), path)
    except OSError as e:
        raise SuiteError(f"{path}: {e.strerror}") from e


def parse(text: str, path: Path = Path("suite.toml")) -> Suite:
    """Read a suite out of TOML; `path` names it in errors and is where plugins are looked for."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise SuiteError(f"{path}: {e}") from e
    allowed = {f.name for f in fields(Suite)} - {"own", "folder"} | {"mix", "workload"}
    _known(path, "the suite", data, allowed)
    for f in fields(Suite):
        if f.default is MISSING and f.default_factory is MISSING and f.name not in data:
            raise SuiteError(f"{path}: {f.name} is missing")
    trace, mixes, others, driven = (data.pop(name, {}) for name in ("trace", "mix", "workload", "run"))
    _known(path, "[trace]", trace, {f.name for f in fields(TraceSettings)})
    _known(path, "[run]", driven, {f.name for f in fields(RunSettings)})
    for name, mix in mixes.items():
        _known(path, f"[mix.{name}]", mix, {f.name for f in fields(Mix)})
    own = {name: _own(path, "mix", name, mix) for name, mix in mixes.items()}
    own |= {name: _own(path, "workload", name, table) for name, table in others.items()}
    grid = {name: tuple(values) if isinstance(values, list) else (values,) for name, values in data.pop("grid", {}).items()}
    lists: dict[str, Any] = {k: tuple(data.pop(k)) for k in ("workloads", "curves", "plugins", "policies") if k in data}
    try:
        suite = Suite(
            **data, **lists, grid=grid, trace=TraceSettings(**trace), run=_run_settings(driven), own=own, folder=path.parent
        )  # fmt: skip
        _check(path, suite)
        for run in suite.runs():
            run.config()
    except ValueError as e:
        raise e if isinstance(e, SuiteError) else SuiteError(f"{path}: {e}") from None
    return suite


def _own(path: Path, table: str, name: str, given: Mapping[str, Any]) -> Workload:
    where = f"[{table}.{name}]"
    try:
        made = from_settings({"kind": "mix", **given})
    except ValueError as e:
        raise SuiteError(f"{path}, {where}: {e}") from None
    if isinstance(made, Mix) and abs(sum(made.shares()) - 1) > 1e-9:
        raise SuiteError(f"{path}: the shares of {where} sum to {sum(made.shares()):g}, they must sum to 1")
    return made


def _run_settings(given: Mapping[str, Any]) -> RunSettings:
    allowed = [f.name for f in fields(RunSettings)]
    for key in given:
        if key not in allowed:
            raise ValueError(f"run.{key} is unknown; allowed: {', '.join(RUN + name for name in allowed)}")
    return RunSettings(**given)


def _check(path: Path, suite: Suite) -> None:
    names = {*WORKLOADS, *suite.own, TRACE}
    for workload in suite.workloads:
        if workload not in names:
            raise SuiteError(f"{path}: workload {workload!r} is unknown; there are {listed(workload, sorted(names))}")
    for key, low in (("records", 1), ("operations", 1), ("repeats", 1), ("samples", 1), ("value_bytes", 0), ("probes", 0)):
        value = getattr(suite, key)
        if not isinstance(value, int) or value < low:
            raise SuiteError(f"{path}: {key} = {value!r}; it must be a whole number from {low}")
    if not 0 <= suite.warmup < 1:
        raise SuiteError(f"{path}: warmup = {suite.warmup!r}; it is a share of the operations, from 0 to below 1")
    for plugin in suite.plugins:
        if not (suite.folder / plugin).is_file():
            raise SuiteError(f"{path}: plugin {plugin!r} is not a file in {suite.folder}")


def _known(path: Path, where: str, table: Mapping[str, Any], allowed: set[str]) -> None:
    for key in table:
        if key not in allowed:
            raise SuiteError(f"{path}: {key!r} is unknown in {where}; allowed: {listed(key, sorted(allowed))}")


def _plain(settings: Any) -> dict[str, Any]:
    return {f.name: getattr(settings, f.name) for f in fields(settings)}


def _trace_file(name: str) -> str:
    """Name and size of the file that would be replayed, so that another trace is another run."""
    path = traces.locate(name)
    return f"{path.name}, {path.stat().st_size} bytes" if path else "generated"
