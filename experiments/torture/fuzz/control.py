"""Fuzz targets whose parsers are Python: manifest, CURRENT, options, index files, rows. Checksums are made right after each mutation."""

from __future__ import annotations

import json
import random
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lsm
import recovery
from lsm import manifest
from lsm.secondary import component, record
from recovery import crc32c, mask

from .. import samples

_DIRECTORY = "/d"
_ODD = (
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"9" * 30,
    b"1.5",
    b"-9223372036854775809",
    b'"../../x"',
    b"[" * 2000,
)


@dataclass(frozen=True)
class Target:
    """Seeds; what makes a mutated payload a file; and what reads it. The reader may raise what is ``allowed``."""

    seeds: list[bytes]
    read: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...] = (lsm.Error,)


def judge(target: Target, seed: int, i: int, counts: Counter[str]) -> list[str]:
    """Read one mutated input; other errors than those allowed are what `isolated` tells."""
    chance = random.Random(seed << 32 | i)
    try:
        target.read(mutated(chance, target.seeds))
        counts["accepted"] += 1
    except target.allowed:
        counts["refused"] += 1
    return []


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """Return a seed with some bytes changed, cut, doubled, or numbers and strings in it made odd."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(6)
        if what == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del data[at : at + chance.randrange(1, 12)]
        elif what == 2:
            data[at:at] = data[at : at + chance.randrange(1, 40)]
        elif what == 3 and at < len(data):
            data[at] = chance.randrange(256)
        elif what == 4:
            _replace_token(chance, data, at)
        else:
            other = chance.choice(seeds)
            begin = chance.randrange(len(other) + 1)
            data[at : at + chance.randrange(20)] = other[begin : begin + chance.randrange(20)]
    return bytes(data)


def _replace_token(chance: random.Random, data: bytearray, at: int) -> None:
    """Put something odd in the place of the value that ends behind a place, if that looks like text."""
    ends = [p for p in (data.find(c, at) for c in b",]}\n") if p >= 0]
    if not ends:
        return
    end = min(ends)
    begin = max(data.rfind(c, 0, end) for c in b":,[={") + 1
    data[begin:end] = chance.choice(_ODD)


def _manifests() -> Target:
    """Records of manifests, one a line; heads, checksums and the chain are made for them."""
    seeds = []
    for name in ("plain", "rows_dead"):
        sample = samples.make(name)
        rows = manifest.read_rows(sample.files["MANIFEST-000003"], "")
        encoded = [json.dumps(r, separators=(",", ":")).encode() for r in rows]
        seeds += [b"\n".join(encoded[:n]) for n in (1, 3, 12)]

    def read(data: bytes) -> object:
        fs = recovery.memory()
        fs.mkdir(_DIRECTORY)
        out, chain = b"", 0
        for number, payload in enumerate(data.split(b"\n")):
            crc = mask(crc32c(payload))
            head = mask(crc32c(struct.pack("<IQI", len(payload), number, chain)))
            out += struct.pack("<III", len(payload), head, crc) + payload
            chain = crc
        fs.write_all(f"{_DIRECTORY}/MANIFEST-000003", out)
        manifest.write_current(fs, _DIRECTORY, "MANIFEST-000003", 1)
        state, _ = manifest.load(fs, _DIRECTORY)
        for number in state.options:
            lsm.Options().override(state.options[number])
            state.is_managed(number)
        return sorted(state.attached_files()), [sorted(v.tables()) for v in state.versions.values()]

    return Target(seeds, read)


def _currents() -> Target:
    def read(data: bytes) -> object:
        fs = recovery.memory()
        fs.mkdir(_DIRECTORY)
        fs.write_all(f"{_DIRECTORY}/CURRENT", data + b"\n%08x\n" % mask(crc32c(data)))
        return manifest.read_current(fs, _DIRECTORY)

    return Target([b'{"manifest":"MANIFEST-000003","records":1}', b'{"manifest":"MANIFEST-00000000000000000003","records":7000}'], read)


def _options() -> Target:
    plain = lsm.Options().to_toml().encode()
    return Target([plain, b"threads = 0\n[table]\nblock_size = 512\n"], lambda data: lsm.Options.from_toml(data.decode("utf-8", "replace")))


def _index_files() -> Target:
    """Footers of index files, over sections that are as they were; and what opens the segments."""
    sample = samples.make("rows")
    name = next(n for n in sample.files if n.endswith(".idx"))
    data, number = sample.files[name], int(name[:6])
    size = struct.unpack_from("<I", data, len(data) - 16)[0]
    body, footer = data[: len(data) - 16 - size], data[len(data) - 16 - size : len(data) - 16]
    database = int(json.loads(footer)["database"], 16)

    fs = recovery.memory()
    fs.mkdir(_DIRECTORY)

    def read(changed: bytes) -> object:
        end = struct.pack("<II8s", len(changed), mask(crc32c(changed)), component.MAGIC)
        fs.write_all(f"{_DIRECTORY}/{name}", body + changed + end)
        return component.read_component(fs, _DIRECTORY, number, database)

    return Target([footer], read)


def _rows() -> Target:
    """Rows of tables: no checksum of their own."""
    chance = random.Random(3)
    names = record.Names(["id", "age", "name", "word", "sex", "big", "at", "text", "list"])
    rows: list[Any] = [samples.row_of(chance, i) for i in range(6)]
    rows += [{"id": 2**70, "age": None, "list": [1, "x", None, 2.5, b"\0", True]}, {"name": "ä" * 300, "list": (1.0, 2.0)}]
    return Target([record.encode(r, names) for r in rows], lambda data: record.decode(data, names), (lsm.Error, ValueError))


TARGETS: dict[str, Callable[[], Target]] = {
    "manifest": _manifests,
    "current": _currents,
    "options": _options,
    "index_file": _index_files,
    "row": _rows,
}
