"""Request traces from files: the usual forms, told apart by the file's name and, for text, by its lines."""

from __future__ import annotations

import gzip
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import trace_forms


@dataclass(frozen=True)
class Trace:
    """Requests in order: keys, a weight each (None: all 1), and a name."""

    keys: NDArray[np.uint64]
    weights: NDArray[np.uint32] | None
    name: str


_MAX_RUN = 1 << 24


def load(path: str | Path) -> Trace:
    """Read a trace; ValueError with file and line where it is none, OSError where it cannot be read.

    Forms: `.u32` (little-endian uint32 keys), `.ks32` (pairs of key and size), `.npy` (integers), `.csv` (first column the key, second,
    when there is one, the weight; a header line may come first), else text: one number a line with `*` marks skipped (LIRS), or lines
    `start count ...` that stand for count keys (ARC). `.oracleGeneral`: libCacheSim's records. A .csv of seven columns may be of
    MSR Cambridge or of Twitter: see `trace_forms`. Any but `.npy` may be packed with xz or gzip (`.xz`, `.gz`).
    """
    path = Path(path)
    if path.suffix == ".npy":
        return _numpy(path)
    raw = path.read_bytes()
    name = path.name
    try:
        if path.suffix == ".xz":
            raw, name = lzma.decompress(raw), path.stem
        elif path.suffix == ".gz":
            raw, name = gzip.decompress(raw), path.stem
    except (lzma.LZMAError, gzip.BadGzipFile, EOFError) as problem:
        raise ValueError(f"{path}: does not unpack: {problem}") from None
    form = Path(name.removesuffix(".bin")).suffix
    if form == ".oracleGeneral":
        return Trace(*trace_forms.oracle(path, raw), Path(name).stem)
    if form in (".u32", ".ks32"):
        width = 4 if form == ".u32" else 8
        if len(raw) % width:
            raise ValueError(f"{path}: {len(raw)} bytes are not whole entries of {width}")
        words = np.frombuffer(raw, "<u4")
        if form == ".u32":
            return Trace(words.astype(np.uint64), None, Path(name).stem)
        return Trace(words[::2].astype(np.uint64), words[1::2].astype(np.uint32), Path(name).stem)
    try:
        lines = raw.decode("ascii").splitlines()
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise ValueError(f"{path}:{line}: not a text of numbers") from None
    if form != ".csv":
        return _text(path, lines)
    kind = trace_forms.which(next((line for line in lines if line.strip()), "").split(","))
    if kind is None:
        return _csv(path, lines)
    return Trace(*(trace_forms.msr if kind == "msr" else trace_forms.twitter)(path, lines), path.name.split(".")[0])


def _numpy(path: Path) -> Trace:
    try:
        keys = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as problem:
        raise ValueError(f"{path}: not a .npy file: {problem}") from None
    if keys.ndim != 1 or keys.dtype.kind not in "iu" or (keys.dtype.kind == "i" and keys.size and int(keys.min()) < 0):
        raise ValueError(f"{path}: needs one dimension of integers from 0, not {keys.ndim} of {keys.dtype}")
    return Trace(keys.astype(np.uint64), None, path.stem)


def _number(path: Path, line: int, text: str, top: int = 1 << 64) -> int:
    text = text.strip()
    if not text.isdigit() or int(text) >= top:
        raise ValueError(f"{path}:{line}: {text[:40]!r} is not a number from 0 to {top - 1}")
    return int(text)


def _csv(path: Path, lines: list[str]) -> Trace:
    keys: list[int] = []
    weights: list[int] = []
    for at, line in enumerate(lines, 1):
        cells = line.split(",")
        if not line.strip() or (at == 1 and not cells[0].strip().isdigit()):
            continue
        keys.append(_number(path, at, cells[0]))
        if len(cells) > 1:
            weights.append(_number(path, at, cells[1], 1 << 32))
        if weights and len(weights) != len(keys):
            raise ValueError(f"{path}:{at}: some lines have a weight and some have none")
    return Trace(np.array(keys, np.uint64), np.array(weights, np.uint32) if weights else None, path.name.split(".")[0])


def _text(path: Path, lines: list[str]) -> Trace:
    parts: list[NDArray[np.uint64]] = []
    singles: list[int] = []
    width = 0
    for at, line in enumerate(lines, 1):
        cells = line.split()
        if not cells or cells == ["*"]:
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise ValueError(f"{path}:{at}: {len(cells)} numbers in a file of lines of {width}")
        start = _number(path, at, cells[0])
        if width == 1:
            singles.append(start)
            continue
        count = _number(path, at, cells[1], _MAX_RUN)
        if start + count > 1 << 64:
            raise ValueError(f"{path}:{at}: the run of {count} keys passes 2**64")
        parts.append(np.arange(count, dtype=np.uint64) + np.uint64(start))
    if width > 1:
        return Trace(np.concatenate(parts), None, path.name.split(".")[0])
    return Trace(np.array(singles, np.uint64), None, path.name.split(".")[0])
