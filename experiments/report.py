"""The report of a suite: one HTML page that holds everything, images included, and opens from anywhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from .compare import Row, label, pairs
from .definitions import METRICS
from .overlays import OVERLAYS, write_shares
from .plots import draw_all, save
from .plots_base import Factors, Plot
from .processes import code_id
from .results import SUFFIX, Record
from .suite import Suite, config_id

NOT_STEADY = "not steady"


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of results: a row a run."""
    names = list(records[0].point)
    header = ["workload", *(n.split(".")[-1] for n in names), "thousand op/s", "p50 µs", "p99 µs", "p99.9 µs"]
    header += ["WA-user-all", "cache hits %", "runs", "size MiB", "steady"]
    rows = []
    for r in records:
        last = r.series[-1]["levels"]
        touched = {op: r.total("count", phase="run", operation=op, component="data") for op in ("hit", "read")}
        asked = touched["hit"] + r.total("count", phase="run", operation="read", component="data", cause=("get", "scan"))
        row = [r.workload, *(str(r.point[n]) for n in names), f"{r.summary['throughput'] / 1000:.0f}"]
        row += [f"{r.percentile(q):,.1f}" for q in (50, 99, 99.9)]
        row += [f"{sum(write_shares(r).values()):.2f}", f"{100 * touched['hit'] / asked:.1f}" if asked else "–"]
        row += [str(sum(lv["runs"] for lv in last)), f"{sum(lv['bytes'] for lv in last) / 2**20:.1f}"]
        row += ["–" if (steady := r.steady.get("steady")) is None else "yes" if steady else NOT_STEADY]
        rows.append(row)
    return header, rows


def amplifications(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of metrics by id, a row a run; a metric that no run has is left out."""
    names = list(records[0].point)
    values = [{m.id: m.of(r) for m in METRICS.values()} for r in records]
    ids = [i for i in METRICS if any(v[i] is not None for v in values)]
    rows = [
        [r.workload, *(str(r.point[n]) for n in names), *("–" if (x := v[i]) is None else f"{x:.3f}" for i in ids)]
        for r, v in zip(records, values, strict=True)
    ]
    return ["workload", *(n.split(".")[-1] for n in names), *ids], rows


def unsteady(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Which runs were not steady, and why."""
    return [(f"{r.workload} {label(r)}, seed {r.seed}", "; ".join(r.steady["reasons"])) for r in records if r.steady.get("steady") is False]


def knobs(records: Sequence[Record]) -> list[tuple[str, str, str, str]]:
    """How our options were told to other engines: engine, our name, theirs, the value; each line once."""
    return list({(r.config["run"]["store"], k["ours"], k["theirs"], k["value"]): None for r in records for k in r.knobs})


def paired(records: Sequence[Record]) -> list[Row]:
    """The points against the first one, pair by pair, where there are several seeds of every point."""
    try:
        rows = pairs(records)
    except ValueError:
        return []  # nothing pairs: a sweep that is not finished, or one over the streams themselves
    return rows if rows and rows[0].paired.pairs > 1 else []


def models(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of models: a row for each run and each metric that has one, the measurement between the models."""
    names = list(records[0].point)
    header = ["workload", *(n.split(".")[-1] for n in names), "metric", "definition", "fitted", "measured", "worst case", "models"]

    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return header, [
        [r.workload, *(str(r.point[n]) for n in names), metric, o.definition, shown(o.fitted), shown(o.measured), shown(o.worst), o.models]
        for r in records
        for metric, overlay in OVERLAYS.items()
        if (o := overlay(r))
    ]


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
        ("limits", _limits(m)),
        ("file system", _file_system(m)),
        ("versions", ", ".join(f"{k} {v}" for k, v in r.versions.items())),
        (
            "load of the machine",
            f"{min(x.machine['load'] for x in records):.1f} to {max(x.machine['load'] for x in records):.1f} when the runs began",
        ),
        ("workloads", "; ".join(sources)),
        ("runs", f"{len(records)}, one fresh process each; seeds {', '.join(str(s) for s in sorted({x.seed for x in records}))}"),
        ("time", "wall time less the time the thread waited for a core; latencies are of single calls from Python, after the warm-up"),
    ]


def _limits(m: Mapping[str, Any]) -> str:
    limit = m.get("memory_limit_bytes")
    told = f"{limit / 2**30:.1f} GiB of memory" if limit else "no limit of memory found"
    return f"{m.get('cores_allowed', m['cores'])} cores allowed, {told}, governor {m.get('governor') or 'unknown'}"


def _file_system(m: Mapping[str, Any]) -> str:
    if not m.get("file_system"):
        return "unknown"
    return (
        f"{m['file_system']} ({m['mount_options']}), {m['free_bytes'] / 2**30:.0f} GiB ({100 * m['free_share']:.0f} %) free, "
        f"O_DIRECT {'taken' if m['direct_io'] else 'refused'}"
    )


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
    model_header, model_rows = models(records)
    metric_header, metric_rows = amplifications(records)
    stand_in = next((r.source for r in records if r.source.startswith("GENERATED")), "")
    return page(
        "report.html", plots, images, suite=suite, header=header, rows=rows, model_header=model_header, model_rows=model_rows,
        settings=settings(records), facts=facts(records), metric_header=metric_header, metric_rows=metric_rows,
        metrics=[METRICS[i] for i in metric_header if i in METRICS], unsteady=unsteady(records), knobs=knobs(records),
        paired=paired(records), not_steady=NOT_STEADY,
        factors=Factors(records), missing=len(suite.runs()) - len(records), stand_in=stand_in, command=command,
    )  # fmt: skip


def make(suite: Suite, records: Sequence[Record], folder: Path, command: str) -> Path:
    """Draw all plots into folder/plots and write folder/report.html. Records that are not of this suite as it is now are left out; where
    a run was made by several codes, that of this code counts, else the last one; ValueError when none is left."""
    places = {config_id(run.config()): i for i, run in enumerate(suite.runs())}

    def age(r: Record) -> tuple[bool, int]:
        path = folder / (r.id + SUFFIX)
        return r.code == code_id(), path.stat().st_mtime_ns if path.exists() else 0

    newest = {r.config_id(): r for r in sorted(records, key=age)}
    records = [newest[name] for name in places if name in newest]
    if not records:
        raise ValueError(f"no finished runs in {folder}; lsmlab run {html.escape(suite.name)} makes them")
    plots = draw_all(records)
    images = save(plots, folder / "plots")
    path = folder / "report.html"
    path.write_text(render(suite, records, plots, images, command), encoding="utf-8")
    return path
