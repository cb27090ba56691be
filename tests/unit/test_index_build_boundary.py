"""An index made right after a single row was written."""

from __future__ import annotations

import pytest

import lsm
import recovery
from lsm.secondary import col


@pytest.mark.parametrize("last", [1, 2])
@pytest.mark.parametrize("flush", [False, True])
def test_what_was_there_before_the_build_is_found(last: int, flush: bool) -> None:
    """The newest batch begins at the number before that of the build: what the scan found is newer than it all the same."""
    with lsm.open("/boundary", {"threads": 0}, fs=recovery.memory()) as db:
        table = db.table("t", key="id")
        table.put_many([{"id": i, "a": i % 5} for i in range(20)])
        table.put_many([{"id": 100 + i, "a": 1} for i in range(last)])
        if flush:
            table.flush()
        table.create_index("a", "a")
        assert table.count(col("a") == 1) == 4 + last
        assert table.scrub() == []
        table.put({"id": 1, "a": 2})
        assert table.count(col("a") == 1) == 3 + last
        table.flush()
        assert table.count(col("a") == 1) == 3 + last
        assert table.scrub() == []
