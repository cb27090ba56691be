"""Reproductions: every figure runs on a tiny scale, its assertions can fail, and the published numbers are the study's."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot as plt
from typer.testing import CliRunner

from experiments import cli
from experiments.costs import Mark
from experiments.reproduce import FIGURES, chosen, gallery, judge, runner, verdict_of
from experiments.reproduce.draw import draw
from experiments.reproduce.figure import Published, Row, Rows

MEASURED = [f for f in FIGURES.values() if not f.missing()]
CHEAP = "F2"


@cache
def tiny(name: str) -> Rows:
    """The cells of a figure on a tiny scale, measured in this process."""
    figure = FIGURES[name]
    return Rows([Row(cell, json.loads(json.dumps(figure.measure(cell)))) for cell in figure.cells(True)])


WRONG = {  # wrong measurements: what becomes of a number in row `at`, place `i`
    "ten times": lambda v, at, i: v * 10,
    "a hundredth": lambda v, at, i: v / 100,
    "below zero": lambda v, at, i: -v - 1,
    "odd rows": lambda v, at, i: v * 10 if at % 2 else v,
    "even rows": lambda v, at, i: v if at % 2 else v * 10,
    "a third of the rows": lambda v, at, i: v * 10 if at % 3 == 0 else v,
    "another third": lambda v, at, i: v * 10 if at % 3 == 1 else v,
    "falling": lambda v, at, i: float(1000 - at - i),
    "rising": lambda v, at, i: float(1000 + at + i),
}


def spoiled(rows: Rows, name: str, wrong: Any) -> Rows:
    """The same rows with what they measured under a name made wrong."""
    made = []
    for at, row in enumerate(rows):
        got = copy.deepcopy(row.got)
        value = got.get(name)
        if isinstance(value, list) and all(isinstance(v, int | float) for v in value):
            got[name] = [wrong(v, at, i) for i, v in enumerate(value)]
        elif isinstance(value, int | float):
            got[name] = wrong(value, at, 0)
        made.append(Row(row.cell, got))
    return Rows(made)


@pytest.mark.parametrize("figure", MEASURED, ids=lambda f: f.id)
def test_a_figure_runs_on_a_tiny_scale(figure: Any) -> None:
    rows = tiny(figure.id)
    checks = figure.judge(rows)
    assert any(c.ok is not None for c in checks), "nothing is asserted"
    assert len({c.what for c in checks}) == len(checks)
    drawn = draw(figure, rows)
    kinds = {line.kind for panel in figure.panels(rows) for line in panel.lines if line.points}
    assert "measured" in kinds and drawn.axes
    plt.close(drawn)
    assert len(figure.why(rows)) > 100
    assert figure.source and figure.question and figure.definition and figure.scale


@pytest.mark.parametrize("figure", MEASURED, ids=lambda f: f.id)
def test_each_assertion_can_fail(figure: Any) -> None:
    """For every assertion there are wrong measurements that fail it."""
    rows = tiny(figure.id)
    asserted = {c.what for c in figure.judge(rows) if c.ok is not None}
    failed: set[str] = set()
    for name in dict.fromkeys(name for row in rows for name in row.got):
        for wrong in WRONG.values():
            try:
                failed |= {c.what for c in figure.judge(spoiled(rows, name, wrong)) if c.ok is False}
            except (ZeroDivisionError, RuntimeWarning):
                continue
    assert asserted <= failed, asserted - failed


def test_a_verdict_needs_an_assertion_and_all_of_them() -> None:
    good, bad, note = judge.at_most("a", 1, 2), judge.at_most("a", 3, 2), judge.told("n", "1", "2")
    assert verdict_of("F", [good, note]).word == "PASS"
    assert verdict_of("F", [good, bad, note]).word == "DIFFERS"
    assert verdict_of("F", [note]).word == "DIFFERS"


@pytest.mark.parametrize(
    ("check", "ok"),
    [
        (judge.within("x", 1.04, 1.0, 0.05), True), (judge.within("x", 1.06, 1.0, 0.05), False), (judge.within("x", 0.1, 0.0, 0.05), False),
        (judge.worst_within("x", [("a", 1.0, 1.0), ("b", 2.0, 1.0)], 0.05), False), (judge.worst_within("x", [], 0.05), False),
        (judge.between("x", 0.3, 0.3, 0.7), True), (judge.between("x", 0.71, 0.3, 0.7), False), (judge.equal("x", 3, 3), True),
        (judge.equal("x", 3, 4), False), (judge.rising("x", [1, 2, 3]), True), (judge.rising("x", [1, 3, 2]), False),
        (judge.rising("x", [3, 2, 1], falling=True), True), (judge.rising("x", [1]), False), (judge.below("x", 1, 1), False),
        (judge.above("x", 1, 1), False), (judge.at_least("x", 1, 1), True), (judge.within("x", float("nan"), 1.0, 0.05), False),
    ],
)  # fmt: skip
def test_checks(check: judge.Check, ok: bool) -> None:
    assert check.ok is ok


def series(name: str, mark: Mark) -> dict[str, dict[Any, float]]:
    """The published points of one mark by series."""
    found: dict[str, dict[Any, float]] = {}
    for p in FIGURES[name].published:
        if p.mark is mark:
            found.setdefault(p.series, {}).update(p.points)
    return found


def test_published_numbers_are_the_studys() -> None:
    """Section 4 of the study, copied here a second time by hand."""
    assert series("F1", Mark.SIM) == {"equal filters": {2**13: 0.366, 2**20: 1.011}, "Monkey": {2**13: 0.282, 2**20: 0.368}}
    two = series("F2", Mark.SIM)
    assert two["equal filters"] == {0: 9, 1: 5.70, 2: 3.55, 5: 0.823, 8: 0.193, 10: 0.074}
    assert two["Monkey"] == {0: 9, 1: 2.58, 2: 1.59, 5: 0.365, 8: 0.086, 10: 0.032}
    assert series("F3", Mark.SIM)["leveling"] == {2: 8.12, 4: 9.45, 6: 11.36, 8: 13.05, 10: 14.60}
    assert series("F3", Mark.SIM)["tiering"] == {2: 8.12, 4: 4.40, 6: 3.80, 8: 2.89, 10: 3.00}
    assert series("F4", Mark.SIM) == {"leveling": {1.0: 0.092}, "lazy leveling": {1.0: 0.090}, "tiering": {1.0: 0.57}}
    assert series("F4", Mark.PDF)["tiering"] == {0.8: 0.83, 1.0: 1.0}
    five = [p for p in FIGURES["F5"].published if p.mark is Mark.SIM]
    assert dict(five[0].points) == {"Full": 36.8, "LO+1": 45.3, "RR": 50.8, "LO+2": 51.6, "Old": 59.4, "Random": 60.3}
    assert dict(FIGURES["F5"].published[0].points) == {"Full": 63.0, "Tier": 23.0} and FIGURES["F5"].published[0].mark is Mark.PDF
    eleven = series("F11", Mark.CODE)
    assert eleven["blocked Bloom with Pebble's probes"] == {5: 0.0915, 8: 0.0245, 10: 0.0114, 12: 0.00605, 16: 0.00245, 20: 0.00140}
    assert eleven["binary fuse, 8 bits"] == {9.0: 0.00391}
    twelve = series("F12", Mark.PDF)
    assert list(twelve["point"].values()) == [1.419, 0.022, 0.047, 0.056]
    assert list(twelve["open seek"].values()) == [1.627, 1.646, 1.303, 1.023]
    thirteen = series("F13", Mark.CROSS)
    assert thirteen["LRU"] == {1000: 32.83, 2000: 42.47, 5000: 53.65, 10000: 60.70, 15000: 64.63}
    assert thirteen["ARC"] == {1000: 38.95, 2000: 46.08, 5000: 55.25, 10000: 61.87, 15000: 65.40}
    assert thirteen["SIEVE"] == {1000: 32.56, 2000: 41.19, 5000: 51.89, 10000: 60.47, 15000: 65.10}
    ten = series("F10", Mark.SIM)
    assert ten["circular log, Zipf 0.99"] == {0.1: 8.1, 0.3: 3.3, 0.5: 2.3, 0.9: 1.6}
    assert ten["circular log, uniform"] == {0.1: 5.6, 0.3: 2.3, 0.5: 1.6, 0.9: 1.2}
    assert thirteen["Belady"] == {1000: 53.61, 2000: 60.40, 5000: 68.27, 10000: 73.02, 15000: 75.14}


def test_published_numbers_of_different_marks_are_drawn_apart() -> None:
    figure = FIGURES["F4"]
    lines = [line for panel in figure.panels(tiny("F4")) for line in panel.lines if line.kind == "published"]
    assert {line.source for line in lines} == {"published [PDF]", "the study's simulation [sim]"}


def test_every_figure_is_listed_and_asked_for_by_id() -> None:
    assert {i.split("-")[0] for i in FIGURES} == {f"F{n}" for n in range(1, 16)}
    assert [f.id for f in chosen(["f15", "F1"])] == ["F15-lethe", "F15-triad", "F15-silk", "F1"]
    with pytest.raises(ValueError, match=r"no figure 'F99'; allowed: F1, F2"):
        chosen(["F99"])
    assert all(not f.missing() for f in FIGURES.values() if f.id not in ("F8", "F13", "F15-triad")), "those need a package or a trace"


def test_records_are_kept_per_cell_and_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = FIGURES[CHEAP]
    first = runner.run_figures([figure], tmp_path, jobs=2, tiny=True)[0]
    assert not first.failed and len(first.finished()) == len(figure.cells(True))
    started: list[Any] = []
    original = runner._measure
    monkeypatch.setattr(runner, "_measure", lambda f, cell, s: started.append(cell) or original(f, cell, s))
    victim = sorted((tmp_path / runner.FOLDER).iterdir())[0]
    victim.write_text(victim.read_text()[:40])  # cut: as if it were not there
    again = runner.run_figures([figure], tmp_path, tiny=True)[0]
    assert len(started) == 1 and [r.got for r in again.finished()] == [r.got for r in first.finished()]
    monkeypatch.setattr(runner, "build_of", lambda module: "another build")
    monkeypatch.setattr(runner, "_measure", lambda f, cell, s: (None, "not measured"))
    other = runner.run_figures([figure], tmp_path, tiny=True)[0]
    assert len(other.failed) == len(figure.cells(True))
    verdict = gallery.finish(other, tmp_path)
    assert verdict.word == "FAILED" and "not measured" in verdict.problem


def test_the_command_measures_judges_and_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.traces.folders", list)
    monkeypatch.chdir("/")  # where the trace of F13 is not
    out = CliRunner().invoke(cli.app, ["reproduce", CHEAP, "F13", "--tiny", "--out", str(tmp_path), "-j", "2", "--json"])
    assert out.exit_code in (0, 1), out.output
    value = json.loads(out.stdout[out.stdout.index("{") :])
    words = {f["id"]: f["word"] for f in value["figures"]}
    assert words["F13"] == "MISSING" and words[CHEAP] in ("PASS", "DIFFERS")
    assert out.exit_code == (words[CHEAP] == "DIFFERS")
    page = Path(value["page"]).read_text()
    assert "<svg" in page and "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org/", "")
    assert all((tmp_path / f"{CHEAP}.{form}").stat().st_size > 1000 for form in ("svg", "png"))
    assert CliRunner().invoke(cli.app, ["reproduce", "F99"]).exit_code == 2
    assert CliRunner().invoke(cli.app, ["reproduce", "F1", "--all"]).exit_code == 2
    listed = json.loads(CliRunner().invoke(cli.app, ["reproduce", "--json"]).stdout)
    assert [row["id"] for row in listed] == list(FIGURES)


def test_a_trace_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.traces.folders", list)
    monkeypatch.chdir("/")
    assert "arc-OLTP.u32.xz is not here" in FIGURES["F13"].missing()


def test_finding_four_has_a_page_of_its_own(tmp_path: Path) -> None:
    figure = FIGURES["F5"]
    outcome = runner.Outcome(figure, [r.cell for r in tiny("F5")])
    outcome.rows = {runner._name(figure, r.cell): r for r in tiny("F5")}
    gallery.write(tmp_path, [outcome], [gallery.finish(outcome, tmp_path)], "lsmlab reproduce F5")
    page = (tmp_path / "finding4.html").read_text()
    assert "34 to 56 %" in page and "23 to 64 %" in page and "empties" in page and "<svg" in page
    assert 'href="finding4.html"' in (tmp_path / "index.html").read_text()


def test_published_points_say_who_found_them() -> None:
    for figure in FIGURES.values():
        for p in figure.published:
            assert isinstance(p, Published) and isinstance(p.mark, Mark)
            assert p.points or p.note, (figure.id, p.series)
