"""Codecs: what comes out is what went in, whatever library they are from; damage and small buffers are refused."""

from __future__ import annotations

import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsm._native import ffi

from lsm import codecs
from lsm.native_codec import Codec

SAMPLES = [b"", b"a", b"hello world " * 400, random.Random(1).randbytes(5000), b"\0" * 100_000]


@pytest.fixture(params=["none", "lz4", "zstd", "lz4 in its Python package", "zstd in its Python package"])
def codec(request: pytest.FixtureRequest) -> Codec:
    kind = request.param.split()[0]
    if kind == request.param:
        return codecs.load_codec(kind)
    pytest.importorskip("lz4" if kind == "lz4" else "backports.zstd")
    loaded = Codec.load(kind, codecs.library_paths(kind)[-1:])
    assert loaded is not None
    return loaded


@pytest.mark.parametrize("level", [-(2**31), -7, 0, 1, 3, 9])
def test_codec_round_trip(codec: Codec, level: int) -> None:
    for data in SAMPLES:
        packed = codec.compress(data, level)
        assert len(packed) <= codec.bound(len(data))
        assert codec.decompress(packed, len(data)) == data


@given(st.binary(max_size=3000), st.sampled_from(["none", "lz4", "zstd"]), st.integers(-5, 6))
def test_codec_round_trip_of_any_bytes(data: bytes, kind: str, level: int) -> None:
    codec = codecs.load_codec(kind)
    assert codec.decompress(codec.compress(data, level), len(data)) == data


def test_codec_shrinks_what_can_shrink() -> None:
    text = b"key00000001value" * 256
    for kind in ("lz4", "zstd"):
        assert len(codecs.load_codec(kind).compress(text)) < len(text) / 10
    assert len(codecs.load_codec("zstd").compress(text * 9, 19)) <= len(codecs.load_codec("zstd").compress(text * 9, -5))


def test_codec_formats_are_the_public_ones() -> None:
    """Another program's library reads our blocks, and we read its."""
    lz4 = pytest.importorskip("lz4.block")
    zstd = pytest.importorskip("backports.zstd")
    data = SAMPLES[2]
    assert lz4.decompress(codecs.load_codec("lz4").compress(data), uncompressed_size=len(data)) == data
    assert codecs.load_codec("lz4").decompress(lz4.compress(data, store_size=False), len(data)) == data
    assert zstd.decompress(codecs.load_codec("zstd").compress(data)) == data
    assert codecs.load_codec("zstd").decompress(zstd.compress(data), len(data)) == data


def test_codec_refuses_another_size_and_truncation(codec: Codec) -> None:
    data = SAMPLES[2]
    packed = codec.compress(data)
    for size in (0, 1, len(data) - 1, len(data) + 1):
        with pytest.raises(ValueError, match="do not decompress"):
            codec.decompress(packed, size)
    for cut in range(0, len(packed), max(1, len(packed) // 60)):
        with pytest.raises(ValueError, match="do not decompress"):
            codec.decompress(packed[:cut], len(data))
    with pytest.raises(ValueError, match="do not decompress"):
        codec.decompress(packed + b"\0", len(data))


def test_codec_survives_flipped_bits(codec: Codec) -> None:
    """It may give other bytes (the block's checksum is for that), never too many, and never crashes."""
    data = SAMPLES[2]
    packed = codec.compress(data)
    for bit in range(0, min(len(packed), 300) * 8, 3):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert len(codec.decompress(bytes(damaged), len(data))) == len(data)
        except ValueError:
            continue


@pytest.mark.threads
@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_codec_is_shared_by_threads(kind: str) -> None:
    codec = codecs.load_codec(kind)

    def work(seed: int) -> int:
        rng = random.Random(seed)
        for _ in range(50):
            data = bytes(rng.choices(b"abcdef", k=rng.randrange(1, 6000)))
            assert codec.decompress(codec.compress(data, 1), len(data)) == data
        return zlib.crc32(data)

    with ThreadPoolExecutor(20) as pool:  # more threads than the pool of work spaces has places
        assert len(list(pool.map(work, range(20)))) == 20


def test_codec_library_is_looked_for_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("LSM_CODEC_LZ4", raising=False)
    usual = codecs.library_paths("lz4")
    assert usual[0] == "liblz4.so.1"
    monkeypatch.setenv("LSM_CODEC_LZ4", f"{tmp_path}/mine.so")
    assert codecs.library_paths("lz4") == [f"{tmp_path}/mine.so", *usual]
    assert codecs.load_codec("lz4").name == "lz4"  # the first one fails, the next one serves
    assert codecs.library_paths("none") == []


def test_codec_without_a_library_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "library_paths", lambda kind: ["libc.so.6", "libnowhere.so.9"])
    with pytest.raises(codecs.CodecMissing, match=r"codec zstd; looked for libc\.so\.6, libnowhere\.so\.9; set LSM_CODEC_ZSTD"):
        codecs.load_codec("zstd")
    assert list(codecs.available_codecs()) == ["none"]


def test_codec_settings_are_values_with_checked_levels() -> None:
    assert codecs.CODECS["zstd"](level=7) == codecs.ZstdCodec(7) and hash(codecs.Lz4Codec()) == hash(codecs.Lz4Codec(0))
    assert codecs.ZstdCodec().build().id == 2 and codecs.Lz4Codec().build().id == 1 and codecs.NoCodec().build().id == 0
    for level in (23, -131073, "3", None, True, 1.5):
        with pytest.raises(ValueError, match="level of zstd is"):
            codecs.ZstdCodec(level)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="codec kind is 'brotli'; allowed: none, lz4, zstd"):
        codecs.load_codec("brotli")


def test_codec_of_a_user_needs_a_free_id_and_name() -> None:
    built_in = codecs.load_codec("lz4")
    with pytest.raises(ValueError, match="named 'lz4'"):
        codecs.register_codec("mine", built_in.address)
    with pytest.raises(ValueError, match="taken"):
        codecs.register_codec("lz4", built_in.address)
    with pytest.raises(ValueError, match="address is 0"):
        codecs.register_codec("mine", 0)
    assert list(codecs.CODECS) == ["none", "lz4", "zstd"]


def test_work_spaces_beyond_those_that_are_kept_are_given_back_to_the_system() -> None:
    """Twenty blocks are compressed at once: each call begins the next one before it goes on."""
    codec = codecs.load_codec("zstd")
    raw = ffi.cast("lsm_codec *", codec.address)
    real = ffi.cast("size_t(*)(void *, void *, size_t, const void *, size_t, int)", raw.fn[1])
    depth = 0

    @ffi.callback("size_t(void *, void *, size_t, const void *, size_t, int)")
    def nested(*args: Any) -> int:
        nonlocal depth
        depth += 1
        if depth < 20:
            n = depth
            assert codec.decompress(codec.compress(b"inner" * n), 5 * n) == b"inner" * n
        return int(real(*args))

    raw.fn[1] = ffi.cast("void *", nested)
    try:
        for _ in range(2):
            depth = 0
            assert codec.decompress(codec.compress(b"outer" * 9), 45) == b"outer" * 9
            assert depth == 20
    finally:
        raw.fn[1] = ffi.cast("void *", real)
    assert codec.decompress(codec.compress(b"after" * 9), 45) == b"after" * 9
