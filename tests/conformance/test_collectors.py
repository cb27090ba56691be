"""What every collector of value files promises: alike from the same picture, nothing lost, garbage kept within the reserve."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import lsm
import recovery
from lsm.collectors import ValueState, ValueView
from lsm.version import ValueInfo

ALL = pytest.mark.parametrize("kind", sorted(lsm.COLLECTORS))
WORKING = [kind for kind in sorted(lsm.COLLECTORS) if kind != "none"]


def view(rng: random.Random, *, busy: bool = False, **options: Any) -> ValueView:
    """A picture of some value files."""
    files = []
    for n in range(1, rng.randrange(1, 30)):
        size = rng.randrange(100, 10_000)
        live = rng.choice([size, rng.randrange(1, size + 1)])
        low = rng.randrange(1000)
        info = ValueInfo(n * 3, size + 68, 10, size, low, low + rng.randrange(1000), rng.randrange(3), 1, 0)
        files.append(ValueState(info, max(1, 10 * live // size), live))
    held = frozenset(f.info.number for f in files if rng.random() < 0.2) if busy else frozenset[int]()
    return ValueView(tuple(files), lsm.ValueLogOptions(**options), 3000, held)


@ALL
@pytest.mark.parametrize("seed", range(40))
def test_the_choice_is_legal_and_the_same_each_time(kind: str, seed: int) -> None:
    v = view(random.Random(seed), busy=seed % 2 == 1, reserve=0.3, batch=0.5)
    chosen = lsm.COLLECTORS[kind]().choose(v)
    assert chosen == lsm.COLLECTORS[kind]().choose(v), f"repeat with seed {seed}"
    by_number = {f.info.number: f for f in v.files}
    assert len(set(chosen)) == len(chosen) and by_number.keys() >= set(chosen)
    assert not v.busy.intersection(chosen)
    if v.garbage <= v.live_bytes * 0.3 or kind == "none":
        assert chosen == ()
    elif not v.busy:
        freed = [by_number[n].garbage for n in chosen]
        assert sum(freed) >= v.due > sum(freed) - freed[-1]  # enough, and not one more


def test_which_files_each_takes() -> None:
    def state(number: int, live: int, youngest: int) -> ValueState:
        return ValueState(ValueInfo(number, 1068, 10, 1000, 0, youngest, 0, 1, 0), 10, live)

    files = (state(1, 900, 10), state(2, 400, 990), state(3, 500, 100), state(4, 1000, 50))
    v = ValueView(files, lsm.ValueLogOptions(reserve=0.01, batch=0.01), 1000)
    assert v.due > 1100  # all there is but little
    chosen = {kind: lsm.COLLECTORS[kind]().choose(v) for kind in WORKING}
    assert chosen == {"log": (1, 2, 3), "greedy": (2, 3, 1), "hot_cold": (2, 3, 1), "cost_benefit": (3, 1, 2)}


class Taken:
    """A collector that takes what it is told to."""

    kind, by_heat = "taken", False

    def __init__(self, choose: Any) -> None:
        self._choose = choose

    def choose(self, view: ValueView) -> tuple[int, ...]:
        chosen: tuple[int, ...] = self._choose(view)
        return chosen


@pytest.fixture
def registered() -> Iterator[Any]:
    def register(choose: Any) -> None:
        lsm.COLLECTORS["taken"] = lambda: Taken(choose)

    yield register
    lsm.COLLECTORS.pop("taken", None)


def options(kind: str, **value_log: Any) -> dict[str, Any]:
    return {
        "threads": 0,
        "write_buffer": 1 << 14,
        "cache": {"capacity": 1 << 14},
        "compaction": {"l0_trigger": 2, "level_base": 1 << 13, "output_bytes": 1 << 11},
        "value_log": {"min_bytes": 20, "file_bytes": 1 << 11, "collector": kind, "reserve": 0.2, **value_log},
    }


@ALL
@pytest.mark.parametrize("seed", range(3))
def test_a_dictionary_under_random_operations(kind: str, seed: int) -> None:
    rng, fs = random.Random(f"{kind} {seed}"), recovery.memory()
    made = options(kind, reserve=rng.choice([0.05, 0.3]), batch=rng.choice([0.01, 0.25, 1.0])) | {"threads": 2 if seed == 2 else 0}
    model: dict[bytes, bytes] = {}
    snapshots: list[tuple[Any, dict[bytes, bytes]]] = []
    db = lsm.open("/d", made, fs=fs)
    for i in range(1500):
        key, draw = b"%03d" % min(rng.randrange(80), rng.randrange(80)), rng.random()
        if draw < 0.7:
            db[key] = model[key] = b"%d." % i * rng.randrange(1, 60)
        elif draw < 0.78:
            db.delete(key)
            model.pop(key, None)
        elif draw < 0.8:
            stop = b"%03d" % (int(key) + 4)
            db.delete_range(key, stop)
            model = {k: v for k, v in model.items() if not key <= k < stop}
        elif draw < 0.9:
            assert db.get(key) == model.get(key), f"repeat with {kind!r}, seed {seed}"
        elif draw < 0.92:
            snapshots.append((db.snapshot(), dict(model)))
        elif draw < 0.94 and snapshots:
            held, then = snapshots.pop(rng.randrange(len(snapshots)))
            assert dict(db.scan(snapshot=held)) == then, f"repeat with {kind!r}, seed {seed}"
            held.close()
        elif draw < 0.95:
            assert list(db.scan(reverse=i % 2 == 1)) == sorted(model.items(), reverse=i % 2 == 1), f"repeat with {kind!r}, seed {seed}"
        elif draw < 0.953:
            snapshots.clear()
            db.close()
            db = lsm.open("/d", made, fs=fs)
        elif draw < 0.956:
            db.compact()
    db.flush()
    assert dict(db.scan()) == model, f"repeat with {kind!r}, seed {seed}"
    assert db.verify() == []
    db.close()


@pytest.mark.parametrize("kind", WORKING)
def test_garbage_is_kept_within_the_reserve(kind: str) -> None:
    with lsm.open("/d", options(kind), fs=recovery.memory()) as db:
        for i in range(3000):
            db[b"%03d" % (i * i % 97)] = b"%d." % i * 20
        db.flush()
        figures = db.stats().values["default"]
        assert figures.garbage_bytes <= figures.live_bytes * 0.2
        assert db.stats().bytes(op="write", component="value", cause="collection") > 0


def test_without_a_collector_a_file_goes_when_it_is_dead() -> None:
    with lsm.open("/d", options("none"), fs=recovery.memory()) as db:
        for i in range(2000):
            db[b"%03d" % (i % 50)] = b"%d." % i * 20
        db.compact()
        assert db.stats().bytes(op="write", component="value", cause="collection") == 0
        assert len(db.version().values) < 20


def test_one_of_ones_own_is_obeyed(registered: Any) -> None:
    """Every file that is not whole, always."""
    registered(lambda v: tuple(f.info.number for f in v.files if f.garbage))
    with lsm.open("/d", options("taken"), fs=recovery.memory()) as db:
        for i in range(800):
            db[b"%03d" % (i % 60)] = b"%d." % i * 20
        db.flush()
        assert db.stats().values["default"].garbage_bytes == 0
        assert dict(db.scan()) == {b"%03d" % (i % 60): b"%d." % i * 20 for i in range(740, 800)}


@pytest.mark.parametrize(
    ("choose", "told"),
    [
        (lambda v: (12345,), r"value files \[12345\] are not in the tree"),
        (lambda v: (v.files[0].info.number,) * 2, "allowed: different ones"),
        (lambda v: tuple(f.info.number for f in v.files if not f.garbage)[:1], "would free nothing"),
    ],
)
def test_a_wrong_choice_is_refused_and_nothing_is_lost(registered: Any, choose: Any, told: str) -> None:
    registered(choose)
    fs = recovery.memory()
    with lsm.open("/d", options("taken"), fs=fs) as db, pytest.raises(lsm.PlanRefused, match=told):
        for i in range(100):
            db[b"%03d" % i] = b"%d." % i * 20
        db.flush()
    with lsm.open("/d", options("greedy"), fs=fs) as db:
        assert all(value == b"%d." % int(key) * 20 for key, value in db.scan())
        assert db.get(b"000") is not None and db.verify() == []


def test_a_collection_and_a_merge_do_not_take_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a collection runs its tables are busy: a policy is told so, and a plan that takes one all the same is refused."""
    from lsm.executor import Executor

    run, seen = Executor._run, list[frozenset[int]]()

    def looking(self: Executor, space: Any, inputs: Any, **how: Any) -> Any:
        if how["cause"] == "collection":
            held = frozenset(self.busy[space.name])
            tables = [t.number for i in inputs for t in i.tables]
            assert held.issuperset(tables)
            with pytest.raises(lsm.PlanRefused, match="held by a running job"):
                lsm.plan.validate(lsm.Plan(tuple(tables), 5), space.version, held)
            seen.append(held)
        return run(self, space, inputs, **how)

    monkeypatch.setattr(Executor, "_run", looking)
    with lsm.open("/d", options("greedy"), fs=recovery.memory()) as db:
        for i in range(1500):
            db[b"%03d" % (i * i % 97)] = b"%d." % i * 20
        assert len(seen) > 3 and not db.executor.busy["default"] and not db.executor.claims["default"]
