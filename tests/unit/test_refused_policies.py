"""A compaction policy that is wrong is refused with the reason; data stay, health says it, writes go on, another policy takes over."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

import lsm
import recovery
from experiments.policies import trials
from lsm.dump import parse
from lsm.errors import PlanRefused
from lsm.plan import validate
from lsm.policies import make_policy
from lsm.progress import PATIENCE, Progress, standing
from lsm.version import Edit
from tests.harness.wrong_policies import WRONG, Busy, Endless

SMALL: dict[str, Any] = {"write_buffer": 16384, "compaction": {"size_ratio": 3, "l0_trigger": 2, "level_base": 8192, "output_bytes": 4096}}


def written(db: lsm.DB, model: dict[bytes, bytes], rounds: int, start: int = 0) -> None:
    """Write over the same keys again and again, with flushes in between."""
    for i in range(start, start + rounds):
        batch = {b"%04d" % (k + i % 3): b"%06d" % i * 10 for k in range(0, 300, 3)}
        model |= batch
        db.put_many(batch)
        db.flush()


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("wrong", [w for w in WRONG if w is not Busy], ids=lambda w: w.__name__)
def test_it_is_refused_and_the_data_stay(wrong: type, threads: int) -> None:
    fs, model = recovery.memory(), dict[bytes, bytes]()
    with lsm.open("/d", SMALL, fs=fs, threads=threads) as db:
        written(db, model, 6)
        with pytest.warns(RuntimeWarning, match=WRONG[wrong]):
            db.set_policy(wrong())
            written(db, model, 6, 6)
            db.wait()
        health = db.health
        assert health.state == "degraded" and health.writable and not health.error
        assert re.search(WRONG[wrong], health.policies[0]) and wrong.__name__ in health.policies[0]
        assert "set_policy" in health.advice and f"policy: {health.policies[0]}" in str(health)
        runs = len(db.version().levels[0].runs)
        written(db, model, 3, 12)
        assert len(db.version().levels[0].runs) >= runs, "it is not asked again"
        assert dict(db.scan()) == model and not db.verify()
        db.set_policy(make_policy(db.options))
        db.wait()
        assert db.health.state == "ok" and db.health.policies == () and len(db.version().levels[0].runs) <= 1
        assert dict(db.scan()) == model
    with lsm.open("/d", SMALL, fs=fs, threads=0) as db:
        assert dict(db.scan()) == model and not db.verify()


def test_it_is_degraded_too_when_level_0_has_grown_since() -> None:
    """Not stopped: nothing is waited for that could end the wait, so writes go on, and the reason is the policy."""
    stalls = {"slowdown_runs": 3, "stop_runs": 5, "slowdown_us_per_kib": 0}
    with lsm.open("/d", SMALL, fs=recovery.memory(), threads=1, stalls=stalls) as db:
        with pytest.warns(RuntimeWarning, match=WRONG[Endless]):
            db.set_policy(Endless())
            model: dict[bytes, bytes] = {}
            written(db, model, 12)
            db.wait()
        health = db.health
        assert health.state == "degraded" and health.level0_runs > 5 and health.writable
        assert re.search(WRONG[Endless], health.policies[0]) and "set_policy" in health.advice
        assert health.stalls and "runs in level 0" in health.stalls[0]
        assert dict(db.scan()) == model


def test_a_busy_table_is_refused_while_the_job_that_holds_it_goes_on() -> None:
    entered, refused = threading.Event(), threading.Event()
    model: dict[bytes, bytes] = {}
    with lsm.open("/d", SMALL, fs=recovery.memory(), threads=2) as db:
        run, refuse = db.executor._run, db.executor.refuse

        def slow(space: Any, inputs: Any, **how: Any) -> Any:
            if how["cause"] == "compaction":
                entered.set()
                assert refused.wait(30), "the other worker asked meanwhile"
            return run(space, inputs, **how)

        def noted(space: Any, why: str) -> None:
            refuse(space, why)
            refused.set()

        db.executor._run, db.executor.refuse = slow, noted  # type: ignore[method-assign, assignment]
        with pytest.warns(RuntimeWarning, match=WRONG[Busy]):
            db.set_policy(Busy())
            for i in range(6):
                model |= {b"%04d" % k: b"%d" % i * 20 for k in range(100)}
                db.put_many(model)
                db.flush()  # a run each: memtables that wait together become one
            assert entered.wait(30)
            db.wait()
        assert re.search(WRONG[Busy], db.health.policies[0])
        assert dict(db.scan()) == model and db.version().levels[1].runs, "what ran was finished"


def test_a_policy_of_one_keyspace_does_not_stop_that_of_another() -> None:
    with lsm.open("/d", SMALL, fs=recovery.memory(), threads=0) as db:
        other = db.keyspace("other")
        with pytest.warns(RuntimeWarning):
            db.set_policy(Endless())
            written(db, {}, 3)
        for i in range(4):
            other.put_many({b"%d" % k: b"%d" % i for k in range(100)})
            other.flush()
        assert len(db.version("other").levels[0].runs) <= 1 and len(db.health.policies) == 1


@pytest.mark.parametrize("wrong", [w for w in WRONG if w is not Busy], ids=lambda w: w.__name__)
def test_the_check_says_why(wrong: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lsm.COMPACTIONS, "wrong", wrong)
    with pytest.raises(trials.Failed, match=WRONG[wrong]):
        trials.legal("wrong")


def test_the_check_asks_again_while_a_plan_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lsm.COMPACTIONS, "busy", Busy)
    view = lsm.TreeView(parse("L0\n run 2: 2[a..c]\n run 1: 1[a..b]\n").levels, lsm.Options(), frozenset({1, 2}))
    plan = Busy().plan(view)
    assert plan is not None
    with pytest.raises(PlanRefused, match=WRONG[Busy]):
        validate(plan, lsm.Version(view.levels), view.busy)
    with pytest.raises(trials.Failed, match=WRONG[Busy]):
        trials.free("busy")


def test_what_counts_as_progress() -> None:
    before = parse("L0\n run 3: 3[a..m] 10 entries\n run 2: 2[a..m] 10 entries\nL1\n run 1: 1[a..z] 50 entries\n")
    three = before.tables()[3]
    down = before.apply(Edit(0, (3,), ((1, 9, three),)))
    joined = before.apply(Edit(0, (3, 2), ((0, 9, parse("L0\n run 1: 9[a..m] 20 entries\n").tables()[9]),)))
    dropped = before.apply(Edit(0, (1,), ((1, 9, parse("L1\n run 1: 9[a..z] 49 entries\n").tables()[9]),)))
    assert max(map(standing, (down, joined, dropped))) < standing(before)
    rewritten = before.apply(Edit(0, (1,), ((1, 9, parse("L1\n run 1: 9[a..z] 50 entries\n").tables()[9]),)))
    assert standing(rewritten) == standing(before)


def test_plans_without_progress_are_allowed_for_a_while() -> None:
    progress, version = Progress(), parse("L0\n run 1: 1[a..m]\nL1\n run 2: 2[a..m]; 3[n..z]\n")
    for _ in range(1 + PATIENCE + 2 * 3):
        progress.check(version)
    with pytest.raises(PlanRefused, match="does not come to an end"):
        progress.check(version)
    progress.restart()
    progress.check(version)


FORMS: list[tuple[dict[str, Any], str]] = [
    ({"inputs": [1]}, "inputs are"),
    ({"inputs": ("1",)}, "inputs are"),
    ({"inputs": (True,)}, "inputs are"),
    ({"output_level": 1.0}, "output level is"),
    ({"output_bytes": -1}, "output_bytes is"),
    ({"output_bytes": 1 << 41}, "output_bytes is"),
    ({"cuts": ("a",)}, "cuts are"),
    ({"cuts": [b"a"]}, "cuts are"),
    ({"reason": None}, "reason is"),
]


@pytest.mark.parametrize(("fields", "why"), FORMS)
def test_every_field_of_a_plan_is_looked_at(fields: dict[str, Any], why: str) -> None:
    plan = lsm.Plan(**{"inputs": (1,), "output_level": 1} | fields)
    with pytest.raises(PlanRefused, match=why):
        validate(plan, parse("L0\n run 1: 1[a..m]\n"), frozenset())
