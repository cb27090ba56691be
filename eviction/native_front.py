"""The native part of a cache (front.h) as typed Python: slots, room, pins and the policy behind them. One thread at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .native import NONE, BrokenPolicy, _config, _ops, checked, ffi, lib

KINDS = {"a": "admit", "h": "hit", "p": "promote", "d": "demote", "g": "ghost hit", "e": "evict", "r": "remove", "b": "bypass"}


class Front:
    """A policy with its slots. Methods that evict return the victims' slots, whose keys the owner forgets."""

    def __init__(self, address: int, name: str, capacity: int, slots: int, *, unit: bool, seed: int, params: str) -> None:
        """Make one. ValueError when the policy refuses these settings."""
        self._ops, self.name = _ops(checked(address)), name
        config, self._text = _config(capacity, slots, seed, params, unit)
        front = lib.evi_front_new(self._ops, config)
        if front == ffi.NULL:
            raise ValueError(f"policy {name!r} refused capacity {capacity}, {slots} slots, params {params!r}")
        self._front = ffi.gc(front, lib.evi_front_free)
        self._out = ffi.new("evi_admission *")
        self._callback: Any = None

    def hits(self, slots: list[int]) -> None:
        """Tell of hits, in order; those of slots that are free by now are ignored."""
        lib.evi_front_hits(self._front, ffi.new("uint32_t[]", slots), len(slots))

    def admit(self, key: int, weight: int) -> tuple[int | None, list[int]]:
        """Ask for a slot. Returns it, None when the policy bypasses or all is pinned, and the victims."""
        out = self._out
        status = lib.evi_front_admit(self._front, key, weight, 0, out)
        victims = ffi.unpack(out.victims, out.n) if out.n else []
        while status == lib.EVI_AGAIN:
            status = lib.evi_front_admit(self._front, key, weight, 1, out)
            victims += ffi.unpack(out.victims, out.n)
        self._check(status)
        return (None if out.slot == NONE or status != lib.EVI_ADMITTED else out.slot), victims

    def shrink(self, capacity: int) -> list[int]:
        """Set the capacity; returns the victims."""
        status = lib.evi_front_shrink(self._front, capacity, 0, self._out)
        victims: list[int] = ffi.unpack(self._out.victims, self._out.n)
        while status == lib.EVI_AGAIN:
            status = lib.evi_front_shrink(self._front, capacity, 1, self._out)
            victims += ffi.unpack(self._out.victims, self._out.n)
        self._check(status)
        return victims

    def _check(self, status: int) -> None:
        if status == lib.EVI_BROKEN:
            slot = "no slot" if self._out.slot == NONE else f"slot {self._out.slot}"
            raise BrokenPolicy(f"policy {self.name!r} evicted {slot}: not a slot that it holds")

    def drop(self, slot: int) -> None:
        """Take a slot out; no ghost of it stays."""
        lib.evi_front_drop(self._front, slot)

    def pin(self, slot: int, by: int) -> None:
        """Pin a slot once more (1) or once less (-1)."""
        lib.evi_front_pin(self._front, slot, by)

    def used(self) -> int:
        """Return the weight of all residents."""
        return int(lib.evi_front_used(self._front))

    def ghost_hits(self) -> int:
        """Return how many misses were of keys that the policy remembered."""
        return int(self._ops.ghost_hits(lib.evi_front_policy(self._front)))

    def dump(self) -> str:
        """Return the policy's queues in text, keys as the numbers that it knows."""
        policy = lib.evi_front_policy(self._front)
        need = self._ops.dump(policy, ffi.NULL, 0)
        text = ffi.new("char[]", need + 1)
        self._ops.dump(policy, text, need + 1)
        return str(ffi.string(text).decode())

    def check(self) -> str | None:
        """Return what is wrong inside of the policy, or None."""
        why = ffi.new("char[]", 256)
        good = self._ops.check(lib.evi_front_policy(self._front), why, 256)
        return None if good else str(ffi.string(why).decode())

    def listen(self, hear: Callable[[str, int, int | None], None] | None) -> None:
        """Call hear(event, key number, slot or None) from now on; None ends it."""
        if hear is None:
            self._callback = ffi.NULL
        else:

            def heard(_arg: Any, kind: int, key: int, slot: int) -> None:
                hear(KINDS[chr(kind)], key, None if slot == NONE else slot)

            self._callback = ffi.callback("evi_event_fn", heard)
        self._ops.listen(lib.evi_front_policy(self._front), self._callback, ffi.NULL)
