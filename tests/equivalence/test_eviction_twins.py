"""Native policies and their twins in lock step: the same hits, the same queues."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eviction
from eviction.twins import TWINS

VARIANTS: list[tuple[str, dict[str, float]]] = [
    ("hyperbolic", {"sample": 3}),
    ("hyperbolic", {"sample": 2, "size": 0}),
    ("lhd", {"sample": 2, "interval": 7, "explore": 0.5}),
    ("lru-k", {"crp": 0}),
    ("lru-k", {"k": 3, "crp": 0.5, "history": 2}),
    ("lru-k", {"k": 1, "crp": 1, "history": 0}),
    ("lru-k", {"k": 4, "crp": 0, "rip": 9}),
    ("clock", {"bits": 2}),
    ("clock", {"bits": 4, "reach": 3}),
    ("fifo-reinsertion", {"bits": 3}),
    ("lhd", {"interval": 20, "decay": 0.5}),
    ("wtinylfu", {"adaptive": 0, "window": 0.5}),
    ("wtinylfu", {"window": 1, "protected": 0.5}),
    ("lecar", {"rate": 0.9, "discount": 0.5, "history": 0.3}),
    ("cacheus", {"q": 0.5, "weight": 0.9, "history": 0.2}),
]


def lock_step(kind: str, capacity: int, requests: list[tuple[int, int]], **settings: float) -> None:
    """Drive both; slots are ample, so that only weights make room."""
    twin = TWINS[kind](capacity, **settings)
    params = " ".join(f"{name}={value}" for name, value in settings.items())
    place: dict[int, int] = {}
    weights: dict[int, int] = {}
    with eviction.Policy(eviction.ops_address(kind), capacity, capacity, 0, params) as policy:
        for key, weight in requests:
            hit = key in place
            assert twin.request(key, weight) == hit
            if hit:
                policy.hit(place[key])
            elif policy.miss(key, weight):
                while sum(weights.values()) + weight > capacity:
                    slot = policy.evict()
                    (gone,) = [k for k, s in place.items() if s == slot]
                    del place[gone], weights[gone]
                place[key] = min(set(range(capacity)) - set(place.values()))
                weights[key] = weight
                policy.insert(place[key], key, weight)
            assert policy.dump() == twin.dump()
            assert policy.check() is None


@pytest.mark.parametrize("kind", TWINS)
@given(capacity=st.integers(0, 9), keys=st.lists(st.integers(0, 14), max_size=200))
@settings(max_examples=60, deadline=None)
def test_unit_weights(kind: str, capacity: int, keys: list[int]) -> None:
    lock_step(kind, capacity, [(key, 1) for key in keys])


@pytest.mark.parametrize("kind", TWINS)
@given(capacity=st.integers(0, 12), requests=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=120))
@settings(max_examples=60, deadline=None)
def test_weights(kind: str, capacity: int, requests: list[tuple[int, int]]) -> None:
    lock_step(kind, capacity, requests)


@pytest.mark.parametrize(("kind", "settings_of"), VARIANTS, ids=lambda v: v if isinstance(v, str) else " ".join(f"{k}={v[k]}" for k in v))
@given(capacity=st.integers(0, 9), requests=st.lists(st.tuples(st.integers(0, 14), st.integers(1, 3)), max_size=150))
@settings(max_examples=40, deadline=None)
def test_parameters(kind: str, settings_of: dict[str, float], capacity: int, requests: list[tuple[int, int]]) -> None:
    lock_step(kind, capacity, requests, **settings_of)
    lock_step(kind, capacity, [(key, 1) for key, _ in requests], **settings_of)
