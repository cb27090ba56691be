"""How a tree came to be what it is: every flush, merge and move since the manifest was begun, read from a database's files.

A manifest begins with a snapshot whenever a database is opened and again after some thousand edits; a history goes back that far. Nothing
is written, and the database may be open elsewhere: then the history ends with the last edit that was whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import recovery
from recovery import FileSystem

from . import manifest
from .encryption import KeySource, reading
from .errors import CorruptionError
from .version import Edit, TableInfo, Version


@dataclass(frozen=True)
class Step:
    """One edit of the tree: tables that it took away and brought, each with its level, and the version that it led to.

    ``kind``: start (what was there), flush, merge, move (tables that changed their level and not their bytes), drop (nothing came in
    their place), or add (of a repair).
    """

    kind: str
    removed: tuple[tuple[int, TableInfo], ...]
    added: tuple[tuple[int, TableInfo], ...]
    version: Version

    @property
    def level(self) -> int:
        """The level that it wrote to; -1 when it brought nothing."""
        return self.added[0][0] if self.added else -1

    @property
    def bytes_in(self) -> int:
        """Bytes that a merge read; 0 for other kinds."""
        return sum(t.size for _, t in self.removed) if self.kind == "merge" else 0

    @property
    def bytes_out(self) -> int:
        """Bytes that a flush or a merge wrote; 0 for other kinds."""
        return sum(t.size for _, t in self.added) if self.kind in ("flush", "merge") else 0

    def __str__(self) -> str:
        """Return it in words."""
        if self.kind == "start":
            return f"start: {len(self.added)} tables"
        if self.kind == "drop":
            return f"drop of {len(self.removed)} tables"
        if self.kind in ("flush", "add"):
            return f"{self.kind}: {len(self.added)} tables of {self.bytes_out:,} bytes to L{self.level}"
        of: dict[int, int] = {}
        for level, _ in self.removed:
            of[level] = of.get(level, 0) + 1
        source = " and ".join(f"{n} of L{level}" for level, n in sorted(of.items()))
        sizes = f", {self.bytes_in:,} bytes became {self.bytes_out:,}" if self.kind == "merge" else ""
        return f"{self.kind} of {source} to L{self.level if self.added else max(of)}{sizes}"


def _kind(edit: Edit) -> str:
    if not edit.removed:
        return "flush" if edit.flushed_seq is not None else "add"
    if not edit.added:
        return "drop"
    return "move" if {t.number for _, _, t in edit.added} == set(edit.removed) else "merge"


def _step(edit: Edit, version: Version) -> Step | None:
    if not edit.removed and not edit.added:
        return None  # a flush of what left no entry
    before, where = version.tables(), version.where()
    removed = tuple((where[n][0], before[n]) for n in edit.removed)
    return Step(_kind(edit), removed, tuple((level, t) for level, _, t in edit.added), version.apply(edit))


def _steps(rows: list[dict[str, Any]], path: str) -> dict[str, tuple[Step, ...]]:
    state = manifest.state_of(rows[:1], path)
    found = {n: [_start(version)] for n, version in state.versions.items()}
    for row in rows[1:]:
        for edit in manifest.edits_of(row):
            made = _step(edit, found.setdefault(edit.keyspace, [_start(Version())])[-1].version)
            found[edit.keyspace] += [made] if made is not None else []
    names = manifest.state_of(rows, path).names
    return {name: tuple(found.get(n, [_start(Version())])) for n, name in sorted(names.items())}


def _start(version: Version) -> Step:
    return Step("start", (), tuple((level, t) for level, run in version.runs() for t in run.tables), version)


def history(
    path: str | os.PathLike[str], *, fs: FileSystem | None = None, encryption: KeySource | None = None
) -> dict[str, tuple[Step, ...]]:
    """Return how the tree of each keyspace that lives changed, by its name: steps, oldest first; the first is what was there.

    encryption: the key of an encrypted database, as `lsm.open` takes it. NotADatabase, CorruptionError, EncryptionError. O(edits x tables).
    """
    path = os.path.abspath(os.fspath(path))
    fs = reading(fs or recovery.posix(), path, encryption)
    name, _ = manifest.read_current(fs, path)
    file = f"{path}/{name}"
    if not fs.exists(file):
        raise CorruptionError("the manifest that CURRENT names is missing", file)
    return _steps(manifest.read_rows(fs.read_all(file), file), file)
