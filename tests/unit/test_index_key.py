"""Conditions on the key of a table go to its rows, not over all of them."""

from __future__ import annotations

import pytest

import lsm
import recovery
from lsm.secondary import Predicate, col


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (col("id") == 700, [700]),
        (col("id") == 700.0, [700]),
        (col("id") == 700.5, []),
        (col("id") == -1, []),
        (col("id") == 5001, []),
        (col("id") == "700", []),
        (col("id").isin([3, 4998, 2, 1 << 70]), [2, 3, 4998]),
        (col("id").between(10, 14), [10, 12, 13, 14]),
        (col("id").between(10.5, 13.5), [12, 13]),
        ((col("id") > 4997) & (col("a") == 1), [4999]),
        ((col("id") < 4) & (col("id") >= 2), [2, 3]),
    ],
    ids=repr,
)
def test_few_rows_are_read(where: Predicate, found: list[int]) -> None:
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put_many({"id": i, "a": i % 2} for i in range(5000))
        table.delete(11)
        assert [row["id"] for row in table.find(where)] == found
        assert table.count(where) == len(found)
        read = int(table.explain(where).split("rows read ")[1].split(",")[0])
        assert read < 10 or where == (col("id") == "700")
