"""Traces that are records of a fixed size: .u32 and .ks32, libCacheSim's oracleGeneral, .npy."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import native

Keys = NDArray[np.uint64]
Weights = NDArray[np.uint32]
Columns = tuple[Keys, Weights | None]

ORACLE = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
_NEVER = (-1, np.iinfo(np.int64).max)
RECORD = {"u32": np.dtype("<u4"), "ks32": np.dtype([("id", "<u4"), ("size", "<u4")]), "oracleGeneral": ORACLE}


def read(name: str, raw: bytes, form: str) -> Columns:
    """Read a file's records; ValueError with file, record and what is allowed."""
    if form == "npy":
        return _npy(name, raw)
    record = RECORD[form]
    if len(raw) % record.itemsize:
        whole = len(raw) // record.itemsize
        raise ValueError(f"{name}: record {whole} is cut: {len(raw)} bytes are not whole records of {record.itemsize}")
    records = np.frombuffer(raw, record)
    if form == "u32":
        return records.astype(np.uint64), None
    if form == "oracleGeneral":
        _looks_right(name, records)
    return records["id"].astype(np.uint64), records["size"].astype(np.uint32)


def _looks_right(name: str, records: NDArray[Any]) -> None:
    """Refuse what cannot be oracleGeneral: a next access that is not after its record tells other bytes apart within a few records."""
    after = records["next"]
    bad = np.flatnonzero((after <= np.arange(len(after))) & (after != -1) | (after > 1 << 48) & (after != _NEVER[1]))
    if len(bad):
        at = int(bad[0])
        raise ValueError(f"{name}: record {at}: its next access is {after[at]}; allowed: -1, or a number above {at} (is it oracleGeneral?)")


def _npy(name: str, raw: bytes) -> Columns:
    try:
        array = np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, EOFError, OSError) as problem:
        raise ValueError(f"{name}: not a .npy file: {problem}") from None
    if (
        not isinstance(array, np.ndarray)
        or array.dtype.kind not in "iu"
        or array.ndim not in (1, 2)
        or (array.ndim == 2 and array.shape[1] != 2)
    ):
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise ValueError(f"{name}: {found}; allowed: integers, one a request or pairs of key and weight")
    columns = array.reshape(len(array), -1)
    for column, what, top in ((0, "key", 64), (1, "weight", 32))[: columns.shape[1]]:
        values = columns[:, column]
        bad = np.flatnonzero((values < 0) | (values.astype(np.uint64) >> np.uint64(top - 1) > 1))
        if len(bad):
            raise ValueError(f"{name}: record {bad[0]}: the {what} is {values[bad[0]]}; allowed: 0 to 2**{top} - 1")
    weights = columns[:, 1].astype(np.uint32) if columns.shape[1] == 2 else None
    return columns[:, 0].astype(np.uint64), weights


def write(name: str, form: str, keys: Keys, weights: Weights | None) -> bytes:
    """Return the bytes of a trace. ValueError for keys above 32 bits in u32 and ks32."""
    if form in ("u32", "ks32"):
        large = np.flatnonzero(keys >> np.uint64(32))
        if len(large):
            at = int(large[0])
            raise ValueError(
                f"{name}: request {at}: the key {keys[at]} is above 32 bits; allowed: .csv, .npy, .oracleGeneral, which hold 64"
            )
    if form == "u32":
        return keys.astype("<u4").tobytes()
    if form == "npy":
        out = io.BytesIO()
        np.save(out, keys if weights is None else np.stack([keys, weights.astype(np.uint64)], axis=1))
        return out.getvalue()
    records = np.zeros(len(keys), RECORD[form])
    records["id"], records["size"] = keys, 1 if weights is None else weights
    if form == "oracleGeneral":
        after = native.next_uses(keys)
        records["time"] = np.arange(len(keys))
        records["next"] = np.where(after == native.NONE, -1, after.astype(np.int64))
    return records.tobytes()
