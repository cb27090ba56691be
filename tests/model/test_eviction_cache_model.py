"""eviction.Cache against a plain model of an LRU cache with weights, times to leave, pins and groups."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import eviction
from tests.harness.examples import examples

KEYS = st.one_of(st.integers(-3, 12), st.sampled_from("abcd"), st.tuples(st.integers(0, 2)))
TTLS = st.sampled_from([None, None, 1, 3, math.inf])


class Model(RuleBasedStateMachine):
    """``held``: key -> [value, weight, when it leaves, group], the next to leave first; ``pinned``: key -> how often."""

    @initialize(maxsize=st.integers(0, 30), weighted=st.booleans(), ttl=st.sampled_from([None, 2]))
    def begin(self, maxsize: int, weighted: bool, ttl: float | None) -> None:
        self.now, self.maxsize, self.weighted, self.ttl = 0.0, maxsize, weighted, ttl
        self.held: OrderedDict[Any, list[Any]] = OrderedDict()
        self.pinned: Counter[Any] = Counter()
        size = (lambda value: value[0]) if weighted else None
        self.cache: eviction.Cache[Any, Any] = eviction.Cache("lru", maxsize, size, ttl, timer=lambda: self.now)

    def drop(self, key: Any) -> None:
        del self.held[key]
        self.pinned.pop(key, None)

    def weight(self, only_pinned: bool = False) -> int:
        return sum(row[1] for key, row in self.held.items() if not only_pinned or key in self.pinned)

    def make_room(self, weight: int) -> None:
        while self.weight() + weight > self.maxsize:
            self.drop(next(key for key in self.held if key not in self.pinned))

    def expire(self) -> None:
        for key in [key for key, row in self.held.items() if row[2] <= self.now]:
            self.drop(key)

    @rule(key=KEYS)
    def get(self, key: Any) -> None:
        self.expire()
        if key in self.held:
            self.held.move_to_end(key)
        assert self.cache.get(key) == (self.held[key][0] if key in self.held else None)

    @rule(key=KEYS, weight=st.integers(0, 12), ttl=TTLS, group=st.sampled_from([None, 1, "g", ("t",)]))
    def put(self, key: Any, weight: int, ttl: float | None, group: Any) -> None:
        self.expire()
        value, charged = (weight, object()), max(1, weight) if self.weighted else 1
        others = self.weight(only_pinned=True) - (self.held[key][1] if key in self.pinned else 0)
        if charged > (self.maxsize - others if key in self.pinned else self.maxsize):
            with pytest.raises(ValueError, match="value too large"):
                self.cache.put(key, value, ttl=ttl, group=group)
            return
        fits = charged <= self.maxsize - others or (key in self.held and self.held[key][1] == charged)
        assert self.cache.put(key, value, ttl=ttl, group=group) == fits
        if not fits:
            self.held.pop(key, None)
            return
        pinned = key in self.pinned
        self.held.pop(key, None)
        self.make_room(charged)
        leaves = self.now + ttl if ttl else self.now + self.ttl if self.ttl else math.inf
        self.held[key] = [value, charged, leaves, group]
        assert (key in self.pinned) == pinned

    @rule(key=KEYS)
    def pop(self, key: Any) -> None:
        self.expire()
        assert self.cache.pop(key, "none") == (self.held[key][0] if key in self.held else "none")
        if key in self.held:
            self.drop(key)

    @rule()
    def popitem(self) -> None:
        self.expire()
        for key in self.held:
            if key not in self.pinned:
                assert self.cache.popitem() == (key, self.held[key][0])
                self.drop(key)
                return
        with pytest.raises(KeyError):
            self.cache.popitem()

    @rule(data=st.data(), on=st.booleans())
    def pin(self, data: st.DataObject, on: bool) -> None:
        self.expire()
        key = data.draw(st.sampled_from([*self.held, "nothing"]))
        call = self.cache.pin if on else self.cache.unpin
        if key not in self.held:
            with pytest.raises(KeyError):
                call(key)
            return
        call(key)
        if on:
            self.pinned[key] += 1
        elif key in self.pinned:
            self.pinned[key] -= 1
            if not self.pinned[key]:
                del self.pinned[key]
                self.held.move_to_end(key)

    @rule(maxsize=st.integers(0, 40))
    def resize(self, maxsize: int) -> None:
        self.expire()
        len(self.cache)  # expires there too, so that the choice is among the same
        if self.weight(only_pinned=True) > maxsize:
            with pytest.raises(ValueError, match="pinned"):
                self.cache.resize(maxsize)
            return
        self.cache.resize(maxsize)
        self.maxsize = maxsize
        self.make_room(0)

    @rule(group=st.sampled_from([1, "g", ("t",), 1.0]))
    def invalidate(self, group: Any) -> None:
        self.expire()
        len(self.cache)
        gone = [key for key, row in self.held.items() if row[3] == group]
        assert self.cache.invalidate(group=group) == len(gone)
        for key in gone:
            self.drop(key)

    @rule(seconds=st.sampled_from([0.5, 1, 2]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: len(self.held) > 8)
    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.held.clear()
        self.pinned.clear()

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "cache"):
            return
        self.expire()
        assert dict(self.cache.items()) == {key: row[0] for key, row in self.held.items()}
        assert (self.cache.currsize, self.cache.stats().pinned) == (self.weight(), self.weight(only_pinned=True))
        assert self.cache.check() is None


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=examples(60), stateful_step_count=60, deadline=None)
