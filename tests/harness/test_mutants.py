"""The planted defects apply to the sources as they are, name tests that exist, and are listed; the runner tells what survives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.defects import PAGE, Defect, load, page

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "tests" / "mutants" / "run.py"
DEFECTS = load()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.name)
def test_it_applies_and_its_test_is_there(defect: Defect) -> None:
    assert defect.changes
    for change in defect.changes:
        assert change.file.split("/")[0] in ("recovery", "eviction", "indexes", "lsm")
        assert change.old != change.new
        assert (ROOT / change.file).read_text().count(change.old) == 1, f"{change.file}: {change.old}"
    assert defect.modes and all(1 <= m <= 96 for m in defect.modes)
    file, _, name = defect.test.partition("::")
    assert re.search(rf"^def {name.split('[')[0]}\(", (ROOT / file).read_text(), re.M), f"{file} has no test {name}"


def test_there_are_many_and_each_is_another() -> None:
    assert len(DEFECTS) >= 30
    assert len({d.name for d in DEFECTS}) == len({d.changes for d in DEFECTS}) == len(DEFECTS)


def test_the_page_lists_them() -> None:
    assert PAGE.read_text() == page(PAGE.read_text(), DEFECTS), "run: python tests/mutants/run.py --docs"


SOURCE = "def add(a, b):\n    return a + b\n\n\ndef twice(a):\n    return 2 * a\n"
TESTS = """
import time
from lsm.sums import add, twice

def test_add():
    assert add(1, 2) == 3

def test_nothing():
    assert twice(3)

def test_wait():
    while add(1, 1) != 2:
        time.sleep(0.01)
"""
PLANTED = {
    "found": ("a + b", "a - b", "test_add"),
    "missed": ("2 * a", "3 * a", "test_nothing"),
    "stuck": ("a + b", "a * b + 7", "test_wait"),
    "stale": ("a / b", "a - b", "test_add"),
    "broken": ("a + b", "a +", "test_add"),
}


def planted(root: Path, names: list[str]) -> Path:
    """Make a small tree with these defects."""
    defects = root / "tests" / "mutants" / "defects"
    defects.mkdir(parents=True)
    (root / "lsm").mkdir()
    (root / "lsm" / "sums.py").write_text(SOURCE)
    (root / "tests" / "test_sums.py").write_text(TESTS)
    (root / "native_build.py").write_text("")
    (root / ".gitignore").write_text("build/\n")
    rows = []
    for name in names:
        old, new, test = PLANTED[name]
        rows.append(f'[{name}]\nwhat = "x"\nmodes = [1]\ntest = "tests/test_sums.py::{test}"\n')
        rows.append(f'[[{name}.change]]\nfile = "lsm/sums.py"\nold = "{old}"\nnew = "{new}"\n')
    (defects / "all.toml").write_text("\n".join(rows))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def run(root: Path, *args: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(RUNNER), "--root", str(root), "-j", "2", *args], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def outcomes(output: str, names: list[str]) -> dict[str, str]:
    return {name: re.search(rf"^([a-z ]+?) +[\d.]+ s  {name} ", output, re.M)[1] for name in names}  # type: ignore[index]


def test_the_runner_tells_what_is_caught_and_what_is_not(tmp_path: Path) -> None:
    root = planted(tmp_path, list(PLANTED))
    expected = {"found": "caught", "missed": "survived", "stale": "not applied", "broken": "no test"}
    code, output = run(root, *expected)
    assert code == 1, output
    assert outcomes(output, list(expected)) == expected, output
    assert "1 of 4 caught" in output and "survived: missed" in output
    assert (root / "lsm" / "sums.py").read_text() == SOURCE
    code, output = run(root, "stuck", "--limit", "3")
    assert code == 0 and outcomes(output, ["stuck"]) == {"stuck": "hang"}, output
    assert run(root, "lost")[0] == 2


def test_the_runner_wants_sound_tests_first(tmp_path: Path) -> None:
    root = planted(tmp_path, ["found"])
    (root / "tests" / "test_sums.py").write_text(TESTS.replace("== 3", "== 4"))
    code, output = run(root)
    assert code == 1 and "fails without a defect" in output
    (root / "tests" / "test_sums.py").write_text(TESTS.replace("test_add", "test_sum"))
    code, output = run(root)
    assert code == 1 and "a named test does not exist" in output
