"""What tests of range filters share: keys that are hard to tell apart, settings of every kind, the answer of a sorted list."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from hypothesis import strategies as st

# Few letters and long common heads: prefixes of each other, zeros and 0xff at the end, the empty key.
KEY = st.builds(
    lambda head, tail: head + tail,
    st.sampled_from([b"", b"", b"user", b"\0\0", b"\xff" * 3]),
    st.binary(max_size=3) | st.lists(st.sampled_from(b"ab:\0\xff"), max_size=6).map(bytes),
)
KEYS = st.lists(KEY, max_size=50).map(sorted)
BOUND = KEY | st.none()
PARAMS = {
    "surf": [
        "",
        "suffix=0,0",
        "suffix=0,0 dense_ratio=0",
        "suffix=4,0 dense_ratio=1",
        "suffix=0,3 dense_ratio=2",
        "suffix=7,8 dense_ratio=0",
        "suffix=0,32",
        "suffix=32,0",
    ],
    "snarf": ["", "slots=1", "slots=3 every=1", "slots=16 every=2", "slots=1048576 every=7"],
    "prefix_bloom": ["", "lengths=1", "lengths=2,3,8 bits=20000", "lengths= delimiter=58", "lengths=1 delimiter=97 occurrence=2"],
}
CASES = [(kind, params) for kind, some in PARAMS.items() for params in some]


def holds(keys: Sequence[bytes], lo: bytes, hi: bytes | None) -> bool:
    """Tell whether the sorted keys have one in [lo, hi)."""
    at = bisect_left(keys, lo)
    return at < len(keys) and (hi is None or keys[at] < hi)


class ExactRanges:
    """A range filter in Python that is always right: it keeps the keys."""

    name = "exact"
    version = 1

    def accepts(self, params: str) -> bool:
        return params in ("", "loud=1")

    def build(self, keys: Sequence[bytes], params: str) -> bytes:
        return b"".join(len(key).to_bytes(2, "big") + key for key in dict.fromkeys(keys)) + b"."

    def _keys(self, data: memoryview) -> list[bytes]:
        raw, at, keys = bytes(data), 0, []
        while raw[at:] != b".":
            size = int.from_bytes(raw[at : at + 2], "big")
            if at + 2 + size >= len(raw):
                raise ValueError("cut")
            keys.append(raw[at + 2 : at + 2 + size])
            at += 2 + size
        return keys

    def check(self, data: memoryview) -> bool:
        try:
            return self._keys(data) == sorted(set(self._keys(data)))
        except ValueError:
            return False

    def may_contain(self, data: memoryview, key: bytes) -> bool:
        return key in self._keys(data)

    def may_contain_range(self, data: memoryview, lo: bytes, hi: bytes | None) -> bool:
        return holds(self._keys(data), lo, hi)
