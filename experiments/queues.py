"""A policy's dump as rows of entries, and as a picture: a strip a queue, from the newest on the left to who leaves next on the right."""

from __future__ import annotations

import math
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from .plots_base import COLOURS, STYLE, WIDTH, Plot

ACROSS = 16  # entries in a line of the picture
MOST = 160  # entries of a queue that are drawn
POOLS = ("random", "hyperbolic", "lhd")  # keep no order
HANDS = {  # queues whose oldest entry is under a hand; sieve tells where its own is
    "clock": ("clock",), "fifo-reinsertion": ("fifo-reinsertion",), "car": ("T1", "T2"), "cart": ("T1", "T2"), "s3fifo": ("S", "M"),
    "qdlp": ("P", "M"), "clock2q+": ("S", "M"), "clockpro": ("hot", "cold"), "clockpro+": ("hot", "cold"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A key in a queue, what the dump says of it, and whether it is in the cache: otherwise it is a ghost."""

    key: str
    mark: str
    held: bool


@dataclass(frozen=True)
class Queue:
    """A row of a dump, newest first; `hand`: the place in it that a hand points to."""

    name: str
    entries: tuple[Entry, ...]
    hand: int | None = None


def parse(kind: str, dump: str, held: Container[int]) -> tuple[str, list[Queue]]:
    """Return the settings that a dump tells, and its queues. `held`: the keys in the cache. O(length)."""
    told, rows, hand = [], [], None
    loose: list[Entry] = []
    for line in dump.splitlines():
        rest = line.removeprefix(f"{kind}: ")
        name, colon, text = (rest if ":" in rest else line).partition(":")
        words = text.split()
        if re.match(r"\d+ ", line):  # an entry a line
            loose.append(_entry(line.split()[0], held, " ".join(line.split()[1:])))
        elif name == "hand":
            hand = text.strip()
        elif colon and all(re.match(r"\d", word) for word in words):
            rows.append((name, tuple(_entry(word, held) for word in words)))
        elif text:
            told.append(text.strip())
    if loose:
        rows.append((kind, tuple(loose)))
    return ", ".join(told), [Queue(name, entries, _hand(kind, name, entries, hand)) for name, entries in rows]


def _entry(word: str, held: Container[int], mark: str = "") -> Entry:
    number = re.match(r"\d+", word)
    assert number is not None
    return Entry(number[0], mark or word[number.end() :].lstrip("/"), int(number[0]) in held)


def _hand(kind: str, name: str, entries: tuple[Entry, ...], told: str | None) -> int | None:
    if told is not None:
        return next((i for i, entry in enumerate(entries) if entry.key == told), None)
    return len(entries) - 1 if entries and name in HANDS.get(kind, ()) else None


def draw(kind: str, dump: str, held: Container[int], asked: int | None, title: str) -> Plot:
    """Draw the queues; `asked`: the key of the last request, which is framed."""
    settings, queues = parse(kind, dump, held)
    lines = [math.ceil(min(len(q.entries), MOST) / ACROSS) or 0.4 for q in queues]
    height = 1.5 + 0.5 * (sum(lines) + 0.4 * len(lines))
    with plt.rc_context({**STYLE, "axes.grid": False}):
        figure, axis = plt.subplots(figsize=(WIDTH, height), layout="constrained")
        top = 0.0
        for i, (queue, n) in enumerate(zip(queues, lines, strict=True)):
            _strip(axis, queue, top, COLOURS[i % (len(COLOURS) - 1)], asked)  # but the yellow one: names are written in them
            top -= n + 0.4
        axis.set(xlim=(-2.6, ACROSS + 0.2), ylim=(top + 0.6, 1.0), xticks=[], yticks=[])
        axis.set_title(f"{title}\n{settings}" if settings else title, loc="left")
        axis.spines[:].set_visible(False)
        ends = ("in no order", "") if kind in POOLS else ("newest", "oldest, or next to leave")
        for text, x, side in zip(ends, (0, ACROSS), ("left", "right"), strict=True):
            axis.text(x, 0.62, text, fontsize=8, color="#666666", va="center", ha=side)
        figure.legend(handles=_handles(queues, asked), loc="outside lower center", ncols=4)
    ghosts = sum(not e.held for q in queues for e in q.entries)
    caption = (
        f"Each strip is a queue of {kind}, newest on the left. Filled: in the cache; dashed: a ghost, remembered without its data"
        f"{'' if ghosts else ' (there are none)'}. Below a key what the policy keeps of it; a triangle is a hand."
    )
    return Plot(f"queues-{re.sub('[^a-z0-9]', '-', kind)}", f"The queues of {kind}", caption, figure)


def _strip(axis: Any, queue: Queue, top: float, colour: str, asked: int | None) -> None:
    axis.text(-0.25, top, queue.name, ha="right", va="center", fontsize=10, weight="bold", color=colour)
    if not queue.entries:
        axis.text(0.08, top, "empty", va="center", fontsize=8, color="#999999", style="italic")
    for i, entry in enumerate(queue.entries[:MOST]):
        x, y = i % ACROSS, top - i // ACROSS
        last = asked is not None and entry.key == str(asked)
        axis.add_patch(
            mpl.patches.FancyBboxPatch(
                (x + 0.06, y - 0.38),
                0.88,
                0.76,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=(*mpl.colors.to_rgb(colour), 0.30) if entry.held else "white",
                edgecolor="black" if last else colour,
                linewidth=2.2 if last else 1.0,
                linestyle="-" if entry.held else (0, (2.5, 2)),
            )
        )
        text = entry.key if len(entry.key) <= 8 else f"…{entry.key[-6:]}"
        size = 9 if len(text) <= 5 else 7
        axis.text(
            x + 0.5,
            y + (0.12 if entry.mark else 0),
            text,
            ha="center",
            va="center",
            fontsize=size,
            color="black" if entry.held else "#777777",
        )
        if entry.mark:
            axis.text(x + 0.5, y - 0.21, _short(entry.mark), ha="center", va="center", fontsize=6.5, color="#444444")
        if i == queue.hand:
            axis.plot([x + 0.5], [y - 0.5], marker="^", color="black", ms=6, clip_on=False)
    if len(queue.entries) > MOST:
        more = len(queue.entries) - MOST
        axis.text(ACROSS, top - (MOST - 1) // ACROSS - 0.5, f"and {more:,} more", ha="right", va="center", fontsize=8, color="#666666")


def _short(mark: str) -> str:
    """What is said of an entry in a few letters: its marks as they are, of named numbers the last."""
    _, named, number = mark.rpartition("=")
    return f"{float(number):.1e}" if named else mark.replace("*", "★")


def _handles(queues: list[Queue], asked: int | None) -> list[Any]:
    box = mpl.patches.Patch
    handles: list[Any] = [box(facecolor="#bbbbbb", edgecolor="#555555", label="in the cache")]
    if any(not e.held for q in queues for e in q.entries):
        handles.append(box(facecolor="white", edgecolor="#555555", linestyle="--", label="ghost"))
    if asked is not None:
        handles.append(box(facecolor="white", edgecolor="black", linewidth=2.2, label=f"last request: {asked}"))
    if any(q.hand is not None for q in queues):
        handles.append(mpl.lines.Line2D([], [], color="black", marker="^", linestyle="none", label="hand"))
    return handles
