"""The kernels of row sets give the same with AVX-512, with AVX2 and without either: each way is built and asked."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexes import native

ROOT = Path(__file__).parents[2]
COUNTED = hasattr(native.lib, "__gcov_dump")  # a build that counts branches: so do these
WAYS = {"all": [], "avx2": ["-DWORDS_NO_AVX512"], "portable": ["-DWORDS_PORTABLE"]}
DENSITIES = [0, 0.00001, 0.0002, 0.01, 0.3, 1]
AND, OR, XOR, ANDNOT = range(4)


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    made = {}
    folder = ROOT / "build/words" if COUNTED else tmp_path_factory.mktemp("words")
    folder.mkdir(parents=True, exist_ok=True)
    optimised = ["--coverage", "-O0", "-fprofile-update=atomic"] if COUNTED else ["-O2"]
    for name, flags in WAYS.items():
        so = folder / f"{name}.so"
        command = [os.environ.get("CC", "cc"), "-std=gnu11", *optimised, "-fno-strict-aliasing", "-shared", "-fPIC", "-I.", *flags]
        subprocess.run([*command, "indexes/csrc/words.c", "-o", str(so)], cwd=ROOT, check=True, capture_output=True)
        made[name] = ctypes.CDLL(str(so))
        made[name].words_and_live.restype = ctypes.c_uint64
    return made


def words(rng: np.random.Generator, density: float) -> np.ndarray:
    return np.packbits(rng.random(65536) < density, bitorder="little").view(np.uint64)


def at(array: np.ndarray | None) -> Any:
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


def pointers(arrays: list[np.ndarray]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


@pytest.mark.parametrize("op", [AND, OR, XOR, ANDNOT])
def test_words_of_two(ways: dict[str, Any], op: int) -> None:
    rng = np.random.default_rng(op)
    for x, y in ((words(rng, d), words(rng, e)) for d in DENSITIES for e in DENSITIES):
        wanted = {AND: x & y, OR: x | y, XOR: x ^ y, ANDNOT: x & ~y}[op]
        for way in ways.values():
            out = np.empty(1024, np.uint64)
            assert (
                way.words_combine(op, at(out), at(x), at(y)) == way.words_combine(op, None, at(x), at(y)) == np.bitwise_count(wanted).sum()
            )
            assert (out == wanted).all()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_words_of_many(ways: dict[str, Any], n: int) -> None:
    rng = np.random.default_rng(n)
    for density in DENSITIES:
        parts = [words(rng, density if i else 0.5) for i in range(n)]
        common = np.bitwise_and.reduce(parts)
        bits = np.flatnonzero(np.unpackbits(common.view(np.uint8), bitorder="little"))
        blocks = sum(1 << i for i, some in enumerate(common.reshape(64, 16).any(axis=1)) if some)
        for way in ways.values():
            for op, wanted in ((AND, common), (OR, np.bitwise_or.reduce(parts))):
                out = np.empty(1024, np.uint64)
                assert way.words_fold(op, at(out), pointers(parts), n) == np.bitwise_count(wanted).sum()
                assert (out == wanted).all()
            assert way.words_and_live(pointers(parts), n) == blocks
            out = np.empty(65536 + 64, np.uint16)
            live = ctypes.c_uint64(blocks)
            assert way.words_and_list(pointers(parts), n, live, at(out), 65536) == len(bits)
            assert (out[: len(bits)] == bits).all()
            few = np.full(10 + 64, 7, np.uint16)
            got = way.words_and_list(pointers(parts), n, live, at(few), 10)
            assert got == len(bits) or 10 < got <= 10 + 64
            assert way.words_list(at(common), at(out)) == len(bits) and (out[: len(bits)] == bits).all()


def test_lists(ways: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    sizes = [1, 2, 7, 8, 9, 15, 16, 17, 31, 40, 300, 4096]
    for a_n, b_n, most in [(a, b, most) for a in sizes for b in sizes for most in (4096, 65536)]:
        a, b = (np.sort(rng.choice(most, n, replace=False)).astype(np.uint16) for n in (a_n, b_n))
        if rng.random() < 0.3:
            a[0] = b[0] = 0
        wanted = np.intersect1d(a, b)
        for name, way in ways.items():
            out = np.empty(min(a_n, b_n), np.uint16)
            got = way.list_and(at(out), at(a), a_n, at(b), b_n)
            assert got == way.list_and(None, at(a), a_n, at(b), b_n) == len(wanted), (name, a_n, b_n, most)
            assert (out[:got] == wanted).all()


def test_a_list_at_the_end_of_a_page_is_not_read_past(ways: dict[str, Any]) -> None:
    import mmap

    with mmap.mmap(-1, 2 * mmap.PAGESIZE) as memory:
        libc = ctypes.CDLL(None, use_errno=True)
        view = np.frombuffer(memory, np.uint16)
        start = view.ctypes.data
        assert libc.mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
        try:
            for n in (1, 3, 8, 11, 20):
                list_ = view[mmap.PAGESIZE // 2 - n : mmap.PAGESIZE // 2]
                list_[:] = np.arange(n) * 3 + 1
                other = np.arange(40, dtype=np.uint16)
                for way in ways.values():
                    assert way.list_and(None, at(list_), n, at(other), 40) == (list_ < 40).sum()
                    assert way.list_and(None, at(other), 40, at(list_), n) == (list_ < 40).sum()
        finally:
            libc.mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 3)
            del view, list_
