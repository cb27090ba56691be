"""What a directory holds, whether it opens or not: files by kind, what CURRENT and the manifest say, whose database it is.

`recover.look` refuses at the first thing that is wrong; here everything that is wrong is noted, and the rest is used.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from recovery import FileSystem, crc32c, mask

from . import manifest, value_twin
from .errors import CorruptionError, Error, NotADatabase
from .recover import OURS
from .salvage import read_footer
from .table_twin import FOOTER_SIZE

_LOG_HEADER = struct.Struct("<4sHBBQQI")


@dataclass(frozen=True)
class Problem:
    """Something that is wrong: in which file, where (byte ``offset``, ``size``), and which keys it may concern (None: open)."""

    file: str
    what: str
    offset: int | None = None
    size: int = 0
    first: bytes | None = None
    last: bytes | None = None

    def __str__(self) -> str:
        """Return it as a line."""
        where = self.file + (f" at byte {self.offset}" if self.offset is not None else "")
        return f"{where}: {self.what}" + (f" (keys {shown(self.first)} to {shown(self.last)})" if self.first or self.last else "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; keys in hexadecimal."""
        keys = {"first": self.first and self.first.hex(), "last": self.last and self.last.hex()}
        return {"file": self.file, "what": self.what, "offset": self.offset, "size": self.size, **keys, "text": str(self)}


def shown(key: bytes | None) -> str:
    """Return a key for people, cut at 60 bytes; "..." where a range is open."""
    return "..." if key is None else repr(key)[1:] if len(key) <= 60 else f"{key[:60]!r}"[1:] + f"... ({len(key)} bytes)"


def problem_of(e: Error | OSError, file: str = "") -> Problem:
    """Return an error as a problem of the file that it names."""
    path = getattr(e, "file", "") or getattr(e, "path", "") or getattr(e, "filename", "") or file
    return Problem(str(path).rsplit("/", 1)[-1] or file, getattr(e, "what", "") or str(e), getattr(e, "offset", None))


@dataclass
class Inventory:
    """Files by number or name; ``state``: what the readable records of the manifest say, None without any.

    ``whole``: CURRENT and manifest are both there and undamaged, so that state is the newest there was.
    """

    path: str
    names: list[str]
    tables: list[int] = field(default_factory=list)
    logs: list[int] = field(default_factory=list)
    riders: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    state: manifest.State | None = None
    manifest_name: str | None = None
    whole: bool = False
    database: int | None = None
    log_owner: int | None = None  # without a state: what most logs are seeded with, the database or a timeline of it

    @property
    def salt(self) -> int:
        """What the checksums of the log are seeded with."""
        return self.state.log_salt if self.state else self.log_owner or self.database or 0

    @property
    def highest(self) -> int:
        """The largest number of any file."""
        numbers = [int(n.removeprefix("MANIFEST-")) for n in self.manifests]
        return max([0, *self.tables, *self.logs, *self.riders, *self.values, *numbers])


def take(fs: FileSystem, path: str) -> Inventory:
    """Look at a directory. NotADatabase when there is no such directory, or nothing of a database in it; OSError when it cannot be read."""
    if not fs.exists(path) or not fs.stat(path)[1]:
        raise NotADatabase(f"{path} is no directory")
    found = Inventory(path, fs.listdir(path))
    kinds = {"sst": found.tables, "log": found.logs, "idx": found.riders, "vlog": found.values}
    for name in found.names:
        match = OURS.fullmatch(name)
        if not match:
            found.foreign.append(name)
        elif match[2]:
            kinds[match[2]].append(int(match[1]))
        elif match[3]:
            found.manifests.append(name)
    if not (found.tables or found.logs or found.riders or found.values or found.manifests or "CURRENT" in found.names):
        raise NotADatabase(f"{path} holds no database")
    _read_manifest(fs, found)
    owners = Counter(owner for n in found.logs for owner in _log_owner(fs, f"{path}/{n:06d}.log"))
    found.log_owner = owners.most_common(1)[0][0] if owners else None
    found.database = found.state.database_id if found.state else _vote(fs, found)
    return found


def _read_manifest(fs: FileSystem, found: Inventory) -> None:
    """The manifest that CURRENT names; without it the newest that has a readable record."""
    named, at_least = None, 0
    try:
        if "CURRENT" not in found.names:
            raise CorruptionError("CURRENT is missing: which manifest is the newest is not said", "CURRENT")
        named, at_least = manifest.read_current(fs, found.path)
        if named not in found.manifests:
            raise CorruptionError("the manifest that CURRENT names is missing", named)
    except (Error, OSError) as e:
        found.problems.append(problem_of(e, "CURRENT"))
    by_number = sorted(found.manifests, key=lambda n: int(n.removeprefix("MANIFEST-")), reverse=True)
    for name in [named] if named in found.manifests else by_number:
        assert name is not None
        problems = _read_one(fs, found, name, at_least if name == named else 0)
        found.problems += problems
        if found.state is not None:
            found.manifest_name = name
            found.whole = name == named and not problems
            break


def _read_one(fs: FileSystem, found: Inventory, name: str, at_least: int) -> list[Problem]:
    try:
        rows, damage = manifest.readable_rows(fs.read_all(f"{found.path}/{name}"), name)
    except OSError as e:
        return [problem_of(e, name)]
    problems = [problem_of(damage)] if damage is not None else []
    if rows and len(rows) < at_least:
        problems.append(Problem(name, f"the manifest has {len(rows)} records, CURRENT promises {at_least}"))
    while rows:
        try:
            found.state = manifest.state_of(rows, name)
            break
        except NotADatabase:
            raise
        except Error as e:
            problems.append(problem_of(e, name))
            rows = rows[:-1]
    return problems


def _vote(fs: FileSystem, found: Inventory) -> int | None:
    """The database that most tables and value files say they belong to; without any, what most logs say."""
    votes: Counter[int] = Counter()
    for n in found.tables:
        footer = footer_of(fs, f"{found.path}/{n:06d}.sst")
        votes.update([footer.database] if footer else [])
    for n in found.values:
        footer = value_footer_of(fs, f"{found.path}/{n:06d}.vlog")
        votes.update([footer.database] if footer else [])
    return votes.most_common(1)[0][0] if votes else found.log_owner


def footer_of(fs: FileSystem, path: str) -> Any:
    """Return the Footer of a table's file, None when it has none that is right, or cannot be read."""
    try:
        with fs.open(path) as f:
            size = f.size()
            return read_footer(f.pread(FOOTER_SIZE, max(0, size - FOOTER_SIZE)))
    except OSError:
        return None


def value_footer_of(fs: FileSystem, path: str) -> Any:
    """Return the footer of a value file, None when it has none that is right, or cannot be read."""
    try:
        with fs.open(path) as f:
            return value_twin.read_footer(f.pread(value_twin.FOOTER_SIZE, max(0, f.size() - value_twin.FOOTER_SIZE)), crc32c)
    except OSError:
        return None


def _log_owner(fs: FileSystem, path: str) -> list[int]:
    try:
        with fs.open(path) as f:
            raw = f.pread(32, 0)
    except OSError:
        return []
    if len(raw) < 32 or raw[:4] != b"LWAL" or mask(crc32c(raw[:28])) != int.from_bytes(raw[28:], "little"):
        return []
    return [int(_LOG_HEADER.unpack(raw[:28])[5])]
