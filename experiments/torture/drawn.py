"""Stories over drawn options, for the rows whose question is about every part of the engine: they read in every way, and merge."""

from __future__ import annotations

import random

import lsm

from .draws import draw_options
from .story import CLOSE, COMPACT, FLUSH, OPEN, REOPEN, VERIFY, Play, Step, Story, overwrites

N = 8


def _read(play: Play) -> None:
    """Read what there is in every way; AssertionError when two ways disagree."""
    db = play.db
    assert db is not None
    allowed = [sorted(m.get("default", {}).items()) for m in play.may]
    with db.snapshot() as then:
        keys = [b"%03d" % i for i in range(14)]
        ways = {
            "scan": list(db.scan()),
            "reverse": list(db.scan(reverse=True))[::-1],
            "snapshot": list(db.scan(snapshot=then)),
            "range": db.range(),
            "two ranges": [*db.range(None, b"006"), *db.range(b"006", None, limit=100)],
            "get_many": [(k, v) for k, v in zip(keys, db.get_many(keys), strict=True) if v is not None],
            "get": [(k, v) for k in keys if (v := db.get(k)) is not None],
        }
    for way, got in ways.items():
        if got not in allowed or got != ways["scan"]:
            raise AssertionError(f"{way} answers {got!r:.200}; allowed: {allowed!r:.400}; scan: {ways['scan']!r:.200}")


READ = Step("read", _read)


def drawn(sync: str = "group", seed: int = 0) -> dict[str, Story]:
    """Return N stories by name, each with options of its own; nothing runs in the background."""
    made = {}
    for n in range(N):
        rng = random.Random(f"drawn {seed} {n}")
        options = draw_options(
            rng, threads=0, seed=seed, write_buffer=1024, wal__sync=sync, wal__enabled=True, wal__recovery="point_in_time",
            stalls__disk_ms=0, scrub__bytes_per_second=0, table__block_size=rng.choice((64, 200)),
            memtable=list(lsm.MEMTABLES)[n % len(lsm.MEMTABLES)],
        )  # fmt: skip
        steps = [OPEN, *overwrites(10, rng), READ, FLUSH, *overwrites(8, rng), REOPEN, READ, COMPACT, VERIFY, READ, CLOSE]
        made[f"drawn {n}"] = Story(f"drawn {n}", lsm.Options.from_dict(options), steps)
    return made
