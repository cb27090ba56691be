"""Corners of the policies: no slots, more than there can be, slots that run out before the weight, counters and clocks at their ends."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import eviction
from eviction.native import ffi, lib, next_uses
from eviction.native import replay as run_of
from eviction.native_sketch import Filtered, Sketch
from tests.harness.eviction_stories import drive
from tests.harness.policy_structs import NONE, kept_by

BUILT_IN = [kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead]


def policy(kind: str, capacity: int, slots: int, params: str = "", seed: int = 0) -> eviction.Policy:
    return eviction.Policy(eviction.ops_address(kind), capacity, slots, params=params, seed=seed)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_no_slots(kind: str) -> None:
    with policy(kind, 1, 0) as p:
        for key in (1, 2, 1, 1):
            p.miss(key)
            assert p.evict() is None and p.check() is None, key
        assert p.resize(0) is None and p.check() is None


@pytest.mark.parametrize("kind", BUILT_IN)
def test_slots_run_out_before_the_weight(kind: str) -> None:
    """A hundred objects of weight 1 to 3 would fit, there are slots for ten."""
    with policy(kind, 200, 10) as p:
        for begin in range(0, 600, 20):
            rng = random.Random(begin)
            drive(p, 10, [min(int(rng.paretovariate(0.5)), 500) for _ in range(20)])
            assert p.check() is None, begin
            while p.evict() is not None:
                pass
            assert p.check() is None, begin


@pytest.mark.parametrize("kind", BUILT_IN)
def test_the_greatest_capacity_and_no_weight(kind: str) -> None:
    """A weight of 0 counts as 1."""
    with policy(kind, 10, 10) as p:
        for slot in range(5):
            assert p.miss(slot, 0)
            p.insert(slot, slot, 0)
        p.resize(2**64 - 1)
        p.hit(3)
        assert p.check() is None
        p.resize(5)
        assert p.check() is None
        left = [p.evict() for _ in range(6)]
        assert left[5] is None and sorted(slot for slot in left[:5] if slot is not None) == list(range(5))


@pytest.mark.parametrize(
    ("kind", "params", "slots"),
    [
        ("arc", "", (1 << 29) + 1),
        ("lru-k", "history=64", 1 << 24),
        ("clockpro", "ghosts=64", (1 << 23) + 8),
        ("frd", "ghosts=64", (1 << 23) + 8),
        ("lirs2", "ghosts=64", (1 << 23) + 8),
        ("mq", "qout=16", (1 << 28) + 8),
        ("mq", "qout=16", (1 << 25) + 8),
    ],
)
def test_more_ghosts_than_there_can_be(kind: str, params: str, slots: int) -> None:
    with pytest.raises(ValueError, match=f"refused capacity 10, {slots} slots"):
        policy(kind, 10, slots, params)


def test_lirs_bounds_its_ghosts_by_number() -> None:
    with policy("lirs", 10, (1 << 23) + 8) as p:
        assert kept_by(p).ghosts_most == 1 << 29


@pytest.mark.parametrize("params", ["hir 5", "hir", "=5", "hir=", "ghost=5", "hir=5x", "hir=-1", "hir=101"])
def test_what_is_no_parameter(params: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        policy("lirs2", 10, 10, params)


def test_more_requests_than_there_can_be() -> None:
    """What a caller of the C functions says of its arrays is looked at before they are."""
    one = ffi.new("uint32_t[1]")
    assert lib.evi_next_uses(ffi.new("uint64_t[1]"), (1 << 29) + 1, one) == -22
    assert lib.evi_belady(one, (1 << 29) + 1, 5, False, ffi.new("evi_result *")) == -22
    run = run_of(eviction.ops_address("lru"), np.zeros(4, np.uint64), None, capacity=5, slots=(1 << 29) + 1, seed=0, params="", name="lru")
    with pytest.raises(ValueError, match="refused capacity 5, 536870913 slots"):
        run()


def test_runs_that_are_stopped_before_they_begin() -> None:
    keys = np.arange(10, dtype=np.uint64)
    for run in (
        run_of(eviction.ops_address("lru"), keys, None, capacity=5, slots=5, seed=0, params="", name="lru"),
        eviction.native.belady(5, next_uses(keys), bypass=False, name="belady"),
    ):
        run.stop()
        counts = run()
        assert run.done == counts.hits == counts.misses == 0


def test_next_uses_of_many_keys() -> None:
    keys = np.random.default_rng(1).integers(0, 60_000, 100_000).astype(np.uint64)
    after, seen = next_uses(keys), dict[int, int]()
    for at in range(len(keys) - 1, -1, -1):
        assert after[at] == seen.get(int(keys[at]), NONE)
        seen[int(keys[at])] = at


def lhd(seed: int = 0) -> eviction.Policy:
    p = policy("lhd", 4, 4, seed=seed)
    for slot in range(4):
        assert p.miss(slot)
        p.insert(slot, slot)
    return p


def test_lhd_of_long_gaps() -> None:
    with lhd() as p:
        kept = kept_by(p)
        for _ in range(2000):
            p.hit(1)
        p.hit(0)  # 2000 requests after its first: slower than any class tells apart
        assert kept.oldest < 10
        assert getattr(kept.lives[0], "class") == 0 and p.check() is None
        kept.lives[2].gap = NONE  # its two gaps are more than the clock tells
        p.hit(2)
        assert getattr(kept.lives[2], "class") == 0
        kept.lives[3].last, kept.lives[3].gap = kept.now + 1, 0  # used when the clock said the same, 2**32 requests ago
        p.hit(3)
        assert getattr(kept.lives[3], "class") == min(kept.oldest, 15)
        assert p.check() is None and sorted(filter(lambda s: s is not None, [p.evict() for _ in range(5)])) == [0, 1, 2, 3]


def test_lhd_of_short_gaps_and_of_ages_beyond_all() -> None:
    with policy("lhd", 2000, 2000) as p:
        for slot in range(20):  # all are looked at
            p.miss(slot)
            p.insert(slot, slot)
        p.hit(19)
        p.hit(19)
        kept = kept_by(p)
        assert kept.oldest == 16 and getattr(kept.lives[19], "class") == 15, "the quickest class"
        kept.lives[7].last = (kept.now - (1 << 17)) & NONE
        assert "rank=-1" in p.dump() and p.evict() == 7 and p.check() is None


def test_lhd_of_a_clock_that_turns_over() -> None:
    with lhd() as p:
        kept = kept_by(p)
        kept.now = (1 << 32) - 50
        for slot in range(4):
            kept.lives[slot].last = kept.now
        place = {key: key for key in range(4)}
        for at in range(300):
            key = at * 7 % 9
            if key in place:
                p.hit(place[key])
            elif p.miss(key):
                slot = p.evict()
                place = {k: s for k, s in place.items() if s != slot}
                assert slot is not None
                place[key] = slot
                p.insert(slot, key)
            assert p.check() is None
        assert kept.now < 300


def test_lfu_of_counts_at_their_end() -> None:
    with policy("lfu", 3, 3) as p:
        for slot in range(3):
            p.miss(slot)
            p.insert(slot, slot)
        p.hit(2)
        kept = kept_by(p)
        kept.buckets[kept.r.node[2].extra].count = NONE - 1
        for _ in range(3):
            p.hit(2)
        assert kept.buckets[kept.r.node[2].extra].count == NONE and p.check() is None
        assert [p.evict() for _ in range(3)] == [0, 1, 2]


def test_cacheus_of_a_rate_at_its_ends() -> None:
    with policy("cacheus", 1, 1) as p:
        assert kept_by(p).pace.reset == 1.0, "a cache of one: the rate that it begins with is above 1"
    with policy("lecar", 10, 10, "rate=0") as p:
        assert kept_by(p).pace.reset == 0.001
    with policy("cacheus", 20, 20) as p:
        pace, size = kept_by(p).pace, kept_by(p).size
        for rate, after in ((0.001, 0.005), (1.0, 0.9)):
            pace.rate = pace.now = pace.last = rate
            pace.ratio, pace.hits, pace.requests, pace.zeros, pace.declines = 0.9, 0, size - 1, 0, 0
            p.miss(1)
            assert pace.rate == after, "the hit ratio fell"
        pace.rate = pace.now = pace.last = 0.5
        pace.ratio, pace.hits, pace.requests, pace.zeros, pace.declines = 0.9, 0, size - 1, 0, 9
        p.miss(1)
        assert pace.rate == pace.reset and pace.declines == 0, "and has fallen ten times"


def test_gdsf_lets_in_what_is_worth_less_than_who_has_left() -> None:
    with policy("gdsf", 4, 4) as p:
        for slot in range(3):
            p.miss(slot)
            p.insert(slot, slot)
            for _ in range(5):
                p.hit(slot)
        assert p.miss(9), "there is room"
        assert {p.evict() for _ in range(3)} == {0, 1, 2}, "but they left all the same"
        p.insert(3, 9)
        assert p.check() is None and kept_by(p).heap.entry[0].major == kept_by(p).age > 5


def test_frd_without_any_history() -> None:
    with policy("frd", 20, 20, "ghosts=0 least=0") as p:
        drive(p, 20, [random.Random(3).randrange(60) for _ in range(500)] + list(range(100)))
        assert p.check() is None and p.ghost_hits() == 0


@pytest.mark.parametrize(("hand", "leaves"), [(0, 2), (1, 1), (2, 2)])
def test_clock2qplus_whose_hand_tires(hand: int, leaves: int) -> None:
    """The two oldest of three in the main queue were used: the hand spares as many as it may."""
    with policy("clock2q+", 4, 4, f"small=0.25 hand={hand}") as p:
        for slot in range(4):
            p.miss(slot)
            p.insert(slot, slot)
        assert p.evict() == 0, "the one of the small queue"
        kept = kept_by(p)
        back, order = kept.l.r.queue[1].back, []
        while back != NONE:
            order.append(back)
            back = kept.l.r.node[back].newer
        for slot in order[:2]:
            p.hit(slot)
        assert p.evict() == order[leaves] and p.check() is None


def test_lirs_of_a_scan_longer_than_its_ghosts() -> None:
    """With ghosts=0 there are 4096: of a longer scan those that came last are known."""
    with policy("lirs", 10, 10, "ghosts=0") as p:
        place: dict[int, int] = {}
        for key in [*range(6000)]:
            assert p.miss(key)
            if len(place) == 10:
                slot = p.evict()
                place = {k: s for k, s in place.items() if s != slot}
            place[key] = min(set(range(10)) - set(place.values()))
            p.insert(place[key], key)
        assert p.check() is None and kept_by(p).h.g.slots == kept_by(p).h.g.queue[0].count == 4096
        assert p.ghost_hits() == 0
        p.miss(100)
        assert p.ghost_hits() == 0, "forgotten"
        p.miss(5900)
        assert p.ghost_hits() == 1 and p.check() is None


def test_a_sample_that_shrinks_while_the_sketch_is_swept() -> None:
    """Right after a reset the sample is already full again: the next reset waits for the hand."""
    sketch = Sketch(20_000, per_key=1)
    for key in range(20_000):
        sketch.add(key)
    sketch.fit(1)
    for key in range(9000):
        sketch.add(key)
        if key % 500 == 0:
            assert sketch.check() is None
    assert sketch.check() is None and sketch.count(8999) >= 1


def test_tinylfu_in_front_of_a_policy_that_does_not_take_back() -> None:
    """Who waits goes on waiting when it is used, and is removed as it is."""
    lru, takes = lib.evi_find(b"lru")[0], [1]
    table = ffi.new("evi_ops *", lru)
    miss = table.miss = ffi.callback("int(void *, uint64_t, uint64_t)", lambda policy, key, weight: takes[0])
    filtered = Filtered(int(ffi.cast("uintptr_t", table)))
    with eviction.Policy(filtered.address, 3, 3) as p:
        for slot in range(3):
            assert p.miss(slot)
            p.insert(slot, slot)
        assert not p.miss(7) and p.dump() == "tinylfu: waiting: 0\nlru: 2 1\n"
        takes[0] = 0
        p.hit(0)
        assert p.dump() == "tinylfu: waiting: 0\nlru: 2 1\n" and p.check() is None
        heard = list[Any]()
        p.listen(lambda kind, key, slot: heard.append((kind, key)))
        p.remove(0)
        assert heard == [("r", 0)] and p.dump() == "tinylfu: waiting:\nlru: 2 1\n" and p.check() is None
        assert [p.evict() for _ in range(3)] == [1, 2, None]
    assert miss is not None


def test_tinylfu_tells_the_layout_of_what_is_behind_it() -> None:
    """Also where that tells none: its keys are the filter's own then."""
    told = ffi.new("evi_layout *")
    for layout in (True, False):
        table = ffi.new("evi_ops *", lib.evi_find(b"lru")[0])
        if not layout:
            table.layout = ffi.NULL
        config = ffi.new("evi_config *", {"capacity": 3, "slots": 3, "params": ffi.new("char[]", 1)})
        p = lib.evi_tinylfu_over(table, config)
        tinylfu = lib.evi_find(b"tinylfu")
        assert tinylfu.miss(p, 99, 1)
        tinylfu.insert(p, 1, 99, 1)
        tinylfu.layout(p, told)
        assert told.keys[1] == 99 and (told.nodes != ffi.NULL) == layout and told.bytes > 100
        tinylfu.destroy(p)


def _wrong_table(victim: int) -> Any:
    """An ops table like LRU's that names this victim once it is full."""
    table = ffi.new("evi_ops *", lib.evi_find(b"lru")[0])
    evict = ffi.callback("uint32_t(void *)", lambda _policy: victim)
    table.evict = evict
    return table, evict


@pytest.mark.parametrize("weights", [None, np.full(9, 2, np.uint32)])
@pytest.mark.parametrize("victim", [NONE, 2, 1 << 20])
def test_a_replay_of_a_table_that_names_no_resident(victim: int, weights: Any) -> None:
    table, kept = _wrong_table(victim)
    run = run_of(
        int(ffi.cast("uintptr_t", table)), np.arange(9, dtype=np.uint64), weights, capacity=4, slots=4, seed=0, params="", name="mine"
    )
    if victim == 2 and weights is None:
        assert run().evictions == 5, "without weights the slot of a victim is taken at once"
        return
    with pytest.raises(eviction.BrokenPolicy, match="policy 'mine' evicted"):
        run()
    del kept
