"""The recording file system as typed Python. Touches the extension, as native.py does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ._native import ffi, lib
from .native import FileSystem, check
from .recording import OPERATIONS, Event, parse

if len(OPERATIONS) != lib.REC_EV_COUNT or ffi.sizeof("rec_event_head") != 56:
    raise ImportError("recovery/recording.py and fs_record.h are of different minds")


class Listener(Protocol):
    """Hears the events of a recording, in order; an order rule, say."""

    def feed(self, event: Event) -> None:
        """Take one event; what it raises ends up at the caller of `mark` or `take`."""


class RecordFileSystem(FileSystem):
    """Passes every call on to ``inner`` and keeps a log of them.

    Writable mappings are refused (ENOTSUP): stores through them are no calls.
    """

    def __init__(self, pointer: object, inner: FileSystem, listeners: Iterable[Listener] = ()) -> None:
        """Use :func:`record`."""
        super().__init__(pointer, inner=inner)
        self._events: list[Event] = []
        self._listeners = tuple(listeners)

    def mark(self, text: str) -> None:
        """Put a mark into the log, such as "acked 17"; listeners hear all that came before it, and it."""
        check(lib.rec_fs_record_mark(self.pointer, text.encode()))
        if self._listeners:
            self._hear()

    def events(self) -> list[Event]:
        """Return all events so far, oldest first. MemoryError when the log could not be kept."""
        self._hear()
        return list(self._events)

    def _hear(self) -> None:
        out, n = ffi.new("uint8_t **"), ffi.new("size_t *")
        if lib.rec_fs_record_take(self.pointer, out, n) < 0:
            raise MemoryError("no memory for the log of a recording")
        try:
            log = bytes(ffi.buffer(out[0], n[0])) if n[0] else b""
        finally:
            lib.rec_bridge_free(out[0])
        for event in parse(log):
            self._events.append(event)
            for listener in self._listeners:
                listener.feed(event)


def record(inner: FileSystem, listeners: Iterable[Listener] = ()) -> RecordFileSystem:
    """Return a wrapper around ``inner`` that records; ``listeners`` hear the events at each mark."""
    return RecordFileSystem(lib.rec_fs_record(inner.pointer), inner, listeners)
