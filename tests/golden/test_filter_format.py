"""Filters of format version 1 as they were once written: these bytes must be readable, and be written again, for good."""

from __future__ import annotations

import pytest

import indexes

KEYS = [b"ant", b"bee", b"", b"key\0with zeros"]
WRITTEN = {
    "bloom": "494458460105000001000000000000000000244004000000000000001800000000000000626c6f6f6d010107000000000040"
    "0000000000000014c9948a911868a8ce6a025c9e446c3a",
    "blocked_bloom": "49445846010d000001000000000000000000244004000000000000008000000000000000626c6f636b65645f626c6f6f6d02"
    "0106000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000040000010000000020100004000004000040110000201000000000010004000000001000"
    "8000000080020000000300900000000000000800000008000000002c2f14b9cf6b726c",
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_filter_of_version_1_reads_and_writes_the_same(kind: str) -> None:
    old = indexes.filter_class(kind).open(bytes.fromhex(WRITTEN[kind]))
    assert (old.count, old.bits_per_key) == (4, 10.0)
    assert old.may_contain_many(KEYS).all() and b"cat" not in old
    assert indexes.filter_class(kind).build(KEYS, 10).to_bytes().hex() == WRITTEN[kind]
