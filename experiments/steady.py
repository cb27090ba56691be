"""Was a run steady after its warm-up? Its throughput, amplifications and debt must not drift, and the tree must have turned over.

Didona et al., PVLDB 14(3) (2020), pitfall 1: short tests show the empty tree. A series drifts when Mann and Kendall's test sees a trend
at 1 % and the trend is more than a tenth of the median over the whole series. A tree that is written to has turned over when as many
bytes were written by users since the warm-up as it takes to fill its last level once: write buffer x size ratio ^ levels below 0, or what
the tree holds when that is less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .inference import trend

LEVEL = 0.01
TOLERANCE = 0.1
FEWEST = 10  # intervals


@dataclass(frozen=True)
class Verdict:
    """Whether a run was steady, and if not why; `drifts`: by which share of its median each series moved."""

    steady: bool
    reasons: tuple[str, ...]
    drifts: Mapping[str, float]

    def __str__(self) -> str:
        """In words."""
        return "steady" if self.steady else f"not steady: {'; '.join(self.reasons)}"


def judge(series: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Verdict:
    """Judge the intervals after the warm-up: rows of a record's series, the first of which is the state at the warm-up's end."""
    reasons: list[str] = []
    if len(series) <= FEWEST:
        return Verdict(False, (f"{max(0, len(series) - 1)} intervals after the warm-up are too few; {FEWEST} are needed",), {})
    drifts: dict[str, float] = {}
    for name, values in _series(series).items():
        p, drift = trend(values)
        drifts[name] = drift
        if p < LEVEL and abs(drift) > TOLERANCE:
            reasons.append(f"{name} drifts by {100 * drift:+.0f} %")
    written = series[-1]["user_bytes"] - series[0]["user_bytes"]
    last = series[-1]["levels"]
    held = sum(lv["bytes"] for lv in last)
    depth = max([lv["level"] for lv in last if lv["bytes"]], default=0)
    cycle = min(held, int(options["write_buffer"]) * int(options["compaction"]["size_ratio"]) ** depth)
    if written and written < cycle:
        reasons.append(f"the tree turned over {written / cycle:.2f} times; once is needed")
    return Verdict(not reasons, tuple(reasons), drifts)


def seconds_of(row: Mapping[str, Any]) -> float:
    """Seconds by the clock from the first operation to this row: an interval's busy seconds are too short to be told from noise."""
    told = row.get("elapsed")
    return float(row["seconds"] if told is None else told)


def _series(series: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """What must not drift: interval by interval, but for space and debt, which are states."""
    pairs = list(pairwise(series))
    out = {"throughput": [(b["operations"] - a["operations"]) / max(1e-9, seconds_of(b) - seconds_of(a)) for a, b in pairs]}
    user = [b["user_bytes"] - a["user_bytes"] for a, b in pairs]
    if all(user):
        out["WA-noWAL"] = [(b["written_bytes"] - a["written_bytes"]) / u for (a, b), u in zip(pairs, user, strict=True)]
    if any(s.get("p50_ns") for s in series[1:]):
        out["median latency"] = [float(s.get("p50_ns") or 0) for s in series[1:]]
    out["stored bytes"] = [float(sum(lv["bytes"] for lv in s["levels"])) for s in series[1:]]
    out["debt"] = [float(s.get("debt") or 0) for s in series[1:]]
    return out
