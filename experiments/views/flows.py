"""Bytes by where they came from and where they went, out of a history of a tree, and the picture of it: a Sankey diagram in SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape

import lsm

Flows = Mapping[tuple[str, str], int]
MEMTABLE, DROPPED = "memtable", "dropped"
_COLOURS = ("#999999", "#56B4E9", "#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#8C6D31", "#000000")
_WIDTH, _HEIGHT, _BAR, _GAP, _LEFT, _TOP = 900, 420, 14, 14, 190, 34


def flows(steps: Iterable[lsm.Step]) -> Counter[tuple[str, str]]:
    """Return bytes by (from, to): a flush from "memtable", a merge from each level that it read to the one that it wrote, and to "dropped"
    what a merge left out: obsolete versions and deletions. What a merge leaves out is taken from its inputs by their size."""
    found = Counter[tuple[str, str]]()
    for step in steps:
        if step.kind == "flush":
            found[MEMTABLE, f"L{step.level}"] += step.bytes_out
        elif step.kind == "merge":
            left = step.bytes_out
            rest = step.bytes_in
            for level, table in step.removed:
                kept = min(table.size, left * table.size // max(1, rest))
                left, rest = left - kept, rest - table.size
                found[f"L{level}", f"L{step.level}"] += kept
                found[f"L{level}", DROPPED] += table.size - kept
    return Counter({key: n for key, n in found.items() if n})


def _order(name: str) -> tuple[int, str]:
    return (-1, "") if name == MEMTABLE else (1 << 30, "") if name == DROPPED else (int(name[1:]), "")


def _colour(name: str) -> str:
    if name == MEMTABLE:
        return _COLOURS[0]
    return "#BBBBBB" if name == DROPPED else _COLOURS[(int(name[1:]) + 1) % len(_COLOURS)]


def _stack(sums: Mapping[str, int], scale: float) -> dict[str, float]:
    """Name -> top of its bar, from above down with a gap between."""
    tops, y = {}, float(_TOP)
    for name in sorted(sums, key=_order):
        tops[name] = y
        y += sums[name] * scale + _GAP
    return tops


def shown(size: float) -> str:
    """Return bytes for people: three figures and a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}" if size < 999.5 else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"


def sankey(of: Flows) -> str:
    """Return the diagram: on the left where bytes were read from, on the right where they were written to; a band as wide as its bytes."""
    if not of:
        return "<p>Nothing was flushed or merged yet.</p>"
    sources, targets = Counter[str](), Counter[str]()
    for (a, b), n in of.items():
        sources[a] += n
        targets[b] += n
    bars = max(len(sources), len(targets))
    scale = (_HEIGHT - _TOP - _GAP * bars) / sum(of.values())
    left, right = _stack(sources, scale), _stack(targets, scale)
    at_left, at_right = dict(left), dict(right)
    x0, x1 = _LEFT + _BAR, _WIDTH - _LEFT - _BAR
    middle = (x0 + x1) / 2
    parts = []
    for (a, b), n in sorted(of.items(), key=lambda item: (_order(item[0][0]), _order(item[0][1]))):
        y, z, h = at_left[a], at_right[b], n * scale
        at_left[a], at_right[b] = y + h, z + h
        path = f"M{x0},{y:.1f} C{middle:.0f},{y:.1f} {middle:.0f},{z:.1f} {x1},{z:.1f} V{z + h:.1f} C{middle:.0f},{z + h:.1f} {middle:.0f},{y + h:.1f} {x0},{y + h:.1f} Z"  # noqa: E501
        parts.append(
            f'<path d="{path}" fill="{_colour(a)}" fill-opacity="0.45"><title>{escape(a)} to {escape(b)}: {shown(n)}</title></path>'
        )
    for sums, tops, x, anchor, text_x in ((sources, left, _LEFT, "end", _LEFT - 8), (targets, right, x1, "start", x1 + _BAR + 8)):
        for name, top in tops.items():
            h = sums[name] * scale
            parts.append(f'<rect x="{x}" y="{top:.1f}" width="{_BAR}" height="{max(h, 0.5):.1f}" fill="{_colour(name)}"/>')
            parts.append(f'<text x="{text_x}" y="{top + h / 2 + 4:.1f}" text-anchor="{anchor}">{escape(name)}, {shown(sums[name])}</text>')
    parts.append(f'<text class="head" x="{_LEFT - 8}" y="18" text-anchor="end">read from</text>')
    parts.append(f'<text class="head" x="{x1 + _BAR + 8}" y="18" text-anchor="start">written to</text>')
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT + 8}" role="img" aria-label="bytes by source and target"'
    return f'<svg class="sankey" {box}>{"".join(parts)}</svg>'
