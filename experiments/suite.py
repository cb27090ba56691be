"""A suite: an experiment as data. TOML in; a list of runs out, each one point of the grid on one workload.

    name = "first"                                   question, expectation, refuted_if: what is asked and what would answer it
    workloads = ["ycsb-a", "trace"]                  names of MIXES, of [mix.NAME] tables here, or "trace"
    records = 100_000                                loaded before the clock starts
    [options]                                        fixed options of the engine
    [grid]                                           "compaction.layout" = ["leveling", "tiering"]: every combination is run

An unknown key is an error that names what is allowed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from . import traces
from .workloads import MIXES, Mix

TRACE = "trace"


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
    plugins: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    trace: TraceSettings = TraceSettings()
    mixes: Mapping[str, Mix] = field(default_factory=dict)
    folder: Path = Path()

    def runs(self) -> list[Run]:
        """Every combination of the grid on every workload, `repeats` times."""
        points = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        return [
            Run(self, workload, point, self.seed + repeat)
            for repeat in range(self.repeats)
            for workload in self.workloads
            for point in points
        ]


@dataclass(frozen=True)
class Run:
    """One point of the grid on one workload with one seed: a fresh process."""

    suite: Suite
    workload: str
    point: Mapping[str, Any]
    seed: int

    def config(self) -> dict[str, Any]:
        """Everything that decides the outcome, as plain values."""
        s = self.suite
        mix = {**MIXES, **s.mixes}.get(self.workload)
        return {
            "suite": s.name,
            "workload": self.workload,
            "mix": mix and _plain(mix),
            "trace": {**_plain(s.trace), "file": _trace_file(s.trace.path)} if self.workload == TRACE else None,
            "point": dict(self.point),
            "options": merged(s.options, self.point),
            **{k: getattr(s, k) for k in ("records", "operations", "value_bytes", "warmup", "probes", "samples")},
            "curves": list(s.curves),
            "plugins": {p: hashlib.sha256((s.folder / p).read_bytes()).hexdigest() for p in s.plugins},
            "plugin_folder": str(s.folder.resolve()) if s.plugins else "",
            "seed": self.seed,
        }

    def label(self) -> str:
        """A few words for people."""
        return " ".join([self.workload, *map(str, self.point.values()), *([f"seed {self.seed}"] if self.suite.repeats > 1 else [])])


def run_id(config: Mapping[str, Any]) -> str:
    """Name of the record of a configuration: a hash of all that decides the outcome."""
    decisive = {k: v for k, v in config.items() if k != "plugin_folder"}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


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


def shipped() -> dict[str, Path]:
    """The suites that come with the package, by name."""
    folder = Path(str(resources.files("experiments"))) / "suites"
    return {p.stem: p for p in sorted(folder.glob("*.toml"))}


def load(name: str) -> Suite:
    """A suite by path, or one that comes with the package by name. Raises SuiteError."""
    path = Path(name)
    if path.suffix != ".toml":
        if name not in shipped():
            raise SuiteError(f"no suite {name!r}; there are {', '.join(shipped())}, or give the path of a .toml")
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
    allowed = {f.name for f in fields(Suite)} - {"mixes", "folder"} | {"mix"}
    _known(path, "the suite", data, allowed)
    for f in fields(Suite):
        if f.default is MISSING and f.default_factory is MISSING and f.name not in data:
            raise SuiteError(f"{path}: {f.name} is missing")
    trace, mixes = data.pop("trace", {}), data.pop("mix", {})
    _known(path, "[trace]", trace, {f.name for f in fields(TraceSettings)})
    for name, mix in mixes.items():
        _known(path, f"[mix.{name}]", mix, {f.name for f in fields(Mix)})
    grid = {name: tuple(values) if isinstance(values, list) else (values,) for name, values in data.pop("grid", {}).items()}
    lists: dict[str, Any] = {k: tuple(data.pop(k)) for k in ("workloads", "curves", "plugins") if k in data}
    own = {name: Mix(**mix) for name, mix in mixes.items()}
    suite = Suite(**data, **lists, grid=grid, trace=TraceSettings(**trace), mixes=own, folder=path.parent)
    _check(path, suite)
    return suite


def _check(path: Path, suite: Suite) -> None:
    names = {*MIXES, *suite.mixes, TRACE}
    for workload in suite.workloads:
        if workload not in names:
            raise SuiteError(f"{path}: workload {workload!r} is unknown; there are {', '.join(sorted(names))}")
    for name, mix in suite.mixes.items():
        if abs(sum(mix.shares()) - 1) > 1e-9:
            raise SuiteError(f"{path}: the shares of [mix.{name}] sum to {sum(mix.shares()):g}, they must sum to 1")
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
            raise SuiteError(f"{path}: {key!r} is unknown in {where}; allowed: {', '.join(sorted(allowed))}")


def _plain(settings: Any) -> dict[str, Any]:
    return {f.name: getattr(settings, f.name) for f in fields(settings)}


def _trace_file(name: str) -> str:
    """Name and size of the file that would be replayed, so that another trace is another run."""
    path = traces.locate(name)
    return f"{path.name}, {path.stat().st_size} bytes" if path else "generated"
