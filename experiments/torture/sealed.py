"""An encrypted sample: the files of a plain one as the encryption writes them, by its readable twin; the same bytes each time."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from itertools import pairwise

from recovery import crypt_twin, keyring
from recovery.crypt_twin import FRAME, HEADER, Keys, Operation

from .samples import Logged, Sample

MASTER = b"the master key of row F's sample"
_RESERVED = 512  # bytes of a log that nothing was written to yet


def seal(sample: Sample, seed: int) -> Sample:
    """Return the sample encrypted: pages, frames as they were written one by one, and KEYS."""
    chance = random.Random(seed)
    ring = keyring.Keyring(chance.randbytes(16), {1: chance.randbytes(32)}, 1)
    files, ends, log = dict[str, bytes](), dict[str, int](), list[Logged]()
    for name, data in sorted(sample.files.items()):
        keys = Keys(ring.database, ring.keys, random.Random(f"{seed} {name}").randbytes)  # an older file that is the same is the same
        if crypt_twin.form_of(name) == crypt_twin.PAGED:
            files[name] = crypt_twin.write_paged(name, data, keys, 1)
            continue
        mine = [r for r in sample.log if r.segment == name]
        operations = _writes(name, data, [r.end for r in mine])
        whole = crypt_twin.write_framed(name, operations, keys, 1)
        places, at = dict[int, tuple[int, int]](), HEADER
        for _, offset, written in operations:
            places[offset + len(written)] = at, at + (FRAME + len(written) + 8) // 8 * 8
            at = places[offset + len(written)][1]
        log += [replace(r, at=places[r.end][0], stop=places[r.end][1]) for r in mine]
        files[name], ends[name] = whole + bytes(_RESERVED if mine else 0), len(whole)
    files[keyring.NAME] = keyring.sealed(*keyring.parts(ring, chance.randbytes(16), chance.randbytes(12)), MASTER)
    return replace(sample, files=files, log=log, key=MASTER, ends=ends)


def _writes(name: str, data: bytes, records: list[int]) -> list[Operation]:
    """What was written to a file, piece by piece: a log up to the end of each record, a manifest record by record, the rest at once."""
    ends = [0, *records]
    if name.startswith("MANIFEST-"):
        data = data.rstrip(b"\0")  # what is reserved is not written to
        while ends[-1] < len(data):
            ends.append(ends[-1] + 12 + int(struct.unpack_from("<I", data, ends[-1])[0]))
    used = len(data.rstrip(b"\0")) if records else len(data)
    if ends[-1] < used:
        ends.append(used)
    size: list[Operation] = [("size", len(data), b"")] if name.endswith(".log") else []
    return size + [("write", a, data[a:b]) for a, b in pairwise(ends)]
