"""The commands on compaction policies: a new file, its trial, its comparison; the simulator and the engine print the same decisions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lsm
from experiments import cli
from experiments.policies.files import PolicyFileError, load, starting_point
from experiments.policies.trials import Failed, trials

SIX = ["leveling", "1-leveling", "lazy-leveling", "tiering", "fluid", "horizontal"]
SUITE = f"""name = "six"
question = "q"
expectation = "e"
refuted_if = "r"
workloads = ["delete-heavy"]
records = 3000
operations = 3000
probes = 100
samples = 5
[options]
threads = 0
write_buffer = 32768
[options.compaction]
size_ratio = 4
level_base = 65536
output_bytes = 16384
[grid]
"compaction.layout" = {json.dumps(SIX)}
"""


def lsmlab(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli.app, [str(w) for w in words])
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test registers is gone behind it."""
    before = dict(lsm.COMPACTIONS)
    yield
    lsm.COMPACTIONS.clear()
    lsm.COMPACTIONS.update(before)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    lsmlab("policy", "new", "mine", "--dir", tmp_path)
    return tmp_path / "mine.py"


def test_the_starting_point_is_sound_and_short(mine: Path) -> None:
    assert len(mine.read_text().splitlines()) < 60
    told = lsmlab("policy", "check", mine, "--entries", 2000)
    assert told.count("PASS  mine: ") == 8 and "FAIL" not in told
    assert re.search(r"^(NOT )?DOMINATED  mine", told, re.M) and told.endswith("mine: sound\n")


def test_a_file_is_not_written_over(mine: Path) -> None:
    mine.write_text("mine")
    assert "exists" in lsmlab("policy", "new", "mine", "--dir", mine.parent, code=1)
    assert mine.read_text() == "mine"
    for name in ("no-name", "1st", "class", "", "é"):
        assert "allowed" in lsmlab("policy", "new", name, "--dir", mine.parent, code=2)


SCORE = "return below / sum(t.size for t in unit)"
WRONG = [
    ((SCORE, "import random; return random.random()"), "pure", "asked twice"),
    ((SCORE, "import time; return hash((time.time() // 7, low))"), "pure", "clock"),
    ((SCORE, "open('/dev/null').close(); return below"), "pure", "reached outside: open"),
    ((SCORE, "return hash(low)"), "repeatable", "two processes decided differently"),
    (("return level + 1, False", "return max(1, level), level > 0"), "legal plans, an end", "does not come to an end"),
    (("return level + 1, False", "return level - 1, False"), "legal plans, an end", "output level is"),
    (("return level + 1, False", "return None"), "legal plans, an end", "TypeError"),
    (("if len(view.level(0).runs) >= c.l0_trigger:", "if False:"), "legal plans, an end", "never planned anything"),
]


@pytest.mark.parametrize(("change", "trial", "why"), WRONG, ids=[why for _, _, why in WRONG])
def test_what_is_wrong_is_said(mine: Path, change: tuple[str, str], trial: str, why: str) -> None:
    text = mine.read_text()
    assert change[0] in text
    mine.write_text(text.replace(*change))
    (name,) = load(mine)
    with pytest.raises(Failed, match=re.escape(why)):
        dict(trials(mine, name))[trial]()


def test_a_failed_trial_is_a_problem_and_ends_the_check(mine: Path) -> None:
    mine.write_text(mine.read_text().replace("return level + 1, False", "return level - 1, False"))
    told = lsmlab("policy", "check", mine, code=1)
    assert re.search(r"^FAIL  mine: legal plans, an end: .*output level is", told, re.M) and "PASS" not in told
    value = json.loads(lsmlab("policy", "check", mine, "--json", code=1))
    assert [t["passed"] for t in value["mine"]["trials"]] == [False] and value["mine"]["standings"] == []


def test_a_tie_break_must_be_declared(mine: Path) -> None:
    mine.write_text(mine.read_text().replace('tie_break="smallest_key"', 'tie_break="first in the list"'))
    assert "the order of a list is no tie-break" in lsmlab("policy", "check", mine, code=2)
    mine.write_text(mine.read_text().replace(', tie_break="first in the list"', ""))
    assert "tie_break" in lsmlab("policy", "check", mine, code=2)


FULL_MERGE = """
import lsm

class FullMerge:
    tie_break = "none"

    def plan(self, view):
        tables = [t for level in view.levels for t in level.tables]
        if len(view.level(0).runs) < 8 or not view.is_free(*tables):
            return None
        return lsm.Plan(tuple(t.number for t in tables), max(1, view.levels[-1].number), "all")

lsm.register_compaction("full-merge", FullMerge)
"""


def test_one_that_a_built_in_dominates_is_named(tmp_path: Path) -> None:
    path = tmp_path / "full.py"
    path.write_text(FULL_MERGE)
    told = lsmlab("policy", "check", path, "--entries", 60000, "--strict", code=1)
    found = re.search(r"^DOMINATED  full-merge on \w+ by (.*)", told, re.M)
    assert found and re.search(
        r"vertiorizon \(beside it [\w-]+ has bytes written \+\d+ %, runs \+\d+ %, space (the same|[+-]\d+ %)\)", found[1]
    ), told
    assert not re.search("^FAIL", told, re.M)


def test_the_list_has_tie_breaks_and_own_policies(mine: Path) -> None:
    rows = json.loads(lsmlab("policy", "list", mine, "--json"))
    assert {r["name"] for r in rows if r["what"] == "layout"} == set(lsm.LAYOUTS)
    assert all(r["tie_break"] for r in rows if r["what"] == "picker")
    assert [r["tie_break"] for r in rows if r["name"] == "mine"] == ["smallest_key"]


def test_files_that_hold_no_policy(tmp_path: Path) -> None:
    for text, why in (("import lsm\n", "registers no compaction policy"), ("1/0\n", "ZeroDivisionError"), ("def\n", "SyntaxError")):
        (tmp_path / "x.py").write_text(text)
        with pytest.raises(PolicyFileError, match=why):
            load(tmp_path / "x.py")
    assert "not a Python file" in lsmlab("policy", "check", tmp_path / "none.py", code=2)
    (tmp_path / "x.py").write_text("import lsm\nlsm.register_compaction('x', lambda: 5)\n")
    assert "has no plan(view)" in lsmlab("policy", "check", tmp_path / "x.py", code=2)
    assert "does not run" not in starting_point("x")


def test_simulate_and_run_print_the_same_decisions(tmp_path: Path, mine: Path) -> None:
    """Six layouts and a policy of one's own, real files on one side, no data on the other."""
    suite = tmp_path / "six.toml"
    suite.write_text(SUITE)
    told = json.loads(lsmlab("run", suite, "--policy", mine, "--out", tmp_path / "a", "--trace", "--json", "-j", 2))
    assert (len(told["done"]), told["failed"]) == (7, {}) and Path(told["report"]).exists()
    real = told["decisions"]
    twin = {row["policy"]: row["decisions"] for row in json.loads(lsmlab("simulate", suite, "--policy", mine, "--trace", "--json"))}
    assert twin == real and list(real) == [f"delete-heavy {name}" for name in (*SIX, "mine")]
    assert all(any(not line.startswith("flush") for line in lines) for lines in real.values())
    shown = lsmlab("simulate", suite, "--trace")
    assert f"  1: {real['delete-heavy tiering'][0]}\n" in shown
    lsmlab("run", suite, "--policy", mine, "--out", tmp_path / "b", "-j", 2)
    assert "byte-identical: 7 runs" in lsmlab("verify", tmp_path / "a", tmp_path / "b")


def test_a_run_under_a_policy_that_is_refused_fails_with_the_reason(tmp_path: Path, mine: Path) -> None:
    suite = tmp_path / "six.toml"
    suite.write_text(SUITE.replace(json.dumps(SIX), '["leveling"]'))
    mine.write_text(mine.read_text().replace("return level + 1, False", "return max(1, level), level > 0"))
    told = lsmlab("run", suite, "--policy", mine, "--out", tmp_path / "a", code=1)
    assert "does not come to an end" in told and "1 runs done" in told
    suite.write_text(SUITE.replace('"compaction.layout"', '"compaction.picker"').replace(json.dumps(SIX), '["oldest"]'))
    assert "compares no layouts" in lsmlab("run", suite, "--policy", mine, code=2)


def test_simulate_on_its_own() -> None:
    few = ("--entries", 3000, "--set", "write_buffer=32768", "--set", "compaction.output_bytes=16384")
    rows = json.loads(lsmlab("simulate", "--layout", "leveling,tiering", "--picker", "oldest,random", *few, "--engine", "--json", "-j", 2))
    assert [(r["policy"], r["engine"]) for r in rows] == [
        (f"{layout} {picker}", "identical") for layout in ("leveling", "tiering") for picker in ("oldest", "random")
    ]
    assert "sketch" in lsmlab("simulate", "--layout", "tiering", "--sketch", *few)
    for words, why in (
        (("--set", "compaction.layot=1"), "layout"),
        (("--set", "x"), "NAME=VALUE"),
        (("--layout", "levelling"), "leveling"),
        (("--picker", ""), "picker"),
        (("--sketch", "--engine"), "with --exact"),
        (("six.toml",), "six.toml"),
        (("policies", "--set", "seed=1"), "its own options"),
        (("--set", "table.codec=zstd"), "allows none"),
        (("--updates", "0.9", "--deletes", "0.2"), "updates + deletes"),
    ):
        assert why in lsmlab("simulate", *few[:2], *words, code=2), words
