"""What a configuration writes against what a look-up reads: the front of a sweep, and the one that the closed forms promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .costs import filters, shape, symbols, updates
from .overlays import OVERLAYS, Overlay, filter_of
from .plots_base import MARKERS, Factors, Plot, legend, line, mark, panels, swatch
from .results import Record

RATIOS = range(2, 17)  # of the model's curve


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats in both, from left to right; less is better. O(n log n)."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(set(points)):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


def modelled(record: Record) -> Iterator[tuple[str, int, float, float]]:
    """What the closed forms say of full trees with the entries, the write buffer and the filters of a record: layout, size ratio, WA-user
    (C10 with flush and log), blocks a look-up of nothing (C8), for every layout that they know."""
    held = [sum(lv[what] for lv in record.series[-1]["levels"]) for what in ("entries", "bytes")]
    if not all(held):
        return
    kind, bits = filter_of(record)
    buffered = max(1.0, record.options["write_buffer"] * held[0] / held[1])
    rate = filters.filter_rate(kind, bits) if bits >= 1 else 1.0
    for layout in symbols.LAYOUTS:
        for ratio in RATIOS:
            levels = shape.levels(float(held[0]), ratio, buffered)
            runs = sum(shape.runs_by_level(layout, ratio, levels))
            yield layout, ratio, 1 + updates.write_amplification(layout, ratio, levels), runs * rate


@dataclass(frozen=True)
class _Point:
    record: Record
    writes: Overlay
    misses: Overlay

    @property
    def place(self) -> tuple[float, float]:
        return self.writes.measured, self.misses.measured


def pareto(records: Sequence[Record]) -> Plot:
    """Writes against missing look-ups, a point a configuration, with the front of those that nothing beats in both, and the model's."""
    f = Factors(records)
    figure, axes = panels(len(f.workloads), 3.3)
    on_front: dict[str, list[str]] = {}
    for axis, workload in zip(axes, f.workloads, strict=True):
        points = [
            _Point(r, w, m) for r in records if r.workload == workload and (w := OVERLAYS["writes"](r)) and (m := OVERLAYS["misses"](r))
        ]
        for p in points:
            colour = f.colour(f.one(p.record))
            axis.plot(*p.place, MARKERS[f.seconds.index(f.two(p.record)) % 7], color=colour, ms=8)
            for model, marker, style in (("worst", "x", ":"), ("fitted", "+", "-")):
                to = getattr(p.writes, model), getattr(p.misses, model)
                if None not in to:
                    axis.plot([p.place[0], to[0]], [p.place[1], to[1]], style, color=colour, lw=0.8)
                    axis.plot(*to, marker, color=colour, ms=7)
        edge = front([p.place for p in points])
        axis.step([x for x, _ in edge], [y for _, y in edge], where="post", color="#444444", lw=1.2, zorder=0)
        curve = front([(x, y) for _, _, x, y in modelled(points[0].record)]) if points else []
        axis.plot([x for x, _ in curve], [y for _, y in curve], color="#999999", ls="--", lw=1.2, zorder=0)
        on_front[workload] = list(dict.fromkeys(f.one(p.record) for p in points if p.place in edge))
        axis.set(title=workload, xlabel="WA-user", xlim=(0, None), ylim=(0, None))
    axes[0].set_ylabel("RA-io, data blocks\nper missing look-up")
    markers = [mark(MARKERS[i % 7], v) for i, v in enumerate(f.seconds)] if f.second else []
    models = [
        mark("x", "model, all levels full"),
        mark("+", "model, fitted to the runs"),
        line("#444444", "-", "front"),
        line("#999999", "--", "model's front"),
    ]
    legend(figure, [*(swatch(f.colour(v), v) for v in f.firsts), *markers, *models], 5)
    said = "; ".join(f"{w}: {', '.join(names)}" for w, names in on_front.items())
    caption = (
        "What a configuration writes against what a look-up of a missing key reads, in the final tree; towards the lower left "
        "is better. The solid grey line is the front: nothing beats its points in both. Thin lines lead to what the models say: dotted "
        "to full levels (C10 with flush and log; C8), solid to the runs that there are. The dashed curve is the front of the closed forms "
        f"over all layouts and size ratios {RATIOS[0]} to {RATIOS[-1]}, for full levels with as many entries, the same buffer and filters: "
        f"where it lies below a point, another shape should do better. On the front: {said}."
    )
    return Plot("pareto", "Writes against reads", caption, figure)
