"""The errors that the engine raises. Each says what was wrong, where, and what is allowed."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

UNAUTHENTIC = "these bytes fail their authentication: damaged, of another file or database, or not encrypted"


class Error(Exception):
    """Base of everything that the engine raises on purpose."""


class CorruptionError(Error):
    """Bytes that fail a check. `file`, `offset` (or None) and `what` tell where and how."""

    def __init__(self, what: str, file: str = "", offset: int | None = None) -> None:
        self.file, self.offset, self.what = file, offset, what
        where = f"{file}" + (f" at byte {offset}" if offset is not None else "")
        super().__init__(f"{where}: {what}" if where else what)


class IOFailure(Error):
    """The file system refused. `operation`, `path`, `errno`."""

    def __init__(self, operation: str, path: str = "", errno: int = 0) -> None:
        self.operation, self.path, self.errno = operation, path, errno
        super().__init__(f"{operation}{f' {path}' if path else ''}: {os.strerror(errno) if errno else 'failed'} (errno {errno})")


class EncryptionError(Error):
    """The key is wrong, missing, or there is one for a database that is not encrypted. Never shows a key."""


class ReadOnlyError(Error):
    """Writes are refused: opened so, or after a failure of the log; the message says why."""


class ClosedError(Error):
    """The database, keyspace, snapshot or scan is closed."""


class BusyError(Error):
    """Something else is at it: a conflict."""


class BackupError(Error):
    """A backup store, or what is in it, is not what it should be, or the key is not; the message names the file."""


class RestoreError(BackupError):
    """The moment that was asked for cannot be restored, or not to this place; the message says why and what can."""


class PlanRefused(Error):
    """A compaction plan that would break the tree; the message says which rule."""


class Cancelled(Error):
    """A job was cancelled before it was done; nothing has changed."""


class LockedError(Error):
    """Somebody else has the directory open. `holder` is what they wrote about themselves."""

    def __init__(self, path: str, holder: str) -> None:
        self.path, self.holder = path, holder
        super().__init__(f"{path} is open elsewhere: {holder or 'the holder did not say who it is'}")


class InvalidOptions(Error, ValueError):
    """A setting that is not allowed. `key`, `value`, `allowed`."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        self.key, self.value, self.allowed = key, value, allowed
        super().__init__(f"{key} is {value!r}; allowed: {allowed}")


class NotADatabase(Error):
    """The directory holds no database, or is not there, and `create` does not apply."""


class TooLarge(Error, ValueError):
    """A key over 64 KiB, a value over 1 GiB, or a batch over 2 GiB."""


def of_os(e: OSError) -> Error:
    """Return what an error of the file system means: CorruptionError when the encryption refuses what it reads, else IOFailure."""
    path = str(e.filename or "")
    if e.errno == errno.EBADMSG:
        return CorruptionError(UNAUTHENTIC, path)
    return IOFailure(e.strerror or str(e), path, e.errno or 0)


def one_of(key: str, value: object, allowed: Iterable[str]) -> str:
    """Return value when it is one of the names allowed, else raise InvalidOptions with the near ones first."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(str(value), names, n=2)
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    raise InvalidOptions(key, value, (", ".join(names) or "none, since nothing is registered") + hint)
