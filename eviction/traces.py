"""Request traces in files: the usual forms, told apart by name and content, packed or not; read and written."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from backports import zstd
from numpy.typing import NDArray

from . import traces_binary, traces_text

BINARY = ("u32", "ks32", "oracleGeneral", "npy")
FORMATS = (*BINARY, "arc", "lirs", "csv", "msr", "twitter")
_WEIGHTED = ("ks32", "oracleGeneral", "npy", "csv", "twitter")
_SUFFIXES = {".lis": "arc", ".trc": "lirs", ".csv": "csv"} | {f".{form}": form for form in BINARY}
_BLOCK = 1 << 24


@dataclass(frozen=True)
class Trace:
    """Requests in order: keys, a weight each (None: all 1), and a name."""

    keys: NDArray[np.uint64]
    weights: NDArray[np.uint32] | None
    name: str


@dataclass(frozen=True)
class _Packing:
    magic: bytes
    suffix: str
    open: Callable[[BinaryIO], Any]
    pack: Callable[[bytes], bytes]


_PACKINGS = (
    _Packing(b"\xfd7zXZ\0", ".xz", lzma.open, lzma.compress),
    _Packing(b"\x1f\x8b", ".gz", gzip.open, lambda raw: gzip.compress(raw, mtime=0)),
    _Packing(b"\x28\xb5\x2f\xfd", ".zst", zstd.open, zstd.compress),
)
_BROKEN = (lzma.LZMAError, gzip.BadGzipFile, zlib.error, zstd.ZstdError, EOFError)


def load(
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    key: int | str | None = None,
    weight: int | str | None = None,
    words: bool | None = None,
) -> Trace:
    """Read a trace of any of ``FORMATS``, packed with xz, gzip or zstd or not (told by its first bytes).

    ============== ===================================================================================================
    u32, ks32      little-endian uint32 keys; pairs of key and size
    oracleGeneral  libCacheSim's records of 24 bytes: time, id, size, next access
    npy            integers, one a request, or pairs of key and weight
    arc            lines ``start count ...``, each standing for count keys
    lirs           a key a line; lines that are ``*`` are left out
    csv            a column of keys and perhaps one of weights
    msr            MSR Cambridge: a request for each block of 4 KiB; key: disk << 48 | block
    twitter        Twitter's clusters; weight: key size and value size
    ============== ===================================================================================================

    Unless told, ``format`` is that of the name (``.u32``, ``.lis`` for arc, ``.trc`` for lirs, ``.csv``, ... before .xz, .gz, .zst), and
    for text that of the first line. ``key`` and ``weight``: the columns of a csv, by number from 0 or by the name in its header; by
    default those named key, obj_id, object, id, block, lbn or offset, and size, weight, bytes, obj_size or length; without such names the
    first, and the second of two. Keys are kept as numbers of 64 bits; ``words``: whether csv and Twitter keys are words, which become
    numbers by a hash of 64 bits (see ``trace_text.h``); by default they are where the first one is no number.

    O(bytes), some 100 MB/s of text; memory: the result and 16 MB. ValueError names the file, the line or record, and what is allowed;
    OSError where it cannot be read.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise ValueError(f"format is {format!r}; allowed: {', '.join(FORMATS)}")
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        packing = next((p for p in _PACKINGS if start.startswith(p.magic)), None)
        by_suffix = next((p for p in _PACKINGS if p.suffix == path.suffix), None)
        if by_suffix and packing is not by_suffix and start:
            raise ValueError(f"{path}: does not unpack: it does not begin as a {by_suffix.suffix} file")
        bare = path.stem if by_suffix else path.name
        blocks = _blocks(path, packing.open(file) if packing else file)
        form = format or _form_of_name(bare)
        name = bare.split(".")[0]
        if form in BINARY or (form is None and start.startswith(b"\x93NUMPY")):
            return Trace(*traces_binary.read(str(path), b"".join(blocks), form or "npy"), name)
        return Trace(*_text(path, blocks, form, format is not None, (key, weight, words)), name)


def _form_of_name(bare: str) -> str | None:
    suffix = Path(bare.removesuffix(".bin")).suffix
    return _SUFFIXES.get(suffix)


def _blocks(path: Path, stream: Any) -> Iterator[bytes]:
    """The unpacked bytes, cut after line ends. ValueError where they do not unpack."""
    while True:
        try:
            block = stream.read(_BLOCK)
            if block:
                block += stream.readline()
        except _BROKEN as problem:
            raise ValueError(f"{path}: does not unpack: {problem}") from None
        if not block:
            return
        yield block


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks without the byte order mark that some programs begin a text with."""
    for block in blocks:
        yield block.removeprefix(b"\xef\xbb\xbf")
        yield from blocks


def _text(
    path: Path, blocks: Iterator[bytes], form: str | None, told: bool, how: tuple[int | str | None, int | str | None, bool | None]
) -> traces_text.Columns:
    key, weight, words = how
    top, blocks = traces_text.first_lines(_without_mark(blocks))
    if top and form is None:
        if any(ord(c) < 32 and c != "\t" for c in top[0]):
            raise ValueError(f"{path}: neither text nor of a known name; allowed: format= one of {', '.join(FORMATS)}")
        form = traces_text.kind_of(top[0])
    elif top and form == "csv" and not told and key is None and weight is None and "," in top[0]:
        form = traces_text.kind_of(top[0])  # MSR's and Twitter's files are called .csv too
    source = traces_text.Source(str(path), blocks)
    if form == "arc":
        return traces_text.read_arc(source, len(top[0].split()) if top else 2)
    if form == "csv":
        return traces_text.read_csv(source, top, key, weight, words)
    if form == "msr":
        return traces_text.read_msr(source)
    return traces_text.read_twitter(source, top, words) if form == "twitter" else traces_text.read_lirs(source)


def save(trace: Any, path: str | os.PathLike[str], format: str | None = None) -> None:
    """Write a trace, an array or any iterable of integers, so that ``load`` reads the same; packed where the name ends so.

    ``format``: one of ``FORMATS``, else as the name says. msr writes the upper 16 bits of a key as its disk; twitter writes numbers for
    keys. ValueError, and no file, for keys or weights that the form cannot hold, and for a name of no form.
    """
    from .simulate import as_trace

    path = Path(path)
    known = as_trace(trace)
    packing = next((p for p in _PACKINGS if p.suffix == path.suffix), None)
    form = format or _form_of_name(path.stem if packing else path.name)
    if form not in FORMATS:
        said = f"format is {format!r}" if format else "no form of that name"
        raise ValueError(
            f"{path}: {said}; allowed: {', '.join(FORMATS)}, and as a name .{', .'.join(BINARY)}, .csv, .lis, .trc, .xz, .gz, .zst"
        )
    if known.weights is not None and form not in _WEIGHTED:
        raise ValueError(f"{path}: {form} holds no weights; allowed: {', '.join(_WEIGHTED)}")
    weights = None if known.weights is None else np.ascontiguousarray(known.weights, np.uint32)
    if form in BINARY:
        raw = traces_binary.write(str(path), form, known.keys, weights)
    else:
        raw = traces_text.WRITERS[form](known.keys, weights)
    path.write_bytes(packing.pack(raw) if packing else raw)
