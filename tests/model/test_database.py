"""A database against its model, step by step: the machine of row G of the torture suite, in short."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import settings

import lsm
from experiments.torture import draws, machine, model
from tests.harness.examples import examples

TestDatabase = machine.Machine.TestCase
TestDatabase.settings = settings(max_examples=examples(35), stateful_step_count=40)


def test_it_has_rules_for_the_whole_interface() -> None:
    assert machine.rules() == 90, "docs/durability.md and docs/architecture.md say how many"


def fields(cls: Any, prefix: str = "") -> set[str]:
    """Names of all options with dots."""
    names = set()
    for f in dataclasses.fields(cls):
        inner = f.default_factory
        names |= fields(inner, f"{prefix}{f.name}.") if dataclasses.is_dataclass(inner) else {prefix + f.name}
    return names


def test_every_option_is_drawn() -> None:
    assert draws.choices().keys() == fields(lsm.Options)


@pytest.mark.parametrize("seed", range(20))
def test_drawn_options_are_options(seed: int) -> None:
    import random

    drawn = draws.draw_options(random.Random(seed))
    assert lsm.Options.from_dict(drawn).to_dict() == drawn


def test_the_model_goes_back_to_states_that_were_and_to_no_others() -> None:
    m = model.Model()
    m.write([("put", "default", b"a", b"1")], durable=True)
    m.write([("put", "default", b"b", b"2"), ("delete", "default", b"a", b"")])
    m.write([("delete_range", "default", b"a", b"c")])
    assert list(m.possible()) == [{"default": {}}, {"default": {b"b": b"2"}}, {"default": {b"a": b"1"}}]
    assert not m.went_back({"default": {b"a": b"1", b"b": b"2"}}), "half a batch"
    assert not m.went_back({"default": {b"b": b"other"}})
    assert m.went_back({"default": {b"b": b"2"}})
    assert list(m.possible()) == [{"default": {b"b": b"2"}}]
