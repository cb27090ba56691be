"""What queries must not do more often than needed: decode equal keys, make searchers of a segment, compare kinds of unlike conditions."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lsm
import recovery
from indexes import text as kernel
from lsm import keys
from lsm.secondary import Table, col, text


@pytest.fixture
def table() -> Iterator[Table]:
    with lsm.open("/t", fs=recovery.memory()) as db:
        yield db.table("t", key="id")


def counted(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> list[int]:
    calls: list[int] = []
    whole: Callable[..., Any] = getattr(where, name)

    def call(*args: Any, **how: Any) -> Any:
        calls.append(1)
        return whole(*args, **how)

    monkeypatch.setattr(where, name, call)
    return calls


def test_index_covering_decodes_equal_keys_once(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.put_many([{"id": i, "n": i // 30, "s": f"row {i}"} for i in range(300)])
    table.create_index("n", "n", include=["s"])
    table.flush()
    decoded = counted(monkeypatch, keys, "part_ends")
    rows = table.find(col("n").between(5, 6), columns=["id", "n", "s"])
    assert rows == [{"id": i, "n": i // 30, "s": f"row {i}"} for i in range(150, 210)]
    assert len(decoded) == 2  # and by the index alone: rows have no keys to decode


@pytest.mark.parametrize("odd", [None, [5, 6], [5], datetime.date(2020, 1, 1), 5.5, "5", "", b"", 0, -5, True])
def test_index_covering_tells_neighbours_apart(table: Table, odd: Any) -> None:
    rows = [{"id": i, "n": v, "s": i} for i, v in enumerate([5, 5, odd, 5, 5.5, odd, 6, 6])]
    table.put_many([*rows, *({"id": i, "n": -100} for i in range(10, 300))])
    table.create_index("n", "n", include=["s"])
    for where in (col("n") > -6, col("n") >= 5, col("n").isin([5, 6])):
        expected = [{"n": row["n"], "s": row["s"]} for row in table.find(where)]
        assert table.find(where, columns=["n", "s"]) == expected


def test_index_text_makes_one_searcher_a_segment(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.put_many([{"id": i, "t": f"word{i % 7} more"} for i in range(50)])
    table.create_index("t", "t", kind="text")
    made = counted(monkeypatch, kernel, "TextSearcher")
    assert [table.count(text("t", f"word{i}")) for i in range(7)] == [8, 7, 7, 7, 7, 7, 7]
    assert len(made) == 1
    table.put({"id": 50, "t": "word6"})
    assert [table.count(text("t", "word6")) for _ in range(3)] == [8, 8, 8]
    assert len(made) == 2
