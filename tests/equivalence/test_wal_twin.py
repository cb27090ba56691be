"""The native log and its plain Python twin: same bytes, same verdict on any damage."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recovery
from recovery import wal_twin as twin

MODES = list(recovery.RECOVERY_MODES)
payloads = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda n, b: bytes([b]) * n, st.integers(0, 3000), st.integers(0, 255)),
)


def write_native(items: list[tuple[int, bytes]], sync: str, salt: int, segment_bytes: int) -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    fs.mkdir("/d")
    with recovery.WalWriter(fs, "/d", 1, sync=sync, segment_bytes=segment_bytes, salt=salt) as log:
        for seq, payload in items:
            log.append(seq, payload[: len(payload) // 2], payload[len(payload) // 2 :])
    return fs


def write_twin(items: list[tuple[int, bytes]], sync: str, salt: int, segment_bytes: int) -> dict[str, bytes]:
    code = recovery.SYNC_MODES[sync]
    durable = twin.SIZE if code >= 2 else 0
    done = [twin.Segment(1, salt, code, twin.capacity_of(segment_bytes))]
    for seq, payload in items:
        promise = len(done[-1].data) if sync == "every" else durable
        if not done[-1].append(seq, payload, promise):
            promise = len(done[-1].data) if sync == "every" else durable
            done[-1].end(len(done) + 1, promise)
            seq_before = done[-1].seq
            done.append(twin.Segment(len(done) + 1, salt, code, twin.capacity_of(segment_bytes, len(payload)), seq=seq_before))
            assert done[-1].append(seq, payload, durable)
    done[-1].end(0, len(done[-1].data) if sync == "every" else durable)
    return {recovery.segment_name(s.number): bytes(s.data) for s in done}


@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), payloads), max_size=20),
    st.sampled_from(list(recovery.SYNC_MODES)),
    st.integers(0, 2**64 - 1),
)
def test_both_writers_make_the_same_bytes(items: list[tuple[int, bytes]], sync: str, salt: int) -> None:
    if sync == "interval":
        sync = "group"  # its promises depend on the clock
    fs = write_native(items, sync, salt, 4096)
    native = {name: fs.read_all(f"/d/{name}") for name in fs.listdir("/d")}
    assert native == write_twin(items, sync, salt, 4096)


@given(
    st.lists(st.tuples(payloads, st.integers(-(10**7), 10**7), st.booleans()), max_size=20),
    st.sampled_from(["none", "os"]),
    st.integers(0, 3 * 10**6),
)
def test_both_writers_make_the_same_marks_and_notes(items: list[tuple[bytes, int, bool]], sync: str, last: int) -> None:
    fs, clock, salt = recovery.memory(), recovery.Clock(10**7), 7
    code, now, expected = recovery.SYNC_MODES[sync], 10**7, []
    done = [twin.Segment(1, salt, code, twin.capacity_of(4096, notes=True), time=last)]
    with recovery.WalWriter(fs, "/", 1, sync=sync, segment_bytes=4096, salt=salt, clock=clock, last_time=last) as log:
        for seq, (payload, step, is_note) in enumerate(items, 1):
            clock.now_ns = now = max(0, now + step)
            seq_of = done[-1].seq if is_note else seq
            kind = twin.NOTE if is_note else twin.DATA
            if is_note:
                log.note(payload)
            else:
                log.append(seq, payload)
            if not done[-1].append(seq_of, payload, now=now, kind=kind):
                done[-1].end(len(done) + 1)
                room = twin.capacity_of(4096, len(payload), notes=True)
                done.append(twin.Segment(len(done) + 1, salt, code, room, seq=done[-1].seq, time=done[-1].time))
                assert done[-1].append(seq_of, payload, now=now, kind=kind)
            expected.append((kind, payload))
            assert log.time == done[-1].time
    done[-1].end(0)
    for segment in done:
        name = f"/{recovery.segment_name(segment.number)}"
        assert fs.read_all(name) == bytes(segment.data)
        records, report = recovery.read_wal(fs, name, "absolute", salt=salt, is_last=segment is done[-1], notes=True)
        verdict = twin.Reader(bytes(segment.data), segment.number, salt, "absolute", segment is done[-1]).read()
        assert not verdict.corrupt
        assert [(r.kind, r.seq, r.payload) for r in records if r.kind != recovery.DATA] == verdict.noted
        assert [(r.seq, r.payload) for r in records if r.kind == recovery.DATA] == verdict.records
        times = [r.time for r in records if r.kind == recovery.MARK]
        assert times == sorted(times) and (report.first_time, report.last_time) == ((times[0], times[-1]) if times else (0, 0))
        del expected[: len([r for r in records if r.kind != recovery.MARK])]
    assert expected == []


def native_verdict(data: bytes, mode: str, is_last: bool, salt: int) -> tuple[list[tuple[int, bytes]] | None, bool]:
    fs = recovery.memory()
    fs.write_all("/000003.log", data)
    try:
        records, report = recovery.read_wal(fs, "/000003.log", mode, salt=salt, is_last=is_last)
    except recovery.WalCorruption as e:
        assert e.report.damage_offset is not None
        return None, False
    return [(r.seq, r.payload) for r in records], report.torn_tail


def twin_verdict(data: bytes, mode: str, is_last: bool, salt: int) -> tuple[list[tuple[int, bytes]] | None, bool]:
    v = twin.Reader(data, 3, salt, mode, is_last).read()
    return (None if v.corrupt else v.records), v.torn


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, int]:
    """A segment of any sync mode with records and promises, then cut, blanked by sectors, flipped or overwritten."""
    salt, sync = draw(st.integers(0, 3)), draw(st.integers(0, 4))
    segment = twin.Segment(3, salt, sync, twin.capacity_of(4096), time=draw(st.sampled_from([None, 0])))
    for seq, payload in enumerate(draw(st.lists(payloads, max_size=8))):
        kind = draw(st.sampled_from([twin.DATA, twin.DATA, twin.NOTE]))  # also a note, or a mark of any length, where there may be none
        segment.append(seq, payload, draw(st.sampled_from([0, 0, 32, len(segment.data)])), now=seq * 700_000, kind=kind)
    if draw(st.booleans()):
        segment.end(draw(st.sampled_from([0, 4])))
    data = bytearray(segment.data)
    if draw(st.booleans()):
        data += bytes(max(0, segment.capacity - len(data)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(segment.data) + 8)))
        kind = draw(st.sampled_from(["cut", "lost", "flip", "junk", "half"]))
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "junk":
            data[at : at + 5] = draw(st.binary(min_size=5, max_size=5))
        else:
            start = at // 512 * 512 if kind == "lost" else at
            stop = min(len(data), (at // 512 + 1) * 512)
            data[start:stop] = bytes(max(0, stop - start))
    return bytes(data), salt


@given(damaged(), st.sampled_from(MODES), st.booleans())
def test_both_readers_give_the_same_verdict(case: tuple[bytes, int], mode: str, is_last: bool) -> None:
    data, salt = case
    assert native_verdict(data, mode, is_last, salt) == twin_verdict(data, mode, is_last, salt)


def small_segment(sync: str, ended: bool) -> tuple[bytes, list[tuple[int, bytes]]]:
    rng = random.Random(5)
    items = [(n, rng.randbytes(n * 3 % 41) + b"|") for n in range(1, 9)]
    segment = twin.Segment(3, 9, recovery.SYNC_MODES[sync], twin.capacity_of(4096))
    for seq, payload in items:
        assert segment.append(seq, payload, twin.SIZE if sync == "group" else 0)
    if ended:
        segment.end(0)
    tail = b"" if ended or sync == "none" else bytes(256)
    return bytes(segment.data) + tail, items


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sync", ["none", "os", "group"])
def test_a_tail_torn_at_any_offset_loses_only_the_tail(mode: str, sync: str) -> None:
    data, items = small_segment(sync, ended=False)
    data = data.rstrip(b"\0")
    room = b"" if sync == "none" else bytes(4096)
    for cut in range(len(data) + 1):
        torn = (data[:cut] + room)[: max(cut, 4096)] if room else data[:cut]
        found, _ = native_verdict(torn, mode, True, 9)
        assert (found, _) == twin_verdict(torn, mode, True, 9), f"cut at {cut}"
        if found is None:
            assert mode == "absolute" or cut < twin.SIZE, f"cut at {cut}"
        else:
            assert found == items[: len(found)]
            whole = sum(1 for n in itertools.accumulate((32 + len(p) for _, p in items), initial=32) if n <= cut) - 1
            assert len(found) == max(0, whole), f"cut at {cut}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("sync", "ended"), [("os", False), ("os", True), ("group", False), ("none", True)])
def test_no_single_bit_flip_gives_a_wrong_record(mode: str, sync: str, ended: bool) -> None:
    data, items = small_segment(sync, ended)
    silent = 0
    for bit in range(len(data) * 8):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        found, _ = native_verdict(bytes(bad), mode, True, 9)
        if found is None:
            continue
        assert mode != "absolute", f"bit {bit}"
        assert all(item in items for item in found), f"bit {bit}"
        assert [i for i in items if i in found] == found, f"bit {bit}: out of order"
        if mode != "skip":
            assert found == items[: len(found)], f"bit {bit}"
            silent += len(found) < len(items)
    assert silent == 0, "a flip in a record was taken for a torn tail"
