"""Row M: line and branch coverage of the C sources, out of the counts that an instrumented build leaves (``make coverage``).

Reads what ``gcov --json-format`` says, adds up what is compiled into several extensions or several times into one, and lists each branch
that no test took. Calls that end the process and the branches that the compiler adds (exceptions) are not counted; the build has no
assertions. A branch that no test can take is named in the source, on its line or alone on the line above::

    if (pthread_create(&t, NULL, work, w)) { /* uncovered (system): no threads left */
    /* uncovered 2 (guard): the caller has checked both */

with the number of branches (1 if none is given) and a kind of ``KINDS``. An exception on a line that has fewer untaken branches is wrong
and fails the report, so none outlives its reason; only those of kind `race` or `machine` may be taken now and then.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GOAL = 98.0  # percent of branches
KINDS = {
    "system": "a call of the system fails that the tests cannot make fail",
    "guard": "a second line of defence: who calls has made sure",
    "race": "needs threads to meet in a way that no test can order",
    "machine": "another processor, compiler or library",
}
_FORM = re.compile(r"/\* uncovered(?: (\d+))? \((\w+)\): (\S.*?) \*/")
_LIKE = re.compile(r"/\*\s*uncovered\b", re.IGNORECASE)


@dataclass(frozen=True)
class Exempt:
    """A named exception: up to n branches of a line that no test takes."""

    n: int
    kind: str
    why: str


@dataclass
class Covered:
    """Of one source: how often each line ran, and each branch of it."""

    lines: dict[int, int] = field(default_factory=dict)
    branches: dict[tuple[int, int, int], int] = field(default_factory=dict)  # by line, how many it has there, which of them
    exempt: dict[int, Exempt] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Add the lines of one report."""
        for row in rows:
            number = row["line_number"]
            self.lines[number] = self.lines.get(number, 0) + row["count"]
            branches = [b["count"] for b in row["branches"] if not b["throw"]]
            for i, count in enumerate(branches):  # compiled in another way there may be fewer: those are others
                place = number, len(branches), i
                self.branches[place] = self.branches.get(place, 0) + count

    def missed(self) -> dict[int, int]:
        """Lines with branches that were never taken, and how many of them."""
        found = Counter(line for (line, _, _), n in self.branches.items() if not n)
        return dict(sorted(found.items()))

    def open(self) -> dict[int, int]:
        """Lines with branches that were never taken and are not named, and how many of them."""
        return {line: n - self.named(line) for line, n in self.missed().items() if n > self.named(line)}

    def named(self, line: int) -> int:
        """Exceptions that a line names."""
        return self.exempt[line].n if line in self.exempt else 0

    def wrong(self) -> Iterator[str]:
        """Yield the exceptions that are none, with their line."""
        missed = self.missed()
        for line, exempt in self.exempt.items():
            there = missed.get(line, 0)
            if exempt.kind not in KINDS:
                yield f"{line}: no kind {exempt.kind!r}; allowed: {', '.join(KINDS)}"
            elif there < exempt.n and exempt.kind not in ("race", "machine"):
                yield f"{line}: {exempt.n} named ({exempt.why}), {there} not taken"
        named = set(self.exempt) | {line - 1 for line in self.exempt}
        yield from (f"{i}: not of the form of an exception" for i, t in enumerate(self.text, 1) if _LIKE.search(t) and i not in named)


def exemptions(text: Collection[str]) -> dict[int, Exempt]:
    """Return the exceptions that a source names, by the line that they are about."""
    found = {}
    for number, line in enumerate(text, 1):
        if match := _FORM.search(line):
            alone = line.strip() == match[0]
            found[number + alone] = Exempt(int(match[1] or 1), match[2], match[3])
    return found


def share(counts: Collection[int]) -> float:
    """Percent that are not zero; 100 when there are none."""
    return 100.0 * sum(n > 0 for n in counts) / len(counts) if counts else 100.0


def _reports(root: Path) -> Iterator[dict[str, Any]]:
    def one(path: Path) -> str:
        order = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(path)]
        return subprocess.run(order, cwd=root, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(4) as pool:
        for said in pool.map(one, sorted(p.resolve() for p in root.rglob("*.gcda"))):
            for line in said.splitlines():
                yield from json.loads(line)["files"]


def measure(root: Path) -> dict[str, Covered]:
    """Return the coverage of every C source under root that is ours. FileNotFoundError: no gcov; ValueError: no counts."""
    found: dict[str, Covered] = {}
    for report in _reports(root):
        name = report["file"]
        if "/csrc/" in name and not name.startswith("/"):
            found.setdefault(name, Covered()).add(report["lines"])
    if not found:
        raise ValueError(f"no counts under {root}: run make coverage")
    for name, covered in found.items():
        covered.text = (root / name).read_text().splitlines()
        covered.exempt = exemptions(covered.text)
    return found


def _row(name: str, parts: Collection[Covered]) -> str:
    ran, taken = [n for c in parts for n in c.lines.values()], [n for c in parts for n in c.branches.values()]
    missed, left = (sum(n for c in parts for n in lines(c).values()) for lines in (Covered.missed, Covered.open))
    return f"{name:40} {share(ran):8.2f} {share(taken):10.2f} {len(taken):6} {missed - left:6} {left:6}"


def report(found: Mapping[str, Covered]) -> str:
    """Return the table, worst first; behind it the exceptions by kind, those that are wrong, and the branches that are left."""
    packages = defaultdict(list)
    for name, covered in found.items():
        packages[name.partition("/csrc/")[0]].append(covered)
    lines = [f"{'file':40} {'lines %':>8} {'branches %':>10} {'of':>6} {'named':>6} {'left':>6}"]
    lines += [_row(name, [c]) for name, c in sorted(found.items(), key=lambda item: share(item[1].branches.values()))]
    lines += [_row(name, parts) for name, parts in sorted(packages.items())]
    lines += [f"{_row('all', found.values())}   goal {GOAL:g}", "", "exceptions:"]
    for kind, meaning in KINDS.items():
        mine = [
            (min(e.n, c.missed().get(i, 0)), f"{name}:{i}: {e.why}")
            for name, c in found.items()
            for i, e in c.exempt.items()
            if e.kind == kind
        ]
        lines += [
            f"{kind}, {sum(n for n, _ in mine)} branches ({meaning}):",
            *(f"  {n} {text}" for n, text in sorted(mine, key=lambda m: m[1])),
        ]
    if wrong := [f"  {name}:{what}" for name, c in sorted(found.items()) for what in c.wrong()]:
        lines += ["", "exceptions that are wrong:", *wrong]
    lines += ["", "branches never taken:"]
    lines += [f"  {name}:{i}: {n}: {c.text[i - 1].strip()}" for name, c in sorted(found.items()) for i, n in c.open().items()]
    return "\n".join(lines) + "\n"


def main(root: Path) -> int:
    """Write the report beside the sources, print its table; 1 when the goal is not reached or an exception is wrong."""
    found = measure(root)
    text = report(found)
    (root / "coverage.txt").write_text(text)
    sys.stdout.write(text.split("\n\n")[0] + "\n")
    wrong = [f"{name}:{what}" for name, c in found.items() for what in c.wrong()]
    sys.stdout.write("".join(f"wrong exception: {line}\n" for line in wrong))
    return int(bool(wrong) or share([n for c in found.values() for n in c.branches.values()]) < GOAL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
