"""Bad input, line by line: capacities of 0 to 3, weights too large, negative or huge, broken traces, unknown names, victims not held."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import eviction
import lsm
import recovery
from experiments import cli
from tests.harness.driven import Driven

LIVE = [kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead]


class Oldest:
    """FIFO in Python."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        self.queue: list[int] = []

    def hit(self, slot: int) -> None: ...

    def miss(self, key: int, weight: int) -> bool:
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.queue.append(slot)

    def evict(self) -> int | None:
        return self.queue.pop(0) if self.queue else None

    def remove(self, slot: int) -> None:
        self.queue.remove(slot)


# Capacity 0, 1, 2, 3


@pytest.mark.parametrize("capacity", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", [*eviction.BOUNDS, *LIVE])
def test_small_capacities_in_replay(kind: str, capacity: int) -> None:
    keys = [1, 2, 3, 4, 1, 1, 2, 5, 5, 1] * 3
    for weights in (1, [1 + key % 2 for key in keys]):
        if weights != 1 and kind in ("belady", "min-bypass"):
            continue
        (got,) = eviction.replay(kind, keys, capacity, weights=weights)
        assert got.hits + got.misses == 30
        assert capacity or kind == "unbounded" or (got.hits, got.evictions, got.bypassed) == (0, 0, 30)
    assert eviction.replay(kind, [7] * 9, max(1, capacity))[0].hits == 8


@pytest.mark.parametrize("capacity", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", LIVE)
def test_small_capacities_in_a_cache_and_an_engine(kind: str, capacity: int) -> None:
    cache: eviction.Cache[int, int] = eviction.Cache(kind, capacity)
    for key in (1, 2, 1, 3, 1, 4):
        if capacity:
            cache[key] = key
        else:
            with pytest.raises(eviction.TooLarge):
                cache[key] = key
        assert len(cache) <= capacity
        assert cache.check() is None
    call = eviction.cached(kind, capacity)(lambda x: x + 1)
    assert [call(x) for x in (1, 2, 3, 1)] == [2, 3, 4, 2]
    options = {"threads": 0, "cache": {"policy": kind, "capacity": capacity}, "row_cache": {"policy": kind, "capacity": capacity}}
    with lsm.open("/d", options, fs=recovery.memory()) as db:
        db.put_many([(b"%03d" % i, b"v%d" % i) for i in range(100)])
        db.flush()
        assert all(db.get(b"%03d" % i) == b"v%d" % i for i in range(100))
        assert db.stats().cache.get("charge", 0) == db.stats().row_cache.get("charge", 0) == 0


# Weights


@pytest.mark.parametrize("kind", LIVE)
def test_what_weighs_more_than_the_capacity_is_refused_and_nothing_leaves(kind: str) -> None:
    driven = Driven(kind, 10)
    for key in range(5):
        driven.request(key, 2)
    held = dict(driven.weight)
    for weight in (11, 1 << 32, 1 << 48, (1 << 63) + 1, (1 << 64) - 1):
        assert driven.request(99, weight) == []
        assert driven.heard[-1] == ("b", 99)
        assert driven.weight == held
    assert not [what for what, _ in driven.heard if what == "e"]
    (got,) = eviction.replay(kind, [1, 2, 9, 9, 1, 2], 4, weights=[2, 2, 5, 2**32 - 1, 2, 2])
    assert (got.hits, got.evictions, got.bypassed) == (2, 0, 2)
    cache: eviction.Cache[int, int] = eviction.Cache(kind, 10, getsizeof=lambda weight: weight)
    cache.update({1: 4, 2: 4})
    for huge in (11, 1 << 48, 1 << 64, 1 << 200):
        with pytest.raises(eviction.TooLarge, match="value too large"):
            cache[3] = huge
    assert dict(cache) == {1: 4, 2: 4}
    assert cache.stats().evictions == 0


@pytest.mark.parametrize("kind", [*LIVE, "unbounded"])
def test_huge_weights_that_fit(kind: str) -> None:
    most = 2**32 - 1
    (got,) = eviction.replay(kind, [1, 2, 3, 1, 2, 3, 4, 1], 3 * most, weights=[most] * 8)
    assert got.byte_hits == got.hits * most
    assert got.hits >= 3
    (got,) = eviction.replay(kind, [1, 2, 1], 1 << 62, weights=[most, 1, most])
    assert got.byte_hits == most
    driven = Driven(kind, 1 << 60, slots=8) if kind != "unbounded" else None
    for key in (1, 2, 3, 1, 4) if driven else ():
        assert driven is not None
        driven.request(key, 1 << 59)
        assert sum(driven.weight.values()) <= 1 << 60


@pytest.mark.parametrize("weight", [-1, -(2**70)])
def test_negative_weights(weight: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"weight {weight} of request 1 is not from 0"):
        eviction.replay("lru", [1, 2], 5, weights=[1, weight])
    cache: eviction.Cache[int, int] = eviction.Cache("lru", 5, getsizeof=lambda value: value)
    with pytest.raises(ValueError, match="integer of 0 and more"):
        cache[1] = weight
    (tmp_path / "t.csv").write_text(f"1,1\n2,{weight}\n")
    with pytest.raises(ValueError, match=rf"t\.csv:2: the weight is '{weight}'"):
        eviction.replay("lru", tmp_path / "t.csv", 5)


# Traces


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("cut.u32", b"\1\0\0\0\2\0", "record 1 is cut: 6 bytes"),
        ("cut.ks32", b"\1\0\0\0\2\0", "record 0 is cut"),
        ("cut.oracleGeneral", b"\0" * 23, "record 0 is cut"),
        ("cut.npy", b"\x93NUMPY\1\0", "not a .npy file"),
        ("cut.u32.xz", lzma.compress(b"\0" * 4000)[:40], "does not unpack"),
        ("cut.csv", b"1,2\n3", r"cut\.csv:2: 1 cells"),
        ("cut.lis", b"1 2 0 1\n5", r"cut\.lis:2: 1 cells"),
        ("wrong.oracleGeneral", b"this is a text of many words, and no trace at all" * 24, "is it oracleGeneral"),
        ("wrong.npy", b"1\n2\n", "not a .npy file"),
        ("wrong.trace", bytes(range(1, 60)), "neither text nor of a known name; allowed: format="),
        ("wrong.trc", b"GET /index.html\n", r"wrong\.trc:1"),
        (
            "large.trc",
            b"1\n18446744073709551616\n",
            r"large\.trc:2: the key is '18446744073709551616'; allowed: a number from 0 to 2\*\*64 - 1",
        ),
    ],
)
def test_traces_that_are_cut_or_of_another_form(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=told) as caught:
        eviction.replay("lru", path, 5)
    assert name in str(caught.value)
    done = CliRunner().invoke(cli.app, ["cache", "run", str(path), "--policies", "lru", "--sizes", "5"])
    assert done.exit_code == 2
    assert name in done.output


def test_ids_above_32_bits(tmp_path: Path) -> None:
    """They are numbers as any other; forms of 32 bits refuse to hold them, and write no file."""
    wide = [2**32, 0, 2**32, 2**64 - 1, 2**32 - 1]
    assert eviction.replay("lru", wide, 5)[0].hits == 1, "2**32 is not 0"
    for name in ("t.csv", "t.trc", "t.npy", "t.oracleGeneral", "t.lis"):
        eviction.save(wide, tmp_path / name)
        assert eviction.load(tmp_path / name).keys.tolist() == wide
    for name in ("t.u32", "t.ks32"):
        with pytest.raises(ValueError, match="above 32 bits"):
            eviction.save(wide, tmp_path / name)
        assert not (tmp_path / name).exists()


# Names


@pytest.mark.parametrize(
    "call",
    [
        lambda: eviction.replay("s4fifo", [1], 1),
        lambda: eviction.Cache("s4fifo"),
        lambda: eviction.cached("s4fifo")(abs),
        lambda: eviction.ops_address("s4fifo"),
        lambda: eviction.mrc([1, 2], "s4fifo"),
    ],
    ids=["replay", "Cache", "cached", "ops_address", "mrc"],
)
def test_an_unknown_policy_is_told_the_near_names(call: Any) -> None:
    with pytest.raises(ValueError, match=r"no eviction policy 's4fifo': did you mean s3fifo.*\?"):
        call()


def test_an_unknown_policy_in_the_engine_and_on_the_command_line(tmp_path: Path) -> None:
    for where in ("cache", "row_cache"):
        with pytest.raises(lsm.InvalidOptions, match=rf"{where}\.policy is 's4fifo'.*did you mean 's3fifo'"):
            lsm.Options.from_dict({where: {"policy": "s4fifo"}})
    np.save(tmp_path / "t.npy", np.arange(5))
    for command in (
        ["run", str(tmp_path / "t.npy"), "--policies", "s4fifo"],
        ["explain", "s4fifo", "--trace", str(tmp_path / "t.npy"), "--at", "2"],
    ):
        done = CliRunner().invoke(cli.app, ["cache", *command])
        assert done.exit_code == 2
        assert "did you mean s3fifo" in done.output


# Victims that are not held


@pytest.mark.parametrize("victim", [77, -1, 2**40, None, "x"])
def test_a_victim_that_is_not_held_is_refused_and_named(victim: Any) -> None:
    class Liar(Oldest):
        def evict(self) -> int | None:
            return victim

    told = "'Liar' evicted (no slot|slot .*).*: not a slot that it holds"
    with pytest.raises(eviction.BrokenPolicy, match=told):
        eviction.replay(Liar, range(10), 3)
    cache: eviction.Cache[int, int] = eviction.Cache(Liar, 2)
    cache.update({1: 1, 2: 2})
    for _ in range(2):
        with pytest.raises(eviction.BrokenPolicy, match=told):
            cache[3] = 3
        assert dict(cache) == {1: 1, 2: 2}


def test_a_victim_is_held_once() -> None:
    class Stuck(Oldest):
        def evict(self) -> int | None:
            return self.queue[0]

    with pytest.raises(eviction.BrokenPolicy, match="'Stuck' evicted slot 0"):
        eviction.replay(Stuck, [1, 2, 3, 4], 3, weights=[1, 1, 1, 3])
    cache: eviction.Cache[int, int] = eviction.Cache(Stuck, 3, getsizeof=lambda weight: weight)
    cache.update({1: 1, 2: 1, 3: 1})
    with pytest.raises(eviction.BrokenPolicy, match="'Stuck' evicted slot"):
        cache[4] = 3
    assert len(cache) == 2
    assert 4 not in cache


@pytest.mark.parametrize("where", ["cache", "row_cache"])
@pytest.mark.parametrize("what", ["liar", "raises", "empty"])
def test_in_the_engine_it_is_refused_and_named_and_reads_are_right(what: str, where: str) -> None:
    class Liar(Oldest):
        def evict(self) -> int | None:
            return 77 if what == "liar" else None if what == "empty" else 1 // 0

    eviction.register(f"{what}-engine", Liar)
    said = {"liar": "evicted slot 77: not a slot that it holds", "raises": "ZeroDivisionError", "empty": "evicted no slot"}[what]
    told = f"{where}.policy '{what}-engine': .*{said}.*evictions refused"
    options: dict[str, Any] = {"threads": 0, "cache": {"capacity": 0}, "table": {"block_size": 512}}
    db = lsm.open("/d", {**options, where: {"capacity": 4_000, "policy": f"{what}-engine", "shards": 1}}, fs=recovery.memory())
    db.put_many([(b"%05d" % i, b"v%d" % i * 9) for i in range(1_000)])
    db.flush()
    assert db.health.policies == ()
    for _ in range(2):
        assert all(db.get(b"%05d" % i) == b"v%d" % i * 9 for i in range(0, 1_000, 7))
    figures = db.stats().cache if where == "cache" else db.stats().row_cache
    assert figures["refused"] > 0
    assert figures["charge"] <= 4_000
    assert "policy: " in str(db.health)
    with pytest.warns(RuntimeWarning, match=told):
        db.close()
    with lsm.open("/e", {**options, where: {"capacity": 1 << 20, "policy": f"{what}-engine", "shards": 1}}, fs=recovery.memory()) as other:
        other.put(b"k", b"v")
        other.flush()
        assert other.get(b"k") == b"v"
        assert other.health.policies == (), "it never had to evict"
