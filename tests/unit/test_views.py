"""The views of a tree: flows that conserve bytes, words with the right figures, a page that runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import lsm
from experiments import plots
from experiments.views import explain, flows, write_page
from experiments.views.explain import closed_forms
from experiments.views.flows import DROPPED, MEMTABLE, sankey, shown
from tests.harness import browser

Steps = tuple[lsm.Step, ...]


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Steps]:
    made = {}
    for layout in ("leveling", "tiering"):
        path = tmp_path_factory.mktemp(layout) / "db"
        options = {"layout": layout, "size_ratio": 3, "level_base": 64 << 10, "output_bytes": 16 << 10}
        with lsm.open(path, threads=0, write_buffer=16 << 10, compaction=options) as db:
            for i in range(8_000):
                db.put(b"%06d" % (i * 7919 % 5_000), b"v" * 40)
            db.put(b"</script><b>", b"")
            db.flush()
        made[layout] = lsm.history(path)["default"]
    return made


@pytest.mark.parametrize("layout", ["leveling", "tiering"])
def test_flows_conserve_bytes(histories: dict[str, Steps], layout: str) -> None:
    steps = histories[layout]
    of = flows(steps)
    into = {name: sum(n for (_, b), n in of.items() if b == name) for name in {b for _, b in of}}
    assert sum(n for (a, _), n in of.items() if a == MEMTABLE) == sum(s.bytes_out for s in steps if s.kind == "flush")
    assert sum(n for name, n in into.items() if name != DROPPED) == sum(s.bytes_out for s in steps)
    assert sum(n for (a, _), n in of.items() if a != MEMTABLE) == sum(s.bytes_in for s in steps)
    assert into[DROPPED] > 0
    assert any(a == b for a, b in of) == (layout == "leveling"), "tiering rewrites nothing of a level"


def test_the_diagram_shows_every_flow(histories: dict[str, Steps]) -> None:
    of = flows(histories["leveling"])
    svg = sankey(of)
    assert svg.count("<path") == len(of)
    for (a, b), n in of.items():
        assert f"{a} to {b}: {shown(n)}" in svg
    assert "Nothing" in sankey({})


def test_words_carry_the_figures(histories: dict[str, Steps]) -> None:
    steps = histories["leveling"]
    words = explain(steps, lsm.CompactionOptions(layout="leveling", size_ratio=3))
    flushed = sum(s.bytes_out for s in steps if s.kind == "flush")
    assert f"is {sum(s.bytes_out for s in steps) / flushed:.1f}:" in words[0]
    shares = [float(m[1]) for line in words if (m := re.search(r"\((\d+) %\)", line))]
    assert shares == sorted(shares, reverse=True), "the level that wrote most comes first"
    assert any("tiering" in line for line in words)
    assert not any("closed form" in line for line in explain(steps)), "without the options there is no model"
    assert "nothing in L1 was rewritten" in " ".join(explain(histories["tiering"]))
    assert "nothing to explain" in explain(steps[:1])[0]


def test_words_know_layouts_with_parameters_and_say_where_there_is_no_closed_form(histories: dict[str, Steps]) -> None:
    def said(layout: str, params: str = "") -> str:
        return " ".join(explain(histories["leveling"], lsm.CompactionOptions(layout=layout, size_ratio=3, layout_params=params)))

    for params, same in (("K=1 Z=1", "leveling"), ("K=2 Z=2", "tiering"), ("K=2 Z=1", "lazy-leveling")):
        named = re.search(r"C10 and the flush; .* says (\d+\.\d) in the steady state", said(same))
        told = re.search(r"C18 and the flush; fluid, T = 3, .* says (\d+\.\d) in the steady state", said("fluid", params))
        assert told and named and told[1] == named[1]
    assert "No closed form is known of the writes of vertiorizon." in said("vertiorizon")
    assert closed_forms({"layout": "leveling", "policy": "mine", "size_ratio": 3}, 2, 5.0) == [
        "No closed form is known of a policy of your own."
    ]


def test_front() -> None:
    assert plots.front([(1, 5), (2, 5), (2, 3), (3, 4), (4, 1), (4, 1)]) == [(1, 5), (2, 3), (4, 1)]
    assert plots.front([]) == []


def test_the_page_holds_every_step(histories: dict[str, Steps], tmp_path: Path) -> None:
    page = write_page({"default": histories["leveling"], "other": histories["tiering"]}, tmp_path / "tree.html", "<mine>").read_text()
    assert "&lt;mine&gt;" in page and "<mine>" not in page
    assert not re.search(r"(src|href)=\"?http", page)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    drawn, steps = data["default"], histories["leveling"]
    assert len(drawn["steps"]) == len(steps)
    for (told, _, added, tree), step in zip(drawn["steps"], steps, strict=True):
        assert told == str(step)
        assert added == [t.number for _, t in step.added]
        assert [[lv, drawn["runs"][r]] for lv, r in tree] == [[lv, [t.number for t in run.tables]] for lv, run in step.version.runs()]


@browser.needed
def test_the_page_runs_in_a_browser(histories: dict[str, Steps], tmp_path: Path) -> None:
    page = write_page({"default": histories["leveling"]}, tmp_path / "tree.html", "mine")
    opened = browser.open_page(page, tmp_path)
    assert opened.problems == [] and 'data-ready="yes"' in opened.dom, "the script did not come to its end"
    last = histories["leveling"][-1]
    assert opened.dom.count('class="table') == len(last.version.tables())
    assert str(last) in opened.dom
    assert 'value="heat"' not in opened.dom, "without reads there is no heat"
