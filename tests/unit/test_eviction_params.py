"""Parameters of policies: what is not understood or out of range is refused, by every policy that takes any and by those that take none."""

from __future__ import annotations

import pytest

import eviction

KINDS = [kind for kind, known in eviction.POLICIES.items() if known.built_in and not known.looks_ahead]


def refused(kind: str, params: str) -> None:
    with pytest.raises(ValueError, match=r"refused|param"):
        eviction.Policy(eviction.ops_address(kind), 10, 10, params=params)


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_no_policy_knows(kind: str) -> None:
    for params in ("bogus=1", "bogus", "=", "=1", "bogus=", " bogus=1 "):
        refused(kind, params)
    with eviction.Policy(eviction.ops_address(kind), 10, 10, params="") as policy:
        assert policy.miss(1) and policy.check() is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_nothing_is_one(kind: str) -> None:
    with eviction.Policy(eviction.ops_address(kind), 2, 4) as policy:
        if policy.miss(1, 0):
            policy.insert(0, 1, 0)
        if policy.miss(2, 0):
            policy.insert(1, 2, 0)
        assert policy.check() is None
        assert not policy.miss(3, 3)
        policy.resize(0)
        assert not policy.miss(4, 0)
        assert policy.check() is not None
        while policy.evict() is not None:
            pass
        assert policy.check() is None


def test_numbers_out_of_range_and_what_is_no_number() -> None:
    for kind, name in [
        ("lru-k", "k"),
        ("2q", "kin"),
        ("2q", "kout"),
        ("s3fifo", "small"),
        ("s3fifo", "threshold"),
        ("qdlp", "probation"),
        ("qdlp", "bits"),
    ]:
        for value in ("", "x", "1x", "1,2", "nan", "-1e30", "1e30", "1 2", "1=2"):
            refused(kind, f"{name}={value}")
            refused(kind, f"{name}=1 {name}={value}")
