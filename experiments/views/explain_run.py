"""Why a run wrote what it wrote, in words, from the ledger in its record: log, flushes, merges by level and reason, what was dropped.

All of it is WA-user of load and run together, the figure of the report's plot of writes.
"""

from __future__ import annotations

import re
from collections import Counter

from ..overlays import foreign, last_level, write_shares
from ..overlays import writes as overlay
from ..results import Record
from .explain import closed_forms
from .flows import shown


def explain_run(record: Record) -> list[str]:
    """Return sentences, the largest part first."""
    shares = write_shares(record)
    user, total = sum(c.get("user_bytes", 0) for c in record.counters.values()), sum(shares.values())
    if not user or not total:
        return ["The ledger has no byte that was written: there is nothing to explain."]
    merges = {name: n for name, n in shares.items() if name.startswith("merge") and n}
    told = [f"{what} {shares[name]:.2f}" for name, what in (("log", "the log took"), ("flush", "flushes")) if shares[name]]
    silent = " and ".join(name for name in ("log", "flush") if not shares[name])
    words = [
        f"WA-user is {total:.1f}: for each byte of user data ({shown(user)}, load and run together) "
        f"{', '.join([*told, f'merges {sum(merges.values()):.2f}'])}.{f' Not counted: {silent}.' if silent else ''}"
    ]
    for name, n in sorted(merges.items(), key=lambda item: -item[1]):
        often = f": each flushed byte was written there {n / shares['flush']:.1f} times" if shares["flush"] else ""
        words.append(
            f"{name.replace('merge to', 'Merges into').replace('merges', 'Merges')} wrote {n:.2f} of it ({100 * n / total:.0f} %){often}."
        )
    return [*words, *_dropped(record), *_reasons(record), *_besides(record), *_models(record, total - shares["log"])]


def _dropped(record: Record) -> list[str]:
    """What merges and flushes took in and did not write again."""
    taken, given = (sum(c.get(name, 0) for c in record.counters.values()) for name in ("entries_in", "entries_out"))
    if not taken:
        return []
    few = " Almost all of their work carried entries that stay." if taken - given < 0.05 * taken else ""
    return [f"Flushes and merges dropped {100 * (taken - given) / taken:.1f} % of {taken:,} entries: obsolete versions and deletions.{few}"]


def _reasons(record: Record) -> list[str]:
    """Why merges ran, by the bytes that they wrote, alike but for numbers."""
    why: Counter[str] = Counter()
    for event in record.events:
        if event["kind"] == "compaction":
            reason = event["reason"].partition(": ")[2].partition(",")[0] or "no reason given"
            why[re.sub(r"(?<!level )\b\d[\d.]*", "N", reason)] += event["bytes_out"]
    if not why:
        return []
    told = "; ".join(f"{reason} ({100 * n / why.total():.0f} %)" for reason, n in why.most_common(3))
    return [f"Reasons of the merges after the load, by bytes: {told}."]


def _besides(record: Record) -> list[str]:
    """What of the tables is not data."""
    tables = {what: record.total(operation="write", cause=("flush", "compaction"), component=what) for what in ("filter", "index", "meta")}
    written = record.total(operation="write", cause=("flush", "compaction"))
    if not written or not sum(tables.values()):
        return []
    parts = ", ".join(f"{what} {100 * n / written:.1f} %" for what, n in tables.items())
    return [f"Of what flushes and merges wrote, not data: {parts}."]


def _models(record: Record, tree: float) -> list[str]:
    """What the models say."""
    if foreign(record):
        return ["The models are of our engine's trees, not of another engine's."]
    found, fitted = overlay(record), list[str]()
    if found is not None and found.fitted is not None:
        ratio = found.measured / found.fitted
        fitted.append(f"The model fitted to the levels as they were says {found.fitted:.1f}: measured is {ratio:.2f} times that.")
    return fitted + closed_forms(record.options["compaction"], last_level(record), tree)
