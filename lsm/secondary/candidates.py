"""Which indexes a workload might use: from the conditions, projections and orders of its queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from .leaves import Node, predicate_to_json
from .ordered import ranges_of
from .predicate import NEGATIVE, Column, Leaf, Predicate
from .sample import Sample
from .whatif import Definition, conjunctions
from .workload import Query, Workload

FEW_VALUES = 1000  # for bitmaps
MOST_COLUMNS = 3
COMMON = 0.05  # of the weight of all queries: conditions that a partial index is worth thinking about for


def definitions(workload: Workload, sample: Sample) -> list[Definition]:
    """Return candidates, each once, in the order of the queries.

    For each conjunction: ordered indexes of each column, and of the columns that are compared for equality, those that leave fewest rows
    first, with one range behind; those again with the columns that the query wants (covering); hash indexes of the equalities; bitmaps
    of columns with few values; R-trees; the same for part of the rows, when a condition with the very same constants is common; ordered
    indexes of the column of an ORDER BY with a limit.
    """
    found: dict[Definition, None] = {}
    common = _common(workload)
    for query in workload.queries:
        node = query.node
        for leaves in conjunctions(node):
            for d in _of_conjunction(leaves, query, node, sample):
                found[d] = None
            for fixed in (leaf for leaf in leaves if leaf in common and sample.estimate(leaf) < 0.5 * sample.total):
                rest = [leaf for leaf in leaves if leaf.column != fixed.column]
                for d in _of_conjunction(rest, query, None, sample):
                    if d.kind != "bitmap":
                        found[Definition(d.kind, d.columns, d.include, fixed, d.params)] = None
        if query.order_by and query.limit is not None and len(query.order_by) == 1:
            found[Definition("ordered", (query.order_by[0].removeprefix("-"),))] = None
    return list(found)


def _common(workload: Workload) -> set[Predicate]:
    """Conditions that come with the same constants in queries of several shapes or in all of one shape, of a good part of the weight."""
    weights: dict[Leaf, float] = defaultdict(float)
    partners: dict[Leaf, set[frozenset[Leaf]]] = defaultdict(set)
    for q in workload.queries:
        for leaves in conjunctions(q.node):
            for leaf in leaves:
                weights[leaf] += q.weight
                partners[leaf].add(frozenset(leaves) - {leaf})
    heavy = COMMON * workload.weight
    return {leaf for leaf, w in weights.items() if w >= heavy and len(partners[leaf]) > 1 and _plain(leaf)}


def _plain(leaf: Leaf) -> bool:
    """Whether it can be the condition of an index: kept in the manifest, and the same for ever."""
    if leaf.op in NEGATIVE or not isinstance(leaf.column, str):
        return False
    try:
        predicate_to_json(leaf)
    except (TypeError, ValueError):
        return False
    return True


def _of_conjunction(leaves: Sequence[Leaf], query: Query, node: Node | None, sample: Sample) -> Iterator[Definition]:
    equal = [leaf for leaf in _one_a_column(leaves) if leaf.op in ("in", "is_null")]
    ranges = [leaf for leaf in _one_a_column(leaves) if leaf.op in ("range", "startswith", "not_null") and ranges_of(leaf) is not None]
    equal.sort(key=lambda leaf: (sample.estimate(leaf), repr(leaf.column)))
    for leaf in (*equal, *ranges):
        yield Definition("ordered", (leaf.column,))
    yield from _bitmaps((*equal, *ranges), sample)
    heads = [leaf.column for leaf in equal if leaf.op == "in"][:MOST_COLUMNS]
    yield from _hashes(heads, sample)
    keys: list[tuple[Column, ...]] = [(leaf.column,) for leaf in (*equal, *ranges)]
    for width in range(1, len(heads) + 1):
        for chosen in combinations(heads, width):
            keys += [chosen] if width > 1 else []
            keys += [(*chosen, leaf.column) for leaf in ranges if width < MOST_COLUMNS]
    for key in keys:
        yield Definition("ordered", key)
        yield from _covering(key, leaves, query, node, sample)
    for leaf in leaves:
        if leaf.op in ("intersects", "within", "near"):
            dims = len(leaf.values[0]) // (1 if leaf.op == "near" else 2)
            yield Definition("rtree", (leaf.column,), params=(("dims", 3),) if dims == 3 else ())


def _one_a_column(leaves: Iterable[Leaf]) -> list[Leaf]:
    first: dict[Column, Leaf] = {}
    for leaf in leaves:
        if leaf.op not in NEGATIVE:
            first.setdefault(leaf.column, leaf)
    return list(first.values())


def _bitmaps(leaves: Iterable[Leaf], sample: Sample) -> Iterator[Definition]:
    for leaf in leaves:
        if sample.stats(leaf.column).distinct <= FEW_VALUES:
            yield Definition("bitmap", (leaf.column,))


def _hashes(heads: Sequence[Column], sample: Sample) -> Iterator[Definition]:
    """Lists are hashed whole: an element is not found by its hash."""
    whole = [c for c in heads if not sample.stats(c).lists]
    for c in whole:
        yield Definition("hash", (c,))
    if len(whole) > 1:
        yield Definition("hash", tuple(whole))


def _covering(key: tuple[Column, ...], leaves: Sequence[Leaf], query: Query, node: Node | None, sample: Sample) -> Iterator[Definition]:
    """With the columns that the query wants, if the index would answer the whole condition."""
    if query.columns is None or query.order_by or query.count or node is None:
        return
    answered = [leaf for leaf in leaves if leaf.column in key]
    whole = len(answered) == len(leaves) and conjunctions(node) == [list(leaves)]
    include = tuple(sorted(c for c in set(query.columns) - set(key)))
    if whole and include and not any(sample.stats(c).lists for c in (*include, *key)):
        yield Definition("ordered", key, include)
