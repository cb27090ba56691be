"""A predicate in the form that planners want: negations at the leaves, And and Or flat, no constants, nothing said twice or never true.

The result is true for exactly the rows for which the predicate is: unknown may have become false, which no query can tell apart. So
it may call `a < 3 & a > 5` false, though it is unknown where a is NULL; but nothing is folded before negations are at the leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from .nodes import (
    FALSE,
    TRUE,
    And,
    Constant,
    Equal,
    In,
    IsNull,
    Leaf,
    Not,
    Or,
    Predicate,
    Range,
    Term,
    kind_of,
    rank,
)


def normal_form(p: Predicate) -> Predicate:
    """Return the simplest form found of a predicate that is true for the same rows. O(nodes), of conjuncts on one column O(n**2)."""
    return _simplify(_push(p, False))


def _push(p: Predicate, negate: bool) -> Predicate:
    """Return p or its negation, exactly (unknown stays unknown), with Not on leaves alone, and on ranges not even there."""
    if isinstance(p, Not):
        return _push(p.part, not negate)
    if isinstance(p, And | Or):
        return (Or if isinstance(p, And) == negate else And).of(_push(part, negate) for part in p.parts)
    if not negate:
        return p
    if isinstance(p, Constant):
        return p if p.value is None else Constant(not p.value)
    if isinstance(p, Range):
        below = [] if p.low is None else [Range(p.term, high=p.low, high_open=not p.low_open)]
        above = [] if p.high is None else [Range(p.term, low=p.high, low_open=not p.high_open)]
        return Or.of(below + above)
    return Not(p)


def _simplify(p: Predicate) -> Predicate:
    if isinstance(p, And | Or):
        parts = [_simplify(part) for part in p.parts]
        flat = type(p).of(parts)
        if not isinstance(flat, And | Or):
            return flat
        return _conjunction(flat.parts) if isinstance(flat, And) else _disjunction(flat.parts)
    if isinstance(p, Constant):
        return TRUE if p.value else FALSE
    if isinstance(p, Not) and isinstance(p.part, In):
        return FALSE if p.part.null else p if p.part.values else TRUE
    if isinstance(p, In):
        return In(p.term, p.values) if p.values else FALSE
    if isinstance(p, Range):
        return FALSE if _is_empty(p) else p
    return p


# Both: what is given is flat, and each part is simple already.


def _conjunction(parts: Iterable[Predicate]) -> Predicate:
    kept = dict.fromkeys(part for part in parts if part != TRUE)
    if FALSE in kept or any(Not(part) in kept for part in kept):
        return FALSE
    groups: dict[Term, list[Predicate]] = {}
    rest: list[Predicate] = []
    order: list[Term | Predicate] = []  # where each group, and each of the rest, first came
    for part in kept:
        term = _term(part)
        if term is None:
            rest.append(part)
            order.append(part)
        elif term in groups:
            groups[term].append(part)
        else:
            groups[term] = [part]
            order.append(term)
    merged = {term: _all_of(group) for term, group in groups.items()}
    if any(FALSE in group for group in merged.values()):
        return FALSE
    alone = {part for group in merged.values() for part in group} | set(rest)
    result: list[Predicate] = []
    for item in order:
        for part in [item] if isinstance(item, Predicate) else merged[item]:
            if not (isinstance(part, Or) and any(choice in alone for choice in part.parts)):  # a & (a | b) is a
                result.append(part)
    return And.of(result)


def _term(p: Predicate) -> Term | None:
    leaf = p.part if isinstance(p, Not) else p
    return leaf.term if isinstance(leaf, Leaf) else None


def _all_of(parts: list[Predicate]) -> list[Predicate]:
    """Merge conjuncts on one term. All but IsNull are true only where there is a value."""
    if any(isinstance(p, IsNull) for p in parts):
        return parts if len(parts) == 1 else [FALSE]
    if len(parts) > 1:
        parts = [p for p in parts if not (isinstance(p, Not) and isinstance(p.part, IsNull))] or parts[:1]
    ranges = [p for p in parts if isinstance(p, Range)]
    equals = [p for p in parts if isinstance(p, Equal)]
    others = [p for p in parts if not isinstance(p, Range | Equal)]
    if len(equals) > 1 or len({r.kind for r in ranges}) > 1:
        return [FALSE]
    bound = reduce(_intersect, ranges) if ranges else None
    if bound is not None and _is_empty(bound):
        return [FALSE]
    if equals:
        return _all_with_equal(equals[0], bound, others)
    if bound is None:
        return others
    kept: list[Predicate] = []
    for p in others:
        if isinstance(p, In):  # a value of a list may lie outside, but then the list is not in the range either: the range stays
            inside = tuple(v for v in p.values if _lies_in(v, bound))
            kept.append(In(p.term, inside) if inside else FALSE)
        elif isinstance(p, Not) and isinstance(p.part, Equal):
            if not _lies_in(p.part.value, bound):
                continue
            trimmed = _without(bound, p.part)
            if trimmed is None:
                kept.append(p)
            else:
                bound = trimmed
        else:
            kept.append(p)
    return [FALSE] if _is_empty(bound) else [bound, *kept]


def _all_with_equal(equal: Equal, bound: Range | None, others: list[Predicate]) -> list[Predicate]:
    if bound is not None and not _lies_in(equal.value, bound):
        return [FALSE]
    kept: list[Predicate] = [equal]
    for p in others:
        if isinstance(p, Not) and isinstance(p.part, Equal):
            continue  # of another value, or both together would have been found false
        if isinstance(p, In) and not isinstance(equal.value, tuple):
            if equal.ident not in p.idents:
                return [FALSE]
        elif isinstance(p, Not) and isinstance(p.part, In) and not isinstance(equal.value, tuple):
            if equal.ident in p.part.idents:
                return [FALSE]
        else:
            kept.append(p)
    return kept


def _disjunction(parts: Iterable[Predicate]) -> Predicate:
    kept = dict.fromkeys(part for part in parts if part != FALSE)
    if TRUE in kept or any(isinstance(part, IsNull) and Not(part) in kept for part in kept):
        return TRUE
    result: list[Predicate] = []
    for part in kept:
        if isinstance(part, And) and any(choice in kept for choice in part.parts):
            continue  # a | (a & b) is a
        new = part
        while True:  # what grew may now meet what came before
            at = next((i for i, old in enumerate(result) if _united(old, new) is not None), None)
            if at is None:
                break
            united = _united(result.pop(at), new)
            assert united is not None
            new = united
        result.append(new)
    return Or.of(result)


def _united(a: Predicate, b: Predicate) -> Predicate | None:
    """Return the one leaf that is true where a or b is; None when there is none."""
    if isinstance(a, In) and isinstance(b, In) and a.term == b.term:
        return In(a.term, a.values + b.values)
    if isinstance(b, Range):
        a, b = b, a
    if not isinstance(a, Range):
        return None
    if isinstance(b, Equal) and b.term == a.term and kind_of(b.value) == a.kind:
        b = Range(b.term, b.value, b.value)
    if isinstance(b, Range) and b.term == a.term and b.kind == a.kind:
        return _union(a, b)
    return None


# Ranges of one kind on one term. A bound is (rank, which side of the value it is on), so that bounds compare.


def _low(r: Range) -> tuple[Any, ...]:
    return (0,) if r.low is None else (1, rank(r.low), r.low_open)


def _high(r: Range) -> tuple[Any, ...]:
    return (2,) if r.high is None else (1, rank(r.high), not r.high_open)


def _make(low: Range, high: Range) -> Range:
    return Range(low.term, low.low, high.high, low.low_open, high.high_open)


def _intersect(a: Range, b: Range) -> Range:
    return _make(max(a, b, key=_low), min(a, b, key=_high))


def _is_empty(r: Range) -> bool:
    return _low(r) >= _high(r)


def _union(a: Range, b: Range) -> Range | None:
    """Return their union when it has no gap and leaves a bound; without one it would say of which kind values are, which no range does."""
    first, second = sorted((a, b), key=_low)
    last = max(a, b, key=_high)
    if _low(second) > _high(first) or (first.low is None and last.high is None):
        return None
    return _make(first, last)


def _lies_in(value: Any, r: Range) -> bool:
    if kind_of(value) != r.kind:
        return False
    return _low(r) <= (1, rank(value), False) and (1, rank(value), True) <= _high(r)


def _without(r: Range, equal: Equal) -> Range | None:
    """Return the range without one of its ends; None when the value is not one."""
    at_low, at_high = (bound is not None and rank(bound) == rank(equal.value) for bound in (r.low, r.high))
    if not at_low and not at_high:
        return None
    return Range(r.term, r.low, r.high, r.low_open or at_low, r.high_open or at_high)
