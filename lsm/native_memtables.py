"""Memtables from Python: the built-in ops tables, one memtable to drive by hand, and the adapter for memtables written in Python."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from indexes.native import hold, let_go

from ._native import ffi, lib
from .memtable_python import MemtableObject
from .memtable_twin import MAX_SEQ, Entry, order

BUILT_IN = ("btree", "skiplist", "vector", "hash")
_ENTRY_OVERHEAD = 250  # bytes of the Python objects around an entry, about


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _read(entry: Any) -> Entry:
    """Copy an lsm_entry out."""
    return Entry(bytes(ffi.buffer(entry.key, entry.key_len)), entry.seq, entry.kind, bytes(ffi.buffer(entry.value, entry.value_len)))


def _fill(out: Any, entry: Entry) -> None:
    """Point an lsm_entry at an Entry's bytes, which must outlive it."""
    out.key = ffi.from_buffer("uint8_t[]", entry.key)
    out.value = ffi.from_buffer("uint8_t[]", entry.value)
    out.key_len, out.value_len, out.kind, out.seq = len(entry.key), len(entry.value), entry.kind, entry.seq


class MemtableOps:
    """A memtable's ops table. `address` is what keyspaces take; the object must outlive its users."""

    def __init__(self, address: int) -> None:
        """Wrap the address of an lsm_memtable_ops. ValueError when it is null or of another ABI."""
        if address == 0:
            raise ValueError("memtable address is 0; allowed: the address of an lsm_memtable_ops")
        ops = ffi.cast("const lsm_memtable_ops *", address)
        if ops.abi != lib.LSM_ABI or ops.size < ffi.sizeof("lsm_memtable_ops"):
            need = f"abi {lib.LSM_ABI}, size {ffi.sizeof('lsm_memtable_ops')}"
            raise ValueError(f"memtable ops have abi {ops.abi}, size {ops.size}; allowed: {need}")
        self.address = address
        self.name: str = ffi.string(ops.name).decode()
        self.table = ops


def builtin_memtable(name: str) -> MemtableOps:
    """Return a built-in memtable's ops. ValueError for a name that is not in BUILT_IN."""
    found = lib.lsm_memtable_find(name.encode())
    if found == ffi.NULL:
        raise ValueError(f"memtable kind is {name!r}; allowed: {', '.join(BUILT_IN)}")
    return MemtableOps(_address(found))


class Cursor:
    """A position in an lsm_iter, moved by hand. None from a move means the end; RuntimeError an error of the iterator."""

    def __init__(self, it: Any) -> None:
        """Take over an iterator (a cdata lsm_iter pointer), which close closes. MemoryError when it is null."""
        if it == ffi.NULL:
            raise MemoryError("no iterator")
        self.it: Any = it

    def _show(self) -> Entry | None:
        if self.it.status < 0:
            raise RuntimeError(f"iterator stopped with status {self.it.status}")
        return _read(self.it.entry) if self.it.valid else None

    def first(self) -> Entry | None:
        """Move to the first entry."""
        self.it.ops.first(self.it)
        return self._show()

    def last(self) -> Entry | None:
        """Move to the last entry."""
        self.it.ops.last(self.it)
        return self._show()

    def seek(self, key: bytes, seq: int = MAX_SEQ) -> Entry | None:
        """Move to the first entry at or after (key, seq)."""
        self.it.ops.seek(self.it, ffi.from_buffer(key), len(key), seq)
        return self._show()

    def seek_before(self, key: bytes) -> Entry | None:
        """Move to the last entry whose key is less."""
        self.it.ops.seek_before(self.it, ffi.from_buffer(key), len(key))
        return self._show()

    def next(self) -> Entry | None:
        """Move on by one; only from an entry."""
        self.it.ops.next(self.it)
        return self._show()

    def prev(self) -> Entry | None:
        """Move back by one; only from an entry."""
        self.it.ops.prev(self.it)
        return self._show()

    def close(self) -> None:
        """Free the iterator."""
        it, self.it = self.it, ffi.NULL
        if it != ffi.NULL:
            it.ops.close(it)


def merged(cursors: Sequence[Cursor]) -> Cursor:
    """Return the merging iterator over these (newest first), which takes them over."""
    children = ffi.new("lsm_iter *[]", [c.it for c in cursors] or 1)
    out = Cursor(lib.lsm_merge_iter(children, len(cursors), ffi.NULL))
    for c in cursors:
        c.it = ffi.NULL
    return out


class Memtable:
    """One memtable, driven from Python: for tests and for a look at a component of one's own. The engine does this in C."""

    def __init__(self, ops: MemtableOps, budget: int = 64 << 20, seed: int = 0) -> None:
        """Create it. MemoryError."""
        self.ops = ops
        self._table = ops.table
        self._m = self._table.create(ffi.new("lsm_memtable_config *", {"budget": budget, "seed": seed}))
        if self._m == ffi.NULL:
            raise MemoryError(f"memtable {ops.name}")

    def add(self, entry: Entry) -> None:
        """Insert a version; one thread at a time. RuntimeError with the status when the memtable refuses."""
        raw = ffi.new("lsm_entry *")
        _fill(raw, entry)
        status = self._table.add(self._m, raw)
        if status != lib.LSM_OK:
            raise RuntimeError(f"{self.ops.name}: add gave status {status}")

    def get(self, key: bytes, snapshot: int = MAX_SEQ) -> Entry | None:
        """Return the newest version of key with seq <= snapshot, or None. Any thread."""
        out = ffi.new("lsm_entry *")
        status = self._table.get(self._m, ffi.from_buffer("uint8_t[]", key), len(key), snapshot, out)
        if status < 0:
            raise RuntimeError(f"{self.ops.name}: get gave status {status}")
        return _read(out) if status == lib.LSM_OK else None

    def get_many(self, keys: Sequence[bytes], snapshot: int = MAX_SEQ) -> list[Entry | None]:
        """Return what get would for each key; through the table's own get_many where it has one."""
        if self._table.get_many == ffi.NULL:
            return [self.get(key, snapshot) for key in keys]
        buffers = [ffi.from_buffer("uint8_t[]", key) for key in keys]
        out, found = ffi.new("lsm_entry[]", len(keys)), ffi.new("uint8_t[]", len(keys))
        lens = ffi.new("size_t[]", [len(key) for key in keys])
        self._table.get_many(self._m, ffi.new("uint8_t *[]", buffers), lens, len(keys), snapshot, out, found)
        return [_read(out[i]) if found[i] else None for i in range(len(keys))]

    def cursor(self) -> Cursor:
        """Return an iterator; close it before the memtable. Any thread."""
        return Cursor(self._table.iter(self._m))

    def __iter__(self) -> Iterator[Entry]:
        cursor = self.cursor()
        try:
            entry = cursor.first()
            while entry is not None:
                yield entry
                entry = cursor.next()
        finally:
            cursor.close()

    def __len__(self) -> int:
        return int(self._table.count(self._m))

    def memory(self) -> int:
        """Return the bytes held."""
        return int(self._table.memory(self._m))

    def seal(self) -> None:
        """Tell it that there will be no further add."""
        self._table.seal(self._m)

    def close(self) -> None:
        """Free it."""
        m, self._m = self._m, ffi.NULL
        if m != ffi.NULL:
            self._table.destroy(m)


class _State:
    """A Python memtable behind a handle."""

    def __init__(self, memtable: MemtableObject) -> None:
        self.memtable = memtable
        self.lock = threading.Lock()  # the engine reads while it writes; the object sees one call at a time
        self.count = 0
        self.memory = 0


class _SequenceIterators:
    """The callbacks of iterators over sorted sequences of entries. An error in the sequence becomes the iterator's status."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Any, Sequence[Entry], list[int]]] = {}
        self.last_error: BaseException | None = None
        moves: dict[str, Callable[..., int]] = {
            "first": lambda entries, at: 0,
            "last": lambda entries, at: len(entries) - 1,
            "next": lambda entries, at: at + 1,
            "prev": lambda entries, at: at - 1,
            "seek": self._seek,
            "seek_before": self._seek_before,
        }
        types = dict(ffi.typeof("lsm_iter_ops").fields)
        self._kept = {name: ffi.callback(types[name].type, self._mover(move)) for name, move in moves.items()}
        self._kept["close"] = ffi.callback(types["close"].type, self._close)
        self.ops = ffi.new("lsm_iter_ops *", {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_iter_ops"), **self._kept})

    @staticmethod
    def _seek(entries: Sequence[Entry], at: int, key: Any, n: int, seq: int) -> int:
        return bisect_left(entries, (bytes(ffi.buffer(key, n)), -min(seq, MAX_SEQ), -255), key=order)

    @staticmethod
    def _seek_before(entries: Sequence[Entry], at: int, key: Any, n: int) -> int:
        return bisect_left(entries, (bytes(ffi.buffer(key, n)), -MAX_SEQ - 1, 0), key=order) - 1

    def _close(self, it: Any) -> None:
        del self._open[_address(it)]

    def _mover(self, move: Callable[..., int]) -> Callable[..., None]:
        def call(it: Any, *args: Any) -> None:
            it.valid = 0
            try:
                _, entries, place = self._open[_address(it)]
                place[0] = move(entries, place[0], *args)
                it.status = lib.LSM_OK
                if 0 <= place[0] < len(entries):
                    _fill(it.entry, entries[place[0]])
                    it.valid = 1
            except BaseException as problem:
                self.last_error = problem
                it.status = lib.LSM_PLUGIN

        return call

    def open(self, entries: Sequence[Entry]) -> Any:
        """Return a new lsm_iter over entries, which are in order and live until the iterator is closed."""
        it = ffi.new("lsm_iter *")
        it.ops = self.ops
        self._open[_address(it)] = (it, entries, [-1])
        return it


_iterators = _SequenceIterators()


def sequence_cursor(entries: Iterable[Entry] | Sequence[Entry]) -> Cursor:
    """Return an iterator over entries that are in order; a sequence that raises makes it stop with an error."""
    return Cursor(_iterators.open(entries if isinstance(entries, Sequence) else list(entries)))


class PythonMemtable(MemtableOps):
    """The ops table of a memtable written in Python. Keep it alive as long as any keyspace uses it.

    Slow: each call takes the interpreter's lock and crosses from C to Python. `last_error` is the last exception that the object
    raised; C saw LSM_PLUGIN (from add and iterators) or an absent key's status (from get: LSM_PLUGIN too).
    """

    def __init__(self, factory: Callable[[int, int], MemtableObject], name: str) -> None:
        """Take what makes a memtable from (budget in bytes, seed), and the name that records will show."""
        self._factory = factory
        self._alive: dict[int, tuple[Any, _State]] = {}
        self.last_error: BaseException | None = None
        self._name = ffi.new("char[]", name.encode())
        calls: dict[str, tuple[Callable[..., Any], Any]] = {  # what C calls, and what it gets when that raises
            "create": (self._create, ffi.NULL),
            "destroy": (self._destroy, None),
            "add": (self._add, lib.LSM_PLUGIN),
            "get": (self._get, lib.LSM_PLUGIN),
            "iter": (self._iter, ffi.NULL),
            "memory": (lambda m: self._state(m).memory, 0),
            "count": (lambda m: self._state(m).count, 0),
            "seal": (lambda m: None, None),
        }
        types = dict(ffi.typeof("lsm_memtable_ops").fields)
        self._callbacks = {
            slot: ffi.callback(types[slot].type, call, error=error, onerror=self._note) for slot, (call, error) in calls.items()
        }
        self._ops = ffi.new("lsm_memtable_ops *", {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_memtable_ops"), "name": self._name})
        for slot, callback in self._callbacks.items():
            setattr(self._ops, slot, callback)
        super().__init__(_address(self._ops))

    def _note(self, kind: Any, problem: BaseException, trace: Any) -> None:
        self.last_error = problem

    def _state(self, m: Any) -> _State:
        state: _State = ffi.from_handle(m)
        return state

    def _create(self, config: Any) -> Any:
        state = _State(self._factory(config.budget, config.seed))
        handle = ffi.new_handle(state)
        self._alive[_address(handle)] = (handle, state)
        hold(self)
        return handle

    def _destroy(self, m: Any) -> None:
        del self._alive[_address(m)]
        let_go(self)

    def _add(self, m: Any, raw: Any) -> int:
        state, entry = self._state(m), _read(raw)
        with state.lock:
            state.memtable.add(entry)
        state.count += 1
        state.memory += len(entry.key) + len(entry.value) + _ENTRY_OVERHEAD
        return int(lib.LSM_OK)

    def _get(self, m: Any, key: Any, n: int, snapshot: int, out: Any) -> int:
        state = self._state(m)
        with state.lock:
            found = state.memtable.get(bytes(ffi.buffer(key, n)), min(snapshot, MAX_SEQ))
        if found is None:
            return int(lib.LSM_NOT_FOUND)
        _fill(out, found)
        return int(lib.LSM_OK)

    def _iter(self, m: Any) -> Any:
        state = self._state(m)
        with state.lock:
            return _iterators.open(state.memtable.entries())
