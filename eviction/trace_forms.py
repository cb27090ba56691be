"""More forms of traces: those of libCacheSim, of MSR Cambridge and of Twitter; and writing traces out."""

from __future__ import annotations

import gzip
import lzma
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096  # bytes of a block of an MSR trace
_ORACLE = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
OPERATIONS = {"get", "gets", "set", "add", "replace", "cas", "append", "prepend", "delete", "incr", "decr"}
_MAX_BLOCKS = 1 << 20

Columns = tuple[NDArray[np.uint64], NDArray[np.uint32] | None]


def oracle(path: Path, raw: bytes) -> Columns:
    """Read records of 24 bytes: time, id, size, next access (libCacheSim's oracleGeneral). ValueError for a part of a record."""
    if len(raw) % _ORACLE.itemsize:
        raise ValueError(
            f"{path}: record {len(raw) // _ORACLE.itemsize} is cut: {len(raw)} bytes are not whole records of {_ORACLE.itemsize}"
        )
    records = np.frombuffer(raw, _ORACLE)
    return records["id"].astype(np.uint64), records["size"].astype(np.uint32)


def which(cells: list[str]) -> str | None:
    """Return "msr" or "twitter" for a line of seven cells of that form, else None."""
    cells = [cell.strip() for cell in cells]
    if len(cells) != 7:
        return None
    if cells[3].lower() in ("read", "write") and cells[0].isdigit() and cells[4].isdigit():
        return "msr"
    return "twitter" if cells[5].lower() in OPERATIONS and cells[2].isdigit() else None


def _cell(path: Path, line: int, text: str, what: str, top: int = 1 << 63) -> int:
    if not text.strip().isdigit() or int(text) >= top:
        raise ValueError(f"{path}:{line}: {what} is {text[:40]!r}; allowed: a number from 0 to {top - 1}")
    return int(text)


def msr(path: Path, lines: list[str]) -> Columns:
    """Read timestamp, host, disk, type, offset, size, latency: a request for each block of 4 KiB touched; key: disk << 48 | block."""
    parts: list[NDArray[np.uint64]] = []
    for at, line in enumerate(lines, 1):
        cells = line.split(",")
        if not line.strip():
            continue
        if which(cells) != "msr":
            raise ValueError(f"{path}:{at}: not a line of an MSR trace: timestamp, host, disk, Read or Write, offset, size, latency")
        disk = _cell(path, at, cells[2], "the disk", 1 << 16)
        offset, size = _cell(path, at, cells[4], "the offset", 1 << 60), _cell(path, at, cells[5], "the size", _MAX_BLOCKS * BLOCK)
        first, last = offset // BLOCK, (offset + max(size, 1) - 1) // BLOCK
        parts.append(np.arange(first, last + 1, dtype=np.uint64) | np.uint64(disk << 48))
    return (np.concatenate(parts) if parts else np.empty(0, np.uint64)), None


def twitter(path: Path, lines: list[str]) -> Columns:
    """Read timestamp, key, key size, value size, client, operation, ttl.

    A key becomes the first 8 bytes of its BLAKE2b; its weight: both sizes.
    """
    keys: list[int] = []
    weights: list[int] = []
    for at, line in enumerate(lines, 1):
        cells = line.split(",")
        if not line.strip():
            continue
        if which(cells) != "twitter":
            raise ValueError(f"{path}:{at}: not a line of a Twitter trace: timestamp, key, key size, value size, client, operation, ttl")
        keys.append(int.from_bytes(blake2b(cells[1].encode(), digest_size=8).digest(), "little"))
        size = _cell(path, at, cells[2], "the key size", 1 << 31) + _cell(path, at, cells[3], "the value size", 1 << 31)
        weights.append(max(1, size))
    return np.array(keys, np.uint64), np.array(weights, np.uint32)


def _oracle_bytes(keys: NDArray[np.uint64], weights: NDArray[np.uint32] | None, after: NDArray[np.uint32]) -> bytes:
    records = np.zeros(len(keys), _ORACLE)
    records["time"], records["id"] = np.arange(len(keys)), keys
    records["size"] = 1 if weights is None else weights
    records["next"] = np.where(after == 0xFFFFFFFF, -1, after.astype(np.int64))
    return records.tobytes()


def save(trace: Any, path: str | Path) -> None:
    """Write a trace in the form that the name says, as `load` reads it: .u32, .ks32, .csv, .npy or .oracleGeneral, packed with .xz or .gz.

    ValueError for another name, for weights that the form cannot hold, and for keys above 32 bits in .u32 and .ks32.
    """
    from .native import next_uses
    from .simulate import as_trace

    known, path = as_trace(trace), Path(path)
    keys, weights = known.keys, known.weights
    form = Path(path.stem).suffix if path.suffix in (".xz", ".gz") else path.suffix
    if form in (".u32", ".npy") and weights is not None:
        raise ValueError(f"{path}: {form} holds no weights; allowed: .ks32, .csv, .oracleGeneral")
    if form in (".u32", ".ks32") and len(keys) and int(keys.max()) >> 32:
        raise ValueError(f"{path}: key {int(keys.max())} is above 32 bits; allowed: .csv, .npy, .oracleGeneral")
    if form == ".npy" and path.suffix == ".npy":
        np.save(path, keys)
        return
    if form == ".u32":
        raw = keys.astype("<u4").tobytes()
    elif form == ".ks32":
        sizes = np.ones(len(keys), np.uint32) if weights is None else weights
        raw = np.stack([keys.astype("<u4"), sizes.astype("<u4")], axis=1).tobytes()
    elif form == ".oracleGeneral":
        raw = _oracle_bytes(keys, weights, next_uses(keys))
    elif form == ".csv":
        rows = keys.tolist() if weights is None else (f"{k},{w}" for k, w in zip(keys.tolist(), weights.tolist(), strict=True))
        raw = "".join(f"{row}\n" for row in rows).encode()
    else:
        raise ValueError(f"{path}: no form of that name; allowed: .u32, .ks32, .csv, .npy, .oracleGeneral, packed with .xz or .gz")
    if path.suffix == ".xz":
        raw = lzma.compress(raw)
    elif path.suffix == ".gz":
        raw = gzip.compress(raw)
    path.write_bytes(raw)
