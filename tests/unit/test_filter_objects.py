"""Filters as objects: hashes by name, adding, taking out, uniting, opening."""

from __future__ import annotations

import gc
import inspect
import sys
import weakref

import mmh3
import numpy as np
import pytest
import xxhash
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import indexes
from indexes import filters
from indexes.filters import BlockedBloom, Bloom, CountingBloom, Cuckoo, Filter, Ribbon
from tests.harness.examples import examples

GROWING = [c for c in filters.CLASSES if indexes.filter_ops(c.kind).can("insert")]
FIXED = [c for c in filters.CLASSES if c not in GROWING]
ERASING = [Cuckoo, CountingBloom]


def test_every_kind_has_a_class() -> None:
    assert tuple(filters.FILTERS) == indexes.filter_kinds()
    assert all(indexes.filter_class(kind) is cls for kind, cls in filters.FILTERS.items())
    assert [c.kind for c in GROWING] == ["bloom", "blocked_bloom", "counting_bloom", "cuckoo"]


@pytest.mark.parametrize("cls", filters.CLASSES)
def test_keys_and_their_hashes_make_the_same_filter(cls: type[Filter]) -> None:
    keys = [b"key %d" % i for i in range(500)]
    for name, of in (("xxh3", xxhash.xxh3_64_intdigest), ("murmur3", lambda b: mmh3.hash64(b, signed=False)[0])):
        built = cls.build(keys, hash=name)
        hashes = np.array([of(key) for key in keys], np.uint64)
        again = cls.from_hashes(hashes, hash=name)
        assert built.raw == again.raw and again.may_contain_many(keys).all() and built.may_contain_hashes(hashes).all()
        assert Filter.open(again.to_bytes()).hash == name
    assert cls.build(keys).raw != built.raw


def test_filter_of_foreign_hashes_takes_only_hashes() -> None:
    built = Filter.open(Ribbon.from_hashes(np.arange(100, dtype=np.uint64)).to_bytes())
    assert built.may_contain_hashes([5, 99]).all()
    with pytest.raises(TypeError, match="hashes of an unknown function; allowed: may_contain_hashes"):
        built.may_contain(b"a")
    with pytest.raises(TypeError, match="hashes are float64"):
        built.may_contain_hashes(np.zeros(3))


def test_hashes_as_a_list_keep_all_their_bits() -> None:
    hashes = [2**64 - 1, 2**63, 1]
    assert Bloom.from_hashes(hashes).raw == Bloom.from_hashes(np.array(hashes, np.uint64)).raw
    assert Bloom.from_hashes([]).may_contain_hashes([]).shape == (0,)
    for wrong, error in (([1.5], TypeError), ([2**64], OverflowError), ([-1], OverflowError)):
        with pytest.raises(error):
            Bloom.from_hashes(wrong)


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match="hash is 'crc'; allowed: xxh3, murmur3"):
        Bloom.build([b"a"], hash="crc")
    with pytest.raises(TypeError, match="Filter has no kind; there are: bloom, "):
        Filter.build([b"a"])


def test_capacity_and_repr() -> None:
    for capacity in (0, -1, 2**70):
        with pytest.raises(ValueError, match=rf"capacity is {capacity}; allowed: 1 to 2\*\*40"):
            Bloom.with_capacity(capacity)
    with pytest.raises(ValueError, match=r"bits_per_key is 12\.8 for 1099511627776 keys, which cuckoo does not take"):
        Cuckoo.with_capacity(2**40)
    assert repr(Bloom.build(range(1000))) == "<Bloom: 1,000 keys in 1,272 bytes>"


def test_open_finds_the_kind() -> None:
    for cls in filters.CLASSES:
        assert type(Filter.open(memoryview(cls.build([b"a"]).to_bytes()))) is cls
    with pytest.raises(ValueError, match="name is b'bloom'; allowed: 'ribbon'"):
        Ribbon.open(Bloom.build([b"a"]).to_bytes())


@pytest.mark.parametrize(
    ("at", "value", "complaint"), [(4, 2, "envelope version is 2"), (6, 9, "hash is 9"), (8, 7, "version of bloom is 7")]
)
def test_other_versions_are_named(at: int, value: int, complaint: str) -> None:
    data = bytearray(Bloom.build([b"a"]).to_bytes()[:-8])
    data[at] = value
    with pytest.raises(ValueError, match=complaint):
        Filter.open(bytes(data) + indexes.xxh3(bytes(data)).to_bytes(8, "little"))


def test_unregistered_kind_and_absurd_size_are_named() -> None:
    data = Bloom.build([b"a"]).to_bytes()[:-8]
    for changed, complaint in (
        (data.replace(b"bloom", b"gloom"), "name is b'gloom'; allowed: bloom, "),
        (data[:28] + (2**63).to_bytes(8, "little") + data[36:], "the header says 9223372036854775"),
    ):
        with pytest.raises(ValueError, match=complaint):
            Filter.open(changed + indexes.xxh3(changed).to_bytes(8, "little"))


@pytest.mark.parametrize("cls", FIXED)
def test_fixed_kinds_refuse_changes_and_name_those_that_can(cls: type[Filter]) -> None:
    built = cls.build([b"a"])
    for call, complaint in (
        (lambda: built.add(b"b"), "cannot take keys later; these can: bloom, blocked_bloom, counting_bloom, cuckoo"),
        (lambda: built.remove(b"a"), "cannot take keys out; these can: counting_bloom, cuckoo"),
        (lambda: built | built, "cannot be united; these can: bloom, blocked_bloom, counting_bloom, cuckoo"),
        (lambda: cls.with_capacity(10), "cannot grow; these can: bloom, blocked_bloom, counting_bloom, cuckoo"),
    ):
        with pytest.raises(TypeError, match=f"{cls.kind} {complaint}"):
            call()


@pytest.mark.parametrize("cls", GROWING)
def test_adding_is_building(cls: type[Filter]) -> None:
    keys = np.arange(5000)
    grown = cls.with_capacity(5000)
    assert grown.expected_fpr() == 0 and not grown.may_contain_many(keys).any()
    grown.add_many(keys[:4000])
    for key in keys[4000:4010].tolist():
        grown.add(key)
    grown.add_many(keys[4010:])
    assert grown.count == 5000 and grown.may_contain_many(keys).all()
    if cls is not Cuckoo:  # whose build inserts in the order of the hashes
        assert grown.raw == cls.build(keys).raw
    absent = np.arange(10**6, 10**6 + 400_000)
    assert grown.may_contain_many(absent).mean() == pytest.approx(grown.expected_fpr(), rel=0.2, abs=5e-5)


@pytest.mark.parametrize("cls", GROWING)
def test_union_has_the_keys_of_both(cls: type[Filter]) -> None:
    one, two = cls.with_capacity(4000), cls.with_capacity(4000)
    one.add_many(np.arange(2000))
    two.add_many(np.arange(2000, 4000))
    before = one.raw
    both = one | two
    assert both.may_contain_many(np.arange(4000)).all() and both.count == 4000
    assert one.raw == before
    with pytest.raises(ValueError, match="these differ"):
        one.union(cls.with_capacity(9000))
    with pytest.raises(ValueError, match="hash is 'murmur3'"):
        one.union(cls.with_capacity(4000, hash="murmur3"))
    with pytest.raises(TypeError, match="united with one of its kind, not with ribbon"):
        one.union(Ribbon.build([b"a"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [Bloom, BlockedBloom, CountingBloom])  # in a cuckoo filter, places depend on the order
def test_union_of_blooms_is_the_filter_of_all_keys(cls: type[Filter]) -> None:
    parts = [cls.with_capacity(1000) for _ in range(2)]
    for i, part in enumerate(parts):
        part.add_many(np.arange(i * 500, i * 500 + 500))
    assert (parts[0] | parts[1]).raw == cls.build(np.arange(1000)).raw


@pytest.mark.parametrize("cls", ERASING)
def test_removing_everything_leaves_an_empty_filter(cls: type[Filter]) -> None:
    keys = np.random.default_rng(3).integers(0, 2**63, 20_000)
    built = cls.build(keys, 13 if cls is Cuckoo else 40)
    for part in np.array_split(np.random.default_rng(4).permutation(keys), 7):
        assert built.may_contain_many(part).all()
        assert built.remove_many(part).all()
    assert built.count == 0 and not any(built.raw[16:])
    assert not built.remove(int(keys[0]))


def test_removing_no_false_negatives_among_the_others() -> None:
    """The counters of 15 and more stay, and half a cuckoo filter goes: whatever else was put in is found."""
    keys = np.arange(50_000)
    for cls in ERASING:
        built = cls.build(keys)
        built.remove_many(keys[::2])
        assert built.may_contain_many(keys[1::2]).all()
        assert built.may_contain_many(keys[::2]).mean() < 0.01


def test_full_counters_stay_full() -> None:
    crowded = CountingBloom.with_capacity(4, 16)
    for _ in range(3):
        crowded.add_many(np.arange(40))
    for _ in range(2):
        crowded.remove_many(np.arange(40))
    assert crowded.may_contain_many(np.arange(40)).all()


def test_full_cuckoo_filter_says_so_and_keeps_what_it_has() -> None:
    full = Cuckoo.with_capacity(1000)
    with pytest.raises(OverflowError, match=r"cuckoo is full: \d+ of 5000 keys were added, \d+ are in it"):
        full.add_many(np.arange(5000))
    assert 950 <= full.count <= 1120
    assert full.may_contain_many(np.arange(full.count)).all()
    before = full.raw
    for key in range(5000, 5003):
        try:
            full.add(key)
            before = full.raw
        except OverflowError:
            assert full.raw == before
    assert full.may_contain_many(np.arange(full.count - 3)).all()


def test_nine_copies_do_not_fit_two_buckets() -> None:
    copies = Cuckoo.with_capacity(1000)
    with pytest.raises(OverflowError, match="8 of 9 keys were added"):
        copies.add_many([b"same"] * 9)
    assert copies.remove_many([b"same"] * 9).tolist() == [True] * 8 + [False]


class Changing(RuleBasedStateMachine):
    """A filter that takes keys in and out, beside the multiset of its keys."""

    @initialize(cls=st.sampled_from(ERASING), capacity=st.integers(1, 60))
    def start(self, cls: type[Filter], capacity: int) -> None:
        self.filter, self.keys = cls.with_capacity(capacity), []

    @rule(key=st.one_of(st.binary(max_size=3), st.integers(0, 9)))
    def add(self, key: bytes | int) -> None:
        try:
            self.filter.add(key)
            self.keys.append(key)
        except OverflowError:
            assert isinstance(self.filter, Cuckoo)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.keys:
            assert self.filter.remove(self.keys.pop(data.draw(st.integers(0, len(self.keys) - 1))))

    @rule()
    def reopen(self) -> None:
        self.filter = Filter.open(self.filter.to_bytes())

    @invariant()
    def nothing_is_denied(self) -> None:
        if hasattr(self, "filter"):
            assert all(key in self.filter for key in self.keys) and self.filter.count == len(self.keys)


TestChanging = Changing.TestCase
TestChanging.settings = settings(max_examples=examples(60), stateful_step_count=60)


@pytest.mark.parametrize("hash", indexes.HASHES)
def test_one_probe_takes_every_form_of_key(hash: str) -> None:
    integers = [0, 1, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]
    built = Ribbon.build([b"", b"ant", *map(filters.key_bytes, integers)], 30, hash=hash)
    assert all(built.may_contain(form(b"ant")) for form in (bytes, bytearray, memoryview))
    assert all(built.may_contain(i) for i in integers) and b"" in built and True in built
    assert built.may_contain(np.int8(1)) is built.may_contain(1) is True
    assert not built.may_contain(b"bee") and not built.may_contain(2) and -2 not in built
    for wrong, error in (("ant", TypeError), (None, TypeError), (1.5, TypeError), (2**64, ValueError)):
        with pytest.raises(error):
            built.may_contain(wrong)  # type: ignore[arg-type]
    assert str(inspect.signature(built.may_contain)) == "(key, /)" and built.may_contain.__doc__


def test_probe_keeps_the_filter_and_lets_it_go() -> None:
    probe = Bloom.build(np.arange(1000)).may_contain
    gc.collect()
    np.zeros(1 << 20)  # what might take the place of freed bytes
    assert all(map(probe, range(1000)))
    data = Bloom.build(np.arange(10))
    gone = weakref.ref(data)
    gc.disable()
    try:
        del data
        assert gone() is None  # no cycle: large filters go at once
    finally:
        gc.enable()


def test_probing_one_key_does_not_leak() -> None:
    built, keys = Bloom.build([b"a"]), [b"a", b"b", 5, 6, 2**63, bytearray(b"a")]
    counts = [sys.getrefcount(key) for key in keys]
    for _ in range(100):
        list(map(built.may_contain, keys))
    assert [sys.getrefcount(key) for key in keys] == counts
