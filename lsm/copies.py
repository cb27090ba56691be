"""Copies of a database to take whole files from: a checkpoint, a target of backups, or any directory with some of its files."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress

from recovery import FileSystem, StoreDamage, file_pieces

from . import backup, backup_form
from .errors import UNAUTHENTIC, NotADatabase
from .inventory import footer_of, value_footer_of
from .version import TableInfo, ValueInfo

Source = Callable[[], Iterator[bytes]]
"""The bytes of a file, in pieces. StoreDamage, OSError."""


class Copy:
    """Finds a table or value file by what the manifest says of it. What it gives is to be verified before it is used."""

    def __init__(self, path: str, *, fs: FileSystem, below: FileSystem, key: bytes | str | None, database: int) -> None:
        """fs: to read files of the database, below: without its encryption. NotADatabase: no such directory; BackupError; IOFailure."""
        self._fs, self._path, self._database = fs, path, database
        if not below.exists(path):
            raise NotADatabase(f"{path} does not exist; give the directory of a checkpoint or of backups")
        self._store = backup.open_store(below, path, key=key) if below.exists(f"{path}/STORE") else None

    def find(self, name: str, info: TableInfo | ValueInfo) -> Source | None:
        """Return the bytes of the very file: of this size, number and footer. None when the copy has it not."""
        return self._in_store(name, info) if self._store is not None else self._in_directory(info)

    def _in_store(self, name: str, info: TableInfo | ValueInfo) -> Source | None:
        store, identity = self._store, f"{info.size}-{info.footer_crc:08x}"
        assert store is not None
        with backup.translated(store):
            for number in reversed(backup_form.names(store, "backup")):
                row = backup_form.record(store, "backup", number)
                for f in row["files"] if int(row["database"], 16) == self._database else ():
                    if (f["name"], f.get("identity")) == (name, identity):
                        return lambda f=f: store.read(f["object"], f["size"])  # type: ignore[misc]
        return None

    def _in_directory(self, info: TableInfo | ValueInfo) -> Source | None:
        """By whatever name."""
        fs, footer_at = self._fs, footer_of if isinstance(info, TableInfo) else value_footer_of
        for path in fs.walk_files(self._path):
            with suppress(OSError):
                footer = footer_at(fs, path) if fs.stat(path)[0] == info.size else None
                if footer and (footer.database, footer.number, footer.crc) == (self._database, info.number, info.footer_crc):
                    return lambda path=path: _pieces(fs, path, info.size)  # type: ignore[misc]
        return None


def _pieces(fs: FileSystem, path: str, size: int) -> Iterator[bytes]:
    try:
        yield from file_pieces(fs, path, size)
    except OSError as e:
        if e.errno == errno.EBADMSG:
            raise StoreDamage(UNAUTHENTIC, path) from None
        raise
