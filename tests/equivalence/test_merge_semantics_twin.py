"""The specification of a merge itself: nobody's view changes, whoever holds a snapshot and whatever lies below."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lsm.memtable_twin import DELETE, MAX_SEQ, PUT, Entry
from lsm.merge_twin import Range, coalesce, merge, visible

KEY = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
OPERATION = st.one_of(
    st.tuples(st.just("put"), KEY),
    st.tuples(st.just("delete"), KEY),
    st.tuples(st.just("range"), KEY, KEY).filter(lambda op: op[1] < op[2]),
)


def history(operations: list[tuple[str, ...]], start: int) -> tuple[list[Entry], list[Range]]:
    """Give the operations sequence numbers from start on."""
    entries, ranges = [], []
    for seq, (what, *keys) in enumerate(operations, start):
        if what == "range":
            ranges.append(Range(keys[0], keys[1], seq))
        else:
            entries.append(Entry(keys[0], seq, PUT if what == "put" else DELETE, b"%d" % seq))
    return entries, ranges


@given(
    below=st.lists(OPERATION, max_size=8),
    inputs=st.lists(OPERATION, max_size=25),
    above=st.lists(OPERATION, max_size=5),
    snapshots=st.sets(st.integers(0, 40), max_size=4).map(sorted),
    bottom=st.booleans(),
)
def test_no_view_changes(below: list, inputs: list, above: list, snapshots: list[int], bottom: bool) -> None:
    below = [] if bottom else below
    old, taken = history(below, 1), history(inputs, 1 + len(below))
    new = history(above, 1 + len(below) + len(inputs))
    now = len(below) + len(inputs)
    held = [s for s in snapshots if s < now]
    merged = merge(*taken, held, bottom)
    assert len(merged.entries) + merged.shadowed + merged.range_covered + merged.tombstones_dropped == len(taken[0])
    for snapshot in [*held, now, MAX_SEQ]:
        before = visible(old[0] + taken[0] + new[0], old[1] + taken[1] + new[1], snapshot)
        after = visible(old[0] + merged.entries + new[0], old[1] + merged.ranges + new[1], snapshot)
        assert before == after, snapshot
    if bottom and not held:
        assert all(e.kind == PUT for e in merged.entries) and not merged.ranges
        assert len({e.key for e in merged.entries}) == len(merged.entries)


@given(pieces=st.lists(st.builds(Range, KEY, KEY, st.integers(1, 3)).filter(lambda r: r.start < r.end), max_size=8))
def test_joining_pieces_changes_no_cover(pieces: list[Range]) -> None:
    joined = coalesce(pieces)
    for key in (b"a", b"b", b"c", b"d", b"e"):
        cover = {r.seq for r in pieces if r.start <= key < r.end}
        assert cover == {r.seq for r in joined if r.start <= key < r.end}
    assert coalesce(joined) == joined and len(joined) <= len(pieces)
