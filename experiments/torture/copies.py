"""Backup stores as samples for row F: every damage is told by `verify`, and a restore gives the right content or an error with the file.

A store has two backups and the archived log behind them: of a plain one, and of an encrypted and compressed one. That a record is gone
as a whole nobody can know: then what came before it may come back, as if it had not been made.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import lsm
import recovery
from recovery import BackupStore

from .damages import Damage

HOME = "/store"
_SMALL: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "cache": {"capacity": 1 << 16, "shards": 1},
    "wal": {"segment_bytes": 4096},
}
_START = 1_700_000_000 * 10**9
KEY = b"the key of row F's backup store."
Content = dict[str, list[tuple[bytes, bytes]]]


@dataclass(frozen=True)
class Copies:
    """Files by name, and what is restored from them: as it was at the first backup, at the second, and at the end of the log."""

    name: str
    files: dict[str, bytes]
    contents: list[Content]
    last_seq: int
    key: bytes | None


class _Sealed(BackupStore):
    """A store whose salts follow from a seed."""

    chance: random.Random

    def new_salt(self) -> bytes:
        return self.chance.randbytes(32)


def _content(db: lsm.DB) -> Content:
    return {name: list(db.keyspace(name).scan()) for name in ("default", "other")}


@cache
def make(name: str, seed: int = 1) -> Copies:
    """Make a sample: "backup" or "backup_sealed"; the same bytes every time."""
    fs, clock, rng = recovery.memory(), recovery.Clock(_START), random.Random(seed)
    contents = []
    archived = _SMALL | {"wal": {"archive": HOME, "segment_bytes": 4096}}
    with lsm.open("/d", archived, fs=fs, clock=clock, seed=seed) as db:
        other = db.keyspace("other")
        for part in range(3):
            for i in range(12):
                clock.now_ns += 10**6
                space = db.default if i % 3 else other
                space.put(b"key%02d" % rng.randrange(20), bytes(rng.randrange(1, 256) for _ in range(9)) + b"abc" * rng.randrange(9))
                if i == 6 and part < 2:
                    db.flush()
            db.delete(b"key%02d" % rng.randrange(20))
            if part < 2:
                db.backup(HOME)
            contents.append(_content(db))
        db.archive_now()
        last = db.core.sequence()
    if name == "backup_sealed":
        _seal(fs, seed)
    files = {path.removeprefix(f"{HOME}/"): fs.read_all(path) for path in fs.walk_files(HOME) if not path.endswith("LOCK")}
    return Copies(name, files, contents, last, KEY if name == "backup_sealed" else None)


def _seal(fs: recovery.MemoryFileSystem, seed: int) -> None:
    """Put an encrypted, compressed store with the same content in the place of a plain one."""
    plain = BackupStore(fs, HOME)
    _Sealed.chance = random.Random(seed)
    sealed = _Sealed(fs, "/sealed", key=KEY, codec="zstd")
    for kind in ("backup", "segment"):
        for name in plain.names(kind):
            row = plain.record(kind, name)
            for file in row["files"]:
                pieces = list(plain.read(file["object"], file["size"]))
                file["object"] = sealed.add(lambda p=pieces: iter(p)).digest  # type: ignore[misc]
            sealed.put_record(kind, name, row)
    fs.rename(HOME, "/plain")
    fs.rename("/sealed", HOME)


class Court:
    """Judges damages of a store: verifies, and restores one of the three contents, by turns."""

    def __init__(self, sample: Copies) -> None:
        self.sample = sample
        self.fs = recovery.memory()
        for name in [HOME, *sorted({f"{HOME}/{n.rpartition('/')[0]}" for n in sample.files})]:
            self.fs.makedirs(name)
        for name, data in sample.files.items():
            self.fs.write_all(f"{HOME}/{name}", data)

    def judge(self, damage: Damage, counts: Counter[str]) -> list[str]:
        """Return what is wrong."""
        for name, data in damage.files.items():
            self._put(name, data)
        try:
            told, restored = self._ask((damage.group if damage.one_bit else zlib.crc32(damage.what.encode())) % 3)
        finally:
            for name in damage.files:
                self._put(name, self.sample.files[name])
        return self.compare(damage, told, restored, counts)

    def _put(self, name: str, data: bytes | None) -> None:
        if data is None:
            self.fs.unlink(f"{HOME}/{name}")
        else:
            self.fs.write_all(f"{HOME}/{name}", data)

    def _ask(self, which: int) -> tuple[list[str], dict[int, Content]]:
        """What is said, and which content came back, if it did."""
        told, into = list[str](), recovery.memory()
        how: dict[str, Any] = ({"backup": "000001"}, {}, {"to_seq": self.sample.last_seq})[which]
        try:
            backups = lsm.Backups(HOME, fs=self.fs, key=self.sample.key)
            told += backups.verify()
            backups.restore("/out", fs=into, **how)
            with lsm.open("/out", _SMALL, fs=into, create=False) as db:
                told += db.verify()
                return told, {which: _content(db)}
        except lsm.Error as e:
            return [*told, str(e)], {}

    def compare(self, damage: Damage, told: list[str], restored: Mapping[int, Content], counts: Counter[str]) -> list[str]:
        """Return what is wrong with what was said and restored after a damage."""
        names = [n.rpartition("/")[2] for n in damage.files]
        wrong = [f"UNNAMED: {line!r} does not name {', '.join(names)}" for line in told if damage.one_bit and names[0] not in line]
        gone = any(data is None and n.startswith("records/") for n, data in damage.files.items())
        for which, content in restored.items():
            if content not in (self.sample.contents[: which + 1] if gone else [self.sample.contents[which]]):
                wrong.append(f"WRONG: content {which} is {content!r:.200}, was {self.sample.contents[which]!r:.200}")
        same_key = set(damage.files) == {"STORE"} and not damage.one_bit and bool(restored)  # of another store under this one's key
        if not told and not gone and not same_key:
            wrong.append("UNSEEN: nobody noticed")
        counts["restored right" if restored else "refused"] += 1
        return wrong
