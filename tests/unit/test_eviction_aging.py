"""LFUDA and GDSF: cases worked out by hand from the papers, and the counts of another program."""

from __future__ import annotations

import pytest

import eviction
from tests.harness.driven import SHARED, Driven, counts, points

SMALL = ("lirs-cpp", "lirs-cs", "lirs-glimpse", "lirs-multi1", "lirs-multi2", "lirs-ps", "lirs-sprite", "cache2k-web07")
HEAD = "ranked:"


def test_the_age_is_the_priority_of_the_last_victim_and_counts_for_who_comes() -> None:
    driven = Driven("lfuda", 2)
    assert driven.requests(1, 1, 1, 2) == []
    assert driven.dump() == f"lfuda: L=0\n{HEAD} 1/3 2/1\n"
    assert driven.requests(3) == [2]
    assert driven.dump() == f"lfuda: L=1\n{HEAD} 1/3 3/2\n", "3 comes with 1 + 1"
    assert driven.requests(4) == [3]
    assert driven.dump() == f"lfuda: L=2\n{HEAD} 4/3 1/3\n"


def test_of_equal_priorities_that_which_has_had_it_longest_leaves() -> None:
    driven = Driven("lfuda", 2)
    driven.requests(1, 1, 1, 2, 3, 4)
    assert driven.requests(5) == [1], "1 has had 3 since its third use, 4 got it last; LFU would keep 1 for ever"


def test_the_age_is_added_on_every_hit_too() -> None:
    """1 was last hit at L = 0; hit at L = 2 it is worth 2 + 4, not 3 + 1."""
    driven = Driven("lfuda", 2)
    driven.requests(1, 1, 1, 2, 3, 4, 1)
    assert driven.dump() == f"lfuda: L=2\n{HEAD} 1/6 4/3\n"


def test_counts_die_with_the_resident() -> None:
    driven = Driven("lfuda", 1)
    assert driven.requests(1, 1, 1, 2, 1) == [1, 2]
    assert driven.dump() == f"lfuda: L=4\n{HEAD} 1/5\n", "2 came with 3 + 1, 1 again with 4 + 1"


def test_gdsf_divides_by_weight() -> None:
    driven = Driven("gdsf", 10)
    driven.request(1, 8)
    driven.request(2, 2)
    assert driven.dump() == f"gdsf: L=0\n{HEAD} 2/0.5 1/0.125\n"
    for _ in range(3):
        driven.request(1, 8)
    assert driven.dump() == f"gdsf: L=0\n{HEAD} 1/0.5 2/0.5\n"
    assert driven.request(3, 2) == [2], "equal, and 2 has had it longer"
    assert driven.request(4, 1) == [1], "1: 0.5, 3: 0.5, and 1 has had it longer"
    assert driven.dump() == f"gdsf: L=0.5\n{HEAD} 4/1.5 3/0.5\n", "4 and its 1 / 1 came with the age from before its victim left, 0.5"


def test_gdsf_does_not_admit_what_is_among_the_least() -> None:
    """A key of 6 is worth 1/6; to make room 2 at 0.25 would have to leave, which is more. Nobody leaves, and L stays with the least, 1."""
    driven = Driven("gdsf", 10)
    driven.request(1, 4)
    driven.request(2, 4)
    assert driven.request(9, 6) == []
    assert 9 not in driven.place
    assert driven.dump() == f"gdsf: L=0.166667\n{HEAD} 2/0.25 1/0.25\n"
    assert driven.heard[-1] == ("b", 9)
    assert driven.request(8, 3) == [1], "1/6 + 1/3 is above 0.25"


@pytest.mark.parametrize(("weight", "gone"), [(20, [2, 3]), (21, [2, 3]), (22, [])])
def test_gdsf_counts_the_weight_of_all_that_is_less(weight: int, gone: list[int]) -> None:
    """2 and 3 are worth 1/10 and weigh 20 together; 4, hit once, is worth 0.1 + 2/9, more than 0.1 + 1/22. 29 of 30 are in use."""
    driven = Driven("gdsf", 30)
    for key in (1, 2, 3):
        driven.request(key, 10)
    assert driven.request(4, 9) == [1]
    driven.request(4)
    assert driven.request(5, weight) == gone
    assert (5 in driven.place) == bool(gone)


def test_gdsf_lets_new_keys_in_again_after_every_resident_was_hit() -> None:
    """With L left alone, as the paper has it, the residents of one phase would stay for ever."""
    driven = Driven("gdsf", 2)
    driven.requests(1, 2, 1, 2, 1, 2)
    gone = driven.requests(*[3, 4] * 4)
    assert set(gone) == {1, 2}
    assert set(driven.place) == {3, 4}


@pytest.mark.parametrize("kind", ["lfuda", "gdsf"])
def test_the_age_never_falls(kind: str) -> None:
    driven, age = Driven(kind, 20), 0.0
    for step in range(600):
        driven.request(step * step * 31 % 37, 1 + step * 7 % 5 if step * step * 31 % 37 not in driven.weight else 1)
        if step % 11 == 0 and driven.place:
            driven.remove(next(iter(driven.place)))
        now = float(driven.dump().split("L=")[1].split("\n")[0])
        assert now >= age
        age = now
    assert age > 1


@pytest.mark.parametrize("kind", ["lfuda", "gdsf"])
def test_no_parameters(kind: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        eviction.replay(kind, [1], [1], params="k=2")


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
def test_gdsf_is_libcachesims() -> None:
    apart = points("gdsf", counts("GDSF", "libcachesim", SMALL))
    assert len(apart) > 70
    assert not any(apart)


@pytest.mark.skipif(not SHARED.exists(), reason="the reference counts are not here")
@pytest.mark.parametrize(("size", "hits"), [(32, 20874), (512, 44697), (1024, 55176)])
def test_gdsf_in_bytes(size: int, hits: int) -> None:
    """Near, since libCacheSim lets the newcomer's victims go even where it then leaves itself."""
    (got,) = eviction.replay("gdsf", SHARED / "traces" / "cloudphysics-sample.ks32.xz", [size << 20])
    assert abs(got.hits - hits) < 10
