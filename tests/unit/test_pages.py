"""Every page that lsmlab writes, opened in a headless browser: nothing fails, nothing is missing, nothing is loaded from elsewhere."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lsm
from experiments import library_corpus, report, results, suite, worker
from experiments.cli import app
from experiments.recorder import Recorder
from experiments.reproduce import FIGURES, gallery, runner
from experiments.reproduce.figure import Row
from tests.harness import browser

SUITE = """name = "pages"
question = "q?"
expectation = "e <b>"
refuted_if = "r"
workloads = ["ycsb-a"]
records = 2000
operations = 2000
probes = 500
samples = 12
repeats = 2
curves = ["lru", "belady"]
[options]
threads = 0
write_buffer = 32768
[options.compaction]
size_ratio = 3
level_base = 65536
output_bytes = 32768
[grid]
"compaction.layout" = ["leveling", "tiering"]
"""
STDLIB = Path(ast.__file__).parent


def _report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    s = suite.parse(SUITE)
    for run in s.runs():
        results.write(worker.execute(run.config(), folder / "work", False), folder)
    return [report.make(s, results.read_all(folder), folder, "lsmlab run pages")]


def _tree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    path, ops = folder / "db", folder / "reads.ops"
    options = {"size_ratio": 3, "level_base": 64 << 10, "output_bytes": 16 << 10}
    with lsm.open(path, threads=0, write_buffer=16 << 10, compaction=options) as db, Recorder(db, ops) as recorded:
        other = db.keyspace("other")
        for i in range(4_000):
            db.put(b"%06d" % (i * 7919 % 3_000), b"v" * 40)
            if i % 5 == 0:
                db.delete(b"%06d" % (i * 31 % 3_000))
                other.put(b"</script>%d" % i, b"w" * 60)
        for i in range(500):
            recorded.get(b"%06d" % (i * i % 400))
        db.flush()
    page = folder / "tree.html"
    done = CliRunner().invoke(app, ["view", str(path), "--out", str(page), "--reads", str(ops), "--layout", "leveling", "-T", "3"])
    assert done.exit_code == 0, done.output
    return [page]


def _reproduced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    figure = FIGURES["F5"]
    rows = [Row(cell, json.loads(json.dumps(figure.measure(cell)))) for cell in figure.cells(True)]
    outcome = runner.Outcome(figure, [r.cell for r in rows])
    outcome.rows = {runner._name(figure, r.cell): r for r in rows}
    return [gallery.write(folder, [outcome], [gallery.finish(outcome, folder)], "lsmlab reproduce F5"), folder / "finding4.html"]


def _library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(
        library_corpus, "python_files", lambda: [STDLIB / f"{name}.py" for name in ("heapq", "threading", "queue", "shutil")]
    )
    monkeypatch.setattr(library_corpus, "manual_files", list)
    done = CliRunner().invoke(app, ["library", "--rows", "300", "--queries", "3", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return [folder / "index.html"]


def _advice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    with lsm.open(folder / "db", {"threads": 0}) as db:
        db.table("people", key="id").put_many({"id": i, "city": f"c{i % 300}", "age": i % 90} for i in range(3000))
    (folder / "w.json").write_text(json.dumps({"queries": [{"where": "col('city') == 'c7'", "weight": 100}, {"where": "col('age') > 88"}]}))
    page = folder / "page.html"
    how = ["--workload", str(folder / "w.json"), "--html", str(page), "--no-verify"]
    done = CliRunner().invoke(app, ["advise", str(folder / "db"), "people", *how])
    assert done.exit_code == 0, done.output
    return [page]


def _compared(folder: Path, _monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    words = ["--n", "1000", "--stores", "lsmlab,sqlite", "--only", "fillseq,sustained", "--repeats", "2"]
    done = CliRunner().invoke(app, ["bench", "kv", *words, "--out", str(folder), "--report"])
    assert done.exit_code in (0, 1), done.output
    return [folder / "index.html"]


MAKERS: dict[str, Callable[[Path, pytest.MonkeyPatch], list[Path]]] = {
    "report": _report,
    "tree": _tree,
    "reproduce": _reproduced,
    "library": _library,
    "advice": _advice,
    "kv": _compared,
}
EVERY_WAY = """
for (const s of el("space").options) {
  choose(s.value);
  for (const m of el("mode").options) {
    el("mode").value = m.value;
    el("mode").onchange();
    for (const key of ["Home", "ArrowRight", "ArrowRight", "ArrowLeft", "End"]) document.dispatchEvent(new KeyboardEvent("keydown", {key}));
    for (const box of document.querySelectorAll("#tree rect")) {
      const painted = /^rgb\\(\\d+,\\d+,\\d+\\)$/.test(box.getAttribute("fill"));
      if (!painted || !(+box.getAttribute("width") > 0)) throw m.value + ": " + box.outerHTML;
    }
    el("back").onclick(); el("on").onclick(); el("play").onclick(); el("play").onclick();
  }
}
choose(el("space").options[0].value);
document.body.dataset.modes = [...el("mode").options].map(o => o.value).join();
"""


@browser.needed
@pytest.mark.parametrize("name", MAKERS)
def test_a_page_opens_without_a_fault(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in MAKERS[name](tmp_path, monkeypatch):
        opened = browser.open_page(page, tmp_path, EVERY_WAY if name == "tree" else "")
        assert opened.problems == [], page.name
        assert len(re.sub(r"<[^>]*>", "", opened.dom)) > 300, "hardly any text"
        if name == "tree":
            assert 'data-modes="age,tombstones,heat,size,level"' in opened.dom and 'class="table' in opened.dom


def test_every_template_of_a_page_is_opened() -> None:
    """A page of a new kind needs a line in MAKERS."""
    folder = Path(report.__file__).parent / "templates"
    assert {p.name for p in folder.glob("*.html")} == {
        "report.html",
        "tree.html",
        "reproduce.html",
        "finding4.html",
        "library.html",
        "kv.html",
        "style.html",
    }


@browser.needed
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("<script>nowhere();</script>", "nowhere is not defined"),
        ('<img alt="a plot" src="data:image/png;base64,AAAA">', "no picture in a plot"),
        ('<link rel="stylesheet" href="other.css">', "other.css"),
        ('<a href="#gone">there</a>', "a link to nowhere: #gone"),
        ('<p id="a"></p><p id="a"></p>', "twice: id a"),
        ("<script>Promise.reject('no');</script>", "rejected: no"),
    ],
)
def test_a_fault_is_found(wrong: str, told: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html><head><title>t</title></head><body>{wrong}</body></html>")
    opened = browser.open_page(page, tmp_path)
    assert any(told in p for p in opened.problems), opened.problems


def test_heat_counts_reads_in_the_span_of_a_table() -> None:
    from experiments.views import Heat

    heat = Heat([b"b", b"a", b"b", b"d", b"e"])

    def reads(smallest: bytes, largest: bytes, *, exclusive: bool = False) -> Any:
        return heat.of(lsm.TableInfo(1, 1, 1, 0, smallest, largest, exclusive))

    assert (reads(b"a", b"b"), reads(b"b", b"d"), reads(b"b", b"d", exclusive=True), reads(b"c", b"c"), reads(b"f", b"z")) == (
        3,
        3,
        2,
        0,
        0,
    )
