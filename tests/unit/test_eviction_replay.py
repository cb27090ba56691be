"""Replay: hand-worked traces, Belady's bound, the reference counts, Python policies and what is refused."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

import eviction

ROOT = Path(__file__).resolve().parents[2]
GOLD = ROOT.parent / "shared" / "reference" / "eviction-gold.csv"
KIND = {"LRU": "lru", "FIFO": "fifo", "LFU": "lfu", "ARC": "arc", "SIEVE": "sieve", "2Q": "2q", "MIN": "belady"}
SMALL = ("lirs-cpp", "lirs-cs", "lirs-glimpse", "lirs-ps", "lirs-backf", "lirs-multi1", "lirs-zigzag", "lirs-sprite")
BUILT_IN = tuple(kind for kind, settings in eviction.POLICIES.items() if settings.built_in and not settings.looks_ahead)


class Newest:
    """Evict what came in last."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.stack: list[int] = []

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.stack.append(slot)

    def evict(self) -> int | None:
        return self.stack.pop() if self.stack else None

    def remove(self, slot: int) -> None:
        self.stack.remove(slot)


@pytest.mark.parametrize(
    ("kind", "hits"),
    [("fifo", 3), ("lru", 2), ("belady", 5), ("unbounded", 7)],
)
def test_the_textbook_trace(kind: str, hits: int) -> None:
    """1 2 3 4 1 2 5 1 2 3 4 5 in three frames, the trace of Belady's anomaly: 9, 10 and 7 faults."""
    (result,) = eviction.replay(kind, [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5], sizes=[3])
    assert (result.policy, result.size, result.hits, result.requests) == (kind, 3, hits, 12)


def test_fifo_has_beladys_anomaly() -> None:
    three, four = eviction.replay("fifo", [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5], sizes=[3, 4])
    assert three.hits > four.hits


@pytest.mark.parametrize("kind", BUILT_IN)
def test_nothing_beats_belady(kind: str) -> None:
    chance = random.Random(7)
    trace = [int(chance.paretovariate(0.7)) % 200 for _ in range(3000)]
    sizes = [0, 1, 2, 7, 50, 199, 1000]
    best, freer = (eviction.replay(bound, trace, sizes=sizes) for bound in ("belady", "min-bypass"))
    for bound, bypassing, result in zip(best, freer, eviction.replay(kind, trace, sizes=sizes), strict=True):
        assert result.hits <= (bypassing if result.bypassed else bound).hits
    assert best[-1].hits == 3000 - len(set(trace))


def test_belady_equals_the_plain_definition() -> None:
    chance = random.Random(3)
    for _ in range(50):
        trace = [chance.randrange(8) for _ in range(60)]
        size, resident, hits = chance.randrange(1, 6), set(), 0
        for at, key in enumerate(trace):
            if key in resident:
                hits += 1
                continue
            if len(resident) == size:
                resident.remove(max(resident, key=lambda k: trace.index(k, at) if k in trace[at:] else len(trace)))
            resident.add(key)
        assert eviction.replay("belady", trace, sizes=[size])[0].hits == hits, (trace, size)


def _gold() -> list[tuple[str, int, str, int]]:
    if not GOLD.exists():
        return []
    with GOLD.open() as file:
        rows = [r for r in csv.DictReader(file) if r["trace"] in SMALL and r["policy"] in KIND]
    return [(r["trace"], int(r["cache_size"]), r["policy"], int(r["hits"])) for r in rows]


@pytest.mark.skipif(not GOLD.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize("name", SMALL)
def test_reference_counts(name: str) -> None:
    trace = eviction.load(GOLD.parent.parent / "traces" / f"{name}.u32.xz")
    rows = [row for row in _gold() if row[0] == name]
    assert rows
    wrong = []
    for _, size, policy, hits in rows:
        got = eviction.replay(KIND[policy], trace, sizes=[size])[0].hits
        if got != hits:
            wrong.append((policy, size, got, hits))
    assert not wrong


def test_a_python_class_is_a_policy() -> None:
    loop = [key for _ in range(20) for key in range(100)]
    eviction.register("newest", Newest)
    (by_name,) = eviction.replay("newest", loop, sizes=[50])
    (by_class,) = eviction.replay(Newest, loop, sizes=[50])
    assert by_name.hits == by_class.hits > eviction.replay("lru", loop, sizes=[50])[0].hits
    assert eviction.ops_address("newest") > 0


def test_a_victim_that_is_not_held_is_refused() -> None:
    class Liar(Newest):
        def evict(self) -> int | None:
            return 77

    eviction.register("liar", Liar)
    with pytest.raises(ValueError, match=r"'liar'.*slot 77"):
        eviction.replay("liar", range(10), sizes=[3])


def test_what_a_python_policy_raises_comes_out() -> None:
    class Raises(Newest):
        def hit(self, slot: int) -> None:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        eviction.replay(Raises, [1, 1], sizes=[3])


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no eviction policy 'lur'.*lru"):
        eviction.replay("lur", [1], sizes=[1])
    with pytest.raises(ValueError, match="not negative: -1"):
        eviction.replay("lru", [1], sizes=[-1])
    for bad in ([-1], [1.5], [1 << 64], np.zeros((2, 2), int)):
        with pytest.raises(ValueError):
            eviction.replay("lru", bad, sizes=[1])
    with pytest.raises(ValueError, match="taken"):
        eviction.register("lru", Newest)
    with pytest.raises(ValueError, match="lacks hit"):
        eviction.register("empty", object)  # type: ignore[arg-type]


def test_arc_keeps_b2_when_t1_alone_fills_l1() -> None:
    """Case IV A with |T1| = c: T1's oldest goes without a ghost; B2, full, loses none (FAST 2003, figure 4)."""
    with eviction.Policy(eviction.ops_address("arc"), 1, 1) as policy:
        for key in (1, 2):
            assert policy.miss(key)
            policy.evict()
            policy.insert(0, key)
            policy.hit(0)
        policy.miss(3)
        policy.evict()
        policy.insert(0, 3)
        before = policy.dump()
        policy.miss(4)
        policy.evict()
        policy.insert(0, 4)
        assert before == "arc: p=0\nT1: 3\nT2:\nB1:\nB2: 2\n"
        assert policy.dump() == "arc: p=0\nT1: 4\nT2:\nB1:\nB2: 2\n"


@pytest.mark.parametrize("kind", [*BUILT_IN, "belady", "unbounded"])
def test_an_empty_trace(kind: str) -> None:
    (result,) = eviction.replay(kind, iter([]), sizes=[4])
    assert (result.requests, result.hit_ratio) == (0, 0.0)


def test_traces_in_every_form(tmp_path: Path) -> None:
    forms = {"a.lis": "5 3 0 1\n9 1 0 2\n", "a.trc": "5\n6\n*\n7\n9\n", "a.csv": "key\n5\n6\n7\n9\n"}
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        assert eviction.load(tmp_path / name).keys.tolist() == [5, 6, 7, 9], name
    np.save(tmp_path / "a.npy", np.array([5, 6, 7, 9]))
    (tmp_path / "a.ks32").write_bytes(np.array([5, 10, 6, 20], "<u4").tobytes())
    assert eviction.load(tmp_path / "a.npy").keys.tolist() == [5, 6, 7, 9]
    weighted = eviction.load(tmp_path / "a.ks32")
    assert weighted.weights is not None
    assert weighted.weights.tolist() == [10, 20]
    assert eviction.replay("lru", tmp_path / "a.trc", sizes=[4])[0].misses == 4


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [("b.trc", b"1\nx\n", ":2:"), ("b.lis", b"1 2 3\n4\n", ":2:"), ("b.csv", b"1,2\n3\n", ":2:"), ("b.u32", b"12345", "5 bytes"),
     ("b.u32.xz", b"no", "unpack"), ("b.trc", b"1\n\xff", ":2:"), ("b.npy", b"no", "npy")],
)  # fmt: skip
def test_broken_traces_name_file_and_line(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=why) as caught:
        eviction.load(tmp_path / name)
    assert name in str(caught.value)
