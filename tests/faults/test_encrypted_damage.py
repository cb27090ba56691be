"""Damage to an encrypted database: whatever bit is flipped, file cut, swapped, zeroed or taken from elsewhere, it raises or answers right.

LSMLAB_DAMAGE_SEED=<printed> repeats a run; LSMLAB_DAMAGE_EVERY=1 flips every bit.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

import lsm
import recovery

KEY = bytes(range(32))
OPTIONS = {
    "threads": 0,
    "write_buffer": 65536,
    "wal": {"sync": "group", "segment_bytes": 4096},
    "table": {"filter": "none"},
    "cache": {"capacity": 1 << 16},
}
EVERY = int(os.environ.get("LSMLAB_DAMAGE_EVERY", "89"))


def make(fs: recovery.FileSystem, *, clean: bool, value: bytes = b"") -> dict[bytes, bytes]:
    """A small database: two tables, a keyspace, records in the log; closed, or as a process left it that died."""
    db = lsm.open("/db", OPTIONS, fs=fs, encryption=KEY)
    expected = {b"key%d" % i: b"value%d" % i + value for i in range(12)}
    for n, (key, v) in enumerate(expected.items()):
        db.put(key, v)
        if n in (3, 7):
            db.flush()
    if clean:
        db.close()
    return expected


def state(fs: recovery.MemoryFileSystem) -> dict[str, bytes]:
    return {p: fs.read_all(p) for p in fs.walk_files("/db") if not p.endswith("LOCK")}


def outcome(files: dict[str, bytes], expected: dict[bytes, bytes]) -> str:
    """ "right", or the name of the error. AssertionError for a wrong answer."""
    fs = recovery.memory()
    fs.mkdir("/db")
    for path, raw in files.items():
        fs.write_all(path, raw)
    try:
        with lsm.open("/db", OPTIONS, fs=fs, encryption=KEY, create=False) as db:
            assert db.verify() == []
            found = dict(db.scan())
            assert all(db.get(k) == v for k, v in found.items())
    except lsm.Error as e:
        return type(e).__name__
    assert found == expected
    return "right"


@pytest.mark.parametrize("clean", [True, False])
def test_flipped_bits(clean: bool) -> None:
    seed = int(os.environ.get("LSMLAB_DAMAGE_SEED") or random.randrange(1 << 32))
    print(f"repeat with LSMLAB_DAMAGE_SEED={seed}")
    rng, fs = random.Random(seed), recovery.memory()
    expected = make(fs, clean=clean)
    whole = state(fs)
    assert outcome(whole, expected) == "right"
    told: dict[str, set[str]] = {}
    for path, raw in whole.items():
        for bit in range(rng.randrange(EVERY), len(raw.rstrip(b"\0")) * 8, EVERY):
            damaged = bytearray(raw)
            damaged[bit // 8] ^= 1 << bit % 8
            told.setdefault(path[-3:], set()).add(outcome(whole | {path: bytes(damaged)}, expected))
    errors = {"CorruptionError", "IOFailure", "EncryptionError"}
    for kind, outcomes in told.items():  # of logs, reserved space and segments that are not needed any more may be hit
        assert outcomes <= (errors | {"right"} if kind == "log" else errors), told


def damages(whole: dict[str, bytes], foreign: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    for path, raw in whole.items():
        yield f"{path} is gone", {p: r for p, r in whole.items() if p != path}
        for size in (0, 1, 40, 88, 89, len(raw) // 2, len(raw) - 1):
            yield f"{path} is cut to {size}", whole | {path: raw[:size]}
        for other in [r for p, r in whole.items() if p != path and p[-3:] == path[-3:]]:
            yield f"{path} is another", whole | {path: other}
        yield f"{path} is of another database", whole | {path: foreign.get(path, b"")}
        yield f"{path} is twice itself", whole | {path: raw + raw}
        yield f"{path} is plain", whole | {path: b"some plain text\n" * 30}
        for at in range(0, len(raw.rstrip(b"\0")), 512):
            yield f"{path}: sector {at} is zeros", whole | {path: raw[:at] + bytes(len(raw[at : at + 512])) + raw[at + 512 :]}


def test_cut_swapped_and_foreign_files() -> None:
    fs, other = recovery.memory(), recovery.memory()
    expected = make(fs, clean=True)
    make(other, clean=True, value=b"other")
    whole = state(fs)
    for what, files in damages(whole, state(other)):
        try:
            told = outcome(files, expected)
        except AssertionError as e:
            raise AssertionError(f"{what}: a wrong answer") from e
        assert told != "right" or ".log" in what, what
