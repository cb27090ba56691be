"""Scrubbing: do the indexes say what the rows say?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .index import Index

if TYPE_CHECKING:
    from .table import Moment, Table

SHOWN = 20  # lines an index


def scrub(table: Table) -> list[str]:
    """Compare every index with the rows of one moment, both ways. Memory: all entries of an index at a time."""
    problems: list[str] = []
    with table.moment() as moment:
        for index in moment.indexes.values():
            problems += _compare(table, index, moment)
    return problems


def _compare(table: Table, index: Index, moment: Moment) -> list[str]:
    wrong: list[str] = []
    held: dict[int, Counter[object]] = {}
    for view, hidden in moment.stack.views(index.id, index.type):
        for row_id, payload in index.type.entries(view):
            if hidden is None or row_id not in hidden:
                held.setdefault(row_id, Counter())[payload] += 1
    unstable = 0
    for row_id, row in table.scan(moment.snapshot):
        has = held.pop(row_id, Counter())
        try:
            expected = Counter(index.type.kept(p) for p in index.payloads(row))
            unstable += expected != Counter(index.type.kept(p) for p in index.payloads(row))
        except ValueError as e:
            wrong.append(str(e))
            continue
        if has != expected:
            missing, extra = list((expected - has).elements()), list((has - expected).elements())
            said = [f"lacks {missing!r:.60}"] * bool(missing) + [f"has {extra!r:.60} too much"] * bool(extra)
            wrong.append(f"index {index.name!r}: row {row[table.key]!r}: it {' and '.join(said)}")
    wrong += [f"index {index.name!r}: row id {r}: it has {list(c)!r:.60}, and there is no such row" for r, c in held.items() if c]
    if unstable:
        note = f"index {index.name!r}: its function gives one row different values, for {unstable} rows: it must depend on the row alone"
        wrong.insert(0, note)
    left = len(wrong) - SHOWN
    return wrong[:SHOWN] + [f"index {index.name!r}: and {left} more"] * (left > 0)
