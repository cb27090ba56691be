"""Shared libraries that lack something or fail: codecs fall back or say so, plug-ins are refused with the reason."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lsm._native import ffi, lib

from lsm.native_codec import Codec
from lsm.native_plugin import LoadedComponent

LZ4 = {
    "LZ4_compressBound": "int LZ4_compressBound(int n) { return n + 16; }",
    "LZ4_compress_fast": "int LZ4_compress_fast(const char *s, char *d, int n, int cap, int a) { return 0; }",
    "LZ4_decompress_safe": "int LZ4_decompress_safe(const char *s, char *d, int n, int cap) { return -1; }",
    "LZ4_versionString": 'const char *LZ4_versionString(void) { return "0"; }',
}
ZSTD = {
    "ZSTD_compressBound": "size_t ZSTD_compressBound(size_t n) { return n > 1000 ? -1 : n + 16; }",
    "ZSTD_compressCCtx": "size_t ZSTD_compressCCtx(void *c, void *d, size_t cap, const void *s, size_t n, int level) { return -1; }",
    "ZSTD_decompressDCtx": "size_t ZSTD_decompressDCtx(void *c, void *d, size_t cap, const void *s, size_t n) { return -1; }",
    "ZSTD_isError": "unsigned ZSTD_isError(size_t code) { return code == (size_t)-1; }",
    "ZSTD_freeCCtx": "size_t ZSTD_freeCCtx(void *c) { return 0; }",
    "ZSTD_freeDCtx": "size_t ZSTD_freeDCtx(void *c) { return 0; }",
    "ZSTD_createCCtx": "void *ZSTD_createCCtx(void) { static int n; return n++ ? (void *)&n : 0; }",
    "ZSTD_createDCtx": "void *ZSTD_createDCtx(void) { static int n; return n++ ? (void *)&n : 0; }",
    "ZSTD_versionString": 'const char *ZSTD_versionString(void) { return "0"; }',
}
Build = Callable[[str], str]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def made(code: str) -> str:
        n = len(list(tmp_path.iterdir()))
        source, library = tmp_path / f"{n}.c", tmp_path / f"{n}.so"
        source.write_text(f"#include <stddef.h>\n{code}\n")
        try:
            subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-w", "-shared", "-fPIC", "-o", library, source], check=True)
        except OSError:
            pytest.skip("no C compiler")
        return str(library)

    return made


@pytest.mark.parametrize(("name", "functions"), [("lz4", LZ4), ("zstd", ZSTD)])
def test_a_library_that_lacks_a_function_is_not_taken(name: str, functions: dict[str, str], build: Build) -> None:
    for missing in functions:
        library = build("\n".join(code for other, code in functions.items() if other != missing))
        assert Codec.load(name, ["/none.so", library]) is None, f"without {missing}"
    assert Codec.load(name, [build("int x;"), build("\n".join(functions.values()))]) is not None


def test_a_library_that_fails_gives_no_bytes(build: Build) -> None:
    for name, functions in (("lz4", LZ4), ("zstd", ZSTD)):
        codec = Codec.load(name, [build("\n".join(functions.values()))])
        assert codec is not None
        for level in (0, 1, 9, -3):  # without the slow compressor the fast one serves
            with pytest.raises(ValueError):
                codec.compress(b"data" * 10, level)
        for _ in range(2):
            with pytest.raises(ValueError):
                codec.decompress(b"packed", 10)
        with pytest.raises(ValueError):
            codec.decompress(b"", 10)
        assert codec.bound(10) > 10
        assert (codec.bound(2000) == 0) == (name == "zstd"), "zstd tells of a size that it does not take"


def test_no_other_codec_is_known() -> None:
    out = ffi.new("lsm_codec **")
    assert lib.lsm_codec_load(b"brotli", ffi.NULL, 0, out) == lib.LSM_INVALID
    lib.lsm_codec_free(ffi.NULL)


def test_components_that_are_none(build: Build, tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    for library, why in (
        (str(tmp_path / "none.so"), "No such file"),
        (str(tmp_path / "text.so"), "file too short|invalid ELF"),
        (build("int x;"), "does not define"),
        (build("const void *lsmlab_component(void) { return 0; }"), "returned NULL"),
        (build("const void *lsmlab_component(void) { static unsigned t[64] = {9, 8}; return t; }"), "abi 9, size 8"),
    ):
        with pytest.raises(ValueError, match=why):
            LoadedComponent(library, "filter")
    handle = ffi.new("void **")
    assert lib.lsm_plugin_open(build("const void *lsmlab_component(void) { return &lsmlab_component; }").encode(), handle, ffi.NULL, 0)
    lib.lsm_plugin_close(handle[0])
    lib.lsm_plugin_close(ffi.NULL)
