"""The verdict of a figure, its drawing, and the page of all: one file that holds everything and opens from anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from .draw import save
from .figure import Figure, mark
from .judge import Verdict, verdict_of
from .runner import Outcome

MEANING = {
    "PASS": "every assertion of the study holds",
    "DIFFERS": "an assertion does not hold; the paragraph says why",
    "FAILED": "a measurement did not end well",
    "MISSING": "a part or a data set is not there",
}


def finish(outcome: Outcome, folder: Path) -> Verdict:
    """Judge a figure and draw it. A figure with a cell that failed is neither judged nor drawn."""
    figure = outcome.figure
    if outcome.missing:
        return Verdict(figure.id, "MISSING", problem=outcome.missing)
    if outcome.failed:
        first = next(iter(outcome.failed.items()))
        return Verdict(figure.id, "FAILED", problem=f"{len(outcome.failed)} of {len(outcome.cells)} cells: {first[0]}: {first[1]}")
    rows = outcome.finished()
    paths = save(figure, rows, folder)
    made = verdict_of(figure.id, figure.judge(rows), outcome.seconds)
    return Verdict(made.id, made.word, made.checks, seconds=made.seconds, files={form: p.name for form, p in paths.items()})


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list | dict):
        text = json.dumps(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    return str(value)


def _table(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    """Header and rows of all cells."""
    rows = list(outcome.finished())
    names = list(dict.fromkeys(k for r in rows for k in r.cell))
    got = list(dict.fromkeys(k for r in rows for k in r.got))
    return [*names, *got, "seconds"], [
        [*(_short(r.cell.get(n, "")) for n in names), *(_short(r.got.get(n, "")) for n in got), f"{r.seconds:.1f}"] for r in rows
    ]


def _published(figure: Figure) -> list[tuple[str, str, str, str]]:
    def points(pairs: Sequence[tuple[Any, float]]) -> str:
        return "; ".join(f"{x if isinstance(x, str) else f'{x:,.6g}'}: {y:g}" for x, y in pairs)

    return [(p.series, mark(p.mark), points(p.points), p.note) for p in figure.published]


def _svg(path: Path) -> str:
    """An SVG to stand in a page: without the XML declaration, ids made different from those of other figures."""
    text = path.read_text()
    text = text[text.index("<svg") :]
    return text.replace('id="', f'id="{path.stem}-').replace("url(#", f"url(#{path.stem}-").replace('href="#', f'href="#{path.stem}-')


def section(outcome: Outcome, verdict: Verdict, folder: Path) -> dict[str, Any]:
    """What the page shows of a figure."""
    figure = outcome.figure
    made: dict[str, Any] = {"figure": figure, "verdict": verdict, "published": _published(figure), "svg": "", "why": "", "table": ([], [])}
    if verdict.files:
        made |= {"svg": _svg(folder / verdict.files["svg"]), "why": figure.why(outcome.finished()), "table": _table(outcome)}
    return made


def render(template: str, **values: Any) -> str:
    """Fill a template of this package."""
    environment = Environment(
        loader=PackageLoader("experiments"), autoescape=select_autoescape(default=True), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **values)


def write(folder: Path, outcomes: Sequence[Outcome], verdicts: Sequence[Verdict], command: str) -> Path:
    """Write folder/index.html, and the pages that figures have of their own."""
    sections = [section(o, v, folder) for o, v in zip(outcomes, verdicts, strict=True)]
    pages: dict[str, str] = {}
    for outcome, made in zip(outcomes, sections, strict=True):
        if outcome.figure.page is not None and made["svg"]:
            template, values = outcome.figure.page(outcome.finished())
            pages[outcome.figure.id] = template
            (folder / template).write_text(render(template, command=command, **made, **values), encoding="utf-8")
    path = folder / "index.html"
    path.write_text(render("reproduce.html", sections=sections, pages=pages, meaning=MEANING, command=command), encoding="utf-8")
    return path
