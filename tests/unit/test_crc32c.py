"""CRC-32C: known answers, agreement of the kernels, continuation, masking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recovery
from recovery import native, wal_twin


@pytest.mark.parametrize(
    ("data", "want"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_known_answers(data: bytes, want: int) -> None:  # RFC 3720, B.4
    assert recovery.crc32c(data) == native.crc32c_portable(data) == wal_twin.crc32c(data) == want


@given(st.integers(0, 13000), st.integers(0, 255), st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_the_kernels_agree(n: int, byte: int, skew: int, start: int) -> None:
    data = memoryview(bytes((byte + i * 7 + i // 251) & 255 for i in range(n + skew)))[skew:]
    assert recovery.crc32c(data, start) == native.crc32c_portable(data, start) == wal_twin.crc32c(bytes(data), start)


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_a_sum_can_be_continued(a: bytes, b: bytes) -> None:
    assert recovery.crc32c(b, recovery.crc32c(a)) == recovery.crc32c(a + b)


@given(st.integers(0, 2**32 - 1))
def test_masking_can_be_undone(crc: int) -> None:
    assert recovery.unmask(recovery.mask(crc)) == crc
    assert recovery.mask(crc) == wal_twin.mask(crc)
