"""Covering reads: chosen where they are cheaper, and the same rows as reading them gives."""

from __future__ import annotations

import pytest

import lsm
import recovery
from lsm.secondary import Table, col


@pytest.fixture
def table() -> Table:
    db = lsm.open("/c", {"threads": 0}, fs=recovery.memory())
    made = db.table("t")
    made.create_index("by_year", "year", include=["name", "price"])
    made.put_many([{"id": i, "year": i % 50, "name": f"n{i}", "price": i / 2, "pad": "x" * 50} for i in range(2000)])
    made.flush()
    for i in range(0, 2000, 7):  # hidden in the file, some of them gone
        made.put({"id": i, "year": (i + 1) % 50, "name": f"m{i}", "price": 0.25, "pad": ""})
    made.delete_many(range(3, 2000, 11))
    return made


@pytest.mark.parametrize("low", [0, 10, 25, 49])
@pytest.mark.parametrize("columns", [["name", "year"], ["id", "price"], ["name", "name"], ["year"]])
def test_covered_rows_are_those_that_are_stored(table: Table, low: int, columns: list[str]) -> None:
    wanted = [{c: row[c] for c in columns} for row in table if row["year"] >= low]
    assert table.find(col("year") >= low, columns=columns) == wanted
    assert table.find(col("year") >= low, columns=columns, limit=5) == wanted[:5]
    assert "covered by by_year" in table.explain(col("year") >= low, columns=columns)


def test_what_is_not_covered_is_read(table: Table) -> None:
    for where, columns in ((col("year") >= 0, ["name", "pad"]), ((col("year") >= 0) & (col("pad") == ""), ["name"])):
        assert "covered" not in table.explain(where, columns=columns)
        assert table.find(where, columns=columns) == [{c: r[c] for c in columns} for r in table if columns[-1] == "pad" or r["pad"] == ""]
    assert "covered" not in table.explain(col("year") == 7)


def test_a_list_in_the_key_is_read_from_the_row(table: Table) -> None:
    table.put({"id": 5000, "year": [7, 8], "name": "two"})
    assert table.find(col("year") == 8, columns=["year", "name"])[-1] == {"year": [7, 8], "name": "two"}
