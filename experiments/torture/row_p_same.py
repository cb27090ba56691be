"""Row P: the same seed gives the same database, to the byte: files, ledger and answers, under random options without threads.

Each slice is run in two processes that differ in the seed of Python's hashes, the only randomness that a process has of its own. The clock
of the files is virtual: it goes on by a millisecond an operation.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from typing import Any

import recovery

from ..processes import command, environment
from . import draws
from .row import Found, Row, Slice
from .script import PAUSES, Played, draw_ops

_OPS = 60
_START = 1_700_000_000_000_000_000  # ns


def slices(full: bool) -> list[Slice]:
    """50 seeds a slice in a quick run, 100 in a full one."""
    seeds, count = (100, 100) if full else (50, 2)
    return [Slice(f"seeds-{i * seeds}", {"first": i * seeds, "seeds": seeds}) for i in range(count)]


def _files(fs: recovery.FileSystem, when: str) -> dict[str, str]:
    """Digests of all files but the locks, which hold the number of the process."""
    return {f"{path} {when}": _digest(fs.read_all(path)) for path in fs.walk_files("/") if not path.endswith("/LOCK")}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def options_of(seed: int) -> draws.Options:
    """Return the options of a seed."""
    return draws.draw_options(random.Random(seed), threads=0, scrub__bytes_per_second=0)  # a scrubber is a thread


def trace(seed: int) -> dict[str, str]:
    """Play a seed's list and return digests by name: of each file, of each part of the figures, of all answers."""
    options = options_of(seed)
    rng = random.Random(f"list {seed}")
    ops, pauses = draw_ops(rng, _OPS), [rng.choice(PAUSES) for _ in range(4)]
    fs = recovery.memory()
    fs.set_clock(_START)
    played = Played(options, pauses, fs)
    answers = []
    for i, op in enumerate(ops):
        played.fs.set_clock(_START + (i + 1) * 1_000_000)
        answers.append(played.play(op))
    figures = played.db.stats().to_dict()
    answers.append(played.content())
    trees = [played.db.dump(name) for name in played.db.keyspaces()]
    found = _files(played.fs, "in use")
    played.close()
    found |= _files(played.fs, "closed")
    found |= {f"figures: {name}": _digest(json.dumps(value, sort_keys=True).encode()) for name, value in figures.items()}
    return found | {"options": repr(options), "answers": _digest(repr(answers).encode()), "trees": _digest("\n".join(trees).encode())}


def _traces(given: dict[str, Any]) -> list[dict[str, str]]:
    keep = draws.register_python()
    found = [trace(seed) for seed in range(given["first"], given["first"] + given["seeds"])]
    del keep
    return found


def _process(hash_seed: str) -> subprocess.Popen[str]:
    env, pipe = environment() | {"PYTHONHASHSEED": hash_seed}, subprocess.PIPE
    return subprocess.Popen(command("torture.row_p_same"), env=env, stdin=pipe, stdout=pipe, text=True)


def run(given: dict[str, Any]) -> Found:
    """Compare what two processes made of some seeds."""
    sides = [_process(hash_seed) for hash_seed in ("1", "2")]
    found = Found()
    made = []
    for side in sides:
        said, _ = side.communicate(json.dumps(given))
        if side.returncode:
            found.violations.append(f"the process of seeds {given} ended with {side.returncode}")
            return found
        made.append(json.loads(said))
    for seed, one, other in zip(range(given["first"], given["first"] + given["seeds"]), *made, strict=True):
        found.cases += 1
        if differ := sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)):
            found.violations.append(f"seed {seed}: two runs differ in {', '.join(differ)}; options {one['options']}")
    return found


ROW = Row("P", "the same seed, the same bytes and figures", "seeds", 100, 10_000, slices, run)

if __name__ == "__main__":
    sys.stdout.write(json.dumps(_traces(json.load(sys.stdin))) + "\n")
