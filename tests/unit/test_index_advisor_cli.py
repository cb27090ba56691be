"""`lsmlab advise` and `lsmlab bench advisor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lsm
from experiments.cli import app
from experiments.cli_advise import parse_size

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with lsm.open(tmp_path / "db", {"threads": 0}) as db:
        db.table("people", key="id").put_many({"id": i, "city": f"c{i % 300}", "age": i % 90} for i in range(3000))
        db.put(b"other", b"pair")
    queries = [{"where": "col('city') == 'c7'", "weight": 100}, {"where": "(col('age') > 88) & (col('city') == 'c3')", "columns": ["age"]}]
    (tmp_path / "w.json").write_text(json.dumps({"queries": queries}))
    return tmp_path


def advise(folder: Path, *more: str, table: str = "people", workload: str = "w.json") -> tuple[int, str]:
    done = runner.invoke(app, ["advise", str(folder / "db"), table, "--workload", str(folder / workload), *more])
    return done.exit_code, done.output


def test_it_prints_advice_and_changes_nothing(folder: Path) -> None:
    code, said = advise(folder, "--space", "64M", "--html", str(folder / "page.html"))
    assert code == 0
    assert "city" in said
    assert "serves 100 x col('city') == 'c7'" in said
    assert "<svg" in (folder / "page.html").read_text() or "<table" in (folder / "page.html").read_text()
    with lsm.open(folder / "db") as db:
        assert db.table("people").indexes() == []


def test_it_makes_what_it_advises(folder: Path) -> None:
    code, _ = advise(folder, "--create", "--no-verify")
    assert code == 0
    with lsm.open(folder / "db") as db:
        table = db.table("people")
        assert [x["state"] for x in table.indexes()] == ["ready"]
        assert table.scrub() == []


def test_json_and_a_budget_of_nothing(folder: Path) -> None:
    code, said = advise(folder, "--json", "--space", "0", "--no-verify")
    assert code == 0
    advice = json.loads(said)
    assert (advice["indexes"], advice["gain"], advice["rows"]) == ([], 0, 3000)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"table": "poeple"}, "no table 'poeple'; there are people"),
        ({"table": "default"}, "no table 'default'"),
        ({"workload": "none.json"}, "none.json"),
    ],
)
def test_wrong_names_are_said(folder: Path, how: dict[str, str], what: str) -> None:
    code, said = advise(folder, **how)
    assert code != 0
    assert what in said.replace("\n", "")


def test_sizes() -> None:
    assert [parse_size(s) for s in ("10", "2k", "64M", "1.5GiB", "3 MB")] == [10, 2048, 64 * 2**20, 1.5 * 2**30, 3 * 2**20]
    for wrong in ("", "M", "-1", "1T", "x", "1e3"):
        with pytest.raises(ValueError, match="space is"):
            parse_size(wrong)


def test_the_bench_says_that_the_goal_is_reached() -> None:
    done = runner.invoke(app, ["bench", "advisor", "--seeds", "2", "--rows", "800", "--candidates", "7", "--json"])
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["goals"][0]["pass"]
    assert len(result["rows"]) == 12
    assert {r["candidates"] for r in result["rows"]} == {7}
    assert all(0 < r["best_gain"] < 1 for r in result["rows"] if r["budget"] >= 0.2)
