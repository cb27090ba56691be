"""What every memtable promises, native or in Python: the twin's answers, before and after seal, and readers beside a writer."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.memtable_python import SortedMemtable
from lsm.memtable_twin import DELETE, MAX_SEQ, MERGE, PUT, Entry, MemtableTwin, order
from lsm.native_memtables import BUILT_IN, Cursor, Memtable, MemtableOps, PythonMemtable, builtin_memtable

OPS: dict[str, MemtableOps] = {name: builtin_memtable(name) for name in BUILT_IN}
OPS["python"] = PythonMemtable(SortedMemtable, "sorted")
ALL = pytest.mark.parametrize("kind", OPS)

KEYS = st.one_of(
    st.binary(max_size=3),
    st.integers(0, 400).map(lambda i: b"user%016d" % i),  # alike at the start: the anchor of the index
    st.integers(0, 40).map(lambda i: b"\xff" * i),
    st.binary(min_size=7, max_size=9),
)
ENTRIES = st.lists(st.tuples(KEYS, st.sampled_from([PUT, PUT, DELETE, MERGE]), st.binary(max_size=20)), max_size=60)


@pytest.fixture
def new() -> Iterator[Callable[[str], Memtable]]:
    made: list[Memtable] = []

    def make(kind: str, **settings: int) -> Memtable:
        made.append(Memtable(OPS[kind], **settings))
        return made[-1]

    yield make
    for memtable in made:
        memtable.close()
        if isinstance(memtable.ops, PythonMemtable):
            assert memtable.ops.last_error is None


def compare(native: Memtable, twin: MemtableTwin, probes: list[tuple[bytes, int]]) -> None:
    """Every way of reading gives the twin's answer."""
    assert list(native) == list(twin)
    assert len(native) == len(twin)
    cursor = native.cursor()
    back = []
    entry = cursor.last()
    while entry is not None:
        back.append(entry)
        entry = cursor.prev()
    assert back == list(reversed(twin))
    for key, seq in probes:
        assert native.get(key, seq) == twin.get(key, seq)
        assert cursor.seek(key, seq) == twin.seek(key, seq)
        assert cursor.seek_before(key) == twin.seek_before(key)
    cursor.close()
    keys = [key for key, _ in probes]
    for seq in {0, 7, MAX_SEQ, 2**64 - 1}:
        assert native.get_many(keys, seq) == [twin.get(key, min(seq, MAX_SEQ)) for key in keys]


@ALL
@given(data=ENTRIES, extra=st.lists(KEYS, max_size=10), seed=st.integers(0, 2**32), order_seed=st.integers(0, 9))
def test_answers_like_the_twin(kind: str, data: list[tuple[bytes, int, bytes]], extra: list[bytes], seed: int, order_seed: int) -> None:
    native, twin = Memtable(OPS[kind], budget=1 << 16, seed=seed), MemtableTwin()
    entries = [Entry(key, seq + 1, what, value) for seq, (key, what, value) in enumerate(data)]
    if order_seed:  # replay of several logs need not come in order of sequence numbers
        random.Random(order_seed).shuffle(entries)
    for entry in entries:
        native.add(entry)
        twin.add(entry)
    probes = [(e.key, s) for e in entries for s in (e.seq - 1, e.seq, MAX_SEQ)] + [(key, MAX_SEQ) for key in extra]
    compare(native, twin, probes)
    native.seal()
    compare(native, twin, probes)
    native.close()


@ALL
@pytest.mark.parametrize("shape", ["random", "ascending", "descending", "shared start", "one key"])
def test_thousands_of_entries(kind: str, shape: str, new: Callable[..., Memtable]) -> None:
    """Enough to fold the vector's runs twice, to grow the hash table, to anchor the indexes anew. random.Random(5) repeats it."""
    rng, n = random.Random(5), 5000 if kind != "python" else 600
    keys = {
        "random": lambda i: rng.randbytes(rng.randrange(1, 24)),
        "ascending": lambda i: b"%016d" % i,
        "descending": lambda i: b"%016d" % (n - i),
        "shared start": lambda i: b"a long start of keys/%06d" % rng.randrange(10**6) if i != 300 else b"elsewhere",
        "one key": lambda i: b"key",
    }[shape]
    native, twin = new(kind, budget=1 << 22, seed=3), MemtableTwin()
    for i in range(n):
        entry = Entry(keys(i), i + 1, PUT, b"%d" % i)
        native.add(entry)
        twin.add(entry)
    entries = list(twin)
    probes = [(rng.choice(entries).key, rng.randrange(n)) for _ in range(300)] + [(rng.randbytes(5), MAX_SEQ) for _ in range(50)]
    compare(native, twin, probes)
    native.seal()
    compare(native, twin, probes)


@ALL
def test_memory_covers_what_was_put_in(kind: str, new: Callable[..., Memtable]) -> None:
    native, raw = new(kind, budget=1 << 20), 0
    assert native.memory() < 64 << 10
    for i in range(2000):
        native.add(Entry(b"%08d" % i, i + 1, PUT, b"v" * 100))
        raw += 108
    assert raw < native.memory() < 4 * raw


@ALL
def test_a_huge_value_and_an_empty_one(kind: str, new: Callable[..., Memtable]) -> None:
    native = new(kind, budget=1 << 16)
    big, long_key = b"x" * (5 << 20), b"k" * 65536
    native.add(Entry(b"big", 1, PUT, big))
    native.add(Entry(long_key, 2, PUT, b""))
    native.add(Entry(b"", 3, PUT, b"value of the empty key"))
    assert [(e.key, len(e.value)) for e in native] == [(b"", 22), (b"big", len(big)), (long_key, 0)]
    found = native.get(b"big")
    assert found is not None and found.value == big
    assert native.memory() > len(big)


@ALL
@pytest.mark.parametrize("order_seed", range(4))
def test_iterators_that_stand_while_writes_go_on(kind: str, order_seed: int, new: Callable[..., Memtable]) -> None:
    """They go on in order, with all that was there when they were placed, whichever way they turn. random.Random(order_seed) repeats it."""
    rng, n = random.Random(order_seed), 3000 if kind != "python" else 300
    native, twin = new(kind, budget=1 << 20, seed=order_seed), MemtableTwin()
    standing: list[tuple[Cursor, Entry, list[Entry]]] = []
    for i in range(n):
        key = b"key%06d" % (rng.randrange(n // 4) if order_seed != 3 else n - i)
        entry = Entry(key, i + 1, PUT, b"")
        native.add(entry)
        twin.add(entry)
        if i % 100 == 0:
            cursor = native.cursor()
            at = cursor.seek(rng.choice(list(twin)).key)
            assert at is not None
            standing.append((cursor, at, list(twin)))
        cursor, at, there = standing[rng.randrange(len(standing))]
        moved = cursor.next() if rng.random() < 0.8 else cursor.prev()
        if moved is None:  # at an end: from the front again
            moved = cursor.first()
            assert moved is not None
        else:
            low, high = sorted((order(at), order(moved)))
            assert low < high and not [e for e in there if low < order(e) < high], f"from {at} to {moved}"
        standing[[c for c, _, _ in standing].index(cursor)] = (cursor, moved, there)
    for cursor, _, _ in standing:
        cursor.close()


@pytest.mark.parametrize("keys", ["%08d", "the same beginning of all/%08d", "one key"])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.threads
def test_readers_beside_splits(keys: str, ascending: bool, new: Callable[..., Memtable]) -> None:
    """Of the B+-tree: get, get_many and scans both ways see all whose add had returned, while nodes are split under them."""
    native, n, wrong = new("btree", budget=1 << 22), 6000, []
    order_of = list(range(n)) if ascending else random.Random(7).sample(range(n), n)
    entries = [Entry((keys % i if "%" in keys else keys).encode(), i + 1, PUT, b"") for i in order_of]
    done = 0

    def read(seed: int) -> None:
        pick = random.Random(seed)
        while done < n and not wrong:
            sure = done
            some = [entries[pick.randrange(sure)] for _ in range(20 if sure else 0)]
            wrong.extend(e for e in some if native.get(e.key, e.seq) != e)
            wrong.extend(
                e for e, found in zip(some, native.get_many([e.key for e in some]), strict=True) if found is None or found.key != e.key
            )
            cursor = native.cursor()
            for first, step in ((cursor.first, cursor.next), (cursor.last, cursor.prev)):
                seen, entry = [], first()
                while entry is not None:
                    seen.append(entry)
                    entry = step()
                ordered = sorted({*seen}, key=order, reverse=step == cursor.prev)
                if seen != ordered or not {*entries[:sure]} <= {*seen}:
                    wrong.append(f"{len(seen)} seen, {len(ordered)} different, {sure} sure")
            cursor.close()

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for i, entry in enumerate(entries):
        native.add(entry)
        done = i + 1
    for thread in threads:
        thread.join()
    assert not wrong


@ALL
@pytest.mark.threads
def test_readers_beside_a_writer(kind: str, new: Callable[..., Memtable]) -> None:
    """A reader sees everything whose add had returned, in order, while the writer goes on."""
    native, n, wrong = new(kind, budget=1 << 22, seed=1), 4000 if kind != "python" else 300, []
    rng = random.Random(11)
    keys = [b"key%013d" % rng.randrange(10**12) for _ in range(n)]
    done = 0  # entries whose add returned

    def read(seed: int) -> None:
        pick = random.Random(seed)
        while done < n and not wrong:
            sure = done
            for _ in range(20):
                i = pick.randrange(sure + 1)
                if i < sure:
                    found = native.get(keys[i])
                    if found is None or found.key != keys[i]:
                        wrong.append(f"get of entry {i} of {sure} gave {found}")
            cursor = native.cursor()
            entry, previous, count = cursor.first(), None, 0
            while entry is not None:
                if previous is not None and order(previous) >= order(entry):
                    wrong.append(f"{previous} before {entry}")
                previous, count = entry, count + 1
                entry = cursor.next()
            cursor.close()
            if count < sure:
                wrong.append(f"a scan saw {count} of {sure}")

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for i, key in enumerate(keys):
        native.add(Entry(key, i + 1, PUT, b"v"))
        done = i + 1
    for thread in threads:
        thread.join()
    assert not wrong


def test_unknown_kind_names_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="'heap'; allowed: btree, skiplist, vector, hash"):
        builtin_memtable("heap")


def test_an_exception_in_a_python_memtable_is_a_status() -> None:
    class Broken(SortedMemtable):
        def add(self, entry: Entry) -> None:
            raise KeyError("no room")

        def entries(self) -> list[Entry]:
            raise OSError("gone")

    ops = PythonMemtable(Broken, "broken")
    memtable = Memtable(ops)
    with pytest.raises(RuntimeError, match="add gave status -9"):
        memtable.add(Entry(b"a", 1, PUT, b""))
    assert isinstance(ops.last_error, KeyError)
    with pytest.raises(MemoryError):
        memtable.cursor()
    assert isinstance(ops.last_error, OSError)
    memtable.close()


MULTIPLIERS = 0xBF58476D1CE4E5B9, 0x9E3779B97F4A7C15
WORD = 2**64 - 1


def folded(h: int, w: int) -> int:
    """A step of lsm_hash_key."""
    h = (h ^ w) * MULTIPLIERS[0] & WORD
    return h ^ h >> 32


def alike(seed: int, first: int, n: int, then: int) -> bytes:
    """A key of n words that begins so, and whose hash is that of (first word 1, then) of 16 bytes, all 64 bits of it."""
    want = folded(seed ^ (16 * MULTIPLIERS[1] & WORD), 1) ^ then
    h, words = folded(seed ^ (8 * n * MULTIPLIERS[1] & WORD), first), [first]
    for _ in range(n - 2):
        words.append(5)
        h = folded(h, 5)
    return b"".join(w.to_bytes(8, "little") for w in [*words, h ^ want])


@pytest.mark.parametrize("kind", BUILT_IN)
def test_keys_of_one_hash_are_told_apart(kind: str, new: Callable[..., Memtable]) -> None:
    """Who knows the seed can make keys that collide: of one length, and of another one."""
    seed = 3
    native, twin = new(kind, budget=1 << 16, seed=seed), MemtableTwin()
    inner = {"hash": seed * MULTIPLIERS[1] + 1 & WORD}.get(kind, seed ^ 0xD6E8FEB86659FD93)
    keys = [alike(inner, first, n, 77) for first, n in ((1, 2), (2, 2), (3, 2), (4, 3), (9, 5))]
    assert len({*keys}) == 5
    for i, key in enumerate(keys[:4]):
        entry = Entry(key, i + 1, PUT, b"%d" % i)
        native.add(entry)
        twin.add(entry)
    compare(native, twin, [(key, seq) for key in keys for seq in (0, 1, 4, MAX_SEQ)])


@ALL
@pytest.mark.parametrize("order_seed", [1, 2])
def test_versions_of_one_key_that_come_in_any_order(kind: str, order_seed: int, new: Callable[..., Memtable]) -> None:
    """As in a replay of several logs: the newest may be in any run, or in the tail. random.Random(order_seed) repeats it."""
    native, twin = new(kind, budget=1 << 16, seed=1), MemtableTwin()
    entries = [Entry(b"key" if i % 3 else b"%d" % i, i + 1, PUT, b"%d" % i) for i in range(900 if kind != "python" else 90)]
    random.Random(order_seed).shuffle(entries)
    probes = [(b"key", seq) for seq in (0, 1, 2, 5, 300, 700, MAX_SEQ)]
    for i, entry in enumerate(entries):
        native.add(entry)
        twin.add(entry)
        if i % 100 == 0:
            assert [native.get(*p) for p in probes] == [twin.get(*p) for p in probes]
    compare(native, twin, probes)


@ALL
def test_keys_shorter_than_what_all_others_share(kind: str, new: Callable[..., Memtable]) -> None:
    """The index of a sorted memtable is built behind the common part."""
    native, twin = new(kind, budget=1 << 18, seed=1), MemtableTwin()
    for i in range(600):
        entry = Entry(b"a long start of keys/%06d" % (i * 7 % 600), i + 1, PUT, b"")
        native.add(entry)
        twin.add(entry)
    short = [b"", b"a", b"a long start of", b"a long start of keys/", b"a long start of keys/0", b"b", b"a long start zz"]
    for i, key in enumerate(short):
        native.add(Entry(key, 1000 + i, PUT, b"short"))
        twin.add(Entry(key, 1000 + i, PUT, b"short"))
    compare(native, twin, [(key, MAX_SEQ) for key in (*short, b"a long start of key", b"a long start of keys/00")])


@ALL
def test_blocks_smaller_than_a_huge_page_and_a_huge_budget(kind: str, new: Callable[..., Memtable]) -> None:
    native = new(kind, budget=1 << 30)
    native.add(Entry(b"a", 1, PUT, bytes(1_500_000)))
    before = native.memory()
    assert before > 1_500_000
    native.seal()
    assert native.memory() >= before
    assert [(e.key, len(e.value)) for e in native] == [(b"a", 1_500_000)]
