"""Advice as text, as a page, as plain values."""

from __future__ import annotations

import html as escape
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .advisor import Advice, Recommended

MOST_SHOWN = 12


def seconds(microseconds: float) -> str:
    """Return a time for people."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if abs(microseconds) >= size:
            return f"{microseconds / size:.3g} {unit}" if abs(microseconds) < 1e3 * size else f"{microseconds / size:,.0f} {unit}"
    return f"{microseconds:.3g} µs"


def size(count: float) -> str:
    """Return bytes for people."""
    for unit, n in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= n:
            return f"{count / n:.3g} {unit}" if count < 1000 * n else f"{count / n:,.0f} {unit}"
    return f"{count:.0f} B"


def percent(part: float, whole: float) -> str:
    """Return a share for people."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def text(a: Advice) -> str:
    """Return the report."""
    lines = [*_head(a), ""]
    for r in a.indexes:
        lines += [*_index(a, r), ""]
    if not a.indexes:
        lines += ["No index is worth its cost.", ""]
    lines += _verified(a)
    if len(a.frontier) > 2:
        lines += ["Other budgets (new indexes: gain):"]
        lines += [f"  {size(s):>10}: {percent(g, a.before)}" for s, g in _thinned(a.frontier)] + [""]
    if a.unused:
        lines += [f"Not used by this workload: {', '.join(a.unused)}", ""]
    if a.rejected:
        lines += ["Not chosen:", *(f"  {what}: {why}" for what, why in a.rejected[:MOST_SHOWN])]
        left = len(a.rejected) - MOST_SHOWN
        lines += [f"  and {left} more"] if left > 0 else []
    lines += [f"note: {n}" for n in a.notes]
    return "\n".join(lines).rstrip() + "\n"


def _head(a: Advice) -> list[str]:
    s = a.sample
    source = "sketches of all" if any(c.source == "sketch" for c in s.columns.values()) else "the sample"
    known = "all rows" if s.exact else f"{len(s.rows):,} of {s.total:,} rows, distinct values from {source}"
    limits = [] if math.isinf(a.budget[0]) else [f"{size(a.budget[0])} of space"]
    limits += [] if math.isinf(a.budget[1]) else [f"{a.budget[1]:g} µs a row written"]
    return [
        f"Advice for table {a.table.name!r}: {len(a.workload.queries)} queries of weight {a.workload.weight:,.0f}, "
        f"{a.workload.writes:,.0f} rows written; from {known}",
        f"budget: {' and '.join(limits) or 'none'}; the new indexes take {size(a.space)} and {a.write:.2f} µs a row written",
        f"the queries: {seconds(a.before)} -> {seconds(a.after)} ({percent(a.before - a.after, a.before)} less); "
        f"less the writes: {seconds(a.gain)} saved",
    ]


def _index(a: Advice, r: Recommended) -> list[str]:
    lines = [
        f"{r.name}: {r.definition}",
        f"  saves {seconds(r.share)} beside the others ({percent(r.share, a.before)}), {seconds(r.alone)} alone; "
        f"takes {size(r.space)}, {r.write:.2f} µs a row written",
    ]
    if r.measured is not None and a.verified is not None:
        lines.append(
            f"  tried on {a.verified.rows:,} rows: beside the others {r.measured.rows:,.0f} fewer rows read, "
            f"{seconds(r.measured.time)} less" + ("" if r.confirmed else "; NOT CONFIRMED")
        )
    served = [f"  serves {a.workload.queries[n].weight:,.6g} x {a.workload.queries[n]}" for n in r.serves[:4]]
    return lines + served + ([f"  and {len(r.serves) - 4} more"] if len(r.serves) > 4 else [])


def _verified(a: Advice) -> list[str]:
    v = a.verified
    if v is None:
        return ["Not tried out.", ""]
    (was, will), b, c = v.expected, v.before, v.after
    return [
        f"Tried on {v.rows:,} rows with {v.queries} queries, before -> after:",
        f"  rows read: estimated {was.rows:,.0f} -> {will.rows:,.0f}, counted {b.rows:,.0f} -> {c.rows:,.0f} "
        f"({percent(b.rows - c.rows, b.rows)} less)",
        f"  time: estimated {seconds(was.time)} -> {seconds(will.time)}, measured {seconds(b.time)} -> {seconds(c.time)} "
        f"({percent(b.time - c.time, b.time)} less)",
        *(f"  WRONG: {w}" for w in v.wrong),
        "",
    ]


def _thinned(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """At most eight of them, the last among them."""
    step = max(1, math.ceil(len(points) / 8))
    return list(reversed(points[::-1][::step]))


def values(a: Advice) -> dict[str, Any]:
    """Return plain values."""
    v = a.verified
    tried = None
    if v is not None:
        work = {"before": v.before, "after": v.after, "expected_before": v.expected[0], "expected_after": v.expected[1]}
        tried = {"rows": v.rows, "queries": v.queries, "wrong": list(v.wrong)}
        tried |= {name: {"rows": w.rows, "microseconds": w.time} for name, w in work.items()}
    return {
        "table": a.table.name,
        "rows": a.sample.total,
        "sample": len(a.sample.rows),
        "before": a.before,
        "after": a.after,
        "gain": a.gain,
        "space": a.space,
        "write": a.write,
        "indexes": [_values_of(r) for r in a.indexes],
        "rejected": [{"what": what, "why": why} for what, why in a.rejected],
        "frontier": [list(p) for p in a.frontier],
        "unused": list(a.unused),
        "notes": list(a.notes),
        "verified": tried,
    }


def _values_of(r: Recommended) -> dict[str, Any]:
    d = r.definition
    row: dict[str, Any] = {
        "name": r.name,
        "kind": d.kind,
        "columns": [c if isinstance(c, str) else repr(c) for c in d.columns],
        "include": list(d.include),
    }
    row |= {"where": None if d.where is None else repr(d.where), "params": dict(d.params)}
    row |= {"space": r.space, "write": r.write, "alone": r.alone, "share": r.share, "serves": list(r.serves), "confirmed": r.confirmed}
    return row | (
        {} if r.measured is None else {"rows_saved": r.measured.rows, "time_saved": r.measured.time, "bytes_built": r.measured_bytes}
    )


_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse}th,td{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}pre{background:#f6f6f6;padding:1em;white-space:pre-wrap}"""


def html(a: Advice) -> str:
    """Return a page: a table, the curve of gain over space, and the report."""
    head = ("index", "saves beside the others", "alone", "space", "a row written", "rows saved when tried")
    rows = [
        (
            f"{r.name}: {r.definition}", percent(r.share, a.before), percent(r.alone, a.before), size(r.space), f"{r.write:.2f} µs",
            "–" if r.measured is None else f"{r.measured.rows:,.0f}",
        )
        for r in a.indexes
    ]  # fmt: skip
    body = "".join("<tr>" + "".join(f"<td>{escape.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f"<!doctype html><meta charset=utf-8><title>Advice for {escape.escape(a.table.name)}</title><style>{_STYLE}</style>"
        f"<h1>Advice for {escape.escape(a.table.name)}</h1><table><tr>{''.join(f'<th>{h}</th>' for h in head)}</tr>{body}</table>"
        f"{_curve(a)}<pre>{escape.escape(text(a))}</pre>\n"
    )


def _curve(a: Advice) -> str:
    points = list(a.frontier)
    if len(points) < 2 or not a.before:
        return ""
    widest = points[-1][0] or 1.0
    steps: list[str] = []
    for (s, g), following in zip(points, [*points[1:], points[-1]], strict=True):
        y = 200 - 180 * g / a.before
        steps += [f"{40 + 540 * s / widest:.1f},{y:.1f}", f"{40 + 540 * following[0] / widest:.1f},{y:.1f}"]
    return (
        "<h2>Gain over space</h2><svg viewBox='0 0 640 230' width=640 role=img aria-label='gain over space'>"
        f"<polyline fill=none stroke=#36c stroke-width=2 points='{' '.join(steps)}'/>"
        "<path d='M40 20V200H580' fill=none stroke=#888 /><text x=4 y=24>100 %</text><text x=4 y=204>0</text>"
        f"<text x=500 y=222>{size(widest)}</text></svg>"
    )
