"""The encrypting file system against its Python twin, both directions, and against the file system in memory: the same content."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recovery
from recovery import crypt_twin as twin

KEYS = twin.Keys(bytes(range(16)), {1: b"\1" * 32, 7: b"\7" * 32})


def native(inner: recovery.FileSystem, current: int = 7) -> recovery.CryptFileSystem:
    return recovery.crypt(inner, KEYS.database, KEYS.keys, current)


SIZES = st.one_of(st.integers(0, 60), st.sampled_from([4095, 4096, 4097, 8191, 8192, 8193, 12288, 20000, 300_000]))
DATA = st.builds(lambda n, seed: (b"%d-" % seed * (n // 2 + 1))[:n], SIZES, st.integers(0, 1000))


@given(pieces=st.lists(st.tuples(DATA, st.sampled_from(["", "sync", "reopen"])), max_size=6))
def test_a_paged_file_is_read_by_the_twin(pieces: list[tuple[bytes, str]]) -> None:
    inner = recovery.memory()
    fs, expected = native(inner), b""
    file = fs.open("/000012.sst", "x")
    for data, then in pieces:
        file.append(data)
        expected += data
        assert file.read_all() == expected
        if then:
            file.sync()
            assert twin.read_file(inner.read_all("/000012.sst"), "000012.sst", KEYS) == expected
        if then == "reopen":
            file.close()
            file = fs.open("/000012.sst", "a")
    file.close()
    assert twin.read_file(inner.read_all("/000012.sst"), "000012.sst", KEYS) == expected
    assert fs.stat("/000012.sst") == (len(expected), False)
    assert fs.read_all("/000012.sst") == expected


@given(data=DATA, spans=st.lists(st.tuples(st.integers(0, 310_000), st.integers(0, 310_000)), max_size=8), number=st.sampled_from([1, 7]))
def test_a_paged_file_of_the_twin_is_read(data: bytes, spans: list[tuple[int, int]], number: int) -> None:
    inner = recovery.memory()
    inner.write_all("/000012.idx", twin.write_paged("000012.idx", data, KEYS, number))
    fs = native(inner)
    assert fs.key_of("/000012.idx") == number
    with fs.open("/000012.idx") as file:
        assert file.read_all() == data
        for at, n in spans:
            assert file.pread(n, at) == data[at : at + n]


WRITES = st.one_of(
    st.tuples(st.just("write"), SIZES, DATA),
    st.tuples(st.just("append"), st.just(0), DATA),
    st.tuples(st.just("size"), SIZES, st.just(b"")),
)


@given(operations=st.lists(WRITES, max_size=10), reserved=st.sampled_from([0, 1, 8, 5000]))
def test_a_framed_file_of_the_twin_is_read(operations: list[tuple[str, int, bytes]], reserved: int) -> None:
    expected, done = bytearray(), []
    for kind, at, data in operations:
        offset = len(expected) if kind == "append" else at
        if kind == "size":
            del expected[at:]
            expected += bytes(at - len(expected))
        elif data:
            expected += bytes(max(0, offset + len(data) - len(expected)))
            expected[offset : offset + len(data)] = data
        done.append(("size" if kind == "size" else "write", offset, data))
    inner = recovery.memory()
    inner.write_all("/a.log", raw := twin.write_framed("a.log", done, KEYS, 7, reserved))
    assert twin.read_file(raw, "a.log", KEYS) == expected
    fs = native(inner)
    assert fs.read_all("/a.log") == expected
    with fs.open("/a.log", "a") as file:
        file.append(b"more")
        assert file.read_all() == expected + b"more"
    assert twin.read_file(inner.read_all("/a.log"), "a.log", KEYS) == expected + b"more"


def test_a_frame_of_the_largest_size_and_more() -> None:
    inner = recovery.memory()
    data = os.urandom((2 << 20) + 5)
    native(inner).write_all("/big", data)
    assert twin.read_file(inner.read_all("/big"), "big", KEYS) == data
    inner.write_all("/big", twin.write_framed("big", [("write", 0, data)], KEYS, 1))
    assert native(inner).read_all("/big") == data


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), DATA, st.just(0)),
        st.tuples(st.just("pwrite"), DATA, SIZES),
        st.tuples(st.just("truncate"), st.just(b""), SIZES),
        st.tuples(st.just("allocate"), st.just(b""), SIZES),
        st.tuples(st.just("pread"), st.just(b""), SIZES),
        st.tuples(st.just("sync"), st.just(b""), st.just(0)),
        st.tuples(st.just("reopen"), st.sampled_from([b"r+", b"a", b"w"]), st.just(0)),
        st.tuples(st.just("rename"), st.sampled_from([b"/a", b"/b"]), st.just(0)),
    ),
    max_size=20,
)


def step(fs: recovery.FileSystem, state: list[Any], kind: str, data: bytes, at: int) -> Any:
    file, path = state
    if kind == "reopen":
        file.close()
        state[0] = fs.open(path, data.decode())
    elif kind == "rename":
        fs.rename(path, data.decode())
        state[1] = data.decode()
    elif kind == "pread":
        return file.pread(700, at), file.size(), fs.stat(path)
    elif kind == "append":
        file.append(data)
    elif kind == "pwrite":
        file.pwrite(data, at)
    elif kind == "sync":
        file.sync()
    else:
        getattr(file, kind)(at)
    return state[0].size(), state[0].read_all()


@given(steps=STEPS)
def test_a_framed_file_behaves_as_one_in_memory(steps: list[tuple[str, bytes, int]]) -> None:
    inner, plain = recovery.memory(), recovery.memory()
    fs = native(inner)
    mine, theirs = [fs.open("/a", "w"), "/a"], [plain.open("/a", "w"), "/a"]
    for kind, data, at in steps:
        assert step(fs, mine, kind, data, at) == step(plain, theirs, kind, data, at), (kind, len(data), at)
    mine[0].close()
    theirs[0].close()
    assert [fs.listdir("/"), fs.read_all(mine[1])] == [plain.listdir("/"), plain.read_all(theirs[1])]
    assert twin.read_file(inner.read_all(mine[1]), "a", KEYS) == plain.read_all(theirs[1])


@given(pieces=st.lists(DATA, min_size=1, max_size=8), synced=st.integers(0, 8), seed=st.integers(0, 1 << 32), reserve=st.booleans())
def test_a_crash_loses_nothing_that_was_synced(pieces: list[bytes], synced: int, seed: int, reserve: bool) -> None:
    inner = recovery.memory()
    with native(inner).open("/a.log", "x") as file:
        inner.sync_dir("/")
        if reserve:
            file.allocate(1 << 20)
            file.sync()
        at = 0
        for i, data in enumerate(pieces):
            file.pwrite(data, at)
            at += len(data)
            if i + 1 == synced:
                file.sync()
        for state in (inner.crash_clone("random", seed), inner.crash_clone("power"), inner.crash_clone("process")):
            fs = native(state)
            found = fs.read_all("/a.log")
            kept = b"".join(pieces[:synced]) if synced <= len(pieces) else b""
            assert found[: len(kept)] == kept
            assert twin.read_file(state.read_all("/a.log"), "a.log", KEYS) == found
            offset = 0
            for data in pieces:  # each later piece is there as a whole, or zeros
                assert found[offset : offset + len(data)] in (data, bytes(len(data)), b"") or offset + len(data) > len(found)
                offset += len(data)
            with fs.open("/a.log", "a") as again:
                size = again.size()
                again.append(b"behind")
                assert again.read_all() == found[:size] + b"behind"
            assert fs.read_all("/a.log") == found[:size] + b"behind"


@pytest.mark.parametrize("reserved", [0, 256])
def test_what_is_written_behind_a_torn_end_is_there_afterwards(reserved: int) -> None:
    """Row K found that it was damage then: the torn bytes were no longer at the end."""
    whole = twin.write_framed("a.log", [("write", 0, b"first"), ("write", 5, b"second" * 20)], KEYS, 7)
    for size in range(88, len(whole), 8 if reserved else 1):  # what is torn is torn between words
        inner = recovery.memory()
        inner.write_all("/a.log", whole[:size] + bytes(reserved))
        fs = native(inner)
        before = fs.read_all("/a.log")
        with fs.open("/a.log", "a") as file:
            file.append(b"behind")
            file.append(b" it")
            assert file.read_all() == before + b"behind it"
        assert fs.read_all("/a.log") == before + b"behind it", size
        assert twin.read_file(inner.read_all("/a.log"), "a.log", KEYS) == before + b"behind it"


def test_a_damaged_file_is_no_empty_one() -> None:
    whole = twin.write_framed("a.log", [("write", 0, b"gone"), ("size", 0, b"")], KEYS, 7)
    inner = recovery.memory()
    inner.write_all("/a.log", whole[:88] + b"\1" * 56 + whole[144:])
    fs = native(inner)
    assert fs.stat("/a.log") == (0, False)
    with pytest.raises(OSError) as caught:
        fs.read_all("/a.log")
    assert caught.value.errno == errno.EBADMSG


def flips(raw: bytes) -> Any:
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


@pytest.mark.parametrize("name", ["000003.sst", "000003.log"])
def test_every_flipped_bit_of_a_file_is_found(name: str) -> None:
    inner = recovery.memory()
    fs = native(inner)
    with fs.open(f"/{name}", "x") as file:
        for piece in (b"one", b"two and more", b"x" * 90):
            file.append(piece)
    for raw in flips(inner.read_all(f"/{name}")):
        inner.write_all(f"/{name}", raw)
        with pytest.raises(OSError) as caught:
            fs.read_all(f"/{name}")
        assert caught.value.errno in (errno.EBADMSG, errno.ENOKEY)
        with pytest.raises(twin.Unauthentic):
            twin.read_file(raw, name, KEYS)


def test_a_cut_swapped_or_moved_paged_file_is_found() -> None:
    inner = recovery.memory()
    fs = native(inner)
    for number in (3, 4):
        fs.write_all(f"/00000{number}.sst", bytes([number]) * 20_000)
    whole, other = inner.read_all("/000003.sst"), inner.read_all("/000004.sst")
    slot = 4096 + 28
    first, second = whole[88 : 88 + slot], whole[88 + slot : 88 + 2 * slot]
    wrong = [whole[: 88 + n] for n in (0, 27, 28, slot, 2 * slot, 3 * slot + 40)]
    wrong += [other, whole + b"x", whole[:88] + second + first + whole[88 + 2 * slot :], whole[:88] + other[88:]]
    wrong += [other[:88] + whole[88:], whole[:88] + first + whole[88:], b"plain text" * 50]
    for raw in wrong:
        inner.write_all("/000003.sst", raw)
        with pytest.raises(OSError) as caught:
            fs.read_all("/000003.sst")
        assert caught.value.errno == errno.EBADMSG, len(raw)


def test_frames_cannot_be_dropped_repeated_or_moved() -> None:
    inner = recovery.memory()
    fs = native(inner)
    with fs.open("/a.log", "x") as file:
        for i in range(4):
            file.append(b"record %d" % i)
    whole = inner.read_all("/a.log")
    frames = [whole[88 + i * 56 : 88 + (i + 1) * 56] for i in range(4)]
    for order in ([1, 2, 3], [0, 2, 3], [0, 1, 1, 2, 3], [0, 2, 1, 3], [3, 0, 1, 2]):
        inner.write_all("/a.log", whole[:88] + b"".join(frames[i] for i in order))
        with pytest.raises(OSError) as caught:
            fs.read_all("/a.log")
        assert caught.value.errno == errno.EBADMSG, order
    inner.write_all("/a.log", whole)
    assert fs.read_all("/a.log") == b"record 0record 1record 2record 3"


def test_names_are_bound_and_what_is_not_offered_is_told() -> None:
    inner = recovery.memory()
    fs = native(inner)
    for name in ("000001.sst", "MANIFEST-000002", "CURRENT.tmp", "free"):
        fs.write_all(f"/{name}", name.encode() * 10)
    fs.rename("/CURRENT.tmp", "/CURRENT")
    fs.link("/000001.sst", "/000001.sst.saved")
    assert fs.read_all("/CURRENT") == b"CURRENT.tmp" * 10
    assert fs.read_all("/000001.sst.saved") == b"000001.sst" * 10
    for source, target in (("/000001.sst", "/000002.sst"), ("/free", "/000003.log"), ("/MANIFEST-000002", "/MANIFEST-000003")):
        for move in (fs.rename, fs.link):
            with pytest.raises(OSError) as caught:
                move(source, target)
            assert caught.value.errno == errno.ENOTSUP
        inner.rename(source, target)
        with pytest.raises(OSError) as caught:
            fs.read_all(target)
        assert caught.value.errno == errno.EBADMSG
    with fs.open("/000009.sst", "w") as file:
        file.append(b"x" * 5000)
        for call in (lambda: file.pwrite(b"y", 3), lambda: file.truncate(7), lambda: file.allocate(9999)):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.ENOTSUP
    with fs.open("/000009.sst") as file, pytest.raises(OSError) as caught:
        file.append(b"z")
    assert caught.value.errno == errno.EBADF


def test_a_file_under_an_unknown_key_says_so() -> None:
    inner = recovery.memory()
    native(inner).write_all("/a", b"text")
    other = recovery.crypt(inner, KEYS.database, {1: KEYS.keys[1]}, 1)
    with pytest.raises(OSError, match="key not available") as caught:
        other.read_all("/a")
    assert caught.value.errno == errno.ENOKEY
    with pytest.raises(FileExistsError):
        other.add_key(1, bytes(32))
    for number in range(2, 257):
        other.add_key(number, struct.pack("<Q", number) * 4)
    with pytest.raises(OSError) as caught:
        other.add_key(257, bytes(32))
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match="the key has 3 bytes"):
        other.add_key(300, b"abc")
