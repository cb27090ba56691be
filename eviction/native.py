"""Policies and replay as typed Python: the only door to ``eviction._native``."""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

try:
    from ._native import ffi as ffi
    from ._native import lib as lib
except ImportError as problem:
    raise ImportError("eviction/_native is missing or does not load: run make build") from problem

from . import _stamp

_stamp.check(ffi.string(lib.eviction_build_stamp()).decode())

Keys = NDArray[np.uint64]
# Keep an object that C will call: the collector frees a cycle in any order, and so does the end of the process.
_hold = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", ctypes.pythonapi))
_let_go = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_DecRef", ctypes.pythonapi))
NONE = int(lib.EVI_NONE)
MAX_SLOTS = 1 << 29
_EPROTO = 71
_ENOMEM = 12


class BrokenPolicy(ValueError):
    """A policy returned a victim that it does not hold; the message names policy and slot."""


def find(kind: str) -> int | None:
    """Return the address of a built-in policy's ops table (``evi_ops *``), or None when there is no such kind."""
    ops = lib.evi_find(kind.encode())
    return None if ops == ffi.NULL else int(ffi.cast("uintptr_t", ops))


def checked(address: int) -> int:
    """Return the address of an ops table when its abi and size fit this build; ValueError otherwise."""
    ops = _ops(address)
    if ops == ffi.NULL or ops.abi != lib.EVI_ABI or ops.size < ffi.sizeof("evi_ops"):
        raise ValueError(f"no evi_ops of abi {lib.EVI_ABI} and size {ffi.sizeof('evi_ops')} at {address:#x}")
    return address


def _ops(address: int) -> Any:
    return ffi.cast("evi_ops *", address)


def _config(capacity: int, slots: int, seed: int, params: str, unit: bool = False) -> tuple[Any, Any]:
    text = ffi.new("char[]", params.encode())
    return ffi.new(
        "evi_config *", {"capacity": capacity, "slots": slots, "flags": unit and lib.EVI_UNIT, "seed": seed, "params": text}
    ), text


class Counts(NamedTuple):
    """What a run counted. The bytes are the requests' weights; `memory` is None where the policy does not tell its own."""

    hits: int
    misses: int
    evictions: int
    bypassed: int
    ghost_hits: int
    byte_hits: int
    byte_misses: int
    memory: int | None


class Run:
    """One pass over a trace, in one C call without the interpreter's lock: made here, called in any thread, watched from others."""

    def __init__(self, name: str, call: Callable[[Any], int], refused: str, tells_memory: bool = True, weighed: bool = False) -> None:
        """``call`` takes the ``evi_result *`` and returns 0 or a negative errno; ``refused`` is said where the policy is not created."""
        self._name, self._call, self._refused, self._tells, self._weighed = name, call, refused, tells_memory, weighed
        self._result = ffi.new("evi_result *")

    @property
    def done(self) -> int:
        """Requests so far."""
        return int(self._result.done)

    def stop(self) -> None:
        """Let it end soon, whatever it counts then."""
        self._result.stop = 1

    def __call__(self) -> Counts:
        """Run to the end; BrokenPolicy when the policy breaks the rules, ValueError when it refuses its settings, MemoryError."""
        r = self._result
        code = self._call(r)
        if code == -_EPROTO:
            slot = "no slot" if r.slot == NONE else f"slot {r.slot}"
            raise BrokenPolicy(f"policy {self._name!r} evicted {slot} at request {r.at}: not a slot that it holds")
        if code == -_ENOMEM:
            raise MemoryError(f"no memory to replay {self._name!r}")
        if code:
            raise ValueError(self._refused)
        weights = (r.hit_weight, r.miss_weight) if self._weighed else (r.hits, r.misses)
        return Counts(r.hits, r.misses, r.evictions, r.bypassed, r.ghost_hits, *weights, r.memory if self._tells else None)


def replay(
    address: int, keys: Keys, weights: NDArray[np.uint32] | None, *, capacity: int, slots: int, seed: int, params: str, name: str
) -> Run:
    """Return the run of a policy over a trace, not begun."""
    config, text = _config(capacity, slots, seed, params, weights is None)
    k, w = ffi.from_buffer("uint64_t[]", keys), ffi.NULL if weights is None else ffi.from_buffer("uint32_t[]", weights)
    ops = _ops(address)

    def call(result: Any, _kept: Any = text) -> int:
        return int(lib.evi_replay(ops, config, k, w, len(keys), result))

    refused = f"policy {name!r} refused capacity {capacity}, {slots} slots, params {params!r}"
    return Run(name, call, refused, ops.layout != ffi.NULL, weights is not None)


def next_uses(keys: Keys) -> NDArray[np.uint32]:
    """Return for each request the number of the next one of its key, NONE for the last; O(n) time, 4 n bytes and 8 to 16 bytes a key."""
    after = np.empty(len(keys), np.uint32)
    code = lib.evi_next_uses(ffi.from_buffer("uint64_t[]", keys), len(keys), ffi.from_buffer("uint32_t[]", after, require_writable=True))
    if code == -_ENOMEM:
        raise MemoryError(f"no memory for the next uses of {len(keys)} requests")
    if code:
        raise ValueError(f"{len(keys)} requests are too many: up to {MAX_SLOTS}")
    return after


def stack_distances(keys: Keys) -> NDArray[np.uint32]:
    """Return for each request how many different keys were asked for since its last one, itself included; 0 for a first one."""
    after = next_uses(keys)
    out = np.empty(len(keys), np.uint32)
    if lib.evi_stack_distances(ffi.from_buffer("uint32_t[]", after), len(keys), ffi.from_buffer("uint32_t[]", out)):
        raise MemoryError(f"no memory for the stack distances of {len(keys)} requests")
    return out


def belady(capacity: int, after: NDArray[np.uint32], *, bypass: bool, name: str) -> Run:
    """Return the run of MIN (Belady 1966) with unit weights over a trace's next uses, not begun; O(n) time, n / 8 bytes."""
    nexts = ffi.from_buffer("uint32_t[]", after)
    return Run(name, lambda result: int(lib.evi_belady(nexts, len(after), capacity, bypass, result)), f"{len(after)} requests are too many")


class Policy:
    """One policy object, driven by hand: the calls of ``policy.h``, for tests and notebooks. One thread at a time."""

    def __init__(self, address: int, capacity: int, slots: int, seed: int = 0, params: str = "") -> None:
        """Create by the ops table at ``address``; ValueError when it refuses."""
        self._ops = _ops(checked(address))
        self.kind = str(ffi.string(self._ops.name).decode())
        self.address, self.capacity, self.seed, self.params = address, capacity, seed, params
        config, self._text = _config(capacity, slots, seed, params)
        self._policy = self._ops.create(config)
        self._callback: Any = None
        if self._policy == ffi.NULL:
            raise ValueError(f"the policy refused capacity {capacity}, {slots} slots, params {params!r}")

    def hit(self, slot: int) -> None:
        """Tell of a request of a resident."""
        self._ops.hit(self._policy, slot)

    def miss(self, key: int, weight: int = 1) -> bool:
        """Tell of a request of something else; False: do not admit it."""
        return bool(self._ops.miss(self._policy, key, weight))

    def evict(self) -> int | None:
        """Return the slot that leaves, None when nothing is resident."""
        slot = int(self._ops.evict(self._policy))
        return None if slot == NONE else slot

    def insert(self, slot: int, key: int, weight: int = 1) -> None:
        """Tell where the missed key was placed."""
        self._ops.insert(self._policy, slot, key, weight)

    def remove(self, slot: int) -> None:
        """Tell that a resident is deleted."""
        self._ops.remove(self._policy, slot)

    def resize(self, capacity: int) -> None:
        """Change the capacity; evict down to it afterwards."""
        self._ops.resize(self._policy, capacity)

    def ghost_hits(self) -> int:
        """Return the number of misses whose key was a ghost."""
        return int(self._ops.ghost_hits(self._policy))

    def listen(self, hear: Callable[[str, int, int], None]) -> None:
        """Call ``hear(kind, key, slot)`` at every event of ``evi_event_fn``."""
        self._callback = ffi.callback("evi_event_fn", lambda _, kind, key, slot: hear(chr(kind), key, slot))
        self._ops.listen(self._policy, self._callback, ffi.NULL)

    def dump(self) -> str:
        """Return the queues by key, newest first."""
        n = self._ops.dump(self._policy, ffi.NULL, 0)
        out = ffi.new("char[]", n + 1)
        self._ops.dump(self._policy, out, n + 1)
        return str(ffi.string(out).decode())

    def check(self) -> str | None:
        """Return None when every invariant holds, else which one does not."""
        why = ffi.new("char[]", 200)
        return None if self._ops.check(self._policy, why, 200) else str(ffi.string(why).decode())

    def close(self) -> None:
        """Free the policy; a second call does nothing."""
        policy, self._policy = self._policy, ffi.NULL
        if policy != ffi.NULL:
            self._ops.destroy(policy)

    def __enter__(self) -> Self:
        """Return the policy."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free it."""
        self.close()


class Bridge:
    """The ops table of a Python class ``cls(capacity, slots, seed)`` with hit, miss, insert, evict and remove.

    The class may have resize(capacity) and dump() too.

    Lives as long as one of its policies; who makes policies keeps it until then. What the class raises ends up in :attr:`problem`, and
    so does a victim that it does not hold: the evict is then answered with "nothing". Callbacks take the interpreter's lock: any thread
    may call.
    """

    def __init__(self, kind: str, cls: Callable[[int, int, int], Any]) -> None:
        """Make the callbacks; the class is not called yet."""
        self.kind, self.cls = kind, cls
        self.problem: BaseException | None = None
        self.lock = threading.Lock()  # held by who wants to know whose problem it is
        self._live: dict[int, tuple[Any, set[int]]] = {}
        self._numbers = itertools.count(1)
        self._name = ffi.new("char[]", kind.encode())
        table: dict[str, tuple[Callable[..., Any], Any]] = {  # the call, and the answer after an exception
            "create": (self._create, ffi.NULL),
            "destroy": (self._destroy, None),
            "hit": (lambda p, slot: self._of(p)[0].hit(slot), None),
            "miss": (lambda p, key, w: bool(self._of(p)[0].miss(key, w)), 0),
            "evict": (self._evict, NONE),
            "insert": (self._insert, None),
            "remove": (self._remove, None),
            "resize": (self._resize, 0),
            "ghost_hits": (lambda _p: 0, 0),
            "listen": (lambda _p, _f, _a: None, None),
            "dump": (self._dump, 0),
            "check": (lambda _p, _w, _n: self.problem is None, 0),
        }
        types = dict(ffi.typeof("evi_ops").fields)
        self._callbacks = {name: self._callback(types[name].type, *row) for name, row in table.items()}
        fixed = {"abi": lib.EVI_ABI, "size": ffi.sizeof("evi_ops"), "name": self._name}
        self._table = ffi.new("evi_ops *", {**fixed, **self._callbacks})
        self.address = int(ffi.cast("uintptr_t", self._table))

    def _callback(self, ctype: Any, call: Callable[..., Any], error: Any) -> Any:
        def failed(_kind: Any, problem: BaseException, _trace: Any) -> None:
            self.problem = self.problem or problem

        def run(*args: Any) -> Any:
            value = call(*args)
            return None if error is None else value

        return ffi.callback(ctype, run, onerror=failed, **({} if error is None else {"error": error}))

    def _destroy(self, policy: Any) -> None:
        del self._live[self._id(policy)]
        _let_go(self)

    def _id(self, policy: Any) -> int:
        return int(ffi.cast("uintptr_t", policy))

    def _of(self, policy: Any) -> tuple[Any, set[int]]:
        return self._live[self._id(policy)]

    def _create(self, config: Any) -> Any:
        made = self.cls(int(config.capacity), int(config.slots), int(config.seed))
        number = next(self._numbers)
        self._live[number] = (made, set())
        _hold(self)
        return ffi.cast("void *", number)

    def _insert(self, policy: Any, slot: int, key: int, weight: int) -> None:
        made, held = self._of(policy)
        held.add(slot)
        made.insert(slot, key, weight)

    def _remove(self, policy: Any, slot: int) -> None:
        made, held = self._of(policy)
        held.discard(slot)
        made.remove(slot)

    def _evict(self, policy: Any) -> int:
        made, held = self._of(policy)
        slot: int | None = made.evict()
        if slot is None:
            return NONE
        if slot not in held:
            raise BrokenPolicy(f"policy {self.kind!r} evicted slot {slot!r}: not a slot that it holds")
        held.remove(slot)
        return slot

    def _resize(self, policy: Any, capacity: int) -> int:
        told = getattr(self._of(policy)[0], "resize", None)
        if told:
            told(int(capacity))
        return 0

    def _dump(self, policy: Any, out: Any, n: int) -> int:
        made, held = self._of(policy)
        text = (made.dump() if hasattr(made, "dump") else f"{self.kind}: slots {sorted(held)}\n").encode()
        if n:
            ffi.memmove(out, text[: n - 1] + b"\0", min(n, len(text) + 1))
        return len(text)
