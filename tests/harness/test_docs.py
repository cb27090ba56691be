"""Every code block of the README and of docs/ is run: Python and shell blocks of one page in order, in one scratch directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Return (language, code, line) of each block of a page."""
    text = page.read_text()
    return [(b[1], b[2], text[: b.start()].count("\n") + 1) for b in _BLOCK.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    known = {"python", "sh", "toml", "text"}
    assert [(language, line) for language, _, line in blocks(page) if language not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LSMLAB_DOCS": "1",
    }
    python: list[str] = []
    for language, code, line in blocks(page):
        where = f"{page.name}:{line}"
        if language == "python":
            python.append("\n" * (line - sum(p.count("\n") for p in python)) + code)
        elif language == "sh":
            _run_python(python, page, tmp_path, env)
            _run_shell(code, where, tmp_path, env)
        elif language == "toml":
            tomllib.loads(code)
    _run_python(python, page, tmp_path, env)


def _run_python(parts: list[str], page: Path, cwd: Path, env: dict[str, str]) -> None:
    if not parts:
        return
    script = cwd / f"{page.stem}_blocks.py"  # a file, so that a block may start processes
    script.write_text("".join(parts))
    done = subprocess.run([sys.executable, str(script)], cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{page.name}: {done.stdout[-1500:]}{done.stderr[-3000:]}"
    parts.clear()


def _run_shell(code: str, where: str, cwd: Path, env: dict[str, str]) -> None:
    kept = []
    for line in code.splitlines():
        if re.match(r"\s*(git clone|cd |pip install)", line):
            continue  # setting up: this very run has done it
        if target := re.match(r"\s*make (\w+)", line):
            assert re.search(rf"^{target[1]}:", (ROOT / "Makefile").read_text(), re.M), f"{where}: no target {target[1]}"
        else:
            kept.append(line)
    done = subprocess.run(["bash", "-ec", "\n".join(kept)], cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{where}: {done.stdout[-1500:]}{done.stderr[-3000:]}"
