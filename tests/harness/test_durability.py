"""docs/durability.md names tests; each must be there, and no line of the checklist may be left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/durability.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
ROWS = set(re.findall(r"`torture ([A-Z])`", TEXT))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[f"{p}::{n}" for p, n in NAMED])
def test_every_test_that_the_page_names_is_there(path: str, name: str) -> None:
    source = ROOT / path
    assert source.is_file(), path
    assert re.search(rf"^\s*(?:def|class) {name}\b|^{name}\b", source.read_text(), re.M), f"{path} has no {name}"


def test_every_row_that_the_page_names_is_there() -> None:
    from experiments.torture import ROWS as known

    assert ROWS
    assert known.keys() >= ROWS


def test_the_checklist_is_whole() -> None:
    numbers = [int(n) for n in re.findall(r"^\| (\d+) \|", TEXT.split("## The checklist")[1], re.M)]
    assert numbers == list(range(1, 97))


def test_every_line_of_the_checklist_names_what_catches_it() -> None:
    lines = re.findall(r"^\| \d+ \|.*$", TEXT.split("## The checklist")[1], re.M)
    bare = [line for line in lines if "::" not in line and "torture " not in line and "does not apply" not in line]
    assert not bare


def test_the_rows_of_the_page_are_those_of_the_suite() -> None:
    from experiments.torture import ROWS as known

    want = [f"| {r.letter} | {r.title} | {r.quick_goal:,} {r.unit} | {r.full_goal:,} |" for r in known.values()]
    assert re.findall(r"^\| [A-Z] \|.*$", TEXT, re.M) == want
