"""Planted defects as data: the files in defects/, read and checked, and their table in docs/mutants.md."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "mutants.md"
BEGIN, END = "<!-- defects: begin -->\n", "<!-- defects: end -->\n"


@dataclass(frozen=True)
class Change:
    """A text that occurs once in a file, and what stands there instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Defect:
    """What is wrong (`what`), which failure modes of such engines it models (`modes`), and the test that must fail."""

    name: str
    group: str
    what: str
    modes: tuple[int, ...]
    test: str
    changes: tuple[Change, ...]

    def plant(self, root: Path) -> None:
        """Change the sources under root. ValueError when a text does not occur exactly once; then nothing is changed."""
        texts: dict[Path, str] = {}
        for change in self.changes:
            path = root / change.file
            text = texts.get(path) or path.read_text()
            if (n := text.count(change.old)) != 1:
                raise ValueError(f"{self.name}: the text occurs {n} times in {change.file}, it must occur once:\n{change.old}")
            texts[path] = text.replace(change.old, change.new)
        for path, text in texts.items():
            path.write_text(text)

    def files(self) -> list[str]:
        """Return the files that it changes."""
        return sorted({change.file for change in self.changes})


def load(folder: Path = HERE / "defects") -> list[Defect]:
    """Return all defects, group by group. ValueError or KeyError for an entry that is not whole."""
    made = []
    for path in sorted(folder.glob("*.toml")):
        for name, row in tomllib.loads(path.read_text()).items():
            changes = tuple(Change(c["file"], c["old"], c["new"]) for c in row.pop("change"))
            made.append(Defect(name, path.stem, row.pop("what"), tuple(row.pop("modes")), row.pop("test"), changes))
            if row:
                raise ValueError(f"{name}: unknown fields {sorted(row)}; allowed: what, modes, test, change")
    return made


def table(defects: list[Defect]) -> str:
    """Return the defects as Markdown."""
    lines = ["| defect | what is wrong | models | caught by |", "|---|---|---|---|"]
    for d in defects:
        file, _, test = d.test.partition("::")
        lines.append(f"| {d.name} | {d.what} | {', '.join(map(str, d.modes))} | `{Path(file).name}::{test}` |")
    return "\n".join(lines) + "\n"


def page(text: str, defects: list[Defect]) -> str:
    """Return the text of the page with the table of these defects between its marks."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + table(defects) + END + rest.split(END)[1]
