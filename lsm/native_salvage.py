"""Blocks of damaged tables (salvage.h) as typed Python."""

from __future__ import annotations

import os

from .native import Env, check, ffi, lib, new_error


def block_size(env: Env, number: int, file: bytes, at: int, most: int) -> int:
    """Return the size of the block that stands at a place by its checksum, 0 when there is none of up to ``most`` bytes. O(most)."""
    return int(lib.lsm_salvage_size(env.handle, number, ffi.from_buffer("uint8_t[]", file), len(file), at, most))


def next_block(env: Env, number: int, file: bytes, start: int, stop: int, most: int) -> tuple[int, int]:
    """Return (place, size) of the first block that begins in [start, stop); (stop, 0) when there is none. O((stop - start) * most)."""
    size = ffi.new("uint32_t *")
    at = int(lib.lsm_salvage_next(env.handle, number, ffi.from_buffer("uint8_t[]", file), len(file), start, stop, most, size))
    return at, int(size[0])


def block_content(env: Env, number: int, path: str, file: bytes, at: int, size: int) -> bytes:
    """Return what a block holds, verified and uncompressed. CorruptionError; InvalidOptions for a codec that is not there."""
    out, n, e = ffi.new("uint8_t **"), ffi.new("uint64_t *"), new_error()
    raw = ffi.from_buffer("uint8_t[]", file)
    check(lib.lsm_salvage_block(env.handle, number, os.fsencode(path), raw, len(file), at, size, out, n, e), e)
    try:
        return bytes(ffi.buffer(out[0], n[0]))
    finally:
        lib.lsm_salvage_free(out[0])
