"""What every component of `indexes` does, as stories for tests/harness/allocations.py: each comes upon all of its allocations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import indexes
from indexes import bitmap, bitsliced, hashed, native_rtree, ordered, rtree, text
from indexes.learned import PGM
from indexes.native_text import Rules, scan
from indexes.ranges import range_filter_class
from indexes.rowset import RowSet, RowSetBuilder

from .allocations import Audit, Story
from .ranges import CASES

SPAN = 1 << 16
HASHES = np.random.default_rng(5).integers(0, 2**64, 300, dtype=np.uint64)
WORDS = ["ant", "bee", "beetle", "cat", "dog", "dogma", "eel"]
TEXTS = [" ".join(WORDS[(i * j) % 7] for j in range(1 + i % 9)) for i in range(40)]


def _filter(kind: str) -> Story:
    def story(_audit: Audit) -> Any:
        ops = indexes.filter_ops(kind)
        data = ops.build(HASHES, 10)
        probe = ops.bind_probe(data, "xxh3")
        if ops.can("unite"):
            ops.unite(data, ops.empty(len(HASHES), 10))
        return data.tobytes(), probe(b"a"), ops.may_contain_many(data, HASHES).all()

    return story


def _range_filter(kind: str, params: str) -> Story:
    keys = sorted({b"k%d" % (i * i) for i in range(150)} | {bytes([i, 0, i]) * 3 for i in range(60)} | {b"", b"long" * 70})

    def story(_audit: Audit) -> Any:
        built = range_filter_class(kind).from_keys(keys, params)
        again = range_filter_class(kind).from_bytes(built.to_bytes())
        return again.raw, [again.may_contain(key) for key in (b"k16", b"k17")], again.may_contain_range(b"k2", b"k26")

    return story


def _search(kind: str) -> Story:
    keys = [b"%05d" % (i * i) for i in range(100)]

    def story(_audit: Audit) -> Any:
        return indexes.search_ops(kind).open(keys).find_many([b"", b"00100", b"5", b"x"]).tolist()

    return story


def _pgm(_audit: Audit) -> Any:
    keys = np.cumsum(np.arange(3000, dtype=np.uint64) % 97)
    built = PGM.build(keys, 4)
    return built.raw, PGM.from_bytes(built.to_bytes(), keys).search_many(keys[::100]).tolist()


def _sets() -> list[RowSet]:
    """Of each form of container, alone and side by side."""
    return [
        RowSet(np.arange(0, 600, 3)),
        RowSet(np.arange(0, 60_000, 2)),
        RowSet.range(100, 40_000),
        RowSet([5, SPAN + 9, 7 * SPAN, 1 << 40]),
        RowSet.range(SPAN - 5, 3 * SPAN + 5),
    ]


def _rowset(_audit: Audit) -> Any:
    sets = _sets()
    found: list[Any] = []
    for a in sets:
        for b in sets:
            found += [(a & b).to_bytes(), (a | b).to_bytes(), (a ^ b).to_bytes(), (a - b).to_bytes(), a.isdisjoint(b)]
        found += [RowSet.from_bytes(a.to_bytes()) == a, a.expanded(1) == a, a.rank(SPAN)]
    return found


def _rowset_many(_audit: Audit) -> Any:
    sets = [*_sets(), RowSet(range(9)), RowSet.range(3, 9 * SPAN)]
    found: list[Any] = [
        RowSet.union(*sets).to_bytes(),
        RowSet.or_count(*sets),
        RowSet.intersection(*sets).to_bytes(),
        RowSet.and_count(*sets),
    ]
    for some in (sets[:2], sets[1:3], sets[2:], sets[3:5]):
        found += [RowSet.union(*some).to_bytes(), RowSet.or_count(*some), RowSet.intersection(*some).to_bytes(), RowSet.and_count(*some)]
    return found


def _row_edits(_audit: Audit) -> Any:
    edit = RowSetBuilder()
    edit.add_many(np.arange(0, 30_000, 2))
    edit.add_many(np.array([9 * SPAN, 3, 5 * SPAN, 1]))
    for row in (7, 2 * SPAN, 2 * SPAN + 1, 1 << 50):
        edit.add(row)
    edit.add_range(2 * SPAN, 4 * SPAN + 77)
    edit.remove_many(np.arange(0, 2 * SPAN, 6))
    edit.remove(2 * SPAN + 50)
    first = edit.freeze()
    edit.add(11)
    for other in _sets():
        edit.update(other)
        edit.difference_update(RowSet(range(50)))
    edit.remove_many(np.arange(SPAN))
    return first.to_bytes(), edit.freeze().to_bytes(), len(edit)


def _bitmap(_audit: Audit) -> Any:
    values = [b"v%d" % (i * i % 23) for i in range(900)]
    one = bitmap.build(values, np.arange(900) * 331)
    two = bitmap.build([b"v1", b"w", b""] * 30_000, np.arange(90_000))
    views = [bitmap.open(one), bitmap.open(two)]
    for view in views:
        view.verify()
    merged = bitmap.merge(views, [RowSet(range(5000)), None])
    view = bitmap.open(merged)
    view.verify()
    asked = [view.isin([b"v1", b"v2", b"x"]), view.range(b"v", b"w", with_high=True), view.not_null(), view.equal(b"v4")]
    return merged, [a.to_bytes() for a in asked], [b.rows.tolist()[:3] for b in view.entries(batch=50_000)]


def _bitsliced(_audit: Audit) -> Any:
    rows = np.arange(30_000)
    one = bitsliced.build((rows * 7919) % 1000, rows)
    two = bitsliced.build(np.array([-(2**62), 5, 2**62]), np.array([40_000, 9 * SPAN, 9 * SPAN + 1]))
    views = [bitsliced.open(one), bitsliced.open(two)]
    merged = bitsliced.merge(views, [RowSet(range(100)), None])
    view = bitsliced.open(merged)
    view.verify()
    among = RowSet.range(1000, 20_000)
    found = [view.range(10, 500), view.not_null(), view.range(10, None)]
    numbers = [view.count(3, 999), view.count(3, 999, among=among), view.sum(among), view.sum(), view.quantile(0.5, among), view.max()]
    top = view.top(50, among=among)
    return (
        merged,
        [f.to_bytes() for f in found],
        numbers,
        top.rows.tolist(),
        view.top(70_000, largest=False).rows.tolist(),
        view.values_at([5, 200, SPAN])[0].tolist(),
        [b.rows.tolist()[:3] for b in view.entries(among)],
        [b.rows.tolist()[:3] for b in view.entries()],
    )


def _bitsliced_memory(_audit: Audit) -> Any:
    memory = bitsliced.BitSlicedMemory("float64")
    for i in range(50):
        memory.insert(i / 7, i)
    memory.delete_row(4)
    return memory.range(1.5, 4).to_bytes(), memory.to_segment()


def _entries(which: Any) -> Story:
    keys = [b"key%d" % (i * i % 400) for i in range(1000)]

    def story(_audit: Audit) -> Any:
        one = which.build(keys, np.arange(1000))
        two = which.build([b"", b"x" * 300, b"key1"], [1, 2, 3])
        memory = ordered.OrderedMemory() if which is ordered else hashed.HashedMemory()
        memory.insert_many(keys, np.arange(1000) + 5)
        merged = which.merge([which.open(one), which.open(two), memory], [RowSet(range(10)), None, [7, 8]])
        view = which.open(merged)
        view.verify()
        found = [view.lookup(b"key1").tolist(), view.first(b"key1"), view.lookup_many([b"key4", b"no"])[1].tolist()]
        if which is ordered:
            found += [view.count(b"key1", b"key2"), view.range(b"key1", b"key2").to_bytes()]
            found += [batch.rows.tolist() for batch in view.scan(backward=True)]
        return merged, found, [batch.rows.tolist() for batch in view.entries()], [b.rows.tolist() for b in memory.entries()]

    return story


def _entries_memory(make: Callable[[], Any]) -> Story:
    def story(_audit: Audit) -> Any:
        memory = make()
        for i in range(400):
            memory.insert(b"%d" % (i * 7919 % 500), i)
        memory.insert_many([b"long" * 40 + b"%d" % i for i in range(30)], np.arange(30))
        gone = [memory.delete_row(7), memory.delete(b"0", 0), sum(memory.delete_row(i) for i in range(100, 300))]
        memory.insert(b"again", 3)
        return gone, len(memory), memory.lookup(b"again").tolist(), memory.to_segment()

    return story


def _boxes(n: int, dims: int = 2) -> np.ndarray:
    corners = np.random.default_rng(3).random((n, dims)) * 100
    return np.concatenate([corners, corners + 2], axis=1)


def _queries(tree: rtree.Tree) -> list[Any]:
    box, out = (10, 10, 60, 60), list[Any]()
    for found in (tree.window(box), tree.within(box), tree.containing((20, 20)), tree.radius((50, 50), 20)):
        out.append(found.tolist())
    rows, distances = tree.nearest((50, 50), 300)
    out += [rows.tolist(), distances.tolist(), tree.count(box), tree.bounds]
    out += [a.tolist() for a in tree.windows(_boxes(20))]
    out += [a.tolist() for a in tree.nearest_many(_boxes(20), 5)]
    out += [a.tolist() for a in tree.walk(box, 100)]
    return out


def _rtree_segment(_audit: Audit) -> Any:
    native_rtree._free.clear()
    boxes = _boxes(700)
    tree = rtree.open_segment(rtree.build(np.arange(700) % 500, boxes))
    points = rtree.open_segment(rtree.build(np.arange(300), boxes[:300, :2]))
    both = rtree.Stack([tree, points], [np.array([1, 2, 3]), None])
    found = [both.window((0, 0, 50, 50)).tolist(), both.nearest((1, 1), 20)[0].tolist(), tree.join(points, 1.0)[0].tolist()]
    return _queries(tree), found, rtree.merge([tree, points], [None, np.array([4])]), tree.join(tree)[1].tolist()


def _rtree_growing(audit: Audit) -> Any:
    native_rtree._free.clear()
    tree = rtree.RTree()
    audit(tree.audit)
    boxes = _boxes(500)
    for i in range(120):
        tree.insert(i, boxes[i].tolist())
    tree.insert_many(np.arange(120, 400), boxes[120:400])
    tree.insert_many(np.arange(400, 420), boxes[400:420])
    for i in range(0, 100, 3):
        tree.update(i, boxes[450].tolist())
    gone = [tree.delete(5), tree.delete(9, boxes[450].tolist()), tree.delete_many(np.arange(200, 390))]
    tree.repack()
    found = _queries(tree)
    with contextlib.closing(tree.walk((0, 0, 100, 100), 10)) as walk:
        first = next(walk).tolist()
    frozen = tree.freeze()
    tree.clear()
    tree.insert(1, (1, 1))
    return gone, found, first, frozen, len(tree), 1 in tree


def _rtree_refuses_nothing_halfway(audit: Audit) -> Any:
    """What an insert of many, an update or a delete could not do it has not begun."""
    native_rtree._free.clear()
    tree = rtree.RTree()
    audit(tree.audit)
    boxes = _boxes(200)
    for begin, end in ((0, 30), (30, 60), (60, 64), (64, 200)):
        _whole_or_nothing(tree, lambda a=begin, b=end: tree.insert_many(np.arange(a, b), boxes[a:b]), end)  # type: ignore[misc]
    tree.update(3, (0.5, 0.5))
    return sorted(tree), tree.delete_many(np.arange(100))


def _whole_or_nothing(tree: rtree.RTree, change: Callable[[], None], after: int) -> None:
    before = len(tree)
    try:
        change()
    except MemoryError:
        assert len(tree) == before
        raise
    assert len(tree) == after


QUERIES = [
    "bee",
    "ant bee cat^2",
    "+ant -bee",
    "ant AND (bee OR cat) NOT dog",
    '"ant bee"',
    '"bee cat"~3',
    "be*",
    "d?g*",
    "beetl~1",
    "*",
    "(ant AND bee) OR (cat AND eel) OR dogma",
    "nothing",
]


def _ask(searcher: text.TextSearcher, queries: Iterable[str]) -> list[Any]:
    out = list[Any]()
    for query in queries:
        out += [searcher.match(query).tolist(), searcher.count(query)]
        if query != "*":
            hits = searcher.search(query, 5)
            out += [hits.rows.tolist(), hits.scores.tolist(), searcher.df(query)]
        out.append(searcher.match(query, within=np.arange(10)).tolist())
    return out


def _text_scan(_audit: Audit) -> Any:
    value = " ".join(TEXTS).encode()
    return [[scan(Rules(kind, 3, fold), value).ids.tolist() for fold in (False, True)] for kind in ("unicode", "whitespace", "ngram")]


def _text_memory(_audit: Audit) -> Any:
    memory = text.TextMemory()
    memory.add(range(30), TEXTS[:30])
    memory.add([3, 4], ["bee", ""])
    memory.insert(90, "eel ant " * 200)
    gone = memory.delete([5, 91]).tolist()
    return gone, memory.freeze(), memory.touched().tolist(), _ask(text.TextSearcher([], memory=memory), QUERIES)


def _text_mapped(_audit: Audit) -> Any:
    memory = text.TextMemory(text.Analyzer(stop=frozenset(["bee", "eel"])))
    memory.add(range(40), TEXTS)
    return memory.freeze(), len(memory)


def _text_segment(_audit: Audit) -> Any:
    one = text.open(text.build(range(40), TEXTS))
    two = text.open(text.build(range(20, 60), [t + " zebra" for t in TEXTS]))
    one.check()
    merged = text.merge([one, two], [range(20, 40), None])
    view = text.open(merged)
    view.check()
    memory = text.TextMemory()
    memory.add([1, 100], ["dog eel", "ant"])
    both = text.TextSearcher([two, one], hide=[[1], range(20, 40)], memory=memory)
    return merged, list(view.terms()), list(view.entries()), _ask(both, QUERIES), _ask(text.TextSearcher([view]), QUERIES)


def _text_rank(_audit: Audit) -> Any:
    """Many postings: blocks, their bounds, and pruning."""
    many = [" ".join(WORDS[(i * j + i // 3) % 7] for j in range(1 + i % 5)) for i in range(600)]
    searcher = text.TextSearcher([text.open(text.build(range(600), many))])
    return [searcher.search(query, 3, scoring=text.bm25(name)).rows.tolist() for query in QUERIES[:4] for name in text.SCORINGS]


def _shapes(which: Any) -> Story:
    """Segments of few and many, short and long values: what grows, grows at another place in each."""

    def story(_audit: Audit) -> Any:
        found = []
        for n, size in ((1, 0), (1, 70), (3, 300), (9, 30), (20, 3), (70, 1), (150, 2)):
            keys = [b"%0*d" % (size, i % 10**size if size else 0) if size else b"" for i in range(n)]
            found.append(which.build(keys, np.arange(n) * 3))
            found.append(which.build([keys[0]] * n, np.arange(n) << 20))
        return found

    return story


def _bitsliced_shapes(_audit: Audit) -> Any:
    found = []
    for n in (1, 2, 5, 9, 40):
        found.append(bitsliced.build(np.arange(n) * 3, np.arange(n) * SPAN))
        found.append(bitsliced.build(np.arange(n), np.arange(n)))
        found.append(bitsliced.build(np.arange(n) << 50, np.arange(n)))
    return found


def _text_ideographs(_audit: Audit) -> Any:
    values = ["".join(chr(0x4E00 + i * j) for j in range(40)) for i in range(1, 5)] + ["\u4e2d", "a\u4e2d\u6587b"]
    return [[scan(Rules("unicode", 3, True, singles), v.encode()).ids.tolist() for v in values] for singles in (False, True)]


def _text_terms(audit: Audit) -> Any:
    """Documents by their terms, mapped and not; what broke stays broken, and says so."""
    found = []
    for stop in (frozenset[str](), frozenset(["bee"])):
        memory = text.TextMemory(text.Analyzer(stop=stop))
        audit(lambda m=memory: _whole_or_broken(m))  # type: ignore[misc]
        for begin in (0, 20):
            memory.add_terms(range(begin, begin + 20), [[b"t%d" % (i * j) for j in range(i)] + [None, b"x" * i] for i in range(20)])
        memory.add_terms([], [])
        memory.delete([3, 500])
        found.append(memory.freeze())
    return found


def _whole_or_broken(memory: text.TextMemory) -> str | None:
    answers = []
    for ask in (lambda: len(memory.freeze()), lambda: memory.delete([1]), lambda: memory.add_terms([9], [[b"one"]])):
        try:
            answers.append(ask())
        except MemoryError:
            answers.append("broken")
    return None if "broken" not in answers or set(map(str, answers)) == {"broken"} else f"broken in part: {answers}"


def _pgm_of_a_curve(_audit: Audit) -> Any:
    """Lines that may be far off: their hulls grow long."""
    keys = np.arange(3000, dtype=np.uint64) ** 2
    built = PGM.build(keys, 1000)
    falling = PGM.build(np.cumsum(np.arange(3000, 0, -1).astype(np.uint64)), 1000)
    return built.raw, falling.raw, built.search_many(keys[::100]).tolist()


def _text_touched(_audit: Audit) -> Any:
    """What memory deletes and replaces dies in the segments, and is counted out of them."""
    segment = text.open(text.build(range(300), [f"bee cat {WORDS[i % 7]}" for i in range(300)]))
    memory = text.TextMemory()
    searcher = text.TextSearcher([segment], memory=memory)
    found = _ask(searcher, QUERIES[:4])
    for begin in range(0, 300, 60):
        memory.add(range(begin, begin + 9), ["ant bee"] * 9)
        memory.delete(range(begin + 20, begin + 30))
        found += _ask(searcher, QUERIES[:5])
        found.append([searcher.df(f"{word} bee") for word in WORDS])
    return found


def _rtree_fresh_answers(_audit: Audit) -> Any:
    """Every answer needs a place of its own, which grows."""
    boxes = _boxes(700)
    tree = rtree.open_segment(rtree.build(np.arange(700) % 500, boxes))
    small = rtree.open_segment(rtree.build(np.arange(5), boxes[:5]))
    grown = rtree.RTree.bulk(np.arange(300) % 250, boxes[:300])
    every = (0.0, 0.0, 110.0, 110.0)
    asked: list[Callable[[], Any]] = [
        lambda: tree.count(every),
        lambda: grown.count(every),
        lambda: [rows.tolist() for rows in tree.windows(np.array([every, every]))],
        lambda: [rows.tolist() for rows in grown.windows(np.array([every, every]))],
        lambda: [rows.tolist() for rows in tree.nearest_many(np.array([every, every]), 600)],
        tree.nearest((1, 1), 600)[0].tolist,
        lambda: len(tree.join(small, 60.0)[0]),
        lambda: len(small.join(tree, 60.0)[0]),
        lambda: len(grown.join(tree, 10.0)[0]),
    ]
    found = []
    for ask in asked:
        native_rtree._free.clear()
        found.append(ask())
    return found


def _rowset_unions(_audit: Audit) -> Any:
    """Unions of more containers than the first set has: lists, pairs, bitmaps."""
    lists = [RowSet(np.arange(40) * SPAN + i) for i in range(4)]
    dense = [RowSet((np.arange(0, 9000, 2)[None, :] + np.arange(12)[:, None] * SPAN + i).ravel()) for i in range(4)]
    one = RowSet([5])
    found: list[Any] = []
    for some in ([one, *lists], [one, lists[0], dense[0]], [one, *dense], [one, lists[0], lists[1]], [*dense, *lists, one]):
        found += [RowSet.union(*some).to_bytes(), RowSet.or_count(*some), RowSet.intersection(*some).to_bytes(), RowSet.and_count(*some)]
    found += [RowSet.intersection(*dense[:3]).to_bytes(), RowSet.intersection(*lists).to_bytes(), lists[0].expanded(1) == lists[0]]
    return found


STORIES: dict[str, Story] = {
    "rtree fresh answers": _rtree_fresh_answers,
    "rowset unions": _rowset_unions,
    "pgm of a curve": _pgm_of_a_curve,
    "text touched": _text_touched,
    "shapes of ordered": _shapes(ordered),
    "shapes of hashed": _shapes(hashed),
    "shapes of bitmap": _shapes(bitmap),
    "shapes of bitsliced": _bitsliced_shapes,
    "text ideographs": _text_ideographs,
    "text terms": _text_terms,
    **{f"filter {kind}": _filter(kind) for kind in indexes.filter_kinds()},
    **{f"range filter {kind} {params}".strip(): _range_filter(kind, params) for kind, params in CASES},
    **{f"search {kind}": _search(kind) for kind in indexes.SEARCHES},
    "pgm": _pgm,
    "rowset": _rowset,
    "rowset of many": _rowset_many,
    "rowset edits": _row_edits,
    "bitmap": _bitmap,
    "bitsliced": _bitsliced,
    "bitsliced memory": _bitsliced_memory,
    "ordered": _entries(ordered),
    "hashed": _entries(hashed),
    "ordered memory": _entries_memory(ordered.OrderedMemory),
    "hashed memory": _entries_memory(hashed.HashedMemory),
    "rtree segment": _rtree_segment,
    "rtree growing": _rtree_growing,
    "rtree whole or nothing": _rtree_refuses_nothing_halfway,
    "text scan": _text_scan,
    "text memory": _text_memory,
    "text mapped": _text_mapped,
    "text segment": _text_segment,
    "text rank": _text_rank,
}
