"""The script runner itself: it must see differences, keep comments, and rewrite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import scripts

TEXT = "# why\nadd 1 2\nmore\n----\n3\n\necho\nhello\n----\nhello\n"


def _execute(case: scripts.Case) -> str:
    return str(sum(map(int, case.arguments))) if case.command == "add" else "\n".join(case.body)


def test_a_right_script_passes_and_a_wrong_one_shows_both(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text(TEXT)
    scripts.run(path, _execute)
    path.write_text(TEXT.replace("\n3\n", "\n4\n"))
    with pytest.raises(AssertionError, match=r"s\.txt:1: add\nexpected:\n4\ngot:\n3"):
        scripts.run(path, _execute)


def test_rewrite_changes_only_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text(TEXT.replace("\n3\n", "\n4\n"))
    scripts.run(path, _execute, rewrite=True)
    assert path.read_text() == TEXT


def test_a_case_without_dashes_is_named() -> None:
    with pytest.raises(ValueError, match="line 4"):
        scripts.parse("a\n----\n\nb\n")
