"""`lsmlab model`: every model can be asked as its example says, in words and in JSON, and says what is wrong with a question."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import cli
from experiments.costs import COSTS, SYMBOLS, shape
from experiments.costs.lookups import monkey_zero_result


def model(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli.app, ["model", *words])
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output


@pytest.mark.parametrize("number", COSTS)
def test_the_example_in_the_help_works(number: str) -> None:
    text = re.sub(r"\s+", " ", model(number, "--help"))
    c = COSTS[number]
    assert f"Example: lsmlab model {number}" in text and c.source[:30] in text
    for p in c.parameters():
        assert "--" + p.name.replace("_", "-") in text
    words = shlex.split(c.example)
    got = model(number, *words)
    assert got.startswith(f"{number} {c.title} ({c.unit})") and c.source in got and c.evidence[0].value in got
    answer = json.loads(model(number, *words, "--json"))
    assert answer["unit"] == c.unit and answer["evidence"] == [m.name.lower() for m in c.evidence]
    assert set(answer["arguments"]) == {p.name for p in c.parameters()} and answer["answer"] is not None


def test_the_list_keeps_the_marks_apart() -> None:
    rows = {c["number"]: c for c in json.loads(model("list", "--json"))}
    assert list(rows) == list(COSTS)
    assert rows["C27"]["evidence"] == ["abs"] and rows["C23"]["evidence"] == ["code"] and rows["C6"]["evidence"] == ["pdf", "sim"]
    assert rows["C8"]["parameters"]["size_ratio"]["allowed"] == "a number from 2"
    text = model("list")
    assert "C28" in text and "abs: only the abstract was read" in text


def test_levels_may_follow_from_entries() -> None:
    got = json.loads(model("C6", "--layout", "leveling", "--entries", "1e9", "--size-ratio", "10", "--bits", "5", "--json"))
    levels = shape.levels(1e9, 10)
    assert got["arguments"]["levels"] == levels and got["answer"] == monkey_zero_result("leveling", 10, levels, 5)
    text = model("C7", "--entries", "1e9", "--buffer-entries", "1e3", "--size-ratio", "10", "--bits", "0.01")
    assert "L (levels) = 6" in text and "levels from C1, with 1e+09 entries and 1000 a buffer" in text
    assert "L (levels) = 4" in model("C7", "--levels", "4", "--entries", "1e9", "--size-ratio", "10", "--bits", "1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("C7 --size-ratio 10 --bits 1", "--levels is missing (levels on disk); allowed: a whole number from 1 to 64, or --entries"),
        ("C7 --entries 1e9 --bits 1", "--size-ratio is missing"),
        ("C7 --entries -1 --size-ratio 10 --bits 1", "entries is -1.0; allowed: a number from 1"),
        ("C7 --levels 2.5 --size-ratio 10 --bits 1", "levels is 2.5; allowed: a whole number from 1 to 64"),
        ("C7 --levels 2 --size-ratio ten --bits 1", "size_ratio is 'ten'; allowed: a number from 2"),
        ("C7 --levels 2 --size-ratio nan --bits 1", "size_ratio is nan; allowed"),
        ("C7 --levels 1e400 --size-ratio 2 --bits 1", "levels is inf; allowed"),
        ("C3 --rates 0.1,,0.2 --layout tiering --size-ratio 4", "rates is ''; allowed: a number from 0 to 1"),
        ("C3 --rates 0.1 --layout sideways --size-ratio 4", "layout is 'sideways'; allowed: leveling, 1-leveling"),
        ("C26 --kind mine --bits 3", "kind is 'mine'; allowed: none, "),
        ("C22 --entries 1e300 --size-ratio 1e6 --last-ratio 1 --growth 60 --buffer-entries 1", "beyond what a float can hold"),
        ("C7 --lvels 3", "--levels"),
        ("C99", "No such command"),
    ],
)
def test_bad_questions_are_answered_with_what_is_allowed(words: str, said: str) -> None:
    got = re.sub(r"\s+", " ", model(*words.split(), code=2))
    assert said in got and "Traceback" not in got


def test_the_documents_table_is_the_registry() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "theory.md").read_text()
    for c in COSTS.values():
        name = f"{c.function.__module__.split('.')[-1]}.{c.function.__name__}"
        assert f"| {c.number} | {c.title} | `{name}` | {c.unit} | {c.source} | {c.marks} |" in page
    for name, s in SYMBOLS.items():
        assert not s.letter or f"| {s.letter} | `{name}` | {s.meaning} | {s.unit or '–'} | {s.allowed()} |" in page
