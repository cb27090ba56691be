"""The report of a suite: one HTML page that holds everything, images included, and opens from anywhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from .plots import Factors, Plot, draw_all, save, write_shares
from .results import Record
from .suite import Suite, run_id


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of results: a row a run."""
    names = list(records[0].point)
    header = [
        "workload",
        *(n.split(".")[-1] for n in names),
        "thousand op/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "written / user",
        "cache hits %",
        "runs",
        "size MiB",
    ]
    rows = []
    for r in records:
        last = r.series[-1]["levels"]
        touched = {op: r.total("count", phase="run", operation=op, component="data") for op in ("hit", "read")}
        asked = touched["hit"] + r.total("count", phase="run", operation="read", component="data", cause=("get", "scan"))
        row = [r.workload, *(str(r.point[n]) for n in names), f"{r.summary['throughput'] / 1000:.0f}"]
        row += [f"{r.percentile(q):,.1f}" for q in (50, 99, 99.9)]
        row += [f"{sum(write_shares(r).values()):.2f}", f"{100 * touched['hit'] / asked:.1f}" if asked else "–"]
        row += [str(sum(lv["runs"] for lv in last)), f"{sum(lv['bytes'] for lv in last) / 2**20:.1f}"]
        rows.append(row)
    return header, rows


def settings(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Options of the engine that all runs share, defaults written out, as dotted names."""
    flat = [dict(_flat(r.options)) for r in records]
    return [(name, value) for name, value in flat[0].items() if all(f.get(name) == value for f in flat)]


def _flat(tree: Any, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(tree, dict):
        return [(prefix, str(tree))]
    return [item for key, value in tree.items() for item in _flat(value, f"{prefix}.{key}" if prefix else key)]


def facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Machine, versions and how the runs were made."""
    r = records[0]
    m = r.machine
    sources = list(dict.fromkeys(f"{x.workload}: {x.source}" if x.workload == "trace" else x.workload for x in records))
    return [
        ("machine", f"{m['cpu']}, {m['cores']} cores, {m['memory_bytes'] / 2**30:.0f} GiB, {m['system']}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in r.versions.items())),
        (
            "load of the machine",
            f"{min(x.machine['load'] for x in records):.1f} to {max(x.machine['load'] for x in records):.1f} when the runs began",
        ),
        ("workloads", "; ".join(sources)),
        ("runs", f"{len(records)}, one fresh process each; seeds {', '.join(str(s) for s in sorted({x.seed for x in records}))}"),
        ("time", "wall time less the time the thread waited for a core; latencies are of single calls from Python, after the warm-up"),
    ]


def page(template: str, plots: Sequence[Plot], images: Sequence[Path], **values: Any) -> str:
    """Fill a template; `images` are the saved plots in the same order, and become part of the page."""
    environment = Environment(
        loader=PackageLoader("experiments"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [
        {"name": p.name, "title": p.title, "caption": p.caption, "data": base64.b64encode(i.read_bytes()).decode()}
        for p, i in zip(plots, images, strict=True)
    ]
    return environment.get_template(template).render(plots=shown, made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **values)


def render(suite: Suite, records: Sequence[Record], plots: Sequence[Plot], images: Sequence[Path], command: str) -> str:
    """The page. `images` are the saved plots in the same order."""
    header, rows = table(records)
    stand_in = next((r.source for r in records if r.source.startswith("GENERATED")), "")
    return page(
        "report.html", plots, images, suite=suite, header=header, rows=rows, settings=settings(records), facts=facts(records),
        factors=Factors(records), missing=len(suite.runs()) - len(records), stand_in=stand_in, command=command,
    )  # fmt: skip


def make(suite: Suite, records: Sequence[Record], folder: Path, command: str) -> Path:
    """Draw all plots into folder/plots and write folder/report.html. Records that are not of this suite as it is now are left out;
    ValueError when none is."""
    places = {run_id(run.config()): i for i, run in enumerate(suite.runs())}
    records = sorted((r for r in records if r.id in places), key=lambda r: places[r.id])
    if not records:
        raise ValueError(f"no finished runs in {folder}; lsmlab run {html.escape(suite.name)} makes them")
    plots = draw_all(records)
    images = save(plots, folder / "plots")
    path = folder / "report.html"
    path.write_text(render(suite, records, plots, images, command), encoding="utf-8")
    return path
