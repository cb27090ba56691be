"""docs/compaction.md lists every registered kind, with its parameters as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsm.policies.describe import SLOTS, tables

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compaction.md"
BEGIN, END = "<!-- kinds -->\n", "<!-- end of kinds -->\n"


def test_the_list_is_what_is_registered(request: pytest.FixtureRequest) -> None:
    head, _, rest = PAGE.read_text().partition(BEGIN)
    listed, _, tail = rest.partition(END)
    if request.config.getoption("--rewrite"):
        listed = tables() + "\n"
        PAGE.write_text(head + BEGIN + listed + END + tail)
    assert listed == tables() + "\n", "run this test with --rewrite"
    for registry, _ in SLOTS.values():
        for kind, cls in registry.items():
            assert f"| `{kind}` |" in listed and (cls.__doc__ or "").strip()
