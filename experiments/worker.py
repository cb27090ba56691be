"""One run in one fresh process: `python -m experiments.worker`, {"config", "folder", "keep"} as JSON on stdin, the path of the record on
stdout.

Phases: load (a seeded order, in batches; or a clone of a tree that was built before), warmup, run (each operation timed), then two probes
of the tree as it stands, keys that exist and keys that do not, whose block counts are what the models predict. Block accesses of the run
are recorded and replayed at many capacities against each policy and Belady's bound. Sampled answers are checked before anything is stored.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eviction
import recovery

from . import capture, steady, traces
from .costs import fitted
from .histogram import Histogram
from .measure import oracle, trees
from .measure.clocks import TimedBy, Virtual, Wall
from .measure.contestants import CONTESTANTS, Contestant, Ours
from .measure.observe import Events, Observer
from .measure.play import Played, due_times, play
from .processes import code_id
from .results import Record, write
from .suite import DECISIONS, TRACE, run_id
from .workloads import DELETE, INSERT, OPERATIONS, RANGE_DELETE, Stream, Values, from_settings, replayed

CURVE_POINTS = 10
MAX_ACCESSES = 2_000_000
NOT_DATA = ("LOCK",)


def draw(config: Mapping[str, Any]) -> tuple[Stream, str, list[dict[str, Any]]]:
    """The stream of a configuration, where it comes from in words, and the hit-ratio curves of the trace itself when it is one."""
    seed = config["seed"]
    if config["workload"] != TRACE:
        workload = from_settings(config["drawn"])
        return workload.draw(config["records"], config["operations"], seed), f"{config['workload']}: {workload}", []
    t = config["trace"]
    trace = traces.find(t["path"], t["requests"], seed)
    stream = replayed(trace.keys.astype(np.int64), t["update_share"], seed)
    return stream, trace.source, curves(trace.keys, config["curves"], "trace")


def curves(accesses: NDArray[np.uint64], policies: list[str], stream: str) -> list[dict[str, Any]]:
    """Hit ratio of each policy at capacities spread evenly in ratio from 1 % of the distinct blocks to all of them."""
    if not len(accesses) or not policies:
        return []
    distinct = len(np.unique(accesses))
    blocks = sorted({max(1, int(b)) for b in np.geomspace(max(1, distinct / 100), distinct, CURVE_POINTS)})
    return [
        {
            "stream": stream,
            "policy": policy,
            "blocks": blocks,
            "hit_ratio": [float(r.hit_ratio) for r in eviction.replay(policy, accesses, sizes=blocks)],
        }
        for policy in policies
    ]


def load_plugins(config: Mapping[str, Any]) -> None:
    """Run the suite's plug-in files: they register kinds. Raises ValueError when a file is no longer the one that was configured."""
    for name, digest in config["plugins"].items():
        path = Path(config["plugin_folder"]) / name
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ValueError(f"{path} has changed since the run was configured")
        spec = importlib.util.spec_from_file_location(f"lsmlab_plugin_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)


class Run:
    """A run at work: its stream and values, its store and clock, what was observed."""

    def __init__(self, config: Mapping[str, Any], home: Path, decisions: list[str] | None = None) -> None:
        """decisions: gets a line for every flush, merge and move of our own tree."""
        self.config, self.home, self.how, self.decisions = config, home, config["run"], decisions
        began = time.process_time()
        self.stream, self.source, self.curves = draw(config)
        self.values = Values(config["trace"]["value_bytes"] if config["workload"] == TRACE else config["value_bytes"], config["seed"])
        self.run_values = self.values.sized(self.stream.ids, self.stream.sizes, 1)
        self.generator_seconds = time.process_time() - began
        self.skip = int(len(self.stream) * config["warmup"])
        self.rate = 0.0

    def _open(self, path: Path) -> tuple[Contestant, TimedBy]:
        """The store at path, and the clock that it is timed by."""
        options, kind = self.config["options"], CONTESTANTS[self.how["store"]]
        if not self.how["device"]:
            return kind(path, options), Wall()
        device = recovery.device(recovery.posix(), self.how["device"])
        return kind(path, options, device), Virtual(device, self.how["cpu_ns"])

    def _tree(self) -> Path:
        """The tree that this run starts from, which whoever comes first builds."""
        folder = self.home.parent / "trees" / trees.tree_id(self.config)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(folder.with_suffix(".lock")):
            if not (folder / trees.STATE).exists():
                trees.build(self.config, folder, self.stream, self.values)
        return folder / "db"

    def _play(self, store: Contestant, clock: TimedBy, observer: Observer, events: Events | None, rate: float | None) -> Played:
        how = self.how
        due = None if rate is None else due_times(self.stream, how["arrivals"], rate, self.config["seed"])
        return play(
            store, self.stream, self.run_values, observer, clock, samples=self.config["samples"], skip=self.skip, due=due, events=events
        )  # fmt: skip

    def execute(self) -> Record:
        """Do it. Raises what the engine raises, and WrongAnswer."""
        path = self.home / "db"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        rate = self._offered()
        if self.config["tree"] is not None:
            trees.clone(self._tree(), path)
        store, clock = self._open(path)
        try:
            return self._observed(store, clock, path, rate)
        except BaseException:
            with suppress(Exception):  # it may be closed already, and the first failure is the one to tell
                store.close()
            raise

    def _offered(self) -> float | None:
        """Operations a second of the open loop; the share of what a closed loop reaches on a clone where it is a share; None: closed."""
        how = self.how
        if how["mode"] == "closed":
            return None
        if how["load"]:
            path = self.home / "closed"
            trees.clone(self._tree(), path)
            store, clock = self._open(path)
            played = self._play(store, clock, Observer(store), None, None)
            store.close()
            shutil.rmtree(path)
            return float(how["load"] * (len(self.stream) - self.skip) / max(1e-9, played.seconds_after_warmup))
        return float(how["rate"])

    def _observed(self, store: Contestant, clock: TimedBy, path: Path, rate: float | None) -> Record:
        config, stream = self.config, self.stream
        if isinstance(store, Ours) and (kept := self.decisions) is not None:
            store.db.trace(lambda keyspace, decision: kept.append(str(decision)))
        observer = Observer(store)
        events = Events(store.db, clock.now, observer) if isinstance(store, Ours) else None
        began = time.process_time()
        if config["tree"] is None:
            observer.user_bytes += trees.load(store, stream, self.values, config["seed"])
            if config["drain"]:
                store.settle()
        observer.phase("load")
        if events is not None:
            events.begin()
        observer.sample(0, 0.0, 0.0)
        cached = isinstance(store, Ours) and store.db.cache is not None
        with store.db.record_block_accesses(MAX_ACCESSES) if isinstance(store, Ours) and cached else nullcontext() as accesses:
            played = self._play(store, clock, observer, events, rate)
        store.settle()
        if isinstance(store, Ours) and (broken := store.db.health.policies):
            raise ValueError(broken[0])
        observer.phase("run")
        observer.sample(len(stream), played.seconds, played.elapsed)
        if events is not None:
            events.end()
        run_seconds = time.process_time() - began
        compared = oracle.check(store, stream, self.values, self.run_values, config["seed"])
        observer.phase("check")
        probe(store, stream, observer, config["probes"], config["seed"])
        runs: tuple[fitted.Run, ...] = ()
        if isinstance(store, Ours):
            missing = probe_keys(stream, config["probes"], config["seed"], missing=True)
            runs = fitted.runs_of(store.db, missing=missing)
        live, live_bytes = alive(store)
        summary = {
            "operations": len(stream), "seconds": played.seconds, "elapsed": played.elapsed,
            "throughput": len(stream) / max(1e-9, played.seconds),
            "accesses": len(accesses) if accesses is not None else 0, "levels": len(observer.series[-1]["levels"]), "live": live,
            "live_bytes": live_bytes, "written": stream.loaded + stream.writes(), "warmup_operations": self.skip, "offered": rate or 0.0,
            "generator_share": self.generator_seconds / max(1e-9, self.generator_seconds + run_seconds), "checked": compared,
            "debt_at_start": observer.series[0]["debt"] or 0, "debt_at_end": observer.series[-2]["debt"] or 0,
        }  # fmt: skip
        if events is not None:
            flushed, merged = (events.entries(kind, self.skip) for kind in ("flush", "compaction"))
            summary |= {"peak_bytes": events.peak_bytes, "entries_flushed": flushed, "entries_merged": merged}
        store.close()
        blocks = curves(accesses.keys, config["curves"], "blocks") if accesses is not None else []
        record = self._record(store, observer, played, summary)
        return replace(
            record, files=digests(path), curves=(*self.curves, *blocks), runs=tuple(asdict(run) for run in runs),
            events=tuple(events.rows) if events is not None else (),
        )  # fmt: skip

    def _record(self, store: Contestant, observer: Observer, played: Played, summary: dict[str, float]) -> Record:
        config, stream, skip = self.config, self.stream, self.skip
        after = [s for s in observer.series[:-1] if s["operations"] >= skip]
        return Record(
            id=run_id(config),
            code=code_id(),
            suite=config["suite"],
            workload=config["workload"],
            seed=config["seed"],
            stream=stream.digest(),
            source=self.source,
            point=config["point"],
            config=config,
            options=store.options(),
            machine=capture.machine(self.home),
            versions=capture.versions(*store.versions()),
            summary=summary,
            counters=observer.counters,
            files={},
            latency_ns=(played.service if played.intended is None else played.intended)[skip:],
            codes=stream.codes[skip:],
            ledger=tuple(observer.rows),
            series=tuple(observer.series),
            curves=(),
            histograms=histograms(played, stream.codes, skip),
            steady=asdict(steady.judge(after, store.options())),
            knobs=tuple(asdict(knob) for knob in store.knobs()),
        )


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock that dies with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def histograms(played: Played, codes: NDArray[np.uint8], skip: int) -> tuple[dict[str, Any], ...]:
    """Histograms of what came after the warm-up, of all operations and of each kind."""
    out = []
    for name, times in (("service", played.service), ("intended", played.intended)):
        if times is None:
            continue
        out.append({"name": name, **Histogram.of(times[skip:]).to_dict()})
        for code in np.unique(codes[skip:]).tolist():
            out.append({"name": f"{name} {OPERATIONS[code]}", **Histogram.of(times[skip:][codes[skip:] == code]).to_dict()})
    return tuple(out)


def alive(store: Contestant, chunk: int = 10_000) -> tuple[int, int]:
    """Entries that a scan of everything finds, and the bytes of their keys and values."""
    count = size = 0
    start = b""
    while pairs := store.range(start, None, chunk):
        count += len(pairs)
        size += sum(len(k) + len(v) for k, v in pairs)
        start = bytes(pairs[-1][0]) + b"\0"
    return count, size


def execute(config: Mapping[str, Any], home: Path, keep: bool, decisions: list[str] | None = None) -> Record:
    """Do the run with its database under `home` (removed unless keep). Raises what the engine raises, and ValueError when a policy broke
    its rules. decisions: gets a line for every flush, merge and move."""
    load_plugins(config)
    record = Run(config, home, decisions).execute()
    if not keep:
        shutil.rmtree(home)
    return record


def probe(store: Contestant, stream: Stream, observer: Observer, count: int, seed: int) -> None:
    """Look up `count` records evenly drawn, then as many keys beside them that do not exist. Raises ValueError when an answer is wrong."""
    if not count or stream.names is not None:  # of a recorded trace nobody knows which keys do not exist
        return
    deleted = np.isin((DELETE, RANGE_DELETE), stream.codes).any()
    for phase, missing in (("hits", False), ("misses", True)):
        get = store.get
        found = sum(get(key) is not None for key in probe_keys(stream, count, seed, missing=missing))
        if found != (0 if missing else count) and (missing or not deleted):
            raise ValueError(f"{found} of {count} probes found a value where {'none' if missing else 'all'} should")
        observer.phase(phase)
        observer.counters[phase]["found"] = found


def probe_keys(stream: Stream, count: int, seed: int, *, missing: bool) -> list[bytes]:
    """The keys of a probe: records evenly drawn from those loaded, else from those inserted, or the keys beside them that do not exist."""
    if stream.names is not None:
        return []
    rng = np.random.default_rng([seed, 2])
    ids = rng.integers(0, stream.loaded, count) if stream.loaded else rng.choice(np.unique(stream.ids[stream.codes == INSERT]), count)
    return stream.keys_of(ids, missing)


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of every file of a closed database, by name."""
    return {
        str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(path.rglob("*"))
        if p.is_file() and p.name not in NOT_DATA
    }


def main() -> None:
    """Read the order, run it, store the record."""
    order = json.load(sys.stdin)
    folder, decisions = Path(order["folder"]), list[str]()
    record = execute(order["config"], folder / "work" / run_id(order["config"]), order["keep"], decisions)
    if decisions:
        (folder / DECISIONS).mkdir(parents=True, exist_ok=True)
        (folder / DECISIONS / f"{record.id}.txt").write_text("\n".join([*decisions, ""]), encoding="utf-8")
    print(write(record, folder))


if __name__ == "__main__":
    main()
