"""A recording: the calls that a file system was asked for, as events, with marks between them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

OPERATIONS = (
    "open", "close", "append", "pwrite", "pread", "sync", "truncate", "allocate", "size_of", "map", "unmap", "rename", "link", "unlink",
    "mkdir", "rmdir", "stat", "list", "sync_dir", "lock", "mark",
)  # fmt: skip
"""Names of events, as the members of rec_fs_ops, and "mark"; in the order of the enum in fs_record.h."""
CHANGES = frozenset(
    ("open", "append", "pwrite", "sync", "truncate", "allocate", "rename", "link", "unlink", "mkdir", "rmdir", "sync_dir", "lock")
)
"""Events that may change what is in files and directories, or how much of it is durable."""
_HEAD = struct.Struct("=IIqQQQIIII")


@dataclass(frozen=True, slots=True)
class Event:
    """One call, or a mark (its text in `data`).

    `file` numbers the opens, from 1: events of one open file share it. `offset`: of reads and writes; of an open its flags. `length`: bytes
    asked for, or the size of truncate and allocate. `data`: what was written; of a lock its holder. `other`: the new name of rename and
    link. `result`: 0, bytes read, or -errno. `thread`: from 1, in the order of their first calls.
    """

    op: str
    path: str = ""
    other: str = ""
    file: int = 0
    offset: int = 0
    length: int = 0
    data: bytes = b""
    result: int = 0
    thread: int = 1

    @property
    def text(self) -> str:
        """The text of a mark."""
        return self.data.decode() if self.op == "mark" else ""

    def __str__(self) -> str:
        """Return it as a call."""
        if self.op == "mark":
            return f"mark({self.text})"
        given = [self.path] + [x for x in (self.other,) if x]
        if self.op in ("append", "pwrite", "pread", "map"):
            given += [f"{self.length} bytes at {self.offset}"]
        elif self.op in ("truncate", "allocate"):
            given.append(str(self.length))
        return f"{self.op}({', '.join(given)})" + (f" = {self.result}" if self.result < 0 else "")


def parse(log: bytes) -> Iterator[Event]:
    """Yield the events of a log that the extension made (fs_record.h)."""
    at = 0
    while at < len(log):
        op, thread, result, file, offset, length, n_path, n_other, n_data, _ = _HEAD.unpack_from(log, at)
        path = at + _HEAD.size
        other = path + n_path
        data = other + n_other
        at = data + n_data
        yield Event(
            OPERATIONS[op], log[path:other].decode("utf-8", "surrogateescape"), log[other:data].decode("utf-8", "surrogateescape"),
            file, offset, length, log[data:at], result, thread,
        )  # fmt: skip
