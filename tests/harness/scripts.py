"""Tests as text: a command, a line of dashes, the expected output.

A file holds cases separated by blank lines::

    # what the case guards against
    put
    a 1
    b 2
    ----
    ok

The first line is the command with its arguments, further lines are its input. ``pytest --rewrite`` writes what came out into the
file, for a person to read in the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Case:
    """One command with the comment above it."""

    comment: list[str]
    command: str
    arguments: list[str]
    body: list[str]
    expected: list[str]
    line: int = 0
    output: list[str] = field(default_factory=list)


def parse(text: str) -> list[Case]:
    """Read the cases of a script; ValueError names the line of one that has no dashes."""
    cases: list[Case] = []
    block: list[str] = []
    lines = text.split("\n")
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            block.append(line.rstrip())
            continue
        if block:
            cases.append(_case(block, number - len(block)))
        block = []
    return cases


def _case(block: list[str], line: int) -> Case:
    comment = []
    while block and block[0].startswith("#"):
        comment.append(block.pop(0))
    if "----" not in block:
        raise ValueError(f"line {line}: a case needs a line of four dashes")
    cut = block.index("----")
    command, *arguments = block[0].split()
    return Case(comment, command, arguments, block[1:cut], block[cut + 1 :], line)


def text_of(cases: list[Case]) -> str:
    """Write cases as text, with what came out as what is expected."""
    blocks = []
    for c in cases:
        head = " ".join([c.command, *c.arguments])
        blocks.append("\n".join([*c.comment, head, *c.body, "----", *c.output]))
    return "\n\n".join(blocks) + "\n"


def run(path: Path, execute: Callable[[Case], str], *, rewrite: bool = False) -> None:
    """Run a script; AssertionError shows every case whose output differs."""
    cases = parse(path.read_text())
    wrong = []
    for case in cases:
        case.output = [line.rstrip() for line in execute(case).split("\n") if line.strip()]
        if case.output != case.expected:
            wrong.append(
                f"{path.name}:{case.line}: {case.command}\nexpected:\n" + "\n".join(case.expected) + "\ngot:\n" + "\n".join(case.output)
            )
    if rewrite:
        path.write_text(text_of(cases))
    elif wrong:
        raise AssertionError("\n\n".join(wrong) + "\n\n(--rewrite writes what came out into the file)")
