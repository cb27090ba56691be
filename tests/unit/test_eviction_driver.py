"""The driver behind replay: as if driven by hand, keys that collide, weights, bytes, memory, many runs at once, what is refused."""

from __future__ import annotations

import functools
import os
import random
import resource
import subprocess
import sys
import threading
from collections import OrderedDict, deque

import numpy as np
import pytest

import eviction
from eviction.twins import belady

BUILT_IN = sorted(kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead)
PHI = 0x9E3779B97F4A7C15  # the multiplier of table.h


class Oldest:
    """FIFO in Python."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.queue: deque[int] = deque()

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.queue.append(slot)

    def evict(self) -> int | None:
        return self.queue.popleft() if self.queue else None

    def remove(self, slot: int) -> None:
        self.queue.remove(slot)


class Raises(Oldest):
    """Breaks at the first hit."""

    def hit(self, slot: int) -> None:
        raise ZeroDivisionError("mine")


def colliding(hashed: int, low: int) -> int:
    """A key whose hash in table.h begins with these 32 bits."""
    mixed = ((hashed << 32 | low) * pow(PHI, -1, 1 << 64)) % (1 << 64)
    return mixed ^ mixed >> 32


def by_hand(kind: str, keys: list[int], weights: list[int], size: int) -> tuple[int, int, int, int]:
    """Hits, evictions, bypassed and byte hits by the calls of policy.h."""
    hits = evictions = bypassed = byte_hits = 0
    place: dict[int, int] = {}
    held: dict[int, int] = {}
    with eviction.Policy(eviction.ops_address(kind), size, min(size, len(set(keys)))) as policy:
        for key, weight in zip(keys, weights, strict=True):
            if key in place:
                hits, byte_hits = hits + 1, byte_hits + weight
                policy.hit(place[key])
                continue
            if weight > size or not policy.miss(key, weight):
                bypassed += 1
                continue
            while sum(held.values()) + weight > size:
                slot = policy.evict()
                (gone,) = [k for k, s in place.items() if s == slot]
                del place[gone], held[gone]
                evictions += 1
            place[key] = min(set(range(size)) - set(place.values()))
            held[key] = weight
            policy.insert(place[key], key, weight)
    return hits, evictions, bypassed, byte_hits


@pytest.mark.parametrize("kind", BUILT_IN)
@pytest.mark.parametrize("seed", range(4))
def test_as_driven_by_hand(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    some = [colliding(chance.randrange(3), low) for low in range(8)] + list(range(8)) + [2**64 - 1]
    keys = [chance.choice(some) for _ in range(400)]
    for size in (0, 1, 2, 3, 9):
        heavy = [chance.randrange(1, 5) for _ in keys]
        for weights in ([1] * len(keys), heavy):
            (got,) = eviction.replay(kind, keys, size, weights=weights)
            assert (got.hits, got.evictions, got.bypassed, got.byte_hits) == by_hand(kind, keys, weights, size), f"{kind} {size} {seed}"
            assert got.hits + got.misses == len(keys)
            assert got.byte_hits + got.byte_misses == sum(weights)
        assert eviction.replay(kind, keys, size, weights=np.ones(len(keys), np.int8)) == eviction.replay(kind, keys, size)


def test_entries_far_from_home() -> None:
    """3000 keys of one home in a table of a million slots, whose entries tell homes up to 2047 away: before and after the table is full."""
    size = 1 << 20
    first, second = ([colliding(h, low) for low in range(3000)] for h in (5, 0xFFFFFFFF))
    keys = [*first, *range(size), *second, *first, *second, *range(size - 5000, size + 500), *first, *second]
    queue: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in keys:
        if key in queue:
            hits += 1
            continue
        if len(queue) == size:
            queue.popitem(last=False)
        queue[key] = None
    assert eviction.replay("fifo", keys, size)[0].hits == hits > 0


def test_policies_and_sizes_come_back_in_order() -> None:
    trace = np.random.default_rng(1).integers(0, 3000, 30_000)
    kinds, sizes = ["lru", "belady", "arc", "unbounded", "min-bypass", Oldest, "fifo"], [500, 0, 20, 5000]
    heard: list[tuple[int, int]] = []
    many = eviction.replay(kinds, trace, sizes, threads=3, progress=lambda done, total: heard.append((done, total)))
    assert [(r.policy, r.size) for r in many] == [(k if isinstance(k, str) else "Oldest", s) for k in kinds for s in sizes]
    assert many == [r for kind in kinds for size in sizes for r in eviction.replay(kind, trace, size)]
    assert [r.hits for r in many[-8:-4]] == [r.hits for r in many[-4:]], "FIFO in Python and in C"
    assert heard[-1] == (30_000 * 28, 30_000 * 28)
    assert heard == sorted(heard)


def test_progress_is_told_from_the_callers_thread_while_it_runs() -> None:
    trace = np.random.default_rng(1).integers(0, 1 << 20, 4_000_000)
    heard: list[int] = []

    def hear(done: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        heard.append(done)

    eviction.replay("lru", trace, [1 << 16] * 4, threads=1, progress=hear)
    assert heard == sorted(heard)
    assert len(heard) > 2
    assert 0 < heard[1] < heard[-1] == 16_000_000


def test_an_error_ends_the_other_runs() -> None:
    trace = np.zeros(1 << 20, np.int64)
    with pytest.raises(ZeroDivisionError, match="mine"):
        eviction.replay(["lru", Raises, *["fifo"] * 50], trace, 10, threads=2)


def test_what_stands_for_a_policy() -> None:
    trace = [1, 2, 3, 1, 2, 4, 1, 2, 3] * 5
    expected = eviction.replay("fifo", trace, 2)[0].hits
    with eviction.Policy(eviction.ops_address("fifo"), 7, 7, seed=3) as native:
        for policy in (eviction.POLICIES["fifo"], native, Oldest, functools.partial(Oldest), Oldest(2, 2)):
            (result,) = eviction.replay(policy, trace, sizes=2)
            assert result.hits == expected
        assert eviction.replay([native], trace, 2)[0].policy == "fifo"
    with pytest.raises(ValueError, match="'Oldest' is one object with one state"):
        eviction.replay(Oldest(2, 2), trace, [1, 2])
    with pytest.raises(ValueError, match="'object' lacks hit, miss, insert, evict, remove"):
        eviction.replay(object(), trace, 2)
    with pytest.raises(ValueError, match="'int' lacks"):
        eviction.replay(int, trace, 2)


def test_weights() -> None:
    trace = eviction.Trace(np.array([1, 2, 1, 3, 1, 2], np.uint64), np.array([5, 3, 9, 0, 5, 3], np.uint32), "t")
    (own,) = eviction.replay("lru", trace, 8)
    assert (own.hits, own.misses, own.evictions, own.byte_hits, own.byte_misses) == (2, 4, 2, 14, 12), "1 2 1 3/2 1 2/3: 3 weighs 1"
    assert own.byte_hit_ratio == 14 / 26
    assert eviction.replay("lru", trace, 3, weights=1) == eviction.replay("lru", [1, 2, 1, 3, 1, 2], 3)
    assert eviction.replay("lru", trace, 6, weights=2)[0].hits == eviction.replay("lru", trace, 3, weights=1)[0].hits
    (free,) = eviction.replay("unbounded", trace, 0)
    assert (free.hits, free.byte_hits, free.byte_misses) == (3, 17, 9)
    (huge,) = eviction.replay("lru", [1, 1], 1 << 40, weights=[(1 << 32) - 1] * 2)
    assert (huge.hits, huge.byte_hits) == (1, (1 << 32) - 1)
    (refused,) = eviction.replay("lru", [1, 2, 9, 1, 2], 4, weights=[2, 2, 5, 2, 2])
    assert (refused.hits, refused.bypassed, refused.evictions) == (2, 1, 0), "too heavy: refused, and nothing makes room for it"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"weights": [1, -2, 3]}, "weight -2 of request 1 is not from 0"),
        ({"weights": [1, 1 << 32, 3]}, "weight 4294967296 of request 1 is not"),
        ({"weights": [1, 1 << 70, 3]}, f"weight {1 << 70} of request 1 is not"),
        ({"weights": -1}, "weight -1 of request 0"),
        ({"weights": [1, 2]}, "2 weights for 3 requests"),
        ({"weights": [1.5, 2, 3]}, "weights are integers, not float64"),
        ({"sizes": [4, -1]}, "not negative: -1"),
        ({"sizes": [1 << 63]}, r"at most 2\*\*62"),
        ({"seed": -1}, "a seed is from 0"),
        ({"threads": 0}, "at least one thread"),
        ({"params": "x=1"}, r"'lru' refused capacity 2, 2 slots, params 'x=1'"),
        ({"policy": "beladi"}, r"no eviction policy 'beladi': did you mean belady"),
        ({"policy": ["lru", "shlru"]}, r"no eviction policy 'shlru': did you mean .*lru"),
        ({"policy": "qqqq"}, r"no eviction policy 'qqqq': one of .*lru.*unbounded"),
        ({"policy": "belady", "weights": [1, 2, 3]}, "belady is the best where every request weighs 1; with other weights that is NP-hard"),
        ({"trace": np.array([1.5])}, "holds integers"),
    ],
)
def test_what_is_refused(given: dict[str, object], why: str) -> None:
    call = {"policy": "lru", "trace": [1, 2, 3], "sizes": [2], **given}
    with pytest.raises(ValueError, match=why):
        eviction.replay(call.pop("policy"), call.pop("trace"), call.pop("sizes"), **call)  # type: ignore[arg-type]


def test_keys_of_any_integer_type() -> None:
    keys = np.array([3, 5, 3, 5, 9])
    for kind in (np.int8, np.uint16, np.int32, np.uint64, ">u4"):
        assert eviction.replay("lru", eviction.Trace(keys.astype(kind), None, ""), 2)[0].hits == 2
    assert eviction.replay("lru", keys[::2], 2)[0].hits == 1, "every second one of an array"
    assert eviction.replay("lru", [2**64 - 1, 0, 2**64 - 1], 2)[0].hits == 1


def test_sizes_beyond_the_trace_cost_no_memory() -> None:
    (small, large) = eviction.replay("lru", [1, 2, 1], [3, 1 << 60])
    assert (small.hits, small.memory) == (large.hits, large.memory)
    assert eviction.replay("lru", [1, 2, 1], 1 << 60, weights=[7, 7, 7])[0].hits == 1


def test_bypass_beats_min_where_min_must_admit() -> None:
    """One frame, 1 2 1 3 1: demand MIN holds what it just loaded; with bypass 1 stays."""
    keys = [1, 2, 1, 3, 1]
    (least,), (most,) = (eviction.replay(kind, keys, 1) for kind in ("belady", "min-bypass"))
    assert (least.hits, least.evictions, least.bypassed) == (0, 4, 0)
    assert (most.hits, most.evictions, most.bypassed) == (2, 0, 2)


def best_by_search(keys: tuple[int, ...], size: int) -> int:
    """The most hits of any admissions and evictions, by trying all."""
    states = {frozenset[int](): 0}
    for key in keys:
        after: dict[frozenset[int], int] = {}
        for held, hits in states.items():
            choices = [held] if key in held or not size else [held, *((held | {key}) - {out} for out in held if len(held) == size)]
            if key not in held and len(held) < size:
                choices.append(held | {key})
            for state in choices:
                after[state] = max(after.get(state, 0), hits + (key in held))
        states = after
    return max(states.values())


@pytest.mark.parametrize("seed", range(60))
def test_min_with_bypass_is_the_best_there_is(seed: int) -> None:
    chance = random.Random(seed)
    keys = tuple(chance.randrange(6) for _ in range(24))
    for size in range(5):
        assert eviction.replay("min-bypass", keys, size)[0].hits == best_by_search(keys, size), (keys, size)


@pytest.mark.parametrize("seed", range(40))
def test_min_as_its_twin(seed: int) -> None:
    chance = random.Random(seed)
    keys = [int(chance.paretovariate(0.8)) % 60 for _ in range(chance.choice([0, 1, 63, 64, 65, 900]))]
    for size in (0, 1, 2, 3, 17, 60):
        for kind in ("belady", "min-bypass"):
            assert eviction.replay(kind, keys, size)[0].hits == belady(keys, size, bypass=kind == "min-bypass"), (kind, seed, size)


@pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizer's allocator takes more")
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of a process cannot be reset here")
def test_memory_is_what_the_process_grows_by() -> None:
    """In a process of its own: the peak of its resident set against what the result tells."""
    code = (
        "import eviction, numpy as np, pathlib, re, sys\n"
        "def of(field): return int(re.search(field + r':\\s*(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]) * 1024\n"
        "keys = (np.random.default_rng(1).zipf(1.2, 1_200_000) % 900_000).astype(np.uint64)\n"
        "eviction.replay(sys.argv[1:], keys, 8, threads=1)\n"
        "for kind in sys.argv[1:]:\n"
        "    pathlib.Path('/proc/self/clear_refs').write_text('5')  # forgets the peak\n"
        "    before = of('VmRSS')\n"
        "    (x,) = eviction.replay(kind, keys, 100_000, threads=1)\n"
        "    print(kind, x.memory, of('VmHWM') - before)\n"
    )
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed goes back at once
    done = subprocess.run([sys.executable, "-c", code, *BUILT_IN], env=env, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == BUILT_IN
    page = resource.getpagesize()
    exact = {
        "lru",
        "fifo",
        "clock",
        "sieve",
        "slru",
        "slru4",
        "mru",
        "random",
        "lfu",
    }
    wrong = [row for row in rows if not (0.85 if row[0] in exact else 0.5) * int(row[1]) - 64 * page < int(row[2])]
    wrong += [row for row in rows if not int(row[2]) < 1.1 * int(row[1]) + 64 * page]
    assert not wrong, "kind, bytes told, bytes grown"
    assert {kind: int(told) // 100_000 for kind, told, _ in rows}["lru"] == 34
