"""Every invariant that a policy or a cache checks is broken once, by the names of its own fields: the check tells which one it was."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

import eviction
from tests.harness.policy_structs import NONE, Damage, kept_by, kept_by_cache

HELD, SLOTS = 48, 56  # the last slots are never given to anything
FREE = SLOTS - 1
MUCH = 10**6


def filled(kind: str, params: str = "") -> eviction.Policy:
    """A policy that has seen hits, ghosts, removals and scans."""
    rng, place = random.Random(5), dict[int, int]()
    policy = eviction.Policy(eviction.ops_address(kind), HELD, SLOTS, params=params)
    for step in range(3000):
        key = int(rng.paretovariate(0.7)) if step % 500 > 60 else 10**6 + step
        if key in place:
            policy.hit(place[key])
        elif policy.miss(key):
            if len(place) == HELD:
                slot = policy.evict()
                del place[next(k for k, s in place.items() if s == slot)]
            place[key] = min(set(range(HELD)) - set(place.values()))
            policy.insert(place[key], key)
        if step % 700 == 690:
            policy.remove(place.pop(next(iter(place))))
    return policy


Breaks = Callable[[Any, Damage], None]


def field(path: str, value: Any) -> Breaks:
    """Give a field, told by the names on the way there, this value."""

    def breaks(p: Any, damage: Damage) -> None:
        *way, last = path.split(".")
        for name in way:
            p = getattr(p, name)
        damage.put(p, last, value)

    return breaks


def more(path: str, by: int = 1) -> Breaks:
    """Add to a field."""

    def breaks(p: Any, damage: Damage) -> None:
        *way, last = path.split(".")
        for name in way:
            p = getattr(p, name)
        damage.add(p, last, by)

    return breaks


def queue(at: int, name: str, by: int = 1, owner: str = "r") -> Breaks:
    """Add to what a queue tells of itself."""

    def breaks(p: Any, damage: Damage) -> None:
        for part in owner.split("."):
            p = getattr(p, part)
        damage.add(p.queue[at], name, by)

    return breaks


def heavier_ghost(at: int, owner: str = "h") -> Breaks:
    """The oldest ghost of a queue weighs as much as if the policy were far larger."""

    def breaks(p: Any, damage: Damage) -> None:
        for part in owner.split("."):
            p = getattr(p, part)
        assert p.g.queue[at].count
        damage.add(p.g.weight, p.g.queue[at].back, MUCH)
        damage.add(p.g.queue[at], "weight", MUCH)

    return breaks


def known_twice(at: int = 0) -> Breaks:
    """A resident's key is that of a ghost."""

    def breaks(p: Any, damage: Damage) -> None:
        slot = next(s for s in range(SLOTS) if p.r.node[s].tag)
        assert p.h.g.queue[at].count
        damage.put(p.r.key, slot, p.h.g.key[p.h.g.queue[at].back])

    return breaks


def stamped(owner: str, at: int, end: str, stamp: int, mark: int | None = None, flags: int = 0) -> Breaks:
    """The first or last of a queue was used at another time."""

    def breaks(p: Any, damage: Damage) -> None:
        for part in owner.split("."):
            p = getattr(p, part)
        assert p.queue[at].count > 1
        node = p.node[getattr(p.queue[at], end)]
        damage.put(node, "extra", stamp)
        damage.put(node, "count", flags)
        if mark is not None:
            damage.put(node, "mark", mark)

    return breaks


def heap_top(p: Any, damage: Damage) -> None:
    damage.put(p.heap.entry[0], "major", 1e12)


def pool_place(p: Any, damage: Damage) -> None:
    damage.put(p.pool.all, 0, p.pool.all[1])


def pool_member(p: Any, damage: Damage) -> None:
    damage.put(p.pool.all, 0, FREE)


def behind(block: int, age: int, hand: int | None = None) -> Breaks:
    """A block of the sketch was halved another number of turns ago."""

    def breaks(p: Any, damage: Damage) -> None:
        if hand is not None:
            damage.put(p.sketch, "hand", hand)
        damage.put(p.sketch.age, block, (p.sketch.now - age) & 0xFF)

    return breaks


def old_in_window(p: Any, damage: Damage) -> None:
    back = p.l.r.queue[0].back
    assert p.l.r.node[p.l.r.node[back].newer].count == 0, "two at least are out of the window"
    damage.put(p.l.r.node[back], "count", 1)


def lirs_places(p: Any) -> list[int]:
    found, x = [], p.top
    while x != NONE:
        found.append(x)
        x = p.s[x].older
    return found


def cut_out(p: Any, damage: Damage, x: int) -> None:
    """Take a place in the middle of S out of it."""
    newer, older = p.s[x].newer, p.s[x].older
    damage.put(p.s[newer], "older", older)
    damage.put(p.s[older], "newer", newer)


def lirs_without(ghost: bool) -> Breaks:
    """One block less in S, a ghost or a LIR."""

    def breaks(p: Any, damage: Damage) -> None:
        inner = lirs_places(p)[1:-1]
        cut_out(p, damage, next(x for x in inner if (x >= SLOTS if ghost else x < SLOTS and p.r.node[x].tag == 2)))

    return breaks


def lirs_other_bottom(p: Any, damage: Damage) -> None:
    damage.put(p, "bottom", next(x for x in lirs_places(p)[:-1] if x < SLOTS and p.r.node[x].tag == 2))


def lirs_no_lir(p: Any, damage: Damage) -> None:
    damage.put(p, "bottom", p.r.queue[0].back)


def link_of_top(p: Any, damage: Damage) -> None:
    damage.put(p.s[p.top], "newer", 0)


def hung_below(scale: int) -> Breaks:
    """A slot that nobody holds lies below the bottom of S."""

    def breaks(p: Any, damage: Damage) -> None:
        place, bottom = FREE * scale, p.bottom
        damage.put(p.s[bottom], "older", place)
        damage.put(p.s[place], "newer", bottom)
        damage.put(p.s[place], "older", NONE)

    return breaks


def lirs2_first_place(p: Any, damage: Damage) -> None:
    damage.put(p, "bottom", p.bottom ^ 1)


def lirs2_no_lir(p: Any, damage: Damage) -> None:
    damage.put(p, "bottom", 2 * p.r.queue[1].back)


def lirs2_out_of_itself(p: Any, damage: Damage) -> None:
    damage.put(p.s[p.top], "older", p.top)


def lirs2_other_bottom(p: Any, damage: Damage) -> None:
    slot = next(s for s in range(SLOTS) if p.r.node[s].tag == 1 and s != p.bottom // 2)
    damage.put(p, "bottom", 2 * slot + 1 - (p.r.node[slot].count & 1))


def lirs2_without(ghost: bool) -> Breaks:
    """S lacks a place of a LIR block, or both of a ghost."""

    def breaks(p: Any, damage: Damage) -> None:
        def first(x: int) -> bool:
            node = p.r.node[x // 2] if x // 2 < SLOTS else p.h.g.node[x // 2 - SLOTS]
            return x & 1 == node.count & 1

        inner = lirs_places(p)[1:-1]
        wanted = [x for x in inner if (x // 2 >= SLOTS if ghost else x // 2 < SLOTS and p.r.node[x // 2].tag == 1 and not first(x))]
        for x in [x for x in wanted if x // 2 == wanted[0] // 2]:
            cut_out(p, damage, x)
            damage.put(p.s[x], "older", x)

    return breaks


def lruk_times(queue: int, of: int, by: int | None) -> Breaks:
    """A time of the first slot of a queue; the one before the K-th last use at -1, the last use at 0."""

    def breaks(p: Any, damage: Damage) -> None:
        slot = next(s for s in range(SLOTS) if p.r.node[s].tag == queue + 1 and (queue == 8 or p.r.node[s].older != NONE))
        at = slot * (p.k + 1) + p.k + of
        damage.put(p.times, at, 0 if by is None else p.times[at] + by)

    return breaks


def lfu_element(name: str) -> Breaks:
    def breaks(p: Any, damage: Damage) -> None:
        damage.add(p.buckets[p.r.node[p.r.queue[0].back].extra], name, 1)

    return breaks


def lhd_class(p: Any, damage: Damage) -> None:
    damage.put(p.lives[p.pool.all[0]], "class", 200)


def lhd_newcomer(p: Any, damage: Damage) -> None:
    damage.put(p.newcomer, 0, FREE)


def lhd_density(p: Any, damage: Damage) -> None:
    damage.put(p.cells[3][4], "density", -1.0)


def expert_weight(at: int) -> Breaks:
    return lambda p, damage: damage.put(p.weight, at, 0.0)


GHOST_KINDS = ("lirs", "lirs2", "wtinylfu", "clockpro", "lru-k", "frd", "arc")
TWICE_KINDS = ("clockpro", "wtinylfu", "lru-k", "lirs2", "frd", "arc", "cacheus")
ROOMS = (("2q", "out"), ("mq", "out"), ("qdlp", "main"), ("s3fifo", "room"), ("clock2q+", "room"))
LISTS = (("r", 0), ("r", 1), ("h.g", 0))
HEAP, POOL, P, GHOSTS = "the heap is broken", "the pool is not the residents", "p is ", "ghosts weigh"
ROWS: list[tuple[str, str, str, Breaks]] = [
    *[(kind, "", r"queue 0 counts", queue(0, name)) for kind in ("lru", "arc", "wtinylfu", "frd") for name in ("count", "weight")],
    *[(kind, "", r"queue 0 counts", queue(0, "count", owner="h.g")) for kind in GHOST_KINDS],
    *[(kind, "", r"loose of weight", queue(8, name)) for kind in ("random", "lfuda", "hyperbolic") for name in ("count", "weight")],
    *[("sieve", "", "the hand is not resident", field("hand", hand)) for hand in (FREE, 500)],
    *[(kind, "", HEAP, breaks) for kind in ("lfuda", "gdsf", "lru-k", "lecar", "cacheus") for breaks in (more("heap.count", -1), heap_top)],
    ("lfuda", "", "L is above a priority", field("age", 1e12)),
    *[(kind, "", POOL, b) for kind in ("random", "hyperbolic", "lhd") for b in (pool_place, pool_member, more("pool.n", -1))],
    ("lhd", "", "has no class", lhd_class),
    ("lhd", "", "newcomer 0 has left", lhd_newcomer),
    ("lhd", "", "the density of class 3 in part 4 is negative", lhd_density),
    ("arc", "", "T1 and B1 weigh more", heavier_ghost(0)),
    ("arc", "", "the lists weigh more than twice", heavier_ghost(1)),
    ("car", "", "T1 and B1 weigh more", heavier_ghost(0, "l.h")),
    ("car", "", "the lists weigh more than twice", heavier_ghost(1, "l.h")),
    ("cart", "", "the history is longer than the cache", heavier_ghost(0, "l.h")),
    *[("cart", "", "nS and nL have drifted", more(name)) for name in ("ns", "nl")],
    *[(kind, "", P, field("p", value)) for kind in ("arc", "car", "cart") for value in (-1.0, 1e9)],
    *[("cart", "", "q is ", field("q", value)) for value in (-1.0, 1e9)],
    *[(kind, "", GHOSTS, field(name, 0)) for kind, name in ROOMS],
    ("clock2q+", "small=0.9 window=0.1", "older than its edge", old_in_window),
    ("clock2q+", "", "the window's edge", more("inside")),
    *[("clockpro", "", "does not lie by time", stamped(owner, at, "back", 1 << 31)) for owner, at in LISTS],
    ("clockpro", "", "hot pages leave less", field("least", HELD)),
    ("clockpro", "", "the target is 0", field("target", 0)),
    ("clockpro", "", f"the target is {MUCH}", field("target", MUCH)),
    ("clockpro", "", GHOSTS, field("ghosts_most", 0)),
    ("clockpro", "", "a ghost is older than the oldest hot page", stamped("h.g", 0, "back", 1)),
    ("clockpro", "ghosts=0", "is in test, older than the oldest hot page", stamped("r", 1, "back", 1, flags=0x8000)),
    *[(kind, "", "the demoted weigh", more("demoted")) for kind in ("clockpro", "clockpro+")],
    *[(kind, "", "has a ghost too|is retained too", known_twice()) for kind in TWICE_KINDS],
    *[(kind, "", "is over its bound", field("history", 0)) for kind in ("lecar", "cacheus")],
    *[("cacheus", "", "demoted or new are counted wrongly", more(name)) for name in ("demoted", "fresh")],
    *[("lecar", "", "a weight is 0", expert_weight(at)) for at in (0, 1)],
    *[("frd", "least=0", "does not lie by time", stamped(owner, at, "back", NONE, mark=255, flags=0xFFFF)) for owner, at in LISTS],
    ("frd", "", "history is not pruned", stamped("h.g", 0, "back", 1, mark=0)),
    ("lirs", "", "the bottom of S is no LIR", lirs_no_lir),
    ("lirs", "", "the LIR weigh", field("lir_most", 0)),
    ("lirs", "", "S is broken", link_of_top),
    ("lirs", "", f"slot {FREE} in S is not resident", hung_below(1)),
    *[("lirs", "", "S holds", breaks) for breaks in (lirs_without(True), lirs_without(False), lirs_other_bottom)],
    ("lirs2", "", "LIR blocks weigh more", field("hir", 100.0)),
    ("lirs2", "", "ghosts weigh too much", field("ghosts", 0.0)),
    *[("lirs2", "", "the bottom of S is no second place", breaks) for breaks in (lirs2_first_place, lirs2_no_lir)],
    *[("lirs2", "", "S is broken", breaks) for breaks in (link_of_top, lirs2_out_of_itself)],
    ("lirs2", "", f"block {FREE} in S is nobody's", hung_below(2)),
    *[("lirs2", "", "places of LIR blocks in S", breaks) for breaks in (lirs2_other_bottom, lirs2_without(False))],
    ("lirs2", "", "is not in S", lirs2_without(True)),
    ("lru-k", "", "is in queue", lruk_times(8, -1, None)),
    ("lru-k", "", "has another rank", lruk_times(8, -1, 1)),
    ("lru-k", "crp=1", "was used before the next older one", lruk_times(0, 0, None)),
    *[("lfu", "", "the bucket of slot", lfu_element(name)) for name in ("newest", "members")],
    ("slru", "", "segment 1 is over its share", field("protected", 0.0)),
    *[("tinylfu", "", "residents are counted as", more(name)) for name in ("used", "count")],
    ("tinylfu", "", "residents weigh", field("capacity", 0)),
    *[("tinylfu", "", "waits and is not resident", field("waiting", slot)) for slot in (FREE, 500)],
    ("tinylfu", "", "block 3 of the sketch is behind", behind(3, 1)),
    ("tinylfu", "", "block 3 of the sketch is behind", behind(3, 2, hand=1)),
    ("wtinylfu", "", "block 3 of the sketch is behind", behind(3, 1)),
    ("wtinylfu", "window=0.4 adaptive=0", "the window is over its share", field("window_most", 1)),
    ("wtinylfu", "", "protected is over its share", field("protected_most", 0)),
    *[("wtinylfu", "adaptive=0", "the window's share is out of range", field("window_most", share)) for share in (0, MUCH)],
    ("wtinylfu", "", "ghosts . are too deep", field("depth", 0)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "params", "told", "breaks"), ROWS, ids=[f"{row[0]} {i}" for i, row in enumerate(ROWS)])
def test_what_is_broken_is_told(kind: str, params: str, told: str, breaks: Breaks) -> None:
    with filled(kind, params) as policy:
        assert policy.check() is None
        damage = Damage()
        breaks(kept_by(policy), damage)
        said = policy.check()
        damage.undo()
        assert said is not None and re.search(told, said), said
        assert policy.check() is None


def cached() -> eviction.Cache[int, int]:
    """A cache with times, pins and weights."""
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 200, getsizeof=lambda value: value % 5 + 1, timer=lambda: 1.0)
    for key in range(30):
        cache.put(key, key, ttl=100 - key if key % 2 else None)
    for key in (3, 4):
        cache.pin(key)
    return cache


def _entry_lost(c: Any, damage: Damage) -> None:
    damage.put(c.map.table[_entry(c, 0)], "slot", NONE)


def _entry_added(c: Any, damage: Damage) -> None:
    damage.put(c.map.table[next(i for i in count() if c.map.table[i].slot == NONE)], "slot", 1)


def _entry(c: Any, slot: int) -> int:
    return next(i for i in range(c.map.mask + 1) if c.map.table[i].slot == slot)


def _timed(c: Any) -> int:
    return next(s for s in range(c.map.slots) if c.map.node[s].key and c.map.node[s].timed)


def _untimed(c: Any) -> int:
    return next(s for s in range(c.map.slots) if c.map.node[s].key and not c.map.node[s].timed)


CACHE_ROWS: list[tuple[str, Breaks]] = [
    ("is not found by its hash", _entry_lost),
    ("slots held", _entry_added),
    ("slots held", more("map.count")),
    ("slots held", more("map.n_free", -1)),
    ("is misplaced in the heap", lambda c, damage: damage.put(c.timer.place, _timed(c), c.timer.count)),
    ("is misplaced in the heap", lambda c, damage: damage.put(c.timer.place, _untimed(c), 0)),
    ("the heap is out of order at 1", lambda c, damage: damage.put(c.timer.when, c.timer.heap[0], 2**62)),
    ("slots timed", lambda c, damage: damage.put(c.timer.place, c.timer.heap[c.timer.count - 1], NONE)),
    ("has no time", lambda c, damage: damage.put(c.map.node[_untimed(c)], "timed", 1)),
    ("weights: ", lambda c, damage: damage.put(c.map.node[_timed(c)], "timed", 0)),
    ("weights: ", more("used")),
    ("weights: ", more("pinned")),
    ("weights: ", field("maxsize", 5)),
]


@pytest.mark.parametrize(("told", "breaks"), CACHE_ROWS)
def test_what_is_broken_in_a_cache_is_told(told: str, breaks: Breaks) -> None:
    cache = cached()
    assert cache.check() is None
    damage = Damage()
    breaks(kept_by_cache(cache), damage)
    said = cache.check()
    damage.undo()
    assert said is not None and told in said
    assert cache.check() is None
