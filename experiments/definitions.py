"""Every amplification by an id of its own, because others use the same words for other things. The id is on every axis and in every table.

All are of the run, after the warm-up, unless the definition says otherwise; what the run left to be flushed and merged is done and counted
at its end. Blocks are data blocks. None: the record does not have what it takes, as with an engine that does not count it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .names import listed
from .results import Record

RUN = "run"


@dataclass(frozen=True)
class Metric:
    """A definition: what is divided by what, who measures so, and the function of a record."""

    id: str
    formula: str
    source: str
    of: Callable[[Record], float | None]

    @property
    def axis(self) -> str:
        """What an axis says."""
        return f"{self.id}\n({self.formula})"


def _share(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def _user(r: Record, phase: str | None = RUN) -> int:
    return sum(c.get("user_bytes", 0) for name, c in r.counters.items() if phase in (None, name))


def _log(r: Record, phase: str | None = RUN) -> int | None:
    """Bytes of the log; None for an engine that does not tell."""
    known = any(row["component"] == "wal" for row in r.ledger) or not r.options.get("wal", {}).get("enabled", True)
    return r.total(operation="write", component="wal", **_phase(phase)) if known else None


def _phase(phase: str | None) -> dict[str, str]:
    return {} if phase is None else {"phase": phase}


def _written(r: Record, *causes: str, phase: str | None = RUN) -> int:
    return r.total(operation="write", cause=causes, **_phase(phase))


def _wa_user(r: Record, phase: str | None = RUN) -> float | None:
    log = _log(r, phase)
    return None if log is None else _share(log + _written(r, "flush", "compaction", phase=phase), _user(r, phase))


def _lookups(r: Record) -> int:
    counters = r.counters.get(RUN, {})
    return sum(counters.get(name, 0) for name in ("gets_hit", "gets_missed", "scans"))


def _blocks(r: Record, *operations: str) -> int:
    return r.total("count", phase=RUN, operation=operations, component="data", cause=("get", "scan"))


def _ra_bytes(r: Record) -> float | None:
    read = r.total(phase=RUN, operation=("read", "hit"), cause=("get", "scan"))
    return _share(read, r.counters.get(RUN, {}).get("returned_bytes"))


def _ra_runs(r: Record) -> float | None:
    """Filters are asked once for each run whose range covers the key."""
    counters = r.counters.get(RUN, {})
    gets = counters.get("gets_hit", 0) + counters.get("gets_missed", 0)
    asked = r.total("count", phase=RUN, operation="probe", component="filter", cause="get")
    return _share(asked, gets) if asked else None


def _stored(r: Record, column: str) -> int:
    return sum(lv[column] for lv in r.series[-1]["levels"])


def _less_one(value: float | None) -> float | None:
    return None if value is None else value - 1


def _entries(r: Record) -> float | None:
    """Stored over live entries; None when the engine does not tell entries."""
    return _share(_stored(r, "entries"), r.summary.get("live")) if _stored(r, "entries") else None


def _stalls(r: Record) -> float | None:
    rows = [s["stall_ns"] for s in r.series if s.get("stall_ns") is not None]
    return _share(sum(rows) / 1e9, r.summary.get("elapsed")) if rows else None


def _wa_no_log(r: Record) -> float | None:
    return _share(_written(r, "flush", "compaction"), _user(r))


def _of_summary(over: str, under: str) -> Callable[[Record], float | None]:
    return lambda r: _share(r.summary.get(over), r.summary.get(under))


_ALL = (
    Metric("WA-user", "(log + flush + merge bytes) / user bytes", "PebblesDB SOSP'17, TidesDB", _wa_user),
    Metric("WA-user-all", "WA-user with load and warm-up", "as WA-user", lambda r: _wa_user(r, None)),
    Metric("WA-noWAL", "(flush + merge bytes) / user bytes", "Dostoevsky SIGMOD'18", _wa_no_log),
    Metric(
        "WA-compaction", "merge bytes / flush bytes", "mdcallag's w_amp", lambda r: _share(_written(r, "compaction"), _written(r, "flush"))
    ),
    Metric("WA-merge", "entries that merges wrote / entries flushed", "Wacky SIGMOD'19", _of_summary("entries_merged", "entries_flushed")),
    Metric(
        "WA-data", "merge bytes / live bytes at the end", "Sarkar PVLDB'21",
        lambda r: _share(_written(r, "compaction"), r.summary.get("live_bytes")),
    ),
    Metric("RA-io", "blocks touched, cached or not / lookup", "Monkey SIGMOD'17", lambda r: _share(_blocks(r, "read", "hit"), _lookups(r))),
    Metric("RA-device", "blocks read past the cache / lookup", "SuRF SIGMOD'18", lambda r: _share(_blocks(r, "read"), _lookups(r))),
    Metric("RA-bytes", "bytes of blocks touched / bytes returned", "WiscKey FAST'16", _ra_bytes),
    Metric("RA-runs", "runs whose filter was asked / get", "Luo and Carey VLDBJ'20", _ra_runs),
    Metric("SA", "entries stored / live entries - 1", "Dostoevsky SIGMOD'18", lambda r: _less_one(_entries(r))),
    Metric("SA-ratio", "entries stored / live entries", "RocksDB CIDR'17", _entries),
    Metric(
        "SA-bytes", "bytes of tables / bytes of live pairs", "RocksDB CIDR'17",
        lambda r: _share(_stored(r, "bytes"), r.summary.get("live_bytes")),
    ),
    Metric("SA-peak", "most bytes of tables at a time / bytes of live pairs", "Spooky", _of_summary("peak_bytes", "live_bytes")),
    Metric("stall-share", "time in stalls / time of the run", "SILK ATC'19", _stalls),
)  # fmt: skip
METRICS: Mapping[str, Metric] = {m.id: m for m in _ALL}


def metric(name: str) -> Metric:
    """A definition by its id. ValueError names those there are."""
    if name not in METRICS:
        raise ValueError(f"no metric {name!r}; there are {listed(name, METRICS)}")
    return METRICS[name]
