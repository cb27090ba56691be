"""The coverage report, over programs of a few lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.torture import coverage, isolated, native_counts

SOURCE = """int sign(int x) {
    if (x > 0) return 1;
    return 0;
}
int main(void) { return sign(-1); }
"""
NAMED = """int sign(int x) {
    if (x > 0) return 1; /* uncovered (guard): nobody asks for that */
    return 0;
}
int size(int x) {
    /* uncovered 2 (system): never so large */
    if (x > 10 && x < 100) return 2;
    if (x > 3) return 1; /* uncovered (race): seldom */
    if (x > 1) return 1; /* uncovered 2 (guard): one of them is taken */
    return 0;
}
int main(void) { return sign(-1) + size(0) + size(11) + size(9) > 8; }
"""


def _run(home: Path, source: str) -> None:
    (home / "pkg" / "csrc").mkdir(parents=True)
    (home / "pkg" / "csrc" / "a.c").write_text(source)
    subprocess.run(["cc", "--coverage", "-O0", "-c", "pkg/csrc/a.c", "-o", "a.o"], cwd=home, check=True)
    subprocess.run(["cc", "--coverage", "a.o", "-o", "a"], cwd=home, check=True)
    with pytest.raises(ValueError, match="make coverage"):
        coverage.measure(home)
    subprocess.run(["./a"], cwd=home, check=False)


def test_what_no_run_took_is_listed(tmp_path: Path) -> None:
    _run(tmp_path, SOURCE)
    assert coverage.main(tmp_path) == 1
    found = coverage.measure(tmp_path)["pkg/csrc/a.c"]
    assert coverage.share(found.branches.values()) == 50.0
    assert found.missed() == found.open() == {2: 1}
    assert "  pkg/csrc/a.c:2: 1: if (x > 0) return 1;\n" in (tmp_path / "coverage.txt").read_text()


def test_exceptions_are_named_and_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path, NAMED)
    found = coverage.measure(tmp_path)["pkg/csrc/a.c"]
    assert found.exempt[7] == coverage.Exempt(2, "system", "never so large")
    assert list(found.wrong()) == ["7: 2 named (never so large), 1 not taken", "9: 2 named (one of them is taken), 1 not taken"]
    assert found.open() == {}
    monkeypatch.setattr(coverage, "GOAL", 10.0)
    assert coverage.main(tmp_path) == 1
    text = (tmp_path / "coverage.txt").read_text()
    assert "guard, 2 branches (" in text
    assert "  1 pkg/csrc/a.c:2: nobody asks for that\n" in text
    assert "race, 0 branches (" in text


@pytest.mark.parametrize("comment", ["/* uncovered: why */", "/* Uncovered (guard): why */", "/* uncovered (guard) why */"])
def test_another_form_is_an_error(comment: str) -> None:
    assert list(coverage.Covered(text=[f"if (x) {comment}"]).wrong()) == ["1: not of the form of an exception"]


def test_a_kind_that_is_none() -> None:
    text = ["if (x) /* uncovered (lazy): why */"]
    wrong = list(coverage.Covered(text=text, exempt=coverage.exemptions(text)).wrong())
    assert wrong == ["1: no kind 'lazy'; allowed: system, guard, race, machine"]


def test_what_is_compiled_in_two_ways_is_counted_apart() -> None:
    def row(*counts: int) -> dict[str, object]:
        return {"line_number": 3, "count": 1, "branches": [{"count": n, "throw": False} for n in counts]}

    covered = coverage.Covered()
    covered.add([row(1, 0), row(0, 0, 5, 1)])
    covered.add([row(0, 2)])
    assert covered.missed() == {3: 2}
    assert len(covered.branches) == 6


def test_a_child_that_ends_by_exit_keeps_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        with (tmp_path / "counts").open("a") as f:
            f.write("written\n")

    for package in native_counts.PACKAGES[1:]:
        monkeypatch.setitem(
            sys.modules, f"{package}._native", SimpleNamespace(lib=SimpleNamespace(__gcov_dump=write, __gcov_reset=lambda: None))
        )
    monkeypatch.setitem(sys.modules, f"{native_counts.PACKAGES[0]}._native", SimpleNamespace(lib=SimpleNamespace()))  # does not count
    isolated.run([1, 2], lambda case, counts: [], str)
    assert (tmp_path / "counts").read_text() == "written\n" * 3
