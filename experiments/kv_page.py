"""The page of `lsmlab bench kv --report`: targets, bars with ranges, latencies, throughput over time, in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

from .bench_kv import Result
from .bench_kv_rows import RATE, US, Verdict
from .bench_series import NONE, Series
from .bench_worker import WORKLOADS
from .cli_kv import HEADER, cells, number
from .plots import save
from .plots_base import COLOURS, STYLE, WIDTH, Plot, legend, mark, panels, swatch
from .report import page

ORDER = (US, "rocksdb", "leveldb", "lmdb", "speedb", "lsm-db", "sqlite")
QUANTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


def colour(store: str) -> str:
    """A store has the same colour everywhere."""
    return "#444444" if store == NONE else COLOURS[ORDER.index(store) % len(COLOURS)]


def ratios(verdicts: Sequence[Verdict]) -> Plot:
    """How many times as fast as the best peer, beside the target."""
    rows = [v for v in verdicts if v.row.figure == RATE and v.best_lsm]
    figure, axes = plt.subplots(figsize=(WIDTH, 0.34 * len(rows) + 1.2), layout="constrained")
    for y, v in enumerate(rows):
        for peer, target, filled in ((v.best_lsm, v.targets[0], True), (v.best, v.targets[1], False)):
            ratio = v.ratio(peer)
            if ratio is None or target is None:
                continue
            up = 0.16 if filled else -0.16
            hue = COLOURS[2] if ratio >= target else COLOURS[5]
            axes.barh(y - up, ratio, 0.3, color=hue if filled else "white", edgecolor=hue)
            axes.plot([target, target], [y - up - 0.16, y - up + 0.16], color="#1d2329", lw=2)
    axes.axvline(1, color="#9aa5b1", lw=1)
    axes.set(yticks=range(len(rows)), yticklabels=[v.row.name for v in rows], ylim=(len(rows) - 0.4, -0.6), xscale="log")
    axes.set(xlabel="ours over theirs (logarithmic)")
    axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda x, _: f"{x:g}×"))
    axes.grid(axis="y", visible=False)
    reached = sum(v.passed is True for v in rows)
    handles = [swatch(COLOURS[2], "target reached"), swatch(COLOURS[5], "not reached"), mark("|", "target", "#1d2329")]
    legend(figure, handles)
    caption = (
        f"Filled: against the best LSM peer; open: against the best of all. {reached} of {len(rows)} rows reach all of their targets. "
        "A difference within a row's noise, in the table, is none."
    )
    return Plot("ratios", "Against the best peer", caption, figure)


def rates(result: Result) -> Plot:
    """Operations a second of every store: a bar the median, a line the range of the repeats."""
    stores = sorted(result.stores(), key=ORDER.index)
    named = [w for w in (*WORKLOADS, "fsync-1", "fsync-16") if any(result.figure(s, w) for s in stores)]
    figure, axes = panels(len(named), height=1.75, columns=4)
    for axis, workload in zip(axes, named, strict=True):
        for y, store in enumerate(stores):
            found = [x / 1000 for x in result.samples(store, workload)]
            if found:
                middle = float(np.median(found))
                span = [[middle - min(found)], [max(found) - middle]]
                axis.barh(y, middle, 0.72, color=colour(store), xerr=span, error_kw={"lw": 1.2})
        axis.set(title=workload, yticks=[], ylim=(len(stores) - 0.4, -0.6))
        axis.set_xlim(left=0)
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
        axis.grid(axis="y", visible=False)
    legend(figure, [swatch(colour(s), s) for s in stores])
    caption = "Thousand operations a second (keys of get-many, pairs of scans): bars are medians, lines the range of the repeats."
    return Plot("rates", "Operations a second", caption, figure)


def _series(result: Result) -> list[Series]:
    """Of each store the sustained run whose longest put is the median of its repeats."""
    found = []
    for store in (*ORDER, NONE):
        runs = sorted((r for r in result.outcomes.get((store, "sustained"), ())), key=lambda r: r["max"])
        if runs:
            found.append(Series.from_dict(runs[len(runs) // 2]["series"]))
    return found


def latencies(series: Sequence[Series]) -> Plot:
    """Percentiles of single puts under sustained load."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.8), layout="constrained")
    x = [-np.log10(1 - q / 100) for q in QUANTILES]
    for s in series:
        y = [*(s.percentile(q) for q in QUANTILES), s.longest]
        style = "--" if s.store == NONE else "-"
        label = "the empty loop" if s.store == NONE else s.store
        axes.plot([*x, x[-1] + 1], y, style, marker="o", ms=4, color=colour(s.store), label=label)
    axes.axhline(10_000, color="#9aa5b1", lw=1, ls=":")
    axes.set(xticks=[*x, x[-1] + 1], xticklabels=[*(f"p{q:g}" for q in QUANTILES), "max"], yscale="log", ylabel="microseconds")
    axes.legend(ncols=2)
    puts = series[0].puts
    caption = (
        f"{puts:,} single puts of random keys without a pause, each timed by the wall's clock. The empty loop shows what the machine alone "
        "does to a thread; the dotted line is 10 ms."
    )
    return Plot("latencies", "Latency of puts", caption, figure)


def over_time(series: Sequence[Series]) -> Plot:
    """Throughput and the longest put of every tenth of a second."""
    shown = [s for s in series if s.store != NONE]
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 5.2), layout="constrained", sharex=True)
    for s in shown:
        x = (np.arange(len(s.operations)) + 0.5) / 10
        whole = slice(0, max(1, len(x) - 1))  # the last window is cut short
        axes[0].plot(x[whole], np.asarray(s.operations)[whole] / 100, color=colour(s.store), lw=1, label=s.store)
        axes[1].plot(x[whole], np.asarray(s.longest_us)[whole] / 1000, ".", color=colour(s.store), ms=3.5)
    axes[1].axhline(10, color="#9aa5b1", lw=1, ls=":")
    axes[0].set(ylabel="thousand puts/s", ylim=(0, None))
    axes[1].set(xlabel="seconds of puts", ylabel="longest put (ms)", yscale="log")
    axes[0].legend(ncols=3)
    caption = (
        "The same puts over time: how many in each tenth of a second, and the longest of them. A store that is done sooner ends sooner."
    )
    return Plot("time", "Throughput over time", caption, figure)


def draw(result: Result) -> list[Plot]:
    """The plots for which there are outcomes."""
    verdicts, series = result.verdicts(), _series(result)
    with plt.rc_context(STYLE):
        plots = [ratios(verdicts)] if any(v.row.figure == RATE and v.best_lsm for v in verdicts) else []
        if any(result.samples(s, w) for s in result.stores() for w in WORKLOADS):
            plots.append(rates(result))
        return plots + ([latencies(series), over_time(series)] if any(s.store != NONE for s in series) else [])


def write(result: Result, folder: Path, left_out: Sequence[str] = ()) -> Path:
    """Draw, and write folder/index.html with everything in it."""
    plots, verdicts = draw(result), result.verdicts()
    noise = [(s, number(x[len(x) // 2]), number(x[-1])) for s, x in result.noises().items() if x]
    command = f"lsmlab bench kv --n {result.n} --value {result.value} --budget {result.budget >> 20}MiB --all-peers --report"
    cards = [
        (sum(v.passed is True for v in verdicts), "rows passed"),
        (sum(v.passed is False for v in verdicts), "rows failed"),
        (len(result.stores()) - 1, "peers"),
        (result.repeats, "repeats"),
    ]
    html = page(
        "kv.html", plots, save(plots, folder / "plots"), r=result, header=HEADER, rows=[cells(v) for v in verdicts], noise=noise,
        command=command, cards=cards, versions=", ".join(f"{s} {v}" for s, v in result.versions.items()), left_out=", ".join(left_out),
    )  # fmt: skip
    path = folder / "index.html"
    path.write_text(html, encoding="utf-8")
    return path
