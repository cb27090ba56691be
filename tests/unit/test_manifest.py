"""The manifest: what is committed is read back, every flipped bit and every cut is found, a torn tail is forgiven only where it may be."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest

import recovery
from lsm import CorruptionError, NotADatabase, manifest
from lsm.version import Edit, TableInfo
from recovery import crc32c, mask


def table(number: int, smallest: bytes = b"a", largest: bytes = b"b") -> TableInfo:
    return TableInfo(number, 1000 + number, 10, 1, smallest, largest, False, number, number, 0, 0xC0FFEE)


def written(records: int = 4) -> tuple[Any, manifest.State]:
    fs = recovery.memory()
    fs.mkdir("/db")
    state = manifest.State(0xABCDEF)
    state.add_keyspace(0, "default", {})
    made = manifest.Manifest(fs, "/db", 2, state, None)
    for n in range(10, 10 + records):
        edit = Edit(0, removed=(n - 1,) if n > 10 and n % 2 else (), added=((0, n, table(n)),), flushed_seq=n)
        state.apply(edit)
        state.next_file, state.last_seq = n + 1, n
        made.commit(edit)
    made.abandon()
    return fs, state


def same(a: manifest.State, b: manifest.State) -> bool:
    return (a.versions, a.flushed, a.names, a.database_id, a.next_file, a.last_seq) == (
        b.versions,
        b.flushed,
        b.names,
        b.database_id,
        b.next_file,
        b.last_seq,
    )


PATH = "/db/MANIFEST-000002"


def used(fs: Any) -> bytes:
    """The records, without the space that is reserved behind them."""
    raw: bytes = fs.read_all(PATH)
    assert len(raw) % 4096 == 0 and raw.endswith(bytes(4096)), "there is room for the next ones"
    return raw.rstrip(b"\0")


def test_nothing_is_written_where_nothing_was_reserved() -> None:
    """So a crash leaves no stale block behind the last record: what comes into reserved space is itself or zeros."""
    fs = recovery.record(recovery.memory())
    fs.mkdir("/db")
    state = manifest.State(1)
    state.add_keyspace(0, "default", {})
    made = manifest.Manifest(fs, "/db", 2, state, None)
    for n in range(400):
        made.commit(more=n)
    room, synced, grown = 0, 0, 0
    for e in fs.events():
        if e.path == PATH and e.op == "allocate":
            room, grown = e.length, grown + 1
        elif e.path == PATH and e.op == "sync":
            synced = room
        elif e.path == PATH and e.op in ("append", "pwrite"):
            assert e.offset + len(e.data) <= (synced or room), (e, synced)
    assert 2 < grown < 20
    made.close(1, 2, 3)
    assert fs.stat(PATH)[0] == made.bytes
    assert len(manifest.read_rows(fs.read_all(PATH), PATH)) == 402


def test_without_space_to_reserve_it_grows() -> None:
    fs = recovery.fault(recovery.memory())
    fs.mkdir("/db")
    state = manifest.State(1)
    state.add_keyspace(0, "default", {})
    fs.arm("allocate", PATH, 1, errno.ENOSPC, sticky=True)
    made = manifest.Manifest(fs, "/db", 2, state, None)
    for n in range(40):
        made.commit(more=n)
    assert fs.stat(PATH)[0] == made.bytes
    made.abandon()
    assert len(manifest.read_rows(fs.read_all(PATH), PATH)) == 41


def test_every_flipped_bit_of_the_reserved_space_is_told() -> None:
    fs, state = written(2)
    whole = fs.read_all(PATH)
    begin = len(whole.rstrip(b"\0"))
    for at in (*range(begin, begin + 600), *range(begin + 600, len(whole), 97), len(whole) - 1):
        bad = bytearray(whole)
        bad[at] ^= 1 << at % 8
        fs.write_all(PATH, bytes(bad))
        found, _ = manifest.load(fs, "/db")
        assert same(found, state) and len(found.notes) == 1 and "bytes behind its 3 records" in found.notes[0]


@pytest.mark.parametrize("kept", range(8))
def test_a_record_that_was_torn_in_reserved_space_is_forgiven_and_no_other(kept: int) -> None:
    """Each of the sectors that its record is in came to the disk or did not; what is behind it is zeros."""
    fs, _ = written()
    raw = fs.read_all(PATH)
    whole = used(fs)
    ends = [0]
    while ends[-1] < len(whole):
        ends.append(ends[-1] + 12 + int.from_bytes(whole[ends[-1] : ends[-1] + 4], "little"))
    for which in (2, 4):
        begin, end = ends[which], ends[which + 1]
        torn = bytearray(raw)
        for i, sector in enumerate(range(begin // 512, (end + 511) // 512)):
            if not kept >> i & 1:
                lo, hi = max(begin, sector * 512), min(end, sector * 512 + 512)
                torn[lo:hi] = bytes(hi - lo)
        if torn == raw:
            continue
        fs.write_all(PATH, bytes(torn))
        if which == 4:
            assert manifest.load(fs, "/db")[0].next_file == 13
        elif any(torn[begin : begin + 12]):  # its head says how long it is, and others are behind it
            with pytest.raises(CorruptionError):
                manifest.load(fs, "/db")


def test_what_is_committed_is_read_back() -> None:
    fs, state = written()
    found, name = manifest.load(fs, "/db")
    assert name == "MANIFEST-000002" and same(found, state) and found.closed is None


def test_the_next_manifest_begins_with_a_snapshot_and_the_old_one_goes() -> None:
    fs, state = written()
    manifest.Manifest(fs, "/db", 30, state, "MANIFEST-000002").close(7, 99, 13)
    found, name = manifest.load(fs, "/db")
    assert name == "MANIFEST-000030" and not fs.exists(PATH)
    assert same(found, state) and found.closed == {"log": 7, "used": 99, "seq": 13}


def test_keyspaces_come_and_go() -> None:
    fs, state = written()
    state.add_keyspace(1, "a", {"threads": 0})
    state.add_keyspace(2, "b", {})
    made = manifest.Manifest(fs, "/db", 31, state, "MANIFEST-000002")
    state.drop_keyspace(1)
    made.commit(drop=1)
    state.add_keyspace(3, "c", {"seed": 4})
    made.commit(create={"id": 3, "name": "c", "options": {"seed": 4}})
    made.abandon()
    found = manifest.load(fs, "/db")[0]
    assert found.names == {0: "default", 2: "b", 3: "c"} and found.options[3] == {"seed": 4} and found.next_keyspace == 4


def test_every_flipped_bit_is_found() -> None:
    fs, _ = written(2)
    whole = used(fs)
    for at in range(len(whole)):
        for bit in range(8):
            bad = bytearray(whole)
            bad[at] ^= 1 << bit
            fs.write_all(PATH, bytes(bad))
            with pytest.raises(CorruptionError):
                manifest.load(fs, "/db")
                pytest.fail(f"bit {bit} of byte {at} of {len(whole)}")


def test_a_cut_loses_the_last_record_at_most_and_never_what_current_promises() -> None:
    fs, _ = written()
    whole = used(fs)
    ends = [0]
    while ends[-1] < len(whole):
        ends.append(ends[-1] + 12 + int.from_bytes(whole[ends[-1] : ends[-1] + 4], "little"))
    for cut in range(len(whole)):
        fs.write_all(PATH, whole[:cut])
        if cut < ends[1]:
            with pytest.raises(CorruptionError):
                manifest.load(fs, "/db")
        else:
            complete = sum(end <= cut for end in ends[1:])
            assert manifest.load(fs, "/db")[0].next_file == (1 if complete == 1 else 9 + complete)
    fs.write_all(PATH, whole[: ends[3]])
    manifest.write_current(fs, "/db", "MANIFEST-000002", 5)
    with pytest.raises(CorruptionError, match="has 3 records, CURRENT promises 5"):
        manifest.load(fs, "/db")


@pytest.mark.parametrize("which", [1, 2, 3])
def test_records_that_are_swapped_repeated_or_missing_are_found(which: int) -> None:
    fs, _ = written()
    whole = used(fs)
    parts, at = [], 0
    while at < len(whole):
        n = 12 + int.from_bytes(whole[at : at + 4], "little")
        parts.append(whole[at : at + n])
        at += n
    for changed in (
        parts[:which] + parts[which + 1 :],
        [*parts[: which + 1], parts[which], *parts[which + 1 :]],
        [*parts[:which], parts[which + 1], parts[which], *parts[which + 2 :]],
    ):
        fs.write_all(PATH, b"".join(changed))
        with pytest.raises(CorruptionError):
            manifest.load(fs, "/db")


def test_records_of_another_manifest_are_found() -> None:
    """Of the same number and length, with right checksums, behind another beginning."""
    fs, _ = written()
    whole = used(fs)
    n = 12 + int.from_bytes(whole[:4], "little")
    payload = bytearray(whole[12:n])
    at = payload.index(b'"database":"') + len(b'"database":"')
    payload[at : at + 16] = b"00000000000000aa"
    crc = mask(crc32c(bytes(payload)))
    first = struct.pack("<III", len(payload), manifest._head_crc(len(payload), 0, 0), crc) + bytes(payload)
    assert first != whole[:n]
    fs.write_all(PATH, first + whole[n:])
    with pytest.raises(CorruptionError, match="record 1"):
        manifest.load(fs, "/db")


def test_current_is_checked() -> None:
    fs, _ = written()
    whole = fs.read_all("/db/CURRENT")
    for at in range(len(whole)):
        bad = bytearray(whole)
        bad[at] ^= 1
        fs.write_all("/db/CURRENT", bytes(bad))
        with pytest.raises(CorruptionError):
            manifest.load(fs, "/db")
    manifest.write_current(fs, "/db", "MANIFEST-000099", 1)
    with pytest.raises(CorruptionError, match="missing"):
        manifest.load(fs, "/db")


def test_a_newer_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FORMAT", 99)
    fs, _ = written()
    monkeypatch.undo()
    with pytest.raises(NotADatabase, match="format 99"):
        manifest.load(fs, "/db")
