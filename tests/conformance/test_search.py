"""Every registered block search is bisect_left on the keys."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import indexes
from indexes.twins import FenceTwin

KINDS = list(indexes.SEARCHES)
# Few letters and long common heads: prefixes of each other, embedded zeros, ties of the first eight bytes.
KEY = st.builds(
    lambda head, tail: head + tail,
    st.sampled_from([b"", b"user0000", b"user000000000", b"\0\0\0\0", b"\xff" * 9]),
    st.binary(max_size=3) | st.text("ab\0", max_size=12).map(str.encode) | st.integers(0, 99_999_999).map(b"%08d".__mod__),
)
EDGES = [[], [b""], [b"", b"\0"], [b"a", b"a\0", b"a\0\0"], [b"same"], [b"abcdefgh", b"abcdefgh\0", b"abcdefghi"]]


@pytest.mark.parametrize("kind", KINDS)
@given(keys=st.lists(KEY, unique=True, max_size=80).map(sorted), probes=st.lists(KEY, max_size=40))
@example(keys=EDGES[0], probes=[b"", b"a"])
@example(keys=EDGES[1], probes=[b"", b"\0"])
@example(keys=EDGES[2], probes=[b"", b"\0", b"\0\0"])
@example(keys=EDGES[3], probes=[b"", b"a\0\0\0", b"b"])
@example(keys=EDGES[4], probes=[b"sam", b"same", b"same\0", b"sand"])
@example(keys=EDGES[5], probes=[b"abcdefg", b"abcdefghh", b"abcdefgi"])
def test_search_is_bisect(kind: str, keys: list[bytes], probes: list[bytes]) -> None:
    search = indexes.search_ops(kind).open(keys)
    probes = [*probes, *keys, *(key[:-1] for key in keys), *(key + b"\0" for key in keys)]
    expected = [bisect_left(keys, probe) for probe in probes]
    assert search.find_many(probes).tolist() == expected
    assert [search.find(probe) for probe in probes[:3]] == expected[:3]
    assert search.memory > 0
    twin = FenceTwin(keys)
    assert [twin.find(probe) for probe in probes] == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 100, 1000])
def test_search_many_equal_prefixes(kind: str, n: int) -> None:
    """All but the last key tie in their first eight bytes after the shared part."""
    keys = [b"k" + b"tie-----" + b"%04d" % i for i in range(n)] + [b"z"]
    search = indexes.search_ops(kind).open(keys)
    assert [search.find(key) for key in keys] == list(range(n + 1))
    assert search.find(b"ktie-----") == 0
    assert search.find(b"ktie-----9999") == n
    assert search.find(b"zz") == n + 1


@pytest.mark.parametrize("kind", KINDS)
def test_separators_may_repeat(kind: str) -> None:
    """One user key may fill several blocks: the first of equal separators is the answer."""
    keys = [b"a", b"b", b"b", b"b", b"c"]
    assert indexes.search_ops(kind).open(keys).find_many([b"a", b"b", b"bb", b"d"]).tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [7, 8, 9, 63, 64, 65, 511, 512, 513, 4095, 4096, 4097])
def test_search_of_many_keys_is_bisect(kind: str, n: int) -> None:
    """Around the sizes at which a tree of lines of eight grows a level; the greatest prefixes are those that lines are filled up with."""
    low, high = [b"%07d" % (3 * i) for i in range(n - n // 8)], [b"\xff" * 8 + b"%05d" % i for i in range(n // 8)]
    keys = low + high
    search = indexes.search_ops(kind).open(keys)
    probes = [*keys, *(b"%07d" % i for i in range(0, 3 * n + 9, 2)), b"", b"\xff", b"\xff" * 8, b"\xff" * 9]
    assert search.find_many(probes).tolist() == [bisect_left(keys, probe) for probe in probes]
