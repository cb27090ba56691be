"""The random rows of the torture suite, in short; and each of them finds a defect that is planted: none is a check that cannot fail."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis.errors import FlakyStrategyDefinition

import lsm
from experiments.torture import ROWS, draws, machine, row_g_machine, row_h_options, row_i_twins, row_p_same, row_q_formats
from experiments.torture.row import Found, Slice
from experiments.torture.runner import run_slice
from experiments.torture.script import PAUSES, Expected, draw_ops
from experiments.torture.shrink import shrink


def a_list(seed: int, **fixed: Any) -> tuple[list[Any], draws.Options, list[str]]:
    """A list of row H with one set of options."""
    rng = random.Random(seed)
    return draw_ops(rng, 60), draws.draw_options(rng, **fixed), [rng.choice(PAUSES) for _ in range(4)]


@pytest.mark.parametrize("seed", range(25))
def test_lists_of_operations_under_random_options(seed: int) -> None:
    assert row_h_options.wrong(*a_list(seed)) == "", f"repeat with a_list({seed})"


def test_a_slice_with_parts_in_python_runs_in_a_process_of_its_own() -> None:
    record = run_slice(ROWS["H"], Slice("one", {"first": 0, "lists": 1}))
    assert (record["cases"], record["more"], record["violations"]) == (1, {"runs": row_h_options.SETS}, [])


def test_every_kind_of_operation_is_drawn_and_played() -> None:
    ops = draw_ops(random.Random(1), 2000)
    expected = Expected()
    answers = {op[0]: expected.play(op) for op in ops}
    assert len(answers) == 18
    assert sum(answers[kind] is not None for kind in ("get", "scan", "find", "index", "read_snapshot", "next")) >= 5


def drop_every_tombstone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsm.executor.is_bottom", lambda *_: True)


def forget_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    replay = lsm.db.replay  # type: ignore[attr-defined]
    monkeypatch.setattr("lsm.db.replay", lambda *given: ([], replay(*given)[1]))


def test_row_h_finds_a_tombstone_that_is_dropped_too_high_and_makes_the_list_short(monkeypatch: pytest.MonkeyPatch) -> None:
    drop_every_tombstone(monkeypatch)
    fixed = {"threads": 0, "write_buffer": 1024, "compaction__policy": "", "compaction__layout": "leveling", "compaction__l0_trigger": 2}
    fixed |= {"compaction__layout_params": "", "memory": 0}
    for seed in range(20):
        given = a_list(seed, **fixed)
        if problem := row_h_options.wrong(*given):
            assert "expected" in problem
            assert len(shrink(given[0], lambda part, rest=given[1:]: bool(row_h_options.wrong(part, *rest)), 5.0)) < 25  # type: ignore[misc]
            return
    raise AssertionError("no list found it")


def test_row_g_finds_a_log_that_is_forgotten_and_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_log(monkeypatch)
    found: Found = row_g_machine.run({"seed": 3, "machines": 30, "shrink": False})
    (violation,) = found.violations
    assert violation.startswith("seed 3: ") and "state.start(" in violation and "options={'" in violation and "\n" not in violation


@pytest.mark.parametrize("fails", [True, False])
def test_row_g_tells_what_failed_once_and_goes_on_when_only_steps_differ(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With threads a step may fail once and never again, or allow other steps the second time: Hypothesis says the same of both."""
    seen = []

    def shaky(test: Any, settings: Any) -> None:
        seen.append(test)
        one = machine.Machine()
        try:
            if fails:
                raise lsm.BackupError("once and never again")
        finally:
            one.teardown()
        raise FlakyStrategyDefinition("the second run stopped drawing earlier")

    def once_more(test: Any, settings: Any) -> None:
        try:
            shaky(test, settings)
        except lsm.BackupError:
            raise FlakyStrategyDefinition("the second run stopped drawing earlier") from None

    monkeypatch.setattr("hypothesis.stateful.run_state_machine_as_test", once_more)
    found = row_g_machine.run({"seed": 1, "machines": 30, "shrink": False})
    if fails:
        (violation,) = found.violations
        assert "first it was BackupError: once and never again" in violation and len(seen) == 1
    else:
        assert not found.violations
        assert found.more["seeds given up"] == len(seen) == 3


def test_row_i_finds_a_wrong_byte_in_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = row_i_twins.run({"seed": 1, "records": 3000})
    assert clean.violations == [] and clean.cases >= 3000 and set(clean.more) == set(row_i_twins.KINDS)
    names = {"filters", "range filters", "logs", "rows", "tables", "checksums", "merges"}

    def twisted(what: str, native: Any, twin: Any) -> None:
        if native == twin and native not in ([], b"", 0, False):
            raise row_i_twins.Differ(what)

    monkeypatch.setattr(row_i_twins, "same", twisted)
    told = row_i_twins.run({"seed": 1, "records": 14}).violations
    assert {v.split(":")[0] for v in told} == names and all("repeat with: python -c" in v for v in told)


@pytest.mark.parametrize("what", ["bytes", "list", "other"])
def test_a_difference_says_where(what: str) -> None:
    pair: tuple[Any, Any] = {"bytes": (b"abcd", b"abXd"), "list": ([1, 2], [1, 3]), "other": (1, 2)}[what]
    with pytest.raises(row_i_twins.Differ, match={"bytes": "from byte 2", "list": "item 1", "other": "1 and 2"}[what]):
        row_i_twins.same("it", *pair)


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_row_p_is_the_same_twice_and_another_for_another_seed(seed: int) -> None:
    assert row_p_same.trace(seed) == row_p_same.trace(seed)
    assert row_p_same.trace(seed) != row_p_same.trace(seed + 1)


def test_row_p_finds_randomness_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsm.db.new_id", lambda *_, **__: int.from_bytes(os.urandom(8), "little") | 1)
    assert row_p_same.trace(1) != row_p_same.trace(1)


def test_row_p_runs_two_processes() -> None:
    found = row_p_same.run({"first": 0, "seeds": 2})
    assert (found.cases, found.violations) == (2, [])


def test_row_q_finds_a_reader_that_forgets_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_log(monkeypatch)
    found = row_q_formats.run({"seed": 0, "sets": 1})
    assert found.cases == len(found.violations) == len(row_q_formats.fixtures())


def test_row_q_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(row_q_formats, "GOLDEN", tmp_path)
    assert "source tree" in row_q_formats.run({"seed": 0, "sets": 1}).missing
