"""Plots: pyplot keeps none of them, however many a page has, and they can be written all the same."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt

from experiments.plots import save
from experiments.plots_base import Plot


def test_pyplot_keeps_no_plot_that_is_drawn(tmp_path: Path) -> None:
    before = plt.get_fignums()
    plots = []
    for name in ("one", "two"):
        figure, axes = plt.subplots()
        axes.plot([1, 2], [3, 4])
        plots.append(Plot(name, "Title", "Caption", figure))
    assert plt.get_fignums() == before
    paths = save(plots, tmp_path / "plots")
    assert [p.name for p in paths] == ["one.png", "two.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") and p.stat().st_size > 5000 for p in paths)
