"""What a kind of index must have, said when it is registered."""

from __future__ import annotations

from typing import Any

import pytest

from lsm.secondary import KINDS, IndexType, register_index
from lsm.secondary.ordered import OrderedIndex


def test_a_kind_that_lacks_a_method_is_refused_by_name() -> None:
    class Half(IndexType):
        kind = "half"

        def build(self, entries: Any) -> bytes:
            return b""

    with pytest.raises(TypeError, match=r"index kind .*Half lacks entries, search"):
        register_index(Half)
    assert "half" not in KINDS


def test_a_unique_kind_has_a_query_for_equal_payloads() -> None:
    class Never(OrderedIndex):
        kind = "never"
        same = IndexType.same  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"Never lacks same"):
        register_index(Never)


@pytest.mark.parametrize("wrong", [int, 5, "ordered", None])
def test_only_kinds_are_registered(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"subclass of lsm\.secondary\.IndexType"):
        register_index(wrong)


def test_a_name_that_is_taken_is_refused() -> None:
    class Other(OrderedIndex):
        pass

    with pytest.raises(ValueError, match="'ordered' is OrderedIndex already"):
        register_index(Other)
