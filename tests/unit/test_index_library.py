"""`lsmlab library`: the page holds figures of every type of query, both stores agree, and a wrong answer is noticed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import library_corpus as corpus
from experiments import library_queries as queries
from experiments.cli import app
from experiments.library import Result
from experiments.library_queries import BY, MAKERS, SEEN, Disagreement, Drawer, Query, agree
from experiments.library_stores import INDEXES, Ours, Theirs

RUN = ["library", "--rows", "300", "--queries", "3"]
STDLIB = Path(ast.__file__).parent
SMALL = [STDLIB / f"{name}.py" for name in ("heapq", "textwrap", "threading", "random", "queue", "shutil", "json/decoder")]


@pytest.fixture(autouse=True)
def few_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manual = tmp_path / "man" / "man7" / "thing.7"
    manual.parent.mkdir(parents=True)
    manual.write_text('.TH THING 7\n.SH NAME\nthing \\- holds a \\fBlock\\fP\n.SH "SEE ALSO"\n.BR other (7)\nthe other lock\n')
    monkeypatch.setattr(corpus, "python_files", lambda: SMALL)
    monkeypatch.setattr(corpus, "manual_files", lambda: [manual])


def test_index_library_writes_a_page_with_every_figure(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*RUN, "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    got = json.loads(done.stdout)
    assert set(got["microseconds"]) == {*MAKERS, SEEN} == set(BY)
    assert all(m["lsmlab"] > 0 and m["SQLite"] > 0 for m in got["microseconds"].values())
    assert all(got["bytes"][s.name][n] > 0 and got["build"][s.name][n] > 0 for s in INDEXES for n in ("lsmlab", "SQLite"))
    assert got["rows"] == 300 and got["compared"] == (3 + 3 * 3) * len(MAKERS)
    page = (tmp_path / "index.html").read_text()
    assert all(f'<td class="left">{kind}<small' in page for kind in got["microseconds"])
    assert all(s.title in page for s in INDEXES)
    assert page.count('src="data:image/png;base64,') == 4 and not re.search(r"(src|href)=\"(?!data:|#)", page)
    text = re.sub(r'src="[^"]*"', "", page)
    numbers = re.findall(r"<td(?: class=\"(?:faster|slower)\")?>([^<]*)</td>", text.split('id="method"')[0])
    assert len(numbers) == 4 * len(BY) + 4 * len(INDEXES) and all(
        re.match(r"\d[\d,.]*( \(\d+ MB/s\))?$|\d\.\d+e[+-]\d+$", n) for n in numbers
    )
    assert "intersection" in text and "actual" in text and "GENERATED" in text and "<mark>" in text
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("work-")] == []  # the databases are gone


def test_index_library_shows_tables_for_people(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*RUN, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "all equal" in done.stdout and str(tmp_path / "index.html") in done.stdout


def test_index_library_fails_with_the_query_when_answers_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MAKERS["window, counted"]

    def wrong(drawer: Drawer, kind: str) -> Query:
        q = whole(drawer, kind)
        return Query(kind, q.said, lambda table: q.ours(table) + 1, q.theirs)

    monkeypatch.setitem(queries.MAKERS, "window, counted", wrong)
    done = CliRunner().invoke(app, [*RUN, "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "window, counted: x in" in done.output and "--seed 1" in done.output


def test_index_library_compares_rows_and_ranks() -> None:
    def query(kind: str) -> Query:
        return Query(kind, "said", lambda table: None, lambda con: None)

    best = query(queries.BEST)
    assert agree(best, [({"id": 1}, 2.0), ({"id": 2}, 1.0)], [(1, -2.0), (9, -1.0)]) == 2  # of equal scores at the end either
    for theirs in ([(9, -2.0), (2, -1.0)], [(1, -2.0)], [(1, -2.0), (2, -0.9)]):
        with pytest.raises(Disagreement, match="said"):
            agree(best, [({"id": 1}, 2.0), ({"id": 2}, 1.0)], theirs)
    rows = query("row by name")
    assert agree(rows, [{"id": 1, "at": (2.0, 3.0)}], [(1, 2.0, 3.0)]) == 1
    with pytest.raises(Disagreement):
        agree(rows, [{"id": 1, "at": (2.0, 3.0)}], [(1, 2.0, 3.5)])


def test_index_library_rows_say_where_they_are_from() -> None:
    rows, sources = corpus.corpus(120, 3, lambda what: None)
    assert rows == corpus.corpus(120, 3, lambda what: None)[0]
    assert [r["id"] for r in rows] == list(range(1, 121)) and "documentation strings" in sources
    (heappush,) = [r for r in corpus.corpus(500, 1, lambda what: None)[0] if r["name"] == "heapq.merge"]
    line = heappush["line"]
    assert (STDLIB / "heapq.py").read_text().splitlines()[line - 1].startswith("def merge(")
    assert heappush["source"] == "heapq" and heappush["kind"] == "function" and heappush["at"] == corpus.point(line, len(heappush["text"]))
    manual = {r["name"]: r for r in rows if r["source"] == "man7"}
    assert manual["thing(7) NAME"]["text"] == "thing holds a lock" and manual["thing(7) NAME"]["line"] == 2
    assert manual["thing(7) SEE ALSO"]["kind"] == "see also"


def test_index_library_places_are_on_the_globe() -> None:
    rows, source = corpus.places()
    by_name = {r["name"]: r for r in rows}
    assert source and len(rows) > 250
    longitude, latitude = by_name["Europe/Paris"]["at"]
    assert longitude == pytest.approx(2 + 20 / 60) and latitude == pytest.approx(48 + 52 / 60)
    assert by_name["America/New_York"]["at"][0] < -70 and by_name["America/New_York"]["country"] == "US"
    assert all(sum(v * v for v in r["sphere"]) == pytest.approx(1) for r in rows)


def test_index_library_stores_take_the_same_rows(tmp_path: Path) -> None:
    rows, _ = corpus.corpus(50, 1, lambda what: None)
    ours, theirs = Ours(tmp_path), Theirs(tmp_path)
    for spec in INDEXES:
        ours.index(spec)
        theirs.index(spec, fill=False)
    for store in (ours, theirs):
        store.put(rows)
        store.settle()
        assert store.bytes() > 1000
    theirs.replace(rows[0] | {"name": "changed"})
    assert theirs.con.execute("select count(*), sum(name = 'changed') from library").fetchone() == (50, 1)
    assert ours.table.count() == 50 and Result(1, 1, 1).to_dict()["microseconds"] == {}
    ours.close()
    theirs.close()
